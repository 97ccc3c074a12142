package host

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// vectors reads the records of one file of testdata/vectors.
func vectors[T any](t testing.TB, file string) []T {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../testdata/vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	var records []T
	for line := range bytes.Lines(data) {
		var record T
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatalf("%s:%d: %v", file, len(records)+1, err)
		}
		records = append(records, record)
	}
	return records
}

type comparison struct {
	A, B string
	Cmp  int
}

func TestCompareFollowsTheRecordedOrderOfPairs(t *testing.T) {
	t.Parallel()
	records := vectors[comparison](t, "host-compare.jsonl")
	for _, r := range records {
		if got := Compare(r.A, r.B); got != r.Cmp {
			t.Errorf("Compare(%q, %q) = %d, want %d", r.A, r.B, got, r.Cmp)
		}
		if got := Compare(r.B, r.A); got != -r.Cmp {
			t.Errorf("Compare(%q, %q) = %d, want %d", r.B, r.A, got, -r.Cmp)
		}
	}
	t.Logf("%d pairs", len(records))
}

func TestSortFollowsTheRecordedOrderOfLists(t *testing.T) {
	t.Parallel()
	records := vectors[struct{ Hosts, Sorted []string }](t, "host-order.jsonl")
	for _, r := range records {
		got := slices.Clone(r.Hosts)
		Sort(got)
		if !slices.Equal(got, r.Sorted) {
			t.Errorf("Sort(%q)\n got %q\nwant %q", r.Hosts, got, r.Sorted)
		}
	}
	t.Logf("%d lists", len(records))
}

// The pairs and the list that the specification itself gives (zookeeper §14.1).
func TestCompareFollowsTheSpecifiedExamples(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{
		{"host9", "host10"},
		{"host1.dc2", "host1.dc10"},
		{"dc1-x-a2", "dc1-x-a10"},
		{"host2", "Host1"},
		{"host1", "HOST1"},
		{"A", "b"},
		{"host1", "host01"},
		{"host01", "host2"},
		{"host7", "host7x"},
		{"host7x", "host007"},
		{"host", "host1"},
		{"1a", "a1"},
		{"a_b", "a.b"},
		{"a.b", "a-b"},
		{"ab", "a-b"},
		{"a-b", "ac"},
		{"ab", "a-c"},
		{"ab2", "a-b1"},
		{"fooa1", "foo-a2"},
		{"host1", "host-1"},
		{"a1b", "a1-b"},
	} {
		if got := Compare(pair[0], pair[1]); got != -1 {
			t.Errorf("Compare(%q, %q) = %d, want -1", pair[0], pair[1], got)
		}
	}
	want := []string{"a-2.b", "a-02.b", "a-10.b", "dc1-x-a2", "dc2-x-a1", "host1", "host9", "host10", "Host2"}
	got := slices.Clone(want)
	slices.Reverse(got)
	Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("sorted %q, want %q", got, want)
	}
}

func FuzzCompareIsAntisymmetric(f *testing.F) {
	for _, r := range vectors[comparison](f, "host-compare.jsonl") {
		f.Add(r.A, r.B)
	}
	f.Add("a01b1", "a1b01")
	f.Add("h\xff\x00é", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		there, back := Compare(a, b), Compare(b, a)
		if there != -back {
			t.Errorf("Compare(%q, %q) = %d, but the other way round %d", a, b, there, back)
		}
		if there < -1 || there > 1 {
			t.Errorf("Compare(%q, %q) = %d", a, b, there)
		}
		if same := Compare(a, a); same != 0 {
			t.Errorf("Compare(%q, %q) = %d", a, a, same)
		}
	})
}
