package roles_test

import (
	"testing"
	"time"
)

// TestFaultsOfZooKeeper takes ZooKeeper away: for a moment, for long, by halves.
func TestFaultsOfZooKeeper(t *testing.T) {
	promises(t, []promise{
		{"a killed ZooKeeper stops no container", 5 * time.Second, true, zooKeeperKilled},
	})
}

func zooKeeperKilled(tr *trial) {
	c := tr.start(setup{agents: 2, tasks: 2})
	c.zookeeper.Kill(0)
	tr.goesOn(3 * time.Second)
	c.zookeeper.Restart(0)
	c.zookeeper.AwaitServing(0)
	c.recovers()
}
