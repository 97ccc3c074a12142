package group

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// described are the documents of this package and of host, which it is made of, under their names in the vectors.
var described = map[string]func() document.Value{
	"AgentInfo":             func() document.Value { return new(host.AgentInfo).JSON() },
	"HostInfo":              func() document.Value { return new(host.Info).JSON() },
	"HostSelector":          func() document.Value { return new(host.Selector).JSON() },
	"HostStatus":            func() document.Value { return new(host.Status).JSON() },
	"DeploymentGroup":       func() document.Value { return new(Group).JSON() },
	"DeploymentGroupStatus": func() document.Value { return new(Status).JSON() },
	"DeploymentGroupTasks":  func() document.Value { return new(Tasks).JSON() },
	"RolloutTask":           func() document.Value { return new(RolloutTask).JSON() },
}

// documentRecord is a line of documents.jsonl.
type documentRecord struct {
	Type, JSON  string
	Plain, HTTP outcome
	Quirks      []string
}

type outcome struct {
	OK                         bool
	Canonical, Answer, Message string
}

func documentRecords(t testing.TB) []documentRecord {
	t.Helper()
	data, err := os.ReadFile("../../testdata/vectors/documents.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var records []documentRecord
	for line := range bytes.Lines(data) {
		var r documentRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if described[r.Type] != nil {
			records = append(records, r)
		}
	}
	return records
}

func TestDocumentsAreReadAndWrittenAsRecorded(t *testing.T) {
	t.Parallel()
	records, quirks := documentRecords(t), 0
	for _, r := range records {
		if len(r.Quirks) > 0 { // 20 and 22, which are kept
			quirks++
		}
		for reader, want := range map[string]outcome{"plain": r.Plain, "http": r.HTTP} {
			if complaint := want.differs(r, reader); complaint != "" {
				t.Errorf("%s, %s reader: %s\n%s", r.Type, reader, complaint, r.JSON)
			}
		}
	}
	t.Logf("%d records, %d of them with quirks", len(records), quirks)
}

// differs says in which way a document is not read and written as recorded.
func (o outcome) differs(r documentRecord, reader string) string {
	v, read := described[r.Type](), document.Read
	if reader == "http" {
		read = document.ReadHTTP
	}
	err := read([]byte(r.JSON), v)
	switch {
	case errors.Is(err, document.ErrNull) && o.Canonical == "null":
		return ""
	case err != nil && o.OK:
		return err.Error()
	case err == nil && !o.OK:
		return "read as " + document.Compact(v)
	case err != nil && !strings.Contains(err.Error(), o.Message):
		return "error " + err.Error() + ", want " + o.Message
	case err != nil:
		return ""
	}
	if got := string(document.Canonical(v)); got != o.Canonical {
		return "written as " + got + "\nwant " + o.Canonical
	}
	if o.Answer != "" && !sameJSON(document.HTTP(v), []byte(o.Answer)) {
		return "answered as " + string(document.HTTP(v)) + "\nwant " + o.Answer
	}
	return ""
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func TestTheFirstMissingMemberOfAHostStatusIsReported(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`:                              "status",
		`{"status":null,"jobs":{}}`:       "status",
		`{"status":"UP","statuses":{}}`:   "jobs",
		`{"status":"DOWN","jobs":{}}`:     "statuses",
		`{"statuses":{"a:1":{}}}`:         "job", // of the task's status, which is met before
		`{"status":"UP","jobs":null}`:     "jobs",
		`{"jobs":{},"statuses":{},"x":1}`: "status",
	} {
		s := host.Status{Status: host.Up} // as if it had been read before
		err := document.Read([]byte(text), s.JSON())
		if missing, ok := errors.AsType[*document.MissingError](err); !ok || missing.Member != want {
			t.Errorf("%s: error %v, want that %s is missing", text, err, want)
		}
	}
}

// The examples of zookeeper §3.5 to §3.7.
func TestGroupDocumentsAreWrittenAsInTheStore(t *testing.T) {
	t.Parallel()
	role, err := host.ParseSelector("role=foo")
	if err != nil {
		t.Fatal(err)
	}
	zone, err := host.ParseSelector("zone in (b, a)")
	if err != nil {
		t.Fatal(err)
	}
	fresh := Group{Name: new("my_group"), HostSelectors: []host.Selector{role, zone}}
	rolled := fresh
	rolled.RollingUpdateReason = Manual
	rolled.RolloutOptions = new(job.DefaultRolloutOptions())
	rolled.JobID = job.ID{Name: "foo", Version: "1", Hash: "H"}
	tasks := Tasks{
		RolloutTasks:    []RolloutTask{{UndeployOldJobs, "host1"}, {DeployNewJob, "host1"}},
		DeploymentGroup: &Group{Name: new("g"), HostSelectors: []host.Selector{}},
	}
	const selectors = `"hostSelectors":[{"label":"role","operand":"foo","operator":"EQUALS"},` +
		`{"label":"zone","operand":["a","b"],"operator":"IN"}],"name":"my_group"`
	for want, v := range map[string]document.Value{
		`{` + selectors + `}`: fresh.JSON(),
		`{` + selectors + `,"rollingUpdateReason":"MANUAL","rolloutOptions":{"ignoreFailures":false,"migrate":false,` +
			`"overlap":false,"parallelism":1,"timeout":300,"token":""},"jobId":"foo:1:H"}`: rolled.JSON(),
		`{"error":null,"state":"DONE"}`:           (&Status{State: Done}).JSON(),
		`{"error":"host1: foo","state":"FAILED"}`: (&Status{State: Failed, Error: new("host1: foo")}).JSON(),
		`{"deploymentGroup":{"hostSelectors":[],"name":"g"},"rolloutTasks":[{"action":"UNDEPLOY_OLD_JOBS",` +
			`"target":"host1"},{"action":"DEPLOY_NEW_JOB","target":"host1"}],"taskIndex":0}`: tasks.JSON(),
	} {
		if got := document.Compact(v); got != want {
			t.Errorf("written as %s\nwant       %s", got, want)
		}
	}
}

func TestSameSelectors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		a, b string
		want bool
	}{
		"the same selectors in another order": {
			`{"hostSelectors":[{"label":"a","operator":"EQUALS","operand":"b"},{"label":"c","operator":"IN","operand":["y","x"]}]}`,
			`{"hostSelectors":[{"label":"c","operator":"IN","operand":["x","y"]},{"label":"a","operator":"EQUALS","operand":"b"}]}`,
			true,
		},
		"a selector twice": {
			`{"hostSelectors":[{"label":"a","operator":"EQUALS","operand":"b"},{"label":"a","operator":"EQUALS","operand":"b"}]}`,
			`{"hostSelectors":[{"label":"a","operator":"EQUALS","operand":"b"}]}`,
			true,
		},
		"one selector more": {
			`{"hostSelectors":[{"label":"a","operator":"EQUALS","operand":"b"}]}`,
			`{"hostSelectors":[{"label":"a","operator":"EQUALS","operand":"b"},{"label":"c","operator":"EQUALS","operand":"d"}]}`,
			false,
		},
		"another operator": {
			`{"hostSelectors":[{"label":"a","operator":"EQUALS","operand":"b"}]}`,
			`{"hostSelectors":[{"label":"a","operator":"NOT_EQUALS","operand":"b"}]}`,
			false,
		},
		"lists with another operator keep their order": {
			`{"hostSelectors":[{"label":"a","operator":"EQUALS","operand":["x","y"]}]}`,
			`{"hostSelectors":[{"label":"a","operator":"EQUALS","operand":["y","x"]}]}`,
			false,
		},
		"no selectors and none at all": {`{"hostSelectors":[]}`, `{}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a, b Group
			if err := errors.Join(document.Read([]byte(test.a), a.JSON()), document.Read([]byte(test.b), b.JSON())); err != nil {
				t.Fatal(err)
			}
			if got := a.SameSelectors(&b); got != test.want {
				t.Errorf("same: %v", got)
			}
			if got := b.SameSelectors(&a); got != test.want {
				t.Errorf("same, the other way round: %v", got)
			}
		})
	}
}

// FuzzDocuments reads a text as every document, writes it and reads that again.
func FuzzDocuments(f *testing.F) {
	for _, r := range documentRecords(f) {
		f.Add([]byte(r.JSON))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for name, describe := range described {
			v, again := describe(), describe()
			if document.Read(text, v) != nil {
				continue
			}
			for form, written := range map[string][]byte{
				"canonical": document.Canonical(v), "pretty": []byte(document.Pretty(v)), "http": document.HTTP(v),
			} {
				if err := document.Read(written, again); err != nil {
					t.Errorf("%s, %s: %v\n%s", name, form, err, written)
				} else if got, want := document.Canonical(again), document.Canonical(v); !bytes.Equal(got, want) {
					t.Errorf("%s, %s: read again and written as\n%s\nwant\n%s", name, form, got, want)
				}
			}
		}
	})
}
