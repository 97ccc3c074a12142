package roles_test

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestThrottledTasks are the cases whose waits are long in truth; the policy itself is tested in virtual time.
func TestThrottledTasks(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"SYS-058, AGT-043 task that ends whenever it is poked flaps until it is left alone", flapping},
		{"AGT-044 command that ends at once is run every half minute in the end", endsAtOnce},
		{"SYS-064, AGT-045 missing image is asked for every two minutes, and used when it appears", imageMissing},
		{"AGT-046 registry that hangs is asked again after half a minute", registryHangs},
	})
}

// patient is how long an effect of a throttled task may take.
const patient = 8 * time.Minute

// throttled waits until the job is, and returns its status.
func (h *hostCase) throttled(id job.ID, state job.State, throttle job.Throttle) *job.TaskStatus {
	h.t.Helper()
	var status *job.TaskStatus
	storetest.Eventually(h.t, patient, func() (err error) {
		if status, err = h.task(id, h.docker.Host); err != nil {
			return err
		}
		if status == nil || status.State != state || status.Throttled != throttle {
			return fmt.Errorf("%s, want %s %s", describe(status), state, throttle)
		}
		return nil
	})
	return status
}

// last waits until the history holds at least n events of the state, and returns those.
func (h *hostCase) last(id job.ID, state job.State, n int) []job.TaskStatusEvent {
	h.t.Helper()
	var found []job.TaskStatusEvent
	storetest.Eventually(h.t, patient, func() error {
		found = nil
		for _, e := range h.states(id) {
			if e.Status.State == state {
				found = append(found, e)
			}
		}
		if len(found) < n {
			return fmt.Errorf("%d events of %s, want %d", len(found), state, n)
		}
		return nil
	})
	return found
}

func flapping(t *testing.T, h *hostCase) {
	h.start()
	port := lastingPort(t)
	id := h.create(job.Job{
		Image: &h.image, Command: []string{"sh", "-c", "busybox nc -p 4711 -l"},
		Ports: map[string]job.PortMapping{"poke": static(4711, port)},
	})
	h.run(id)
	storetest.Eventually(t, patient, func() error {
		if conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second); err == nil {
			conn.Close()
		}
		status, err := h.task(id, h.docker.Host)
		if err == nil && status.Throttled != job.Flapping {
			err = errors.New(describe(status))
		}
		return err
	})
	h.throttled(id, job.Exited, job.Flapping) // it rests for half a minute
	running := h.throttled(id, job.Running, job.Flapping)
	began := time.Now()
	calm := h.throttled(id, job.Running, job.NotThrottled)
	if took := time.Since(began); *calm.ContainerID != *running.ContainerID || took > 70*time.Second {
		t.Errorf("calm after %s, in %s, before in %s", took, *calm.ContainerID, *running.ContainerID)
	}
}

func endsAtOnce(t *testing.T, h *hostCase) {
	h.start()
	id := h.create(job.Job{Image: &h.image, Command: []string{"sh", "-c", "exit 0"}})
	h.deploy(id, h.docker.Host)
	storetest.Eventually(t, patient, func() error { // from now on it rests for half a minute, and all before is written
		events := h.states(id)
		if n := len(events); n == 0 || events[n-1].Status.State != job.Exited || events[n-1].Status.Throttled != job.Flapping {
			return fmt.Errorf("%d events, the last is not EXITED FLAPPING", n)
		}
		return nil
	})
	// A history keeps thirty events, which are five runs.
	before := h.last(id, job.Starting, 5)
	newest := before[len(before)-1].Timestamp
	storetest.Eventually(t, patient, func() error {
		starts := h.last(id, job.Starting, 2)
		a, b := starts[len(starts)-2], starts[len(starts)-1]
		if b.Timestamp == newest {
			if status, err := h.task(id, h.docker.Host); err != nil || status.State != job.Exited {
				return fmt.Errorf("between runs: %s, %v", describe(status), err)
			}
			return errors.New("not started again yet")
		}
		if apart := b.Timestamp - a.Timestamp; apart < 30000 {
			t.Errorf("started after %d ms", apart)
		}
		return nil
	})
}

func imageMissing(t *testing.T, h *hostCase) {
	h.start()
	registry := h.docker.Registry("127.0.0.1:0")
	image := registry.Addr + "/this_sould_not_exist:1"
	id := h.create(job.Job{Image: &image, Command: idle})
	h.deploy(id, h.docker.Host)
	h.throttled(id, job.Failed, job.ImageMissing)
	pulls := h.last(id, job.PullingImage, 2)
	if apart := pulls[1].Timestamp - pulls[0].Timestamp; apart < 119000 || apart > 140000 || pulls[1].Status.Throttled != job.ImageMissing {
		t.Errorf("asked again after %d ms, throttled %s", apart, pulls[1].Status.Throttled)
	}
	registry.Push("this_sould_not_exist:1", dockertest.Busybox(t))
	h.throttled(id, job.Running, job.NotThrottled)
}

func registryHangs(t *testing.T, h *hostCase) {
	h.start()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, and nobody says a word
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	id := h.create(job.Job{Image: new(silent.Addr().String() + "/hangs:1"), Command: idle})
	h.deploy(id, h.docker.Host)
	h.throttled(id, job.Failed, job.ImagePullFailed)
	failed := h.last(id, job.Failed, 1)[0].Timestamp
	again := h.last(id, job.PullingImage, 2)[1].Timestamp
	if pause := again - failed; pause < 29900 || pause > 40000 {
		t.Errorf("asked again %d ms after the failure", pause)
	}
}
