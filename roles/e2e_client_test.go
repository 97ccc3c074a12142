package roles_test

import (
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// bogus is a complete id that no job has.
const bogus = "bogus:job:0000000000000000000000000000000000000000"

// noImage is an image that no test makes: its jobs are not deployed, or are not to start.
const noImage = "127.0.0.1:1/none:1"

// parse reads a JSON document that a command printed.
func parse(t testing.TB, text string) map[string]any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return document
}

// TestClientCases are the cases of what a client is answered: they run nothing, and share one solo.
func TestClientCases(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	c := startSoloCluster(t, docker, nil).cluster
	existing := c.create(job.Job{Image: new(noImage)})

	// status is the status in the JSON that a command prints.
	status := func(t *testing.T, args ...string) any {
		t.Helper()
		return parse(t, c.seenBy(t).helios(args...).out)["status"]
	}

	t.Run("SYS-006 job without hash is created", func(t *testing.T) {
		full := c.create(job.Job{Image: new("127.0.0.1:1/hashless:1"), Command: []string{"http"}})
		if _, err := c.RemoveJob(t.Context(), full, ""); err != nil {
			t.Fatal(err)
		}
		body := `{"id":"` + full.Name + ":" + full.Version + `","image":"127.0.0.1:1/hashless:1","command":["http"]}`
		answer, err := http.Post(c.api+"/jobs?user=test-user", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"status": "OK", "errors": []any{}, "id": full.String()}
		if got := parse(t, string(text)); answer.StatusCode != http.StatusOK || !reflect.DeepEqual(got, want) {
			t.Errorf("answer %d %v, want %v", answer.StatusCode, got, want)
		}
	})
	t.Run("SYS-009 deploying an unknown job answers JOB_NOT_FOUND", func(t *testing.T) {
		if got := status(t, "deploy", "--json", bogus, docker.Host); got != "JOB_NOT_FOUND" {
			t.Errorf("status %v", got)
		}
	})
	t.Run("SYS-010 deploying to an unknown host answers HOST_NOT_FOUND", func(t *testing.T) {
		if got := status(t, "deploy", "--json", existing.String(), "BOGUS_HOST"); got != "HOST_NOT_FOUND" {
			t.Errorf("status %v", got)
		}
	})
	t.Run("SYS-011 undeploying an unknown job answers JOB_NOT_FOUND", func(t *testing.T) {
		if got := status(t, "undeploy", "--json", bogus, docker.Host); got != "JOB_NOT_FOUND" {
			t.Errorf("status %v", got)
		}
	})
	t.Run("SYS-012 undeploying from an unknown host answers HOST_NOT_FOUND", func(t *testing.T) {
		if got := status(t, "undeploy", "--json", existing.String(), "BOGUS_HOST"); got != "HOST_NOT_FOUND" {
			t.Errorf("status %v", got)
		}
	})
	t.Run("SYS-017 created job is printed as JSON and has a date", func(t *testing.T) {
		c := c.seenBy(t)
		name := unique("job") + ":1"
		answer := parse(t, c.must("create", "--json", name, noImage))
		id, _ := answer["id"].(string)
		errs, listed := answer["errors"].([]any)
		if answer["status"] != "OK" || !listed || len(errs) != 0 || !strings.HasPrefix(id, name) {
			t.Errorf("create printed %v", answer)
		}
		if created := parse(t, c.must("inspect", "--json", id))["created"]; created == nil {
			t.Error("inspect shows no date of creation")
		}
	})
	t.Run("SYS-091 list of hosts says when a pattern matches none", func(t *testing.T) {
		if r := c.seenBy(t).helios("hosts", "framazama"); !strings.Contains(r.out, "matched no hosts") {
			t.Error(r)
		}
	})
	t.Run("SYS-093 list of jobs says when a pattern matches none", func(t *testing.T) {
		if r := c.seenBy(t).helios("jobs", "framazama"); !strings.Contains(r.out, "matched no jobs") {
			t.Error(r)
		}
	})
}
