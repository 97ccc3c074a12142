package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

// steady is an engine whose containers run until they are stopped.
type steady struct{ engine }

func (*steady) Wait(ctx context.Context, _ string) (supervisor.Container, error) {
	<-ctx.Done()
	return supervisor.Container{}, context.Cause(ctx)
}

// Find answers at once, however many containers there are.
func (*steady) Find(_ context.Context, ref supervisor.Ref) (supervisor.Container, error) {
	return supervisor.Container{ID: "of " + ref.Job.String(), Running: true}, nil
}

// BenchmarkPass is one pass over a thousand running tasks: one that finds all as it was, and one after a goal changed,
// which has to be on disk.
func BenchmarkPass(b *testing.B) {
	const many = 1000
	dir, err := openStateDir(b.TempDir(), zerolog.Nop())
	if err != nil {
		b.Fatal(err)
	}
	defer dir.close()
	ports, err1 := supervisor.NewPorts(20000, 32768, func(supervisor.HostPort) bool { return true })
	wishes, file, err2 := openWishes(dir, "h", nil, false)
	statuses, err3 := openStatuses(dir, zerolog.Nop())
	if err := errors.Join(err1, err2, err3); err != nil {
		b.Fatal(err)
	}
	e := &steady{}
	reported := make(chan struct{}, 4*many)
	r := &reconciler{
		dir: dir, host: "h", id: "A", ports: ports, statuses: statuses, file: file, wishes: wishes, log: zerolog.Nop(),
		note:   func(context.Context, host.Note, map[job.ID]job.Task) error { return nil },
		report: func(job.TaskStatus) {},
		supervise: func(x execution, last *job.TaskStatus) (*supervisor.Supervisor, error) {
			return supervisor.New(supervisor.Options{
				Engine: e, Job: &x.Job, Goal: x.Goal, Ports: x.hostPorts(), Last: last, Host: "h", Agent: "A",
				Report: func(job.TaskStatus) { reported <- struct{}{} },
			})
		},
		passed: func(bool) {}, bell: make(chan struct{}, 1), running: make(map[job.ID]*supervisor.Supervisor),
	}
	s := newTree(0, "extra")
	s.ports = map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}
	for i := range many {
		name := fmt.Sprint("job", i)
		s.create(name)
		s.deploy(name, job.Start)
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer running.Wait()
	defer cancel()
	r.observe(s.read(r.names()))
	pass := func() {
		if err := r.pass(ctx, &running); err != nil {
			b.Fatal(err)
		}
	}
	pass()
	for range many { // each runs
		select {
		case <-reported:
		case <-time.After(time.Minute):
			b.Fatal("not all run")
		}
	}
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			pass()
		}
	})
	b.Run("changed", func(b *testing.B) {
		for b.Loop() {
			if !s.undeploy("extra") {
				s.deploy("extra", job.Stop)
			}
			r.observe(s.read(r.names()))
			pass()
		}
	})
}
