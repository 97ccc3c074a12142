package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

// steady is an engine whose containers run until they are stopped. It counts what it is asked.
type steady struct {
	engine
	asked atomic.Int64
	found sync.Map // container id → container
}

func (*steady) Wait(ctx context.Context, _ string) (supervisor.Container, error) {
	<-ctx.Done()
	return supervisor.Container{}, context.Cause(ctx)
}

// Find answers at once, however many containers there are.
func (s *steady) Find(_ context.Context, ref supervisor.Ref) (supervisor.Container, error) {
	s.asked.Add(1)
	c := supervisor.Container{ID: "of " + ref.Job.String(), Running: true, Labels: ref.Labels()}
	s.found.Store(c.ID, c)
	return c, nil
}

// Running lists all containers that were ever found.
func (s *steady) Running(context.Context) ([]supervisor.Container, error) {
	s.asked.Add(1)
	var list []supervisor.Container
	s.found.Range(func(_, c any) bool {
		list = append(list, c.(supervisor.Container))
		return true
	})
	return list, nil
}

// Kill wants nobody to kill anything here.
func (s *steady) Kill(context.Context, string) error {
	s.asked.Add(1)
	return errors.New("nobody is to be killed")
}

// passes are those of a reconciler over many running tasks. Like an agent's, each ends with a look for strays.
type passes struct {
	*reconciler
	tree   *tree
	engine *steady
	once   func() // makes one
}

func newPasses(tb testing.TB, many int) *passes {
	tb.Helper()
	dir, err := openStateDir(tb.TempDir(), zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	ports, err1 := supervisor.NewPorts(20000, 32768, func(supervisor.HostPort) bool { return true })
	wishes, file, err2 := openWishes(dir, "h", nil, false)
	statuses, err3 := openStatuses(dir, zerolog.Nop())
	if err := errors.Join(err1, err2, err3); err != nil {
		tb.Fatal(err)
	}
	p := &passes{engine: &steady{}, tree: newTree(0, "extra")}
	ctx, cancel := context.WithCancel(context.Background())
	reported := make(chan struct{}, 4*many)
	p.reconciler = &reconciler{
		dir: dir, host: "h", id: "A", ports: ports, statuses: statuses, file: file, wishes: wishes, log: zerolog.Nop(),
		note: func(_ context.Context, n host.Note, _ map[job.ID]job.Task) error {
			p.tree.leave(n)
			return nil
		},
		report:     func(job.TaskStatus) {},
		containers: p.engine.Running, agents: func() []string { return []string{"A"} },
		supervise: func(x execution, last *job.TaskStatus) (*supervisor.Supervisor, error) {
			return supervisor.New(supervisor.Options{
				Engine: p.engine, Job: &x.Job, Goal: x.Goal, Ports: x.hostPorts(), Last: last, Host: "h", Agent: "A",
				Report: func(job.TaskStatus) { reported <- struct{}{} },
			})
		},
		passed: func(known bool) {
			if !known {
				tb.Error("the tasks are not known")
			}
			if killed, err := supervisor.Reap(ctx, p.engine, "A", p.owns); err != nil || len(killed) > 0 {
				tb.Errorf("killed %v, %v", killed, err)
			}
		},
		bell: make(chan struct{}, 1), running: make(map[job.ID]*supervisor.Supervisor),
	}
	p.tree.ports = map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}
	for i := range many {
		name := fmt.Sprint("job", i)
		p.tree.create(name)
		p.tree.deploy(name, job.Start)
	}
	var running sync.WaitGroup
	tb.Cleanup(func() {
		cancel()
		running.Wait()
		dir.close()
	})
	p.once = func() {
		if err := p.pass(ctx, &running); err != nil {
			tb.Fatal(err)
		}
	}
	p.observe(p.tree.read(p.names()))
	p.once()
	for range many { // each runs
		select {
		case <-reported:
		case <-time.After(time.Minute):
			tb.Fatal("not all run")
		}
	}
	return p
}

// BenchmarkPass is one pass over running tasks: one that finds all as it was, and one after a goal changed, which has to
// be on disk.
func BenchmarkPass(b *testing.B) {
	for _, many := range []int{100, 1000} {
		p := newPasses(b, many)
		b.Run(fmt.Sprintf("unchanged/%d", many), func(b *testing.B) {
			for b.Loop() {
				p.once()
			}
		})
		b.Run(fmt.Sprintf("changed/%d", many), func(b *testing.B) {
			for b.Loop() {
				if !p.tree.undeploy("extra") {
					p.tree.deploy("extra", job.Stop)
				}
				p.observe(p.tree.read(p.names()))
				p.once()
			}
		})
	}
}

func TestPassWithNothingToDoAsksDockerOnce(t *testing.T) {
	t.Parallel()
	p := newPasses(t, 100)
	p.once() // whoever was slow to begin has begun
	written := p.file.written
	p.engine.asked.Store(0)
	p.once()
	p.observe(p.tree.read(p.names())) // nor does a reading that has no news cost more
	p.once()
	if n := p.engine.asked.Load(); n != 2 {
		t.Errorf("two passes asked Docker %d times", n)
	}
	if !bytes.Equal(p.file.written, written) {
		t.Error("the wishes were written anew")
	}
}
