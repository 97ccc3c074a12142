package roles_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	agentrole "github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/roles/announce"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestServicesOfAnAgent are the cases of health checks, and of what a service registry is told: an agent in this process,
// with a registry that takes notes.
func TestServicesOfAnAgent(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"SYS-059, AGT-050 port that accepts connections at last makes a task RUNNING and registered", checkedByTCP},
		{"SYS-060, AGT-051 page that is served at last makes a task RUNNING and registered", checkedByHTTP},
		{"SYS-061, AGT-052 command that succeeds at last makes a task RUNNING and registered", checkedByCommand},
		{"SYS-062, AGT-053 container killed while it is checked is replaced and checked again", killedWhileChecked},
		{"AGT-054 page that is never found keeps a task HEALTHCHECKING, and it can be stopped", neverHealthy},
		{"AGT-055 statuses below 400 are healthy, with redirects followed", statusesOfPages},
		{"SYS-074, AGT-056 each port of each service is registered", servicesAreRegistered},
		{"AGT-057 service is registered while its container runs", registeredWhileRunning},
		{"AGT-058 container serves on for the grace period, unregistered", servesOn},
		{"AGT-059 agent that ends withdraws its services, and its successor registers them unchecked", agentChanges},
		{"AGT-088 container found in the middle of its health check is checked on", checkedOn},
	})
}

// notes is a service registry that takes notes.
type notes struct {
	mu      sync.Mutex // guards what follows
	held    map[int]announce.Registration
	written []string // "+" and "-", and the number of endpoints
	closed  bool
}

func (n *notes) Register(_ context.Context, r announce.Registration) (func(), error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.held == nil {
		n.held = make(map[int]announce.Registration)
	}
	handle := len(n.written)
	n.held[handle] = r
	n.written = append(n.written, fmt.Sprintf("+%d", len(r.Endpoints)))
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.held, handle)
		n.written = append(n.written, fmt.Sprintf("-%d", len(r.Endpoints)))
	}, nil
}

func (n *notes) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = len(n.held) == 0
}

// holds are the registrations of now, and log is what was said so far.
func (n *notes) holds() []announce.Registration {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []announce.Registration
	for _, r := range n.held {
		list = append(list, r)
	}
	return list
}

func (n *notes) log() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.written)
}

// serviceHost is a host whose agent runs in this process.
type serviceHost struct {
	*hostCase
	*notes
	dir  string
	id   string
	stop func()
}

func startServiceHost(t *testing.T, h *hostCase) *serviceHost {
	s := &serviceHost{hostCase: h, notes: new(notes), dir: t.TempDir(), id: unique("id")}
	s.begin(t)
	return s
}

// begin starts the host's agent, which has ended.
func (s *serviceHost) begin(t *testing.T) {
	t.Helper()
	a, err := agentrole.New(agentrole.Options{
		Name: s.docker.Host, ID: s.id, StateDir: s.dir, Store: store.Options{Servers: s.zk}, Registrar: s.notes, Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.stop = runRole(t, a.Run)
	s.await(s.docker.Host, host.Up)
}

// unregistered waits until the job is HEALTHCHECKING, and sees that it stays so and unregistered for three seconds.
func (s *serviceHost) unregistered(id job.ID) (container string) {
	s.t.Helper()
	container = *s.awaitState(id, s.docker.Host, job.HealthChecking).ContainerID
	holds(s.t, 3*time.Second, func() error {
		status, err := s.task(id, s.docker.Host)
		if err == nil && status.State != job.HealthChecking {
			err = errors.New(describe(status))
		}
		if r := s.notes.holds(); len(r) != 0 {
			err = fmt.Errorf("registered: %+v", r)
		}
		return err
	})
	return container
}

// registered waits until one container is registered, and returns its endpoints.
func (s *serviceHost) registered() []announce.Endpoint {
	s.t.Helper()
	var list []announce.Registration
	storetest.Eventually(s.t, inTime, func() error {
		if list = s.notes.holds(); len(list) != 1 {
			return fmt.Errorf("registered: %+v", list)
		}
		return nil
	})
	return list[0].Endpoints
}

// registry waits until the registry was told so much, and wants it to be this.
func (s *serviceHost) told(want ...string) {
	s.t.Helper()
	storetest.Eventually(s.t, inTime, func() error {
		if got := s.notes.log(); len(got) < len(want) {
			return fmt.Errorf("the registry was told %v, want %v", got, want)
		}
		return nil
	})
	if got := s.notes.log(); !slices.Equal(got, want) {
		s.t.Errorf("the registry was told %v, want %v", got, want)
	}
}

// foo is the one service of most cases.
func foo(ports ...string) map[job.Endpoint]job.ServicePorts {
	return map[job.Endpoint]job.ServicePorts{{Service: "foo_service", Protocol: "foo_proto"}: servicePorts(ports...)}
}

func servicePorts(names ...string) job.ServicePorts {
	s := job.ServicePorts{Ports: make(map[string]*job.ServicePortParameters)}
	for _, name := range names {
		s.Ports[name] = &job.ServicePortParameters{}
	}
	return s
}

// isFoo wants the endpoints to be the one of foo.
func isFoo(t *testing.T, endpoints []announce.Endpoint) {
	t.Helper()
	if len(endpoints) != 1 || endpoints[0].Name != "foo_service" || endpoints[0].Protocol != "foo_proto" {
		t.Errorf("registered %+v", endpoints)
	}
}

// poke connects to a port of a container until the job runs. Docker takes connections before the container does, and
// lets those fall.
func (s *serviceHost) poke(id job.ID, port int32) {
	s.t.Helper()
	storetest.Eventually(s.t, inTime, func() error {
		if conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
			conn.Close()
		}
		return s.runs(id, s.docker.Host, "")
	})
}

// poked is a job that serves, by the command, on its port "health" after its port "poke" was connected to.
func (s *serviceHost) poked(check job.HealthCheck, command string) (id job.ID, port int32) {
	port = lastingPort(s.t)
	return s.create(job.Job{
		Image:   &s.image,
		Command: []string{"sh", "-c", "busybox nc -l -p 4711; " + command},
		Ports: map[string]job.PortMapping{
			"poke": static(4711, port), "health": {InternalPort: 8080, Protocol: "tcp"},
		},
		HealthCheck: &check, Registration: foo("health"),
	}), port
}

const (
	servesTCP  = "while :; do busybox nc -l -p 8080 >/dev/null </dev/null; done"
	servesHTTP = "busybox mkdir -p /www; echo hello >/www/index.html; busybox httpd -f -p 8080 -h /www"
)

func (s *serviceHost) becomesHealthy(t *testing.T, id job.ID, port int32) {
	t.Helper()
	s.deploy(id, s.docker.Host)
	s.unregistered(id)
	s.poke(id, port)
	isFoo(t, s.registered())
	s.told("+1")
}

func checkedByTCP(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	id, port := s.poked(job.HealthCheck{Type: job.CheckTCP, Port: new("health")}, servesTCP)
	s.becomesHealthy(t, id, port)
	if check := s.registered()[0].Check; check == nil || *check != (announce.Check{Type: job.CheckTCP}) {
		t.Errorf("check %+v", check)
	}
}

func checkedByHTTP(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	id, port := s.poked(job.HealthCheck{Type: job.CheckHTTP, Port: new("health"), Path: new("/")}, servesHTTP)
	s.becomesHealthy(t, id, port)
	if check := s.registered()[0].Check; check == nil || *check != (announce.Check{Type: job.CheckHTTP, Path: "/"}) {
		t.Errorf("check %+v", check)
	}
}

func checkedByCommand(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	id := s.create(job.Job{
		Image: &s.image, Command: idle, Ports: map[string]job.PortMapping{"p": {InternalPort: 8080, Protocol: "tcp"}},
		HealthCheck: &job.HealthCheck{Type: job.CheckExec, Command: []string{"busybox", "test", "-e", "file"}}, Registration: foo("p"),
	})
	s.deploy(id, s.docker.Host)
	container := s.unregistered(id)
	s.docker.Exec(container, "busybox", "touch", "file")
	s.awaitState(id, s.docker.Host, job.Running)
	isFoo(t, s.registered())
	if check := s.registered()[0].Check; check != nil {
		t.Errorf("check %+v", check)
	}
	s.told("+1")
}

func killedWhileChecked(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	id, port := s.poked(job.HealthCheck{Type: job.CheckTCP, Port: new("health")}, servesTCP)
	s.deploy(id, s.docker.Host)
	first := s.unregistered(id)
	s.docker.Kill(first)
	storetest.Eventually(t, inTime, func() error {
		var seen []job.State
		for _, e := range s.states(id) {
			seen = append(seen, e.Status.State)
		}
		if !slices.Contains(seen, job.Failed) || !slices.Contains(seen, job.Exited) {
			return fmt.Errorf("history %v", seen)
		}
		status, err := s.task(id, s.docker.Host)
		if err == nil && (status.State != job.HealthChecking || *status.ContainerID == first) {
			err = errors.New(describe(status))
		}
		return err
	})
	s.poke(id, port)
	isFoo(t, s.registered())
	s.told("+1")
}

func neverHealthy(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	id := s.create(job.Job{
		Image: &s.image, Command: []string{"sh", "-c", servesHTTP}, Ports: map[string]job.PortMapping{"p": {InternalPort: 8080, Protocol: "tcp"}},
		HealthCheck: &job.HealthCheck{Type: job.CheckHTTP, Port: new("p"), Path: new("/nowhere")}, SecondsToWaitBeforeKill: new(int32(1)),
	})
	s.deploy(id, s.docker.Host)
	s.unregistered(id)
	holds(t, 5*time.Second, func() error {
		status, err := s.task(id, s.docker.Host)
		if err == nil && status.State != job.HealthChecking {
			err = errors.New(describe(status))
		}
		return err
	})
	s.setGoal(id, s.docker.Host, job.Stop)
	s.awaitState(id, s.docker.Host, job.Stopped)
	s.told()
}

func statusesOfPages(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	// A server that answers every request with these lines.
	serving := func(status string, headers string) []string {
		return []string{"sh", "-c", `busybox printf '#!/bin/sh\nread line\ncase "$line" in *" /good "*) s="200 OK";; *) s="` + status +
			`";; esac\nbusybox printf "HTTP/1.0 $s\\r\\n` + headers + `Content-Length: 0\\r\\n\\r\\n"\n' >/answer; ` +
			`busybox chmod +x /answer; while :; do busybox nc -l -p 8080 -e /answer; done`}
	}
	deployed := func(status, headers string) job.ID {
		id := s.create(job.Job{
			Image: &s.image, Command: serving(status, headers), Ports: map[string]job.PortMapping{"p": {InternalPort: 8080, Protocol: "tcp"}},
			HealthCheck: &job.HealthCheck{Type: job.CheckHTTP, Port: new("p"), Path: new("/check")}, SecondsToWaitBeforeKill: new(int32(0)),
		})
		s.deploy(id, s.docker.Host)
		return id
	}
	good := []job.ID{deployed("302 Found", `Location: /good\\r\\n`), deployed("399 Odd", "")}
	bad := []job.ID{deployed("400 Bad Request", ""), deployed("500 Internal Server Error", "")}
	for _, id := range good {
		s.awaitState(id, s.docker.Host, job.Running)
	}
	for _, id := range bad {
		s.awaitState(id, s.docker.Host, job.HealthChecking)
	}
	holds(t, 5*time.Second, func() error {
		var errs []error
		for _, id := range bad {
			status, err := s.task(id, s.docker.Host)
			if err == nil && status.State != job.HealthChecking {
				err = errors.New(describe(status))
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

func servicesAreRegistered(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	port := lastingPort(t)
	services := foo("foo_port")
	services[job.Endpoint{Service: "bar_service", Protocol: "bar_proto"}] = servicePorts("bar_port")
	status := s.run(s.create(job.Job{
		Image: &s.image, Command: idle, Registration: services,
		Ports: map[string]job.PortMapping{"foo_port": static(4711, port), "bar_port": {InternalPort: 4712, Protocol: "tcp"}},
	}))
	dynamic := *status.Ports["bar_port"].ExternalPort
	want := []announce.Endpoint{
		{Name: "bar_service", Protocol: "bar_proto", Port: int(dynamic), Host: s.docker.Host},
		{Name: "foo_service", Protocol: "foo_proto", Port: int(port), Host: s.docker.Host},
	}
	if diff := cmp.Diff(want, s.registered()); diff != "" || dynamic == port {
		t.Errorf("dynamic port %d, static port %d, registered %s", dynamic, port, diff)
	}
	s.told("+2")
}

// web is a job with one registered port and a process that ends when it is asked.
func (s *serviceHost) web() job.Job {
	return job.Job{
		Image: &s.image, Command: idle, Registration: foo("p"),
		Ports: map[string]job.PortMapping{"p": {InternalPort: 8080, Protocol: "tcp"}},
	}
}

func registeredWhileRunning(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	id := s.create(s.web())
	container := *s.run(id).ContainerID
	s.told("+1")
	s.docker.Kill(container)
	s.told("+1", "-1", "+1")
	s.another(id, container)
	s.undeploy(id, s.docker.Host)
	s.awaitGone(id, s.docker.Host)
	s.told("+1", "-1", "+1", "-1")
}

func servesOn(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	j := s.web()
	const grace = 15 * time.Second
	j.GracePeriod = new(int32(grace / time.Second))
	id := s.create(j)
	container := *s.run(id).ContainerID
	s.told("+1")
	began := time.Now()
	s.setGoal(id, s.docker.Host, job.Stop)
	s.told("+1", "-1")
	if took := time.Since(began); took > grace-time.Second {
		t.Errorf("withdrawn after %s", took)
	}
	s.awaitState(id, s.docker.Host, job.Stopping)
	holds(t, grace-time.Since(began)-500*time.Millisecond, func() error { return runsOnly(s.docker, id, container) })
	s.awaitState(id, s.docker.Host, job.Stopped)
	if code, _ := s.ended(container); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

func agentChanges(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	j := s.web()
	j.HealthCheck = &job.HealthCheck{Type: job.CheckExec, Command: []string{"busybox", "test", "-e", "/well"}}
	id := s.create(j)
	s.deploy(id, s.docker.Host)
	container := *s.awaitState(id, s.docker.Host, job.HealthChecking).ContainerID
	s.docker.Exec(container, "busybox", "touch", "/well")
	s.awaitState(id, s.docker.Host, job.Running)
	s.told("+1")
	s.docker.Exec(container, "busybox", "rm", "/well") // a check would fail from now on
	s.stop()
	s.told("+1", "-1")
	if !s.closed {
		t.Error("the registry was not closed after all was withdrawn")
	}
	if err := runsOnly(s.docker, id, container); err != nil {
		t.Error(err)
	}
	s.begin(t)
	s.told("+1", "-1", "+1")
	if err := errors.Join(s.runs(id, s.docker.Host, container), runsOnly(s.docker, id, container)); err != nil {
		t.Error(err)
	}
}

func checkedOn(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h)
	j := s.web()
	j.HealthCheck = &job.HealthCheck{Type: job.CheckExec, Command: []string{"busybox", "test", "-e", "/well"}}
	id := s.create(j)
	s.deploy(id, s.docker.Host)
	container := *s.awaitState(id, s.docker.Host, job.HealthChecking).ContainerID
	s.stop()
	s.begin(t)
	if again := s.unregistered(id); again != container {
		t.Errorf("another container, %s instead of %s", again, container)
	}
	s.docker.Exec(container, "busybox", "touch", "/well")
	if status := s.awaitState(id, s.docker.Host, job.Running); *status.ContainerID != container {
		t.Errorf("another container: %s", describe(status))
	}
	s.told("+1")
}
