package docker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor"
	"github.com/helios-go/helios/supervisor/docker"
	"github.com/helios-go/helios/supervisor/dockertest"
	"github.com/helios-go/helios/supervisor/health"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// limit is how long anything here may take; loaded machines are slow.
const limit = 3 * time.Minute

// world is one agent's view of the real daemon, for one task.
type world struct {
	t      *testing.T
	daemon *dockertest.Daemon
	engine *docker.Engine
	opts   supervisor.Options

	mu      sync.Mutex
	reports []job.TaskStatus
	at      []time.Time

	super *supervisor.Supervisor
	stop  context.CancelFunc
	ended chan error
}

func newWorld(t *testing.T, j *job.Job) *world {
	t.Helper()
	return newWorldAt(t, j, os.Getenv("DOCKER_HOST"))
}

// newWorldAt reaches the daemon by another way.
func newWorldAt(t *testing.T, j *job.Job, endpoint string) *world {
	t.Helper()
	daemon := dockertest.New(t)
	engine, err := docker.New(docker.Options{Endpoint: endpoint, Logger: zerolog.New(zerolog.NewTestWriter(t))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	listening := make(chan error, 1)
	go func() { listening <- engine.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-listening; !errors.Is(err, context.Canceled) {
			t.Errorf("Run of the engine: %v", err)
		}
	})
	w := &world{t: t, daemon: daemon, engine: engine}
	if j.Image == nil {
		image := "127.0.0.1:1/" + daemon.Host + "/probe:1"
		daemon.Load(image, dockertest.Probe(t))
		j.Image = &image
	}
	j.ID = job.ID{Name: "real.job", Version: "1", Hash: strings.Repeat("0123456789", 4)}
	w.opts = supervisor.Options{
		Engine: engine, Job: j, Host: daemon.Host, Agent: strings.Split(daemon.Host, ".")[0],
		Report: func(s job.TaskStatus) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reports, w.at = append(w.reports, s), append(w.at, time.Now())
		},
	}
	return w
}

func (w *world) begin(goal job.Goal) {
	w.t.Helper()
	opts := w.opts
	opts.Goal = goal
	s, err := supervisor.New(opts)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	w.super, w.stop, w.ended = s, cancel, ended
	go func() { ended <- s.Run(ctx) }()
	w.t.Cleanup(cancel)
}

// shutdown ends the supervisor, which the next one is told of by its last report.
func (w *world) shutdown() {
	w.t.Helper()
	w.stop()
	w.done(context.Canceled)
	w.opts.Last = &w.reports[len(w.reports)-1]
}

// done waits for the end of Run.
func (w *world) done(want error) {
	w.t.Helper()
	select {
	case err := <-w.ended:
		if !errors.Is(err, want) {
			w.t.Fatalf("Run: %v, want %v", err, want)
		}
	case <-time.After(limit):
		w.t.Fatalf("Run goes on; %s", w.states(0))
	}
}

func (w *world) seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.reports)
}

func (w *world) states(from int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var states []string
	for _, s := range w.reports[from:] {
		states = append(states, string(s.State))
	}
	return strings.Join(states, " ")
}

// reach waits until a state is reported after the first n reports, and returns that report and what followed it.
func (w *world) reach(from int, state job.State) (job.TaskStatus, time.Time) {
	w.t.Helper()
	var status job.TaskStatus
	var at time.Time
	storetest.Eventually(w.t, limit, func() error {
		w.mu.Lock()
		i := slices.IndexFunc(w.reports[from:], func(s job.TaskStatus) bool { return s.State == state })
		if i >= 0 {
			status, at = w.reports[from+i], w.at[from+i]
		}
		w.mu.Unlock()
		if i < 0 {
			return fmt.Errorf("no %s but %q", state, w.states(from))
		}
		return nil
	})
	return status, at
}

func (w *world) running() []string {
	var ids []string
	for _, c := range w.daemon.Containers() {
		if c.State == "running" {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

func (w *world) runsOnly(id string) {
	w.t.Helper()
	if got := w.running(); !slices.Equal(got, []string{id}) {
		w.t.Fatalf("running: %v, want only %s", got, id)
	}
}

func TestATaskOnARealDaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &job.Job{Command: []string{"http"}, Ports: map[string]job.PortMapping{
		"http": {InternalPort: 8080, Protocol: "tcp"},
	}})
	port := storetest.FreePorts(t, 1)
	w.opts.Ports = map[string]int{"http": port}
	w.opts.Rebound = func(ports map[string]int) { w.opts.Ports = ports } // read when Run has ended
	w.begin(job.Start)
	first, _ := w.reach(0, job.Running)
	if got := w.states(0); got != "PULLING_IMAGE CREATING STARTING RUNNING" {
		t.Errorf("reports %s", got)
	}
	w.runsOnly(*first.ContainerID)
	if got := first.Ports["http"].ExternalPort; got == nil || int(*got) != port {
		t.Errorf("port %v, want %d", got, port)
	}

	// Killed behind its back: noticed by the event, and run anew.
	n, killed := w.seen(), time.Now()
	w.daemon.Kill(*first.ContainerID)
	returned := time.Now()
	exited, at := w.reach(n, job.Exited)
	t.Logf("EXITED %s after docker kill began, %s after it returned, %s after the end of the container",
		at.Sub(killed), at.Sub(returned), at.Sub(w.endOf(*first.ContainerID)))
	if at.Sub(returned) > 25*time.Second { // without the event, it looks after half a minute
		t.Errorf("EXITED %s after the kill", at.Sub(returned))
	}
	if exited.ExitCode == nil || *exited.ExitCode != 137 || exited.FinishedAt == nil || exited.OOMKilled == nil || *exited.OOMKilled {
		t.Errorf("exit %v at %v, out of memory %v", exited.ExitCode, exited.FinishedAt, exited.OOMKilled)
	}
	second, again := w.reach(n, job.Running)
	if *second.ContainerID == *first.ContainerID || second.ExitCode != nil {
		t.Errorf("the run after it: %+v", second)
	}
	ended := w.endOf(*first.ContainerID)
	if pulled, _ := w.reach(n, job.PullingImage); *pulled.FinishedAt != ended.UnixMilli() {
		t.Errorf("ended at %d, and was seen later to have ended at %d, want %d", *exited.FinishedAt, *pulled.FinishedAt, ended.UnixMilli())
	}
	t.Logf("RUNNING %s after the end", again.Sub(ended))
	w.runsOnly(*second.ContainerID)

	// The end of the agent leaves it alone; the next one adopts it, by its id or by its labels, at its own port.
	w.shutdown()
	w.runsOnly(*second.ContainerID)
	n = w.seen()
	w.begin(job.Start)
	if adopted, _ := w.reach(n, job.Running); *adopted.ContainerID != *second.ContainerID || w.states(n) != "RUNNING" {
		t.Errorf("adoption: %s %s", w.states(n), *adopted.ContainerID)
	}
	w.shutdown()
	w.opts.Last, n = nil, w.seen()
	w.opts.Ports = map[string]int{"http": storetest.FreePorts(t, 1)}
	w.begin(job.Start)
	adopted, _ := w.reach(n, job.Running)
	if *adopted.ContainerID != *second.ContainerID || w.states(n) != "RUNNING" {
		t.Errorf("adoption by labels: %s %s", w.states(n), *adopted.ContainerID)
	}
	if got := *adopted.Ports["http"].ExternalPort; int(got) != port {
		t.Errorf("adopted with the port %d, has %d", got, port)
	}

	// Removed behind its back.
	n = w.seen()
	w.daemon.Remove(*second.ContainerID)
	third, _ := w.reach(n, job.Running)
	if got := w.states(n); got != "FAILED PULLING_IMAGE CREATING STARTING RUNNING" && got != "EXITED PULLING_IMAGE CREATING STARTING RUNNING" {
		t.Errorf("after the removal: %s", got)
	}

	// Stopped while the agent was away: it gets its SIGTERM, and the exit status says so.
	w.serves(port)
	w.shutdown()
	n = w.seen()
	w.begin(job.Stop)
	w.done(nil)
	if got := w.states(n); got != "STOPPING STOPPED" {
		t.Errorf("stop: %s", got)
	}
	stopped, _ := w.reach(n, job.Stopped)
	if *stopped.ContainerID != *third.ContainerID || stopped.ExitCode == nil || *stopped.ExitCode != 0 || len(w.running()) > 0 {
		t.Errorf("stopped: %+v, running %v", stopped, w.running())
	}

	// Started again, in a new container on the same port, and undeployed.
	w.opts.Last, n = &stopped, w.seen()
	w.begin(job.Start)
	fourth, _ := w.reach(n, job.Running)
	if *fourth.ContainerID == *third.ContainerID {
		t.Error("a stopped container was started again")
	}
	n = w.seen()
	w.super.SetGoal(job.Undeploy)
	w.done(nil)
	if got := w.states(n); got != "STOPPING STOPPED" || len(w.running()) > 0 {
		t.Errorf("undeploy: %s, running %v", got, w.running())
	}
	if got := len(w.daemon.Containers()); got != 3 {
		t.Errorf("%d containers are left, want the 3 stopped ones", got)
	}
}

func TestALostDaemonStopsAndDoublesNothing(t *testing.T) {
	t.Parallel()
	endpoint, err := docker.ParseEndpoint(os.Getenv("DOCKER_HOST"))
	if err != nil || !endpoint.Socket {
		t.Skipf("the daemon of %s is not on a unix socket", endpoint.URL)
	}
	proxy := storetest.StartProxy(t, strings.TrimPrefix(endpoint.URL, "unix://"))
	w := newWorldAt(t, &job.Job{Command: []string{"sleep", "3600"}}, "unix://"+proxy.Addr())
	w.begin(job.Start)
	first, _ := w.reach(0, job.Running)

	n := w.seen()
	proxy.Cut()
	failed, _ := w.reach(n, job.Failed)
	if !strings.Contains(failed.ContainerError, supervisor.ErrUnavailable.Error()) || *failed.ContainerID != *first.ContainerID {
		t.Errorf("without the daemon: %s", failed.ContainerError)
	}
	proxy.Heal()
	again, _ := w.reach(n, job.Running)
	if w.states(n) != "FAILED RUNNING" || *again.ContainerID != *first.ContainerID || again.ContainerError != "" {
		t.Errorf("with it again: %s of %s", w.states(n), *again.ContainerID)
	}
	w.runsOnly(*first.ContainerID)

	// What ends meanwhile is noticed, and run anew.
	n = w.seen()
	proxy.Cut()
	w.reach(n, job.Failed)
	w.daemon.Kill(*first.ContainerID)
	proxy.Heal()
	second, _ := w.reach(n, job.Running)
	if w.states(n) != "FAILED EXITED PULLING_IMAGE CREATING STARTING RUNNING" {
		t.Errorf("a container that ended meanwhile: %s", w.states(n))
	}
	w.runsOnly(*second.ContainerID)

	// A stop waits for the daemon.
	n = w.seen()
	proxy.Cut()
	w.reach(n, job.Failed)
	w.super.SetGoal(job.Undeploy)
	w.reach(n, job.Stopping)
	w.runsOnly(*second.ContainerID)
	proxy.Heal()
	w.done(nil)
	if w.states(n) != "FAILED STOPPING STOPPED" || len(w.running()) > 0 {
		t.Errorf("a stop meanwhile: %s, running %v", w.states(n), w.running())
	}
}

func TestHealthChecksOfContainers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command []string
		check   job.HealthCheck
		passes  bool
	}{
		"a command that succeeds":     {[]string{"http"}, job.HealthCheck{Type: job.CheckExec, Command: []string{"/probe", "healthcheck"}}, true},
		"a command that fails":        {[]string{"http"}, job.HealthCheck{Type: job.CheckExec, Command: []string{"/probe", "nonsense"}}, false},
		"a command that is not there": {[]string{"http"}, job.HealthCheck{Type: job.CheckExec, Command: []string{"/nosuch"}}, false},
		"a port that is open":         {[]string{"http"}, job.HealthCheck{Type: job.CheckTCP, Port: new("http")}, true},
		"a port where nobody listens": {[]string{"sleep", "3600"}, job.HealthCheck{Type: job.CheckTCP, Port: new("http")}, false},
		"a page that is well at last": {[]string{"http", "-fail-healthz", "1"}, job.HealthCheck{Type: job.CheckHTTP, Port: new("http"), Path: new("/healthz")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &job.Job{
				Command: c.command, HealthCheck: &c.check, SecondsToWaitBeforeKill: new(int32(0)),
				Ports: map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}},
			})
			w.opts.Ports = map[string]int{"http": storetest.FreePorts(t, 1)}
			prober := health.Prober{Host: w.engine.Endpoint().Address, Exec: w.engine.Exec}
			probes := make(chan struct{}, 100)
			w.opts.Probe = func(ctx context.Context, status job.TaskStatus, found supervisor.Container) error {
				err := prober.Probe(ctx, *status.Job.HealthCheck, health.Target{
					Container: found.ID, Ports: status.Ports, Address: found.Address, Gateway: found.Gateway,
				})
				probes <- struct{}{}
				return err
			}
			w.begin(job.Start)
			states := "PULLING_IMAGE CREATING STARTING HEALTHCHECKING"
			if c.passes {
				w.reach(0, job.Running)
				states += " RUNNING"
			} else {
				<-probes
				<-probes
			}
			if got := w.states(0); got != states {
				t.Errorf("reports %s, want %s", got, states)
			}
			w.super.SetGoal(job.Undeploy)
			w.done(nil)
		})
	}
}

func TestAProcessThatIgnoresSIGTERMIsKilledAfterItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &job.Job{Command: []string{"ignoreterm"}, SecondsToWaitBeforeKill: new(int32(2))})
	w.begin(job.Start)
	w.reach(0, job.Running)
	w.super.SetGoal(job.Stop)
	w.done(nil)
	_, began := w.reach(0, job.Stopping)
	stopped, ended := w.reach(0, job.Stopped)
	if took := ended.Sub(began); took < 1900*time.Millisecond || took > 20*time.Second || *stopped.ExitCode != 137 {
		t.Errorf("stopped after %s with %d, want about 2 s and 137", took, *stopped.ExitCode)
	}
}

func TestRunsThatFailSayWhatDockerSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		job      job.Job
		states   string
		throttle job.Throttle
		text     string
	}{
		{
			name:   "the network of a container that does not exist",
			job:    job.Job{NetworkMode: new("container:nosuchcontainer")},
			states: "PULLING_IMAGE CREATING STARTING FAILED", throttle: job.NotThrottled, text: "nosuchcontainer",
		},
		{
			name:   "memory below the minimum",
			job:    job.Job{Resources: &job.Resources{Memory: new(int64(1))}},
			states: "PULLING_IMAGE CREATING FAILED", throttle: job.NotThrottled, text: "memory",
		},
		{
			name:   "an image whose registry is away",
			job:    job.Job{Image: new("127.0.0.1:1/helios/nosuch:1")},
			states: "PULLING_IMAGE FAILED", throttle: job.ImagePullFailed, text: "refused",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, &c.job)
			w.begin(job.Start)
			failed, _ := w.reach(0, job.Failed)
			got := strings.SplitAfterN(w.states(0), "FAILED", 2)[0]
			if got != c.states || failed.Throttled != c.throttle || !strings.Contains(failed.ContainerError, c.text) {
				t.Errorf("%s, throttled %s: %q", got, failed.Throttled, failed.ContainerError)
			}
			w.super.SetGoal(job.Undeploy)
			w.done(nil)
		})
	}
}

func TestAnImageThatNoRegistryHasIsMissingUntilItIsPushed(t *testing.T) {
	t.Parallel()
	j := &job.Job{Image: new("placeholder"), Command: []string{"sleep", "60"}}
	w := newWorld(t, j)
	registry := w.daemon.Registry("127.0.0.1:0")
	*j.Image = registry.Addr + "/helios/late:1"
	w.begin(job.Start)
	if failed, _ := w.reach(0, job.Failed); failed.Throttled != job.ImageMissing {
		t.Errorf("throttled %s: %s", failed.Throttled, failed.ContainerError)
	}
	w.super.SetGoal(job.Stop)
	w.done(nil)
	registry.Push("helios/late:1", dockertest.Probe(t))
	w.opts.Last = &w.reports[len(w.reports)-1]
	w.begin(job.Start)
	if running, _ := w.reach(0, job.Running); running.Throttled != job.NotThrottled || running.ContainerError != "" {
		t.Errorf("running: %+v", running)
	}
	w.super.SetGoal(job.Undeploy)
	w.done(nil)
}

func TestAPullFromARegistryThatHangsFails(t *testing.T) {
	t.Parallel()
	// It takes connections and requests and never answers.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var hanging sync.WaitGroup
	hanging.Go(func() {
		var conns []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			conn.Close()
		}
	})
	defer hanging.Wait()
	defer listener.Close()
	w := newWorld(t, &job.Job{Image: new(listener.Addr().String() + "/helios/hangs:1")})
	w.begin(job.Start)
	_, began := w.reach(0, job.PullingImage)
	failed, ended := w.reach(0, job.Failed)
	if took := ended.Sub(began); failed.Throttled != job.ImagePullFailed || took > 40*time.Second {
		t.Errorf("throttled %s after %s: %s", failed.Throttled, took, failed.ContainerError)
	} else {
		t.Logf("failed after %s: %s", took, failed.ContainerError)
	}
	w.super.SetGoal(job.Undeploy)
	w.done(nil)
}

func TestAContainerOfTheOriginalIsAdoptedByName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &job.Job{Command: []string{"sleep", "60"}})
	raw, err := client.New(client.FromEnv)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	// The original sets no label of ours; the test needs one of its own to clean up.
	w.daemon.Own("helios.test=" + w.daemon.Host)
	name, err := supervisor.Name(w.opts.Agent, w.opts.Job.ID)
	if err != nil {
		t.Fatal(err)
	}
	created, err := raw.ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: name, Config: &container.Config{
		Image: *w.opts.Job.Image, Cmd: w.opts.Job.Command, Labels: map[string]string{"helios.test": w.daemon.Host},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	w.begin(job.Start)
	if adopted, _ := w.reach(0, job.Running); *adopted.ContainerID != created.ID || w.states(0) != "RUNNING" {
		t.Errorf("%s of %s", w.states(0), *adopted.ContainerID)
	}
	w.super.SetGoal(job.Undeploy)
	w.done(nil)
}

func TestStraysOfTheNamespaceAreReaped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &job.Job{Command: []string{"sleep", "60"}})
	w.begin(job.Start)
	ours, _ := w.reach(0, job.Running)
	stray := func(agent string) string {
		id, err := w.engine.Create(t.Context(), supervisor.Spec{
			Name: supervisor.Namespace(agent) + "unwanted", Job: w.opts.Job,
			Labels: map[string]string{supervisor.LabelHost: w.daemon.Host},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.engine.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	unwanted, other := stray(w.opts.Agent), stray(w.opts.Agent+"b")
	killed, err := supervisor.Reap(t.Context(), w.engine, w.opts.Agent, w.super.Owns)
	if err != nil || !slices.Equal(killed, []string{unwanted}) {
		t.Errorf("killed %v, %v; want %s", killed, err, unwanted)
	}
	running := w.running()
	slices.Sort(running)
	want := []string{*ours.ContainerID, other}
	slices.Sort(want)
	if !slices.Equal(running, want) {
		t.Errorf("running %v, want %v", running, want)
	}
	w.super.SetGoal(job.Undeploy)
	w.done(nil)
	if err := w.engine.Kill(t.Context(), unwanted); err != nil {
		t.Errorf("kill what does not run: %v", err)
	}
	if err := w.engine.Stop(t.Context(), "nosuchcontainer", 1); err != nil {
		t.Errorf("stop what is not there: %v", err)
	}
}

func TestCommandsInContainersAndTheirOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &job.Job{Command: []string{"ignoreterm"}, SecondsToWaitBeforeKill: new(int32(0))})
	w.begin(job.Start)
	running, _ := w.reach(0, job.Running)
	for command, want := range map[string]int{"healthcheck": 0, "nonsense": 2} {
		if code, err := w.engine.Exec(t.Context(), *running.ContainerID, []string{"/probe", command}); err != nil || code != want {
			t.Errorf("/probe %s: %d, %v; want %d", command, code, err, want)
		}
	}
	w.super.SetGoal(job.Undeploy)
	w.done(nil)
	if written := w.daemon.Logs(*running.ContainerID); written != "ignoring SIGTERM\n" {
		t.Errorf("output %q", written)
	}
	version, err := w.engine.Version(t.Context())
	if err != nil || version.Version == "" || version.APIVersion == "" || version.KernelVersion == "" || version.GitCommit == "" {
		t.Errorf("version %+v, %v", version, err)
	}
	if err := w.engine.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}
