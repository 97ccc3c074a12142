package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/job"
)

// in runs a test of one task in virtual time, and ends the task's supervisor after it.
func in(t *testing.T, test func(*testing.T, *fakeEngine, *task)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(t)
		k := newTask(t, e, &job.Job{})
		test(t, e, k)
		k.shutdown()
		for _, id := range e.running() {
			e.end(id, 0, "") // stops its timer
		}
	})
}

func (k *task) last() report {
	seen := k.seen()
	return seen[len(seen)-1]
}

func TestWhatIsRequired(t *testing.T) {
	t.Parallel()
	good := newTask(t, newFakeEngine(t), &job.Job{}).opts
	for name, spoil := range map[string]func(*Options){
		"no engine": func(o *Options) { o.Engine = nil },
		"no job":    func(o *Options) { o.Job = nil },
		"no report": func(o *Options) { o.Report = nil },
		"no host":   func(o *Options) { o.Host = "" },
		"no agent":  func(o *Options) { o.Agent = "" },
		"no id":     func(o *Options) { o.Job = &job.Job{} },
	} {
		opts := good
		spoil(&opts)
		if _, err := New(opts); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestStartAndStop holds S1 and S2.
func TestStartAndStop(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int32]string{-1: "stop id001 120", 30: "stop id001 30", 0: "stop id001 0"} {
		in(t, func(t *testing.T, e *fakeEngine, k *task) {
			if seconds >= 0 {
				k.opts.Job.SecondsToWaitBeforeKill = &seconds
			}
			k.opts.Env = map[string]string{"A": "b"}
			k.opts.Job.Ports = map[string]job.PortMapping{"p": {IP: new("127.0.0.1"), InternalPort: 80, Protocol: "tcp"}, "q": static(53, "udp")}
			k.opts.Ports = map[string]int{"p": 20001, "q": 53}
			k.begin(job.Start)
			after(time.Second)
			k.goal(job.Stop)
			after(time.Second)
			if got := e.called("stop"); !slices.Equal(got, []string{want}) {
				t.Errorf("%v, want %s", got, want)
			}
			status := k.last()
			wantPorts := map[string]job.PortMapping{"p": {IP: new("127.0.0.1"), InternalPort: 80, ExternalPort: new(int32(20001)), Protocol: "tcp"}, "q": static(53, "udp")}
			if diff := cmp.Diff(wantPorts, status.Ports); diff != "" {
				t.Error(diff)
			}
			wantEnv := map[string]string{"A": "b", "HELIOS_PORT_p": "host1:20001", "HELIOS_PORT_q": "host1:53"}
			if diff := cmp.Diff(wantEnv, status.Env); diff != "" {
				t.Error(diff)
			}
			if *status.ExitCode != 143 || *status.OOMKilled || *status.FinishedAt != status.at.UnixMilli() {
				t.Errorf("ended with %d at %d", *status.ExitCode, *status.FinishedAt)
			}
			if status.Job.ID != k.opts.Job.ID {
				t.Errorf("job %s", status.Job.ID)
			}
		})
	}
}

func TestAContainerThatIsAdoptedKeepsItsPorts(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.opts.Job.Ports = map[string]job.PortMapping{"p": {InternalPort: 80, Protocol: "tcp"}}
		k.opts.Job.HealthCheck = &job.HealthCheck{Type: job.CheckTCP, Port: new("p")}
		k.opts.Ports = map[string]int{"p": 20001}
		labels := Ref{Job: k.opts.Job.ID, Host: "host1", Agents: []string{"agent1"}}.Labels()
		e.containers["old"] = &fakeContainer{Container: Container{
			ID: "old", Labels: labels, Running: true, Ports: []PublishedPort{{"tcp", 80, 30000}},
		}}
		var told []map[string]int
		k.opts.Rebound = func(ports map[string]int) { told = append(told, ports) }
		var probed, announced int32
		k.opts.Probe = func(_ context.Context, s job.TaskStatus, _ Container) error {
			probed = *s.Ports["p"].ExternalPort
			return nil
		}
		k.opts.Announce = func(_ context.Context, s job.TaskStatus) (Announcement, error) {
			announced = *s.Ports["p"].ExternalPort
			return Announcement{Withdraw: func() {}}, nil
		}
		k.begin(job.Start)
		after(time.Second)
		e.end("old", 0, "")
		after(5 * time.Second)
		if probed != 30000 || announced != 30000 {
			t.Errorf("probed at %d, announced at %d", probed, announced)
		}
		for _, r := range k.seen() {
			if *r.Ports["p"].ExternalPort != 30000 || r.Env["HELIOS_PORT_p"] != "host1:30000" {
				t.Errorf("%s at %d, environment %v", r.State, *r.Ports["p"].ExternalPort, r.Env)
			}
		}
		if diff := cmp.Diff([]map[string]int{{"p": 30000}}, told); diff != "" {
			t.Error(diff)
		}
		if next := e.containers["id001"]; next == nil || !next.Running || !slices.Equal(next.Ports, e.containers["old"].Ports) {
			t.Errorf("the next container: %+v", next)
		}
	})
}

func TestRunsFollowOneAnotherAfterASecond(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.runsFor, e.exitCode = 20*time.Second, 3
		k.begin(job.Start)
		after(50 * time.Second)
		seen := k.seen()
		for i, r := range seen {
			switch {
			case r.State == job.Exited && *r.ExitCode != 3:
				t.Errorf("exit code %d", *r.ExitCode)
			case r.State == job.PullingImage && i > 0 && r.at.Sub(seen[i-1].at) != time.Second:
				t.Errorf("restart after %s", r.at.Sub(seen[i-1].at))
			case r.State == job.Starting && r.ExitCode != nil:
				t.Error("a new container has the old one's exit code")
			}
		}
		if got := e.called("create"); len(got) != 3 {
			t.Errorf("%d containers", len(got))
		}
	})
}

// TestFlappingEndsWhileTheTaskRuns: ten runs of 100 ms, then one that lasts.
func TestFlappingEndsWhileTheTaskRuns(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.runsFor = 100 * time.Millisecond
		k.begin(job.Start)
		after(15 * time.Second) // ten runs
		e.set(func(b *behaviour) { b.runsFor = 0 })
		n := len(k.seen())
		after(30 * time.Second)
		if got := k.last(); got.State != job.Running || got.Throttled != job.Flapping {
			t.Fatalf("%s %s", got.State, got.Throttled)
		}
		began := k.last().at
		after(2 * time.Minute)
		if got := k.states(n); got != "PULLING_IMAGE CREATING STARTING RUNNING RUNNING" {
			t.Errorf("reports %s", got)
		}
		if got := k.last(); got.Throttled != job.NotThrottled || got.at.Sub(began) != 59*time.Second {
			t.Errorf("%s after %s, want NO after 59 s, the ten runs before having lasted one", got.Throttled, got.at.Sub(began))
		}
	})
}

func TestFailuresAreExplainedUntilTheTaskRuns(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.startErr = errors.New("port is already allocated")
		k.begin(job.Start)
		after(100 * time.Millisecond)
		if got := k.last(); got.State != job.Failed || got.ContainerError != "start container: port is already allocated" {
			t.Errorf("%s: %s", got.State, got.ContainerError)
		}
		e.set(func(b *behaviour) { b.startErr = nil })
		after(time.Second)
		if got := k.last(); got.State != job.Running || got.ContainerError != "" {
			t.Errorf("%s: %s", got.State, got.ContainerError)
		}
	})
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.opts.Job.Image = nil
		k.begin(job.Start)
		after(0)
		if got := k.last(); got.State != job.Failed || got.ContainerError != "the job has no image" {
			t.Errorf("%s: %s", got.State, got.ContainerError)
		}
	})
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.opts.Agent = "a b"
		k.begin(job.Start)
		after(0)
		if got := k.last(); k.states(0) != "PULLING_IMAGE CREATING FAILED" || !strings.HasPrefix(got.ContainerError, "Invalid container name") {
			t.Errorf("%s: %s", k.states(0), got.ContainerError)
		}
	})
}

func TestImageProblemsDelayTheNextRun(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]time.Duration{ErrImageMissing: 2 * time.Minute, ErrPullFailed: 30 * time.Second, ErrUnavailable: time.Second} {
		in(t, func(t *testing.T, e *fakeEngine, k *task) {
			e.pullErr = err
			k.begin(job.Start)
			after(want + want/2)
			seen := k.seen()
			if len(seen) < 4 || seen[2].State != job.PullingImage || seen[2].at.Sub(seen[1].at) != want {
				t.Errorf("%v: %s", err, k.states(0))
			}
		})
	}
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.createErr = fmt.Errorf("%w: No such image", ErrImageMissing)
		k.begin(job.Start)
		after(time.Second)
		if got := k.last(); got.Throttled != job.ImageMissing || k.states(0) != "PULLING_IMAGE CREATING FAILED" {
			t.Errorf("create answers 404: %s, %s", k.states(0), got.Throttled)
		}
	})
}

func TestANewGoalCutsShort(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set    func(*fakeEngine, *task)
		states string
	}{
		"a pull": {func(e *fakeEngine, _ *task) { e.pullTakes = time.Hour }, "PULLING_IMAGE STOPPING STOPPED"},
		"a restart delay": {
			func(e *fakeEngine, _ *task) { e.pullErr = ErrImageMissing },
			"PULLING_IMAGE FAILED STOPPING STOPPED",
		},
		"a health check": {func(_ *fakeEngine, k *task) {
			k.opts.Job.HealthCheck = &job.HealthCheck{}
			k.opts.Probe = func(ctx context.Context, _ job.TaskStatus, _ Container) error { <-ctx.Done(); return ctx.Err() }
		}, "PULLING_IMAGE CREATING STARTING HEALTHCHECKING STOPPING STOPPED"},
		"a pause between health checks": {func(_ *fakeEngine, k *task) {
			k.opts.Job.HealthCheck = &job.HealthCheck{}
		}, "PULLING_IMAGE CREATING STARTING HEALTHCHECKING STOPPING STOPPED"},
		"a start, once it is done": {
			func(e *fakeEngine, _ *task) { e.startTakes = 6 * time.Second },
			"PULLING_IMAGE CREATING STARTING RUNNING STOPPING STOPPED",
		},
	} {
		in(t, func(t *testing.T, e *fakeEngine, k *task) {
			c.set(e, k)
			k.begin(job.Start)
			after(5 * time.Second)
			k.goal(job.Undeploy)
			after(1100 * time.Millisecond)
			if !k.release() || k.states(0) != c.states || len(e.running()) > 0 {
				t.Errorf("%s: %s, running %v", name, k.states(0), e.running())
			}
			for _, r := range k.seen() {
				if (r.Goal == job.Undeploy) != (r.State == job.Stopping || r.State == job.Stopped) {
					t.Errorf("%s: %s with goal %s", name, r.State, r.Goal)
				}
			}
		})
	}
}

func TestAStopIsCompletedBeforeTheTaskStartsAgain(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.ignoresTerm = true
		k.opts.Job.SecondsToWaitBeforeKill = new(int32(10))
		k.begin(job.Start)
		after(time.Second)
		k.goal(job.Stop)
		after(time.Second)
		k.goal(job.Start)
		after(20 * time.Second)
		if got := k.states(4); got != "STOPPING STOPPED PULLING_IMAGE CREATING STARTING RUNNING" {
			t.Errorf("reports %s", got)
		}
		if got := k.seen()[5]; got.Goal != job.Stop {
			t.Errorf("STOPPED with goal %s", got.Goal)
		}
		if got := e.running(); !slices.Equal(got, []string{"id002"}) {
			t.Errorf("running %v", got)
		}
	})
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.ignoresTerm = true
		k.opts.Job.SecondsToWaitBeforeKill = new(int32(10))
		k.begin(job.Start)
		after(time.Second)
		k.goal(job.Stop)
		after(time.Second)
		k.goal(job.Undeploy)
		after(20 * time.Second)
		if got := k.states(4); !k.release() || got != "STOPPING STOPPED" || k.last().Goal != job.Undeploy {
			t.Errorf("reports %s, goal %s", got, k.last().Goal)
		}
	})
}

// TestWhatOutlivesBeingStoppedIsKilled holds the end of S4.
func TestWhatOutlivesBeingStoppedIsKilled(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.begin(job.Start)
		after(time.Second)
		e.set(func(b *behaviour) { b.unkillable = true })
		k.goal(job.Stop)
		after(time.Minute)
		if kills := e.called("kill"); len(kills) < 4 || len(kills) > 8 || k.release() {
			t.Errorf("%d kills in a minute, done: %v", len(kills), k.running == nil)
		}
		if got := e.called("stop"); len(got) != 1 {
			t.Errorf("stopped %d times", len(got))
		}
		e.set(func(b *behaviour) { b.unkillable = false })
		after(time.Minute)
		if !k.release() || k.states(4) != "STOPPING STOPPED" || *k.last().ExitCode != 137 {
			t.Errorf("reports %s", k.states(4))
		}
	})
}

// TestUndeployOfWhatNeverRan holds S5.
func TestUndeployOfWhatNeverRan(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.opts.Job.GracePeriod = new(int32(5))
		k.begin(job.Undeploy)
		after(0)
		if !k.release() || k.states(0) != "STOPPING STOPPED" {
			t.Errorf("reports %s", k.states(0))
		}
	})
}

// TestDeathDuringTheHealthCheck holds R3.
func TestDeathDuringTheHealthCheck(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"container is a potato": "container is a potato", "": "container exited with 5 before it was healthy"} {
		in(t, func(t *testing.T, e *fakeEngine, k *task) {
			k.opts.Job.HealthCheck = &job.HealthCheck{}
			k.opts.Probe = func(context.Context, job.TaskStatus, Container) error { return errors.New("no") }
			e.runsFor, e.exitCode, e.errorText = 1500*time.Millisecond, 5, text
			k.begin(job.Start)
			after(2 * time.Second)
			if got := k.last(); k.states(3) != "HEALTHCHECKING EXITED FAILED" || got.ContainerError != want || *got.ExitCode != 5 {
				t.Errorf("%s: %q", k.states(3), got.ContainerError)
			}
		})
	}
}

func TestWithoutAProbeNoHealthCheckPasses(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.opts.Job.HealthCheck = &job.HealthCheck{}
		k.begin(job.Start)
		after(time.Hour)
		if got := k.states(0); got != "PULLING_IMAGE CREATING STARTING HEALTHCHECKING" {
			t.Errorf("reports %s", got)
		}
	})
}

// TestAdoptedContainersAreCheckedUnlessTheyPassed holds Q2.
func TestAdoptedContainersAreCheckedUnlessTheyPassed(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		var healthy atomic.Bool
		var probes atomic.Int32
		k.opts.Job.HealthCheck = &job.HealthCheck{}
		k.opts.Probe = func(context.Context, job.TaskStatus, Container) error {
			if probes.Add(1); healthy.Load() {
				return nil
			}
			return errors.New("no")
		}
		k.begin(job.Start)
		after(5 * time.Second)
		k.shutdown()
		n := len(k.seen())
		k.begin(job.Start)
		after(5 * time.Second)
		if got := k.states(n); got != "HEALTHCHECKING" {
			t.Errorf("adopted before it was healthy: %s", got)
		}
		healthy.Store(true)
		after(time.Minute)
		if got := k.states(n); got != "HEALTHCHECKING RUNNING" {
			t.Errorf("when it is healthy: %s", got)
		}
		k.shutdown()
		n = len(k.seen())
		probes.Store(0)
		healthy.Store(false)
		k.begin(job.Start)
		after(time.Minute)
		if got := k.states(n); got != "RUNNING" || probes.Load() > 0 {
			t.Errorf("adopted when it was healthy: %s, %d probes", got, probes.Load())
		}
		k.shutdown()
		k.mu.Lock()
		k.reports = nil // the state directory is lost
		k.mu.Unlock()
		k.begin(job.Start)
		after(time.Minute)
		if got := k.states(0); got != "HEALTHCHECKING" || len(e.called("create")) > 1 {
			t.Errorf("adopted without a status: %s", got)
		}
	})
}

func TestDockerAwayIsSaidOnceAndStopsNothing(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.begin(job.Start)
		after(time.Second)
		e.setAway(true)
		after(10 * time.Minute)
		if got := k.states(4); got != "FAILED" || !strings.Contains(k.last().ContainerError, "docker does not answer") {
			t.Errorf("reports %s: %s", got, k.last().ContainerError)
		}
		e.setAway(false)
		after(time.Minute)
		if got := k.states(4); got != "FAILED RUNNING" || k.last().ContainerError != "" || *k.last().ContainerID != "id001" {
			t.Errorf("reports %s of %s: %s", got, *k.last().ContainerID, k.last().ContainerError)
		}
		if got := append(e.called("create"), e.called("stop")...); len(got) != 1 || len(e.running()) != 1 {
			t.Errorf("calls %v, running %v", got, e.running())
		}
	})
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.setAway(true)
		k.begin(job.Start)
		after(10 * time.Minute)
		if got := k.states(0); got != "FAILED" {
			t.Errorf("away from the first: %s", got)
		}
		e.setAway(false)
		after(time.Minute)
		if got := k.states(1); got != "PULLING_IMAGE CREATING STARTING RUNNING" {
			t.Errorf("then back: %s", got)
		}
	})
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.begin(job.Start)
		after(time.Second)
		e.setAway(true)
		k.goal(job.Stop)
		after(10 * time.Minute)
		if got := k.last(); k.release() || got.State != job.Stopping {
			t.Errorf("a stop without the engine: %s", k.states(0))
		}
		e.setAway(false)
		after(time.Minute)
		if !k.release() || !strings.HasSuffix(k.states(0), "RUNNING STOPPING STOPPED") || !slices.Equal(e.called("stop"), []string{"stop id001 120"}) {
			t.Errorf("and with it: %s, %v", k.states(0), e.called("stop"))
		}
	})
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.begin(job.Start)
		after(time.Second)
		k.goal(job.Stop)
		after(time.Second)
		k.release()
		n := len(k.seen())
		e.setAway(true)
		k.begin(job.Stop)
		after(time.Minute)
		e.setAway(false)
		after(time.Minute)
		if !k.release() || len(k.seen()) > n {
			t.Errorf("stopped before, and the engine away at the start: %s", k.states(n))
		}
	})
}

func TestAHalfMadeContainerIsStartedNotDoubled(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.startTakes = 10 * time.Second
		k.begin(job.Start)
		after(5 * time.Second)
		if k.last().State != job.Starting {
			t.Fatal(k.states(0))
		}
		k.shutdown() // the request is cut off, the container lies there
		n := len(k.seen())
		e.startTakes = 0
		k.begin(job.Start)
		after(time.Second)
		if got := k.states(n); got != "STARTING RUNNING" || len(e.called("create")) > 1 || *k.last().ContainerID != "id001" {
			t.Errorf("reports %s of %s", got, *k.last().ContainerID)
		}
	})
}

func TestAContainerFoundByItsLabelsIsAdoptedAndReportedAsSuch(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.opts.Former = []string{"old"}
		labels := map[string]string{LabelHost: "host1", LabelAgent: "old", LabelJob: k.opts.Job.ID.String()}
		e.containers["other"] = &fakeContainer{Container: Container{ID: "other", Running: true, Labels: labels}}
		k.begin(job.Start)
		after(time.Second)
		if got := k.states(0); got != "RUNNING" || *k.last().ContainerID != "other" {
			t.Errorf("reports %s", got)
		}
		e.end("other", 1, "")
		after(5 * time.Second)
		if got := k.states(1); got != "EXITED PULLING_IMAGE CREATING STARTING RUNNING" {
			t.Errorf("reports %s", got)
		}
	})
}

func TestWhatIsOwned(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		mine := Container{ID: "x", Running: true, Labels: map[string]string{
			LabelHost: "host1", LabelAgent: "agent1", LabelJob: k.opts.Job.ID.String(),
		}}
		e.setAway(true)
		k.begin(job.Start)
		after(time.Second)
		if !k.running.Owns(mine) || k.running.Owns(Container{ID: "y", Running: true}) {
			t.Error("as long as nothing is known, what could be the task's must be left alone, and nothing else")
		}
		e.setAway(false)
		after(10 * time.Second)
		id := *k.last().ContainerID
		if k.running.Owns(mine) || !k.running.Owns(Container{ID: id}) {
			t.Errorf("once it is known to be %s, only that is the task's", id)
		}
	})
}

func TestAnAnswerWithoutAnIDIsNoAnswer(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.containers[""] = &fakeContainer{Container: Container{Running: true}}
		k.begin(job.Start)
		after(time.Minute)
		if got := k.states(0); got != "FAILED" {
			t.Errorf("reports %s", got)
		}
	})
}

func TestAReasonIsNoLongerThanAStatusCanHold(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		e.set(func(b *behaviour) { b.startErr = errors.New("refused: " + strings.Repeat("\u00e4", 1<<20)) })
		k.begin(job.Start)
		after(500 * time.Millisecond)
		reason := k.last().ContainerError
		if k.last().State != job.Failed || len(reason) > maxReason+len("…") || !utf8.ValidString(reason) ||
			!strings.HasPrefix(reason, "start container: refused: \u00e4") || !strings.HasSuffix(reason, "\u00e4…") {
			t.Errorf("%s with a reason of %d bytes: %.60s", k.last().State, len(reason), reason)
		}
	})
}
