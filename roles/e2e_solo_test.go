package roles_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
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

// damage overwrites a state file of the agent while the solo is down.
func (s *soloCluster) damage(file string) {
	t := s.process.t
	t.Helper()
	s.process.stop()
	if err := os.WriteFile(filepath.Join(s.dir, "agent", file), []byte(garbage), 0o600); err != nil {
		t.Fatal(err)
	}
	s.restart()
	s.serve()
}

// probe gives the daemon an image of the workload, which serves HTTP on port 8080.
func probe(t testing.TB, docker *dockertest.Daemon) string {
	return docker.Registry("127.0.0.1:0").Push("probe:1", dockertest.Probe(t))
}

// prints waits until what the command prints has a match, and returns its first group.
func (c *cluster) prints(pattern string, args ...string) string {
	c.t.Helper()
	return awaitMatch(c.t, func() string { r := c.helios(args...); return r.out + r.err }, pattern)
}

// get reads a page of a container.
func get(url string) error {
	client := http.Client{Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && !strings.HasPrefix(string(text), "hello from ") {
		err = fmt.Errorf("the container says %q", text)
	}
	return err
}

// TestSoloLife is the life of a job as a person at a terminal sees it, with a crash of the solo in the middle.
func TestSoloLife(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	s := startSoloCluster(t, docker, nil)
	name := unique("web") + ":1"
	id := strings.TrimSpace(s.must("create", "-q", name, probe(t, docker), "-p", "http=8080"))
	s.must("deploy", name, docker.Host)
	port := s.prints(`RUNNING\s+\w+\s+http=8080:(\d+)`, "status", "--job", name)
	storetest.Eventually(t, inTime, func() error { return get("http://127.0.0.1:" + port) })
	if err := runsOnly(docker, jobID(t, id), ""); err != nil {
		t.Fatal(err)
	}
	container := docker.Containers()[0].ID

	s.kill()
	s.restart()
	s.serve()
	if again := s.prints(`RUNNING\s+\w+\s+http=8080:(\d+)`, "status", "--job", name); again != port {
		t.Errorf("port was %s, is %s", port, again)
	}
	holds(t, time.Second, func() error {
		return errors.Join(runsOnly(docker, jobID(t, id), container), get("http://127.0.0.1:"+port))
	})

	s.must("stop", name, docker.Host)
	s.prints(`STOPPED`, "status", "--job", name)
	if get("http://127.0.0.1:"+port) == nil {
		t.Error("the stopped container answers")
	}
	s.must("start", name, docker.Host)
	if again := s.prints(`RUNNING\s+\w+\s+http=8080:(\d+)`, "status", "--job", name); again != port {
		t.Errorf("port was %s, is %s", port, again)
	}
	storetest.Eventually(t, inTime, func() error { return get("http://127.0.0.1:" + port) })
	if err := runsOnly(docker, jobID(t, id), ""); err != nil {
		t.Error(err)
	}
	if r := s.helios("remove", "--yes", name); r.exit != 1 || !strings.Contains(r.out, "STILL_IN_USE") {
		t.Errorf("removing a deployed job: %s", r)
	}
	s.must("undeploy", name, docker.Host)
	s.awaitGone(jobID(t, id), docker.Host)
	s.prints(`UNDEPLOY|STOPPED|EXITED`, "history", name)
	s.must("remove", "--yes", name)
	if out := s.must("jobs", "-q"); out != "" {
		t.Errorf("jobs left: %q", out)
	}
	if list := running(docker, jobID(t, id)); len(list) != 0 {
		t.Errorf("running containers: %+v", list)
	}
	if status := s.process.stop(); status != 0 {
		t.Errorf("solo ended with %d", status)
	}
}

func jobID(t testing.TB, text string) job.ID {
	t.Helper()
	id, err := job.ReadID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestSecondAgentJoinsSolo deploys one job to the solo's own host and to that of an agent beside it.
func TestSecondAgentJoinsSolo(t *testing.T) {
	t.Parallel()
	first, second := dockertest.New(t), dockertest.New(t)
	s := startSoloCluster(t, first, nil)
	a := startAgent(s.cluster, second, nil)
	s.await(second.Host, host.Up)
	name := unique("pair") + ":1"
	id := jobID(t, strings.TrimSpace(s.must("create", "-q", name, probe(t, first), "-p", "http=8080")))
	s.must("deploy", name, first.Host, second.Host)
	one, two := s.awaitState(id, first.Host, job.Running), s.awaitState(id, second.Host, job.Running)
	if *one.Ports["http"].ExternalPort == *two.Ports["http"].ExternalPort {
		t.Errorf("both have port %d", *one.Ports["http"].ExternalPort)
	}
	for docker, status := range map[*dockertest.Daemon]*job.TaskStatus{first: one, second: two} {
		if err := runsOnly(docker, id, *status.ContainerID); err != nil {
			t.Error(err)
		}
		storetest.Eventually(t, inTime, func() error {
			return get(fmt.Sprintf("http://127.0.0.1:%d/", *status.Ports["http"].ExternalPort))
		})
	}
	if status := a.stop(); status != 143 {
		t.Errorf("agent ended with %d", status)
	}
	s.await(second.Host, host.Down)
	if err := errors.Join(runsOnly(first, id, *one.ContainerID), runsOnly(second, id, *two.ContainerID)); err != nil {
		t.Error(err)
	}
}

// sentence fails unless a daemon ended with status 1 and, below what it may have logged, one line on stderr that has a
// match.
func sentence(t *testing.T, r result, pattern string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(r.err) {
		if !strings.HasPrefix(line, `{"level":"info"`) {
			lines = append(lines, line)
		}
	}
	if r.exit != 1 || len(lines) != 1 || !regexp.MustCompile(pattern).MatchString(lines[0]) {
		t.Errorf("%s, want exit 1 and one line with %s", r, pattern)
	}
}

// TestSoloDoesNotStart is what a solo says that cannot have what it needs.
func TestSoloDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, option := range []string{"--http", "--admin", "--zk"} {
		t.Run("when the port of "+option+" is taken", func(t *testing.T) {
			args := []string{"solo", "--state-dir", t.TempDir()}
			for _, o := range []string{"--http", "--admin", "--zk"} {
				address := "127.0.0.1:0"
				if o == option {
					address = taken.Addr().String()
				}
				args = append(args, o, address)
			}
			r := helios(t, nil, args...)
			sentence(t, r, regexp.QuoteMeta(taken.Addr().String())+".* in use")
			if r.out != "" {
				t.Errorf("it prints %q", r.out)
			}
		})
	}
	t.Run("when its state directory is another one's", func(t *testing.T) {
		docker := dockertest.New(t)
		s := startSoloCluster(t, docker, nil)
		r := helios(t, nil, "solo", "--state-dir", s.dir, "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--zk", "127.0.0.1:0")
		sentence(t, r, "state directory "+regexp.QuoteMeta(s.dir)+" is in use by another solo")
		s.must("hosts") // the first one is unharmed
	})
	t.Run("when its state directory cannot be made", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		sentence(t, helios(t, nil, "solo", "--state-dir", filepath.Join(file, "dir")), "create state directory: .*not a directory")
	})
}

// TestSoloEndsInOrder wants status 0 for both signals, and containers that go on.
func TestSoloEndsInOrder(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	s := startSoloCluster(t, docker, nil)
	id := s.create(job.Job{Image: shell(t, docker), Command: idle})
	s.deploy(id, docker.Host)
	container := *s.awaitState(id, docker.Host, job.Running).ContainerID
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s.signal(signal)
		if status := s.end(); status != 0 {
			t.Errorf("%s: ended with %d", signal, status)
		}
		if err := runsOnly(docker, id, container); err != nil {
			t.Errorf("%s: %v", signal, err)
		}
		s.restart()
		s.serve()
	}
}

// TestClientFindsLiveSolo lets a client that is told no master ask the solo of the same user, as long as it lives.
func TestClientFindsLiveSolo(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	env := []string{"XDG_STATE_HOME=" + state}
	docker := dockertest.New(t)
	s := startSoloCluster(t, docker, env, "--state-dir", filepath.Join(state, "helios", "solo"))
	if r := helios(t, env, "hosts", "-q"); r.exit != 0 || r.out != docker.Host+".\n" {
		t.Errorf("with a live solo: %s", r)
	}
	if r := helios(t, nil, "hosts", "-q"); r.exit != 1 || !strings.Contains(r.err, "no masters specified") {
		t.Errorf("of another user: %s", r)
	}
	elsewhere := []string{env[0], "HELIOS_MASTER=http://127.0.0.1:1"}
	if r := helios(t, elsewhere, "--retry-timeout", "0", "hosts", "-q"); r.exit != 1 || strings.Contains(r.out, docker.Host) {
		t.Errorf("with HELIOS_MASTER: %s", r)
	}
	s.kill()
	if r := helios(t, env, "hosts", "-q"); r.exit != 1 || !strings.Contains(r.err, "no masters specified") {
		t.Errorf("with a dead solo: %s", r)
	}
}

// TestDockerComesLater starts a solo before its Docker: it says so once, and what was deployed meanwhile runs as soon as
// Docker answers. Then Docker goes away once more.
func TestDockerComesLater(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	if endpoint := os.Getenv("DOCKER_HOST"); endpoint != "" && !strings.HasPrefix(endpoint, "unix://") {
		t.Skip("the proxy stands before a unix socket")
	}
	socket := strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	if socket == "" {
		socket = "/var/run/docker.sock"
	}
	proxy := storetest.StartProxy(t, socket)
	proxy.Cut()
	s := startSoloCluster(t, docker, []string{"DOCKER_HOST=unix://" + proxy.Addr()})
	id := s.create(job.Job{Image: shell(t, docker), Command: idle})
	s.deploy(id, docker.Host)
	s.said("docker is away")
	lines := func() int { return strings.Count(s.log(), "\n") }
	quiet := lines() + 3 // what the deployment itself may say
	holds(t, 5*time.Second, func() error {
		if n := strings.Count(s.log(), "docker is away"); n != 1 {
			return fmt.Errorf("it says %d times that Docker is away", n)
		}
		if n := lines(); n > quiet {
			return fmt.Errorf("%d lines in the log, no more than %d expected:\n%s", n, quiet, s.log())
		}
		return nil
	})
	proxy.Heal()
	container := *s.awaitState(id, docker.Host, job.Running).ContainerID

	proxy.Cut()
	holds(t, 3*time.Second, func() error { return runsOnly(docker, id, container) })
	proxy.Heal()
	s.undeploy(id, docker.Host)
	s.awaitGone(id, docker.Host)
	if list := docker.Containers(); len(list) != 1 {
		t.Errorf("containers: %+v", list)
	}
}
