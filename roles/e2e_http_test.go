package roles_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// startServingAgent starts an agent that answers HTTP requests too, and returns where it does.
func startServingAgent(c *cluster, docker *dockertest.Daemon, args ...string) (a *agent, api, admin string) {
	c.t.Helper()
	a = &agent{docker: docker, dir: c.t.TempDir(), id: unique("id")}
	a.process = start(c.t, nil, append([]string{
		"agent", "--name", docker.Host, "--id", a.id, "--state-dir", a.dir, "--zk", c.zk, "--zk-session-timeout", "6000",
		"--http", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0",
	}, args...)...)
	return a, "http://" + a.said(`"http":"([^"]+)"`), "http://" + a.said(`"admin":"([^"]+)"`)
}

// ask is an answer to a GET request: its status and its body.
func ask(t testing.TB, url string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), inTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// check is one entry of a health document.
type check struct {
	Healthy bool
	Message string
}

// health asks an admin port how a daemon is: the status, and the checks by their names.
func health(t testing.TB, admin string) (int, map[string]check) {
	t.Helper()
	status, body := ask(t, admin+"/healthcheck")
	checks := map[string]check{}
	if err := json.Unmarshal([]byte(body), &checks); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return status, checks
}

// isHealthy wants all checks of an agent to be well, and no other ones.
func isHealthy(t testing.TB, admin string) error {
	status, checks := health(t, admin)
	well := check{Healthy: true}
	want := map[string]check{"deadlocks": well, "docker": well, "dockerd": well, "zookeeper": well}
	if diff := cmp.Diff(want, checks); diff != "" || status != http.StatusOK {
		return fmt.Errorf("health: %d %s", status, diff)
	}
	return nil
}

// TestHealthOfAgent takes away what an agent needs, one after the other.
func TestHealthOfAgent(t *testing.T) {
	t.Parallel()
	c, _ := startMaster(t, storetest.ZooKeeper(t))
	docker := dockertest.New(t)
	zkLink := storetest.StartProxy(t, c.zk)
	dockerLink := storetest.StartProxy(t, "/var/run/docker.sock")
	behind := &cluster{Client: c.Client, t: t, api: c.api, zk: zkLink.Addr()}
	_, _, admin := startServingAgent(behind, docker, "--docker", "unix://"+dockerLink.Addr())
	c.await(docker.Host, host.Up)

	t.Run("AGT-080 each dependency that is away makes the agent unhealthy", func(t *testing.T) {
		storetest.Eventually(t, inTime, func() error { return isHealthy(t, admin) })
		for _, away := range []struct {
			name, message string
			link          *storetest.Proxy
		}{
			{"dockerd", "docker does not answer", dockerLink},
			{"zookeeper", "CuratorZookeeperClient reports that it is not connected", zkLink},
		} {
			away.link.Cut()
			storetest.Eventually(t, inTime, func() error {
				status, checks := health(t, admin)
				if got := checks[away.name]; status != http.StatusInternalServerError || got.Healthy || !strings.HasPrefix(got.Message, away.message) {
					return fmt.Errorf("without %s: %d %+v", away.name, status, checks)
				}
				for name, other := range checks {
					if name != away.name && !other.Healthy {
						return fmt.Errorf("without %s: %+v", away.name, checks)
					}
				}
				return nil
			})
			away.link.Heal()
			storetest.Eventually(t, inTime, func() error { return isHealthy(t, admin) })
		}
	})
	t.Run("a deregistered host is one that only a person can help", func(t *testing.T) {
		if _, err := c.DeregisterHost(t.Context(), docker.Host); err != nil {
			t.Fatal(err)
		}
		storetest.Eventually(t, inTime, func() error {
			status, checks := health(t, admin)
			if got := checks["registration"]; status != http.StatusInternalServerError || got.Healthy || !strings.Contains(got.Message, "deregistered") {
				return fmt.Errorf("deregistered: %d %+v", status, checks)
			}
			return nil
		})
	})
}

// TestHealthOfRefusedAgent is an agent whose host name is another one's.
func TestHealthOfRefusedAgent(t *testing.T) {
	t.Parallel()
	c, _ := startMaster(t, storetest.ZooKeeper(t))
	docker := dockertest.New(t)
	first := startAgent(c, docker, nil)
	c.await(docker.Host, host.Up)
	storetest.Eventually(t, inTime, func() error { // it is its report that holds the name
		status, err := c.HostStatus(t.Context(), docker.Host)
		if err == nil && status.HostInfo == nil {
			err = errors.New("no host info")
		}
		return err
	})
	_, _, admin := startServingAgent(c, docker, "--zk-registration-ttl", "9999")
	storetest.Eventually(t, inTime, func() error {
		status, checks := health(t, admin)
		if got := checks["registration"]; status != http.StatusInternalServerError || got.Healthy || !strings.Contains(got.Message, "another agent ("+first.id+") holds the host name") {
			return fmt.Errorf("refused: %d %+v", status, checks)
		}
		return nil
	})
}

// TestAgentAnswers asks an agent what it does, and its cluster what the agent says of itself.
func TestAgentAnswers(t *testing.T) {
	t.Parallel()
	c, _ := startMaster(t, storetest.ZooKeeper(t))
	docker := dockertest.New(t)
	a, api, _ := startServingAgent(c, docker, "--zk-session-timeout", "40000", "--labels", "role=foo", "xyz=123")
	c.await(docker.Host, host.Up)
	id := c.create(job.Job{Image: shell(t, docker), Command: idle})
	c.deploy(id, docker.Host)
	container := *c.awaitState(id, docker.Host, job.Running).ContainerID

	t.Run("AGT-081 tasks and statuses are shown under the full id of the job", func(t *testing.T) {
		status, body := ask(t, api+"/helios/tasks")
		var tasks map[job.ID]job.Task
		if err := document.Read([]byte(body), document.Map(&tasks, job.IDKeys, (*job.Task).JSON)); err != nil || status != http.StatusOK {
			t.Fatalf("tasks: %d %v", status, err)
		}
		if task := tasks[id]; len(tasks) != 1 || task.Goal != job.Start || task.Job.ID != id || *task.DeployerUser != "tester" {
			t.Errorf("tasks: %s", body)
		}
		status, body = ask(t, api+"/helios/taskstatus")
		var statuses map[job.ID]job.TaskStatus
		if err := document.Read([]byte(body), document.Map(&statuses, job.IDKeys, (*job.TaskStatus).JSON)); err != nil || status != http.StatusOK {
			t.Fatalf("statuses: %d %v", status, err)
		}
		if s := statuses[id]; len(statuses) != 1 || s.State != job.Running || s.Job.ID != id || *s.ContainerID != container {
			t.Errorf("statuses: %s", body)
		}
	})
	t.Run("SYS-002, AGT-075 host information has the version that Docker reports", func(t *testing.T) {
		storetest.Eventually(t, inTime, func() error {
			status, err := c.HostStatus(t.Context(), docker.Host)
			if err == nil && (status.HostInfo == nil || status.HostInfo.DockerVersion == nil) {
				err = errors.New("no Docker version")
			}
			if err == nil && *status.HostInfo.DockerVersion.Version != docker.Version() {
				t.Fatalf("Docker version %s, want %s", *status.HostInfo.DockerVersion.Version, docker.Version())
			}
			return err
		})
	})
	t.Run("SYS-077, AGT-076 labels of the host are those given", func(t *testing.T) {
		storetest.Eventually(t, inTime, func() error {
			status, err := c.HostStatus(t.Context(), docker.Host)
			if err == nil && len(status.Labels) == 0 {
				err = errors.New("no labels")
			}
			return err
		})
		var hosts map[string]struct{ Labels map[string]string }
		if err := json.Unmarshal([]byte(c.must("hosts", docker.Host, "--json")), &hosts); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"role": "foo", "xyz": "123"}, hosts[docker.Host].Labels); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("AGT-083 SIGTERM ends the agent within seconds, takes its host down, and leaves its containers", func(t *testing.T) {
		begin := time.Now()
		if status := a.stop(); status != 128+int(syscall.SIGTERM) {
			t.Errorf("ended with %d", status)
		}
		if took := time.Since(begin); took > 20*time.Second { // below the session time-out: DOWN is not its doing
			t.Errorf("it took %s", took)
		}
		status, err := c.HostStatus(t.Context(), docker.Host)
		if err != nil || status.Status != host.Down {
			t.Errorf("host is %s, %v", status.Status, err)
		}
		if err := runsOnly(docker, id, container); err != nil {
			t.Error(err)
		}
	})
}
