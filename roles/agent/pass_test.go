package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

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
	memory, err2 := openMemory(dir)
	statuses, err3 := openStatuses(dir, zerolog.Nop())
	if err := errors.Join(err1, err2, err3); err != nil {
		b.Fatal(err)
	}
	e := &steady{}
	reported := make(chan struct{}, 4*many)
	r := &reconciler{
		dir: dir, host: "h", id: "A", ports: ports, statuses: statuses, memory: memory, log: zerolog.Nop(),
		report: func(job.TaskStatus) {},
		supervise: func(x execution, last *job.TaskStatus) (*supervisor.Supervisor, error) {
			return supervisor.New(supervisor.Options{
				Engine: e, Job: &x.Job, Goal: x.Goal, Ports: x.hostPorts(), Last: last, Host: "h", Agent: "A",
				Report: func(job.TaskStatus) { reported <- struct{}{} },
			})
		},
		passed: func(bool) {}, bell: make(chan struct{}, 1), running: make(map[job.ID]*supervisor.Supervisor),
	}
	list := make([]job.Task, many)
	for i := range list {
		list[i] = task(fmt.Sprint("job", i), job.Start)
		list[i].Job.Ports = map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer running.Wait()
	defer cancel()
	r.observe(reading(many, list...))
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
		extra := task("extra", job.Stop)
		changes := int32(many)
		for b.Loop() {
			changes++
			with := list
			if changes%2 == 1 {
				with = append(list[:many:many], extra)
			}
			r.observe(reading(changes, with...))
			pass()
		}
	})
}
