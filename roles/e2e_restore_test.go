package roles_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestRestoredZooKeeper sets ZooKeeper back to a backup, or wipes it, while agents run. They bring back what it forgot.
func TestRestoredZooKeeper(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		test func(t *testing.T, r *restored)
	}{
		{"SYS-133, AGT-085 agents register again in a store from before they first registered", fromBeforeTheHosts},
		{"SYS-134, AGT-086 status is reported again to a store from before the task first ran", fromBeforeTheStatus},
		{"agents register again in a store that was wiped", wiped},
		{"host that was deregistered before the backup stays so", fromAfterTheHost},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &restored{hostCase: &hostCase{docker: dockertest.New(t)}, zookeeper: storetest.StartEnsemble(t, 1)}
			r.cluster, _ = startMaster(t, r.zookeeper.Servers(), "--zk-session-timeout", sessions)
			r.image = *shell(t, r.docker)
			r.served()
			c.test(t, r)
		})
	}
}

// restored is a host of a cluster whose ZooKeeper can be set back.
type restored struct {
	*hostCase
	zookeeper *storetest.Ensemble
}

// served waits until the master is connected, and has made the tree.
func (r *restored) served() {
	r.t.Helper()
	storetest.Eventually(r.t, inTime, func() error {
		_, err := r.Masters(r.t.Context())
		return err
	})
}

// backup copies what ZooKeeper holds, which is away for that time.
func (r *restored) backup() string {
	r.t.Helper()
	dir := r.zookeeper.Backup(0)
	r.served()
	return dir
}

// restore sets ZooKeeper back to the backup.
func (r *restored) restore(backup string) {
	r.t.Helper()
	r.zookeeper.Kill(0)
	r.zookeeper.Restore(0, backup)
	r.zookeeper.Restart(0)
	r.zookeeper.AwaitServing(0)
}

// idleAgents starts agents of hosts without tasks, one after the other.
func (r *restored) idleAgents(n int) []*agent {
	r.t.Helper()
	var agents []*agent
	for range n {
		a := startAgent(r.cluster, dockertest.New(r.t), nil, "--labels", "num=1", "--env", "POD=one")
		r.awaitFacts(a.docker.Host)
		agents = append(agents, a)
	}
	return agents
}

// awaitAll waits until the hosts of all agents are up, with what they report.
func (r *restored) awaitAll(agents []*agent) {
	r.t.Helper()
	for _, a := range agents {
		h := &hostCase{cluster: r.cluster, docker: a.docker}
		storetest.Eventually(r.t, inTime, func() error { return h.labelled("1", "one") })
	}
}

func fromBeforeTheHosts(t *testing.T, r *restored) {
	backup := r.backup()
	first, id, container := r.busy()
	agents := append(r.idleAgents(2), first)
	for _, a := range agents { // each remembers that the others came
		storetest.Eventually(t, inTime, func() error {
			if changes := rememberedChanges(t, a.dir); changes < len(agents) {
				return fmt.Errorf("%d hosts are remembered", changes)
			}
			return nil
		})
	}
	agents[0].stop() // one learns of it only when it begins
	r.restore(backup)
	r.awaitAll(agents[1:])
	agents[0].restart()
	r.awaitAll(agents)
	holds(t, 5*time.Second, func() error { return r.alone(id, container) })
}

// rememberedChanges is how many changes of the list of hosts an agent remembers.
func rememberedChanges(t testing.TB, dir string) int {
	t.Helper()
	hosts, _ := parse(t, read(filepath.Join(dir, "registration.json")))["hosts"].(map[string]any)
	changes, _ := hosts["changes"].(float64)
	return int(changes)
}

func fromBeforeTheStatus(t *testing.T, r *restored) {
	a := startAgent(r.cluster, r.docker, nil, "--labels", "num=1", "--env", "POD=one")
	r.awaitFacts(r.docker.Host)
	a.stop()
	r.await(r.docker.Host, host.Down)
	id := r.create(job.Job{Image: &r.image, Command: idle})
	r.deploy(id, r.docker.Host)
	backup := r.backup()
	a.restart()
	container := *r.awaitState(id, r.docker.Host, job.Running).ContainerID
	r.restore(backup)
	storetest.Eventually(t, inTime, func() error {
		return errors.Join(r.labelled("1", "one"), r.runs(id, r.docker.Host, container))
	})
	holds(t, 3*time.Second, func() error {
		return errors.Join(r.runs(id, r.docker.Host, container), r.alone(id, container))
	})
	conn := r.tree()
	defer conn.Close()
	if err := conn.Delete("/status/hosts/"+r.docker.Host+"/jobs/"+id.String(), -1); err != nil {
		t.Error(err)
	}
	holds(t, 3*time.Second, func() error { return r.alone(id, container) })
}

func wiped(t *testing.T, r *restored) {
	a, id, container := r.busy()
	agents := append(r.idleAgents(1), a)
	r.zookeeper.Kill(0)
	r.zookeeper.Wipe(0)
	r.zookeeper.Restart(0)
	r.awaitAll(agents)
	holds(t, 5*time.Second, func() error { return r.alone(id, container) })
}

func fromAfterTheHost(t *testing.T, r *restored) {
	a, id, container := r.busy()
	r.deregister()
	a.said(saysDeregistered)
	backup := r.backup()
	later := r.idleAgents(1) // of the list that goes on after the backup
	r.restore(backup)
	r.awaitAll(later) // ZooKeeper and the master are there again
	holds(t, 5*time.Second, func() error {
		if status, err := r.HostStatus(t.Context(), r.docker.Host); !errors.Is(err, host.ErrNotFound) {
			return fmt.Errorf("host is %s, %v", status.Status, err)
		}
		return r.alone(id, container)
	})
}

// TestDeletedConfiguration takes all that was wished out of a cluster with an id, and the id with it: that says nothing
// about the tasks.
func TestDeletedConfiguration(t *testing.T) {
	t.Parallel()
	t.Run("AGT-084 container goes on running when all of /config is deleted", func(t *testing.T) {
		zookeeper := storetest.StartEnsemble(t, 1).Servers()
		r := helios(t, nil, "store", "init", "--zk", zookeeper)
		_, clusterID, ok := strings.Cut(strings.TrimSpace(r.out), "cluster id is: ")
		if r.exit != 0 || !ok {
			t.Fatalf("store init: %s", r)
		}
		h := &hostCase{docker: dockertest.New(t)}
		h.cluster, _ = startMaster(t, zookeeper, "--zk-cluster-id", clusterID)
		h.image = *shell(t, h.docker)
		a := startAgent(h.cluster, h.docker, nil, "--zk-cluster-id", clusterID)
		h.await(h.docker.Host, host.Up)
		id := h.create(job.Job{Image: &h.image, Command: idle})
		container := *h.run(id).ContainerID

		conn := h.tree()
		defer conn.Close()
		deleteBelow(t, conn, "/config")
		holds(t, 5*time.Second, func() error { return h.alone(id, container) })
		a.stop()
		a.restart() // nor does it say anything to an agent that only now begins
		holds(t, 5*time.Second, func() error { return h.alone(id, container) })
	})
}

// deleteBelow deletes a node and all below it, while others may write there.
func deleteBelow(t testing.TB, conn *zk.Conn, path string) {
	t.Helper()
	storetest.Eventually(t, inTime, func() error {
		tree := storetest.ReadTree(t, conn, "")
		paths := slices.Sorted(maps.Keys(tree))
		for _, at := range slices.Backward(paths) {
			if at != path && !strings.HasPrefix(at, path+"/") {
				continue
			}
			if err := conn.Delete(at, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
				return fmt.Errorf("delete %s: %w", at, err)
			}
		}
		return nil
	})
}
