package roles_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/httpapi/client"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// cluster is a master as its clients see it, and the address of the store behind it.
type cluster struct {
	*client.Client
	t   testing.TB
	api string
	zk  string
}

// newCluster is for a client that knows the master at api, and more of them.
func newCluster(t testing.TB, api, zk string, more ...string) *cluster {
	t.Helper()
	c, err := client.New(client.Options{
		Masters: append([]string{api}, more...), User: "tester", Version: "0.10.0", RetryTimeout: inTime, RetryDelay: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &cluster{Client: c, t: t, api: api, zk: zk}
}

// seenBy is the same cluster for another test, such as a parallel subtest.
func (c *cluster) seenBy(t testing.TB) *cluster { return newCluster(t, c.api, c.zk) }

// helios runs a client command against the cluster's master.
func (c *cluster) helios(args ...string) result {
	c.t.Helper()
	return helios(c.t, nil, append([]string{"-z", c.api}, args...)...)
}

// must is helios for commands that have to succeed; it returns what they print.
func (c *cluster) must(args ...string) string {
	c.t.Helper()
	r := c.helios(args...)
	if r.exit != 0 {
		c.t.Fatalf("helios %v: %s", args, r)
	}
	return r.out
}

// soloCluster is a running solo.
type soloCluster struct {
	*cluster
	*process
	docker *dockertest.Daemon
	dir    string
}

// startSoloCluster starts a solo for a host name of the test's own, and waits until its host is up.
func startSoloCluster(t testing.TB, docker *dockertest.Daemon, env []string, args ...string) *soloCluster {
	t.Helper()
	s := &soloCluster{docker: docker, dir: t.TempDir()}
	s.process = start(t, env, append([]string{
		"solo", "--name", docker.Host, "--state-dir", s.dir,
		"--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--zk", "127.0.0.1:0",
	}, args...)...)
	s.serve()
	return s
}

// serve waits until the started process serves, on ports that may be others than before.
func (s *soloCluster) serve() {
	s.process.t.Helper()
	t := s.process.t
	api := awaitMatch(t, s.out, `master (http://\S+)\n`)
	s.cluster = newCluster(t, api, awaitMatch(t, s.out, `zookeeper (\S+)\n`))
	s.await(s.docker.Host, host.Up)
}

// startMaster starts a master over the store at zk.
func startMaster(t testing.TB, zk string, args ...string) (*cluster, *process) {
	t.Helper()
	p := start(t, nil, append([]string{
		"master", "--name", unique("master"), "--state-dir", t.TempDir(), "--zk", zk,
		"--http", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
	}, args...)...)
	return newCluster(t, "http://"+p.said(`"http":"([^"]+)"`), zk), p
}

// agent is a running agent.
type agent struct {
	*process
	docker *dockertest.Daemon
	dir    string
	id     string
}

// startAgent starts an agent for a host name of the test's own, over the store of the cluster.
func startAgent(c *cluster, docker *dockertest.Daemon, env []string, args ...string) *agent {
	c.t.Helper()
	a := &agent{docker: docker, dir: c.t.TempDir(), id: "id-" + strings.ReplaceAll(docker.Host, ".", "-")}
	a.process = start(c.t, env, append([]string{
		"agent", "--name", docker.Host, "--id", a.id, "--state-dir", a.dir, "--zk", c.zk, "--zk-session-timeout", "6000", "--no-http",
	}, args...)...)
	return a
}

// await waits until the host is up, or down.
func (c *cluster) await(name string, state host.State) {
	c.t.Helper()
	storetest.Eventually(c.t, inTime, func() error {
		ctx, cancel := context.WithTimeout(c.t.Context(), inTime)
		defer cancel()
		status, err := c.HostStatus(ctx, name)
		if err == nil && status.Status != state {
			err = fmt.Errorf("%s is %s, want %s", name, status.Status, state)
		}
		return err
	})
}

// unique is a name that no other test uses.
func unique(prefix string) string { return prefix + "-" + strings.ToLower(rand.Text()[:10]) }

// create creates a job of a unique name and returns its id.
func (c *cluster) create(j job.Job) job.ID {
	c.t.Helper()
	j.ID = job.ID{Name: unique("job"), Version: "1"}
	var id job.ID
	c.insist(job.ErrExists, func() error {
		answer, err := c.CreateJob(c.t.Context(), j)
		if answer.ID != nil {
			id = jobID(c.t, *answer.ID)
		}
		return err
	})
	return id
}

// insist gives a command that has to be carried out, again while its master says that it cannot reach ZooKeeper: on a busy
// machine a connection may be lost for seconds. done is what it is told that comes again after it was carried out.
func (c *cluster) insist(done error, command func() error) {
	c.t.Helper()
	again := false
	storetest.Eventually(c.t, inTime, func() error {
		err := command()
		if again && done != nil && errors.Is(err, done) {
			return nil
		}
		status, ok := errors.AsType[*client.StatusError](err)
		if again = ok && status.Code == http.StatusServiceUnavailable; err != nil && !again {
			c.t.Fatal(err)
		}
		return err
	})
}

// deploy deploys the job with the goal START.
func (c *cluster) deploy(id job.ID, name string) {
	c.t.Helper()
	c.insist(job.ErrAlreadyDeployed, func() error {
		_, err := c.Deploy(c.t.Context(), name, id, job.Start, "")
		return err
	})
}

func (c *cluster) setGoal(id job.ID, name string, goal job.Goal) {
	c.t.Helper()
	c.insist(nil, func() error {
		_, err := c.SetGoal(c.t.Context(), name, id, goal, "")
		return err
	})
}

func (c *cluster) undeploy(id job.ID, name string) {
	c.t.Helper()
	c.insist(job.ErrNotDeployed, func() error {
		_, err := c.Undeploy(c.t.Context(), name, id, "")
		return err
	})
}

// task is the status of the job on the host as the master sees it; nil if there is none.
func (c *cluster) task(id job.ID, name string) (*job.TaskStatus, error) {
	status, err := c.HostStatus(c.t.Context(), name)
	return status.Statuses[id], err
}

// awaitState waits until the job on the host is in the state, and returns its status.
func (c *cluster) awaitState(id job.ID, name string, state job.State) *job.TaskStatus {
	c.t.Helper()
	var status *job.TaskStatus
	storetest.Eventually(c.t, inTime, func() (err error) {
		if status, err = c.task(id, name); err != nil {
			return err
		}
		if status == nil || status.State != state {
			return fmt.Errorf("%s on %s: %s, want %s", id, name, describe(status), state)
		}
		return nil
	})
	return status
}

// runs tells whether the job on the host is RUNNING, in the container unless that is empty.
func (c *cluster) runs(id job.ID, name, container string) error {
	status, err := c.task(id, name)
	if err == nil && (status == nil || status.State != job.Running || container != "" && *status.ContainerID != container) {
		err = fmt.Errorf("%s on %s: %s, want RUNNING %s", id, name, describe(status), container)
	}
	return err
}

func describe(s *job.TaskStatus) string {
	if s == nil {
		return "no status"
	}
	container := "no container"
	if s.ContainerID != nil {
		container = *s.ContainerID
	}
	return fmt.Sprintf("%s, %s, %s, %q", s.State, container, s.Throttled, s.ContainerError)
}

// awaitGone waits until the master knows neither deployment nor status of the job on the host.
func (c *cluster) awaitGone(id job.ID, name string) {
	c.t.Helper()
	storetest.Eventually(c.t, inTime, func() error {
		status, err := c.HostStatus(c.t.Context(), name)
		if err == nil && (status.Jobs[id] != nil || status.Statuses[id] != nil) {
			err = fmt.Errorf("%s is still on %s: %s", id, name, describe(status.Statuses[id]))
		}
		return err
	})
}

// tree is a connection to ZooKeeper itself, for the caller to close.
func (c *cluster) tree() *zk.Conn {
	c.t.Helper()
	conn, _, err := zk.Connect(strings.Split(c.zk, ","), 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// running are the running containers of the job among the test's.
func running(docker *dockertest.Daemon, id job.ID) []dockertest.Container {
	var list []dockertest.Container
	for _, c := range docker.Containers() {
		if c.State == "running" && c.Labels["helios.job"] == id.String() {
			list = append(list, c)
		}
	}
	return list
}

// runsOnly tells whether the container, and no other, runs for the job; any one if container is empty.
func runsOnly(docker *dockertest.Daemon, id job.ID, container string) error {
	list := running(docker, id)
	if len(list) != 1 || container != "" && list[0].ID != container {
		return fmt.Errorf("running containers of %s: %+v, want one, %s", id, list, container)
	}
	return nil
}

// holds looks again and again, for the whole time, and fails at the first look that finds otherwise.
func holds(t testing.TB, whole time.Duration, check func() error) {
	t.Helper()
	over := time.Now().Add(whole)
	storetest.Eventually(t, whole+inTime, func() error {
		if err := check(); err != nil {
			t.Fatalf("holds no longer: %v", err)
		}
		if time.Now().Before(over) {
			return errors.New("not over yet")
		}
		return nil
	})
}
