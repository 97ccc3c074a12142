package supervisor

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/helios-go/helios/store/job"
)

func TestDecide(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	none := Seen{Known: true}
	lies := Seen{Known: true, Container: Container{ID: "c1", ExitCode: 1}}
	runs := Seen{Known: true, Container: Container{ID: "c1", Running: true}}
	made := Seen{Known: true, Container: Container{ID: "c1", Unstarted: true}}
	flapping := Restarts{since: now, live: true}
	for range flappingRuns {
		flapping.runs = append(flapping.runs, time.Second)
	}
	for _, c := range []struct {
		name   string
		want   job.Goal
		checks bool
		seen   Seen
		past   History
		step   Step
		pause  time.Duration
	}{
		{name: "a task that never ran is launched", want: job.Start, seen: none, step: Launch},
		{name: "a stopped container is not started again", want: job.Start, seen: lies, step: Launch},
		{name: "a running container is adopted", want: job.Start, seen: runs, step: Watch},
		{name: "a running container of a flapping task is looked at again when it may be steady", want: job.Start, seen: runs, past: History{Live: "c1", Restarts: flapping}, step: Watch, pause: 50 * time.Second},
		{name: "a container that an earlier agent made is started", want: job.Start, seen: made, step: Resume},
		{name: "a container with a health check is checked", want: job.Start, checks: true, seen: runs, step: Check},
		{name: "an unhealthy one is checked again after the pause", want: job.Start, checks: true, seen: runs, past: History{Live: "c1", NotBefore: now.Add(time.Second)}, step: Check, pause: time.Second},
		{name: "a checked one is watched", want: job.Start, checks: true, seen: runs, past: History{Checked: "c1"}, step: Watch},
		{name: "the check of one container is not that of another", want: job.Start, checks: true, seen: runs, past: History{Checked: "c0"}, step: Check},
		{name: "the end of the container is noted", want: job.Start, seen: lies, past: History{Live: "c1"}, step: End},
		{name: "a container that is gone is noted", want: job.Start, seen: none, past: History{Live: "c1"}, step: End},
		{name: "the restart delay is kept", want: job.Start, seen: lies, past: History{NotBefore: now.Add(time.Second)}, step: Rest, pause: time.Second},
		{name: "the restart delay is over", want: job.Start, seen: lies, past: History{NotBefore: now}, step: Launch},
		{name: "silence of the engine is no container, and no lack of one", want: job.Start, seen: Seen{}, past: History{Live: "c1", Retry: 2 * time.Second}, step: Lost, pause: 2 * time.Second},
		{name: "silence of the engine does not end a stop", want: job.Stop, seen: Seen{}, past: History{Stopping: true, Retry: 2 * time.Second}, step: Lost, pause: 2 * time.Second},
		{name: "a running container is stopped", want: job.Stop, seen: runs, past: History{Live: "c1"}, step: Stop},
		{name: "a running container is stopped for undeploy", want: job.Undeploy, seen: runs, step: Stop},
		{name: "one that outlives being stopped is killed", want: job.Stop, seen: runs, past: History{Stopping: true, Stopped: "c1"}, step: Kill},
		{name: "a second one that runs is stopped in its turn", want: job.Stop, seen: runs, past: History{Stopping: true, Stopped: "c0"}, step: Stop},
		{name: "the grace period is kept", want: job.Stop, seen: runs, past: History{Stopping: true, Grace: now.Add(time.Second)}, step: Rest, pause: time.Second},
		{name: "the grace period is over", want: job.Stop, seen: runs, past: History{Stopping: true, Grace: now}, step: Stop},
		{name: "kills have pauses between them", want: job.Stop, seen: runs, past: History{Stopping: true, Stopped: "c1", NotBefore: now.Add(time.Second)}, step: Rest, pause: time.Second},
		{name: "a stop is complete when nothing runs", want: job.Stop, seen: lies, past: History{Live: "c1", Stopping: true}, step: Done},
		{name: "a restart delay does not delay a stop", want: job.Undeploy, seen: lies, past: History{NotBefore: now.Add(time.Hour)}, step: Done},
		{name: "a stop that has begun is completed though the goal is START again", want: job.Start, seen: runs, past: History{Stopping: true}, step: Stop},
		{name: "and then it is done", want: job.Start, seen: lies, past: History{Stopping: true}, step: Done},
		{name: "a goal that is none changes nothing", want: "ELSE", seen: runs, step: Rest, pause: forever},
		{name: "no goal changes nothing", want: "", seen: none, step: Rest, pause: forever},
	} {
		step, pause := decide(now, c.want, c.checks, c.seen, c.past)
		if step != c.step || pause != c.pause {
			t.Errorf("%s: %s %s, want %s %s", c.name, step, pause, c.step, c.pause)
		}
	}
	if got := Step(99).String(); got != "unknown step" {
		t.Errorf("step 99 is %q", got)
	}
}

func TestDecideAnswersAnything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom([]string{"", "c1", "c2"})
		moment := rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "moment"), 0) })
		seen := Seen{Known: rapid.Bool().Draw(t, "known"), Container: Container{
			ID: id.Draw(t, "id"), Running: rapid.Bool().Draw(t, "running"), Unstarted: rapid.Bool().Draw(t, "unstarted"),
		}}
		past := History{
			Live: id.Draw(t, "live"), Checked: id.Draw(t, "checked"), NotBefore: moment.Draw(t, "not before"), Grace: moment.Draw(t, "grace"),
			Stopping: rapid.Bool().Draw(t, "stopping"), Stopped: id.Draw(t, "stopped"),
			Retry: time.Duration(rapid.Int64().Draw(t, "retry")),
		}
		for range rapid.IntRange(0, 15).Draw(t, "runs") {
			past.Restarts.Started(moment.Draw(t, "started"))
			past.Restarts.Exited(moment.Draw(t, "exited"))
		}
		want := job.Goal(rapid.SampledFrom([]string{"START", "STOP", "UNDEPLOY", "", "X"}).Draw(t, "goal"))
		step, pause := decide(moment.Draw(t, "now"), want, rapid.Bool().Draw(t, "checks"), seen, past)
		stops := step == Stop || step == Kill
		switch {
		case pause < 0:
			t.Fatalf("%s: pause %s", step, pause)
		case step == Rest && pause == 0:
			t.Fatal("rests for no time")
		case !seen.Known && step != Lost:
			t.Fatalf("%s though nothing is known", step)
		case stops && want == job.Start && !past.Stopping:
			t.Fatalf("%s with goal START", step)
		case (stops || step == Launch) && want != job.Start && want != job.Stop && want != job.Undeploy && !past.Stopping:
			t.Fatalf("%s with goal %q", step, want)
		case step == Launch && seen.Running:
			t.Fatal("a second container is launched")
		}
	})
}

func TestRestartDelays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	feed := func(events ...any) Restarts {
		var r Restarts
		for _, event := range events {
			switch event := event.(type) {
			case time.Duration: // a run of that length
				r.Started(now)
				r.Exited(now.Add(event))
			case error:
				r.Failed(event)
			case string:
				r.Created()
			}
		}
		return r
	}
	ten := func(d time.Duration) []any {
		runs := make([]any, 10)
		for i := range runs {
			runs[i] = d
		}
		return runs
	}
	for _, c := range []struct {
		name     string
		past     Restarts
		throttle job.Throttle
		delay    time.Duration
	}{
		{"nothing happened yet", feed(), job.NotThrottled, time.Second},
		{"nine exits at once", feed(ten(0)[:9]...), job.NotThrottled, time.Second},
		{"ten exits at once", feed(ten(0)...), job.Flapping, 30 * time.Second},
		{"ten exits in just less than a minute", feed(ten(5999 * time.Millisecond)...), job.Flapping, 30 * time.Second},
		{"ten exits in a minute", feed(ten(6 * time.Second)...), job.NotThrottled, time.Second},
		{"only the newest ten count", feed(append([]any{time.Hour}, ten(0)...)...), job.Flapping, 30 * time.Second},
		{"runs of months do not overflow", feed(ten(200 * 24 * time.Hour)...), job.NotThrottled, time.Second},
		{"runs of centuries do not overflow", feed(ten(1 << 62)...), job.NotThrottled, time.Second},
		{"a clock that goes back", feed(ten(-time.Hour)...), job.Flapping, 30 * time.Second},
		{"an image that is missing", feed(fmt.Errorf("pull x: %w", ErrImageMissing)), job.ImageMissing, 2 * time.Minute},
		{"an image that cannot be pulled", feed(ErrPullFailed), job.ImagePullFailed, 30 * time.Second},
		{"an image problem goes before flapping", feed(append(ten(0), ErrImageMissing)...), job.ImageMissing, 2 * time.Minute},
		{"and is over when a container was made", feed(append(ten(0), ErrImageMissing, "created")...), job.Flapping, 30 * time.Second},
		{"another failure changes nothing", feed(errors.New("port is taken")), job.NotThrottled, time.Second},
		{"another failure leaves an image problem", feed(ErrPullFailed, errors.New("x")), job.ImagePullFailed, 30 * time.Second},
		{"an engine that is away changes nothing", feed(ErrUnavailable), job.NotThrottled, time.Second},
	} {
		got := c.past.Verdict(now)
		if got.Throttle != c.throttle || got.Delay != c.delay || got.Reason == "" || got.Recheck != 0 {
			t.Errorf("%s: %+v, want %s %s", c.name, got, c.throttle, c.delay)
		}
	}
}

// TestFlapping holds F1 to F4 of testdata/spec/4-agent.md §13, for two exits in a second: eight runs of no length come
// first, and each millisecond lasts 60.
func TestFlapping(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * 60 * time.Millisecond) }
	fresh := func() *Restarts {
		r := &Restarts{}
		for range 8 {
			r.Started(at(0))
			r.Exited(at(0))
		}
		return r
	}
	flapping := func(r *Restarts, ms int) bool { return r.Verdict(at(ms)).Throttle == job.Flapping }
	run := func(r *Restarts, from, to int) bool {
		r.Started(at(from))
		r.Exited(at(to))
		return flapping(r, to)
	}
	r := fresh()
	if run(r, 0, 0) {
		t.Error("F1: flapping after one exit")
	}
	for i := range 3 {
		if !run(r, 0, 0) {
			t.Errorf("F2: not flapping after exit %d", i+2)
		}
	}
	r.Started(at(0))
	if v := r.Verdict(at(400)); v.Throttle != job.Flapping || v.Recheck != 36*time.Second {
		t.Errorf("F3: after 400 of 1000: %+v, want to look again after 600", v)
	}
	if flapping(r, 2000) {
		t.Error("F3: flapping while it runs")
	}
	r = fresh()
	for _, step := range []struct {
		from, to int
		want     bool
	}{{0, 1, false}, {1, 2, true}, {2, 8, true}, {8, 1034, false}} {
		if got := run(r, step.from, step.to); got != step.want {
			t.Errorf("F4: run from %d to %d: flapping %v", step.from, step.to, got)
		}
	}
}

func TestTheRestartDelayCountsFromTheEndOfARun(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := began.Add(10 * time.Second)
	for _, c := range []struct {
		name     string
		finished time.Time
		want     time.Duration
	}{
		{"that was a moment ago", now.Add(-40 * time.Millisecond), 960 * time.Millisecond},
		{"that was longer ago than the delay", now.Add(-9 * time.Second), -8 * time.Second},
		{"of which nothing is known", time.Time{}, time.Second},
		{"that is yet to come", now.Add(time.Hour), time.Second},
		{"that was before its beginning", began.Add(-time.Hour), -9 * time.Second},
	} {
		var r Restarts
		r.Started(began)
		for range 2 { // the same when it is asked again
			if got := r.Next(c.finished, now).Sub(now); got != c.want {
				t.Errorf("an end %s: next run in %s, want %s", c.name, got, c.want)
			}
			r.Exited(now)
		}
	}
	if got := new(Restarts).Next(began, now).Sub(now); got != time.Second {
		t.Errorf("a run that never began: next one in %s", got)
	}
}

func TestBackoffGrowsToItsCap(t *testing.T) {
	t.Parallel()
	for range 100 {
		var b Backoff
		low, high := time.Second, time.Second
		for i := range 12 {
			got := b.Next()
			if got < low || got > high {
				t.Fatalf("wait %d is %s, want %s to %s", i, got, low, high)
			}
			low, high = min(got*3/2, 30*time.Second), min(got*5/2, 30*time.Second)
		}
		if b.Next() != 30*time.Second {
			t.Fatal("the cap is not reached")
		}
		b.Reset()
		if b.Next() != time.Second {
			t.Fatal("not begun anew")
		}
	}
	b := Backoff{Min: time.Minute, Max: time.Second}
	if got := b.Next(); got != time.Minute {
		t.Errorf("a cap below the first wait: %s", got)
	}
}
