package roles_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// This file is a cluster as it is run in earnest: three servers of ZooKeeper, two masters and three agents, each a
// process of its own, and clients that know both masters.

// sessions are the session time-outs of its masters and agents, in milliseconds: short, so that a death shows soon.
const sessions = "3000"

// ensembleCluster is such a cluster. Its own client knows both masters.
type ensembleCluster struct {
	*cluster
	zookeeper *storetest.Ensemble
	masters   []*masterNode
	agents    []*agent
	image     string // of the workload, which ends at once when it is told to
}

// masterNode is one master, and a client that knows only that one.
type masterNode struct {
	*cluster
	process *process
	name    string
}

func startEnsembleCluster(t testing.TB) *ensembleCluster {
	t.Helper()
	e := &ensembleCluster{image: "127.0.0.1:1/" + unique("probe") + ":1"}
	var daemons []*dockertest.Daemon
	for range 3 {
		daemons = append(daemons, dockertest.New(t))
	}
	daemons[0].Load(e.image, dockertest.Probe(t))
	e.zookeeper = storetest.StartEnsemble(t, 3)
	for range 2 {
		e.masters = append(e.masters, startNamedMaster(t, e.zookeeper.Servers()))
	}
	e.cluster = newCluster(t, e.masters[0].api, e.zookeeper.Servers(), e.masters[1].api)
	for i, docker := range daemons {
		ports := fmt.Sprintf("%d:%d", 18000+100*i, 18100+100*i)
		e.agents = append(e.agents, startAgent(e.cluster, docker, nil, "--zk-session-timeout", sessions, "--port-range", ports))
	}
	for _, a := range e.agents {
		e.await(a.docker.Host, host.Up)
	}
	return e
}

// startNamedMaster starts a master that keeps its address when it is started again, and waits until it answers.
func startNamedMaster(t testing.TB, servers string, args ...string) *masterNode {
	t.Helper()
	m := &masterNode{name: unique("master")}
	m.cluster, m.process = startMaster(t, servers, append([]string{
		"--name", m.name, "--http", "http://" + storetest.FreeAddr(t), "--zk-session-timeout", sessions,
	}, args...)...)
	m.answers()
	return m
}

// answers waits until the master answers.
func (m *masterNode) answers() {
	m.t.Helper()
	storetest.Eventually(m.t, inTime, func() error {
		_, err := m.Masters(m.t.Context()) // fails until a first master has made the tree
		return err
	})
}

// lifetime is what Docker knows of one container.
type lifetime struct {
	ID           string
	RestartCount int
	State        struct {
		Running    bool
		Pid        int
		StartedAt  time.Time
		FinishedAt time.Time
	}
}

// lifetimes are those of the job's containers that were ever started, the oldest first. Agents leave stopped containers
// where they are, so that nothing is missing.
func lifetimes(t testing.TB, docker *dockertest.Daemon, id job.ID) []lifetime {
	t.Helper()
	var list []lifetime
	for _, c := range docker.Containers() {
		if c.Labels["helios.job"] != id.String() {
			continue
		}
		var l lifetime
		if err := json.Unmarshal(docker.Inspect(c.ID), &l); err != nil {
			t.Fatal(err)
		}
		if !l.State.StartedAt.IsZero() {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b lifetime) int { return a.State.StartedAt.Compare(b.State.StartedAt) })
	return list
}

// bystanders are tasks that no command names, one on each host, and their containers as they were at first.
type bystanders struct {
	e    *ensembleCluster
	id   job.ID
	were [][]lifetime
}

func (e *ensembleCluster) startBystanders() *bystanders {
	e.t.Helper()
	b := &bystanders{e: e, id: e.create(job.Job{
		Image: &e.image, Ports: map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}},
	})}
	for _, a := range e.agents {
		e.deploy(b.id, a.docker.Host)
	}
	for _, a := range e.agents {
		e.awaitState(b.id, a.docker.Host, job.Running)
		b.were = append(b.were, lifetimes(e.t, a.docker, b.id))
	}
	return b
}

// unharmed tells whether no bystander was stopped, restarted or doubled.
func (b *bystanders) unharmed() error {
	for i, a := range b.e.agents {
		if are := lifetimes(b.e.t, a.docker, b.id); len(are) != 1 || !reflect.DeepEqual(are, b.were[i]) {
			return fmt.Errorf("containers of %s that nobody named were %+v, are %+v", a.docker.Host, b.were[i], are)
		}
	}
	return nil
}

// shown tells whether each master shows each bystander as running in its container.
func (b *bystanders) shown() error {
	for _, m := range b.e.masters {
		for i, a := range b.e.agents {
			if err := m.runs(b.id, a.docker.Host, b.were[i][0].ID); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

// nodes lists the nodes below a path of the tree; none if there is no such node.
func (e *ensembleCluster) nodes(conn *zk.Conn, path string) []string {
	e.t.Helper()
	names, _, err := conn.Children(path)
	if err != nil && err != zk.ErrNoNode {
		e.t.Fatal(err)
	}
	slices.Sort(names)
	return names
}
