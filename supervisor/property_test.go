package supervisor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/helios-go/helios/store/job"
)

// TestGoalsConverge does random things to a task: at most one container of it ever runs, which the engine checks, and
// once the disturbances end, it does what its goal says. Nothing but a goal stops a container.
func TestGoalsConverge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		actions := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 25).Draw(rt, "actions")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 4000), len(actions), len(actions)).Draw(rt, "pauses")
		checked := rapid.Bool().Draw(rt, "health check")
		var problem string
		synctest.Test(t, func(t *testing.T) {
			e := newFakeEngine(t)
			e.pullTakes, e.startTakes = 300*time.Millisecond, 200*time.Millisecond
			j := &job.Job{SecondsToWaitBeforeKill: new(int32(1))}
			k := newTask(t, e, j)
			if checked {
				j.HealthCheck = &job.HealthCheck{}
				k.opts.Probe = func(context.Context, job.TaskStatus, Container) error { return nil }
			}
			goal, stops := job.Start, 0
			set := func(g job.Goal) {
				if g != job.Start && goal == job.Start {
					stops++
				}
				goal = g
				k.goal(g)
			}
			k.begin(goal)
			for i, action := range actions {
				switch action {
				case 0, 1:
					set(job.Start)
				case 2:
					set(job.Stop)
				case 3:
					set(job.Undeploy)
				case 4:
					for _, id := range e.running() {
						e.end(id, 1, "")
					}
				case 5:
					for _, id := range e.all() {
						e.remove(id)
					}
				case 6:
					e.setAway(true)
				case 7:
					e.setAway(false)
				case 8:
					e.set(func(b *behaviour) { b.startErr = errors.New("refused") })
				case 9:
					e.set(func(b *behaviour) { b.startErr = nil })
				case 12:
					for _, id := range e.running() {
						e.lie(Container{ID: id, ExitCode: i, FinishedAt: time.Now().Add(time.Duration(i-5) * time.Second)})
					}
				case 10, 11: // the agent ends, orderly or with its state lost
					k.release()
					k.shutdown()
					if action == 11 {
						k.mu.Lock()
						k.reports = nil
						k.mu.Unlock()
					}
					k.begin(goal)
				}
				after(time.Duration(pauses[i]) * time.Millisecond)
			}
			e.set(func(b *behaviour) { b.away, b.startErr = false, nil })
			k.release()
			if k.running == nil && goal == job.Start {
				k.begin(goal)
			}
			after(10 * time.Minute)
			running := len(e.running())
			done := k.release()
			switch {
			case goal == job.Start && (running != 1 || done || k.last().State != job.Running):
				problem = fmt.Sprintf("goal START: %d run, done %v, reports %s", running, done, k.states(0))
			case goal != job.Start && (running != 0 || !done):
				problem = fmt.Sprintf("goal %s: %d run, done %v, reports %s", goal, running, done, k.states(0))
			case stops == 0 && len(e.called("stop"))+len(e.called("kill")) > 0:
				problem = fmt.Sprintf("stopped without a goal: %v", e.called(""))
			}
			k.shutdown()
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}
