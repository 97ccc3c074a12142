package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/events"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor"
)

// A die event as a daemon sends it, and what it says.
const (
	dies  = `{"Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"exitCode":"137","image":"x"}},"timeNano":1767323045000000006}`
	other = `{"Type":"container","Action":%q,"Actor":{"ID":%q}}`
)

var diedAt = time.Unix(1767323045, 6)

func TestWhatEventsSayOfAnEnd(t *testing.T) {
	t.Parallel()
	event := func(action string) string { return fmt.Sprintf(other, action, "c1") }
	died := supervisor.Container{ID: "c1", ExitCode: 137, FinishedAt: diedAt}
	outOfMemory := died
	outOfMemory.OOMKilled = true
	look := supervisor.Container{}
	for _, c := range []struct {
		name   string
		events []string
		want   supervisor.Container
		silent bool // there is no word at all
	}{
		{name: "an end", events: []string{dies}, want: died},
		{name: "the end of one that is out of memory", events: []string{event("oom"), dies}, want: outOfMemory},
		{name: "out of memory alone is no end", events: []string{event("oom")}, silent: true},
		{name: "out of memory in an earlier run", events: []string{event("oom"), dies, event("start"), dies}, want: died},
		{name: "an end before a start", events: []string{dies, event("start")}, want: look},
		{name: "an end before a restart", events: []string{dies, event("restart")}, want: look},
		{name: "an end before a pause", events: []string{dies, event("pause")}, want: look},
		{name: "an end before the end of a pause", events: []string{dies, event("unpause")}, want: look},
		{name: "an end and a removal", events: []string{dies, event("destroy")}, want: look},
		{name: "a removal alone", events: []string{event("destroy")}, want: look},
		{name: "something nobody asked for", events: []string{dies, event("exec_die")}, want: look},
		{name: "two ends", events: []string{event("die"), dies}, want: died},
		{name: "an end without an exit code", events: []string{event("die")}, want: look},
		{name: "an exit code that is no number", events: []string{strings.Replace(dies, "137", "1e2", 1)}, want: look},
		{name: "an empty exit code", events: []string{strings.Replace(dies, "137", "", 1)}, want: look},
		{name: "an exit code that is too large", events: []string{strings.Replace(dies, "137", "4294967296", 1)}, want: look},
		{name: "no time", events: []string{strings.Replace(dies, "timeNano", "time", 1)}, want: look},
		{name: "a time before all times", events: []string{strings.Replace(dies, `:17`, `:-17`, 1)}, want: look},
		{name: "the end of another container", events: []string{strings.Replace(dies, "c1", "c2", 1)}, silent: true},
		{name: "the end of a container without an id", events: []string{strings.Replace(dies, "c1", "", 1)}, silent: true},
		{name: "the end of something else", events: []string{strings.Replace(dies, "container", "plugin", 1)}, silent: true},
		{name: "no event", events: []string{"{}"}, silent: true},
	} {
		e, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		w, leave := e.waiter("c1")
		for _, text := range c.events {
			var message events.Message
			if err := json.Unmarshal([]byte(text), &message); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			e.hear(message)
		}
		select {
		case got := <-w.word:
			if diff := cmp.Diff(c.want, got); c.silent || diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.name, diff)
			}
		default:
			if !c.silent {
				t.Errorf("%s: nothing is said", c.name)
			}
		}
		leave()
		if e.hear(events.Message{Type: "container", Action: "die", Actor: events.Actor{ID: "c1"}}); len(e.waiters) > 0 {
			t.Errorf("%s: kept %v though nobody waits", c.name, e.waiters)
		}
	}
}

// scripted is a daemon with one container, c1, which the job of ref owns.
type scripted struct {
	mu      sync.Mutex
	running bool
	looked  int
	locked  bool // looks at the container are not answered
	killed  bool // a kill ends it
	asked   []string

	events chan string   // what it tells; an empty text ends the subscription
	gone   chan struct{} // closed at the end of the test
}

// newScripted returns the daemon and an engine that hears what it tells.
func newScripted(t *testing.T) (*scripted, *Engine) {
	t.Helper()
	d := &scripted{running: true, events: make(chan string), gone: make(chan struct{})}
	e := serve(t, d.answer)
	e.opts.Poll = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		close(d.gone)
		cancel()
		<-ended
	})
	d.heard(t, e)
	return d, e
}

// heard waits until the engine has heard all that the daemon has told, of whatever subscription.
func (d *scripted) heard(t *testing.T, e *Engine) {
	t.Helper()
	w, leave := e.waiter("c0")
	defer leave()
	d.events <- strings.Replace(dies, "c1", "c0", 1)
	for limit := time.After(time.Minute); ; {
		select {
		case word := <-w.word:
			if word.ID != "" {
				return
			}
		case <-limit:
			t.Fatal("nothing is heard")
		}
	}
}

func (d *scripted) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/events") {
		w.(http.Flusher).Flush()
		for {
			select {
			case text := <-d.events:
				if text == "" {
					return
				}
				fmt.Fprintln(w, text)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			case <-d.gone:
				return
			}
		}
	}
	d.mu.Lock()
	locked := d.locked
	d.mu.Unlock()
	if locked && strings.HasSuffix(r.URL.Path, "/c1/json") {
		select {
		case <-r.Context().Done():
		case <-d.gone:
		}
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if path == "" {
		return // a ping
	}
	d.asked = append(d.asked, path)
	switch path {
	case "containers/json":
		fmt.Fprint(w, "[]")
	case "containers/c1/json":
		d.looked++
		fmt.Fprintf(w, `{"Id":"c1","State":{"Status":"x","Running":%v,"ExitCode":9,"FinishedAt":"2026-01-02T03:04:05Z"}}`, d.running)
	case "containers/c1/kill":
		d.running = d.running && !d.killed
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (d *scripted) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// soon waits until something is so.
func (d *scripted) soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	storetest.Eventually(t, time.Minute, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !so() {
			return fmt.Errorf("not %s; asked for %q", what, d.asked)
		}
		return nil
	})
}

// wait begins to wait for c1 and returns when the engine listens for its end; the channel has what it is told.
func (d *scripted) wait(t *testing.T, e *Engine) <-chan supervisor.Container {
	t.Helper()
	before := 0
	d.set(func() { before = d.looked })
	told := make(chan supervisor.Container, 1)
	go func() {
		c, err := e.Wait(t.Context(), "c1")
		if err != nil {
			t.Errorf("wait: %v", err)
		}
		told <- c
	}()
	d.soon(t, "looked at", func() bool { return d.looked > before })
	return told
}

func TestAnEndIsKnownThoughNoLookIsAnswered(t *testing.T) {
	t.Parallel()
	d, e := newScripted(t)
	told := d.wait(t, e)
	d.set(func() { d.running, d.locked = false, true })
	d.events <- fmt.Sprintf(other, "oom", "c1")
	d.events <- dies
	want := supervisor.Container{ID: "c1", ExitCode: 137, OOMKilled: true, FinishedAt: diedAt}
	if diff := cmp.Diff(want, <-told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The word is not believed again.
	d.set(func() { d.running, d.locked = true, false })
	told = d.wait(t, e)
	d.set(func() { d.running = false })
	d.events <- fmt.Sprintf(other, "start", "c1")
	if got := <-told; got.ExitCode != 9 {
		t.Errorf("the second time: %+v", got)
	}
}

func TestAWordDoesNotOutliveItsSubscription(t *testing.T) {
	t.Parallel()
	e, err := New(Options{Endpoint: "unix:///nonexistent.sock"})
	if err != nil {
		t.Fatal(err)
	}
	w, leave := e.waiter("c1")
	defer leave()
	for _, action := range []events.Action{"oom", "die"} {
		e.hear(events.Message{
			Type: "container", Action: action, TimeNano: 1, Actor: events.Actor{ID: "c1", Attributes: map[string]string{"exitCode": "1"}},
		})
	}
	e.lookAll()
	if got := <-w.word; got.ID != "" || w.oom {
		t.Errorf("%+v, out of memory %v", got, w.oom)
	}

	d, e := newScripted(t)
	told := d.wait(t, e)
	d.events <- fmt.Sprintf(other, "oom", "c1")
	d.events <- "" // the subscription ends, and another one begins
	d.events <- dies
	if got := <-told; got.ID != "c1" || got.ExitCode != 137 || got.OOMKilled {
		t.Errorf("%+v", got)
	}
}

// TestEventsThatLieEndNothingAndMakeNothing has a daemon say again and again that a container has died that runs.
func TestEventsThatLieEndNothingAndMakeNothing(t *testing.T) {
	t.Parallel()
	d, e := newScripted(t)
	var mu sync.Mutex
	var states []string
	reports := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(states, " ")
	}
	s, err := supervisor.New(supervisor.Options{
		Engine: e, Goal: job.Start, Host: "h", Agent: "a",
		Job:  &job.Job{ID: job.ID{Name: "a", Version: "1", Hash: strings.Repeat("0123456789", 4)}, Image: new("x")},
		Last: &job.TaskStatus{State: job.Running, ContainerID: new("c1")},
		Report: func(s job.TaskStatus) {
			mu.Lock()
			defer mu.Unlock()
			states = append(states, string(s.State))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	want := "RUNNING"
	for range 3 {
		d.soon(t, "waited for", func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return len(e.waiters["c1"]) == 1
		})
		d.events <- dies
		want += " EXITED RUNNING"
		d.soon(t, "running again", func() bool { return reports() == want })
	}
	d.set(func() {
		for _, path := range d.asked {
			if !strings.HasSuffix(path, "json") {
				t.Errorf("asked for %s", path)
			}
		}
	})

	// A stop that the daemon says was done, of a container that runs, is not done.
	s.SetGoal(job.Undeploy)
	d.soon(t, "killed", func() bool { return slices.Contains(d.asked, "containers/c1/kill") })
	d.events <- dies
	select {
	case err := <-ended:
		t.Fatalf("done: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	d.set(func() { d.killed = true })
	if err := <-ended; err != nil || reports() != want+" STOPPING STOPPED" {
		t.Errorf("%v, reports %s", err, reports())
	}
	d.set(func() {
		if slices.ContainsFunc(d.asked, func(path string) bool { return strings.Contains(path, "create") || strings.Contains(path, "start") }) {
			t.Errorf("asked for %q", d.asked)
		}
	})
}
