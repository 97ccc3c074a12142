package zkserver

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
)

// shortLog makes a log of several records, a multi among them, and returns its file, what the nodes were at each zxid,
// and where the last records begin.
func shortLog(t *testing.T) (dir, path string, states map[int64]map[string]string, from int) {
	t.Helper()
	dir, states = t.TempDir(), map[int64]map[string]string{}
	r := start(t, Options{Dir: dir, NoSync: true})
	path = onlySegment(t, dir)
	note := func() {
		r.pipeline.mu.RLock()
		defer r.pipeline.mu.RUnlock()
		states[r.pipeline.tree.zxid] = state(r.pipeline.tree)
	}
	note()
	c := client(t, r)
	note()
	for i := range 6 {
		if i == 4 {
			from = len(records(t, path))
		}
		must(c.Create(fmt.Sprint("/n", i), []byte("some data"), 0, everyone))
		note()
		must(c.Multi(&zk.SetDataRequest{Path: fmt.Sprint("/n", i), Data: []byte("new data"), Version: 0}, &zk.CreateRequest{Path: fmt.Sprintf("/n%d/e", i), Acl: everyone, Flags: zk.FlagEphemeral}))
		note()
	}
	r.stop()
	note()
	return dir, path, states, from
}

func TestLogCutAtEveryByteOfItsLastRecordsIsReadUpToTheOneBefore(t *testing.T) {
	t.Parallel()
	dir, path, states, from := shortLog(t)
	whole := must(os.ReadFile(path))
	var last int64
	for end := from; end <= len(whole); end++ {
		tr, err := reopen(copyDir(t, dir, path, whole[:end]))
		if err != nil {
			t.Fatalf("cut at byte %d of %d: %v", end, len(whole), err)
		}
		if diff := cmp.Diff(states[tr.zxid], state(tr)); diff != "" {
			t.Fatalf("cut at byte %d of %d: %s", end, len(whole), diff)
		}
		if tr.zxid < last || tr.zxid > last+1 && last > 0 {
			t.Fatalf("cut at byte %d: up to 0x%x, one byte less up to 0x%x", end, tr.zxid, last)
		}
		last = tr.zxid
	}
	if last != max64(maps.Keys(states)) {
		t.Errorf("the whole log is read up to 0x%x", last)
	}
}

func TestFlippedBitsOfTheLastRecordsLoseAtMostTheVeryLast(t *testing.T) {
	t.Parallel()
	dir, path, states, from := shortLog(t)
	whole := must(os.ReadFile(path))
	complete, err := reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	damaged, dropped := 0, 0
	for at := from; at < len(whole); at++ {
		b := bytes.Clone(whole)
		b[at] ^= 1 << (at % 8)
		tr, err := reopen(copyDir(t, dir, path, b))
		switch {
		case isDamage(err):
			damaged++
			continue
		case err != nil:
			t.Fatalf("byte %d: %v", at, err)
		case tr.zxid == complete.zxid-1: // nothing tells the last record from one that was being written
			dropped++
		case tr.zxid != complete.zxid:
			t.Fatalf("byte %d of %d: silently read up to 0x%x of 0x%x only", at, len(whole), tr.zxid, complete.zxid)
		}
		if diff := cmp.Diff(states[tr.zxid], state(tr)); diff != "" {
			t.Fatalf("byte %d of %d: %s", at, len(whole), diff)
		}
	}
	if damaged < (len(whole)-from)/3 || dropped == 0 {
		t.Errorf("of %d flipped bits %d were reported and %d took the last record", len(whole)-from, damaged, dropped)
	}
}
