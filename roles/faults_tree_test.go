package roles_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestFaultsOfTheTree empties ZooKeeper, sets it back, exchanges it and spoils it, while agents run. Unknown is not empty:
// containers run on, and where nobody but a person can tell what is true, the trial gives that person's word (accept).
func TestFaultsOfTheTree(t *testing.T) {
	promises(t, []promise{
		{"a wiped ZooKeeper stops no container, and gets all deployments back by accept --keep", 10 * time.Second, true, treeWiped},
		{"a ZooKeeper wiped while agents were away stops no container", 10 * time.Second, false, treeWipedMeanwhile},
		{"a wiped ZooKeeper that gets its data back needs nobody's word", 10 * time.Second, false, treeWipedAndRestored},
		{"with a cluster id, a ZooKeeper without it is as good as none", 10 * time.Second, false, treeWithoutClusterID},
		{"accept --follow on a wiped ZooKeeper ends the tasks of the host that it names alone", 10 * time.Second, false, treeWipedAndFollowed},
		{"a ZooKeeper from before the registration stops no container", 10 * time.Second, false, treeFromBeforeRegistration},
		{"a ZooKeeper from before a deploy stops no container", 10 * time.Second, true, treeFromBeforeDeploy},
		{"a ZooKeeper from before an undeploy stops no container, and starts none", 10 * time.Second, false, treeFromBeforeUndeploy},
		{"another cluster's data stop no container", 10 * time.Second, false, treeOfAnotherCluster},
		{"deleting /config stops no container", 10 * time.Second, false, configDeleted},
		{"deleting /config and making it anew stops no container", 10 * time.Second, false, configMadeAnew},
		{"deleting a host's subtree stops no container", 10 * time.Second, false, hostDeleted},
		{"deleting a host's id stops no container", 10 * time.Second, false, hostIDDeleted},
		{"deleting a task list stops no container", 10 * time.Second, false, tasksDeleted},
		{"deleting a task list and making it anew stops no container", 10 * time.Second, false, tasksMadeAnew},
		{"garbage in the nodes of tasks stops no container", 10 * time.Second, true, taskGarbage},
		{"garbage in the nodes of tasks can be replaced by accept --keep", 10 * time.Second, false, taskGarbageKept},
		{"garbage in the nodes of jobs stops no container", 10 * time.Second, false, jobGarbage},
		{"deleting /status stops no container", 10 * time.Second, false, statusDeleted},
	})
}

// doubted waits until the agents say that they do not know what is wished.
func (c *faultCluster) doubted(agents ...*agent) {
	c.trial.Helper()
	for _, a := range agents {
		a.said(`the wishes are in doubt`)
	}
}

// accept gives the word of a person, that what the agents remember is to be kept, or what is stored to be followed.
func (c *faultCluster) accept(mode string, agents ...*agent) {
	c.trial.Helper()
	for _, m := range c.masters {
		m.answers()
	}
	for _, a := range agents {
		c.Logf("a person says: helios accept %s %s", a.docker.Host, mode)
		if r := helios(c.trial, nil, "accept", a.docker.Host, mode, "--yes", "-z", c.api); r.exit != 0 {
			c.Fatalf("accept %s: %s", mode, r)
		}
	}
}

// keep is how a doubt about all hosts ends that is a fault's: the containers have run on, also over the death of an agent,
// and a person wants it so.
func (c *faultCluster) keep() {
	c.trial.Helper()
	c.doubted(c.agents...)
	c.agents[0].kill()
	c.agents[0].restart()
	c.agents[0].said(`(?s)the wishes are in doubt.*agent starts.*registered`)
	c.goesOn(5 * time.Second)
	c.ends()
	c.accept("--keep", c.agents...)
	c.reaches(c.wished)
	storetest.Eventually(c.trial, inTime, c.deployUnwatched())
}

// setBack kills ZooKeeper and starts it again with other data: those of the backup, or none.
func (c *faultCluster) setBack(backup string) {
	c.trial.Helper()
	c.zookeeper.Kill(0)
	if backup == "" {
		c.zookeeper.Wipe(0)
	} else {
		c.zookeeper.Restore(0, backup)
	}
	c.zookeeper.Restart(0)
	c.zookeeper.AwaitServing(0)
}

func treeWiped(tr *trial) {
	c := tr.start(setup{agents: 3})
	c.setBack("")
	c.keep()
}

func treeWipedMeanwhile(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	for _, a := range c.agents {
		a.kill()
	}
	c.setBack("")
	for _, a := range c.agents {
		a.restart()
	}
	c.keep()
}

// treeWipedAndRestored sets the wiped ZooKeeper to what it was just before, once agents have seen it empty.
func treeWipedAndRestored(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	backup := c.zookeeper.Backup(0)
	c.setBack("")
	c.doubted(c.agents...)
	tr.goesOn(5 * time.Second)
	c.setBack(backup)
	c.ends()
	c.reachesCertainty()
}

// reachesCertainty is the wished state of a cluster whose agents were in doubt.
func (c *faultCluster) reachesCertainty() {
	c.trial.Helper()
	c.reaches(func() error {
		for _, a := range c.agents {
			log := a.log()
			if strings.LastIndex(log, "the wishes are known again") < strings.LastIndex(log, "the wishes are in doubt") {
				return fmt.Errorf("%s is in doubt", a.docker.Host)
			}
		}
		return c.wished()
	})
	storetest.Eventually(c.trial, inTime, c.deployUnwatched())
}

func treeWithoutClusterID(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2, identified: true})
	backup := c.zookeeper.Backup(0)
	c.setBack("")
	for _, a := range c.agents {
		a.said(`zookeeper has no tree of this cluster`)
	}
	tr.goesOn(10 * time.Second)
	c.setBack(backup)
	c.recovers()
}

func treeWipedAndFollowed(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	given := c.agents[1]
	more := c.create(job.Job{Image: &c.image})
	c.deploy(more, given.docker.Host)
	c.awaitState(more, given.docker.Host, job.Running)
	c.setBack("")
	c.doubted(c.agents...)
	tr.goesOn(5 * time.Second)
	tr.release(given.docker)
	tr.ends()
	c.accept("--follow", given)
	tr.reaches(func() error {
		for _, id := range append(c.ids, more) {
			if list := running(given.docker, id); len(list) > 0 {
				return fmt.Errorf("running containers of %s: %+v", id, list)
			}
		}
		return nil
	})
	tr.goesOn(3 * time.Second)
}

func treeFromBeforeRegistration(tr *trial) {
	c := tr.start(setup{bare: true})
	backup := c.zookeeper.Backup(0)
	c.populate(setup{agents: 2, tasks: 2})
	c.setBack(backup)
	c.keep()
}

func treeFromBeforeDeploy(tr *trial) {
	c := tr.start(setup{})
	backup := c.zookeeper.Backup(0)
	c.deployAll(2)
	c.setBack(backup)
	c.keep()
}

// treeFromBeforeUndeploy brings a task back that was undeployed. Whether it is to run again only a person can tell.
func treeFromBeforeUndeploy(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	id := c.create(job.Job{Image: &c.image})
	for _, a := range c.agents {
		c.deploy(id, a.docker.Host)
	}
	for _, a := range c.agents {
		c.awaitState(id, a.docker.Host, job.Running)
	}
	backup := c.zookeeper.Backup(0)
	for _, a := range c.agents {
		c.undeploy(id, a.docker.Host)
	}
	for _, a := range c.agents {
		c.awaitGone(id, a.docker.Host)
	}
	c.setBack(backup)
	c.doubted(c.agents...)
	tr.goesOn(5 * time.Second)
	for _, a := range c.agents {
		if list := running(a.docker, id); len(list) > 0 {
			tr.Errorf("undeployed, but running: %+v", list)
		}
	}
	tr.ends()
	c.accept("--keep", c.agents[0])
	c.accept("--follow", c.agents[1])
	tr.reaches(func() error {
		if h, err := c.HostStatus(tr.Context(), c.agents[0].docker.Host); err != nil || h.Jobs[id] != nil {
			return fmt.Errorf("the undeployed task is still stored, %v", err)
		}
		if list := running(c.agents[0].docker, id); len(list) > 0 {
			return fmt.Errorf("running containers of %s: %+v", id, list)
		}
		return errors.Join(c.wished(), runsOnly(c.agents[1].docker, id, ""), c.runs(id, c.agents[1].docker.Host, ""))
	})
}

// treeOfAnotherCluster shows agents, for a while, a tree in which their hosts are other agents', with other tasks. One of
// these hosts has reported something, so that its name is not free; the other one has not.
func treeOfAnotherCluster(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	zookeeper := storetest.StartEnsemble(tr, 1)
	other := startNamedMaster(tr, zookeeper.Servers())
	foreign := other.create(job.Job{Image: &c.image})
	for _, a := range c.agents {
		if _, err := other.RegisterHost(tr.Context(), a.docker.Host, unique("id")); err != nil {
			tr.Fatal(err)
		}
		other.deploy(foreign, a.docker.Host)
	}
	conn := other.tree()
	_, err := conn.Create("/status/hosts/"+c.agents[0].docker.Host+"/hostinfo", []byte("{}"), 0, zk.WorldACL(zk.PermAll))
	conn.Close()
	if err != nil {
		tr.Fatal(err)
	}
	backup, own := zookeeper.Backup(0), c.zookeeper.Backup(0)
	c.setBack(backup)
	c.agents[0].said(`another agent \([^)]*\) holds the host name`)
	c.doubted(c.agents[1])
	tr.goesOn(10 * time.Second)
	for _, a := range c.agents {
		if list := running(a.docker, foreign); len(list) > 0 {
			tr.Errorf("another cluster's job runs: %+v", list)
		}
	}
	c.setBack(own)
	c.ends()
	c.reachesCertainty()
}

// configDeleted leaves nothing of what was wished. Masters and agents make what they need anew.
func configDeleted(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	c.destroy("/config")
	c.keep()
}

func configMadeAnew(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	c.destroy("/config")
	c.found("/config", "/config/jobs", "/config/jobrefs", "/config/hosts")
	c.keep()
}

// hostDeleted looks like a deregistration, so that a person has to register the host, too.
func hostDeleted(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	a := c.agents[0]
	c.destroy("/config/hosts/" + a.docker.Host)
	c.registerAgain(a)
	c.doubted(a)
	tr.goesOn(5 * time.Second)
	tr.ends()
	c.accept("--keep", a)
	tr.reaches(c.wished)
}

func hostIDDeleted(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	a := c.agents[0]
	c.destroy("/config/hosts/" + a.docker.Host + "/id")
	c.registerAgain(a)
	c.recovers()
}

// registerAgain waits until the agent says that its host was deregistered, and gives the word of a person.
func (c *faultCluster) registerAgain(a *agent) {
	c.trial.Helper()
	a.said(saysDeregistered)
	c.goesOn(5 * time.Second)
	c.Logf("a person says: helios register %s %s", a.docker.Host, a.id)
	c.must("register", a.docker.Host, a.id)
}

func tasksDeleted(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	for _, a := range c.agents {
		c.destroy("/config/hosts/" + a.docker.Host + "/jobs")
	}
	c.keep()
}

func tasksMadeAnew(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	for _, a := range c.agents {
		c.destroy("/config/hosts/" + a.docker.Host + "/jobs")
		c.found("/config/hosts/" + a.docker.Host + "/jobs")
	}
	c.keep()
}

// taskGarbage lets agents and masters see garbage, and new agents begin with it; then what was there is there again.
func taskGarbage(tr *trial) {
	c := tr.start(setup{tasks: 2})
	mend := c.spoil(c.taskNodes()...)
	c.doubted(c.agents...)
	c.agents[0].kill()
	c.agents[0].restart()
	tr.goesOn(5 * time.Second)
	mend()
	c.recovers()
}

func taskGarbageKept(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	c.spoil(c.taskNodes()...)
	c.keep()
}

func jobGarbage(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	var nodes []string
	for _, id := range c.ids {
		nodes = append(nodes, "/config/jobs/"+id.String())
	}
	mend := c.spoil(nodes...)
	c.agents[0].kill()
	c.agents[0].restart()
	for _, a := range c.agents {
		c.await(a.docker.Host, host.Up)
	}
	tr.goesOn(5 * time.Second)
	mend()
	c.recovers()
}

func statusDeleted(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	c.destroy("/status")
	c.recovers()
}

// taskNodes are those of all tasks.
func (c *faultCluster) taskNodes() []string {
	var nodes []string
	for _, a := range c.agents {
		for _, id := range c.ids {
			nodes = append(nodes, "/config/hosts/"+a.docker.Host+"/jobs/"+id.String())
		}
	}
	return nodes
}

// spoil replaces the content of nodes by garbage or, of each second one, by nothing; mend puts it back.
func (c *faultCluster) spoil(paths ...string) (mend func()) {
	c.trial.Helper()
	conn := c.tree()
	defer conn.Close()
	was := make(map[string][]byte)
	for i, path := range paths {
		data, _, err := conn.Get(path)
		if err != nil {
			c.Fatal(err)
		}
		was[path] = data
		c.set(conn, path, []byte(garbage)[:len(garbage)*(1-i%2)])
	}
	return func() {
		c.trial.Helper()
		conn := c.tree()
		defer conn.Close()
		for path, data := range was {
			c.set(conn, path, data)
		}
	}
}

func (c *faultCluster) set(conn *zk.Conn, path string, data []byte) {
	c.trial.Helper()
	if _, err := conn.Set(path, data, -1); err != nil {
		c.Fatal(err)
	}
}

// destroy deletes a node and all below it.
func (c *faultCluster) destroy(path string) {
	c.trial.Helper()
	conn := c.tree()
	defer conn.Close()
	deleteBelow(c.trial, conn, path)
}

// found makes empty nodes, if nobody else has made them.
func (c *faultCluster) found(paths ...string) {
	c.trial.Helper()
	conn := c.tree()
	defer conn.Close()
	for _, path := range paths {
		if _, err := conn.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			c.Fatal(err)
		}
	}
}
