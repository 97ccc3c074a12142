package job_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// specified is a vector of §12.
type specified struct {
	V, ID, H1 string
	Job       json.RawMessage
}

func specifiedJobs(tb testing.TB) []specified {
	tb.Helper()
	f, err := os.Open("../../testdata/spec/1-model.md")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var all []specified
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), `{"v":`) {
			continue
		}
		var s specified
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			tb.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestTheVectorsOfTheSpecificationHaveTheirIDs(t *testing.T) {
	all := specifiedJobs(t)
	if len(all) != 37 {
		t.Fatalf("found %d vectors in the specification, want 37", len(all))
	}
	for _, s := range all {
		t.Run(s.V, func(t *testing.T) {
			j, err := job.Read(s.Job)
			if err != nil {
				t.Fatal(err)
			}
			text := job.HashedText(j)
			if sum := sha1.Sum([]byte(text)); hex.EncodeToString(sum[:]) != s.H1 {
				t.Errorf("hashed text %s does not have the hash %s", text, s.H1)
			}
			if got := j.ComputedID().String(); got != s.ID {
				t.Errorf("got %s, want %s", got, s.ID)
			}
		})
	}
}

func TestAnIDWithoutNameOrVersionGetsNoHash(t *testing.T) {
	for _, test := range []struct {
		id       job.ID
		computed string
	}{
		{job.ID{}, "null:null"},
		{job.ID{Name: "foo"}, "foo:null"},
		{job.ID{Version: "1"}, "null:1"},
	} {
		if got := (&job.Job{ID: test.id}).ComputedID().String(); got != test.computed {
			t.Errorf("got %s, want %s", got, test.computed)
		}
	}
}

func TestAnIDOfACompleteButEmptyNameGetsAHash(t *testing.T) {
	j, err := job.Read([]byte(`{"id":":b","image":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := j.ComputedID().String(), ":b:546ab0efee8d1cc374868a4829bdd1576c3d1805"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAHashOfCapabilitiesInTheOrderOfTheDocumentIsAccepted(t *testing.T) {
	// The example of §3: built in memory by a Java program (quirk 4).
	const text = `{"addCapabilities":["Z","A"],"command":["b","a"],"created":1410308461448,"creatingUser":"u","dropCapabilities":["Y","B"],"env":{"E":""},"expires":"2094-06-01T12:00:00.000+0000","image":"img","id":"foo:1"}`
	j, err := job.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	checks := job.Checks{Hash: true, Capabilities: true, Whitelist: []string{"A", "Z"}}
	inMemory := job.DocumentOrderID(j)
	if inMemory == j.ComputedID() {
		t.Fatal("the two orders give the same id")
	}
	for _, id := range []job.ID{inMemory, j.ComputedID()} {
		j.ID = id
		if messages := j.Validate(checks); len(messages) > 0 {
			t.Errorf("%v is refused: %s", id, messages)
		}
	}
	j.ID.Hash = "deadbeef"
	want := "Id hash mismatch: deadbeef != " + j.ComputedID().Hash
	if messages := j.Validate(checks); len(messages) != 1 || messages[0] != want {
		t.Errorf("got %q, want %q", messages, want)
	}
}

func TestTheJobOfTheSpecificationWithAllMembersHasBothItsIDs(t *testing.T) {
	const text = `{"addCapabilities":["Z","A"],"command":["b","a"],"created":1410308461448,"creatingUser":"u","dropCapabilities":["Y","B"],"env":{"E":""},"expires":"2014-06-01T12:00:00.000+0000","gracePeriod":0,"healthCheck":{"type":"exec","command":["a","b"],"type":"exec"},"hostname":"h","id":"foo:1:2c3e2e6561dbe386997400b1ad1066ce26987fe0","image":"img","labels":{"l":"m"},"metadata":{"k":"v"},"networkMode":"host","ports":{"http":{"externalPort":null,"internalPort":80,"ip":"1.2.3.4","protocol":"udp"}},"ramdisks":{"/r":"rw"},"registration":{"s/http":{"ports":{"http":{"tags":["t2","t1"]},"x":{}}}},"registrationDomain":"d","resources":{"cpuShares":3,"cpuset":"0-1","memory":1,"memorySwap":null},"rolloutOptions":{"ignoreFailures":null,"migrate":null,"overlap":null,"parallelism":null,"timeout":3,"token":null},"runtime":"nvidia","secondsToWaitBeforeKill":5,"securityOpt":["so"],"token":"tok","volumes":{"/v":"","/x:ro":"/y"}}`
	j, err := job.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := job.DocumentOrderID(j).Hash, "2c3e2e6561dbe386997400b1ad1066ce26987fe0"; got != want {
		t.Errorf("hash in the order of the document: got %s, want %s", got, want)
	}
	if got, want := j.ComputedID().Hash, "6e80c27600dd70ac333ef1609c5fab0e14d9b678"; got != want {
		t.Errorf("hash in hash-set order: got %s, want %s", got, want)
	}
	want := strings.NewReplacer(`["Z","A"]`, `["A","Z"]`, `["Y","B"]`, `["B","Y"]`, `,"type":"exec"}`, `}`).Replace(text)
	if got := string(document.Canonical(j.JSON())); got != want {
		t.Errorf("canonical:\ngot  %s\nwant %s", got, want)
	}
}

// BenchmarkReadValidateHash is a creation request as the master sees it. The bar
// is 25 µs.
func BenchmarkReadValidateHash(b *testing.B) {
	text := []byte(specifiedJobs(b)[0].Job) // K1
	checks := job.Checks{Hash: true, Capabilities: true, Whitelist: []string{"cap1", "cap2"}, Now: time.UnixMilli(0)}
	b.ReportAllocs()
	for b.Loop() {
		j, err := job.Read(text)
		if err != nil {
			b.Fatal(err)
		}
		j.ID = j.ComputedID()
		checks.Computed = j.ID
		if messages := j.Validate(checks); len(messages) > 0 {
			b.Fatal(messages)
		}
	}
}
