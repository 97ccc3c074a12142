package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/httpapi/servertest"
)

// exchange is a request, and what its answer has to be.
type exchange struct {
	method, path string
	headers      map[string]string
	body         *string
	status       int
	version      string            // Helios-Version-Status; "" is MISSING
	want         string            // the body; "…" at its end: what it begins with
	with         map[string]string // headers of the answer; those of Allow are a subset
}

// TestVectors are the acceptance cases of http §13, in their order against one master. Where the original's answer is a
// quirk that is fixed, ours is the verdict's.
func TestVectors(t *testing.T) {
	const (
		j    = "foo:1:217aba3a8575297f71945c25980577ddba9de2fd"
		text = `{"id":"foo:1","image":"busybox:latest","command":["sleep","30"]}`
	)
	json := map[string]string{"Content-Type": "application/json"}
	deploy := func(goal string) *string { return new(`{"jobId":"` + j + `","goal":"` + goal + `"}`) }
	is := func(headers ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(headers); i += 2 {
			m[headers[i]] = headers[i+1]
		}
		return m
	}
	c := newCluster(t, server.Options{CORSOrigins: []string{"http://e.x"}})
	for _, test := range []struct {
		name      string
		exchanges []exchange
	}{
		{"HTTP-01 the version is a text in quotes", []exchange{
			{method: "GET", path: "/version", status: 200, want: `"0.9.283"`, with: is("content-type", "text/plain")},
		}},
		{"HTTP-02 a client of another major version is turned away", []exchange{
			{method: "GET", path: "/version", headers: is("Helios-Version", "9.0.0"), status: 426, version: "INCOMPATIBLE", want: `{"message":"Your client version is incompatible with the server version 0.9.283"}`},
		}},
		{"HTTP-03 and what it asks for is not done", []exchange{
			{method: "PUT", path: "/hosts/x?id=1", headers: is("Helios-Version", "9.0.0"), status: 426, version: "INCOMPATIBLE"},
			{method: "GET", path: "/hosts", status: 200, want: `[]`},
		}},
		{"HTTP-04 a version that is none is refused", []exchange{
			{method: "GET", path: "/version", headers: is("Helios-Version", "xx"), status: 400, version: "INVALID", want: `{"message":"Helios client version format is bogus - expect n.n.n"}`},
		}},
		{"HTTP-05 a client of a newer minor version may go on", []exchange{
			{method: "GET", path: "/version", headers: is("Helios-Version", "0.99.0"), status: 200, version: "MAYBE", want: `"0.9.283"`},
		}},
		{"HTTP-06 the version check of nobody", []exchange{
			{method: "GET", path: "/version/check", status: 200, want: `{"status":"MISSING","serverVersion":{"snapshot":false,"major":0,"minor":9,"patch":283},"recommendedVersion":"0.9.283"}`},
		}},
		{"HTTP-07 the version check of an older client", []exchange{
			{method: "GET", path: "/version/check?client=0.8.1", status: 200, want: `{"status":"COMPATIBLE",…`},
		}},
		{"HTTP-08 an unknown path", []exchange{{method: "GET", path: "/nope", status: 404}}},
		{"HTTP-09 a method that the path does not have", []exchange{
			{method: "POST", path: "/masters", status: 405, with: is("allow", "GET")},
		}},
		{"HTTP-10 a type that the path does not have", []exchange{
			{method: "GET", path: "/masters", headers: is("Accept", "text/plain"), status: 406},
		}},
		{"HTTP-11 the methods of a path", []exchange{
			{method: "OPTIONS", path: "/masters", status: 204, with: is("allow", "GET, OPTIONS")},
		}},
		{"HTTP-12 a page of another origin", []exchange{
			{method: "GET", path: "/masters", headers: is("Origin", "http://e.x"), status: 200, want: `["goldenmaster"]`, with: is("access-control-allow-origin", "http://e.x", "access-control-allow-credentials", "true")},
		}},
		{"HTTP-13 a job without a body", []exchange{
			{method: "POST", path: "/jobs?user=al", headers: json, status: 422, want: `{"errors":[]}`},
		}},
		{"HTTP-14 a job as a form", []exchange{
			{method: "POST", path: "/jobs?user=al", headers: is("Content-Type", "application/x-www-form-urlencoded"), body: new("a=b"), status: 415},
		}},
		{"HTTP-15 a job that is a list", []exchange{
			{method: "POST", path: "/jobs?user=al", headers: json, body: new("[]"), status: 400, want: `{"message":…`},
		}},
		{"HTTP-16 no job has the name", []exchange{{method: "GET", path: "/jobs?q=zzz", status: 200, want: "{}"}}},
		{"HTTP-17 an id that is not whole", []exchange{
			{method: "GET", path: "/jobs/foo:1", status: 400, want: `{"message":"Invalid id"}`},
			{method: "GET", path: "/jobs/foo", status: 400, want: `{"message":"Invalid id"}`},
		}},
		{"HTTP-18 an id that is none", []exchange{{method: "GET", path: "/jobs/foo:1:abc:d", status: 404}}},
		{"HTTP-19 a job that does not exist", []exchange{
			{method: "GET", path: "/jobs/" + unknown, status: 404},
			{method: "GET", path: "/jobs/" + unknown + "/status", status: 404},
		}},
		{"HTTP-20 nor can it be removed", []exchange{
			{method: "DELETE", path: "/jobs/" + unknown, status: 404, want: `{"status":"JOB_NOT_FOUND"}`},
		}},
		{"HTTP-21 the wrong token", []exchange{
			{method: "POST", path: "/jobs?user=al", headers: json, body: new(`{"id":"tok:1","image":"b","token":"sekret"}`), status: 200, want: `{"status":"OK",…`},
			{method: "DELETE", path: "/jobs/tok:1:aeb3fb4d162a1deda9fca2c850ed0febc9f08f96?token=no", status: 403, want: `{"status":"FORBIDDEN"}`},
		}},
		{"HTTP-22 the statuses of jobs are posted for", []exchange{
			{method: "GET", path: "/jobs/statuses", status: 405, with: is("allow", "POST,OPTIONS")},
		}},
		{"HTTP-45 a hash that is left out is computed", []exchange{
			{method: "POST", path: "/jobs?user=al", headers: json, body: new(text), status: 200, want: `{"status":"OK","errors":[],"id":"` + j + `"}`},
		}},
		{"HTTP-23 statuses of jobs of which one does not exist", []exchange{
			{method: "POST", path: "/jobs/statuses", headers: json, body: new(`["` + j + `","` + unknown + `"]`), status: 200, want: `{"` + j + `":{"job":{"id":"` + j + `",…`},
		}},
		{"HTTP-24 of an id that is not whole", []exchange{
			{method: "POST", path: "/jobs/statuses", headers: json, body: new(`["foo:1"]`), status: 400, want: `{"message":"Invalid id foo:1"}`},
		}},
		{"HTTP-25 history of a job that does not exist", []exchange{
			{method: "GET", path: "/history/jobs/" + unknown, status: 200, want: `{"events":[],"status":"JOB_ID_NOT_FOUND"}`},
		}},
		{"HTTP-26 a selector that is none", []exchange{
			{method: "GET", path: "/hosts?selector=bad%20%3C", status: 400, want: `{"message":"Invalid host selector: bad <"}`},
		}},
		{"HTTP-27 a host without an id", []exchange{
			{method: "PUT", path: "/hosts/h1", status: 400, want: `{"status":"INVALID_ID","host":"h1"}`},
		}},
		{"HTTP-28 a host is registered", []exchange{{method: "PUT", path: "/hosts/h1?id=abc", status: 200, want: `"OK"`}}},
		{"HTTP-29 a host that does not exist", []exchange{
			{method: "DELETE", path: "/hosts/nohost", status: 404, want: `{"status":"NOT_FOUND","host":"nohost"}`},
		}},
		{"HTTP-30 a host has a status only", []exchange{{method: "GET", path: "/hosts/h1", status: 405}}},
		{"HTTP-31 states are written in capitals", []exchange{
			{method: "GET", path: "/hosts/h1/status?status=up", status: 404},
		}},
		{"HTTP-32 hosts that are no list", []exchange{
			{method: "POST", path: "/hosts/statuses", headers: json, body: new("{}"), status: 400, want: `{"message":…`},
		}},
		{"HTTP-33 a job is deployed to no host", []exchange{
			{method: "PUT", path: "/hosts/nohost/jobs/" + j + "?user=al", headers: json, body: deploy("START"), status: 400, want: `{"status":"HOST_NOT_FOUND","host":"nohost","job":"` + j + `"}`},
		}},
		{"HTTP-34 with a goal that is none", []exchange{
			{method: "PUT", path: "/hosts/h1/jobs/" + j + "?user=al", headers: json, body: deploy("bogus"), status: 400, want: `{"message":"bogus was not one of [START, STOP, UNDEPLOY]"}`},
		}},
		{"HTTP-35 a goal for another job", []exchange{
			{method: "PATCH", path: "/hosts/h1/jobs/foo:1", headers: json, body: deploy("STOP"), status: 400, want: `{"status":"ID_MISMATCH","host":"h1","job":"foo:1"}`},
		}},
		{"HTTP-36 a job is undeployed from no host", []exchange{
			{method: "DELETE", path: "/hosts/nohost/jobs/" + j, status: 404, want: `{"status":"HOST_NOT_FOUND","host":"nohost","job":"` + j + `"}`},
		}},
		{"HTTP-37 a deployment of an id that is not whole", []exchange{{method: "GET", path: "/hosts/h1/jobs/foo:1", status: 400}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, e := range test.exchanges {
				e.judge(t, send(t, &servertest.Request{Method: e.method, Path: e.path, Headers: e.headers, Body: e.body}, c.Addr()))
			}
		})
	}
}

func (e exchange) judge(t *testing.T, got servertest.Response) {
	t.Helper()
	if e.version == "" {
		e.version = "MISSING"
	}
	if got.Status != e.status || got.Headers["helios-server-version"] != "0.9.283" || got.Headers["helios-version-status"] != e.version {
		t.Errorf("%s %s: %+v", e.method, e.path, got)
	}
	if start, cut := strings.CutSuffix(e.want, "…"); cut {
		if !strings.HasPrefix(got.Body, start) {
			t.Errorf("%s %s: %s", e.method, e.path, got.Body)
		}
	} else if diff := cmp.Diff(e.want, got.Body); diff != "" {
		t.Errorf("%s %s: %s", e.method, e.path, diff)
	}
	for name, want := range e.with {
		if name != "allow" && got.Headers[name] != want {
			t.Errorf("%s %s: %s is %q, want %q", e.method, e.path, name, got.Headers[name], want)
		}
		for method := range strings.SplitSeq(want, ",") {
			allowed := strings.Split(strings.ReplaceAll(got.Headers["allow"], " ", ""), ",")
			if name == "allow" && !slices.Contains(allowed, strings.TrimSpace(method)) {
				t.Errorf("%s %s: allowed is %v, want %s", e.method, e.path, allowed, want)
			}
		}
	}
}

// TestVersionHeader are the system tests of the version header, against our own version.
func TestVersionHeader(t *testing.T) {
	c := newCluster(t, server.Options{Version: "0.10.0"})
	for _, test := range []struct {
		name, client, want string
		status             int
	}{
		{"SYS-112 the same version is equal", "0.10.0", "EQUAL", http.StatusOK},
		{"SYS-113 another major version is incompatible", "1.0.0", "INCOMPATIBLE", http.StatusUpgradeRequired},
		{"SYS-114 another patch is compatible", "0.10.1", "COMPATIBLE", http.StatusOK},
		{"SYS-115 a newer minor version may be", "0.11.0", "MAYBE", http.StatusOK},
		{"SYS-116 what is no version is invalid", "deadbeef", "INVALID", http.StatusBadRequest},
		{"SYS-117 no header is missing", "", "MISSING", http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &servertest.Request{Method: "GET", Path: "/version", Headers: map[string]string{}}
			if test.client != "" {
				r.Headers["Helios-Version"] = test.client
			}
			got := send(t, r, c.Addr())
			if got.Status != test.status || got.Headers["helios-version-status"] != test.want || got.Headers["helios-server-version"] != "0.10.0" {
				t.Errorf("%+v", got)
			}
		})
	}
}
