package roles_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestFaultsOfDocker takes Docker away, and has it answer anything but the truth.
func TestFaultsOfDocker(t *testing.T) {
	promises(t, []promise{
		{"killing Docker that restores live containers stops none", 20 * time.Second, true, dockerKilledLive},
		{"killing or restarting Docker that ends its containers has each replaced once", 30 * time.Second, false, dockerKilled},
		{"a Docker daemon may be stopped by a signal, and go on", 15 * time.Second, false, dockerStopped},
		{"Docker may hang for longer than the agent waits", 15 * time.Second, false, dockerHangs},
		{"all answers of Docker may be lost, though it does what it is asked", 45 * time.Second, false, dockerMuted},
		{"connections to Docker may be half open", 45 * time.Second, false, dockerHalfOpen},
		{"Docker may answer every request with 500, also to an agent that starts", 20 * time.Second, true, dockerFails},
		{"Docker may answer nothing sensible, also to an agent that starts", 20 * time.Second, false, dockerRaves},
		{"Docker may list no container, also to an agent that starts", 20 * time.Second, false, dockerListsNone},
		{"Docker may list no container to an agent that lost its memory", 20 * time.Second, false, dockerListsNoneToNobody},
		{"Docker may answer late", 20 * time.Second, false, dockerAnswersLate},
		{"Docker's events may stay away, and a dead container is replaced all the same", 40 * time.Second, false, dockerEventsSilent},
		{"Docker's events may be cut again and again", 20 * time.Second, false, dockerEventsCut},
	})
}

// privateDaemons are how many daemons of their own tests may have at one time.
var privateDaemons = make(chan struct{}, 2)

// startPrivate starts a daemon of the test's own when there is room for it.
func startPrivate(tr *trial, args ...string) *dockertest.Private {
	tr.Helper()
	privateDaemons <- struct{}{}
	tr.Cleanup(func() { <-privateDaemons })
	return dockertest.StartPrivate(tr, args...)
}

// alive tells whether the processes of all watched containers that no fault hurts run, which needs no Docker to be known.
func (tr *trial) alive() error {
	for _, w := range tr.watched {
		if w.hurt > 0 {
			continue
		}
		if err := syscall.Kill(w.before.State.Pid, 0); err != nil {
			return fmt.Errorf("process %d of %s: %w", w.before.State.Pid, w.before.ID, err)
		}
	}
	return nil
}

func dockerKilledLive(tr *trial) {
	docker := startPrivate(tr, "--live-restore")
	c := tr.start(setup{tasks: 2, docker: docker.Daemon, agent: []string{"--docker", docker.Endpoint}})
	docker.Crash()
	holds(tr, 2*time.Second, tr.alive)
	c.agents[0].process.kill() // also an agent that starts meanwhile touches nothing
	c.agents[0].restart()
	c.await(docker.Host, host.Up)
	holds(tr, time.Second, tr.alive)
	docker.Start()
	c.recovers()
}

func dockerKilled(tr *trial) {
	docker := startPrivate(tr)
	c := tr.start(setup{tasks: 2, docker: docker.Daemon, agent: []string{"--docker", docker.Endpoint}})
	for _, end := range []func(){docker.Crash, docker.Stop} {
		tr.hurt(docker.Daemon)
		end()
		docker.Start()
		c.recovers()
	}
}

func dockerStopped(tr *trial) {
	docker := startPrivate(tr)
	c := tr.start(setup{tasks: 2, docker: docker.Daemon, agent: []string{"--docker", docker.Endpoint}})
	docker.Hang()
	tr.Cleanup(docker.GoOn)
	tr.hurt(docker.Daemon, c.ids[0])
	before := map[job.ID]string{c.ids[0]: tr.watched[0].before.ID}
	if err := syscall.Kill(tr.watched[0].before.State.Pid, syscall.SIGKILL); err != nil {
		tr.Error(err)
	}
	holds(tr, 40*time.Second, tr.alive)
	docker.GoOn()
	tr.replaced(c, docker.Daemon, before)
	c.recovers()
}

// amidDocker is the course of a fault of the link to Docker: meanwhile a container dies and a job is deployed; afterwards
// there is one new container of each.
func amidDocker(tr *trial, fault func(*storetest.Proxy), whole time.Duration) {
	tr.Helper()
	c := tr.start(setup{tasks: 3})
	a := c.agents[0]
	link := tr.throughLink(a)
	storetest.Eventually(tr, inTime, c.wished)
	fault(link)
	tr.hurt(a.docker, c.ids[0])
	a.docker.Kill(running(a.docker, c.ids[0])[0].ID)
	id := c.create(job.Job{Image: &c.image})
	c.deploy(id, a.docker.Host)
	tr.goesOn(whole)
	link.Heal()
	tr.ends()
	tr.reaches(func() error {
		return errors.Join(c.wished(), c.runs(id, a.docker.Host, ""), tr.startsOnce(a.docker, id))
	})
	c.recovers()
}

func dockerHangs(tr *trial) { amidDocker(tr, (*storetest.Proxy).Stall, 45*time.Second) }

func dockerMuted(tr *trial) { amidDocker(tr, (*storetest.Proxy).Mute, 45*time.Second) }

func dockerHalfOpen(tr *trial) { amidDocker(tr, (*storetest.Proxy).Forsake, time.Second) }

// dockerLink is an agent's way to Docker, on which a rule answers in Docker's place.
type dockerLink struct {
	mu   sync.Mutex // guards what follows
	rule func(w http.ResponseWriter, r *http.Request, daemon http.Handler)
	ctx  context.Context // of all requests under the rule
	end  context.CancelFunc
}

// throughRules has the agent reach Docker on a way with rules.
func (tr *trial) throughRules(a *agent) *dockerLink {
	tr.Helper()
	l := new(dockerLink)
	l.set(nil)
	tr.Cleanup(func() { l.set(nil) })
	a.stop()
	a.args = append(a.args, "--docker", dockerProxy(tr, l.handle, nil))
	a.restart()
	return l
}

// set makes another rule, nil to pass everything on, and cuts all requests that are under way.
func (l *dockerLink) set(rule func(w http.ResponseWriter, r *http.Request, daemon http.Handler)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end()
	}
	l.rule = rule
	l.ctx, l.end = context.WithCancel(context.Background())
}

func (l *dockerLink) handle(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
	l.mu.Lock()
	rule, cut := l.rule, l.ctx
	l.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(cut, cancel)()
	r = r.WithContext(ctx)
	if rule == nil {
		daemon.ServeHTTP(w, r)
		return
	}
	rule(w, r, daemon)
}

// lies is the course of a fault in which Docker answers otherwise than it should: the agent, and then one that starts,
// leave everything as it is, and a container that died meanwhile is replaced afterwards.
func lies(tr *trial, rule func(w http.ResponseWriter, r *http.Request, daemon http.Handler)) {
	tr.Helper()
	c := tr.start(setup{tasks: 3})
	a := c.agents[0]
	link := tr.throughRules(a)
	storetest.Eventually(tr, inTime, c.wished)
	link.set(rule)
	tr.hurt(a.docker, c.ids[0])
	a.docker.Kill(running(a.docker, c.ids[0])[0].ID)
	id := c.create(job.Job{Image: &c.image})
	c.deploy(id, a.docker.Host)
	tr.goesOn(4 * time.Second)
	a.process.kill()
	a.restart()
	c.await(a.docker.Host, host.Up)
	tr.goesOn(6 * time.Second)
	link.set(nil)
	tr.ends()
	tr.reaches(func() error {
		return errors.Join(c.wished(), c.runs(id, a.docker.Host, ""), tr.startsOnce(a.docker, id))
	})
	c.recovers()
}

func dockerFails(tr *trial) {
	lies(tr, func(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, `{"message":"something is wrong"}`)
	})
}

func dockerRaves(tr *trial) {
	n := 0
	var mu sync.Mutex
	lies(tr, func(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
		mu.Lock()
		n++
		body := []string{"", "{", "null", "[]", "{}", "<html>"}[n%6]
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	})
}

// noList is a rule that has Docker list no container.
func noList(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
	if strings.HasSuffix(r.URL.Path, "/containers/json") {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "[]")
		return
	}
	daemon.ServeHTTP(w, r)
}

func dockerListsNone(tr *trial) { lies(tr, noList) }

func dockerListsNoneToNobody(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a := c.agents[0]
	link := tr.throughRules(a)
	storetest.Eventually(tr, inTime, c.wished)
	link.set(noList)
	a.kill()
	empty(tr, a.dir)
	a.restart()
	tr.goesOn(6 * time.Second)
	link.set(nil)
	c.recovers()
}

func dockerAnswersLate(tr *trial) {
	lies(tr, func(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
		select {
		case <-time.After(5 * time.Second):
			daemon.ServeHTTP(w, r)
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	})
}

func isEvents(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/events") }

// dockerEventsSilent has no end: the agent goes on without events.
func dockerEventsSilent(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a, id := c.agents[0], c.ids[0]
	link := tr.throughRules(a)
	storetest.Eventually(tr, inTime, c.wished)
	link.set(func(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
		if !isEvents(r) {
			daemon.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	tr.goesOn(2 * time.Second) // the agent is subscribed again
	tr.hurt(a.docker, id)
	before := running(a.docker, id)[0].ID
	a.docker.Kill(before)
	tr.ends()
	tr.reaches(func() error {
		err := errors.Join(runsOnly(a.docker, id, ""), c.wished())
		if err == nil && running(a.docker, id)[0].ID == before {
			err = errors.New("it was not killed yet")
		}
		return err
	})
	storetest.Eventually(tr, inTime, c.deployUnwatched())
}

func dockerEventsCut(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a, id := c.agents[0], c.ids[0]
	link := tr.throughRules(a)
	storetest.Eventually(tr, inTime, c.wished)
	link.set(func(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
		if isEvents(r) {
			ctx, cancel := context.WithTimeout(r.Context(), 200*time.Millisecond)
			defer cancel()
			r = r.WithContext(ctx)
		}
		daemon.ServeHTTP(w, r)
	})
	tr.goesOn(5 * time.Second)
	tr.hurt(a.docker, id)
	a.docker.Kill(running(a.docker, id)[0].ID)
	tr.goesOn(5 * time.Second)
	link.set(nil)
	c.recovers()
}
