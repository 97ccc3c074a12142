package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"testing"
)

// versionRecord is a line of testdata/vectors/versions.jsonl.
type versionRecord struct {
	Server           string
	Client           *string
	Status           VersionStatus
	ClientNormalised string `json:"client_normalised"`
	Order            int
	Error            string
}

func versionRecords(t testing.TB) []versionRecord {
	t.Helper()
	data, err := os.ReadFile("../testdata/vectors/versions.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var records []versionRecord
	for line := range bytes.Lines(data) {
		var r versionRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

func TestVersionsAreReadAndComparedAsRecorded(t *testing.T) {
	t.Parallel()
	records := versionRecords(t)
	empty := 0
	for _, r := range records {
		server, err := ParseVersion(r.Server)
		if err != nil {
			t.Fatal(err)
		}
		if r.Client == nil {
			if got := server.Check(""); got != r.Status {
				t.Errorf("%s without a client version: %s, want %s", r.Server, got, r.Status)
			}
			continue
		}
		if *r.Client == "" {
			// The record shows the parser, which refuses an empty text; on the wire it is none at all (http §1.6).
			empty++
			r.Status = VersionMissing
		}
		if got := server.Check(*r.Client); got != r.Status {
			t.Errorf("%s against %q: %s, want %s", r.Server, *r.Client, got, r.Status)
		}
		client, err := ParseVersion(*r.Client)
		if r.Error != "" {
			if err == nil || err.Error() != r.Error {
				t.Errorf("ParseVersion(%q): error %v, want %s", *r.Client, err, r.Error)
			}
			continue
		}
		if err != nil {
			t.Errorf("ParseVersion(%q): %v", *r.Client, err)
		}
		if client.String() != r.ClientNormalised {
			t.Errorf("%q is written as %s, want %s", *r.Client, client, r.ClientNormalised)
		}
		if got := server.Compare(client); got != r.Order {
			t.Errorf("%s compared with %s: %d, want %d", server, client, got, r.Order)
		}
	}
	t.Logf("%d records, %d of them with an empty client version", len(records), empty)
}

func TestVersionCheckTurnsAwayUnreadableAndIncompatibleClientsOnly(t *testing.T) {
	t.Parallel()
	server := Version{Minor: 9, Patch: 283}
	for client, want := range map[string]struct {
		check   VersionStatus
		status  int
		message string
	}{
		"":                 {VersionMissing, 0, ""},
		"0.9.283":          {VersionEqual, 0, ""},
		"0.9.283-SNAPSHOT": {VersionCompatible, 0, ""},
		"0.9.284":          {VersionCompatible, 0, ""},
		"0.8.700":          {VersionCompatible, 0, ""},
		"0.10.0":           {VersionMaybe, 0, ""},
		"1.0.0": {
			VersionIncompatible, http.StatusUpgradeRequired,
			"Your client version is incompatible with the server version 0.9.283",
		},
		"deadbeef": {VersionInvalid, http.StatusBadRequest, "Helios client version format is bogus - expect n.n.n"},
		"0.9":      {VersionInvalid, http.StatusBadRequest, "Helios client version format is bogus - expect n.n.n"},
	} {
		check := server.Check(client)
		status, message := check.Refusal(server)
		if check != want.check || status != want.status || message != want.message {
			t.Errorf("client %q: %s, %d %q, want %+v", client, check, status, message, want)
		}
	}
}

func TestASnapshotIsBeforeTheReleaseOfItsNumber(t *testing.T) {
	t.Parallel()
	snapshot := Version{Major: 8, Minor: 6, Patch: 5, Snapshot: true}
	release := Version{Major: 8, Minor: 6, Patch: 5}
	if snapshot.Compare(release) != -1 || release.Compare(snapshot) != 1 || snapshot.Compare(snapshot) != 0 {
		t.Errorf("%s compared with %s: %d", snapshot, release, snapshot.Compare(release))
	}
}

func FuzzVersion(f *testing.F) {
	for _, r := range versionRecords(f) {
		if r.Client != nil {
			f.Add(r.Server, *r.Client)
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		v, err := ParseVersion(a)
		if err != nil {
			return
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q is written as %s and read again as %v, %v", a, v, again, err)
		}
		w, err := ParseVersion(b)
		status := v.Check(b)
		if err != nil {
			if status != VersionInvalid && status != VersionMissing {
				t.Errorf("unreadable %q has status %s", b, status)
			}
			return
		}
		if v.Compare(w) != -w.Compare(v) {
			t.Errorf("%s and %s compare as %d and %d", v, w, v.Compare(w), w.Compare(v))
		}
		if (status == VersionEqual) != (v == w) {
			t.Errorf("%s and %s: %s", v, w, status)
		}
	})
}
