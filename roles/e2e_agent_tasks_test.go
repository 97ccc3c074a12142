package roles_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// cases runs each case beside the others, on a host and a Docker of its own, over one master and a real ZooKeeper.
func cases(t *testing.T, list []agentCase, masterOptions ...string) {
	shared, _ := startMaster(t, storetest.ZooKeeper(t), masterOptions...)
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := &hostCase{cluster: shared.seenBy(t), docker: dockertest.New(t)}
			h.image = *shell(t, h.docker)
			c.test(t, h)
		})
	}
}

// agentCase is a case of the acceptance catalogues; the image of its host is a shell.
type agentCase struct {
	name string
	test func(t *testing.T, h *hostCase)
}

// TestTasksOfAnAgent are the cases of a task's beginning and end, and of an agent that is away for a part of it.
func TestTasksOfAnAgent(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"AGT-005 process that ignores SIGTERM is killed when its time is over", killedInTime},
		{"AGT-013 task undeployed before its agent ever ran leaves nothing", neverRun},
		{"SYS-048, AGT-015 image named by its digest runs", namedByDigest},
		{"AGT-025 pull cut short by a restart is done again", restartWhilePulling},
		{"AGT-026 agent killed between create and start leaves one container", killedBeforeStart},
		{"AGT-042 killed container is replaced within seconds", killedOutside},
		{"AGT-047 registry that is away keeps no local image from running", registryAway},
		{"AGT-089 goal STOP set while the agent was away gives the process its time", stoppedWhileAway},
		{"AGT-094 stopped task says nothing new when its agent restarts", stoppedStaysSilent},
	})
}

// ended is what Docker says of a container that does not run.
func (h *hostCase) ended(container string) (code int, lasted time.Duration) {
	h.t.Helper()
	var seen struct {
		State struct {
			Running               bool
			ExitCode              int
			StartedAt, FinishedAt time.Time
		}
	}
	h.inspect(container, &seen)
	if seen.State.Running {
		h.t.Errorf("%s runs", container)
	}
	return seen.State.ExitCode, seen.State.FinishedAt.Sub(seen.State.StartedAt)
}

// states are those of the job's history, in order.
func (h *hostCase) states(id job.ID) []job.TaskStatusEvent {
	h.t.Helper()
	history, err := h.History(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return history.Events
}

// another waits until the job runs in another container than before, and returns its status.
func (h *hostCase) another(id job.ID, before string) *job.TaskStatus {
	h.t.Helper()
	var status *job.TaskStatus
	storetest.Eventually(h.t, inTime, func() (err error) {
		if status, err = h.task(id, h.docker.Host); err != nil {
			return err
		}
		if status == nil || status.State != job.Running || *status.ContainerID == before {
			return fmt.Errorf("%s, container was %s", describe(status), before)
		}
		return runsOnly(h.docker, id, *status.ContainerID)
	})
	return status
}

func killedInTime(t *testing.T, h *hostCase) {
	h.start()
	id := h.create(job.Job{Image: &h.image, Command: loop("trap '' TERM"), SecondsToWaitBeforeKill: new(int32(2))})
	container := *h.run(id).ContainerID
	began := time.Now()
	h.setGoal(id, h.docker.Host, job.Stop)
	h.awaitState(id, h.docker.Host, job.Stopped)
	took := time.Since(began)
	if code, _ := h.ended(container); code != 137 || took < 2*time.Second || took > time.Minute {
		t.Errorf("ended with %d after %s", code, took)
	}
}

func neverRun(t *testing.T, h *hostCase) {
	agentID := unique("id")
	if _, err := h.RegisterHost(t.Context(), h.docker.Host, agentID); err != nil {
		t.Fatal(err)
	}
	id := h.create(job.Job{Image: &h.image, Command: idle})
	h.deploy(id, h.docker.Host)
	h.undeploy(id, h.docker.Host)
	h.start("--id", agentID)
	h.awaitGone(id, h.docker.Host)
	if answer, err := h.RemoveJob(t.Context(), id, ""); err != nil || answer.Status != httpapi.OK {
		t.Errorf("delete the job: %s, %v", answer.Status, err)
	}
	holds(t, 2*time.Second, func() error {
		if list := h.docker.Containers(); len(list) != 0 {
			return fmt.Errorf("containers: %+v", list)
		}
		return nil
	})
}

func namedByDigest(t *testing.T, h *hostCase) {
	h.start()
	registry := h.docker.Registry("127.0.0.1:0")
	digest := registry.Digest(registry.Push("shell:1", dockertest.Busybox(t)))
	image := registry.Addr + "/shell@" + digest
	id := h.create(job.Job{Image: &image, Command: idle})
	if stored, err := h.Job(t.Context(), id); err != nil || *stored.Image != image {
		t.Errorf("stored with %v, %v", stored.Image, err)
	}
	h.run(id)
}

// gate is a registry behind a door: pulls wait while it is shut.
type gate struct {
	addr string
	open chan struct{} // closed when it is open
	n    atomic.Int64  // how often an image was asked for
}

func newGate(t *testing.T, registry *dockertest.Registry) *gate {
	g := &gate{open: make(chan struct{})}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.addr = listener.Addr().String()
	through := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry.Addr})
	through.Transport = &http.Transport{DisableKeepAlives: true}
	through.ErrorLog = log.New(io.Discard, "", 0)
	server := &http.Server{ReadHeaderTimeout: inTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			g.n.Add(1)
			select {
			case <-g.open:
			case <-r.Context().Done():
				return
			}
		}
		through.ServeHTTP(w, r)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return g
}

func restartWhilePulling(t *testing.T, h *hostCase) {
	a := h.start()
	registry := h.docker.Registry("127.0.0.1:0")
	registry.Push("shell:1", dockertest.Busybox(t))
	g := newGate(t, registry)
	image := g.addr + "/shell:1"
	h.docker.Forget(image)
	id := h.create(job.Job{Image: &image, Command: idle})
	h.deploy(id, h.docker.Host)
	h.awaitState(id, h.docker.Host, job.PullingImage)
	storetest.Eventually(t, inTime, func() error {
		if g.n.Load() == 0 {
			return errors.New("not asked yet")
		}
		return nil
	})
	a.stop()
	before := g.n.Load()
	a.restart()
	storetest.Eventually(t, inTime, func() error {
		if g.n.Load() == before {
			return errors.New("not asked again")
		}
		return nil
	})
	close(g.open)
	container := *h.awaitState(id, h.docker.Host, job.Running).ContainerID
	if list := h.docker.Containers(); len(list) != 1 || list[0].ID != container {
		t.Errorf("containers: %+v", list)
	}
}

// killedBeforeStart kills the agent at the moment it asks Docker to start a container: one that passes on all else.
func killedBeforeStart(t *testing.T, h *hostCase) {
	var a *agent
	starts := make(chan struct{}, 1)
	again := make(chan struct{})
	endpoint := dockerProxy(t, func(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/start") {
			select {
			case starts <- struct{}{}:
				<-again // the agent is killed meanwhile
			default:
			}
		}
		daemon.ServeHTTP(w, r)
	}, nil)
	a = h.start("--docker", endpoint)
	id := h.create(job.Job{Image: &h.image, Command: idle})
	h.deploy(id, h.docker.Host)
	select {
	case <-starts:
	case <-time.After(inTime):
		t.Fatal("no container was about to be started")
	}
	a.kill()
	close(again)
	h.await(h.docker.Host, host.Down)
	made := h.docker.Containers()
	if len(made) != 1 {
		t.Fatalf("containers: %+v", made)
	}
	a.restart()
	h.await(h.docker.Host, host.Up)
	storetest.Eventually(t, inTime, func() error {
		return errors.Join(h.runs(id, h.docker.Host, ""), runsOnly(h.docker, id, ""))
	})
	holds(t, 2*time.Second, func() error { return runsOnly(h.docker, id, "") })
}

func killedOutside(t *testing.T, h *hostCase) {
	h.start()
	id := h.create(job.Job{Image: &h.image, Command: idle})
	container := *h.run(id).ContainerID
	h.docker.Kill(container)
	began := time.Now()
	h.another(id, container)
	if took := time.Since(began); took > 25*time.Second { // without a word of Docker's, the next look is after half a minute
		t.Errorf("replaced after %s", took)
	}
	storetest.Eventually(t, inTime, func() error {
		var states strings.Builder
		for _, e := range h.states(id) {
			fmt.Fprint(&states, e.Status.State, " ")
		}
		if !strings.Contains(states.String(), "RUNNING EXITED PULLING_IMAGE CREATING STARTING RUNNING") {
			return fmt.Errorf("history: %s", &states)
		}
		return nil
	})
}

func registryAway(t *testing.T, h *hostCase) {
	h.start()
	h.run(h.create(job.Job{Image: &h.image, Command: idle})) // of a registry on a closed port
	missing := h.create(job.Job{Image: new("127.0.0.1:1/" + unique("none") + ":1"), Command: idle})
	h.deploy(missing, h.docker.Host)
	if status := h.awaitState(missing, h.docker.Host, job.Failed); status.Throttled != job.ImagePullFailed {
		t.Errorf("an image that is nowhere: %s", describe(status))
	}
}

func stoppedWhileAway(t *testing.T, h *hostCase) {
	a := h.start()
	id := h.create(job.Job{Image: &h.image, Command: loop("trap 'echo term; sleep 2; echo done; exit 0' TERM; echo ready"), SecondsToWaitBeforeKill: new(int32(60))})
	container := *h.run(id).ContainerID
	ready(t, h.docker, container)
	a.stop()
	h.setGoal(id, h.docker.Host, job.Stop)
	a.restart()
	h.awaitState(id, h.docker.Host, job.Stopped)
	if code, _ := h.ended(container); code != 0 || h.docker.Logs(container) != "ready\nterm\ndone\n" {
		t.Errorf("ended with %d, having written %q", code, h.docker.Logs(container))
	}
}

func stoppedStaysSilent(t *testing.T, h *hostCase) {
	a := h.start()
	id := h.create(job.Job{Image: &h.image, Command: idle})
	h.run(id)
	h.setGoal(id, h.docker.Host, job.Stop)
	h.awaitState(id, h.docker.Host, job.Stopped)
	told := regexp.MustCompile(`STOPPED $`)
	var before []job.TaskStatusEvent
	storetest.Eventually(t, inTime, func() error {
		before = h.states(id)
		if len(before) == 0 || !told.MatchString(fmt.Sprint(before[len(before)-1].Status.State, " ")) {
			return errors.New("the stop is not in the history yet")
		}
		return nil
	})
	a.stop()
	h.await(h.docker.Host, host.Down)
	a.restart()
	h.await(h.docker.Host, host.Up)
	other := h.create(job.Job{Image: &h.image, Command: idle}) // its history comes later than anything said at the start
	h.run(other)
	storetest.Eventually(t, inTime, func() error {
		if len(h.states(other)) < 4 {
			return errors.New("the history is not written yet")
		}
		return nil
	})
	if after := h.states(id); len(after) != len(before) {
		t.Errorf("%d history items before the restart, %d after", len(before), len(after))
	}
}
