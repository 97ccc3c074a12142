package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/job"
)

// event is what the recordings say of one status.
type event struct {
	State     string  `json:"state"`
	Throttled string  `json:"throttled"`
	Goal      string  `json:"goal"`
	Container *string `json:"container"`
}

func (e event) String() string {
	container := "-"
	if e.Container != nil {
		container = *e.Container
	}
	return fmt.Sprintf("%s %s %s %s", e.State, e.Throttled, e.Goal, container)
}

// recorded reads one sequence of the original, and whether its beginning was cut off.
func recorded(t *testing.T, name string) (lines []string, cut bool) {
	t.Helper()
	text, err := os.ReadFile("../testdata/golden/status-sequences.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name   string  `json:"name"`
		Events []event `json:"events"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, sequence := range all {
		if sequence.Name == name {
			first := len(sequence.Events) > 0 && (sequence.Events[0].State != "PULLING_IMAGE" || sequence.Events[0].Container != nil)
			return normalised(sequence.Events), first
		}
	}
	t.Fatalf("no recording %s", name)
	return nil, false
}

// normalised numbers the containers in order of appearance.
func normalised(events []event) []string {
	names := map[string]string{}
	lines := make([]string, 0, len(events))
	for _, e := range events {
		if e.Container != nil {
			if names[*e.Container] == "" {
				names[*e.Container] = fmt.Sprintf("c%d", len(names)+1)
			}
			e.Container = new(names[*e.Container])
		}
		lines = append(lines, e.String())
	}
	return lines
}

func (k *task) events() []event {
	var events []event
	for _, r := range k.seen() {
		events = append(events, event{string(r.State), string(r.Throttled), string(r.Goal), r.ContainerID})
	}
	return events
}

// TestSequencesOfTheOriginal does to a task what was done to the original's, and expects the same reports.
func TestSequencesOfTheOriginal(t *testing.T) {
	exit := func(code int, after time.Duration) func(*fakeEngine) {
		return func(e *fakeEngine) { e.exitCode, e.runsFor = code, after }
	}
	deploy := func(k *task) { k.begin(job.Start); after(2 * time.Second) }
	stop := func(k *task) { k.goal(job.Stop); after(2 * time.Second) }
	start := func(k *task) { k.goal(job.Start); after(2 * time.Second) }
	undeploy := func(k *task) { k.goal(job.Undeploy); after(5 * time.Second) }
	wait := func(d time.Duration) func(*task) { return func(*task) { after(d) } }
	away := func(k *task) { k.shutdown() }
	back := func(goal job.Goal) func(*task) {
		return func(k *task) { k.begin(goal); after(2 * time.Second) }
	}
	ends := func(k *task) { k.engine.end(k.engine.running()[0], 137, ""); after(3 * time.Second) }
	vanishes := func(k *task) { k.engine.remove(k.engine.running()[0]); after(3 * time.Second) }
	probe := func(after time.Duration) func(*job.Job, *Options) {
		return func(j *job.Job, o *Options) {
			j.HealthCheck = &job.HealthCheck{Type: job.CheckExec, Command: []string{"x"}}
			var began time.Time
			o.Probe = func(context.Context, job.TaskStatus, Container) error {
				if began.IsZero() {
					began = time.Now()
				}
				if after < 0 || time.Since(began) < after {
					return errors.New("not well")
				}
				return nil
			}
		}
	}
	plain := func(*fakeEngine) {}
	for _, c := range []struct {
		name   string
		engine func(*fakeEngine)
		task   func(*job.Job, *Options)
		do     []func(*task)
		gone   bool // the supervisor has nothing left to do
		ours   func([]string) []string
	}{
		{name: "run", do: []func(*task){deploy}},
		{name: "run-stop", do: []func(*task){deploy, stop}, gone: true},
		{name: "run-stop-start", do: []func(*task){deploy, stop, start}},
		{name: "run-stop-start-undeploy", do: []func(*task){deploy, stop, start, undeploy}, gone: true},
		{name: "deployed-stop", do: []func(*task){back(job.Stop), away, back(job.Stop)}, gone: true},
		{
			name: "stop-ignores-sigterm", do: []func(*task){deploy, stop, wait(time.Second)}, gone: true,
			engine: func(e *fakeEngine) { e.ignoresTerm = true },
			task:   func(j *job.Job, _ *Options) { j.SecondsToWaitBeforeKill = new(int32(2)) },
		},
		{
			name: "undeploy-grace-period", do: []func(*task){deploy, undeploy}, gone: true,
			task: func(j *job.Job, _ *Options) { j.GracePeriod = new(int32(3)) },
		},
		{name: "killed-outside", do: []func(*task){deploy, ends}},
		{name: "removed-outside", do: []func(*task){deploy, vanishes}},
		{name: "health-exec-pass", task: probe(3 * time.Second), do: []func(*task){deploy, wait(9 * time.Second)}},
		{name: "health-tcp-pass", task: probe(0), do: []func(*task){deploy}},
		{name: "health-http-pass", task: probe(4 * time.Second), do: []func(*task){deploy, wait(9 * time.Second)}},
		{name: "health-http-never", task: probe(-1), do: []func(*task){deploy, wait(90 * time.Second)}},
		{name: "health-http-never-undeploy", task: probe(-1), do: []func(*task){deploy, undeploy}, gone: true},
		{name: "health-dies", task: probe(-1), engine: exit(5, 4*time.Second), do: []func(*task){deploy, wait(60 * time.Second)}},
		{
			name:   "port-taken",
			engine: func(e *fakeEngine) { e.startErr = errors.New("port is already allocated") },
			do:     []func(*task){func(k *task) { k.begin(job.Start); after(5500 * time.Millisecond) }},
		},
		{
			name:   "port-taken-freed",
			engine: func(e *fakeEngine) { e.startErr = errors.New("port is already allocated") },
			do: []func(*task){func(k *task) {
				k.begin(job.Start)
				after(5500 * time.Millisecond)
				k.engine.set(func(b *behaviour) { b.startErr = nil })
				after(time.Second)
			}},
		},
		{
			name:   "start-fails",
			engine: func(e *fakeEngine) { e.startErr = errors.New(`exec: "/nonexistent": no such file or directory`) },
			do:     []func(*task){deploy, wait(30 * time.Second)},
		},
		{
			name:   "create-fails",
			engine: func(e *fakeEngine) { e.createErr = errors.New("minimum memory limit allowed is 6MB") },
			do:     []func(*task){func(k *task) { k.begin(job.Start); after(9500 * time.Millisecond) }},
		},
		{
			name:   "image-missing",
			engine: func(e *fakeEngine) { e.pullErr = ErrImageMissing },
			do:     []func(*task){deploy, wait(110 * time.Second)},
		},
		{
			name:   "image-missing-undeploy",
			engine: func(e *fakeEngine) { e.pullErr = ErrImageMissing },
			do:     []func(*task){deploy, wait(100 * time.Second), undeploy}, gone: true,
		},
		{name: "exit-0", engine: exit(0, 12*time.Second), do: []func(*task){deploy, wait(60 * time.Second)}},
		{name: "flapping", engine: exit(3, 100*time.Millisecond), do: []func(*task){deploy, wait(30 * time.Second)}},
		{name: "flapping-next-run", engine: exit(3, 100*time.Millisecond), do: []func(*task){deploy, wait(80 * time.Second)}},
		{
			name: "flapping-undeploy", engine: exit(3, 100*time.Millisecond),
			do: []func(*task){deploy, wait(78 * time.Second), undeploy}, gone: true,
		},
		{name: "agent-restart-running", do: []func(*task){deploy, away, back(job.Start)}},
		{
			name: "agent-restart-stopped", do: []func(*task){deploy, stop, away, back(job.Stop)}, gone: true,
			ours: func(lines []string) []string { return lines[:len(lines)-2] }, // Q4: nothing is said again
		},
		{name: "agent-restart-alive", do: []func(*task){deploy, away, back(job.Start)}},
		{name: "agent-restart-dead", do: []func(*task){deploy, away, ends, back(job.Start)}},
		{name: "agent-restart-removed", do: []func(*task){deploy, away, vanishes, back(job.Start)}},
		{name: "agent-restart-gostop", do: []func(*task){deploy, away, back(job.Stop)}, gone: true},
		{name: "agent-restart-gone", do: []func(*task){deploy, away, back(job.Undeploy)}, gone: true},
		{name: "agent-restart-gostart", do: []func(*task){deploy, stop, away, back(job.Start)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, cut := recorded(t, c.name)
			if c.ours != nil {
				want = c.ours(want)
			}
			synctest.Test(t, func(t *testing.T) {
				engine, j := newFakeEngine(t), &job.Job{}
				if c.engine == nil {
					c.engine = plain
				}
				c.engine(engine)
				k := newTask(t, engine, j)
				if c.task != nil {
					c.task(j, &k.opts)
				}
				for _, do := range c.do {
					do(k)
				}
				if gone := k.release(); gone != c.gone {
					t.Errorf("supervisor done: %v, want %v", gone, c.gone)
				}
				if c.gone && len(engine.running()) > 0 {
					t.Errorf("%v still run", engine.running())
				}
				got := k.events()
				if cut {
					if !contains(got, want) {
						t.Errorf("reports %v\ndo not contain %v", normalised(got), want)
					}
				} else if diff := cmp.Diff(want, normalised(got)); diff != "" {
					t.Errorf("reports (-want +got):\n%s", diff)
				}
				if !c.gone {
					before := engine.running()
					k.shutdown()
					if diff := cmp.Diff(before, engine.running()); diff != "" {
						t.Errorf("the end of the agent changed what runs:\n%s", diff)
					}
				}
				for _, id := range engine.running() {
					engine.remove(id)
				}
			})
		})
	}
}

// contains tells whether a part of the events is the recording, whose beginning was cut off.
func contains(events []event, want []string) bool {
	for i := 0; i+len(want) <= len(events); i++ {
		if slices.Equal(normalised(events[i:i+len(want)]), want) {
			return true
		}
	}
	return false
}
