package job_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

func TestAJobFileMayHaveTheIDThatJavaWritesForNone(t *testing.T) {
	j, err := job.ReadFile([]byte("{\"id\":\"null:null\",\"image\":\"a\"}\x00\x00"))
	if err != nil || j.ID != (job.ID{}) {
		t.Errorf("got %v, %v", j, err)
	}
	if j := read(t, `{"id":"null:null"}`); j.ID != (job.ID{Name: "null", Version: "null"}) {
		t.Errorf("elsewhere it is a name like any other, got %v", j.ID)
	}
}

func TestAnIncompleteIDIsNeverWritten(t *testing.T) {
	for _, id := range []job.ID{{}, {Name: "foo"}, {Version: "1"}} {
		if got := string(document.Canonical(id.JSON())); got != "null" {
			t.Errorf("%v is written as %s", id, got)
		}
	}
}

func TestTaskStatusWritesItsOwnMembersOnlyWhenSet(t *testing.T) {
	status := job.TaskStatus{Job: job.Job{ID: job.ID{Name: "a", Version: "1"}}, State: job.Exited}
	if got := string(document.Canonical(status.JSON())); strings.Contains(got, "exitCode") || !strings.Contains(got, `"throttled":"NO"`) {
		t.Errorf("got %s", got)
	}
	status.ExitCode, status.FinishedAt, status.OOMKilled = new(int32(137)), new(int64(1410308461448)), new(true)
	text := document.Canonical(status.JSON())
	if got := string(text); !strings.Contains(got, `"exitCode":137,"finishedAt":1410308461448,"goal":null,`) || !strings.Contains(got, `"oomKilled":true,"ports":{}`) {
		t.Errorf("got %s", got)
	}
	var again job.TaskStatus
	if err := document.Read(text, again.JSON()); err != nil {
		t.Fatal(err)
	}
	status.Throttled = job.NotThrottled
	if diff := cmp.Diff(status, again); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHealthCheckErrorsNameTheTypes(t *testing.T) {
	for text, want := range map[string]string{
		`{"healthCheck":{}}`:             "missing type id property 'type' (for POJO property 'healthCheck')",
		`{"healthCheck":"http"}`:         "missing type id property 'type' (for POJO property 'healthCheck')",
		`{"healthCheck":{"type":"foo"}}`: "Could not resolve type id 'foo' as a subtype of HealthCheck: known type ids = [exec, http, tcp] (for POJO property 'healthCheck')",
		`{"healthCheck":{"type":null}}`:  "Could not resolve type id 'null'",
	} {
		if _, err := job.Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestEndpointsHaveHTTPForTheirDefaultProtocol(t *testing.T) {
	for text, want := range map[string]string{"s": "s/http", "s/tcp": "s/tcp", "s/": "s/", "": "/http", "/": "/"} {
		endpoint, err := job.ParseEndpoint(text)
		if err != nil || endpoint.String() != want {
			t.Errorf("%q: got %v, %v, want %s", text, endpoint, err, want)
		}
	}
	if endpoint, err := job.ParseEndpoint("a/b/c"); err == nil {
		t.Errorf("a/b/c is %v", endpoint)
	}
	j := read(t, `{"registration":{"s":{"ports":{"a":{}}},"s/http":{"ports":{"b":{}}}}}`)
	if got, want := string(document.Canonical(j.JSON())), `"registration":{"s/http":{"ports":{"b":{}}}}`; !strings.Contains(got, want) {
		t.Errorf("the later of two equal endpoints must win: %s", got)
	}
}

func TestAPartialJobIsLaidOverABase(t *testing.T) {
	base := `{"id":"base:1:0123456789012345678901234567890123456789","image":"old","command":["a"],"env":{"A":"1","B":"2"},"hostname":"h","created":5,"creatingUser":"u",` +
		`"metadata":{"foo":"bar","baz":"qux"},"labels":{"l":"1","m":"2"},"ports":{"http":80,"admin":81},"volumes":{"/v":"/s","/w:ro":""},"token":"t","registrationDomain":"d",` +
		`"securityOpt":["s"],"addCapabilities":["X"],"registration":{"svc":{"ports":{"http":{}}}},"resources":{"memory":5},"ramdisks":{"/r":"rw"},"secondsToWaitBeforeKill":9,` +
		`"rolloutOptions":{"migrate":true},"gracePeriod":5,"healthCheck":{"type":"tcp","port":"http"},"networkMode":"host","runtime":"r"}`
	for _, test := range []struct{ name, top, want string }{
		{"nothing changes nothing but the hash", `{}`, strings.Replace(base, ":0123456789012345678901234567890123456789", "", 1)},
		{"empty values clear nothing", `{"hostname":"","token":"","registrationDomain":"","networkMode":"","runtime":"","command":[],"env":{},"labels":{},"addCapabilities":[]}`, strings.Replace(base, ":0123456789012345678901234567890123456789", "", 1)},
		{
			"values replace, maps join, labels do not",
			`{"id":"new:2:deadbeef","image":"i","command":["b","c"],"env":{"B":"3","C":"4"},"hostname":"g","metadata":{"baz":"qux2"},"labels":{"n":"3"},"ports":{"admin":90},` +
				`"volumes":{"/v":"/t","/w":""},"token":"u","registrationDomain":"e","securityOpt":["z"],"addCapabilities":["Y"],"registration":{"svc/http":{"ports":{"admin":{}}},"o":{"ports":{}}},` +
				`"rolloutOptions":{"timeout":5},"gracePeriod":0,"healthCheck":{"type":"exec","command":["x"]},"networkMode":"bridge","runtime":"q"}`,
			`{"id":"new:2","image":"i","command":["b","c"],"env":{"A":"1","B":"3","C":"4"},"hostname":"g","created":5,"creatingUser":"u",` +
				`"metadata":{"foo":"bar","baz":"qux2"},"labels":{"n":"3"},"ports":{"http":80,"admin":90},"volumes":{"/v":"/t","/w":"","/w:ro":""},"token":"u","registrationDomain":"e",` +
				`"securityOpt":["z"],"addCapabilities":["Y"],"registration":{"svc":{"ports":{"admin":{}}},"o":{"ports":{}}},"resources":{"memory":5},"ramdisks":{"/r":"rw"},"secondsToWaitBeforeKill":9,` +
				`"rolloutOptions":{"timeout":5},"gracePeriod":0,"healthCheck":{"type":"exec","command":["x"]},"networkMode":"bridge","runtime":"q"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			bottom, top := read(t, base), read(t, test.top)
			if diff := cmp.Diff(read(t, test.want), top.Over(bottom)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(read(t, base), bottom); diff != "" {
				t.Errorf("the base changed (-before +after):\n%s", diff)
			}
		})
	}
	name, err := job.ParseID("new")
	if err != nil {
		t.Fatal(err)
	}
	if got := (&job.Job{ID: name}).Over(read(t, base)).ID; got != (job.ID{Name: "new", Version: "1"}) {
		t.Errorf("a name alone keeps the version of the base: got %v", got)
	}
	if got := (&job.Job{ID: name}).Over(&job.Job{}); got.ID != name {
		t.Errorf("without a base: got %v", got.ID)
	}
}

func TestIDsAreComparedAsTextAndWithTheMissingPartsApart(t *testing.T) {
	text := rapid.StringOf(rapid.SampledFrom([]rune("ab:😀\ue000 ")))
	rapid.Check(t, func(t *rapid.T) {
		id, err := job.ParseID(text.Draw(t, "text"))
		if err != nil {
			return
		}
		if complete, err := job.ReadID(id.String()); err == nil && !strings.Contains(id.String(), "null") && complete != id {
			t.Fatalf("%v reads as %v", id, complete)
		}
		other, err := job.ParseID(text.Draw(t, "other"))
		if err == nil && ((id.Compare(other) == 0) != (id == other) || (id.Compare(other) < 0) != (other.Compare(id) > 0)) {
			t.Fatalf("%v and %v compare as %d and %d", id, other, id.Compare(other), other.Compare(id))
		}
	})
}

func FuzzJob(f *testing.F) {
	for _, s := range specifiedJobs(f) {
		f.Add([]byte(s.Job))
	}
	for _, e := range examples {
		f.Add([]byte(`{"id":"foo:1","image":"foobar",` + e.members + `}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := job.Read(data)
		if err != nil {
			return
		}
		id := j.ComputedID()
		j.Validate(job.Checks{Hash: true, Capabilities: true})
		for _, text := range [][]byte{document.Canonical(j.JSON()), document.HTTP(j.JSON()), []byte(document.Pretty(j.JSON()))} {
			again, err := job.Read(text)
			if err != nil {
				t.Fatalf("%s cannot be read: %v", text, err)
			}
			if got := again.ComputedID(); got != id {
				t.Fatalf("%s has the id %v, not %v", text, got, id)
			}
			if got, want := document.Canonical(again.JSON()), document.Canonical(j.JSON()); !bytes.Equal(got, want) {
				t.Fatalf("%s became %s", want, got)
			}
		}
		over := j.Over(j)
		over.ID = j.ID
		if got, want := document.Canonical(over.JSON()), document.Canonical(j.JSON()); !bytes.Equal(got, want) {
			t.Fatalf("%s over itself became %s", want, got)
		}
	})
}

func FuzzTaskStatus(f *testing.F) {
	f.Add([]byte(`{"job":{"id":"a:1","ports":{"p":80}},"state":"RUNNING","goal":"START","throttled":"FLAPPING","ports":{"p":null},"env":{"A":null},"exitCode":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var status, again job.TaskStatus
		if document.Read(data, status.JSON()) != nil {
			return
		}
		text := document.Canonical(status.JSON())
		if err := document.Read(text, again.JSON()); err != nil {
			t.Fatalf("%s cannot be read: %v", text, err)
		}
		if got := document.Canonical(again.JSON()); !bytes.Equal(got, text) {
			t.Fatalf("%s became %s", text, got)
		}
	})
}

func FuzzID(f *testing.F) {
	for _, seed := range []string{"a:1:deadbeef", ":1", "a::b", "a:b:::", "::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := job.ReadID(text)
		if err != nil {
			return
		}
		if again, err := job.ReadID(id.String()); err != nil || again != id {
			t.Fatalf("%q is %v and reads as %v, %v", text, id, again, err)
		}
		id.Display()
		id.FullyQualified()
	})
}

func FuzzImage(f *testing.F) {
	for _, seed := range []string{"repo:tag", "reg.io:5000/a/b@sha256:00", "foo/", ":", "@", "/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		if len(job.CheckImage(ref)) == 0 && (ref == "" || strings.ContainsAny(ref, " \n\x00")) {
			t.Fatalf("%q is valid", ref)
		}
	})
}
