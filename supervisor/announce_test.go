package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/helios-go/helios/store/job"
)

// registry notes what it is told, with the moment.
type registry struct {
	mu        sync.Mutex
	began     time.Time
	told      []string
	endpoints int
	fails     int  // times
	hangs     bool // until the context ends
}

func (r *registry) note(what string) {
	r.told = append(r.told, fmt.Sprintf("%s %s", what, time.Since(r.began).Round(time.Second)))
}

func (r *registry) announce(ctx context.Context, status job.TaskStatus) (Announcement, error) {
	if r.hangs {
		<-ctx.Done()
		return Announcement{}, context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails > 0 {
		r.fails--
		return Announcement{}, errors.New("registry is away")
	}
	id := *status.ContainerID
	r.note("+" + id)
	return Announcement{Endpoints: r.endpoints, Withdraw: func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.note("-" + id)
	}}, nil
}

func (r *registry) expect(t *testing.T, want ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.told, want) {
		t.Errorf("registry was told %q, want %q", r.told, want)
	}
}

// announced runs a test of one task with a registry, in virtual time.
func announced(t *testing.T, test func(*testing.T, *fakeEngine, *task, *registry)) {
	t.Helper()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		r := &registry{began: time.Now(), endpoints: 1}
		k.opts.Announce = r.announce
		test(t, e, k, r)
	})
}

// TestGracePeriod holds S4: withdrawn, 60 s of grace, stopped, and killed until it does not run.
func TestGracePeriod(t *testing.T) {
	t.Parallel()
	announced(t, func(t *testing.T, e *fakeEngine, k *task, r *registry) {
		k.opts.Job.GracePeriod = new(int32(60))
		k.begin(job.Start)
		after(5 * time.Second)
		r.expect(t, "+id001 0s")
		e.set(func(b *behaviour) { b.unkillable = true })
		k.goal(job.Stop)
		after(59 * time.Second)
		r.expect(t, "+id001 0s", "-id001 5s")
		if got := k.last(); got.State != job.Stopping || len(e.called("stop")) != 0 {
			t.Errorf("within the grace period: %s, %v", got.State, e.called("stop"))
		}
		k.goal(job.Undeploy) // does not cut it short
		after(500 * time.Millisecond)
		if len(e.called("stop")) != 0 {
			t.Errorf("a new goal ended the grace period: %v", e.called("stop"))
		}
		after(3 * time.Second)
		if len(e.called("stop")) != 1 || len(e.called("kill")) == 0 {
			t.Errorf("after it: %v, %v", e.called("stop"), e.called("kill"))
		}
		e.set(func(b *behaviour) { b.unkillable = false })
		after(time.Minute)
		if got := k.last(); got.State != job.Stopped {
			t.Errorf("at last %s", got.State)
		}
		r.expect(t, "+id001 0s", "-id001 5s")
	})
}

// TestNoGracePeriodWithoutEndpoints holds S5 and Q5: nobody was sent to the container, so nobody need be led away.
func TestNoGracePeriodWithoutEndpoints(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*task, *registry){
		"no registry":              func(k *task, _ *registry) { k.opts.Announce = nil },
		"empty registration":       func(_ *task, r *registry) { r.endpoints = 0 },
		"a registry that is away":  func(_ *task, r *registry) { r.fails = 100 },
		"a registry that hangs":    func(_ *task, r *registry) { r.hangs = true },
		"no grace period":          func(k *task, _ *registry) { k.opts.Job.GracePeriod = nil },
		"a grace period below 0 s": func(k *task, _ *registry) { k.opts.Job.GracePeriod = new(int32(-5)) },
	} {
		t.Run(name, func(t *testing.T) {
			announced(t, func(t *testing.T, e *fakeEngine, k *task, r *registry) {
				k.opts.Job.GracePeriod = new(int32(60))
				set(k, r)
				k.begin(job.Start)
				after(5 * time.Second)
				if got := k.states(0); got != "PULLING_IMAGE CREATING STARTING RUNNING" {
					t.Errorf("reports %s", got)
				}
				k.goal(job.Undeploy)
				after(time.Second)
				if got := k.states(4); got != "STOPPING STOPPED" {
					t.Errorf("reports %s", got)
				}
			})
		})
	}
}

func TestServicesFollowTheContainer(t *testing.T) {
	t.Parallel()
	announced(t, func(t *testing.T, e *fakeEngine, k *task, r *registry) {
		k.begin(job.Start)
		after(10 * time.Second)
		e.end("id001", 1, "") // restarted a second later
		after(5 * time.Second)
		r.expect(t, "+id001 0s", "-id001 10s", "+id002 11s")
		e.setAway(true) // says nothing about the container
		after(10 * time.Second)
		e.setAway(false)
		after(10 * time.Second)
		r.expect(t, "+id001 0s", "-id001 10s", "+id002 11s")
		k.shutdown() // the agent ends, the container does not
		r.expect(t, "+id001 0s", "-id001 10s", "+id002 11s", "-id002 35s")
		if got := e.running(); !slices.Equal(got, []string{"id002"}) {
			t.Errorf("running %v", got)
		}
		k.begin(job.Start) // and adopts it
		after(5 * time.Second)
		r.expect(t, "+id001 0s", "-id001 10s", "+id002 11s", "-id002 35s", "+id002 35s")
	})
}

// TestServicesAreWithdrawnBeforeTheEndIsReported is what clients rely on that read a status and then ask the registry.
func TestServicesAreWithdrawnBeforeTheEndIsReported(t *testing.T) {
	t.Parallel()
	announced(t, func(t *testing.T, e *fakeEngine, k *task, r *registry) {
		report := k.opts.Report
		k.opts.Report = func(s job.TaskStatus) {
			r.mu.Lock()
			r.note(string(s.State))
			r.mu.Unlock()
			report(s)
		}
		k.begin(job.Start)
		after(time.Second)
		e.end("id001", 1, "")
		after(500 * time.Millisecond)
		r.expect(t, "PULLING_IMAGE 0s", "CREATING 0s", "STARTING 0s", "RUNNING 0s", "+id001 0s", "-id001 1s", "EXITED 1s")
	})
}

// TestRegistryThatFails holds Q47: the task is RUNNING all the while, and the registry is told when it can be.
func TestRegistryThatFails(t *testing.T) {
	t.Parallel()
	announced(t, func(t *testing.T, e *fakeEngine, k *task, r *registry) {
		r.fails = 3
		k.begin(job.Start)
		synctest.Wait()
		if got := k.states(0); got != "PULLING_IMAGE CREATING STARTING RUNNING" {
			t.Errorf("reports %s", got)
		}
		after(time.Minute)
		if len(r.told) != 1 || k.states(4) != "" || len(e.all()) != 1 {
			t.Errorf("told %v, reports %s, containers %v", r.told, k.states(4), e.all())
		}
	})
}

// TestUnhealthyContainersAreNotAnnounced: neither those that were just started nor those that are adopted.
func TestUnhealthyContainersAreNotAnnounced(t *testing.T) {
	t.Parallel()
	announced(t, func(t *testing.T, e *fakeEngine, k *task, r *registry) {
		k.opts.Job.HealthCheck = &job.HealthCheck{Type: job.CheckExec, Command: []string{"x"}}
		well := time.Now().Add(20*time.Second + 50*time.Millisecond)
		k.opts.Probe = func(context.Context, job.TaskStatus, Container) error {
			if time.Now().Before(well) {
				return errors.New("not yet")
			}
			return nil
		}
		k.begin(job.Start)
		after(10 * time.Second)
		k.shutdown() // the check did not pass: the next agent goes on with it (Q2)
		k.begin(job.Start)
		after(5 * time.Second)
		r.expect(t)
		after(15 * time.Second)
		r.expect(t, "+id001 20s")
		if got := k.last(); got.State != job.Running || got.at.Sub(well) > 100*time.Millisecond {
			t.Errorf("%s %s after the container was well", got.State, got.at.Sub(well))
		}
	})
}

// TestChecksBecomeRare: ten a second for 30 s, then fewer and fewer.
func TestChecksBecomeRare(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		var checks []time.Time
		k.opts.Job.HealthCheck = &job.HealthCheck{Type: job.CheckExec, Command: []string{"x"}}
		k.opts.Probe = func(context.Context, job.TaskStatus, Container) error {
			checks = append(checks, time.Now())
			return errors.New("never")
		}
		k.begin(job.Start)
		began := time.Now()
		after(270 * time.Second)
		k.shutdown()
		n := 0
		for n < len(checks) && checks[n].Sub(began) < 30*time.Second {
			n++
		}
		if n < 295 || n > 301 {
			t.Errorf("%d checks in 30 s", n)
		}
		for i, at := range checks[n:] {
			if pause := at.Sub(checks[n+i-1]); i > 1 && (pause < time.Second || pause > 31*time.Second) {
				t.Errorf("check %d after %s", i, pause)
			}
		}
		if more := len(checks) - n; more < 8 || more > 20 {
			t.Errorf("%d checks in the four minutes after", more)
		}
	})
}
