package roles_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestPortsOfAnAgent are the cases of ports that are taken, shared, or told to the container.
func TestPortsOfAnAgent(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"AGT-036 container is told its ports", portsInEnvironment},
		{"AGT-039, AGT-090 task without a port says so, and runs when one is free", rangeExhausted},
		{"AGT-040 port that another process listens on is not handed out", portOfAnother},
		{"AGT-041 one number is two ports, of tcp and of udp", oneNumberTwice},
		{"ports of a container that runs are known again when the state directory is lost, whatever the range is then", portsFoundAgain},
		{"AGT-048 static port that another process holds is waited for", staticPortTaken},
	})
}

// listen takes a port of the host.
func listen(t *testing.T, port int32) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func portsInEnvironment(t *testing.T, h *hostCase) {
	h.start()
	port := lastingPort(t)
	id := h.create(job.Job{
		Image: &h.image, Command: []string{"sh", "-c", "echo $HELIOS_PORT_bar"},
		Ports: map[string]job.PortMapping{"bar": static(8080, port)},
	})
	h.deploy(id, h.docker.Host)
	status := h.awaitState(id, h.docker.Host, job.Exited)
	h.undeploy(id, h.docker.Host)
	if got, want := h.docker.Logs(*status.ContainerID), fmt.Sprintf("%s:%d\n", h.docker.Host, port); got != want {
		t.Errorf("the container wrote %q, want %q", got, want)
	}
}

func rangeExhausted(t *testing.T, h *hostCase) {
	only := lastingPort(t)
	h.start("--port-range", fmt.Sprintf("%d:%d", only, only+1))
	ports := map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}
	first := h.create(job.Job{Image: &h.image, Command: idle, Ports: ports})
	h.run(first)
	second := h.create(job.Job{Image: &h.image, Command: idle, Ports: ports})
	h.deploy(second, h.docker.Host)
	status := h.awaitState(second, h.docker.Host, job.Failed) // nothing at all before Q6 was fixed
	if !strings.Contains(status.ContainerError, "port") || !strings.Contains(status.ContainerError, "http") || status.ContainerID != nil {
		t.Errorf("status %s", describe(status))
	}
	h.undeploy(first, h.docker.Host)
	began := time.Now()
	if status := h.awaitState(second, h.docker.Host, job.Running); *status.Ports["http"].ExternalPort != only || status.ContainerError != "" {
		t.Errorf("status %s, ports %v", describe(status), status.Ports)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("ran after %s", took)
	}
}

func portOfAnother(t *testing.T, h *hostCase) {
	first := int32(storetest.FreePorts(t, 2))
	listen(t, first)
	h.start("--port-range", fmt.Sprintf("%d:%d", first, first+2))
	ports := map[string]job.PortMapping{"p": {InternalPort: 8080, Protocol: "tcp"}}
	if status := h.run(h.create(job.Job{Image: &h.image, Command: idle, Ports: ports})); *status.Ports["p"].ExternalPort != first+1 {
		t.Errorf("ports %v, want %d", status.Ports, first+1)
	}
	id := h.create(job.Job{Image: &h.image, Command: idle, Ports: ports})
	h.deploy(id, h.docker.Host)
	h.awaitState(id, h.docker.Host, job.Failed)
}

func oneNumberTwice(t *testing.T, h *hostCase) {
	h.start()
	port := lastingPort(t)
	udp := static(53, port)
	udp.Protocol = "udp"
	status := h.run(h.create(job.Job{Image: &h.image, Command: idle, Ports: map[string]job.PortMapping{"t": static(53, port), "u": udp}}))
	for _, internal := range []string{"53/tcp", "53/udp"} {
		if bound := h.bound(*status.ContainerID, internal); bound != fmt.Sprint(port) {
			t.Errorf("%s is published as %s, want %d", internal, bound, port)
		}
	}
}

// bound is the port of the host that a running container's port is bound to, "" if there is none.
func (h *hostCase) bound(container, internal string) string {
	var seen struct {
		NetworkSettings struct {
			Ports map[string][]struct{ HostPort string }
		}
	}
	h.inspect(container, &seen)
	for _, binding := range seen.NetworkSettings.Ports[internal] {
		return binding.HostPort
	}
	return ""
}

// portsFoundAgain loses the state directory twice: with another range, so that what is given anew is surely something else,
// and with a range that the container itself has filled.
func portsFoundAgain(t *testing.T, h *hostCase) {
	first := lastingPort(t)
	only := func(port int32) []string { return []string{"--port-range", fmt.Sprintf("%d:%d", port, port+1)} }
	a := h.start(only(first)...)
	id := h.create(job.Job{Image: &h.image, Command: idle, Ports: map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}})
	container := *h.run(id).ContainerID
	for _, port := range []int32{lastingPort(t), first} {
		before := len(h.states(id))
		a.kill()
		empty(t, a.dir)
		a.args = append(a.args[:len(a.args)-2], only(port)...)
		a.restart()
		storetest.Eventually(t, inTime, func() error {
			events := h.states(id)
			if len(events) == before {
				return errors.New("nothing is reported after the restart")
			}
			for _, e := range events[before:] {
				if got := e.Status.Ports["http"].ExternalPort; e.Status.State != job.Running || got == nil || *got != first {
					t.Fatalf("%s at %v, want that it runs on at %d", describe(e.Status), e.Status.Ports, first)
				}
			}
			return runsOnly(h.docker, id, container)
		})
		if got, want := h.awaitState(id, h.docker.Host, job.Running).Env["HELIOS_PORT_http"], fmt.Sprint(h.docker.Host, ":", first); got != want {
			t.Errorf("its environment says %s, want %s", got, want)
		}
		h.docker.Kill(container)
		next := h.another(id, container)
		if got := *next.Ports["http"].ExternalPort; got != first {
			t.Fatalf("the next container is at %d, want %d", got, first)
		}
		container = *next.ContainerID
		if bound := h.bound(container, "8080/tcp"); bound != fmt.Sprint(first) {
			t.Errorf("the next container is bound to %s, want %d", bound, first)
		}
	}
}

func staticPortTaken(t *testing.T, h *hostCase) {
	h.start()
	port := lastingPort(t)
	listener := listen(t, port)
	id := h.create(job.Job{Image: &h.image, Command: idle, Ports: map[string]job.PortMapping{"p": static(8080, port)}})
	h.deploy(id, h.docker.Host)
	const round = "PULLING_IMAGE CREATING STARTING FAILED "
	storetest.Eventually(t, inTime, func() error {
		events := h.states(id)
		var states strings.Builder
		var failed []int64
		for _, e := range events {
			fmt.Fprint(&states, e.Status.State, " ")
			if e.Status.Throttled != job.NotThrottled {
				t.Errorf("throttled %s", e.Status.Throttled)
			}
			if e.Status.State == job.Failed {
				failed = append(failed, e.Timestamp)
				if !strings.Contains(e.Status.ContainerError, fmt.Sprint(port)) {
					t.Errorf("error %q does not name the port", e.Status.ContainerError)
				}
			}
		}
		if !strings.HasPrefix(states.String(), round+round+round) {
			return fmt.Errorf("history: %s", &states)
		}
		if took := failed[2] - failed[0]; took < 2000 || took > 60000 {
			return fmt.Errorf("two rounds took %d ms", took)
		}
		return nil
	})
	listener.Close()
	if status := h.awaitState(id, h.docker.Host, job.Running); status.ContainerError != "" {
		t.Error(errors.New(describe(status)))
	}
}
