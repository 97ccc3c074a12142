package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/helios-go/helios/store/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeEngine is Docker as far as a supervisor can tell, in memory and in virtual time. It fails the test when two
// containers of one job run at once.
type fakeEngine struct {
	t testing.TB

	mu         sync.Mutex
	changed    chan struct{} // closed at each change
	containers map[string]*fakeContainer
	made       int
	calls      []string

	behaviour
}

// behaviour says what comes next. While a supervisor runs it is changed with set.
type behaviour struct {
	findTakes                    time.Duration
	pullTakes, startTakes        time.Duration
	pullErr, createErr, startErr error
	runsFor                      time.Duration // zero: until it is ended
	exitCode                     int
	errorText                    string // State.Error of what ends by itself
	ignoresTerm, unkillable      bool
	away                         bool      // no verb is answered
	lies                         Container // what a wait for it says, once, whatever is true
}

type fakeContainer struct {
	Container
	ends *time.Timer
}

func newFakeEngine(t testing.TB) *fakeEngine {
	return &fakeEngine{t: t, changed: make(chan struct{}), containers: map[string]*fakeContainer{}}
}

// set changes the behaviour.
func (e *fakeEngine) set(change func(*behaviour)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.behaviour)
	e.change()
}

func (e *fakeEngine) now() behaviour {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.behaviour
}

// call begins a verb: it takes some time, notes it, and answers whether Docker does.
func (e *fakeEngine) call(ctx context.Context, takes time.Duration, what string, args ...any) error {
	if takes > 0 {
		rest(ctx, takes)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.away {
		return fmt.Errorf("%w: connection refused", ErrUnavailable)
	}
	e.calls = append(e.calls, strings.TrimSpace(fmt.Sprintln(append([]any{what}, args...)...)))
	return nil
}

func (e *fakeEngine) change() {
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *fakeEngine) Find(ctx context.Context, ref Ref) (Container, error) {
	if err := e.call(ctx, e.now().findTakes, "find", ref.Container); err != nil {
		return Container{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var recorded Container
	if c, ok := e.containers[ref.Container]; ok {
		if recorded = c.Container; c.Running {
			return recorded, nil
		}
	}
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		if c := e.containers[id]; c.Running && ref.Matches(c.Container) {
			return c.Container, nil
		}
	}
	return recorded, nil
}

func (e *fakeEngine) Pull(ctx context.Context, image string) error {
	if err := e.call(ctx, e.now().pullTakes, "pull", image); err != nil {
		return err
	}
	return e.now().pullErr
}

func (e *fakeEngine) Create(ctx context.Context, spec Spec) (string, error) {
	if err := e.call(ctx, 0, "create"); err != nil {
		return "", err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.createErr != nil {
		return "", e.createErr
	}
	e.made++
	id := fmt.Sprintf("id%03d", e.made)
	c := Container{ID: id, Name: spec.Name, Labels: spec.Labels, Unstarted: true}
	for name, port := range spec.Ports {
		m := spec.Job.Ports[name]
		c.Ports = append(c.Ports, PublishedPort{m.Protocol, int(m.InternalPort), port})
	}
	e.containers[id] = &fakeContainer{Container: c}
	return id, nil
}

func (e *fakeEngine) Start(ctx context.Context, id string) error {
	if err := e.call(ctx, e.now().startTakes, "start", id); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok {
		return errors.New("No such container")
	}
	c.Unstarted = false
	if e.startErr != nil {
		return e.startErr
	}
	c.Running = true
	perJob := map[string]string{}
	for _, c := range e.containers {
		if other, ok := perJob[c.Labels[LabelJob]]; c.Running && ok {
			e.t.Errorf("two containers of %s run: %s and %s", c.Labels[LabelJob], other, c.ID)
		} else if c.Running {
			perJob[c.Labels[LabelJob]] = c.ID
		}
	}
	if e.runsFor > 0 {
		code, text := e.exitCode, e.errorText
		c.ends = time.AfterFunc(e.runsFor, func() { e.end(id, code, text) })
	}
	return nil
}

// end makes a container exit.
func (e *fakeEngine) end(id string, code int, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, ok := e.containers[id]
	if !ok || !c.Running {
		return
	}
	if c.ends != nil {
		c.ends.Stop()
	}
	c.Running, c.ExitCode, c.Error, c.FinishedAt = false, code, text, time.Now()
	e.change()
}

// remove makes a container vanish.
func (e *fakeEngine) remove(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, id)
	e.change()
}

func (e *fakeEngine) setAway(away bool) {
	e.set(func(b *behaviour) { b.away = away })
}

// lie makes the next wait for a container end with words that need not be true.
func (e *fakeEngine) lie(words Container) {
	e.set(func(b *behaviour) { b.lies = words })
}

func (e *fakeEngine) Wait(ctx context.Context, id string) (Container, error) {
	if err := e.call(ctx, 0, "wait", id); err != nil {
		return Container{}, err
	}
	for {
		e.mu.Lock()
		c, ok := e.containers[id]
		running, away, changed, lies := ok && c.Running, e.away, e.changed, e.lies
		var ended Container
		if lies.ID == id {
			ended, running, e.lies = lies, false, Container{}
		} else if ok {
			ended = c.Container
		}
		e.mu.Unlock()
		switch {
		case away:
			return Container{}, ErrUnavailable
		case !running:
			return ended, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Container{}, context.Cause(ctx)
		}
	}
}

func (e *fakeEngine) Stop(ctx context.Context, id string, seconds int) error {
	if err := e.call(ctx, 0, "stop", id, seconds); err != nil {
		return err
	}
	if e.now().ignoresTerm {
		rest(ctx, time.Duration(seconds)*time.Second)
	} else {
		rest(ctx, 10*time.Millisecond)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !e.now().unkillable {
		e.end(id, 143, "")
	}
	return nil
}

func (e *fakeEngine) Kill(ctx context.Context, id string) error {
	if err := e.call(ctx, 0, "kill", id); err != nil {
		return err
	}
	if !e.now().unkillable {
		e.end(id, 137, "")
	}
	return nil
}

func (e *fakeEngine) Running(ctx context.Context) ([]Container, error) {
	if err := e.call(ctx, 0, "list"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var running []Container
	for _, c := range e.containers {
		if c.Running {
			running = append(running, c.Container)
		}
	}
	return running, nil
}

// running and all return ids of containers, called returns the verbs so far with the given beginning.
func (e *fakeEngine) running() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(e.containers)) {
		if e.containers[id].Running {
			ids = append(ids, id)
		}
	}
	return ids
}

func (e *fakeEngine) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.containers))
}

func (e *fakeEngine) called(prefix string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []string
	for _, call := range e.calls {
		if strings.HasPrefix(call, prefix) {
			found = append(found, call)
		}
	}
	return found
}

// report is a status with the moment it was reported.
type report struct {
	job.TaskStatus
	at time.Time
}

// task does what an agent's loop does with one task: it keeps a supervisor while one is needed.
type task struct {
	t      testing.TB
	engine *fakeEngine
	opts   Options

	mu      sync.Mutex
	reports []report

	running *Supervisor
	stop    context.CancelFunc
	ended   chan error
}

// newTask makes a task that nothing works on yet.
func newTask(t testing.TB, engine *fakeEngine, j *job.Job) *task {
	if j.ID.Hash == "" {
		j.ID = job.ID{Name: "foo", Version: "1", Hash: strings.Repeat("0123456789", 4)}
	}
	if j.Image == nil {
		j.Image = new("img:1")
	}
	k := &task{t: t, engine: engine}
	k.opts = Options{
		Engine: engine, Job: j, Host: "host1", Agent: "agent1",
		Report: func(s job.TaskStatus) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.reports = append(k.reports, report{s, time.Now()})
		},
	}
	return k
}

// begin makes the supervisor of an execution.
func (k *task) begin(goal job.Goal) {
	k.t.Helper()
	opts := k.opts
	opts.Goal = goal
	if seen := k.seen(); len(seen) > 0 {
		opts.Last = &seen[len(seen)-1].TaskStatus
	}
	s, err := New(opts)
	if err != nil {
		k.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	k.running, k.stop, k.ended = s, cancel, make(chan error, 1)
	ended := k.ended
	go func() { ended <- s.Run(ctx) }()
}

// goal does what a pass of the reconcile loop does with a new goal.
func (k *task) goal(goal job.Goal) {
	k.t.Helper()
	k.release()
	switch {
	case k.running != nil:
		k.running.SetGoal(goal)
	case goal == job.Start:
		k.begin(goal)
	}
}

// release drops a supervisor that is done.
func (k *task) release() bool {
	if k.running == nil {
		return true
	}
	select {
	case err := <-k.ended:
		if err != nil {
			k.t.Errorf("Run: %v", err)
		}
		k.stop()
		k.running = nil
		return true
	default:
		return false
	}
}

// shutdown ends the agent.
func (k *task) shutdown() {
	if k.running == nil {
		return
	}
	k.stop()
	if err := <-k.ended; err != nil && !errors.Is(err, context.Canceled) {
		k.t.Errorf("Run: %v", err)
	}
	k.running = nil
}

func (k *task) seen() []report {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.reports)
}

// states returns the states reported since the first n.
func (k *task) states(n int) string {
	var states []string
	for _, r := range k.seen()[n:] {
		states = append(states, string(r.State))
	}
	return strings.Join(states, " ")
}

// after lets virtual time pass and everything come to rest.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
