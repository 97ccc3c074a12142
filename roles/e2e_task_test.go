package roles_test

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// loop is a shell that does nothing but answer the signals that trap names, as its first words say.
func loop(trap string) []string {
	return []string{"sh", "-c", trap + "; while :; do sleep 1; done"}
}

// idle ends with status 0 at the first signal.
var idle = loop("trap 'exit 0' INT TERM")

// ready waits until the container, whose command writes that after its trap, answers signals.
func ready(t testing.TB, docker *dockertest.Daemon, container string) {
	t.Helper()
	storetest.Eventually(t, inTime, func() error {
		if log := docker.Logs(container); log != "ready\n" {
			return fmt.Errorf("the container wrote %q", log)
		}
		return nil
	})
}

// shell gives the daemon an image with a shell.
func shell(t testing.TB, docker *dockertest.Daemon) *string {
	reference := "127.0.0.1:1/" + unique("shell") + ":1"
	docker.Load(reference, dockertest.Busybox(t))
	return &reference
}

// statusNode tells whether the store holds a status of the job on the host.
func (c *cluster) statusNode(name string, id job.ID) bool {
	c.t.Helper()
	conn := c.tree()
	defer conn.Close()
	exists, _, err := conn.Exists("/status/hosts/" + name + "/jobs/" + id.String())
	if err != nil {
		c.t.Fatal(err)
	}
	return exists
}

// TestTaskCases are the cases of a task from its deployment to its end: a master over a real ZooKeeper and, for each case,
// an agent of its own.
func TestTaskCases(t *testing.T) {
	t.Parallel()
	shared, _ := startMaster(t, storetest.ZooKeeper(t))

	// run runs a case beside the others, with an agent of its own.
	run := func(name string, test func(t *testing.T, c *cluster, a *agent, image *string)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			docker := dockertest.New(t)
			c := shared.seenBy(t)
			a := startAgent(c, docker, nil)
			c.await(docker.Host, host.Up)
			test(t, c, a, shell(t, docker))
		})
	}

	run("AGT-001, AGT-002 deployed task runs in one container, and goes on in it", func(t *testing.T, c *cluster, a *agent, image *string) {
		id := c.create(job.Job{Image: image, Command: idle})
		c.deploy(id, a.docker.Host)
		container := *c.awaitState(id, a.docker.Host, job.Running).ContainerID
		if err := runsOnly(a.docker, id, container); err != nil {
			t.Fatal(err)
		}
		if name := parse(t, string(a.docker.Inspect(container)))["Name"].(string); !strings.HasPrefix(name, "/helios-"+a.id+"-") {
			t.Errorf("the container is named %s, the agent has the id %s", name, a.id)
		}
		holds(t, 5*time.Second, func() error {
			return errors.Join(c.runs(id, a.docker.Host, container), runsOnly(a.docker, id, container))
		})
	})

	run("SYS-103, AGT-003 goal STOP sends SIGTERM", func(t *testing.T, c *cluster, a *agent, image *string) {
		id := c.create(job.Job{Image: image, Command: loop("trap 'echo term; exit 0' 15; echo ready")})
		c.deploy(id, a.docker.Host)
		container := *c.awaitState(id, a.docker.Host, job.Running).ContainerID
		ready(t, a.docker, container)
		c.setGoal(id, a.docker.Host, job.Stop)
		c.awaitState(id, a.docker.Host, job.Stopped)
		if log := a.docker.Logs(container); log != "ready\nterm\n" {
			t.Errorf("the container wrote %q", log)
		}
	})

	run("SYS-102, AGT-004 goal STOP sends no SIGINT", func(t *testing.T, c *cluster, a *agent, image *string) {
		id := c.create(job.Job{Image: image, Command: loop("trap 'echo int; exit 0' 2; echo ready"), SecondsToWaitBeforeKill: new(int32(1))})
		c.deploy(id, a.docker.Host)
		container := *c.awaitState(id, a.docker.Host, job.Running).ContainerID
		ready(t, a.docker, container)
		c.setGoal(id, a.docker.Host, job.Stop)
		c.awaitState(id, a.docker.Host, job.Stopped)
		if log := a.docker.Logs(container); log != "ready\n" {
			t.Errorf("the container wrote %q", log)
		}
	})

	run("AGT-006 stopped task starts again in a new container with the same ports", func(t *testing.T, c *cluster, a *agent, image *string) {
		ports := map[string]job.PortMapping{"one": {InternalPort: 8080, Protocol: "tcp"}, "two": {InternalPort: 53, Protocol: "udp"}}
		id := c.create(job.Job{Image: image, Command: idle, Ports: ports})
		c.deploy(id, a.docker.Host)
		first := c.awaitState(id, a.docker.Host, job.Running)
		c.setGoal(id, a.docker.Host, job.Stop)
		c.awaitState(id, a.docker.Host, job.Stopped)
		c.setGoal(id, a.docker.Host, job.Start)
		second := c.awaitState(id, a.docker.Host, job.Running)
		if *first.ContainerID == *second.ContainerID {
			t.Error("it is the same container")
		}
		for name := range ports {
			if a, b := first.Ports[name].ExternalPort, second.Ports[name].ExternalPort; a == nil || b == nil || *a != *b {
				t.Errorf("port %s was %v and is %v", name, first.Ports[name], second.Ports[name])
			}
		}
	})

	run("AGT-007 undeployed task leaves nothing but its stopped container", func(t *testing.T, c *cluster, a *agent, image *string) {
		id := c.create(job.Job{Image: image, Command: idle})
		c.deploy(id, a.docker.Host)
		container := *c.awaitState(id, a.docker.Host, job.Running).ContainerID
		if !c.statusNode(a.docker.Host, id) {
			t.Error("no status node of the running task")
		}
		c.undeploy(id, a.docker.Host)
		c.awaitGone(id, a.docker.Host)
		if c.statusNode(a.docker.Host, id) {
			t.Error("the status node is left")
		}
		if list := a.docker.Containers(); len(list) != 1 || list[0].ID != container || list[0].State != "exited" {
			t.Errorf("containers: %+v", list)
		}
		if _, err := c.RemoveJob(t.Context(), id, ""); err != nil {
			t.Errorf("the job cannot be deleted: %v", err)
		}
	})

	run("AGT-008 task undeployed and deployed at once ends up running", func(t *testing.T, c *cluster, a *agent, image *string) {
		id := c.create(job.Job{Image: image, Command: idle})
		c.deploy(id, a.docker.Host)
		c.awaitState(id, a.docker.Host, job.Running)
		c.undeploy(id, a.docker.Host)
		c.deploy(id, a.docker.Host)
		storetest.Eventually(t, inTime, func() error {
			status, err := c.task(id, a.docker.Host)
			if err != nil {
				return err
			}
			if status == nil || status.State != job.Running {
				return errors.New(describe(status))
			}
			return runsOnly(a.docker, id, *status.ContainerID)
		})
	})

	run("SYS-069, AGT-009 history tells the life of a task in order", func(t *testing.T, c *cluster, a *agent, image *string) {
		id := c.create(job.Job{Image: image, Command: idle})
		c.deploy(id, a.docker.Host)
		c.awaitState(id, a.docker.Host, job.Running)
		c.undeploy(id, a.docker.Host)
		c.awaitGone(id, a.docker.Host)
		storetest.Eventually(t, inTime, func() error {
			history, err := c.History(t.Context(), id)
			if err != nil {
				return err
			}
			return lifeOf(history.Events)
		})
	})

	run("AGT-012 task deployed with goal STOP gets neither container nor status", func(t *testing.T, c *cluster, a *agent, image *string) {
		id := c.create(job.Job{Image: image, Command: idle})
		if _, err := c.Deploy(t.Context(), a.docker.Host, id, job.Stop, ""); err != nil {
			t.Fatal(err)
		}
		a.said(`"job":"` + id.String() + `".*"goal":"STOP"`)
		holds(t, 2*time.Second, func() error {
			status, err := c.task(id, a.docker.Host)
			if status != nil {
				err = errors.New(describe(status))
			}
			if list := a.docker.Containers(); len(list) != 0 {
				err = fmt.Errorf("containers: %+v", list)
			}
			return err
		})
	})
}

// life is that of a task that was deployed, ran, and was undeployed: each state, with + where the container is known.
var life = regexp.MustCompile(`^(PULLING_IMAGE- )+CREATING- STARTING\+ RUNNING\+ STOPPING\+ (EXITED|STOPPED)\+ $`)

// lifeOf tells whether the events are in the order of a life.
func lifeOf(events []job.TaskStatusEvent) error {
	var states strings.Builder
	for _, e := range events {
		known := "-"
		if e.Status.ContainerID != nil {
			known = "+"
		}
		fmt.Fprint(&states, e.Status.State, known, " ")
	}
	if !life.MatchString(states.String()) {
		return fmt.Errorf("history: %s", &states)
	}
	return nil
}

// TestDeploymentAnswers is the case of a job through the API, with each answer it can get on its way.
func TestDeploymentAnswers(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	s := startSoloCluster(t, docker, nil)
	t.Run("SYS-047 job is deployed, undeployed and deleted, and each mistake is answered", func(t *testing.T) {
		c, ctx := s.seenBy(t), t.Context()
		answers := func(got httpapi.Status, want string) {
			t.Helper()
			if string(got) != want {
				t.Errorf("answer %s, want %s", got, want)
			}
		}
		j := job.Job{ID: job.ID{Name: unique("job"), Version: "1"}, Image: shell(t, docker), Command: idle}
		created, _ := c.CreateJob(ctx, j)
		answers(created.Status, "OK")
		again, _ := c.CreateJob(ctx, j)
		answers(again.Status, "JOB_ALREADY_EXISTS")
		id := jobID(t, *created.ID)

		if list, err := c.Jobs(ctx, unique("none"), ""); err != nil || len(list) != 0 {
			t.Errorf("jobs of another name: %v, %v", list, err)
		}
		stored, err := c.Job(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, query := range []string{id.Name, id.Name + ":" + id.Version, id.String()} {
			if list, err := c.Jobs(ctx, query, ""); err != nil || !reflect.DeepEqual(list, map[job.ID]job.Job{id: stored}) {
				t.Errorf("jobs with %s: %v, %v", query, list, err)
			}
		}

		unknown := job.ID{Name: id.Name, Version: "2", Hash: id.Hash}
		for _, deploy := range []struct {
			host string
			id   job.ID
			want string
		}{
			{docker.Host, id, "OK"},
			{docker.Host, id, "JOB_ALREADY_DEPLOYED"},
			{docker.Host, unknown, "JOB_NOT_FOUND"},
			{unique("host"), id, "HOST_NOT_FOUND"},
		} {
			deployed, _ := c.Deploy(ctx, deploy.host, deploy.id, job.Start, "")
			answers(deployed.Status, deploy.want)
		}
		undeployed, _ := c.Undeploy(ctx, docker.Host, id, "")
		answers(undeployed.Status, "OK")
		deployed, _ := c.Deploy(ctx, docker.Host, id, job.Start, "")
		answers(deployed.Status, "OK")
		if d, err := c.Deployment(ctx, docker.Host, id); err != nil || d.JobID != id || d.Goal != job.Start {
			t.Errorf("deployment: %+v, %v", d, err)
		}
		if status := c.awaitState(id, docker.Host, job.Running); !reflect.DeepEqual(status.Job, stored) {
			t.Errorf("the status is of %+v, want %+v", status.Job, stored)
		}
		removed, _ := c.RemoveJob(ctx, id, "")
		answers(removed.Status, "STILL_IN_USE")
		holds(t, 5*time.Second, func() error { return c.runs(id, docker.Host, "") })
		undeployed, _ = c.Undeploy(ctx, docker.Host, id, "")
		answers(undeployed.Status, "OK")
		if d, err := c.Deployment(ctx, docker.Host, id); !errors.Is(err, job.ErrNotDeployed) {
			t.Errorf("deployment after undeploying: %+v, %v", d, err)
		}
		c.awaitGone(id, docker.Host)
		removed, _ = c.RemoveJob(ctx, id, "")
		answers(removed.Status, "OK")
		removed, _ = c.RemoveJob(ctx, id, "")
		answers(removed.Status, "JOB_NOT_FOUND")
	})
	t.Run("SYS-072 job that was never deployed is deleted", func(t *testing.T) {
		c := s.seenBy(t)
		if answer, err := c.RemoveJob(t.Context(), c.create(job.Job{Image: new(noImage)}), ""); err != nil || answer.Status != "OK" {
			t.Errorf("answer %v, %v", answer, err)
		}
	})
}
