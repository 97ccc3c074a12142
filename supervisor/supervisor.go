// Package supervisor runs one task: it keeps one container of a job running on this host, or sees to it that none runs.
//
// It owns the policy (decide, [Restarts], [Ports]), the loop of one task ([Supervisor.Run]) and the words in which both
// speak of the container engine ([Engine]; package docker speaks them to Docker). Nothing else may start or stop the
// container of a task. It never stops a container because it ends itself, never removes one, and never takes the
// silence of the engine for the absence of a container.
//
// The loop looks, decides, does one step, and looks again; events only cut its pauses short. There is one exception: an
// end is reported on the word of [Engine.Wait], since a look at what has just ended can take long. Nothing else rests on
// a word: whether there is to be another container, or a stop is complete, is decided after a look. What is reported
// wrongly is put right by the next look. What a task reports:
//
//	      ┌───────────────────────────── restart delay ─────────────────────────────┐
//	      ▼                                                                         │
//	PULLING_IMAGE ─▶ CREATING ─▶ STARTING ─▶ HEALTHCHECKING ─▶ RUNNING ─▶ EXITED ───┤
//	      │             │           │         (if the job      ▲    │               │
//	      │             │           │          has a check)    │    │               │
//	      └─────────────┴───────────┴───────────────│──────────│────┴─▶ FAILED ─────┘
//	                                                └─▶ EXITED, FAILED
//	a container that runs already ── adopted ─────▶ HEALTHCHECKING or RUNNING
//	goal STOP or UNDEPLOY, from any state ────────▶ STOPPING ─▶ STOPPED
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/job"
)

// Options is what a [Supervisor] needs to know.
type Options struct {
	// Engine runs the containers. Required.
	Engine Engine
	// Job is the job of the task, with its id. Required; it is not changed.
	Job *job.Job
	// Goal is the goal at the beginning; later ones come through [Supervisor.SetGoal].
	Goal job.Goal
	// Ports are the host ports given to the job's port names, from [Ports.Allocate].
	Ports map[string]int
	// Rebound, if set, is told of the host ports that count instead of Ports from then on: those of a container that was
	// found to be the task's and has others. It is called by the goroutine of Run, and must return quickly.
	Rebound func(ports map[string]int)
	// Last is the status that the task reported last, in this process or an earlier one; nil if it has none. It names
	// the container to adopt.
	Last *job.TaskStatus
	// Host and Agent are the agent's host name and id. Required.
	Host, Agent string
	// Former are ids of agents whose host name this agent took over, and whose containers it adopts.
	Former []string
	// Env is the environment that the agent gives to every container.
	Env map[string]string
	// Report takes each new status, in order, called by the goroutine of Run. The task waits for it, so it must hand
	// the status on quickly; it must not change the maps in it. It has returned before a container that the status
	// names is started. Required.
	Report func(job.TaskStatus)
	// Probe asks once whether a container passes the health check of the job: nil means healthy, any error not (yet).
	// The status, which has the job and the ports as assigned, is the one reported last. Without Probe a job that has
	// a health check stays HEALTHCHECKING: it is never reported RUNNING unchecked.
	Probe func(context.Context, job.TaskStatus, Container) error
	// Announce tells a service registry of the container of a task that is RUNNING, or fails as long as it cannot. It is
	// called by a goroutine of its own, and must return when its context ends; an announcement is withdrawn before the
	// end of the container is reported or brought about, and when Run ends. Without Announce no registry is told.
	Announce func(context.Context, job.TaskStatus) (Announcement, error)
	// Logger writes what changes.
	Logger zerolog.Logger
}

// Supervisor runs one task. [New] makes it, [Supervisor.Run] does the work; the other methods may be called from any
// goroutine, at any time.
type Supervisor struct {
	opts Options
	ref  Ref
	log  zerolog.Logger

	mu      sync.Mutex // guards the fields up to the blank line
	want    job.Goal
	wake    context.CancelFunc // ends what the current step may be waiting for
	current string             // id of the task's container, the recorded one at first
	looked  bool               // the engine has said at least once which container that is

	// What follows belongs to Run.
	goal     job.Goal       // the goal that is being pursued: reported in each status
	past     History        // what decide has to know
	ports    map[string]int // host port by port name
	status   job.TaskStatus // reported last
	reported bool           // there is such a status
	spoke    bool           // it is of this supervisor
	silent   Backoff        // pauses while the engine does not answer
	unwell   Backoff        // pauses between health checks
	alive    Backoff        // pauses between kills
	services announcer
}

// New makes the supervisor of one task. It starts nothing and asks nobody.
func New(opts Options) (*Supervisor, error) {
	switch {
	case opts.Engine == nil || opts.Job == nil || opts.Report == nil:
		return nil, errors.New("supervisor: engine, job and report are required")
	case opts.Host == "" || opts.Agent == "":
		return nil, errors.New("supervisor: host and agent are required")
	case opts.Job.ID.Name == "" || opts.Job.ID.Hash == "":
		return nil, fmt.Errorf("supervisor: job %s has no complete id", opts.Job.ID)
	}
	s := &Supervisor{
		opts: opts,
		ref:  Ref{Job: opts.Job.ID, Host: opts.Host, Agents: append([]string{opts.Agent}, opts.Former...)},
		log:  opts.Logger.With().Stringer("job", opts.Job.ID).Logger(),
		want: opts.Goal,
		wake: func() {},
		// An engine that comes back should be noticed soon; asking whether it has is cheap.
		silent: Backoff{Max: 5 * time.Second},
	}
	if last := opts.Last; last != nil {
		s.status, s.reported = *last, true
		if last.ContainerID != nil {
			s.current = *last.ContainerID
		}
		if last.State == job.Running {
			s.past.Checked = s.current
		}
	}
	s.status.Job = *opts.Job
	s.bind(opts.Ports)
	s.services = announcer{announce: opts.Announce, log: s.log}
	return s, nil
}

// reportedPorts fills the host ports into the job's mappings.
func reportedPorts(mappings map[string]job.PortMapping, given map[string]int) map[string]job.PortMapping {
	ports := maps.Clone(mappings)
	for name, number := range given {
		if m, ok := ports[name]; ok {
			m.ExternalPort = new(int32(number))
			ports[name] = m
		}
	}
	return ports
}

// bind makes these the task's host ports: those it reports, and gives to its next container.
func (s *Supervisor) bind(ports map[string]int) {
	s.ports = ports
	s.status.Ports = reportedPorts(s.opts.Job.Ports, ports)
	s.status.Env = Env(s.opts.Env, s.opts.Host, ports, s.opts.Job)
}

// rebind is bind for ports that the agent does not know of.
func (s *Supervisor) rebind(ports map[string]int) {
	if maps.Equal(ports, s.ports) {
		return
	}
	s.bind(ports)
	s.log.Warn().Any("ports", ports).Msg("host ports are those of the task's container")
	if s.opts.Rebound != nil {
		s.opts.Rebound(ports)
	}
}

// SetGoal sets the goal of the task. It never blocks. A new goal cuts short a pull, a wait, a restart delay; a stop that
// has begun is brought to its end first. After Run has returned it has no effect.
func (s *Supervisor) SetGoal(goal job.Goal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if goal != s.want {
		s.want = goal
		s.wake()
	}
}

// Owns tells whether a running container must be left alone because of this task: it is the task's container, or it
// could be, as long as the engine has not said yet which one that is. It is what [Reap] has to be asked with.
func (s *Supervisor) Owns(c Container) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.ID == s.current || !s.looked && s.ref.Matches(c)
}

// Run works on the task until its goal to stop is reached: then it returns nil, no container of the task is running,
// and the supervisor can be dropped. A goal START that came meanwhile makes it go on instead. When ctx ends it returns
// the cause at once and leaves the container as it is. No goroutine of it is left in either case.
//
// So an agent needs to know no more than this: a supervisor whose Run has returned nil is dropped; if the task's goal
// is START by then, a new one is made.
func (s *Supervisor) Run(ctx context.Context) error {
	defer s.services.withdraw()
	for {
		step, err := s.turn(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			s.log.Warn().Err(err).Stringer("step", step).Msg("step failed")
		}
		if step == Done && !s.resume() {
			return nil
		}
	}
}

// turn looks, decides and does one step. The step may fail, having reported that itself.
func (s *Supervisor) turn(ctx context.Context) (Step, error) {
	want, op, cancel := s.begin(ctx)
	defer cancel()
	seen, err := s.look(ctx)
	if ctx.Err() != nil {
		return Rest, nil
	}
	s.confirm(seen.Container)
	if ports, all := BoundPorts(s.opts.Job.Ports, seen.Ports); all && (seen.Running || seen.Unstarted) {
		s.rebind(ports) // it keeps them as long as it is there
	}
	checks := s.opts.Job.HealthCheck != nil
	step, pause := decide(time.Now(), want, checks, seen, s.past)
	switch step {
	case Rest:
		rest(op, pause)
	case Lost:
		s.lost(err)
		rest(op, pause)
		err = nil
	case Launch:
		s.launch(ctx, op)
	case Resume:
		if !s.start(ctx, seen.ID) {
			s.rebind(s.opts.Ports) // its own may be another's by now
		}
	case Check:
		err = s.check(op, seen.Container, pause)
	case Watch:
		err = s.watch(op, seen.Container, pause)
	case End:
		s.end(seen.Container)
	case Stop:
		err = s.stop(ctx, op, seen.ID)
	case Kill:
		err = s.kill(ctx, seen.ID)
	case Done:
		s.done(seen.Container)
	}
	return step, err
}

// begin takes the goal, and makes the context that ends when another one arrives.
func (s *Supervisor) begin(ctx context.Context) (job.Goal, context.Context, context.CancelFunc) {
	op, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = cancel
	if !s.past.Stopping || s.want != job.Start {
		s.goal = s.want
	}
	return s.want, op, cancel
}

// look asks the engine for the task's container.
func (s *Supervisor) look(ctx context.Context) (Seen, error) {
	ref := s.ref
	ref.Container = s.container()
	c, err := s.opts.Engine.Find(ctx, ref)
	if err == nil && c.ID == "" && (c.Running || c.Unstarted) {
		err = fmt.Errorf("%w sensibly: a container without an id", ErrUnavailable)
	}
	if err != nil {
		s.past.Retry = s.silent.Next()
		return Seen{}, fmt.Errorf("look for the container: %w", err)
	}
	s.silent.Reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked = true
	if c.Running || c.Unstarted {
		s.current = c.ID
	}
	return Seen{Known: true, Container: c}, nil
}

// resume tells whether the task goes on after a stop, because its goal is START again.
func (s *Supervisor) resume() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want == job.Start
}

func (s *Supervisor) container() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
