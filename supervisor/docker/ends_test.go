package docker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// serves waits until the container answers at its port: before that it does not heed a SIGTERM.
func (w *world) serves(port int) {
	w.t.Helper()
	storetest.Eventually(w.t, limit, func() error {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return err
		}
		return answer.Body.Close()
	})
}

// endOf asks Docker when a container ended.
func (w *world) endOf(id string) time.Time {
	w.t.Helper()
	var inspected struct {
		State struct{ FinishedAt time.Time }
	}
	if err := json.Unmarshal(w.daemon.Inspect(id), &inspected); err != nil {
		w.t.Fatal(err)
	}
	return inspected.State.FinishedAt
}

// TestAnExitCodeThatALabelHidesIsPutRight: the attributes of a die event are also the labels, which go before the code.
func TestAnExitCodeThatALabelHidesIsPutRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &job.Job{Command: []string{"sleep", "3600"}, Labels: map[string]string{"exitCode": "7"}})
	w.begin(job.Start)
	first, _ := w.reach(0, job.Running)
	n := w.seen()
	w.daemon.Kill(*first.ContainerID)
	w.reach(n, job.Running)
	pulled, _ := w.reach(n, job.PullingImage)
	if *pulled.ContainerID != *first.ContainerID || *pulled.ExitCode != 137 {
		t.Errorf("%s with exit code %d at last", w.states(n), *pulled.ExitCode)
	}
	w.super.SetGoal(job.Undeploy)
	w.done(nil)
}
