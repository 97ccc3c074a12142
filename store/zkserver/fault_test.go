package zkserver

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
)

// startOn runs a server on a disk of the test.
func startOn(t *testing.T, dir string, d *disk) running {
	t.Helper()
	srv := must(New(Options{}))
	if err := srv.open(dir, d); err != nil {
		t.Fatal(err)
	}
	return run(t, srv)
}

func TestFullDiskRefusesWritesAndKeepsReadsAndWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	d := newDisk(true)
	plain := d.write
	d.write = func(f *os.File, b []byte, off int64) (int, error) {
		if full.Load() {
			n, _ := plain(f, b[:len(b)/2], off)
			return n, syscall.ENOSPC
		}
		return plain(f, b, off)
	}
	dir := t.TempDir()
	r := startOn(t, dir, d)
	c := client(t, r)
	must(c.Create("/before", []byte("x"), 0, everyone))
	full.Store(true)
	for range 3 {
		if _, err := c.Create("/refused", nil, 0, everyone); err == nil {
			t.Fatal("a write was acknowledged on a full disk")
		}
	}
	if data, _, err := c.Get("/before"); err != nil || string(data) != "x" {
		t.Fatalf("read %q, %v", data, err)
	}
	wants(t, r.Refusal(), syscall.ENOSPC)
	full.Store(false)
	eventually(t, func() error { _, err := c.Create("/after", nil, 0, everyone); return err })
	wants(t, r.Refusal(), nil)
	want := state(r.pipeline.tree)
	if _, ok := want["node /refused"]; ok {
		t.Error("a refused write is visible")
	}
	c.Close()
	r.stop()
	again, err := reopen(dir)
	if err != nil || again.lookup("/before") == nil || again.lookup("/after") == nil || again.lookup("/refused") != nil {
		t.Fatalf("after a restart: %v", err)
	}
}

func TestFailedSyncLosesTheConnectionOfTheWriterAndNothingElse(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	d := newDisk(true)
	d.sync = func(*os.File) error {
		if failing.Load() {
			return syscall.EIO
		}
		return nil
	}
	dir := t.TempDir()
	r := startOn(t, dir, d)
	c, reader := client(t, r), client(t, r)
	must(c.Create("/before", nil, 0, everyone))
	failing.Store(true)
	_, err := c.Create("/unknown", nil, 0, everyone)
	wants(t, err, zk.ErrConnectionClosed)
	if ok, _, err := reader.Exists("/unknown"); err != nil || ok {
		t.Errorf("the write is visible: %v, %v", ok, err)
	}
	eventually(t, func() error { _, _, err := c.Get("/before"); return err })
	if _, err := c.Create("/refused", nil, 0, everyone); err == nil || errors.Is(err, zk.ErrConnectionClosed) {
		t.Errorf("while the disk is broken: %v", err)
	}
	failing.Store(false)
	eventually(t, func() error { _, err := c.Create("/after", nil, 0, everyone); return err })
	r.stop()
	again, err := reopen(dir)
	if err != nil || again.lookup("/before") == nil || again.lookup("/after") == nil || again.lookup("/refused") != nil {
		t.Fatalf("after a restart: %v", err)
	}
}

func TestSnapshotsUnderLoadGiveTheSameState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := must(New(Options{Dir: dir, NoSync: true}))
	srv.pipeline.snapshotLog = 20 << 10
	r := run(t, srv)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var writing sync.WaitGroup
	for i := range 4 {
		c := client(t, r)
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		writing.Go(func() {
			for range 1500 {
				path := fmt.Sprintf("/d%d", random.IntN(4))
				for range random.IntN(3) {
					path += fmt.Sprintf("/%d", random.IntN(12))
				}
				var err error
				switch random.IntN(6) {
				case 0, 1:
					_, err = c.Create(path, make([]byte, random.IntN(100)), 0, everyone)
				case 2:
					_, err = c.Create(path+"/s-", nil, zk.FlagSequence|int32(random.IntN(2)), everyone)
				case 3:
					err = c.Delete(path, -1)
				case 4:
					_, err = c.Set(path, make([]byte, random.IntN(100)), -1)
				case 5:
					_, err = c.Multi(&zk.DeleteRequest{Path: path, Version: -1}, &zk.CreateRequest{Path: path, Acl: everyone}, &zk.CreateRequest{Path: path + "/s-", Acl: everyone, Flags: 2})
				}
				if errors.Is(err, zk.ErrConnectionClosed) {
					t.Errorf("lost connection: %v", err)
					return
				}
			}
		})
	}
	writing.Wait()
	eventually(t, func() error {
		if srv.pipeline.snapshotting.Load() {
			return errors.New("still writing a snapshot")
		}
		return nil
	})
	found, err := listDir(dir)
	if err != nil || len(found.temporary) > 0 || len(found.snapshots) != snapshotKept {
		t.Fatalf("%v, left over %v, %v", found.snapshots, found.temporary, err)
	}
	// From the newest snapshot, and with that one damaged from the one before.
	want := state(srv.pipeline.tree)
	newest := filepath.Join(dir, snapshotName(found.snapshots[1]))
	b := must(os.ReadFile(newest))
	b[len(b)/2] ^= 4
	for name, dir := range map[string]string{"newest": copyDir(t, dir, "", nil), "one before": copyDir(t, dir, newest, b)} {
		tr, err := reopen(dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, state(tr)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for _, segment := range found.segments[:len(found.segments)-1] {
		broken := copyDir(t, dir, "", nil)
		if err := os.Remove(segmentPath(broken, segment)); err != nil {
			t.Fatal(err)
		}
		if tr, err := reopen(broken); err == nil && !maps.Equal(want, state(tr)) || err != nil && !isDamage(err) {
			t.Errorf("without the log from 0x%x: %v", segment.BaseIndex, err)
		}
	}
}

func TestFileThatCannotBeWrittenLeavesNothing(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), newDisk(false)
	d.sync = func(*os.File) error { return syscall.EIO }
	err := d.writeFile(dir, "snapshot.x", func(w io.Writer) error { _, err := w.Write([]byte("x")); return err })
	if entries := must(os.ReadDir(dir)); !errors.Is(err, syscall.EIO) || len(entries) > 0 {
		t.Errorf("%v, %v", err, entries)
	}
}
