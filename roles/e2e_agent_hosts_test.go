package roles_test

import (
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestHostsOfAgents are the cases of a whole host: what else runs on it, how much, and the end of its agent.
func TestHostsOfAgents(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"SYS-099, AGT-071, AGT-072, AGT-073 containers in the agent's namespace that no task owns are killed, others are not", strays},
		{"SYS-046, AGT-014 forty tasks run, and run again when all of them are killed", forty},
		{"AGT-093 agent without HTTP ends in order, and one without its port does not start", withoutHTTP},
	})
}

// isRunning tells whether a container, which nobody removes, runs.
func (h *hostCase) isRunning(container string) (bool, int) {
	h.t.Helper()
	var seen struct {
		State struct {
			Running  bool
			ExitCode int
		}
	}
	h.inspect(container, &seen)
	return seen.State.Running, seen.State.ExitCode
}

func strays(t *testing.T, h *hostCase) {
	id := unique("test")
	running := func(name string) string { return h.docker.Run(unique(name), h.image, idle...) }
	other := []string{running("helios-" + id + "x-unwanted"), running("other"), running("helios-other-unwanted")}
	killed := func(container string) {
		t.Helper()
		storetest.Eventually(t, inTime, func() error {
			if runs, code := h.isRunning(container); runs || code != 137 {
				return fmt.Errorf("runs: %t, exit status %d", runs, code)
			}
			return nil
		})
	}
	first := running("helios-" + id + "-unwanted")
	h.start("--id", id)
	killed(first)
	second, began := running("helios-"+id+"-unwanted"), time.Now()
	killed(second)
	if took := time.Since(began); took > 90*time.Second {
		t.Errorf("killed after %s", took)
	}
	for _, container := range other {
		if runs, code := h.isRunning(container); !runs {
			t.Errorf("a container of another name ended with %d", code)
		}
	}
}

func forty(t *testing.T, h *hostCase) {
	h.start()
	const many = 40
	ids := make([]job.ID, many)
	for i := range ids {
		ids[i] = h.create(job.Job{Image: &h.image, Command: idle})
	}
	for _, id := range ids {
		h.deploy(id, h.docker.Host)
	}
	// run waits until all run, in none of the containers before.
	run := func(before map[string]bool) map[string]bool {
		t.Helper()
		now := make(map[string]bool)
		storetest.Eventually(t, patient, func() error {
			clear(now)
			status, err := h.HostStatus(t.Context(), h.docker.Host)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if s := status.Statuses[id]; s != nil && s.State == job.Running && !before[*s.ContainerID] {
					now[*s.ContainerID] = true
				}
			}
			if len(now) != many {
				return fmt.Errorf("%d run", len(now))
			}
			return nil
		})
		return now
	}
	first := run(nil)
	var kills sync.WaitGroup
	for container := range first {
		kills.Go(func() { h.docker.Kill(container) })
	}
	kills.Wait()
	second := run(first)
	n := 0
	for _, c := range h.docker.Containers() {
		if c.State == "running" {
			n++
			if !second[c.ID] {
				t.Errorf("container %s runs for nobody", c.ID)
			}
		}
	}
	if n != many {
		t.Errorf("%d containers run", n)
	}
}

func withoutHTTP(t *testing.T, h *hostCase) {
	s := startServiceHost(t, h) // without HTTP, too
	id := s.create(s.web())
	container := *s.run(id).ContainerID
	s.told("+1")
	s.stop()
	s.told("+1", "-1")
	began := time.Now()
	s.await(h.docker.Host, host.Down)
	if took := time.Since(began); took > 20*time.Second { // its session lasts for a minute
		t.Errorf("an agent in this process: down after %s", took)
	}

	a := startAgent(h.cluster, h.docker, nil, "--id", s.id, "--state-dir", s.dir, "--zk-session-timeout", "40000")
	h.await(h.docker.Host, host.Up)
	a.signal(syscall.SIGTERM)
	if status := a.end(); status != 143 {
		t.Errorf("ended with %d", status)
	}
	began = time.Now()
	h.await(h.docker.Host, host.Down)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("down after %s", took)
	}
	if err := runsOnly(h.docker, id, container); err != nil {
		t.Error(err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := helios(t, nil, "agent", "--name", h.docker.Host, "--state-dir", s.dir, "--zk", h.zk,
		"--http", "http://"+taken.Addr().String(), "--admin", "http://127.0.0.1:0")
	if r.exit != 1 {
		t.Errorf("with a port that is taken: %s", r)
	}
}
