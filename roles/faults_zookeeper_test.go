package roles_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestFaultsOfZooKeeper takes ZooKeeper away: for a moment, for long, by halves. What it holds is not changed.
func TestFaultsOfZooKeeper(t *testing.T) {
	promises(t, []promise{
		{"killing ZooKeeper stops no container", 5 * time.Second, false, zooKeeperKilled},
		{"ZooKeeper may be away for 60 s, and containers that die meanwhile are replaced", 5 * time.Second, false, zooKeeperAway},
		{"ZooKeeper may be unreachable for longer than all sessions", 5 * time.Second, true, zooKeeperUnreachable},
		{"ZooKeeper may hang for longer than all sessions", 5 * time.Second, false, zooKeeperHangs},
		{"all answers of ZooKeeper may be lost for longer than all sessions", 5 * time.Second, false, zooKeeperMuted},
		{"connections to ZooKeeper may be half open", 15 * time.Second, false, zooKeeperHalfOpen},
		{"ZooKeeper may leave a greeting without an answer", 8 * time.Second, false, zooKeeperSwallows},
		{"the link to ZooKeeper may break again and again", 5 * time.Second, false, zooKeeperFlaps},
		{"the leader of ZooKeeper may be killed", 5 * time.Second, false, zooKeeperLosesItsLeader},
		{"ZooKeeper may lose its majority for longer than all sessions", 8 * time.Second, false, zooKeeperLosesItsMajority},
		{"a member of ZooKeeper may lose its data", 5 * time.Second, false, zooKeeperMemberWiped},
	})
}

func zooKeeperKilled(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	c.zookeeper.Kill(0)
	tr.goesOn(2 * time.Second)
	c.zookeeper.Restart(0)
	c.zookeeper.AwaitServing(0)
	c.recovers()
}

func zooKeeperAway(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	c.zookeeper.Kill(0)
	docker, id := c.agents[0].docker, c.ids[0]
	tr.hurt(docker, id)
	docker.Kill(running(docker, id)[0].ID)
	tr.goesOn(time.Minute)
	if err := runsOnly(docker, id, ""); err != nil {
		tr.Errorf("without ZooKeeper: %v", err)
	}
	c.zookeeper.Restart(0)
	c.zookeeper.AwaitServing(0)
	c.recovers()
}

func zooKeeperUnreachable(tr *trial) {
	c := tr.start(setup{tasks: 2, links: true})
	c.each((*storetest.Proxy).Cut)
	c.awaitExpired()
	tr.goesOn(2 * time.Second)
	c.each((*storetest.Proxy).Heal)
	c.recovers()
}

func zooKeeperHangs(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2, links: true})
	c.each((*storetest.Proxy).Stall)
	c.awaitExpired()
	tr.goesOn(5 * time.Second)
	c.each((*storetest.Proxy).Heal)
	c.recovers()
}

// zooKeeperMuted lets requests through, so that what agents and masters write takes effect although they never hear so.
func zooKeeperMuted(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2, links: true})
	docker, id := c.agents[0].docker, c.ids[0]
	c.each((*storetest.Proxy).Mute)
	tr.hurt(docker, id)
	docker.Kill(running(docker, id)[0].ID) // there is something to write
	tr.goesOn(15 * time.Second)
	c.each((*storetest.Proxy).Heal)
	c.recovers()
}

// zooKeeperHalfOpen wants a job to be run though nobody tells masters and agents that their connections are dead.
func zooKeeperHalfOpen(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2, links: true})
	c.each((*storetest.Proxy).Forsake)
	tr.ends()
	done := c.deployUnwatched()
	tr.reaches(func() error { return errors.Join(c.wished(), done()) })
}

// zooKeeperSwallows has connections go half open while masters and agents wait to be given their sessions, as happens when
// ZooKeeper starts.
func zooKeeperSwallows(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2, links: true})
	c.each((*storetest.Proxy).Mute)
	for _, a := range c.agents {
		a.said(`connection to zookeeper lost`)
	}
	tr.goesOn(3 * time.Second) // by now they have others, and say what they wish
	c.each((*storetest.Proxy).Forsake)
	c.each((*storetest.Proxy).Heal)
	c.recovers()
}

func zooKeeperFlaps(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2, links: true})
	pulses := 0
	storetest.Eventually(tr, inTime, func() error {
		c.each((*storetest.Proxy).Cut)
		tr.goesOn(200 * time.Millisecond)
		c.each((*storetest.Proxy).Heal)
		tr.goesOn(300 * time.Millisecond)
		if pulses++; pulses < 30 {
			return fmt.Errorf("%d times", pulses)
		}
		return nil
	})
	c.recovers()
}

// zooKeeperLosesItsLeader has no end: the others go on without it.
func zooKeeperLosesItsLeader(tr *trial) {
	c := tr.start(setup{servers: 3, masters: 2, agents: 2, tasks: 2})
	c.zookeeper.Kill(c.zookeeper.AwaitLeader())
	c.zookeeper.AwaitLeader()
	c.recovers()
}

func zooKeeperLosesItsMajority(tr *trial) {
	c := tr.start(setup{servers: 3, masters: 2, agents: 2, tasks: 2})
	docker, id := c.agents[0].docker, c.ids[0]
	c.zookeeper.Kill(0)
	c.zookeeper.Kill(1)
	tr.hurt(docker, id)
	docker.Kill(running(docker, id)[0].ID)
	tr.goesOn(10 * time.Second)
	c.zookeeper.Restart(0)
	c.zookeeper.AwaitLeader()
	c.recovers()
}

// zooKeeperMemberWiped leaves the last copy of what the member lost with the others, who hand it back.
func zooKeeperMemberWiped(tr *trial) {
	c := tr.start(setup{servers: 3, agents: 2, tasks: 2})
	c.zookeeper.Kill(0)
	c.zookeeper.Wipe(0)
	c.zookeeper.Restart(0)
	c.zookeeper.AwaitServing(0)
	c.zookeeper.Kill(1)
	c.zookeeper.AwaitLeader()
	c.recovers()
	for _, id := range c.ids {
		if d, err := c.JobStatus(tr.Context(), id); err != nil || len(d.TaskStatuses) != len(c.agents) {
			tr.Errorf("%s: %+v, %v", id, d, err)
		}
	}
	c.create(job.Job{Image: &c.image})
}
