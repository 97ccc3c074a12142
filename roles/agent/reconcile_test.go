package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

// bench is a reconciler with its files, over an engine in memory. The engine outlives it, as Docker does.
type bench struct {
	*reconciler
	t        *testing.T
	engine   *engine
	stop     context.CancelFunc
	ended    sync.WaitGroup
	reaping  bool // strays may be reaped
	store    *tree
	deaf     atomic.Bool // the store takes no notes
	answered int         // acceptances
	noting   func()      // happens while the store takes the next note
}

// note takes a note as the store does.
func (b *bench) note(_ context.Context, n host.Note, _ map[job.ID]job.Task) error {
	if b.deaf.Load() {
		return errors.New("deaf")
	}
	if happens := b.noting; happens != nil {
		b.noting = nil
		happens()
	}
	b.store.leave(n)
	return nil
}

// look has the reconciler look at the store.
func (b *bench) look() {
	b.observe(b.store.read(b.names()))
	settle()
}

// engine is Docker as far as a reconciler can tell.
type engine struct {
	mu         sync.Mutex // guards containers
	containers []supervisor.Container
	starting   func(supervisor.Container) // called before a container starts
	unlisted   bool                       // the reconciler gets no list of containers
	full       bool                       // others have all free ports
	refused    string                     // the container that is not started
}

func (e *engine) find(match func(supervisor.Container) bool) supervisor.Container {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.containers {
		if match(c) {
			return c
		}
	}
	return supervisor.Container{}
}

func (e *engine) change(id string, alter func(*supervisor.Container)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.containers {
		if e.containers[i].ID == id {
			alter(&e.containers[i])
		}
	}
}

func (e *engine) Find(_ context.Context, ref supervisor.Ref) (supervisor.Container, error) {
	running := e.find(func(c supervisor.Container) bool { return c.Running && ref.Matches(c) })
	if running.ID != "" {
		return running, nil
	}
	if ref.Container == "" {
		return e.find(func(c supervisor.Container) bool { return c.Unstarted && ref.Matches(c) }), nil
	}
	return e.find(func(c supervisor.Container) bool { return c.ID == ref.Container }), nil
}

func (e *engine) Pull(context.Context, string) error { return nil }

func (e *engine) Create(_ context.Context, spec supervisor.Spec) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := fmt.Sprintf("c%d", len(e.containers)+1)
	c := supervisor.Container{ID: id, Name: spec.Name, Labels: spec.Labels, Unstarted: true}
	for name, port := range spec.Ports {
		m := spec.Job.Ports[name]
		c.Ports = append(c.Ports, supervisor.PublishedPort{Protocol: m.Protocol, Container: int(m.InternalPort), Host: port})
	}
	e.containers = append(e.containers, c)
	return id, nil
}

func (e *engine) Start(_ context.Context, id string) error {
	if e.starting != nil {
		e.starting(e.find(func(c supervisor.Container) bool { return c.ID == id }))
	}
	e.change(id, func(c *supervisor.Container) { c.Running, c.Unstarted = id != e.refused, false })
	if id == e.refused {
		return errors.New("port is already allocated")
	}
	return nil
}

func (e *engine) Wait(ctx context.Context, id string) (supervisor.Container, error) {
	for e.find(func(c supervisor.Container) bool { return c.ID == id && c.Running }).ID != "" {
		if !sleep(ctx, 10*time.Millisecond) {
			return supervisor.Container{}, context.Cause(ctx)
		}
	}
	return supervisor.Container{}, nil
}

func (e *engine) Stop(_ context.Context, id string, _ int) error {
	e.change(id, func(c *supervisor.Container) { c.Running = false })
	return nil
}

func (e *engine) Kill(ctx context.Context, id string) error { return e.Stop(ctx, id, 0) }

func (e *engine) Running(context.Context) ([]supervisor.Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var running []supervisor.Container
	for _, c := range e.containers {
		if c.Running {
			running = append(running, c)
		}
	}
	return running, nil
}

// list is Running for the reconciler itself.
func (e *engine) list(ctx context.Context) ([]supervisor.Container, error) {
	if e.unlisted {
		return nil, supervisor.ErrUnavailable
	}
	return e.Running(ctx)
}

// free tells whether no container that runs is bound to the port.
func (e *engine) free(port supervisor.HostPort) bool {
	return !e.full && e.find(func(c supervisor.Container) bool {
		return c.Running && slices.ContainsFunc(c.Ports, func(p supervisor.PublishedPort) bool { return p.Host == port.Number })
	}).ID == ""
}

// running is how many containers run, and the id of the last.
func (e *engine) running() (int, string) {
	list, _ := e.Running(context.Background())
	if len(list) == 0 {
		return 0, ""
	}
	return len(list), list[len(list)-1].ID
}

// start makes a reconciler on the directory as an agent does at its start, and lets it run.
func start(t *testing.T, path string, e *engine, s *tree) *bench {
	t.Helper()
	return startWith(t, path, e, s, 20000)
}

// startWith is start with ten dynamic ports from the first one.
func startWith(t *testing.T, path string, e *engine, s *tree, first int) *bench {
	t.Helper()
	dir, err := openStateDir(path, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, engine: e, store: s}
	ports, err1 := supervisor.NewPorts(first, first+10, e.free)
	executions, err3 := openExecutions(dir)
	wishes, file, err4 := openWishes(dir, "h", executions, true)
	statuses, err5 := openStatuses(dir, zerolog.Nop())
	if err := errors.Join(err1, err3, err4, err5); err != nil {
		t.Fatal(err)
	}
	report := statuses.put
	t.Cleanup(statuses.writing.Wait)
	b.reconciler = &reconciler{
		dir: dir, host: "h", id: "A", ports: ports, statuses: statuses, file: file, log: zerolog.Nop(), report: report,
		note: b.note, answer: func(context.Context) error { b.answered++; return nil },
		supervise: func(e execution, last *job.TaskStatus) (*supervisor.Supervisor, error) {
			return supervisor.New(supervisor.Options{
				Engine: b.engine, Job: &e.Job, Goal: e.Goal, Ports: e.hostPorts(), Last: last, Host: "h", Agent: "A", Report: report,
				Rebound: func(ports map[string]int) { b.rebind(e.Job.ID, ports) },
			})
		},
		containers: e.list, agents: func() []string { return []string{"A"} }, rebound: make(map[job.ID]map[string]int),
		passed: func(known bool) {
			if b.reaping = known; known {
				if _, err := supervisor.Reap(t.Context(), b.engine, "A", b.owns); err != nil {
					t.Error(err)
				}
			}
		},
		bell: make(chan struct{}, 1), running: make(map[job.ID]*supervisor.Supervisor), wishes: wishes, told: wishes,
		executions: executions,
	}
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.ended.Go(func() { _ = b.run(ctx) })
	return b
}

// end ends the reconciler as the agent's end does.
func (b *bench) end() {
	b.stop()
	b.ended.Wait()
	if err := b.dir.close(); err != nil {
		b.t.Error(err)
	}
}

// settle lets all that was begun come to rest.
func settle() {
	synctest.Wait()
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

func TestReconciler(t *testing.T) {
	run := func(name string, test func(t *testing.T, path string, e *engine, s *tree)) {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			synctest.Test(t, func(t *testing.T) { test(t, path, &engine{}, newTree(0, "a", "b", "c", "d", "e")) })
		})
	}
	run("what starts is on disk before it starts, and what ends leaves nothing there", func(t *testing.T, path string, e *engine, s *tree) {
		e.starting = func(c supervisor.Container) {
			for _, file := range []string{executionsFile, tasksFile, statusesFile, wishesFile} {
				if data, err := os.ReadFile(filepath.Join(path, file)); err != nil || len(data) < 5 {
					t.Errorf("container %s starts while %s holds %q, %v", c.ID, file, data, err)
				}
			}
		}
		b := start(t, path, e, s)
		defer b.end()
		s.deploy("a", job.Start)
		b.look()
		if n, _ := e.running(); n != 1 {
			t.Fatalf("%d containers run after a deployment", n)
		}
		s.undeploy("a")
		b.look()
		if n, _ := e.running(); n != 0 {
			t.Errorf("%d containers run after the end of the deployment", n)
		}
		if left, _ := openExecutions(b.dir); len(left) > 0 || len(b.statuses.snapshot()) > 0 {
			t.Errorf("left: %d executions, %d statuses", len(left), len(b.statuses.snapshot()))
		}
	})
	run("nothing starts or stops while nothing can be recorded", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		defer b.end()
		s.deploy("a", job.Start)
		b.look()
		// A directory in the file's place cannot be replaced.
		if err := os.Rename(filepath.Join(path, executionsFile), filepath.Join(path, "away")); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(path, executionsFile, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		s.undeploy("a")
		s.deploy("b", job.Start)
		b.look()
		if n, id := e.running(); n != 1 || id != "c1" {
			t.Fatalf("%d run, the last is %s: want c1 alone", n, id)
		}
		if err := os.RemoveAll(filepath.Join(path, executionsFile)); err != nil {
			t.Fatal(err)
		}
		settle()
		if n, id := e.running(); n != 1 || id != "c2" {
			t.Errorf("%d run, the last is %s: want c2 alone when recording works again", n, id)
		}
	})
	run("a restart adopts, and an undeployment meanwhile is carried out", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		s.deploy("a", job.Start)
		s.deploy("b", job.Start)
		b.look()
		b.end()
		if n, _ := e.running(); n != 2 {
			t.Fatalf("%d containers run after the end of the agent", n)
		}
		b = start(t, path, e, s)
		defer b.end()
		settle()
		if n, _ := e.running(); n != 2 || len(e.containers) != 2 || b.reaping {
			t.Fatalf("%d of %d run without a reading, reaping %v", n, len(e.containers), b.reaping)
		}
		s.undeploy("a")
		b.look()
		if n, _ := e.running(); n != 1 || len(e.containers) != 2 {
			t.Errorf("%d of %d run after the reading", n, len(e.containers))
		}
	})
	run("damaged records stop nothing, however many", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		s.deploy("a", job.Start)
		s.deploy("b", job.Start)
		b.look()
		b.end()
		for _, file := range []string{executionsFile, tasksFile, statusesFile} {
			if err := os.WriteFile(filepath.Join(path, file), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b = start(t, path, e, s)
		defer b.end()
		settle()
		if n, _ := e.running(); n != 2 {
			t.Fatalf("%d run without a reading", n)
		}
		b.look()
		if n, _ := e.running(); n != 2 || len(e.containers) != 2 {
			t.Errorf("%d of %d run", n, len(e.containers))
		}
	})
	run("an emptied store ends nothing, not even a stray, until a person says what is true", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		defer b.end()
		s.deploy("a", job.Start)
		b.look()
		e.mu.Lock()
		e.containers = append(e.containers, supervisor.Container{ID: "stray", Name: "helios-A-unwanted_1", Running: true})
		e.mu.Unlock()
		*s = *newTree(1000, "a", "b")
		b.look()
		s.deploy("b", job.Start) // a change that names its task is followed
		b.look()
		if n, _ := e.running(); n != 3 || b.doubt() == nil || s.note.Doubt != b.doubt().Token {
			t.Fatalf("%d run, in doubt: %+v, noted %+v", n, b.doubt(), s.note)
		}
		b.accept(host.Acceptance{Token: "another", Mode: host.Follow})
		settle()
		if n, _ := e.running(); n != 3 || b.answered != 1 {
			t.Fatalf("%d run after an acceptance of another doubt, %d answered", n, b.answered)
		}
		b.accept(host.Acceptance{Token: b.doubt().Token, Mode: host.Follow})
		settle()
		if n, id := e.running(); n != 1 || id != "c3" || b.doubt() != nil || s.note.Doubt != "" || b.answered != 2 {
			t.Errorf("%d run, the last is %s, in doubt: %+v, noted %+v, %d answered", n, id, b.doubt(), s.note, b.answered)
		}
	})
	run("a list that was read while a note was being left is no older one", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		defer b.end()
		for n, names := range [][2]string{{"a", "b"}, {"c", "d"}} {
			s.deploy(names[0], job.Start)
			first := s.read(b.names())
			s.deploy(names[1], job.Start)
			second := s.read(b.names())
			b.observe(first)
			settle() // and leaves a note
			b.observe(second)
			settle()
			if running, _ := e.running(); running != 2*(n+1) || b.doubt() != nil {
				t.Fatalf("%d run, want %d, in doubt: %+v", running, 2*(n+1), b.doubt())
			}
		}
		older := s.clone()
		s.deploy("e", job.Start)
		b.look()
		*s = *older
		b.look()
		if n, _ := e.running(); n != 5 || b.doubt() == nil {
			t.Errorf("%d run, in doubt: %+v, when the store is older than the last note", n, b.doubt())
		}
	})
	run("a doubt outlives the agent", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		s.deploy("a", job.Start)
		b.look()
		*s = *newTree(1000, "a")
		b.look()
		doubt := *b.doubt()
		b.end()
		b = start(t, path, e, s)
		defer b.end()
		settle()
		if b.doubt() == nil || !cmp.Equal(*b.doubt(), doubt) {
			t.Errorf("in doubt: %+v, before %+v", b.doubt(), doubt)
		}
		b.look()
		if n, _ := e.running(); n != 1 || b.doubt() == nil || !cmp.Equal(*b.doubt(), doubt) {
			t.Errorf("%d run, in doubt: %+v, before %+v", n, b.doubt(), doubt)
		}
		s.deploy("a", job.Start)
		b.look()
		if n, _ := e.running(); n != 1 || len(e.containers) != 1 || b.doubt() != nil {
			t.Errorf("%d run of %d after it was deployed again, in doubt: %+v", n, len(e.containers), b.doubt())
		}
	})
	run("what a newer version remembers is not read as something else", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		s.deploy("a", job.Start)
		b.look()
		b.end()
		file := filepath.Join(path, wishesFile)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		data = bytes.Replace(data, []byte(`"version" : 1`), []byte(`"version" : 2`), -1)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s.undeploy("a")
		b = start(t, path, e, s)
		defer b.end()
		b.look()
		if n, _ := e.running(); n != 1 || b.doubt() == nil || b.doubt().Reason != newer {
			t.Errorf("%d run, in doubt: %+v", n, b.doubt())
		}
	})
	run("a new task waits until it is noted in the store, and nothing else does", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		defer b.end()
		s.deploy("a", job.Start)
		b.look()
		b.deaf.Store(true)
		s.undeploy("a")
		b.look()
		if n, _ := e.running(); n != 0 {
			t.Errorf("%d run after an undeployment", n)
		}
		s.deploy("b", job.Start)
		b.look()
		if n, _ := e.running(); n != 0 {
			t.Errorf("%d run that were not noted", n)
		}
		b.deaf.Store(false)
		settle()
		if n, id := e.running(); n != 1 || id != "c2" {
			t.Errorf("%d run, the last is %s", n, id)
		}
	})
	run("containers of an agent with the same id and another name are no strays", func(t *testing.T, path string, e *engine, s *tree) {
		e.containers = []supervisor.Container{
			{ID: "other", Name: "helios-A-x_1_0123456_1", Running: true, Labels: map[string]string{"helios.agent": "A", "helios.host": "g", "helios.job": "x"}},
			{ID: "stray", Name: "helios-A-x_1_0123456_2", Running: true},
		}
		b := start(t, path, e, s)
		defer b.end()
		b.look()
		if n, id := e.running(); n != 1 || id != "other" {
			t.Errorf("%d run, the last is %q", n, id)
		}
	})
	run("a task that is undeployed while it is noted ends", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		defer b.end()
		b.look()
		b.noting = func() {
			s.undeploy("a")
			b.observe(s.read(b.names()))
			s.deploy("b", job.Start)
			b.observe(s.read(b.names()))
		}
		s.deploy("a", job.Start)
		b.look()
		list, _ := e.Running(t.Context())
		if len(list) != 1 || list[0].Labels["helios.job"] != testID("b").String() || b.doubt() != nil {
			t.Errorf("running: %+v, in doubt: %+v", list, b.doubt())
		}
	})
	run("a full disk is told of once, and what was waited for once it is not full", func(t *testing.T, path string, e *engine, s *tree) {
		b := start(t, path, e, s)
		defer b.end()
		file, err := os.Create(path + ".log")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() }) // after b.end
		b.log = zerolog.New(file)
		said := func() string {
			text, _ := os.ReadFile(file.Name())
			return string(text)
		}
		s.deploy("a", job.Start)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		b.look()
		settle()
		if text := said(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "cannot be kept") {
			t.Errorf("while nothing can be written:\n%s", text)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		settle()
		if text := said(); strings.Count(text, "goal changed") != 1 || strings.Count(text, "can be kept again") != 1 {
			t.Errorf("in the end:\n%s", text)
		}
	})
	run("a static port goes from one job to the next at once", func(t *testing.T, path string, e *engine, s *tree) {
		s.ports = map[string]job.PortMapping{"p": {InternalPort: 80, ExternalPort: new(int32(8080)), Protocol: "tcp"}}
		b := start(t, path, e, s)
		defer b.end()
		s.deploy("a", job.Start)
		b.look()
		s.undeploy("a")
		s.deploy("b", job.Start)
		b.look()
		status, known := b.statuses.last(testID("b"))
		if n, _ := e.running(); n != 1 || !known || status.State != job.Running {
			t.Errorf("%d run; the next one is %s (%s)", n, status.State, status.ContainerError)
		}
	})
}
