package roles_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// The fault suite: for each promise, something breaks below a cluster of processes whose containers run, and is whole
// again. From before the fault until the end Docker itself tells what becomes of the containers. With FAULTS=1 all
// promises are put to the test (make e2e FAULTS=1), otherwise some of them.

// promise is a sentence that holds whatever fails, and how it is put to the test.
type promise struct {
	says  string
	limit time.Duration // from the end of the fault to the wished state; see promises
	brief bool          // put to the test without FAULTS=1, too
	test  func(tr *trial)
}

// promises puts promises to the test, side by side. The whole suite has a machine to itself; where it is a part of all
// tests, their load is none of the faults, and each limit is a minute longer.
func promises(t *testing.T, list []promise) {
	group := t.Name()
	t.Parallel()
	for i, p := range list {
		if os.Getenv("FAULTS") != "1" {
			if !p.brief {
				continue
			}
			p.limit += time.Minute
		}
		t.Run(p.says, func(t *testing.T) {
			t.Parallel()
			tr := &trial{TB: t, promise: p, group: group, place: i}
			t.Cleanup(func() { kept.add(tr) }) // after all clean-ups that might fail the test
			p.test(tr)
			tr.judge()
		})
	}
}

// trial is one test of a promise.
type trial struct {
	testing.TB
	promise
	group   string // name of the test that it belongs to
	place   int    // therein
	watches map[*dockertest.Daemon]*dockertest.Watch
	watched []*charge
	byHand  []string // containers that the fault itself made

	over          time.Time     // end of the fault
	took          time.Duration // from there to the wished state
	lost, doubled int
}

// charge is a task whose container nothing may touch, but for a fault that says so.
type charge struct {
	docker *dockertest.Daemon
	id     job.ID
	before lifetime
	hurt   int // how many times the fault itself ends the container: each time another one takes its place
}

// watch begins to watch the tasks, each of which runs in one container.
func (tr *trial) watch(docker *dockertest.Daemon, ids ...job.ID) {
	tr.Helper()
	if tr.watches[docker] == nil {
		if tr.watches == nil {
			tr.watches = make(map[*dockertest.Daemon]*dockertest.Watch)
		}
		tr.watches[docker] = docker.Watch()
	}
	for _, id := range ids {
		if err := runsOnly(docker, id, ""); err != nil {
			tr.Fatal(err)
		}
		w := &charge{docker: docker, id: id}
		if err := json.Unmarshal(docker.Inspect(running(docker, id)[0].ID), &w.before); err != nil {
			tr.Fatal(err)
		}
		tr.watched = append(tr.watched, w)
		tr.Logf("before: %s on %s: %s", id, docker.Host, w.before.ID)
	}
}

// hurt says that the fault itself ends the containers of these watched tasks, once, or of all tasks on the host if none
// is named.
func (tr *trial) hurt(docker *dockertest.Daemon, ids ...job.ID) {
	for _, w := range tr.watched {
		if w.docker == docker && (len(ids) == 0 || slices.Contains(ids, w.id)) {
			w.hurt++
		}
	}
}

// release ends the watch over the tasks of a host, since a change is about to name them.
func (tr *trial) release(docker *dockertest.Daemon) {
	tr.Helper()
	tr.watched = slices.DeleteFunc(tr.watched, func(w *charge) bool {
		if w.docker == docker {
			tr.check(w)
		}
		return w.docker == docker
	})
}

// ends notes that the fault is over now, or, where it took a person's word, what made that necessary.
func (tr *trial) ends() { tr.over = time.Now() }

// reaches waits for the wished state, and wants it within the limit. After several faults the slowest counts.
func (tr *trial) reaches(wished func() error) {
	tr.Helper()
	storetest.Eventually(tr, tr.limit+inTime, wished)
	took := time.Since(tr.over)
	if took > tr.limit {
		tr.Errorf("the wished state is reached after %.1f s, want at most %s", took.Seconds(), tr.limit)
	}
	tr.took = max(tr.took, took)
}

// judge counts the containers that were lost or doubled. Both fail the test.
func (tr *trial) judge() {
	tr.Helper()
	for _, w := range tr.watched {
		tr.check(w)
	}
	if len(tr.watched) == 0 && !tr.Failed() {
		tr.Error("no container was watched to the end")
	}
	took := "no fault"
	if !tr.over.IsZero() {
		took = fmt.Sprintf("wished state %.1f s after the fault, limit %s", tr.took.Seconds(), tr.limit)
	}
	tr.Logf("lost %d, doubled %d, %s", tr.lost, tr.doubled, took)
}

// check judges one task.
func (tr *trial) check(w *charge) {
	tr.Helper()
	lives := lifetimes(tr, w.docker, w.id)
	for _, l := range lives {
		if l.State.Running {
			tr.Logf("after:  %s on %s: %s", w.id, w.docker.Host, l.ID)
		}
	}
	events := tr.watches[w.docker].Events()
	lives = slices.DeleteFunc(lives, func(l lifetime) bool { return slices.Contains(tr.byHand, l.ID) })
	events = slices.DeleteFunc(events, func(e dockertest.Event) bool { return slices.Contains(tr.byHand, e.Container) })
	if err := w.harmed(lives, events); err != nil {
		tr.lost++
		tr.Errorf("lost: %s on %s: %v", w.id, w.docker.Host, err)
	}
	if err := w.twice(lives, events); err != nil {
		tr.doubled++
		tr.Errorf("doubled: %s on %s: %v", w.id, w.docker.Host, err)
	}
}

// harming are the events of a container that somebody ends, stops or touches.
var harming = []string{"kill", "stop", "die", "oom", "restart", "pause", "destroy", "update"}

// harmed tells what became of the container, if it was not left alone; or, after a fault that ended it itself, that no
// other one runs, or that it was replaced more often than that.
func (w *charge) harmed(lives []lifetime, events []dockertest.Event) error {
	if w.hurt > 0 {
		if !slices.ContainsFunc(lives, func(l lifetime) bool { return l.State.Running }) {
			return errors.New("no container runs")
		}
		if n := w.replaced(lives, events); n > w.hurt {
			return fmt.Errorf("replaced %d times, and ended by the fault %d times", n, w.hurt)
		}
		return nil
	}
	for _, e := range events {
		if e.Container == w.before.ID && slices.Contains(harming, e.Action) {
			return fmt.Errorf("%s of %s at %s, signal %q, exit status %q", e.Action, e.Container, e.At.Format(time.StampMilli), e.Labels["signal"], e.Labels["exitCode"])
		}
	}
	for _, l := range lives {
		if l.ID == w.before.ID {
			if l != w.before {
				return fmt.Errorf("was %+v, is %+v", w.before, l)
			}
			return nil
		}
	}
	return fmt.Errorf("container %s is gone", w.before.ID)
}

// replaced is how many other containers were started for the task.
func (w *charge) replaced(lives []lifetime, events []dockertest.Event) int {
	others := make(map[string]bool)
	for _, l := range lives {
		others[l.ID] = true
	}
	for _, e := range events {
		if e.Action == "start" && e.Labels["helios.job"] == w.id.String() {
			others[e.Container] = true
		}
	}
	delete(others, w.before.ID)
	return len(others)
}

// twice tells whether two containers of the task ran at one time, ever.
func (w *charge) twice(lives []lifetime, events []dockertest.Event) error {
	spans := w.spans(lives, events)
	for i, a := range spans {
		for _, b := range spans[:i] {
			if a.container != b.container && a.from.Before(b.to) && b.from.Before(a.to) {
				return fmt.Errorf("%s and %s ran at one time: %+v", b.container, a.container, spans)
			}
		}
	}
	return nil
}

// span is a time during which a container ran.
type span struct {
	container string
	from, to  time.Time
}

// spans are those of all containers of the task. The events tell also of containers that are gone, and of those that ran
// more than once; where their stream was cut, Docker's memory of each container helps.
func (w *charge) spans(lives []lifetime, events []dockertest.Event) []span {
	var spans []span
	open := map[string]time.Time{w.before.ID: w.before.State.StartedAt}
	seen := map[string]bool{w.before.ID: true}
	for _, e := range events {
		switch {
		case e.Labels["helios.job"] != w.id.String():
		case e.Action == "start":
			open[e.Container], seen[e.Container] = e.At, true
		case e.Action == "die" && !open[e.Container].IsZero():
			spans = append(spans, span{e.Container, open[e.Container], e.At})
			delete(open, e.Container)
		}
	}
	for _, l := range lives {
		from := l.State.StartedAt
		if seen[l.ID] {
			from = open[l.ID]
		}
		to := l.State.FinishedAt
		if l.State.Running {
			to = time.Now()
		}
		if !from.IsZero() && from.Before(to) {
			spans = append(spans, span{l.ID, from, to})
		}
	}
	return spans
}

// shows tells whether the master shows each watched task as running, in the container that runs for it, and no other.
func (tr *trial) shows(c *cluster) error {
	var errs []error
	hosts := make(map[string]host.Status)
	for _, w := range tr.watched {
		h, known := hosts[w.docker.Host]
		if !known {
			var err error
			if h, err = c.HostStatus(tr.Context(), w.docker.Host); err != nil {
				return err
			}
			hosts[w.docker.Host] = h
			if h.Status != host.Up {
				errs = append(errs, fmt.Errorf("%s is %s", w.docker.Host, h.Status))
			}
		}
		list := running(w.docker, w.id)
		status := h.Statuses[w.id]
		switch {
		case len(list) != 1:
			errs = append(errs, fmt.Errorf("running containers of %s: %+v, want one", w.id, list))
		case status == nil || status.State != job.Running || status.ContainerID == nil || *status.ContainerID != list[0].ID:
			errs = append(errs, fmt.Errorf("%s on %s: %s, want RUNNING %s", w.id, w.docker.Host, describe(status), list[0].ID))
		case h.Jobs[w.id] == nil:
			errs = append(errs, fmt.Errorf("%s is not deployed on %s", w.id, w.docker.Host))
		}
	}
	return errors.Join(errs...)
}

// goesOn wants every watched container that no fault hurts to run on, for the whole time.
func (tr *trial) goesOn(whole time.Duration) {
	tr.Helper()
	holds(tr, whole, func() error {
		var errs []error
		for _, w := range tr.watched {
			if w.hurt > 0 {
				continue
			}
			errs = append(errs, runsOnly(w.docker, w.id, w.before.ID))
		}
		return errors.Join(errs...)
	})
}
