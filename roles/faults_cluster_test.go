package roles_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// setup is what a trial's cluster consists of. Each number that is 0 means 1.
type setup struct {
	servers, masters, agents int
	tasks                    int                // on each agent, watched from the start
	sessions                 string             // of masters and agents, in ms; "": sessions
	links                    bool               // a proxy before each server of ZooKeeper
	agent                    []string           // more options of the agents
	docker                   *dockertest.Daemon // of the agents; nil: the machine's, under a host name for each
	identified               bool               // with a cluster id
	all                      []string           // more options of masters and agents
	bare                     bool               // without agents: populate starts them later
}

// faultCluster is the cluster of one trial: what the trial breaks, and what it watches.
type faultCluster struct {
	*ensembleCluster
	*trial
	links []*storetest.Proxy // before the servers, if the setup says so
	ids   []job.ID           // of the jobs, each of which every agent runs
}

// nextPort begins the range of ports that no other agent of the suite has.
var nextPort atomic.Int32

// portRange is for an agent of its own.
func portRange() string {
	first := 20000 + 10*(nextPort.Add(1)%400)
	return fmt.Sprintf("%d:%d", first, first+10)
}

// start starts the cluster, deploys the jobs, and watches their containers from when they run.
func (tr *trial) start(s setup) *faultCluster {
	tr.Helper()
	c := &faultCluster{trial: tr, ensembleCluster: &ensembleCluster{image: "127.0.0.1:1/" + unique("probe") + ":1"}}
	c.zookeeper = storetest.StartEnsemble(tr, max(1, s.servers))
	servers := c.zookeeper.Servers()
	if s.links {
		var addrs []string
		for i := range max(1, s.servers) {
			link := storetest.StartProxy(tr, c.zookeeper.Addr(i))
			c.links, addrs = append(c.links, link), append(addrs, link.Addr())
		}
		servers = strings.Join(addrs, ",")
	}
	if s.identified {
		r := helios(tr, nil, "store", "init", "--zk", servers)
		_, id, ok := strings.Cut(strings.TrimSpace(r.out), "cluster id is: ")
		if r.exit != 0 || !ok {
			tr.Fatalf("store init: %s", r)
		}
		s.all = append(s.all, "--zk-cluster-id", id)
	}
	var more []string
	for range max(1, s.masters) {
		m := startNamedMaster(tr, servers, s.options()...)
		c.masters, more = append(c.masters, m), append(more, m.api)
	}
	c.cluster = newCluster(tr, more[0], servers, more[1:]...)
	if !s.bare {
		c.populate(s)
	}
	c.cluster.zk = c.zookeeper.Servers() // the test itself sees through every fault
	return c
}

// options are those of masters and agents.
func (s setup) options() []string {
	return append([]string{"--zk-session-timeout", cmp.Or(s.sessions, sessions)}, s.all...)
}

// populate starts the agents and gives them their tasks.
func (c *faultCluster) populate(s setup) {
	c.trial.Helper()
	for i := range max(1, s.agents) {
		docker := s.docker
		if docker == nil {
			docker = dockertest.New(c.trial)
		}
		if i == 0 {
			docker.Load(c.image, dockertest.Probe(c.trial))
		}
		options := slices.Concat(s.options(), []string{"--port-range", portRange()}, s.agent)
		c.agents = append(c.agents, startAgent(c.cluster, docker, nil, options...))
	}
	for _, a := range c.agents {
		c.await(a.docker.Host, host.Up)
	}
	c.deployAll(max(1, s.tasks))
}

// deployAll deploys more jobs, each with a port, on every agent, and watches their containers from when they run.
func (c *faultCluster) deployAll(n int) {
	c.trial.Helper()
	for range n {
		id := c.create(job.Job{Image: &c.image, Ports: map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}})
		c.ids = append(c.ids, id)
		for _, a := range c.agents {
			c.deploy(id, a.docker.Host)
		}
	}
	for _, id := range c.ids[len(c.ids)-n:] {
		for _, a := range c.agents {
			c.awaitState(id, a.docker.Host, job.Running)
			c.watch(a.docker, id)
		}
	}
}

// wished tells whether all is as it should be: every host up, every watched task shown as it is, by each master.
func (c *faultCluster) wished() error {
	for _, m := range c.masters {
		if err := c.shows(m.cluster); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// recovers ends the fault and waits for the wished state. Then it wants a new job to be run: not only what is written is
// true, masters and agents listen, too.
func (c *faultCluster) recovers() {
	c.trial.Helper()
	c.ends()
	c.reaches(c.wished)
	storetest.Eventually(c.trial, inTime, c.deployUnwatched())
}

// deployUnwatched deploys one more job everywhere, and tells when it runs.
func (c *faultCluster) deployUnwatched() (done func() error) {
	c.trial.Helper()
	id := c.create(job.Job{Image: &c.image})
	for _, a := range c.agents {
		c.deploy(id, a.docker.Host)
	}
	return func() error {
		for _, a := range c.agents {
			if err := errors.Join(c.runs(id, a.docker.Host, ""), runsOnly(a.docker, id, "")); err != nil {
				return err
			}
		}
		return nil
	}
}

// each does the same to the links to all servers.
func (c *faultCluster) each(do func(*storetest.Proxy)) {
	for _, l := range c.links {
		do(l)
	}
}

// awaitExpired waits until the sessions of all agents have ended.
func (c *faultCluster) awaitExpired() {
	c.trial.Helper()
	conn := c.tree()
	defer conn.Close()
	for _, a := range c.agents {
		storetest.Eventually(c.trial, inTime, func() error {
			if up, _, err := conn.Exists("/status/hosts/" + a.docker.Host + "/up"); err != nil || up {
				return fmt.Errorf("%s is up, %v", a.docker.Host, err)
			}
			return nil
		})
	}
}
