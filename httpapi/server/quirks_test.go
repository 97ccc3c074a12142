package server_test

import (
	"testing"

	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/httpapi/servertest"
)

// Verdicts on quirks of document 2 that no recording shows, because the original did something else.
func TestQuirksWithoutRecordingAreSettled(t *testing.T) {
	c := newCluster(t, server.Options{})
	const (
		id    = "foo:1:217aba3a8575297f71945c25980577ddba9de2fd"
		other = unknown
		path  = "/hosts/h1/jobs/" + id
	)
	for _, step := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"a job is created by nobody (1)", "POST", "/jobs", `{"id":"foo:1","image":"busybox:latest","command":["sleep","30"]}`, 200, `{"status":"OK","errors":[],"id":"` + id + `"}`},
		{"a host is registered", "PUT", "/hosts/h1?id=abc", "", 200, `"OK"`},
		{"a document that names another job is refused (8)", "PUT", path, `{"jobId":"` + other + `","goal":"START"}`, 400, `{"status":"ID_MISMATCH","host":"h1","job":"` + id + `"}`},
		{"a deployment is made by nobody (1)", "PUT", path, `{"job":"` + id + `","goal":"START","deployerMaster":"m","deploymentGroupName":"g"}`, 200, `{"status":"OK","host":"h1","job":"` + id + `"}`},
		{"which is stored as null", "GET", path, "", 200, `{"goal":"START","deployerUser":null,"jobId":"` + id + `"}`},
		{"the goal UNDEPLOY can be set (9, decision 8)", "PATCH", path, `{"job":"` + id + `","goal":"UNDEPLOY"}`, 200, `{"status":"OK","host":"h1","job":"` + id + `"}`},
		{"and is read back", "GET", path, "", 200, `{"goal":"UNDEPLOY","deployerUser":null,"jobId":"` + id + `"}`},
		{"a version that cannot be read is refused (7)", "GET", "/version/check?client=x", "", 400, `{"message":"Version string format is invalid"}`},
		{"a body of one host twice", "POST", "/hosts/statuses", `["zz","zz"]`, 200, `{}`},
	} {
		r := &servertest.Request{Method: step.method, Path: step.path, Headers: map[string]string{"Accept-Encoding": "gzip"}}
		if step.body != "" {
			r.Body = &step.body
			r.Headers["Content-Type"] = "application/json"
		}
		got := send(t, r, c.Addr())
		if got.Status != step.status || got.Body != step.want {
			t.Errorf("%s: %d %s, want %d %s", step.name, got.Status, got.Body, step.status, step.want)
		}
		packed := got.Headers["content-encoding"] == "gzip"
		if want := step.status == 200 && (step.method == "GET" || step.method == "POST"); packed != want {
			t.Errorf("%s: packed: %t, want %t", step.name, packed, want)
		}
	}
}
