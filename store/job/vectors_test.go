package job_test

import (
	"bufio"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// tally counts how the records of one file were asserted.
type tally struct{ passed, byQuirk int }

// eachRecord runs check on every record of a file of testdata/vectors and logs
// how many there were. check says whether it asserted our own behaviour in the
// place of a recorded quirk.
func eachRecord[T any](t *testing.T, file string, check func(t *testing.T, record T) (byQuirk bool)) {
	t.Helper()
	f, err := os.Open("../../testdata/vectors/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var count tally
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record T
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		if check(t, record) {
			count.byQuirk++
		} else {
			count.passed++
		}
		if t.Failed() {
			t.Fatalf("record: %s", lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %d passed, %d asserted by quirk", file, count.passed, count.byQuirk)
}

// secondType is the second type of a health check, which the original writes.
var secondType = regexp.MustCompile(`,\s*"type" ?: ?"(exec|http|tcp)"(\s*\})`)

func withoutSecondType(text string) string { return secondType.ReplaceAllString(text, "$2") }

func sameJSON(t *testing.T, what, got, want string) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Errorf("%s is no JSON: %v: %s", what, err, got)
	}
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

func TestJobsHaveTheRecordedIDsAndForms(t *testing.T) {
	type record struct {
		JSON, ID, Canonical, Pretty, Answer string
		Quirks                              []string
	}
	eachRecord(t, "job-ids.jsonl", func(t *testing.T, r record) bool {
		var viaHTTP job.Job
		if err := document.ReadHTTP([]byte(r.JSON), viaHTTP.JSON()); slices.Contains(r.Quirks, "model-24") {
			if _, plain := job.Read([]byte(r.JSON)); err == nil || plain == nil {
				t.Error("a date with a field out of range was read")
			}
			return true
		} else if err != nil {
			t.Fatal(err)
		}
		j, err := job.Read([]byte(r.JSON))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*j, viaHTTP); diff != "" {
			t.Errorf("the readers differ (-plain +http):\n%s", diff)
		}
		if got := j.ComputedID().String(); got != r.ID {
			t.Errorf("id: got %s, want %s; hashed text %s", got, r.ID, job.HashedText(j))
		}
		if r.Canonical == "" {
			return false
		}
		j.ID = j.ComputedID()
		if got, want := string(document.Canonical(j.JSON())), withoutSecondType(r.Canonical); got != want {
			t.Errorf("canonical:\ngot  %s\nwant %s", got, want)
		}
		if got, want := document.Pretty(j.JSON()), withoutSecondType(r.Pretty); got != want {
			t.Errorf("pretty:\ngot  %s\nwant %s", got, want)
		}
		sameJSON(t, "answer", string(document.HTTP(j.JSON())), withoutSecondType(r.Answer))
		return len(r.Quirks) > 0
	})
}

func TestValidationFindsWhatTheOriginalFound(t *testing.T) {
	type record struct {
		JSON      string
		Whitelist []string
		ID        *string
		Errors    []string
		CLIErrors []string `json:"cli_errors"`
		Quirks    []string
	}
	present := regexp.MustCompile(` is before .*$`)
	check := func(j job.Job, c job.Checks) []string {
		messages := j.Validate(c)
		for i, m := range messages {
			if strings.HasPrefix(m, "Job expires in the past") {
				messages[i] = present.ReplaceAllString(m, " is before <now>")
			}
		}
		slices.Sort(messages)
		return messages
	}
	eachRecord(t, "validation.jsonl", func(t *testing.T, r record) bool {
		j, err := job.Read([]byte(r.JSON))
		if err != nil {
			t.Fatal(err)
		}
		evaluated := *j
		evaluated.ID = j.EffectiveID()
		if r.ID != nil && evaluated.ID.String() != *r.ID {
			t.Errorf("id: got %v, want %s", evaluated.ID, *r.ID)
		}
		want, wantCLI := r.Errors, r.CLIErrors
		byQuirk := slices.Contains(r.Quirks, "model-14")
		if byQuirk {
			want, wantCLI = refuseModeOfRoot(j, want), refuseModeOfRoot(j, wantCLI)
		}
		now := time.Now().UTC()
		got := check(evaluated, job.Checks{Hash: true, Capabilities: true, Whitelist: r.Whitelist, Now: now})
		if diff := cmp.Diff(want, got, sameStrings); diff != "" {
			t.Errorf("master (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(wantCLI, check(*j, job.Checks{Now: now}), sameStrings); diff != "" {
			t.Errorf("command line (-want +got):\n%s", diff)
		}
		return byQuirk || len(r.Quirks) > 0
	})
}

// sameStrings takes nil and empty lists for equal.
var sameStrings = cmp.Transformer("list", func(s []string) string { return strings.Join(s, "\n") })

// refuseModeOfRoot adds what quirk 14 asks for to the recorded messages.
func refuseModeOfRoot(j *job.Job, messages []string) []string {
	messages = slices.Clone(messages)
	for path, source := range j.Volumes {
		refusedAnyway := strings.Contains(source, "/") && !strings.HasPrefix(source, "/")
		if message := "Invalid volume path: " + path; strings.HasPrefix(path, "/:") && !refusedAnyway && !slices.Contains(messages, message) {
			messages = append(messages, message)
		}
	}
	slices.Sort(messages)
	return messages
}

func TestImageReferencesAreCheckedAsTheOriginalDid(t *testing.T) {
	type record struct {
		Image          string
		Errors, Quirks []string
	}
	eachRecord(t, "images.jsonl", func(t *testing.T, r record) bool {
		want := r.Errors
		if len(r.Quirks) > 0 && strings.HasSuffix(r.Image, "/") {
			want = []string{"Invalid image name (" + r.Image + "), only ^([a-z0-9._-]+)$ is allowed for each slash-separated name component (failed on \"\")"}
		}
		got := slices.Clone(job.CheckImage(r.Image))
		slices.Sort(got)
		got = slices.Compact(got)
		if diff := cmp.Diff(want, got, sameStrings); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Image, diff)
		}
		return len(r.Quirks) > 0
	})
}

// documents are this package's types of documents.jsonl.
var documents = map[string]func() document.Value{
	"RolloutOptions":  func() document.Value { return new(job.RolloutOptions).JSON() },
	"Job":             func() document.Value { return new(job.Job).JSON() },
	"Deployment":      func() document.Value { return new(job.Deployment).JSON() },
	"TaskStatus":      func() document.Value { return new(job.TaskStatus).JSON() },
	"PortMapping":     func() document.Value { return new(job.PortMapping).JSON() },
	"HealthCheck":     func() document.Value { return new(job.HealthCheck).JSON() },
	"Task":            func() document.Value { return new(job.Task).JSON() },
	"JobStatus":       func() document.Value { return new(job.Status).JSON() },
	"JobId":           func() document.Value { return new(job.ID).JSON() },
	"TaskStatusEvent": func() document.Value { return new(job.TaskStatusEvent).JSON() },
	"Resources":       func() document.Value { return new(job.Resources).JSON() },
}

func TestDocumentsAreReadAndWrittenAsTheOriginalDid(t *testing.T) {
	type outcome struct {
		OK                         bool
		Canonical, Answer, Message string
	}
	type record struct {
		Type, JSON  string
		Plain, HTTP outcome
		Quirks      []string
	}
	others := 0
	eachRecord(t, "documents.jsonl", func(t *testing.T, r record) bool {
		describe, ours := documents[r.Type]
		if !ours {
			others++
			return false
		}
		check := func(reader string, read func([]byte, document.Value) error, want outcome) (byQuirk bool) {
			v := describe()
			err := read([]byte(r.JSON), v)
			switch {
			case slices.Contains(r.Quirks, "model-24"):
				if err == nil {
					t.Errorf("%s: a date with a field out of range was read", reader)
				}
				return true
			case slices.Contains(r.Quirks, "model-21"):
				if err == nil && !strings.Contains(string(document.Canonical(v)), `"state":"UNKNOWN"`) || err != nil && strings.Contains(err.Error(), "was not one of") {
					t.Errorf("%s: an unknown state was not read as UNKNOWN: %v", reader, err)
				}
				return true
			case err == document.ErrNull && want.OK:
				if want.Canonical != "null" {
					t.Errorf("%s: got null, want %s", reader, want.Canonical)
				}
				return false
			case (err == nil) != want.OK:
				t.Errorf("%s: got error %v, want ok %v", reader, err, want.OK)
				return false
			case err != nil:
				if !strings.Contains(err.Error(), want.Message) {
					t.Errorf("%s: got error %q, want %q in it", reader, err, want.Message)
				}
				return false
			}
			if got, want := string(document.Canonical(v)), withoutSecondType(want.Canonical); got != want {
				t.Errorf("%s, canonical:\ngot  %s\nwant %s", reader, got, want)
			}
			if want.Answer != "" {
				sameJSON(t, reader+", answer", string(document.HTTP(v)), withoutSecondType(want.Answer))
			}
			return false
		}
		plain := check("plain", document.Read, r.Plain)
		http := check("http", document.ReadHTTP, r.HTTP)
		return plain || http
	})
	t.Logf("of these %d are documents of other packages", others)
}

// parsed is an id or an error as recorded.
type parsed struct {
	Name, Version, Hash, Error *string
}

func TestIDsAreParsedAsTheOriginalDid(t *testing.T) {
	type record struct {
		Text               string
		Lenient, JSON, Key parsed
		String, Display    *string
		Qualified          bool
	}
	check := func(t *testing.T, how string, id job.ID, err error, want parsed) {
		t.Helper()
		switch {
		case want.Name == nil:
			if err == nil {
				t.Errorf("%s: got %v, want an error", how, id)
			} else if want.Error != nil && !strings.Contains(err.Error(), *want.Error) {
				t.Errorf("%s: got error %q, want %q", how, err, *want.Error)
			}
		case err != nil:
			t.Errorf("%s: %v", how, err)
		default:
			text := func(s *string) string {
				if s == nil {
					return ""
				}
				return *s
			}
			got := [3]string{id.Name, id.Version, id.Hash}
			if want := [3]string{text(want.Name), text(want.Version), text(want.Hash)}; got != want {
				t.Errorf("%s: got %q, want %q", how, got, want)
			}
		}
	}
	eachRecord(t, "job-id-parsing.jsonl", func(t *testing.T, r record) bool {
		lenient, err := job.ParseID(r.Text)
		check(t, "lenient", lenient, err, r.Lenient)

		quoted, _ := json.Marshal(r.Text)
		var fromJSON job.ID
		err = document.Read(quoted, fromJSON.JSON())
		check(t, "json", fromJSON, err, r.JSON)

		var byID map[job.ID]string
		err = document.Read([]byte("{"+string(quoted)+":\"\"}"), document.Map(&byID, job.IDKeys, document.Text))
		var key job.ID
		for key = range byID {
		}
		check(t, "key", key, err, r.Key)

		if r.String == nil {
			return false
		}
		if got := lenient.String(); got != *r.String {
			t.Errorf("text form: got %s, want %s", got, *r.String)
		}
		if lenient.FullyQualified() != r.Qualified {
			t.Errorf("fully qualified: got %v", !r.Qualified)
		}
		if r.Display == nil { // the original crashes (quirk 11)
			if got := lenient.Display(); got != *r.String {
				t.Errorf("display form of a short hash: got %s, want %s", got, *r.String)
			}
			return true
		}
		if got := lenient.Display(); got != *r.Display {
			t.Errorf("display form: got %s, want %s", got, *r.Display)
		}
		return false
	})
}

func TestIDsAreOrderedAsTheOriginalDid(t *testing.T) {
	type record struct{ IDs, Sorted []string }
	eachRecord(t, "job-id-order.jsonl", func(t *testing.T, r record) bool {
		got := texts(slices.SortedFunc(slices.Values(ids(t, r.IDs)), job.ID.Compare))
		if diff := cmp.Diff(r.Sorted, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return false
	})
}

func TestReferencesMatchTheJobsTheOriginalKept(t *testing.T) {
	type record struct {
		IDs     []string
		Q       string
		Matches []string
	}
	eachRecord(t, "job-references.jsonl", func(t *testing.T, r record) bool {
		kept := slices.DeleteFunc(ids(t, r.IDs), func(id job.ID) bool { return !id.Matches(r.Q) })
		got := texts(kept)
		slices.Sort(got)
		if diff := cmp.Diff(r.Matches, got, sameStrings); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return false
	})
}

func TestRolloutOptionsResolveAsTheOriginalDid(t *testing.T) {
	type record struct{ Request, Job, Effective json.RawMessage }
	eachRecord(t, "rollout-options.jsonl", func(t *testing.T, r record) bool {
		var request, ofJob *job.RolloutOptions
		for p, raw := range map[**job.RolloutOptions]json.RawMessage{&request: r.Request, &ofJob: r.Job} {
			if err := document.Read(raw, document.Optional(p, (*job.RolloutOptions).JSON)); err != nil {
				t.Fatal(err)
			}
		}
		effective := job.ResolveRolloutOptions(request, ofJob)
		sameJSON(t, "effective options", string(document.Canonical(effective.JSON())), string(r.Effective))
		return false
	})
}

func ids(t *testing.T, texts []string) []job.ID {
	t.Helper()
	var out []job.ID
	for _, text := range texts {
		id, err := job.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, id)
	}
	return out
}

func texts(ids []job.ID) []string {
	var out []string
	for _, id := range ids {
		out = append(out, id.String())
	}
	return out
}
