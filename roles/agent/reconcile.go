package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

// passEvery is the longest time between two passes (agent §2.1).
const passEvery = 30 * time.Second

// reconciler makes what runs follow what is wished: one pass after another, each from the newest reading of the host's
// tasks. All slow work is the supervisors', one a task, so that a pass never waits for a container.
type reconciler struct {
	dir      *stateDir
	host, id string // of the agent
	ports    *supervisor.Ports
	statuses *statuses
	file     *wishFile
	log      zerolog.Logger
	// supervise makes the supervisor of a task.
	supervise func(e execution, last *job.TaskStatus) (*supervisor.Supervisor, error)
	// containers lists what runs in Docker, and agents are the ids of those whose containers are this agent's.
	containers func(context.Context) ([]supervisor.Container, error)
	agents     func() []string
	// report records a status that no supervisor reports.
	report func(job.TaskStatus)
	// note leaves a note in the store, with the tasks that are held on to in a doubt.
	note func(context.Context, host.Note, map[job.ID]job.Task) error
	// answer tells the person who gave an acceptance that it was acted on.
	answer func(context.Context) error
	// passed is called at the end of each pass, with whether all is known that this host shall run: a task list was read
	// and is not in doubt.
	passed func(known bool)

	bell chan struct{}

	mu         sync.Mutex // guards what stands below
	reading    *store.Tasks
	taken      *store.Tasks     // the reading that the newest pass is about: what it follows may not be told yet
	noted      store.Noted      // the note that was left before the reading began
	begun      store.Noted      // the same, of the reading that is under way
	acceptance *host.Acceptance // not acted on yet
	readmitted bool             // the host was registered anew since the reading
	told       wishes           // for those who ask
	running    map[job.ID]*supervisor.Supervisor
	rebound    map[job.ID]map[string]int // host ports of their containers, where others had been given
	ended      []job.ID

	// What follows belongs to run.
	wishes     wishes
	judged     *store.Tasks // the reading that wishes are of
	owing      bool         // a note could not be left
	trouble    string       // why the state of the tasks could not be kept, as logged; "" if it could
	executions map[job.ID]execution
	refused    map[job.ID]string // why a task has no ports, as reported
}

// observe takes a reading of the host's tasks.
func (r *reconciler) observe(tasks store.Tasks) {
	r.mu.Lock()
	r.reading, r.noted = &tasks, r.begun
	r.mu.Unlock()
	ring(r.bell)
}

// readmit says that somebody registered the host anew.
func (r *reconciler) readmit() {
	r.mu.Lock()
	r.readmitted = true
	r.mu.Unlock()
}

// ignore forgets a reading, and what was said about it: this agent has no registration any more, so that it neither
// judges nor notes anything.
func (r *reconciler) ignore() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading, r.acceptance = nil, nil
}

// accept takes what a person says about the doubt.
func (r *reconciler) accept(a host.Acceptance) {
	r.mu.Lock()
	r.acceptance = &a
	r.mu.Unlock()
	ring(r.bell)
}

// tasks are what this host believes it is told to do; they are not changed.
func (r *reconciler) tasks() map[job.ID]job.Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told.tasks
}

// doubt is what this host does not follow, nil if it is sure; it is not changed.
func (r *reconciler) doubt() *host.Doubt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told.doubt
}

// describe says what this host follows, and how sure it is.
func (r *reconciler) describe() httpapi.AgentWishes {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := httpapi.AgentWishes{Known: r.told.known, Doubt: r.told.doubt, Followed: make(map[job.ID]job.Goal)}
	for id, task := range r.told.tasks {
		w.Followed[id] = task.Goal
	}
	return w
}

// names are those of the tasks that are known here, also by readings that are not judged yet, or are at this moment. A
// reading begins with it.
func (r *reconciler) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begun = r.told.note()
	names := make(map[string]bool)
	for id := range r.told.tasks {
		names[id.String()] = true
	}
	add := func(nodes map[string]store.NodeMark) {
		for name := range nodes {
			names[name] = true
		}
	}
	if r.told.seen != nil {
		add(r.told.seen.Nodes)
	}
	if r.told.accepted != nil {
		add(r.told.accepted.Nodes)
	}
	for _, reading := range []*store.Tasks{r.taken, r.reading} {
		if reading != nil {
			add(reading.Nodes)
		}
	}
	return slices.Collect(maps.Keys(names))
}

// owns tells whether a running container belongs to a task of this agent: to one that is supervised, or to one that shall
// run and has no supervisor yet. What is labelled with another host's name is that one's, should it have the same id.
func (r *reconciler) owns(c supervisor.Container) bool {
	if name, labelled := c.Labels[supervisor.LabelHost]; labelled && name != r.host {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.running {
		if s.Owns(c) {
			return true
		}
	}
	for id, task := range r.told.tasks {
		ref := supervisor.Ref{Job: id, Host: r.host, Agents: []string{r.id}}
		if r.running[id] == nil && task.Goal == job.Start && ref.Matches(c) {
			return true
		}
	}
	return false
}

// run makes passes until ctx ends. Then the supervisors end too, and the containers go on running.
func (r *reconciler) run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	for id, e := range r.executions { // what was begun before this start is taken up as it was (agent §2.5)
		if e.Ports != nil {
			r.start(ctx, &tasks, id)
		}
	}
	for {
		err := r.pass(ctx, &tasks)
		if trouble := root(err); trouble != r.trouble {
			r.trouble = trouble
			if err != nil {
				r.log.Error().Err(err).Msg("state of the tasks cannot be kept: nothing is changed until it can")
			} else {
				r.log.Info().Msg("state of the tasks can be kept again")
			}
		}
		if err != nil {
			ring(r.bell)
			if !sleep(ctx, time.Second) {
				return context.Cause(ctx)
			}
		}
		pause := passEvery
		if r.owing {
			pause = time.Second
		}
		timer := time.NewTimer(pause)
		select {
		case <-r.bell:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// pass brings executions and supervisors in line with the newest reading (agent §2.3). Each record is on disk before
// anything is done by it, and wishes are forgotten only when what follows from them is recorded.
func (r *reconciler) pass(ctx context.Context, tasks *sync.WaitGroup) error {
	wished, reading, acceptance := r.wish(ctx)
	next := follow(r.executions, wished)
	refused := allocate(next, r.ports, r.find(ctx, next))
	if err := r.record(next); err != nil {
		return err
	}
	before := r.wishes.doubt
	if err := r.remember(wished); err != nil {
		return err
	}
	r.tell(before, wished.doubt)
	if reading != r.judged && !reading.Missing {
		r.mu.Lock()
		r.readmitted = false
		r.mu.Unlock()
	}
	r.judged = reading
	r.conclude(ctx, acceptance)
	r.reportRefused(refused)
	r.drop()
	r.steer(ctx, tasks)
	err := r.forget()
	r.passed(wished.known && wished.doubt == nil)
	return err
}

// root is what an error comes down to, in words that stay the same while that does: errors of files name temporary ones.
func root(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// record makes the executions durable, if they changed.
func (r *reconciler) record(next map[job.ID]execution) error {
	if maps.EqualFunc(next, r.executions, sameExecution) {
		return nil
	}
	if err := r.save(next); err != nil {
		return err
	}
	for id, e := range next {
		if before := r.executions[id]; before.Goal != e.Goal {
			r.log.Info().Stringer("job", id).Str("old", string(before.Goal)).Str("goal", string(e.Goal)).Msg("goal changed")
		}
	}
	r.executions = next
	return nil
}

func (r *reconciler) save(executions map[job.ID]execution) error {
	stored := maps.Clone(executions)
	return r.dir.write(executionsFile, pretty(executionsJSON(&stored)))
}

// remember makes the wishes durable, if they changed.
func (r *reconciler) remember(wished wishes) error {
	if err := r.file.save(wished); err != nil {
		return err
	}
	r.wishes = wished
	r.wishes.undeployed = nil
	r.mu.Lock()
	r.told = r.wishes
	r.mu.Unlock()
	return nil
}

// reportRefused reports each task that cannot have its ports, once for each reason (agent Q6).
func (r *reconciler) reportRefused(refused map[job.ID]error) {
	reasons := make(map[job.ID]string, len(refused))
	ending := false // what holds the ports may be about to give them back
	for _, e := range r.executions {
		ending = ending || e.Goal == job.Undeploy
	}
	for id, err := range refused {
		if ending {
			continue
		}
		reasons[id] = err.Error()
		if e := r.executions[id]; e.Goal == job.Start && r.refused[id] != reasons[id] {
			r.log.Warn().Stringer("job", id).Err(err).Msg("ports cannot be allocated")
			r.report(job.TaskStatus{
				Job: e.Job, Goal: e.Goal, State: job.Failed, Throttled: job.NotThrottled,
				Ports: e.Job.Ports, ContainerError: reasons[id],
			})
		}
	}
	r.refused = reasons
}

// drop forgets the supervisors that have come to their end.
func (r *reconciler) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range r.ended {
		delete(r.running, id)
		delete(r.rebound, id)
	}
	r.ended = nil
}

// steer hands every supervisor its goal, and makes those that are missing.
func (r *reconciler) steer(ctx context.Context, tasks *sync.WaitGroup) {
	for id, e := range r.executions {
		r.mu.Lock()
		s := r.running[id]
		r.mu.Unlock()
		switch {
		case s != nil:
			s.SetGoal(e.Goal)
		case e.Goal == job.Start && e.Ports != nil:
			r.start(ctx, tasks, id)
		}
	}
}

// start makes the supervisor of a task and lets it run.
func (r *reconciler) start(ctx context.Context, tasks *sync.WaitGroup, id job.ID) {
	var last *job.TaskStatus
	if status, known := r.statuses.last(id); known {
		last = &status
	}
	s, err := r.supervise(r.executions[id], last)
	if err != nil {
		r.log.Error().Stringer("job", id).Err(err).Msg("task cannot be run")
		return
	}
	r.mu.Lock()
	r.running[id] = s
	r.mu.Unlock()
	tasks.Go(func() {
		if err := s.Run(ctx); err != nil {
			return // the agent ends
		}
		r.mu.Lock()
		r.ended = append(r.ended, id)
		r.mu.Unlock()
		ring(r.bell)
	})
}

// forget removes all records of the tasks that are undeployed and stopped.
func (r *reconciler) forget() error {
	var gone []job.ID
	for id, e := range r.executions {
		r.mu.Lock()
		_, supervised := r.running[id]
		r.mu.Unlock()
		if e.Goal == job.Undeploy && !supervised {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.SortFunc(gone, job.ID.Compare)
	var errs []error
	left := maps.Clone(r.executions)
	for _, id := range gone {
		errs = append(errs, r.statuses.remove(id))
		delete(left, id)
	}
	if err := errors.Join(append(errs, r.save(left))...); err != nil {
		return fmt.Errorf("remove records of undeployed tasks: %w", err)
	}
	r.executions = left
	for _, id := range gone {
		r.log.Info().Stringer("job", id).Msg("undeployed")
	}
	ring(r.bell) // what they held may be what others wait for
	return nil
}
