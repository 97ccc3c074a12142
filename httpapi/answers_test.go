package httpapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

func TestAnswersAreWrittenInBothFormsAndPrintedAsTheOriginalDoes(t *testing.T) {
	id := job.ID{Name: "foo", Version: "1", Hash: "217aba3a8575297f71945c25980577ddba9de2fd"}
	host := new("h1")
	type doc interface {
		JSON() document.Value
	}
	for _, c := range []struct {
		answer          doc
		http, canonical string
		text            string
	}{
		{
			&CreateJobResponse{Status: InvalidJobDefinition, Errors: []string{"a", "b"}, ID: new("x:1")},
			`{"status":"INVALID_JOB_DEFINITION","errors":["a","b"],"id":"x:1"}`,
			`{"errors":["a","b"],"id":"x:1","status":"INVALID_JOB_DEFINITION"}`,
			`CreateJobResponse{status=INVALID_JOB_DEFINITION, errors=[a, b], id='x:1'}`,
		},
		{
			&CreateJobResponse{Status: UnknownJob},
			`{"status":"UNKNOWN_JOB","errors":null,"id":null}`,
			`{"errors":null,"id":null,"status":"UNKNOWN_JOB"}`,
			`CreateJobResponse{status=UNKNOWN_JOB, errors=null, id='null'}`,
		},
		{
			&JobDeleteResponse{Status: StillInUse},
			`{"status":"STILL_IN_USE"}`, `{"status":"STILL_IN_USE"}`, `JobDeleteResponse{status=STILL_IN_USE}`,
		},
		{
			&JobDeployResponse{Status: PortConflict, Host: host, Job: id},
			`{"status":"PORT_CONFLICT","host":"h1","job":"` + id.String() + `"}`,
			`{"host":"h1","job":"` + id.String() + `","status":"PORT_CONFLICT"}`,
			`JobDeployResponse{status=PORT_CONFLICT, job=` + id.String() + `, host='h1'}`,
		},
		{
			&JobDeployResponse{Status: AmbiguousJobReference},
			`{"status":"AMBIGUOUS_JOB_REFERENCE","host":null,"job":null}`,
			`{"host":null,"job":null,"status":"AMBIGUOUS_JOB_REFERENCE"}`,
			`JobDeployResponse{status=AMBIGUOUS_JOB_REFERENCE, job=null, host='null'}`,
		},
		{
			&SetGoalResponse{Status: JobNotDeployed, Host: host, Job: id},
			`{"status":"JOB_NOT_DEPLOYED","host":"h1","job":"` + id.String() + `"}`,
			`{"host":"h1","job":"` + id.String() + `","status":"JOB_NOT_DEPLOYED"}`,
			`SetGoalResponse{status=JOB_NOT_DEPLOYED, job=` + id.String() + `, host='h1'}`,
		},
		{
			&JobUndeployResponse{Status: InvalidID, Host: host, Job: job.ID{Name: "foo"}}, // model quirk 29
			`{"status":"INVALID_ID","host":"h1","job":null}`,
			`{"host":"h1","job":null,"status":"INVALID_ID"}`,
			`JobUndeployResponse{status=INVALID_ID, job=foo:null, host='h1'}`,
		},
		{
			&HostDeregisterResponse{Status: NotFound, Host: host},
			`{"status":"NOT_FOUND","host":"h1"}`, `{"host":"h1","status":"NOT_FOUND"}`,
			`HostDeregisterResponse{status=NOT_FOUND, host='h1'}`,
		},
		{
			&TaskStatusEvents{Status: JobIDNotFound},
			`{"events":[],"status":"JOB_ID_NOT_FOUND"}`, `{"events":[],"status":"JOB_ID_NOT_FOUND"}`, "",
		},
		{
			&VersionResponse{"0.10.0", "0.9.283"},
			`{"clientVersion":"0.10.0","masterVersion":"0.9.283"}`, `{"clientVersion":"0.10.0","masterVersion":"0.9.283"}`, "",
		},
		{
			&VersionCheckResponse{VersionMaybe, Version{0, 9, 283, false}, "0.9.283"},
			`{"status":"MAYBE","serverVersion":{"snapshot":false,"major":0,"minor":9,"patch":283},"recommendedVersion":"0.9.283"}`,
			`{"recommendedVersion":"0.9.283","status":"MAYBE","serverVersion":{"major":0,"minor":9,"patch":283,"snapshot":false}}`, "",
		},
	} {
		if got := string(document.HTTP(c.answer.JSON())); got != c.http {
			t.Errorf("answer %s\nwant   %s", got, c.http)
		}
		if got := string(document.Canonical(c.answer.JSON())); got != c.canonical {
			t.Errorf("canonical %s\nwant      %s", got, c.canonical)
		}
		if s, ok := c.answer.(fmt.Stringer); ok && s.String() != c.text {
			t.Errorf("text %s\nwant %s", s, c.text)
		}
	}
}

func TestAnswersAreReadStrictlyInTheirStatusAndLenientlyElsewhere(t *testing.T) {
	var r JobDeployResponse
	if err := document.Read([]byte(`{"x":[],"job":"a:b","status":"FORBIDDEN"}`), r.JSON()); err != nil {
		t.Fatal(err)
	}
	if want := (JobDeployResponse{Status: Forbidden, Job: job.ID{Name: "a", Version: "b"}}); r != want {
		t.Errorf("read %+v, want %+v", r, want)
	}
	for _, text := range []string{`{"status":"STILL_IN_USE"}`, `{"status":"forbidden"}`, `{"status":1}`, `{"status":[]}`, `[]`, `{`} {
		if err := document.Read([]byte(text), r.JSON()); err == nil {
			t.Errorf("%s was read as %+v", text, r)
		}
	}
}

// The recorded documents that belong to this package (testdata/vectors/README.md).
func TestDocumentsAreReadAndWrittenAsRecorded(t *testing.T) {
	file, err := os.Open("../testdata/vectors/documents.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	tried := 0
	for lines.Scan() {
		var v struct {
			Type, JSON string
			Plain      struct {
				OK        bool
				Canonical string
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		if v.Type != "RollingUpdateRequest" {
			continue
		}
		tried++
		// Unknown members are no error for masters either (http quirk 6), so both readers agree with the plain one.
		for _, read := range []func([]byte, document.Value) error{document.Read, document.ReadHTTP} {
			var r RollingUpdateRequest
			if err := read([]byte(v.JSON), r.JSON()); (err == nil) != v.Plain.OK {
				t.Errorf("%s: %v, want success: %t", v.JSON, err, v.Plain.OK)
			} else if err == nil && string(document.Canonical(r.JSON())) != v.Plain.Canonical {
				t.Errorf("%s: written as %s", v.JSON, document.Canonical(r.JSON()))
			}
		}
	}
	if err := lines.Err(); err != nil || tried < 12 {
		t.Errorf("%d records tried, %v", tried, err)
	}
}
