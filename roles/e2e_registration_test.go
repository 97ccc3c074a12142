package roles_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestRegistrations are the cases of a host's name: who holds it, who may take it over, and what becomes of the tasks.
// Whatever becomes of the name, a container that runs goes on running.
func TestRegistrations(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"SYS-051 host that never had an agent is deregistered, and its job removed", neverHadAnAgent},
		{"SYS-052, SYS-054, AGT-077 agent of a new state directory takes over the name of a silent one, and its container", takesOver},
		{"SYS-053, AGT-078 but not as long as that one may come back", staysRefused},
		{"SYS-108 task that came and went before its agent is nothing to that one", taskBeforeAgent},
		{"host registered by hand is down until the agent of that id comes, and runs what was deployed", registeredByHand},
		{"name that was registered by hand, without any report, is free for every agent", registeredForNobody},
		{"live agent that is deregistered keeps its container, says so, and comes back when its id is registered anew", deregisteredAlive},
		{"agent that was deregistered while it was away keeps its container, and comes back likewise", deregisteredAway},
		{"agent whose name is taken away keeps the container, which the other one adopts", takenAway},
	})
}

// silent leaves the host with a task in a container that runs, and without its agent.
func (h *hostCase) silent() (a *agent, id job.ID, container string) {
	h.t.Helper()
	a, id, container = h.busy()
	a.stop()
	h.await(h.docker.Host, host.Down)
	h.listed(`Down \d+ (second|minute)s?`)
	return a, id, container
}

// listed wants the host to be listed as up or down, and since when as far as that is known.
func (h *hostCase) listed(state string) {
	h.t.Helper()
	if text := h.must("hosts", "-f", h.docker.Host); !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(h.docker.Host) + ` +` + state + ` `).MatchString(text) {
		h.t.Errorf("listed as %s", text)
	}
}

// busy gives the host an agent and a task in a container that runs.
func (h *hostCase) busy() (a *agent, id job.ID, container string) {
	h.t.Helper()
	a = startAgent(h.cluster, h.docker, nil, "--labels", "num=1", "--env", "POD=one")
	h.awaitFacts(h.docker.Host)
	id = h.create(job.Job{Image: &h.image, Command: idle})
	return a, id, *h.run(id).ContainerID
}

// alone tells whether the container runs for the job, and never was another one.
func (h *hostCase) alone(id job.ID, container string) error {
	if all := h.docker.Containers(); len(all) != 1 {
		return fmt.Errorf("containers %+v, want only %s", all, container)
	}
	return runsOnly(h.docker, id, container)
}

// labelled tells whether the host is up and has these labels and environment, and all else that agents report.
func (h *hostCase) labelled(num, pod string) error {
	status, err := h.HostStatus(h.t.Context(), h.docker.Host)
	switch {
	case err != nil:
		return err
	case status.Status != host.Up || status.Labels["num"] != num || status.Environment["POD"] != pod:
		return fmt.Errorf("host is %s, labels %v, environment %v", status.Status, status.Labels, status.Environment)
	case status.HostInfo == nil || status.AgentInfo == nil:
		return errors.New("nothing is reported of the host or its agent")
	}
	return nil
}

// deregister takes the host off the list by the command.
func (h *hostCase) deregister() {
	h.t.Helper()
	if text := h.must("deregister", "--yes", h.docker.Host); !strings.Contains(text, "done") {
		h.t.Errorf("deregister: %s", text)
	}
}

func (h *hostCase) register(id string) {
	h.t.Helper()
	if text := h.must("register", h.docker.Host, id); !strings.Contains(text, "done") {
		h.t.Errorf("register: %s", text)
	}
}

// removed wants the job to be deletable, which it is where it is deployed nowhere.
func (h *hostCase) removed(id job.ID) {
	h.t.Helper()
	if r, err := h.RemoveJob(h.t.Context(), id, ""); err != nil || r.Status != httpapi.OK {
		h.t.Errorf("remove: %+v, %v", r, err)
	}
}

func neverHadAnAgent(t *testing.T, h *hostCase) {
	tree, err := store.Open(store.Options{Servers: h.zk}) // not by a master
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if err := tree.RegisterHost(t.Context(), h.docker.Host, "id"); err != nil {
		t.Fatal(err)
	}
	id := h.create(job.Job{Image: &h.image, Ports: map[string]job.PortMapping{"p": static(4711, lastingPort(t))}})
	h.deploy(id, h.docker.Host)
	if r, err := h.DeregisterHost(t.Context(), h.docker.Host); err != nil || r.Status != httpapi.OK {
		t.Errorf("deregister: %+v, %v", r, err)
	}
	h.removed(id)
}

func takesOver(t *testing.T, h *hostCase) {
	_, id, container := h.silent()
	startAgent(h.cluster, h.docker, nil, "--id", unique("second"), "--zk-registration-ttl", "0", "--labels", "num=2", "--env", "POD=two")
	h.await(h.docker.Host, host.Up)
	storetest.Eventually(t, inTime, func() error {
		return errors.Join(h.labelled("2", "two"), h.runs(id, h.docker.Host, container))
	})
	h.listed(`Up \d+ (second|minute)s?`)
	holds(t, 3*time.Second, func() error { return errors.Join(h.runs(id, h.docker.Host, container), h.alone(id, container)) })
}

func staysRefused(t *testing.T, h *hostCase) {
	_, id, container := h.silent()
	second := startAgent(h.cluster, h.docker, nil, "--id", unique("second"), "--zk-registration-ttl", "9999")
	holds(t, 10*time.Second, func() error {
		status, err := h.HostStatus(t.Context(), h.docker.Host)
		if err == nil && status.Status != host.Down {
			err = fmt.Errorf("host is %s", status.Status)
		}
		return errors.Join(err, h.alone(id, container))
	})
	second.said(`another agent \(id-[^)]*\) holds the host name`)
}

func taskBeforeAgent(t *testing.T, h *hostCase) {
	agentID := unique("id")
	h.register(agentID)
	id := h.create(job.Job{Image: &h.image, Command: idle})
	h.deploy(id, h.docker.Host)
	h.undeploy(id, h.docker.Host)
	h.start("--id", agentID)
	h.awaitGone(id, h.docker.Host)
	h.removed(id)
	holds(t, 3*time.Second, func() error {
		if all := h.docker.Containers(); len(all) != 0 {
			return fmt.Errorf("containers %+v", all)
		}
		return nil
	})
}

func registeredByHand(t *testing.T, h *hostCase) {
	agentID := unique("id")
	h.register(agentID)
	h.await(h.docker.Host, host.Down)
	h.listed("Down") // since it never was up
	id := h.create(job.Job{Image: &h.image, Command: idle})
	h.deploy(id, h.docker.Host)
	h.register(agentID) // again, which is no conflict (zookeeper Q12)
	if r := h.helios("register", h.docker.Host, unique("other")); r.exit == 0 {
		t.Errorf("registered with another id: %s", r)
	}
	h.start("--id", agentID)
	h.awaitState(id, h.docker.Host, job.Running)
	if err := runsOnly(h.docker, id, ""); err != nil {
		t.Error(err)
	}
}

func registeredForNobody(t *testing.T, h *hostCase) {
	h.register(unique("nobody"))
	id := h.create(job.Job{Image: &h.image, Command: idle})
	h.deploy(id, h.docker.Host)
	h.start("--zk-registration-ttl", "9999")
	h.awaitState(id, h.docker.Host, job.Running)
}

const saysDeregistered = `the host was deregistered: its containers go on running`

// comesBack wants an agent that is deregistered to stay so, and to be up again by the command that it logs: at once, with
// all that it reports, and with the container that it left alone.
func (h *hostCase) comesBack(a *agent, id job.ID, container string) {
	h.t.Helper()
	holds(h.t, 5*time.Second, func() error {
		if status, err := h.HostStatus(h.t.Context(), h.docker.Host); !errors.Is(err, host.ErrNotFound) {
			return fmt.Errorf("host is %s, %v", status.Status, err)
		}
		return h.alone(id, container)
	})
	h.removed(id)
	takesBack := regexp.MustCompile(`helios (register \S+ \S+) takes it back`).FindStringSubmatch(a.log())
	if takesBack == nil {
		h.t.Fatalf("the agent does not say how it is taken back: %s", a.log())
	}
	h.must(strings.Fields(takesBack[1])...)
	storetest.Eventually(h.t, 40*time.Second, func() error { return h.labelled("1", "one") })
	another := h.create(job.Job{Image: &h.image, Command: idle})
	theirs := *h.run(another).ContainerID
	goesOn := func() error {
		if all := h.docker.Containers(); len(all) != 2 {
			return fmt.Errorf("containers %+v", all)
		}
		return errors.Join(runsOnly(h.docker, id, container), runsOnly(h.docker, another, theirs))
	}
	holds(h.t, 3*time.Second, goesOn)
	a.stop()
	a.restart()
	h.await(h.docker.Host, host.Up)
	holds(h.t, 3*time.Second, goesOn)
}

func deregisteredAlive(t *testing.T, h *hostCase) {
	a, id, container := h.busy()
	h.deregister()
	a.said(saysDeregistered)
	h.comesBack(a, id, container)
}

func deregisteredAway(t *testing.T, h *hostCase) {
	a, id, container := h.silent()
	h.deregister()
	a.restart()
	a.said(saysDeregistered)
	a.kill()
	a.restart()
	h.comesBack(a, id, container)
}

func takenAway(t *testing.T, h *hostCase) {
	first, id, container := h.busy()
	second := startAgent(h.cluster, h.docker, nil, "--id", unique("second"), "--zk-registration-ttl", "0", "--labels", "num=2", "--env", "POD=two")
	first.said(`another agent \(second-[^)]*\) holds the host name`)
	goesOn := func() error { return errors.Join(h.runs(id, h.docker.Host, container), h.alone(id, container)) }
	storetest.Eventually(t, inTime, func() error { return errors.Join(h.labelled("2", "two"), goesOn()) })
	holds(t, 3*time.Second, goesOn)
	first.stop()
	second.stop()
	if err := h.alone(id, container); err != nil {
		t.Error(err)
	}
}
