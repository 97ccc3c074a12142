package zkserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
)

// grown makes a directory as a killed server leaves it: the log goes on with zeros. The last batch is a multi of several
// sectors. It returns the log file, its content, where the last batch begins and the zeros do, and the state before that
// batch and after it.
func grown(t *testing.T) (dir, path string, content []byte, from, end int, before, after map[string]string) {
	t.Helper()
	dir = t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	path = onlySegment(t, dir)
	c := client(t, r)
	must(c.Create("/a", nil, 0, everyone))
	snapshot := func() (map[string]string, int) {
		r.pipeline.mu.RLock()
		defer r.pipeline.mu.RUnlock()
		return state(r.pipeline.tree), len(records(t, path))
	}
	before, from = snapshot()
	var creates []any
	for i := range 6 {
		creates = append(creates, &zk.CreateRequest{Path: fmt.Sprint("/a/", i), Data: bytes.Repeat([]byte("x"), 400), Acl: everyone})
	}
	must(c.Multi(creates...))
	after, end = snapshot()
	dir = copyDir(t, dir, "", nil) // while the server runs
	path = onlySegment(t, dir)
	return dir, path, must(os.ReadFile(path)), from, end, before, after
}

func TestLogThatGoesOnWithZerosIsWhole(t *testing.T) {
	t.Parallel()
	dir, path, content, _, end, _, after := grown(t)
	if len(content) < end+growLeast/2 || len(content) > end+2*growLeast {
		t.Errorf("the file has %d bytes, its records %d", len(content), end)
	}
	if report := must(Check(dir)); report.Damage != nil || len(report.Notes) > 0 {
		t.Errorf("%+v", report)
	}
	r := start(t, Options{Dir: dir, NoSync: true})
	if diff := cmp.Diff(after, state(r.pipeline.tree)); diff != "" {
		t.Error(diff)
	}
	must(client(t, r).Create("/next", nil, 0, everyone))
	r.stop()
	want := state(r.pipeline.tree)
	if got := must(os.ReadFile(path)); len(got) != len(records(t, path)) {
		t.Errorf("after an orderly end the file has %d bytes, its records %d", len(got), len(records(t, path)))
	}
	if diff := cmp.Diff(want, state(must(reopen(dir)))); diff != "" {
		t.Error(diff)
	}
}

func TestSegmentsThatWereLeftInOrderHaveNoZeros(t *testing.T) {
	t.Parallel()
	dir, _ := segmented(t)
	segments := must(listDir(dir)).segments
	for _, info := range segments {
		path := segmentPath(dir, info)
		if got, want := len(must(os.ReadFile(path))), len(records(t, path)); got != want {
			t.Errorf("%s has %d bytes, its records %d", path, got, want)
		}
	}
	// A power cut may leave them anywhere.
	want := state(must(reopen(dir)))
	for _, info := range segments {
		path := segmentPath(dir, info)
		long := copyDir(t, dir, path, append(must(os.ReadFile(path)), make([]byte, 5000)...))
		if report := must(Check(long)); report.Damage != nil || len(report.Notes) > 0 {
			t.Errorf("%s with zeros behind: %+v", path, report)
		}
		if diff := cmp.Diff(want, state(must(reopen(long)))); diff != "" {
			t.Errorf("%s with zeros behind: %s", path, diff)
		}
	}
}

// Of the sectors that the last batch is in, every subset is on the disk; where one is not, the zeros are.
func TestBatchOfWhichOnlySomeSectorsAreThereIsDropped(t *testing.T) {
	t.Parallel()
	dir, path, content, from, end, before, after := grown(t)
	first, last := from/sector, (end-1)/sector
	if last-first < 4 {
		t.Fatalf("the last batch is in the sectors %d to %d", first, last)
	}
	for there := range 1 << (last - first + 1) {
		b := bytes.Clone(content)
		for i := first; i <= last; i++ {
			if there>>(i-first)&1 == 0 {
				clear(b[max(from, i*sector):min(end, (i+1)*sector)])
			}
		}
		torn := copyDir(t, dir, path, b)
		want := before
		if bytes.Equal(b, content) {
			want = after
		}
		report := must(Check(torn))
		if noted := len(report.Notes) > 0; report.Damage != nil || noted != (there > 0 && !bytes.Equal(b, content)) {
			t.Fatalf("sectors %b: %+v", there, report)
		}
		tr, err := reopen(torn)
		if err != nil {
			t.Fatalf("sectors %b: %v", there, err)
		}
		if diff := cmp.Diff(want, state(tr)); diff != "" {
			t.Fatalf("sectors %b: %s", there, diff)
		}
		// What is written from here on must not meet the rest of the batch again.
		r := start(t, Options{Dir: torn, NoSync: true})
		must(client(t, r).Create("/next", nil, 0, everyone))
		killed := copyDir(t, torn, "", nil)
		r.stop()
		for _, dir := range []string{killed, torn} {
			if tr, err := reopen(dir); err != nil || tr.lookup("/next") == nil {
				t.Fatalf("sectors %b, then written: %v", there, err)
			}
			if report := must(Check(dir)); report.Damage != nil || len(report.Notes) > 0 {
				t.Fatalf("sectors %b, then written: %+v", there, report)
			}
		}
	}
}

func TestZerosInPlaceOfDurableRecordsAreDamage(t *testing.T) {
	t.Parallel()
	dir, path, content, from, _, _, _ := grown(t)
	for at := segmentHeader; at < from; at += 8 {
		b := bytes.Clone(content)
		clear(b[at:min(at+16, from)])
		if bytes.Equal(b, content) {
			continue
		}
		spoiled := copyDir(t, dir, path, b)
		if _, err := reopen(spoiled); !isDamage(err) {
			t.Fatalf("bytes %d to %d: %v", at, at+16, err)
		}
		report := must(Check(spoiled))
		if report.Damage == nil || report.Damage.Zxid > 1 && (report.Cut == nil || report.Cut.Lost == 0) {
			t.Fatalf("bytes %d to %d: %+v", at, at+16, report)
		}
		if report.Cut == nil {
			continue // there is nothing before the first record
		}
		report.Cut.perform(t)
		if _, err := reopen(spoiled); err != nil {
			t.Fatalf("bytes %d to %d, then cut: %v", at, at+16, err)
		}
	}
}

func TestCrashAfterTheFileHasGrownAndBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	path := onlySegment(t, dir)
	r.stop()
	for _, size := range []int{1, segmentHeader - 1, segmentHeader, growLeast, growMost} {
		empty := copyDir(t, dir, path, make([]byte, size))
		if report := must(Check(empty)); report.Damage != nil || len(report.Notes) > 0 {
			t.Errorf("%d zeros: %+v", size, report)
		}
		r := start(t, Options{Dir: empty, NoSync: true})
		must(client(t, r).Create("/a", nil, 0, everyone))
		r.stop()
		if tr := must(reopen(empty)); tr.lookup("/a") == nil {
			t.Errorf("%d zeros: what was written then is gone", size)
		}
	}
}

func TestNoRoomForZerosIsNoReasonToRefuse(t *testing.T) {
	t.Parallel()
	d := newDisk(true)
	d.write = func(f *os.File, b []byte, off int64) (int, error) {
		if strings.HasSuffix(f.Name(), segmentSuffix) && len(bytes.Trim(b, "\x00")) == 0 {
			n, err := f.WriteAt(b[:len(b)/2], off)
			return n, errors.Join(err, syscall.ENOSPC)
		}
		return f.WriteAt(b, off)
	}
	dir := t.TempDir()
	r := startOn(t, dir, d)
	c := client(t, r)
	for i := range 20 {
		must(c.Create(fmt.Sprint("/n", i), make([]byte, 10000), 0, everyone))
	}
	path := filepath.Clean(onlySegment(t, dir))
	if got, want := len(must(os.ReadFile(path))), len(records(t, path)); got != want {
		t.Errorf("the file has %d bytes, its records %d", got, want)
	}
	r.stop()
	if tr := must(reopen(dir)); tr.lookup("/n19") == nil {
		t.Error("a node is gone")
	}
}
