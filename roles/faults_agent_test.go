package roles_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestFaultsOfAgents ends and stops agents, at every effect they have and in every state of a task.
func TestFaultsOfAgents(t *testing.T) {
	promises(t, []promise{
		{"an agent may be killed at any effect of its start", 10 * time.Second, false, agentKilledInStart},
		{"an agent may be killed at any effect of a deployment, whose container is started once", 20 * time.Second, true, agentKilledInDeploy},
		{"an agent may be killed at any effect of a restart, and a dead container is replaced once", 20 * time.Second, false, agentKilledInRestart},
		{"an agent may be killed at any effect of an undeployment, after which nothing is started", 20 * time.Second, false, agentKilledInUndeploy},
		{"an agent may be killed during pull, create, start, health check and stop", 30 * time.Second, true, agentKilledAmid},
		{"an agent may be killed in the grace period of a container, which ends in order once the agent is back", 30 * time.Second, true, agentKilledInGrace},
		{"an agent may hang for longer than its session", 20 * time.Second, false, agentHangs},
		{"an agent may be started without ZooKeeper, and containers that died meanwhile are replaced", 20 * time.Second, false, agentWithoutZooKeeper},
		{"an agent may be started without Docker", 20 * time.Second, false, agentWithoutDocker},
		{"an agent may be started without ZooKeeper and Docker", 20 * time.Second, false, agentWithoutBoth},
		{"a second agent of the same name starts, stops and says nothing", 20 * time.Second, true, agentTwice},
		{"a state directory may be copied, and an agent started on it, of the same name or another one", 20 * time.Second, true, stateCopied},
		{"a host may be renamed, and named back", 15 * time.Second, false, hostRenamed},
	})
}

// starts is how many containers of the job were started since the host is watched.
func (tr *trial) starts(docker *dockertest.Daemon, id job.ID) int {
	n := 0
	for _, e := range tr.watches[docker].Events() {
		if e.Action == "start" && e.Labels["helios.job"] == id.String() {
			n++
		}
	}
	return n
}

// startsOnce tells whether one container of the job runs, the only one that was ever started, and nobody touched it.
func (tr *trial) startsOnce(docker *dockertest.Daemon, id job.ID) error {
	if err := runsOnly(docker, id, ""); err != nil {
		return err
	}
	for _, e := range tr.watches[docker].Events() {
		if e.Labels["helios.job"] == id.String() && slices.Contains(harming, e.Action) {
			tr.lost++
			tr.Errorf("lost: %s of %s of %s", e.Action, e.Container, id)
		}
	}
	switch n := tr.starts(docker, id); {
	case n == 0:
		return errors.New("its start was not seen yet")
	case n > 1:
		tr.doubled++
		tr.Errorf("doubled: %d containers of %s were started", n, id)
	}
	return nil
}

func agentKilledInStart(tr *trial) {
	c := tr.start(setup{tasks: 2})
	e := countEffects(tr, c.agents[0], c.zk)
	e.atEach(tr, 5, func() (begin func(), wished func() error) {
		e.stop()
		return e.comeBack, c.wished
	})
	c.recovers()
}

func agentKilledInDeploy(tr *trial) {
	c := tr.start(setup{})
	e := countEffects(tr, c.agents[0], c.zk)
	docker := e.docker
	var last *job.ID
	e.atEach(tr, 20, func() (begin func(), wished func() error) {
		if last != nil {
			c.undeploy(*last, docker.Host)
			c.awaitGone(*last, docker.Host)
		}
		id := c.create(job.Job{Image: &c.image, Ports: map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}})
		last = &id
		return func() { c.deploy(id, docker.Host) }, func() error {
			return errors.Join(c.runs(id, docker.Host, ""), tr.startsOnce(docker, id))
		}
	})
	c.recovers()
}

func agentKilledInRestart(tr *trial) {
	c := tr.start(setup{})
	e := countEffects(tr, c.agents[0], c.zk)
	docker, id := e.docker, c.ids[0]
	c.deployAll(1) // no fault hurts this one
	e.atEach(tr, 20, func() (begin func(), wished func() error) {
		before := running(docker, id)[0].ID
		tr.hurt(docker, id)
		return func() { docker.Kill(before) }, func() error {
			err := errors.Join(runsOnly(docker, id, ""), c.wished())
			if err == nil && running(docker, id)[0].ID == before {
				err = errors.New("it was not killed yet")
			}
			return err
		}
	})
	c.recovers()
}

func agentKilledInUndeploy(tr *trial) {
	c := tr.start(setup{})
	e := countEffects(tr, c.agents[0], c.zk)
	docker := e.docker
	e.atEach(tr, 10, func() (begin func(), wished func() error) {
		id := c.create(job.Job{Image: &c.image})
		c.deploy(id, docker.Host)
		c.awaitState(id, docker.Host, job.Running)
		storetest.Eventually(tr, inTime, func() error { return errors.Join(tr.startsOnce(docker, id), e.calm()) })
		return func() { c.undeploy(id, docker.Host) }, func() error {
			if list := running(docker, id); len(list) > 0 {
				return fmt.Errorf("it runs: %+v", list)
			}
			if s, err := c.task(id, docker.Host); err != nil || s != nil {
				return fmt.Errorf("%s, %w", describe(s), err)
			}
			if n := tr.starts(docker, id); n > 1 {
				tr.doubled++
				tr.Errorf("%s was started %d times", id, n)
			}
			return nil
		}
	})
	c.recovers()
}

// agentKilledAmid has one agent in the middle of everything when it is killed: each task is in another state.
func agentKilledAmid(tr *trial) {
	c := tr.start(setup{})
	a := c.agents[0]
	docker := a.docker
	registry := docker.Registry("127.0.0.1:0")
	image := registry.Push("probe:1", dockertest.Calling(tr, dockertest.Probe(tr), []string{"/probe"}, "nonsense")) // not the one that is there
	mended := make(chan struct{})
	registry.Break(func(whole http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				whole.ServeHTTP(w, r)
				return
			}
			select {
			case <-mended:
				whole.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		})
	})
	held := newHolds()
	a.stop()
	a.args = append(a.args, "--docker", dockerProxy(tr, held.handle, nil))
	a.restart()

	tasks := make(map[string]job.ID)
	begin := func(what string, j job.Job, state job.State) {
		if j.Image == nil {
			j.Image = &c.image
		}
		id := c.create(j)
		tasks[what] = id
		held.hold(what, id)
		c.deploy(id, docker.Host)
		if state != "" {
			c.awaitState(id, docker.Host, state)
		}
	}
	begin("pull", job.Job{Image: &image, Command: []string{"http"}}, job.PullingImage)
	for _, what := range []string{"before create", "after create", "before start", "after start"} {
		begin(what, job.Job{}, "")
		held.await(tr, what)
	}
	begin("health check", job.Job{
		Command: []string{"http", "-fail-healthz", "15"}, HealthCheck: &job.HealthCheck{Type: job.CheckHTTP, Path: new("/healthz"), Port: new("http")},
		Ports: map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}},
	}, job.HealthChecking)
	begin("stop", job.Job{Command: []string{"ignoreterm"}, SecondsToWaitBeforeKill: new(int32(8))}, job.Running)
	c.undeploy(tasks["stop"], docker.Host)
	c.awaitState(tasks["stop"], docker.Host, job.Stopping)

	a.kill()
	held.release()
	close(mended)
	tr.ends()
	a.restart()
	tr.reaches(func() error {
		errs := []error{c.wished()}
		for what, id := range tasks {
			if what == "stop" {
				if list := running(docker, id); len(list) > 0 {
					errs = append(errs, fmt.Errorf("it runs: %+v", list))
				}
				continue
			}
			if err := errors.Join(c.runs(id, docker.Host, ""), tr.startsOnce(docker, id)); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", what, err))
			}
		}
		return errors.Join(errs...)
	})
	c.awaitGone(tasks["stop"], docker.Host)
	c.recovers()
}

// agentKilledInGrace has the agent killed after it has withdrawn the services of an undeployed task, while the container
// serves on.
func agentKilledInGrace(tr *trial) {
	c := tr.start(setup{})
	a := c.agents[0]
	a.announces()
	docker := a.docker
	id := c.create(job.Job{
		Image: &c.image, GracePeriod: new(int32(10)), Registration: foo("p"),
		Ports: map[string]job.PortMapping{"p": {InternalPort: 8080, Protocol: "tcp"}},
	})
	c.deploy(id, docker.Host)
	container := *c.awaitState(id, docker.Host, job.Running).ContainerID
	a.said("announced: 1 of")
	c.undeploy(id, docker.Host)
	a.said("withdrawn: 1 of")
	a.kill()
	tr.Logf("killed in the grace period of %s", container)
	if err := runsOnly(docker, id, container); err != nil {
		tr.Error(err)
	}
	tr.ends()
	a.restart()
	tr.reaches(func() error {
		if list := running(docker, id); len(list) > 0 {
			return fmt.Errorf("it runs: %+v", list)
		}
		if s, err := c.task(id, docker.Host); err != nil || s != nil {
			return fmt.Errorf("%s, %w", describe(s), err)
		}
		return c.wished()
	})
	if n := tr.starts(docker, id); n != 1 {
		tr.doubled++
		tr.Errorf("%d containers were started", n)
	}
	for _, e := range tr.watches[docker].Events() {
		if e.Labels["helios.job"] == id.String() && e.Action == "die" {
			tr.Logf("after: %s ended with %s at %s", e.Container, e.Labels["exitCode"], e.At.Format(time.StampMilli))
			if e.Container != container || e.Labels["exitCode"] == "137" {
				tr.Errorf("%s ended with %s, want %s to end in order", e.Container, e.Labels["exitCode"], container)
			}
		}
	}
	c.recovers()
}

func agentHangs(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	for _, a := range c.agents {
		a.signal(syscall.SIGSTOP)
	}
	docker, id := c.agents[0].docker, c.ids[0]
	tr.hurt(docker, id)
	docker.Kill(running(docker, id)[0].ID)
	c.awaitExpired()
	tr.goesOn(2 * time.Second)
	for _, a := range c.agents {
		a.signal(syscall.SIGCONT)
	}
	c.recovers()
}

func agentWithoutZooKeeper(tr *trial) {
	c := tr.start(setup{tasks: 2, links: true})
	a, id := c.agents[0], c.ids[0]
	c.each((*storetest.Proxy).Cut)
	a.kill()
	tr.hurt(a.docker, id)
	a.docker.Kill(running(a.docker, id)[0].ID)
	a.restart()
	storetest.Eventually(tr, inTime, func() error { return runsOnly(a.docker, id, "") })
	tr.goesOn(5 * time.Second)
	c.each((*storetest.Proxy).Heal)
	c.recovers()
}

// throughLink has the agent reach Docker through a link that can be broken.
func (tr *trial) throughLink(a *agent) *storetest.Proxy {
	tr.Helper()
	link := storetest.StartProxy(tr, "/var/run/docker.sock")
	a.stop()
	a.args = append(a.args, "--docker", "unix://"+link.Addr())
	a.restart()
	return link
}

func agentWithoutDocker(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a, id := c.agents[0], c.ids[0]
	link := tr.throughLink(a)
	storetest.Eventually(tr, inTime, c.wished)
	link.Cut()
	a.kill()
	tr.hurt(a.docker, id)
	a.docker.Kill(running(a.docker, id)[0].ID)
	a.restart()
	c.await(a.docker.Host, host.Up)
	tr.goesOn(5 * time.Second)
	link.Heal()
	c.recovers()
}

func agentWithoutBoth(tr *trial) {
	c := tr.start(setup{tasks: 2, links: true})
	a := c.agents[0]
	link := tr.throughLink(a)
	storetest.Eventually(tr, inTime, c.wished)
	link.Cut()
	c.each((*storetest.Proxy).Cut)
	a.kill()
	a.restart()
	c.awaitExpired()
	tr.goesOn(5 * time.Second)
	c.each((*storetest.Proxy).Heal)
	c.await(a.docker.Host, host.Up)
	tr.goesOn(2 * time.Second)
	link.Heal()
	c.recovers()
}

// agentTwice has a second agent of the first one's name, with another id, on the same Docker.
func agentTwice(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a, id := c.agents[0], c.ids[0]
	other := start(tr, nil, "agent", "--name", a.docker.Host, "--state-dir", tr.TempDir(), "--zk", c.zk, "--no-http", "--zk-session-timeout", sessions)
	other.said("another agent .* holds the host name")
	tr.goesOn(5 * time.Second)
	tr.hurt(a.docker, id)
	a.docker.Kill(running(a.docker, id)[0].ID)
	tr.ends()
	tr.reaches(func() error { return errors.Join(c.wished(), runsOnly(a.docker, id, "")) })
	tr.goesOn(2 * time.Second)
	if text := other.log(); strings.Contains(text, "task changed") || strings.Contains(text, "killed a container") {
		tr.Errorf("the second agent did something: %s", text)
	}
	other.stop()
	c.recovers()
}

// stateCopied has two more agents on copies of the first one's state directory, on the same Docker, where it alone acts
// until it has ended.
func stateCopied(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a, id := c.agents[0], c.ids[0]
	args := slices.Clone(a.args)
	another := func(name string) *process {
		dir := filepath.Join(tr.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(a.dir)); err != nil {
			tr.Fatal(err)
		}
		p := start(tr, nil, append(slices.Clone(args), "--state-dir", dir, "--name", name)...)
		p.said("is a copy of that of the agent of " + regexp.QuoteMeta(a.docker.Host))
		return p
	}
	twin, other := another(a.docker.Host), another("other-"+a.docker.Host)
	tr.hurt(a.docker, id)
	a.docker.Kill(running(a.docker, id)[0].ID)
	tr.ends()
	tr.reaches(func() error { return errors.Join(c.wished(), runsOnly(a.docker, id, "")) })
	storetest.Eventually(tr, inTime, c.deployUnwatched())
	tr.goesOn(5 * time.Second)
	for _, p := range []*process{twin, other} {
		if text := p.log(); strings.Contains(text, "task changed") || strings.Contains(text, "killed a container") {
			tr.Errorf("an agent on a copy did something: %s", text)
		}
	}
	other.stop()
	a.stop() // the copy takes its place, and its containers
	c.recovers()
}

func hostRenamed(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a := c.agents[0]
	args := slices.Clone(a.args)
	a.stop()
	name := "new-" + a.docker.Host
	a.docker.Own("helios.host=" + name)
	a.args = append(a.args, "--name", name)
	a.restart()
	a.said(`(?s)agent starts.*agent starts`)
	tr.goesOn(5 * time.Second)
	if _, err := c.RegisterHost(tr.Context(), name, a.id); err != nil {
		tr.Fatal(err)
	}
	c.await(name, host.Up)
	tr.goesOn(5 * time.Second)
	a.stop()
	a.args = args
	a.restart()
	c.recovers()
}
