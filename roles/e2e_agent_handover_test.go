package roles_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestHandOver takes a host over from an agent of the original, and gives it back.
func TestHandOver(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"AGT-082 host of a Java agent is taken over, and handed back", handOver},
	})
}

// The jobs of the recorded state directory: ra runs, with a port, and rb is stopped.
const (
	recordedRA = "ra:1:07163e2613dccad8a40f0fb579b9f0305132b882"
	recordedRB = "rb:1:1f5b67e89ada5516907933bc7bb49a22300eea45"
)

// inherit makes a state directory of the recorded one, for the host of the case, an agent id and containers of its own.
func (h *hostCase) inherit(agentID string, containers map[string]string) (dir string) {
	h.t.Helper()
	dir = h.t.TempDir()
	replaced := strings.NewReplacer("host1.example.com", h.docker.Host, "agentid-seq2", agentID)
	for _, name := range []string{"id", "lock", "executions.json", "task-config.json", "task-status.json", "task-history.json"} {
		text := read(filepath.Join("..", "testdata", "golden", "agent-state", "running-and-stopped", name))
		if name == "task-status.json" {
			text = h.statusFile(text, func(id, status string) string {
				was := parse(h.t, status)["containerId"].(string)
				return strings.ReplaceAll(replaced.Replace(status), was, containers[id])
			})
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(replaced.Replace(text)), 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	return dir
}

// statusFile is a task-status.json with each of its statuses changed.
func (h *hostCase) statusFile(text string, change func(id, status string) string) string {
	h.t.Helper()
	for id, coded := range parse(h.t, text) {
		status, err := base64.StdEncoding.DecodeString(coded.(string))
		if err != nil {
			h.t.Fatal(err)
		}
		text = strings.ReplaceAll(text, coded.(string), base64.StdEncoding.EncodeToString([]byte(change(id, string(status)))))
	}
	return text
}

func handOver(t *testing.T, h *hostCase) {
	agentID := unique("id")
	containers := map[string]string{
		recordedRA: h.docker.Run("helios-"+agentID+"-ra_1_07163e2_9f03c1aa", h.image, idle...),
		recordedRB: h.docker.Run("helios-"+agentID+"-rb_1_1f5b67e_1a2b3c", h.image, idle...),
	}
	h.docker.Kill(containers[recordedRB])
	dir := h.inherit(agentID, containers)
	if _, err := h.RegisterHost(t.Context(), h.docker.Host, agentID); err != nil {
		t.Fatal(err)
	}
	ra, rb := h.recorded("ra", map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}), h.recorded("rb", nil)
	if ra.String() != recordedRA || rb.String() != recordedRB {
		t.Fatalf("jobs %s and %s", ra, rb)
	}
	h.deploy(ra, h.docker.Host)
	if _, err := h.Deploy(t.Context(), h.docker.Host, rb, job.Stop, ""); err != nil {
		t.Fatal(err)
	}
	before := files(dir)

	a := startAgent(h.cluster, h.docker, nil, "--state-dir", dir)
	h.await(h.docker.Host, host.Up)
	adopted := func() error {
		status, err := h.task(ra, h.docker.Host)
		if err != nil {
			return err
		}
		if status == nil || status.State != job.Running || *status.ContainerID != containers[recordedRA] || *status.Ports["http"].ExternalPort != 33831 {
			return errors.New(describe(status))
		}
		if runs, code := h.isRunning(containers[recordedRA]); !runs {
			return fmt.Errorf("the container ended with %d", code)
		}
		if made := h.docker.Containers(); len(made) != 0 {
			return fmt.Errorf("containers of ours: %+v", made)
		}
		return nil
	}
	storetest.Eventually(t, inTime, adopted)
	holds(t, 3*time.Second, adopted)
	if status := h.awaitState(rb, h.docker.Host, job.Stopped); *status.ContainerID != containers[recordedRB] {
		t.Errorf("stopped task: %s", describe(status))
	}
	queued := make(map[string]int) // items of the history that the original had not written yet, as far as it remembered
	for id, list := range parse(t, before["task-history.json"]) {
		queued[id] = len(list.([]any))
	}
	storetest.Eventually(t, inTime, func() error {
		if a, b := len(h.states(ra)), len(h.states(rb)); a < queued[recordedRA] || b < queued[recordedRB] {
			return fmt.Errorf("%d and %d items of history", a, b)
		}
		return nil
	})
	for _, id := range []job.ID{ra, rb} {
		if n := len(h.states(id)); n != queued[id.String()] {
			t.Errorf("%d items of history of %s, %d of them of the original", n, id, queued[id.String()])
		}
	}

	if status := a.stop(); status != 143 {
		t.Errorf("ended with %d", status)
	}
	h.handedBack(before, files(dir))
	if err := os.Remove(filepath.Join(dir, "registration.json")); err != nil { // a Java agent had it for a time, and knows it not
		t.Error(err)
	}
	a.restart()
	storetest.Eventually(t, inTime, adopted)
	h.setGoal(ra, h.docker.Host, job.Stop)
	h.awaitState(ra, h.docker.Host, job.Stopped)
	if runs, code := h.isRunning(containers[recordedRA]); runs || code != 0 {
		t.Errorf("stopped: %t, exit status %d", !runs, code)
	}
}

// recorded creates a job as the recorded state has it.
func (h *hostCase) recorded(name string, ports map[string]job.PortMapping) job.ID {
	h.t.Helper()
	answer, err := h.CreateJob(h.t.Context(), job.Job{
		ID: job.ID{Name: name, Version: "1"}, Image: new("127.0.0.1:5000/probe:1"), Command: []string{"sleep", "3600"}, Ports: ports,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return jobID(h.t, *answer.ID)
}

func files(dir string) map[string]string {
	texts := make(map[string]string)
	for _, name := range []string{"id", "executions.json", "task-config.json", "task-status.json", "task-history.json"} {
		texts[name] = read(filepath.Join(dir, name))
	}
	return texts
}

// handedBack wants the files to be those of the original still: with the same entries, and with members that it knows.
func (h *hostCase) handedBack(before, after map[string]string) {
	h.t.Helper()
	for _, name := range []string{"id", "executions.json"} {
		if diff := cmp.Diff(before[name], after[name]); diff != "" {
			h.t.Errorf("%s: %s", name, diff)
		}
	}
	decoded := func(text string) map[string]string {
		statuses := make(map[string]string)
		h.statusFile(text, func(id, status string) string {
			statuses[id] = status
			return status
		})
		return statuses
	}
	if diff := cmp.Diff(decoded(before["task-status.json"]), decoded(after["task-status.json"])); diff != "" {
		h.t.Errorf("task-status.json: %s", diff)
	}
	if diff := cmp.Diff(shape(h.t, before["task-config.json"]), shape(h.t, after["task-config.json"])); diff != "" {
		h.t.Errorf("task-config.json: %s", diff)
	}
	for id, items := range parse(h.t, after["task-history.json"]) {
		if len(items.([]any)) != 0 {
			h.t.Errorf("task-history.json: %s has %v", id, items)
		}
	}
}

// shape is the names of all members of a document.
func shape(t testing.TB, text string) []string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				names[path+"."+name] = true
				walk(path+"."+name, member)
			}
		case []any:
			for _, element := range v {
				walk(path+"[]", element)
			}
		}
	}
	walk("", v)
	return slices.Sorted(maps.Keys(names))
}
