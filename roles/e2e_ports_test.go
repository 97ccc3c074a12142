package roles_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// hostCase is one case about a host: a cluster that others use too, and a Docker of its own.
type hostCase struct {
	*cluster
	docker *dockertest.Daemon
	image  string // of the workload
}

// start starts the host's agent and waits until it is up.
func (h *hostCase) start(args ...string) *agent {
	h.t.Helper()
	a := startAgent(h.cluster, h.docker, nil, args...)
	h.await(h.docker.Host, host.Up)
	return a
}

// run deploys the job on the host and waits until it runs.
func (h *hostCase) run(id job.ID) *job.TaskStatus {
	h.t.Helper()
	h.deploy(id, h.docker.Host)
	return h.awaitState(id, h.docker.Host, job.Running)
}

// lastingPort is a free port, also for a container that is started again.
func lastingPort(t testing.TB) int32 {
	t.Helper()
	return int32(storetest.FreePorts(t, 1))
}

// static is a mapping to a port of the host.
func static(internal, external int32) job.PortMapping {
	return job.PortMapping{InternalPort: internal, ExternalPort: &external, Protocol: "tcp"}
}

// TestHostCases are the cases of a host's ports, its identity, and its end, over one master and a real ZooKeeper.
func TestHostCases(t *testing.T) {
	t.Parallel()
	shared, _ := startMaster(t, storetest.ZooKeeper(t))
	for _, c := range []struct {
		name string
		test func(t *testing.T, h *hostCase)
	}{
		{"SYS-085, AGT-033, AGT-034, AGT-035 ports stay those of the task", portsStay},
		{"SYS-089, AGT-037 static port is given once, also to tasks that do not run", portsConflict},
		{"SYS-090, AGT-038 image that exposes a port runs with and without a mapping", exposedPorts},
		{"SYS-088, AGT-062 network mode host is the container's", networkOfHost},
		{"SYS-087 containers are named by the agent's id", namesOfContainers},
		{"SYS-049 unknown host cannot be deregistered", unknownHost},
		{"SYS-050, AGT-079 host is deregistered while its agent is away, and its job deleted", deregistration},
		{"AGT-091 second agent of a name leaves the host to the first", twoAgentsOneName},
		{"AGT-092 agents whose ids begin alike leave each other's containers", twoAgentsOneDocker},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := &hostCase{cluster: shared.seenBy(t), docker: dockertest.New(t), image: "127.0.0.1:1/" + unique("probe") + ":1"}
			h.docker.Load(h.image, dockertest.Probe(t))
			c.test(t, h)
		})
	}
}

func portsStay(t *testing.T, h *hostCase) {
	first := int32(storetest.FreePorts(t, 2))
	a := h.start("--port-range", fmt.Sprintf("%d:%d", first, first+2))
	type task struct {
		id              job.ID
		static, dynamic int32
		container       string
	}
	var tasks []*task
	for range 2 {
		k := &task{static: lastingPort(t)}
		k.id = h.create(job.Job{Image: &h.image, Ports: map[string]job.PortMapping{
			"dynamic": {InternalPort: 8080, Protocol: "tcp"}, "static": static(8081, k.static),
		}})
		status := h.run(k.id)
		k.container, k.dynamic = *status.ContainerID, *status.Ports["dynamic"].ExternalPort
		if got := *status.Ports["static"].ExternalPort; got != k.static {
			t.Errorf("static port %d, want %d", got, k.static)
		}
		if k.dynamic < first || k.dynamic >= first+2 {
			t.Errorf("dynamic port %d is not in the range that begins at %d", k.dynamic, first)
		}
		tasks = append(tasks, k)
	}
	if tasks[0].dynamic == tasks[1].dynamic {
		t.Errorf("both tasks have the port %d", tasks[0].dynamic)
	}
	// same waits until the task runs in another container with the same ports.
	same := func(k *task) {
		t.Helper()
		storetest.Eventually(t, inTime, func() error {
			status, err := h.task(k.id, h.docker.Host)
			if err != nil {
				return err
			}
			if status == nil || status.State != job.Running || *status.ContainerID == k.container {
				return fmt.Errorf("%s, container was %s", describe(status), k.container)
			}
			if s, d := *status.Ports["static"].ExternalPort, *status.Ports["dynamic"].ExternalPort; s != k.static || d != k.dynamic {
				t.Fatalf("ports were %d and %d, are %d and %d", k.static, k.dynamic, s, d)
			}
			if err := get(fmt.Sprintf("http://127.0.0.1:%d", k.dynamic)); err != nil { // it runs a moment before it listens
				return err
			}
			k.container = *status.ContainerID
			return nil
		})
	}
	h.docker.Kill(tasks[0].container)
	same(tasks[0])
	a.stop()
	h.docker.Kill(tasks[1].container)
	other := storetest.FreePorts(t, 2)
	a.args = append(a.args, "--port-range", fmt.Sprintf("%d:%d", other, other+2))
	a.restart()
	same(tasks[1])
}

func portsConflict(t *testing.T, h *hostCase) {
	h.start()
	port := lastingPort(t)
	first := h.create(job.Job{Image: &h.image, Ports: map[string]job.PortMapping{"p": static(8080, port)}})
	second := h.create(job.Job{Image: &h.image, Ports: map[string]job.PortMapping{"p": static(8081, port)}})
	refused := func(goal job.Goal) {
		t.Helper()
		if answer, err := h.Deploy(t.Context(), h.docker.Host, second, goal, ""); answer.Status != "PORT_CONFLICT" || !errors.Is(err, job.ErrPortConflict) {
			t.Errorf("answer %s, %v", answer.Status, err)
		}
	}
	if _, err := h.Deploy(t.Context(), h.docker.Host, first, job.Stop, ""); err != nil {
		t.Fatal(err)
	}
	refused(job.Stop)
	refused(job.Start)
	h.setGoal(first, h.docker.Host, job.Start)
	h.awaitState(first, h.docker.Host, job.Running)
	refused(job.Start)
	h.undeploy(first, h.docker.Host)
	begin := time.Now()
	h.run(second)
	if took := time.Since(begin); took > 28*time.Second { // the next look without a word is after half a minute
		t.Errorf("the port was free for the other task only after %s", took)
	}
}

func exposedPorts(t *testing.T, h *hostCase) {
	h.start()
	exposing := "127.0.0.1:1/" + unique("exposing") + ":1"
	h.docker.Load(exposing, dockertest.Exposing(t, dockertest.Probe(t), "11211/tcp"))
	bare := h.create(job.Job{Image: &exposing})
	mapped := h.create(job.Job{Image: &exposing, Ports: map[string]job.PortMapping{"memcached": static(11211, lastingPort(t))}})
	h.deploy(bare, h.docker.Host)
	h.deploy(mapped, h.docker.Host)
	h.awaitState(bare, h.docker.Host, job.Running)
	h.awaitState(mapped, h.docker.Host, job.Running)
}

func networkOfHost(t *testing.T, h *hostCase) {
	h.start()
	status := h.run(h.create(job.Job{Image: &h.image, Command: []string{"sleep", "3600"}, NetworkMode: new("host")}))
	config := parse(t, string(h.docker.Inspect(*status.ContainerID)))["HostConfig"].(map[string]any)
	if config["NetworkMode"] != "host" {
		t.Errorf("network mode %v", config["NetworkMode"])
	}
}

func namesOfContainers(t *testing.T, h *hostCase) {
	id := unique("test")
	h.start("--id", id)
	status := h.run(h.create(job.Job{Image: &h.image}))
	name, _ := parse(t, string(h.docker.Inspect(*status.ContainerID)))["Name"].(string)
	if !strings.HasPrefix(name, "/helios-"+id+"-") {
		t.Errorf("the container is named %s", name)
	}
}

func unknownHost(t *testing.T, h *hostCase) {
	if answer, err := h.DeregisterHost(t.Context(), unique("host")); answer.Status != "NOT_FOUND" || !errors.Is(err, host.ErrNotFound) {
		t.Errorf("answer %s, %v", answer.Status, err)
	}
}

func deregistration(t *testing.T, h *hostCase) {
	a := h.start()
	id := h.create(job.Job{Image: &h.image, Ports: map[string]job.PortMapping{"p": static(8080, lastingPort(t))}})
	container := *h.run(id).ContainerID
	a.stop()
	if answer, err := h.DeregisterHost(t.Context(), h.docker.Host); err != nil || answer.Status != "OK" {
		t.Errorf("deregister: %s, %v", answer.Status, err)
	}
	if answer, err := h.RemoveJob(t.Context(), id, ""); err != nil || answer.Status != "OK" {
		t.Errorf("delete the job: %s, %v", answer.Status, err)
	}
	if err := runsOnly(h.docker, id, container); err != nil { // deregistering is no undeploying (decisions 9)
		t.Error(err)
	}
}

func twoAgentsOneName(t *testing.T, h *hostCase) {
	h.start()
	id := h.create(job.Job{Image: &h.image})
	container := *h.run(id).ContainerID
	conn := h.tree()
	defer conn.Close()
	written := func() int64 { // when the status last was
		t.Helper()
		_, stat, err := conn.Exists("/status/hosts/" + h.docker.Host + "/jobs/" + id.String())
		if err != nil {
			t.Fatal(err)
		}
		return stat.Mzxid
	}
	before := written()
	second := startAgent(h.cluster, h.docker, nil, "--id", unique("second"))
	second.said(`another agent \(id-[^)]*\) holds the host name`)
	other := h.create(job.Job{Image: &h.image})
	theirs := *h.run(other).ContainerID
	goesOn := func() error {
		return errors.Join(
			h.runs(id, h.docker.Host, container), runsOnly(h.docker, id, container),
			h.runs(other, h.docker.Host, theirs), runsOnly(h.docker, other, theirs),
		)
	}
	holds(t, 3*time.Second, goesOn)
	if status := second.stop(); status != 143 {
		t.Errorf("second agent ended with %d", status)
	}
	if err := goesOn(); err != nil {
		t.Error(err)
	}
	if after := written(); after != before {
		t.Errorf("the status was written at %d, again at %d", before, after)
	}
	h.await(h.docker.Host, host.Up)
	if list := h.docker.Containers(); len(list) != 2 {
		t.Errorf("containers: %+v", list)
	}
}

func twoAgentsOneDocker(t *testing.T, h *hostCase) {
	short := unique("a")
	h.start("--id", short)
	neighbour := &hostCase{cluster: h.cluster, docker: dockertest.New(t), image: h.image}
	neighbour.start("--id", short+"b")
	id := h.create(job.Job{Image: &h.image})
	mine, theirs := *h.run(id).ContainerID, *neighbour.run(id).ContainerID
	goesOn := func() error {
		return errors.Join(runsOnly(h.docker, id, mine), runsOnly(neighbour.docker, id, theirs))
	}
	another := h.create(job.Job{Image: &h.image}) // each change is a pass, and each pass looks for strays
	for _, on := range []*hostCase{h, neighbour} {
		on.run(another)
		h.undeploy(another, on.docker.Host)
		h.awaitGone(another, on.docker.Host)
	}
	holds(t, 3*time.Second, goesOn)
}
