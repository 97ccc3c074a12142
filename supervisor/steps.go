package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/helios-go/helios/store/job"
)

// defaultKillDelay is how many seconds a container has to end by itself when its job does not say.
const defaultKillDelay = 120

var errNoProbe = errors.New("this agent runs no health checks")

// launch makes one run: pull, create, start. A new goal cuts the pull short; from then on only the end of the agent
// does, so that no half-made container is left behind.
func (s *Supervisor) launch(ctx, op context.Context) {
	if s.opts.Job.Image == nil {
		s.failed(ctx, errors.New("the job has no image"))
		return
	}
	image := *s.opts.Job.Image
	s.report(job.PullingImage)
	if err := s.opts.Engine.Pull(op, image); err != nil {
		s.failed(op, fmt.Errorf("pull %s: %w", image, err))
		return
	}
	if op.Err() != nil {
		return
	}
	name, err := Name(s.opts.Agent, s.opts.Job.ID)
	s.report(job.Creating)
	if err != nil {
		s.failed(ctx, err)
		return
	}
	id, err := s.opts.Engine.Create(ctx, Spec{
		Name: name, Job: s.opts.Job, Ports: s.ports, Env: s.status.Env, Labels: s.ref.Labels(),
	})
	if err == nil && id == "" {
		err = fmt.Errorf("%w sensibly: a container without an id", ErrUnavailable)
	}
	if err != nil {
		s.failed(ctx, fmt.Errorf("create container: %w", err))
		return
	}
	s.past.Restarts.Created()
	s.start(ctx, id)
}

// start starts a container that was created, known to everyone before it runs, and tells whether it could.
func (s *Supervisor) start(ctx context.Context, id string) bool {
	s.adopt(id)
	s.report(job.Starting)
	if err := s.opts.Engine.Start(ctx, id); err != nil {
		s.failed(ctx, fmt.Errorf("start container: %w", err))
		return false
	}
	s.past.Live, s.past.NotBefore = id, time.Time{}
	s.past.Restarts.Started(time.Now())
	if s.opts.Job.HealthCheck == nil {
		s.report(job.Running)
	} else {
		s.unwell.Reset()
		s.report(job.HealthChecking)
	}
	return true
}

// A fresh container is checked often, so that it counts as healthy as soon as it is, and after a while less and less.
const (
	checkEvery = 100 * time.Millisecond
	checkOften = 30 * time.Second
)

// check probes once, and says when the next probe is due.
func (s *Supervisor) check(op context.Context, c Container, pause time.Duration) error {
	if s.past.Live != c.ID {
		s.past.Live = c.ID
		s.past.Restarts.Started(time.Now())
		s.unwell.Reset()
	}
	if s.changes(job.HealthChecking, c.ID) {
		s.adopt(c.ID)
		s.report(job.HealthChecking)
	}
	if pause > 0 {
		_, err := s.await(op, c.ID, pause) // why it failed to become healthy takes a look
		return err
	}
	err := errNoProbe
	if s.opts.Probe != nil {
		err = s.opts.Probe(op, s.status, c)
	}
	now := time.Now()
	switch {
	case op.Err() != nil:
	case err != nil:
		wait := checkEvery
		if s.past.Restarts.Lasts(now) >= checkOften {
			wait = s.unwell.Next()
		}
		s.past.NotBefore = now.Add(wait)
		s.log.Debug().Err(err).Str("container", c.ID).Msg("not healthy yet")
	default:
		s.past.Checked, s.past.NotBefore = c.ID, time.Time{}
		s.past.Restarts.Started(now)
	}
	return nil
}

// watch waits for the end of a running container, for at most the pause if there is one, and reports it. An end that is
// not known in full is left to the next look.
func (s *Supervisor) watch(op context.Context, c Container, pause time.Duration) error {
	if s.past.Live != c.ID {
		s.past.Restarts.Started(time.Now())
	}
	s.past.Live, s.past.Checked = c.ID, c.ID
	if s.changes(job.Running, c.ID) {
		s.adopt(c.ID)
		s.report(job.Running)
	}
	s.services.hold(s.status, c.ID)
	ended, err := s.await(op, c.ID, pause)
	if ended.ID == c.ID {
		s.end(ended)
	}
	return err
}

// await waits until the container does not run any more, the pause is over, or a new goal arrives. It returns how the
// container ended if the engine says it.
func (s *Supervisor) await(op context.Context, id string, pause time.Duration) (Container, error) {
	ctx, cancel := op, context.CancelFunc(func() {})
	if pause > 0 {
		ctx, cancel = context.WithTimeout(op, pause)
	}
	defer cancel()
	ended, err := s.opts.Engine.Wait(ctx, id)
	switch {
	case ctx.Err() != nil:
		return Container{}, nil
	case err != nil:
		rest(op, s.silent.Next())
		return Container{}, fmt.Errorf("wait for container %s: %w", id, err)
	}
	return ended, nil
}

// end notes that the container does not run any more; c is what is left of it. The restart delay counts from the end
// itself.
func (s *Supervisor) end(c Container) {
	s.services.withdraw()
	id, now := s.past.Live, time.Now()
	unchecked := s.opts.Job.HealthCheck != nil && s.past.Checked != id
	s.past.Live = ""
	if c.ID != id {
		s.failed(context.Background(), fmt.Errorf("container %s is gone", id))
		return
	}
	s.past.Restarts.Exited(now)
	s.past.NotBefore = s.past.Restarts.Next(c.FinishedAt, now)
	s.ended(c)
	s.report(job.Exited)
	if unchecked {
		s.status.ContainerError = c.Error
		if c.Error == "" {
			s.status.ContainerError = fmt.Sprintf("container exited with %d before it was healthy", c.ExitCode)
		}
		s.report(job.Failed)
	}
}

// confirm puts right what was said of the end of the task's container on a mere word. That it was said wrongly is
// reported; the moment, which a word gets wrong a little, goes with the next report, and the restart delay counts from
// it.
func (s *Supervisor) confirm(c Container) {
	said := s.status
	if c.ID == "" || c.Running || c.Unstarted || said.ContainerID == nil || *said.ContainerID != c.ID || said.ExitCode == nil {
		return
	}
	s.ended(c)
	if said.State != job.Exited {
		return
	}
	if next := s.past.Restarts.Next(c.FinishedAt, time.Now()); next.Before(s.past.NotBefore) {
		s.past.NotBefore = next
	}
	if *said.ExitCode != int32(c.ExitCode) || said.OOMKilled == nil || *said.OOMKilled != c.OOMKilled {
		s.report(job.Exited)
	}
}

// failed reports that the run failed, unless it was cut short.
func (s *Supervisor) failed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	s.past.Restarts.Failed(err)
	s.past.NotBefore = now.Add(s.past.Restarts.Verdict(now).Delay)
	s.status.ContainerError = err.Error()
	s.report(job.Failed)
}

// lost says, once, that the engine does not answer. The container may well be running.
func (s *Supervisor) lost(err error) {
	state := job.Failed
	if s.past.Stopping || s.goal != job.Start {
		state = job.Stopping
	}
	if s.status.State == state || s.settled() {
		return
	}
	s.status.ContainerError = err.Error()
	s.report(state)
}

// stop asks the engine to end the container. An engine that does not answer is asked again, so that the container gets
// its time to end; after any other answer it is killed if it still runs. One whose services were announced first goes on
// for the grace period of its job.
func (s *Supervisor) stop(ctx, op context.Context, id string) error {
	s.past.Stopping = true
	if s.changes(job.Stopping, id) || s.status.Goal != s.goal {
		s.adopt(id)
		s.report(job.Stopping)
	}
	if pause := grace(s.opts.Job, s.services.withdraw()); pause > 0 {
		s.past.Grace = time.Now().Add(pause)
		return nil
	}
	seconds := defaultKillDelay
	if given := s.opts.Job.SecondsToWaitBeforeKill; given != nil {
		seconds = int(*given)
	}
	err := s.opts.Engine.Stop(ctx, id, seconds)
	if errors.Is(err, ErrUnavailable) {
		rest(op, s.silent.Next())
		return err
	}
	s.past.Stopped, s.past.NotBefore = id, time.Time{}
	s.alive.Reset()
	return err
}

// kill ends a container that is still there after it was stopped.
func (s *Supervisor) kill(ctx context.Context, id string) error {
	s.past.NotBefore = time.Now().Add(s.alive.Next())
	if err := s.opts.Engine.Kill(ctx, id); err != nil {
		return fmt.Errorf("kill container %s: %w", id, err)
	}
	return nil
}

// done reports that the task has stopped, if that is news, and forgets the past: what comes next begins anew.
func (s *Supervisor) done(c Container) {
	s.services.withdraw()
	if !s.settled() {
		if s.status.State != job.Stopping {
			s.report(job.Stopping)
		}
		if c.ID != "" && c.ID == s.container() && !c.Unstarted {
			s.ended(c)
		}
		s.status.ContainerError = c.Error
		s.report(job.Stopped)
	}
	s.past = History{}
}

// settled tells whether there is nothing to say about being stopped: it was said before, or the task never did anything
// and is not asked to.
func (s *Supervisor) settled() bool {
	if s.goal == job.Start {
		return false
	}
	return s.reported && s.status.State == job.Stopped || !s.reported && s.goal == job.Stop
}

// adopt makes a container, which runs or is about to, the one of the task's status; no end is said of it.
func (s *Supervisor) adopt(id string) {
	s.status.ContainerID = &id
	s.status.ExitCode, s.status.FinishedAt, s.status.OOMKilled = nil, nil, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = id
}

// ended fills in how the container ended.
func (s *Supervisor) ended(c Container) {
	s.status.ExitCode = new(int32(c.ExitCode))
	s.status.OOMKilled = &c.OOMKilled
	s.status.FinishedAt = nil
	if !c.FinishedAt.IsZero() {
		s.status.FinishedAt = new(c.FinishedAt.UnixMilli())
	}
}

// changes tells whether a status would say something else than the last one of this supervisor.
func (s *Supervisor) changes(state job.State, id string) bool {
	last := s.status
	return !s.spoke || last.State != state || last.ContainerID == nil || *last.ContainerID != id ||
		last.Throttled != s.past.Restarts.Verdict(time.Now()).Throttle
}

// maxReason is how long a reason in a status may be. An engine's words may have any length, and a node of the store may not.
const maxReason = 4 << 10

// clip shortens a reason that is too long.
func clip(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "") + "…"
}

// report hands on the status with a new state.
func (s *Supervisor) report(state job.State) {
	before := s.status.State
	verdict := s.past.Restarts.Verdict(time.Now())
	s.status.State, s.status.Goal, s.status.Throttled = state, s.goal, verdict.Throttle
	s.status.ContainerError = clip(s.status.ContainerError)
	if state == job.Running {
		s.status.ContainerError = ""
	}
	s.reported, s.spoke = true, true
	event := s.log.Info().Str("state", string(state)).Str("before", string(before)).Str("goal", string(s.goal))
	if id := s.status.ContainerID; id != nil {
		event = event.Str("container", *id)
	}
	if state == job.Failed {
		event = event.Str("err", s.status.ContainerError)
	}
	if state == job.Failed || state == job.Exited {
		event = event.Stringer("delay", verdict.Delay).Str("reason", verdict.Reason)
	}
	event.Msg("task changed")
	s.opts.Report(s.status)
}
