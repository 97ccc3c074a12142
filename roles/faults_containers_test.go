package roles_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestFaultsOfContainers ends containers and lays hands on them.
func TestFaultsOfContainers(t *testing.T) {
	promises(t, []promise{
		{"a container that runs out of memory is replaced once", 20 * time.Second, false, containerOutOfMemory},
		{"a container that is removed by hand is replaced once", 20 * time.Second, true, containerRemoved},
		{"a container that is renamed by hand runs on, also for an agent that starts", 10 * time.Second, false, containerRenamed},
		{"a container that is paused by hand is left alone", 10 * time.Second, false, containerPaused},
		{"a duplicate made by hand does no harm, and ends if it claims to be the agent's own", 45 * time.Second, false, containerDuplicated},
		{"forty containers that die at once are each replaced once", 60 * time.Second, false, fortyKilled},
	})
}

// replaced waits until each of the tasks runs in another container than before, and is shown so.
func (tr *trial) replaced(c *faultCluster, docker *dockertest.Daemon, before map[job.ID]string) {
	tr.Helper()
	tr.ends()
	tr.reaches(func() error {
		for id, old := range before {
			if runsOnly(docker, id, old) == nil {
				return fmt.Errorf("%s still runs", old)
			}
		}
		return c.wished()
	})
}

func containerOutOfMemory(tr *trial) {
	c := tr.start(setup{})
	docker := c.agents[0].docker
	id := c.create(job.Job{
		Image:     shell(tr, docker),
		Command:   []string{"sh", "-c", "until busybox test -e /go; do busybox sleep 0.1; done; exec busybox dd if=/dev/zero of=/dev/null bs=300M"},
		Resources: &job.Resources{Memory: new(int64(20 << 20)), MemorySwap: new(int64(20 << 20))},
	})
	c.deploy(id, docker.Host)
	c.awaitState(id, docker.Host, job.Running)
	tr.watch(docker, id)
	tr.hurt(docker, id)
	before := running(docker, id)[0].ID
	docker.Exec(before, "busybox", "touch", "/go")
	tr.replaced(c, docker, map[job.ID]string{id: before})
	exited := false
	for _, e := range events(tr, c, id) {
		exited = exited || e.Status.State == job.Exited && e.Status.OOMKilled != nil && *e.Status.OOMKilled
	}
	if !exited {
		tr.Error("that it was out of memory is not shown")
	}
	c.recovers()
}

// events are those of the job's history.
func events(tr *trial, c *faultCluster, id job.ID) []job.TaskStatusEvent {
	tr.Helper()
	history, err := c.History(tr.Context(), id)
	if err != nil {
		tr.Fatal(err)
	}
	return history.Events
}

func containerRemoved(tr *trial) {
	c := tr.start(setup{tasks: 2})
	docker, id := c.agents[0].docker, c.ids[0]
	tr.hurt(docker, id)
	before := running(docker, id)[0].ID
	docker.Remove(before)
	tr.replaced(c, docker, map[job.ID]string{id: before})
	c.recovers()
}

func containerRenamed(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a := c.agents[0]
	for _, w := range tr.watched {
		a.docker.Rename(w.before.ID, unique("renamed"))
	}
	tr.goesOn(2 * time.Second)
	a.kill()
	a.restart()
	tr.goesOn(2 * time.Second)
	a.kill()
	empty(tr, a.dir)
	a.restart()
	c.recovers()
}

// containerPaused has the fault harm the container, but nobody else: neither the agent nor one that starts.
func containerPaused(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a, id := c.agents[0], c.ids[0]
	container := running(a.docker, id)[0].ID
	tr.hurt(a.docker, id)
	a.docker.Pause(container)
	tr.goesOn(2 * time.Second)
	a.kill()
	a.restart()
	tr.goesOn(5 * time.Second)
	a.docker.Unpause(container)
	c.recovers()
	if err := runsOnly(a.docker, id, container); err != nil {
		tr.lost++
		tr.Error(err)
	}
	if n := tr.starts(a.docker, id); n != 0 {
		tr.doubled++
		tr.Errorf("%d other containers were started", n)
	}
}

func containerDuplicated(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a, id := c.agents[0], c.ids[0]
	container := running(a.docker, id)[0]
	stranger := a.docker.Duplicate(container.ID, unique("duplicate"))
	pretender := a.docker.Duplicate(container.ID, strings.TrimSuffix(container.Name, container.Name[strings.LastIndex(container.Name, "_"):])+"_0")
	tr.byHand = append(tr.byHand, stranger, pretender)
	tr.ends()
	tr.reaches(func() error {
		states := make(map[string]string)
		for _, c := range a.docker.Containers() {
			states[c.ID] = c.State
		}
		if states[pretender] != "exited" || states[stranger] != "running" || states[container.ID] != "running" {
			return fmt.Errorf("the duplicate with the agent's name is %s, the other one %s, the original %s", states[pretender], states[stranger], states[container.ID])
		}
		return nil
	})
	if s, err := c.task(id, a.docker.Host); err != nil || *s.ContainerID != container.ID {
		tr.Errorf("%s, %v", describe(s), err)
	}
	a.docker.Remove(stranger)
	c.recovers()
}

// fortyKilled has a Docker of its own, so that the others need not wait for it.
func fortyKilled(tr *trial) {
	private := startPrivate(tr)
	docker := private.Daemon
	c := tr.start(setup{docker: docker, agent: []string{"--docker", private.Endpoint}})
	var ids []job.ID
	for range 40 {
		id := c.create(job.Job{Image: &c.image})
		ids = append(ids, id)
		c.deploy(id, docker.Host)
	}
	before := make(map[job.ID]string)
	for _, id := range ids {
		c.awaitState(id, docker.Host, job.Running)
		tr.watch(docker, id)
		before[id] = running(docker, id)[0].ID
	}
	tr.hurt(docker, ids...)
	var kills sync.WaitGroup
	for _, container := range before {
		kills.Go(func() { docker.Kill(container) })
	}
	kills.Wait()
	tr.replaced(c, docker, before)
	c.recovers()
}
