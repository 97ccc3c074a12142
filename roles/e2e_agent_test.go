package roles_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestAgentRestarts is one chain: a task, and what becomes of it while its agent is away. Whether the agent ended in
// order or was killed makes no difference, but for the time until its host is down.
func TestAgentRestarts(t *testing.T) {
	t.Parallel()
	t.Run("SYS-003 stopped in order", func(t *testing.T) {
		t.Parallel()
		agentRestarts(t, func(c *cluster, a *agent) {
			if status := a.stop(); status != 128+int(syscall.SIGTERM) {
				t.Errorf("agent ended with %d", status)
			}
		})
	})
	t.Run("AGT-023 killed", func(t *testing.T) {
		t.Parallel()
		agentRestarts(t, func(c *cluster, a *agent) {
			a.kill()
			if status, err := c.HostStatus(t.Context(), a.docker.Host); err != nil || status.Status != host.Up {
				t.Errorf("host is %s, %v, before the end of its session", status.Status, err)
			}
		})
	})
}

func agentRestarts(t *testing.T, end func(c *cluster, a *agent)) {
	c, _ := startMaster(t, storetest.ZooKeeper(t))
	docker := dockertest.New(t)
	a := startAgent(c, docker, nil, "--zk-session-timeout", "8000")
	c.await(docker.Host, host.Up)
	id := c.create(job.Job{Image: shell(t, docker), Command: idle})
	c.deploy(id, docker.Host)
	before := c.awaitState(id, docker.Host, job.Running)
	container := *before.ContainerID

	stop := func() {
		t.Helper()
		end(c, a)
		c.await(docker.Host, host.Down)
	}
	start := func() {
		t.Helper()
		a.restart()
		c.await(docker.Host, host.Up)
	}
	// another waits for the task to run in another container than before.
	another := func(t *testing.T) {
		t.Helper()
		storetest.Eventually(t, inTime, func() error {
			status, err := c.task(id, docker.Host)
			if err != nil {
				return err
			}
			if status == nil || status.State != job.Running || *status.ContainerID == container {
				return fmt.Errorf("%s in the old container %s", describe(status), container)
			}
			return runsOnly(docker, id, *status.ContainerID)
		})
		container = *c.awaitState(id, docker.Host, job.Running).ContainerID
	}
	step := func(name string, test func(t *testing.T)) {
		if !t.Failed() {
			t.Run(name, test)
		}
	}

	step("AGT-016 stopped agent leaves the container running and the status as it was", func(t *testing.T) {
		stop()
		status, err := c.task(id, docker.Host)
		if err != nil || !reflect.DeepEqual(status, before) {
			t.Errorf("status was %+v, is %+v, %v", before, status, err)
		}
		if err := runsOnly(docker, id, container); err != nil {
			t.Error(err)
		}
	})
	step("AGT-017 started agent goes on with the container it finds", func(t *testing.T) {
		start()
		holds(t, 5*time.Second, func() error {
			return errors.Join(c.runs(id, docker.Host, container), runsOnly(docker, id, container))
		})
	})
	step("AGT-018 container killed while the agent was away is replaced", func(t *testing.T) {
		stop()
		docker.Kill(container)
		start()
		another(t)
	})
	step("AGT-019 container removed while the agent was away is replaced", func(t *testing.T) {
		stop()
		docker.Kill(container)
		docker.Remove(container)
		start()
		another(t)
	})
	step("AGT-020 goal STOP set while the agent was away stops the container", func(t *testing.T) {
		stop()
		c.setGoal(id, docker.Host, job.Stop)
		start()
		c.awaitState(id, docker.Host, job.Stopped)
		if list := running(docker, id); len(list) != 0 {
			t.Errorf("running containers: %+v", list)
		}
	})
	step("AGT-021 goal START set while the agent was away starts a container", func(t *testing.T) {
		stop()
		c.setGoal(id, docker.Host, job.Start)
		start()
		another(t)
	})
	step("AGT-022, AGT-024, SYS-106, SYS-107 task undeployed while the agent was away is gone after its start", func(t *testing.T) {
		c.awaitState(id, docker.Host, job.Running)
		if !c.statusNode(docker.Host, id) {
			t.Error("there is no status node")
		}
		stop()
		c.undeploy(id, docker.Host)
		if d, err := c.Deployment(t.Context(), docker.Host, id); !errors.Is(err, job.ErrNotDeployed) {
			t.Errorf("deployment %+v, %v", d, err)
		}
		status, err := c.HostStatus(t.Context(), docker.Host)
		if err != nil || len(status.Jobs) != 0 {
			t.Errorf("jobs %v, %v", status.Jobs, err)
		}
		if last := status.Statuses[id]; last == nil || last.Goal != job.Start || last.State != job.Running || !c.statusNode(docker.Host, id) {
			t.Errorf("before the agent has run: %s", describe(last))
		}
		start()
		c.awaitGone(id, docker.Host)
		if c.statusNode(docker.Host, id) {
			t.Error("the status node is left")
		}
		if list := running(docker, id); len(list) != 0 {
			t.Errorf("running containers: %+v", list)
		}
	})
}

// TestZooKeeperOutage is one chain: a task, and what becomes of it while ZooKeeper is away.
func TestZooKeeperOutage(t *testing.T) {
	t.Parallel()
	t.Run("SYS-005", zooKeeperOutage)
}

func zooKeeperOutage(t *testing.T) {
	zookeeper := storetest.StartEnsemble(t, 1)
	c, _ := startMaster(t, zookeeper.Servers())
	docker, late := dockertest.New(t), dockertest.New(t)
	a := startAgent(c, docker, nil)
	c.await(docker.Host, host.Up)
	id := c.create(job.Job{Image: shell(t, docker), Command: idle})
	c.deploy(id, docker.Host)
	container := *c.awaitState(id, docker.Host, job.Running).ContainerID
	goesOn := func(t *testing.T) {
		t.Helper()
		holds(t, 5*time.Second, func() error { return runsOnly(docker, id, container) })
	}
	// another waits for the one container that takes the place of the killed one.
	another := func(t *testing.T) {
		t.Helper()
		storetest.Eventually(t, inTime, func() error { return runsOnly(docker, id, "") })
		if now := running(docker, id)[0].ID; now == container {
			t.Errorf("%s was not killed", now)
		} else {
			container = now
		}
	}

	t.Run("AGT-027 container goes on running without ZooKeeper", func(t *testing.T) {
		zookeeper.Kill(0)
		goesOn(t)
	})
	fresh := startAgent(c, late, nil)
	t.Run("AGT-028 agent restarted without ZooKeeper goes on with the container", func(t *testing.T) {
		a.stop()
		a.restart()
		a.said(`(?s)agent ends.*agent starts`)
		goesOn(t)
	})
	t.Run("AGT-029 killed container is replaced without ZooKeeper", func(t *testing.T) {
		docker.Kill(container)
		another(t)
	})
	t.Run("AGT-030 container killed while agent and ZooKeeper were away is replaced", func(t *testing.T) {
		a.stop()
		docker.Kill(container)
		a.restart()
		another(t)
	})
	fresh.said(`zookeeper is away`)
	t.Run("AGT-031 with ZooKeeper back the task is shown in its newest container, and can be stopped", func(t *testing.T) {
		zookeeper.Restart(0)
		c.await(docker.Host, host.Up)
		storetest.Eventually(t, inTime, func() error {
			return errors.Join(c.runs(id, docker.Host, container), runsOnly(docker, id, container))
		})
		c.setGoal(id, docker.Host, job.Stop)
		c.awaitState(id, docker.Host, job.Stopped)
	})
	t.Run("AGT-032 agent that never saw ZooKeeper registers when that appears", func(t *testing.T) {
		c.await(late.Host, host.Up)
		if fresh.cmd.ProcessState != nil {
			t.Error("the agent ended")
		}
	})
}

// TestDaemonsEndBySignal wants the exit statuses that scripts know, and a second signal to be obeyed at once.
func TestDaemonsEndBySignal(t *testing.T) {
	t.Parallel()
	shared, _ := startMaster(t, storetest.ZooKeeper(t))
	for _, test := range []struct {
		name   string
		signal syscall.Signal
		want   int
	}{
		{"SIGTERM gives 143", syscall.SIGTERM, 143},
		{"SIGINT gives 130", syscall.SIGINT, 130},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			docker := dockertest.New(t)
			c, master := startMaster(t, shared.zk)
			a := startAgent(c, docker, nil)
			c.await(docker.Host, host.Up)
			for _, p := range []*process{master, a.process} {
				p.signal(test.signal)
				if got := p.end(); got != test.want {
					t.Errorf("helios %s ended with %d, want %d", p.args[0], got, test.want)
				}
				if !strings.Contains(p.log(), "Attempting gentle exit on SIG") {
					t.Errorf("helios %s does not say that it ends: %s", p.args[0], p.log())
				}
			}
			shared.seenBy(t).await(docker.Host, host.Down)
		})
	}
	t.Run("second signal ends a master at once that waits for ZooKeeper", func(t *testing.T) {
		t.Parallel()
		_, master := startMaster(t, "127.0.0.1:1")
		master.signal(syscall.SIGTERM)
		master.said("Attempting gentle exit on SIGTERM")
		master.signal(syscall.SIGTERM)
		if got := master.end(); got != 143 || !strings.Contains(master.log(), "Exiting with extreme prejudice due to SIGTERM") {
			t.Errorf("ended with %d: %s", got, master.log())
		}
	})
}

// TestDamagedStateFiles puts garbage into each file of a state directory, one after the other: the container that runs
// goes on running, the file is kept under another name, and the log says so.
func TestDamagedStateFiles(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"executions.json", "task-config.json", "task-status.json", "task-history.json", "registration.json"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			docker := dockertest.New(t)
			s := startSoloCluster(t, docker, nil)
			id := s.create(job.Job{Image: shell(t, docker), Command: idle, Ports: map[string]job.PortMapping{
				"http": {InternalPort: 8080, Protocol: "tcp"},
			}})
			s.deploy(id, docker.Host)
			before := s.awaitState(id, docker.Host, job.Running)
			s.damage(file)
			aside := s.said(`"file":"` + s.dir + "/agent/" + file + `","kept":"([^"]+)"`)
			if !strings.HasPrefix(aside, s.dir+"/agent/"+file+".damaged-") || read(aside) != garbage {
				t.Errorf("%s was not set aside as %s: %q", file, aside, read(aside))
			}
			goesOn := func() error {
				return errors.Join(s.runs(id, docker.Host, *before.ContainerID), runsOnly(docker, id, *before.ContainerID))
			}
			storetest.Eventually(t, inTime, goesOn)
			holds(t, 2*time.Second, goesOn)
			if len(docker.Containers()) != 1 {
				t.Errorf("containers: %+v", docker.Containers())
			}
			after := s.awaitState(id, docker.Host, job.Running)
			if a, b := before.Ports["http"].ExternalPort, after.Ports["http"].ExternalPort; b == nil || *a != *b {
				t.Errorf("port was %d, is %v", *a, b)
			}
			s.undeploy(id, docker.Host)
			s.awaitGone(id, docker.Host)
		})
	}
}

// TestDamagedAgentID is an agent that does not know who it is: it does not start, and touches nothing.
func TestDamagedAgentID(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	s := startSoloCluster(t, docker, nil)
	id := s.create(job.Job{Image: shell(t, docker), Command: idle})
	s.deploy(id, docker.Host)
	container := *s.awaitState(id, docker.Host, job.Running).ContainerID
	s.process.stop()
	file := filepath.Join(s.dir, "agent", "id")
	good := read(file)
	if err := os.WriteFile(file, []byte(garbage), 0o600); err != nil {
		t.Fatal(err)
	}
	s.restart()
	if status := s.end(); status != 1 || !strings.Contains(s.log(), "helios solo: agent id ") {
		t.Errorf("ended with %d: %s", status, s.log())
	}
	if err := runsOnly(docker, id, container); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	s.restart()
	s.serve()
	storetest.Eventually(t, inTime, func() error {
		return errors.Join(s.runs(id, docker.Host, container), runsOnly(docker, id, container))
	})
}

// TestDaemonsDoNotStart is what a master or an agent says that cannot have what it needs.
func TestDaemonsDoNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, role := range []string{"master", "agent"} {
		for _, option := range []string{"--http", "--admin"} {
			t.Run(role+" when the port of "+option+" is taken", func(t *testing.T) {
				args := []string{role, "--state-dir", t.TempDir(), "--zk", "127.0.0.1:1"}
				for _, o := range []string{"--http", "--admin"} {
					address := "127.0.0.1:0"
					if o == option {
						address = taken.Addr().String()
					}
					args = append(args, o, "http://"+address)
				}
				sentence(t, helios(t, nil, args...), regexp.QuoteMeta(taken.Addr().String())+".* in use")
			})
		}
	}
	t.Run("SYS-004, AGT-074 agent when its state directory is another one's", func(t *testing.T) {
		docker := dockertest.New(t)
		c, _ := startMaster(t, storetest.ZooKeeper(t))
		a := startAgent(c, docker, nil)
		c.await(docker.Host, host.Up)
		r := helios(t, nil, "agent", "--name", unique("other"), "--state-dir", a.dir, "--zk", c.zk, "--no-http")
		sentence(t, r, "State lock file already locked: "+regexp.QuoteMeta(filepath.Join(a.dir, "lock")))
		id := c.create(job.Job{Image: shell(t, docker), Command: idle}) // the first one is unharmed
		c.deploy(id, docker.Host)
		c.awaitState(id, docker.Host, job.Running)
	})
}

// garbage is not JSON.
const garbage = "{\"]\x00 garbage"
