package roles_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/helios-go/helios/httpapi/client"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// The tests of whole processes run the binary that is shipped, real Docker and, beside solo, a real ZooKeeper. This file
// is what they share: processes, clusters, and what a test asks of them.

// inTime is how long an effect may take; loaded machines are slow. Nothing waits that long when all is well.
const inTime = 90 * time.Second

// buildDir is where binary was built, if it was; TestMain removes it.
var buildDir string

// binary is the helios that is shipped, built once for all tests.
var binary = sync.OnceValues(func() (path string, err error) {
	if buildDir, err = os.MkdirTemp("", "helios"); err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "helios")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build helios: %w\n%s", err, out)
	}
	return path, nil
})

// command is one call of the binary, in surroundings that hold nothing of the caller's.
func command(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, args...)
	c.Dir = t.TempDir()
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "HELIOS_") {
			c.Env = append(c.Env, variable)
		}
	}
	c.Env = append(append(c.Env, "HOME="+c.Dir, "XDG_STATE_HOME="+filepath.Join(c.Dir, "state")), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // none outlives the tests
	return c
}

// result is what a command printed and how it ended.
type result struct {
	out, err string
	exit     int
}

func (r result) String() string { return fmt.Sprintf("exit %d, stdout %q, stderr %q", r.exit, r.out, r.err) }

// helios runs a client command to its end.
func helios(t testing.TB, env []string, args ...string) result {
	t.Helper()
	c := command(t, env, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), c.ProcessState.ExitCode()}
}

// process is a daemon that can be ended and started again. What it wrote is kept with the artifacts of the test, and its
// end is shown where the test fails.
type process struct {
	t    testing.TB
	env  []string
	args []string
	path string // of its standard output; that of its log is path.log
	cmd  *exec.Cmd
}

// start runs a daemon until the test ends.
func start(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	dir, err := os.MkdirTemp(t.ArtifactDir(), args[0])
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, env: env, args: args, path: filepath.Join(dir, args[0])}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			lines := strings.SplitAfter(p.log(), "\n")
			t.Logf("helios %s:\n%s", strings.Join(args, " "), strings.Join(lines[max(0, len(lines)-40):], ""))
		}
	})
	p.restart()
	return p
}

// restart starts the process, which has ended, with the same words. Its log grows; its standard output is new.
func (p *process) restart() {
	p.t.Helper()
	c := command(p.t, p.env, p.args...)
	out, err := os.Create(p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	log, err := os.OpenFile(p.path+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = out, log
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = c
}

// end waits until the process has ended and returns its exit status, -1 after a deadly signal. One that hangs is killed.
func (p *process) end() int {
	p.t.Helper()
	timer := time.AfterFunc(inTime, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// stop ends the process in order and returns its exit status.
func (p *process) stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.end()
}

// kill ends the process as a crash would, if it still runs.
func (p *process) kill() {
	if p.cmd != nil && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// out and log are what the process has written so far.
func (p *process) out() string { return read(p.path) }
func (p *process) log() string { return read(p.path + ".log") }

func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// said waits until the log holds a match, and returns its first group.
func (p *process) said(pattern string) string {
	p.t.Helper()
	return awaitMatch(p.t, p.log, pattern)
}

func awaitMatch(t testing.TB, text func() string, pattern string) string {
	t.Helper()
	var found []string
	storetest.Eventually(t, inTime, func() error {
		if found = regexp.MustCompile(pattern).FindStringSubmatch(text()); found == nil {
			return fmt.Errorf("no %s in %s", pattern, text())
		}
		return nil
	})
	return found[len(found)-1]
}

// cluster is a master as its clients see it, and the address of the store behind it.
type cluster struct {
	*client.Client
	t   testing.TB
	api string
	zk  string
}

func newCluster(t testing.TB, api, zk string) *cluster {
	t.Helper()
	c, err := client.New(client.Options{
		Masters: []string{api}, User: "tester", Version: "0.10.0", RetryTimeout: inTime, RetryDelay: 50 * time.Millisecond,
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
	answer, err := c.CreateJob(c.t.Context(), j)
	if err != nil {
		c.t.Fatal(err)
	}
	id, err := job.ReadID(*answer.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// deploy deploys the job with the goal START.
func (c *cluster) deploy(id job.ID, name string) {
	c.t.Helper()
	if _, err := c.Deploy(c.t.Context(), name, id, job.Start, ""); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) setGoal(id job.ID, name string, goal job.Goal) {
	c.t.Helper()
	if _, err := c.SetGoal(c.t.Context(), name, id, goal, ""); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) undeploy(id job.ID, name string) {
	c.t.Helper()
	if _, err := c.Undeploy(c.t.Context(), name, id, ""); err != nil {
		c.t.Fatal(err)
	}
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

func describe(s *job.TaskStatus) string {
	if s == nil {
		return "no status"
	}
	return fmt.Sprintf("%s, %s, %q", s.State, s.Throttled, s.ContainerError)
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
