package roles_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// This file is a stream of commands that goes on while processes die, and the judge of what came of each command.

var streamSeed = flag.Uint64("stream.seed", 0, "the seed of the commands that are given while processes die; any by default")

// password is the token of the stream's jobs: a command without it is refused.
const password = "open sesame"

// stream is several lanes of commands, and a log of them and of the deaths.
type stream struct {
	e     *ensembleCluster
	lanes []*lane

	mu     sync.Mutex // guards what follows
	log    []string
	deaths []death
}

// death is the time from before a process was killed until it answered again.
type death struct {
	victim   string
	from, to time.Time
}

// lane is the commands about one job on one host, one after the other. What is said of them is known exactly: nobody
// else names that task.
type lane struct {
	*stream
	id      job.ID
	docker  *dockertest.Daemon
	patient bool // waits for the effect of each command
	random  *rand.Rand

	goal   job.Goal // as the accepted commands have it; "" when the job is not deployed
	starts int      // how many accepted commands wanted a container where none was wanted before
}

// verb is a command about a task.
type verb struct {
	name     string
	goal     job.Goal       // what it makes of the task
	repeated httpapi.Status // the answer if it was carried out before, and the answer to that was lost
	send     func(l *lane, token string) (httpapi.Status, error)
	answer   func(job.Goal) httpapi.Status // what a task with this goal gets
}

var verbs = []verb{
	deploying(job.Start), deploying(job.Stop), changing(job.Start), changing(job.Stop),
	{
		name: "undeploy", repeated: httpapi.JobNotFound,
		send: func(l *lane, token string) (httpapi.Status, error) {
			r, err := l.e.Undeploy(l.e.t.Context(), l.docker.Host, l.id, token)
			return r.Status, err
		},
		answer: func(g job.Goal) httpapi.Status { return either(g != "", httpapi.OK, httpapi.JobNotFound) },
	},
}

func deploying(goal job.Goal) verb {
	return verb{
		name: "deploy " + string(goal), goal: goal, repeated: httpapi.JobAlreadyDeployed,
		send: func(l *lane, token string) (httpapi.Status, error) {
			r, err := l.e.Deploy(l.e.t.Context(), l.docker.Host, l.id, goal, token)
			return r.Status, err
		},
		answer: func(g job.Goal) httpapi.Status { return either(g == "", httpapi.OK, httpapi.JobAlreadyDeployed) },
	}
}

func changing(goal job.Goal) verb {
	return verb{
		name: "goal " + string(goal), goal: goal, repeated: httpapi.OK,
		send: func(l *lane, token string) (httpapi.Status, error) {
			r, err := l.e.SetGoal(l.e.t.Context(), l.docker.Host, l.id, goal, token)
			return r.Status, err
		},
		answer: func(g job.Goal) httpapi.Status { return either(g != "", httpapi.OK, httpapi.JobNotDeployed) },
	}
}

func either(first bool, a, b httpapi.Status) httpapi.Status {
	if first {
		return a
	}
	return b
}

// startStream makes a patient and a hasty lane on each host.
func (e *ensembleCluster) startStream() *stream {
	e.t.Helper()
	s := &stream{e: e}
	seed := cmp.Or(*streamSeed, rand.Uint64())
	e.t.Logf("-stream.seed %d", seed)
	for _, patient := range []bool{true, false} {
		id := e.create(job.Job{Image: &e.image, Token: password})
		for i, a := range e.agents {
			s.lanes = append(s.lanes, &lane{
				stream: s, id: id, docker: a.docker, patient: patient, random: rand.New(rand.NewPCG(seed, uint64(len(s.lanes)+i))),
			})
		}
	}
	return s
}

// during lets the stream flow while f runs, and then waits until every lane has come to rest.
func (s *stream) during(f func()) error {
	ctx, stop := context.WithCancel(s.e.t.Context())
	defer stop()
	lanes, flowing := errgroup.WithContext(ctx)
	for _, l := range s.lanes {
		lanes.Go(func() error { return l.flow(flowing) })
	}
	f()
	stop()
	err := lanes.Wait()
	path := filepath.Join(s.e.t.ArtifactDir(), "commands.log")
	return errors.Join(err, os.WriteFile(path, []byte(strings.Join(s.log, "\n")+"\n"), 0o600))
}

func (s *stream) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// dies notes that a process is killed by kill, started again by revive and back when that returns.
func (s *stream) dies(victim string, kill, revive func()) {
	s.mu.Lock()
	s.deaths = append(s.deaths, death{victim: victim, from: time.Now()})
	mine := len(s.deaths) - 1
	s.mu.Unlock()
	s.note("KILL %s", victim)
	kill()
	revive()
	s.note("BACK %s", victim)
	s.mu.Lock()
	s.deaths[mine].to = time.Now()
	s.mu.Unlock()
}

// died tells whether the victim was dead at any time between from and to.
func (s *stream) died(victim string, from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.deaths, func(d death) bool {
		return strings.HasPrefix(d.victim, victim) && d.from.Before(to) && (d.to.IsZero() || d.to.After(from))
	})
}

// flow gives commands until ctx ends, and waits for the effect of the last one.
func (l *lane) flow(ctx context.Context) error {
	for ctx.Err() == nil {
		v := verbs[l.random.IntN(len(verbs))]
		if l.random.IntN(4) > 0 { // most commands are to change something
			for v.goal == l.goal || v.answer(l.goal) != httpapi.OK {
				v = verbs[l.random.IntN(len(verbs))]
			}
		}
		if err := l.command(v, l.random.IntN(8) > 0); err != nil {
			return err
		}
		if l.patient {
			if err := l.settle(); err != nil {
				return err
			}
		}
		pause(ctx, time.Duration(l.random.Int64N(int64(300*time.Millisecond))))
	}
	return l.settle()
}

func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// command gives one command, again for as long as no master knows its outcome, and judges the answer.
func (l *lane) command(v verb, authorized bool) error {
	begin, word, want := time.Now(), password, v.answer(l.goal)
	if !authorized {
		word = ""
		if want != httpapi.JobNotFound { // a task that is not there has no token
			want = httpapi.Forbidden
		}
	}
	text := fmt.Sprintf("%s %s %s", v.name, l.id.Name, l.docker.Host)
	again := false
	var got httpapi.Status
	for got == "" {
		var err error
		if got, err = v.send(l, word); got == "" {
			if time.Since(begin) > inTime {
				return fmt.Errorf("%s: %w", text, err)
			}
			l.note("%s: outcome unknown: %v", text, err)
			again = true
			pause(l.e.t.Context(), 100*time.Millisecond)
		}
	}
	lost := got != want && want == httpapi.OK && got == v.repeated && (again || l.died("master", begin, time.Now()))
	l.note("%s: %s after %s%s", text, got, time.Since(begin).Round(time.Millisecond), map[bool]string{true: ", carried out before"}[lost])
	if got != want && !lost {
		return fmt.Errorf("%s: answer %s, want %s: the goal was %q", text, got, want, l.goal)
	}
	if want == httpapi.OK {
		if v.goal == job.Start && l.goal != job.Start {
			l.starts++
		}
		l.goal = v.goal
	}
	return nil
}

// settle waits until the task is as the accepted commands want it.
func (l *lane) settle() error {
	over := time.Now().Add(inTime)
	for {
		err := l.settled(l.e.cluster)
		if err == nil {
			return nil
		}
		if time.Now().After(over) {
			return fmt.Errorf("the goal %q has no effect: %w", l.goal, err)
		}
		pause(l.e.t.Context(), 100*time.Millisecond)
	}
}

// settled tells whether deployment, status and containers are as the accepted commands want them.
func (l *lane) settled(c *cluster) error {
	status, err := c.HostStatus(c.t.Context(), l.docker.Host)
	if err != nil {
		return err
	}
	var goal job.Goal
	if d := status.Jobs[l.id]; d != nil {
		goal = d.Goal
	}
	if goal != l.goal {
		return fmt.Errorf("%s on %s is deployed with %q, want %q", l.id, l.docker.Host, goal, l.goal)
	}
	task := status.Statuses[l.id]
	switch {
	case l.goal == job.Start && task != nil && task.State == job.Running:
		return runsOnly(l.docker, l.id, *task.ContainerID)
	case l.goal == job.Stop && (task == nil || task.State == job.Stopped), l.goal == "" && task == nil:
		if list := running(l.docker, l.id); len(list) != 0 {
			return fmt.Errorf("running containers: %+v", list)
		}
		return nil
	}
	return fmt.Errorf("%s on %s with the goal %q: %s", l.id, l.docker.Host, l.goal, describe(task))
}

// onceEach tells whether each accepted command took effect once: never two containers at a time, and one for each
// command that wanted one, or fewer, where nobody waited for them.
func (l *lane) onceEach() error {
	list := lifetimes(l.e.t, l.docker, l.id)
	for i := 1; i < len(list); i++ {
		if list[i-1].State.Running || list[i-1].State.FinishedAt.After(list[i].State.StartedAt) {
			return fmt.Errorf("%s on %s was doubled: %+v", l.id, l.docker.Host, list)
		}
	}
	if len(list) > l.starts || l.patient && len(list) < l.starts {
		return fmt.Errorf("%s on %s: %d containers for %d accepted starts", l.id, l.docker.Host, len(list), l.starts)
	}
	return nil
}

// follows are the states that may follow each one in the history of a task whose agent lives on.
var follows = map[job.State][]job.State{
	job.PullingImage: {job.PullingImage, job.Creating, job.Stopping}, // a goal that came and went cuts a pull short
	job.Creating:     {job.Starting},
	job.Starting:     {job.Running},
	job.Running:      {job.Stopping},
	job.Stopping:     {job.Stopping, job.Stopped},
	job.Stopped:      {job.PullingImage, job.Starting}, // one that a killed agent has made just now is started
}

// inOrder tells whether the history of the task is one that can be: times ascend, and states follow each other as they
// may. A new agent begins by saying what it finds.
func (l *lane) inOrder() error {
	history, err := l.e.History(l.e.t.Context(), l.id)
	if err != nil {
		return err
	}
	var events []job.TaskStatusEvent
	for _, event := range history.Events {
		if *event.Host == l.docker.Host {
			events = append(events, event)
		}
	}
	for i := 1; i < len(events); i++ {
		a, b := events[i-1], events[i]
		restarted := l.died("agent "+l.docker.Host, time.UnixMilli(a.Timestamp), time.UnixMilli(b.Timestamp+1))
		if cmp.Compare(a.Timestamp, b.Timestamp) >= 0 || !restarted && !slices.Contains(follows[a.Status.State], b.Status.State) {
			return fmt.Errorf("history of %s on %s: %s, want none after %d", l.id, l.docker.Host, tell(events), i)
		}
	}
	want := job.Running
	if l.goal != job.Start {
		want = job.Stopped
	}
	if len(events) > 0 && events[len(events)-1].Status.State != want || len(events) == 0 && l.starts > 0 && l.patient {
		return fmt.Errorf("history of %s on %s: %s, want %s at the end", l.id, l.docker.Host, tell(events), want)
	}
	return nil
}

func tell(events []job.TaskStatusEvent) string {
	var text strings.Builder
	for _, event := range events {
		fmt.Fprintf(&text, "%s %s, ", time.UnixMilli(event.Timestamp).Format("15:04:05.000"), event.Status.State)
	}
	return text.String()
}
