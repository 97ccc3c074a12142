package roles_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestWhatDockerRefuses deploys jobs that masters accept and that no container can be made or started of: each task is
// FAILED with a reason in Docker's words, and the neighbour runs on.
func TestWhatDockerRefuses(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{{"jobs that pass validation", refused}}, "--whitelisted-capability", "NO_SUCH_THING")
}

func refused(t *testing.T, h *hostCase) {
	h.start()
	neighbour := h.create(job.Job{Image: &h.image, Command: idle})
	container := *h.run(neighbour).ContainerID
	empty, foreign := "127.0.0.1:1/"+unique("empty")+":1", "127.0.0.1:1/"+unique("foreign")+":1"
	h.docker.Load(empty, dockertest.Calling(t, dockertest.Busybox(t), nil))
	h.docker.Load(foreign, dockertest.Foreign(t))
	for _, c := range []struct {
		name, reason string
		change       func(*job.Job)
	}{
		{"a command that is not there", "nonexistent", func(j *job.Job) { j.Command = []string{"/nonexistent"} }},
		{"an image without a command", "command", func(j *job.Job) { j.Image, j.Command = &empty, nil }},
		{"too little memory", "memory", func(j *job.Job) { j.Resources = &job.Resources{Memory: new(int64(1))} }},
		{"a processor that is not there", "CPU", func(j *job.Job) { j.Resources = &job.Resources{CPUSet: new("4095")} }},
		{"a mount option that is none", "ramdisk", func(j *job.Job) { j.Ramdisks = map[string]string{"/ramdisk": "no,such=option"} }},
		{"a capability that is none", "NO_SUCH_THING", func(j *job.Job) { j.AddCapabilities = []string{"NO_SUCH_THING"} }},
		{"a security option that is none", "no-such-option", func(j *job.Job) { j.SecurityOpt = []string{"no-such-option"} }},
		{"a runtime that is not there", "no-such-runtime", func(j *job.Job) { j.Runtime = new("no-such-runtime") }},
		{"the network of a container that is not there", "no-such-container", func(j *job.Job) { j.NetworkMode = new("container:no-such-container") }},
		{"a device as a volume", "/dev/no/such", func(j *job.Job) { j.Volumes = map[string]string{"/data": "/proc/1/no-such-dir"} }},
		{"a volume with odd characters", "volume", func(j *job.Job) { j.Volumes = map[string]string{"/data": "spa ce\"'$(x)"} }},
		{"an address that the host does not have", "198.51.100.7", func(j *job.Job) {
			j.Ports = map[string]job.PortMapping{"p": {IP: new("198.51.100.7"), InternalPort: 8080, Protocol: "tcp"}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := job.Job{Image: &h.image, Command: idle}
			c.change(&j)
			id := h.create(j)
			h.deploy(id, h.docker.Host)
			status := h.awaitState(id, h.docker.Host, job.Failed)
			if status.Throttled != job.NotThrottled || status.ContainerError == "" {
				t.Errorf("status %s", describe(status))
			}
			t.Log(status.ContainerError)
			h.undeploy(id, h.docker.Host)
			h.awaitGone(id, h.docker.Host)
		})
	}
	j := job.Job{Image: &foreign} // Docker starts it, and it ends at once
	id := h.create(j)
	h.deploy(id, h.docker.Host)
	if status := h.awaitState(id, h.docker.Host, job.Exited); *status.ExitCode == 0 || !strings.Contains(h.docker.Logs(*status.ContainerID), "exec format error") {
		t.Errorf("an image for another processor: %s", describe(status))
	}
	if err := errors.Join(h.runs(neighbour, h.docker.Host, container), runsOnly(h.docker, neighbour, container)); err != nil {
		t.Error(err)
	}
}

// TestManyThatDockerRefuses are of hosts on which much is tried again each second.
func TestManyThatDockerRefuses(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"twenty refused tasks leave nothing with --remove-refused and disturb nobody", func(t *testing.T, h *hostCase) {
			h.start("--remove-refused")
			if left := refusedTwice(t, h, 20); left > 20 { // one each, if Docker was too busy to answer
				t.Errorf("%d containers are left", left)
			}
		}},
		{"refused tasks leave a container each time without it", func(t *testing.T, h *hostCase) {
			h.start()
			if left := refusedTwice(t, h, 3); left < 6 {
				t.Errorf("only %d containers are left", left)
			}
		}},
	})
}

// refusedTwice has as many tasks begin and fail twice or more as it is told, beside one that runs on and one that begins
// meanwhile, and returns how many containers they leave.
func refusedTwice(t *testing.T, h *hostCase, tasks int) (left int) {
	neighbour := h.create(job.Job{Image: &h.image, Command: idle})
	container := *h.run(neighbour).ContainerID
	var ids []job.ID
	for range tasks {
		id := h.create(job.Job{Image: &h.image, Command: []string{"/nonexistent"}})
		h.deploy(id, h.docker.Host)
		ids = append(ids, id)
	}
	for _, id := range ids {
		first := *h.awaitState(id, h.docker.Host, job.Failed).ContainerID
		storetest.Eventually(t, inTime, func() error {
			status, err := h.task(id, h.docker.Host)
			if err == nil && (status == nil || status.ContainerID == nil || *status.ContainerID == first) {
				err = fmt.Errorf("%s, first in %s", describe(status), first)
			}
			return err
		})
	}
	began := time.Now()
	newcomer := h.create(job.Job{Image: &h.image, Command: idle})
	beside := *h.run(newcomer).ContainerID
	t.Logf("a new task ran after %s", time.Since(began))
	if err := errors.Join(runsOnly(h.docker, neighbour, container), runsOnly(h.docker, newcomer, beside)); err != nil {
		t.Error(err)
	}
	storetest.Eventually(t, inTime, func() error { return h.runs(neighbour, h.docker.Host, container) })
	for _, id := range ids {
		h.undeploy(id, h.docker.Host)
	}
	for _, id := range ids {
		h.awaitGone(id, h.docker.Host)
	}
	for _, event := range h.states(neighbour) {
		s := event.Status
		if s.ContainerID == nil || *s.ContainerID == container && (s.State == job.Starting || s.State == job.Running) {
			continue
		}
		if strings.Contains(s.ContainerError, "docker does not answer") { // a busy machine, of which this agent is a part only
			t.Logf("the neighbour was said to be %s", describe(s))
			continue
		}
		t.Errorf("the neighbour was said to be %s", describe(s))
	}
	for _, c := range h.docker.Containers() {
		if c.ID != container && c.ID != beside {
			left++
		}
	}
	t.Logf("%d tasks left %d containers", tasks, left)
	return left
}

// TestOddContainers are of what a shell, JSON or Docker might misread, and of what has no end.
func TestOddContainers(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"environment with odd characters arrives as it is", oddEnvironment},
		{"health check that writes without end does not hold the agent up", endlessCheck},
		{"container that writes garbage without end runs as others do", endlessOutput},
	})
}

func oddEnvironment(t *testing.T, h *hostCase) {
	h.start()
	odd := "a=b \"c\" '$(d)' \\e\tf\u00e4\u4e16\U0001f600 \x01%s%n\nnext line"
	id := h.create(job.Job{
		Image: &h.image, Command: []string{"sh", "-c", `busybox printf "%s" "$ODD"`}, Env: map[string]string{"ODD": odd, "EMPTY": ""},
	})
	h.deploy(id, h.docker.Host)
	status := h.awaitState(id, h.docker.Host, job.Exited)
	h.undeploy(id, h.docker.Host)
	if got := h.docker.Logs(*status.ContainerID); got != odd {
		t.Errorf("the container has %q, want %q", got, odd)
	}
	if status.Env["ODD"] != odd {
		t.Errorf("the status has %q", status.Env["ODD"])
	}
}

func endlessCheck(t *testing.T, h *hostCase) {
	a := h.start()
	endless := h.create(job.Job{
		Image: &h.image, Command: idle,
		HealthCheck: &job.HealthCheck{Type: job.CheckExec, Command: []string{"busybox", "yes", strings.Repeat("\x00\xff", 100)}},
	})
	h.deploy(endless, h.docker.Host)
	h.awaitState(endless, h.docker.Host, job.HealthChecking)
	other := h.create(job.Job{Image: &h.image, Command: idle})
	h.run(other)
	holds(t, 3*time.Second, func() error {
		status, err := h.task(endless, h.docker.Host)
		if err == nil && status.State != job.HealthChecking {
			err = errors.New(describe(status))
		}
		if a.resident() > 100 {
			err = fmt.Errorf("the agent takes %.0f MB", a.resident())
		}
		return err
	})
	h.undeploy(endless, h.docker.Host)
	h.awaitGone(endless, h.docker.Host)
}

func endlessOutput(t *testing.T, h *hostCase) {
	a := h.start()
	id := h.create(job.Job{Image: &h.image, Command: []string{"sh", "-c", "busybox head -c 20000000 /dev/urandom; exec busybox sleep 3600"}})
	container := *h.run(id).ContainerID
	holds(t, 3*time.Second, func() error {
		if a.resident() > 100 {
			return fmt.Errorf("the agent takes %.0f MB", a.resident())
		}
		return runsOnly(h.docker, id, container)
	})
}

// TestGarbageFromDocker puts nonsense into the answers of a daemon under a running task: nothing is started, stopped or
// doubled by it, the agent lives, and with the daemon sane again all is as before.
func TestGarbageFromDocker(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{{"answers that are cut, huge, empty, or of other types", garbageFromDocker}})
}

func garbageFromDocker(t *testing.T, h *hostCase) {
	var answer spoiler
	endpoint := dockerProxy(t, nil, answer.spoil)
	a := startAgent(h.cluster, h.docker, []string{"HELIOS_WAIT_INSPECT_INTERVAL_MILLIS=100"}, "--docker", endpoint) // it looks often
	h.await(h.docker.Host, host.Up)
	id := h.create(job.Job{Image: &h.image, Command: idle})
	container := *h.run(id).ContainerID
	huge := `[{"Id":"` + strings.Repeat("x", 5<<20) + `"}]`
	for _, body := range []string{
		"", `{"Id":`, "[]", "null", `{"Id":17,"State":"running"}`, `{"Id":"","State":null}`, "\x00\xff<html>", huge,
	} {
		answer.set(&body)
		other := h.create(job.Job{Image: &h.image, Command: idle}) // a pass, and a task that cannot be begun
		h.deploy(other, h.docker.Host)
		holds(t, time.Second, func() error { return runsOnly(h.docker, id, container) })
		if a.cmd.ProcessState != nil || a.resident() > 200 {
			t.Fatalf("%.60q: the agent ended, or takes %.0f MB", body, a.resident())
		}
		answer.set(nil)
		storetest.Eventually(t, inTime, func() error {
			return errors.Join(h.runs(id, h.docker.Host, container), runsOnly(h.docker, id, container), runsOnly(h.docker, other, ""))
		})
		h.undeploy(other, h.docker.Host)
		h.awaitGone(other, h.docker.Host)
	}
}

// spoiler replaces the bodies of answers about containers.
type spoiler struct {
	mu   sync.Mutex // guards body
	body *string    // nil: answers stay as they are
}

func (s *spoiler) set(body *string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body = body
}

func (s *spoiler) spoil(r *http.Response) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == nil || !strings.Contains(r.Request.URL.Path, "/containers/") {
		return nil
	}
	r.Body.Close()
	r.Body = io.NopCloser(strings.NewReader(*s.body))
	r.ContentLength = int64(len(*s.body))
	r.Header.Set("Content-Length", strconv.Itoa(len(*s.body)))
	r.Header.Del("Transfer-Encoding")
	return nil
}
