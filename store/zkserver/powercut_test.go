package zkserver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// volatile is a disk of which a power cut leaves what was synced, and of the rest nobody knows what.
type volatile struct {
	*disk
	mu     sync.Mutex        // held while anything is written
	synced map[string][]byte // content of files, as synced last, by path
	names  map[string]bool   // that are in the synced directory
}

func newVolatile() *volatile {
	v := &volatile{disk: newDisk(true), synced: map[string][]byte{}, names: map[string]bool{}}
	v.write = func(f *os.File, b []byte, off int64) (int, error) {
		v.mu.Lock()
		defer v.mu.Unlock()
		return f.WriteAt(b, off)
	}
	v.sync = func(f *os.File) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if !info.IsDir() {
			v.synced[f.Name()], err = os.ReadFile(f.Name())
			return err
		}
		entries, err := os.ReadDir(f.Name())
		for _, e := range entries {
			v.names[filepath.Join(f.Name(), e.Name())] = true
		}
		return err
	}
	return v
}

// sector is how much a disk writes wholly or not at all.
const sector = 512

// cut copies a directory as a power cut might leave it.
func (v *volatile) cut(t *testing.T, dir string) string {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	to := t.TempDir()
	for _, e := range must(os.ReadDir(dir)) {
		path := filepath.Join(dir, e.Name())
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // a snapshot was renamed at this moment
		}
		if err != nil {
			t.Fatal(err)
		}
		if !v.names[path] && rand.IntN(2) == 0 {
			continue
		}
		if strings.HasSuffix(path, segmentSuffix) {
			content = torn(v.synced[path], content)
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// torn is a file of which only some of what was written since the last sync is on the disk: any of its sectors, and any
// part of its new length. Where the file has grown, but not its content, there are zeros.
func torn(synced, written []byte) []byte {
	shorter, longer := min(len(synced), len(written)), max(len(synced), len(written))
	content := make([]byte, shorter+rand.IntN(longer-shorter+1))
	copy(content, synced)
	share := rand.IntN(3) // of the sectors: none, half, all
	for at := 0; at < min(len(content), len(written)); at += sector {
		if rand.IntN(2) < share {
			copy(content[at:min(at+sector, len(content))], written[at:])
		}
	}
	return content
}

func TestPowerCutKeepsEverythingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	dir, v := t.TempDir(), newVolatile()
	srv := must(New(Options{}))
	if err := srv.open(dir, v.disk); err != nil {
		t.Fatal(err)
	}
	srv.pipeline.snapshotLog = 8 << 10
	r := run(t, srv)
	var acknowledged [4]atomic.Int64
	stopped := make(chan struct{})
	var writing sync.WaitGroup
	for i := range acknowledged {
		c := client(t, r)
		must(c.Create(fmt.Sprint("/w", i), nil, 0, everyone))
		writing.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case <-stopped:
					return
				default:
				}
				stat, err := c.Set(fmt.Sprint("/w", i), make([]byte, rand.IntN(300)), -1)
				if err != nil || int64(stat.Version) != n {
					t.Errorf("version %+v, %v", stat, err)
					return
				}
				acknowledged[i].Store(n)
			}
		})
	}
	for range 60 {
		var before [len(acknowledged)]int64
		for i := range acknowledged {
			before[i] = acknowledged[i].Load()
		}
		after := v.cut(t, dir)
		tr, err := reopen(after)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range before {
			if at := tr.lookup(fmt.Sprint("/w", i)); at == nil || int64(at.version) < n {
				t.Fatalf("version %d was acknowledged, the state of zxid 0x%x has none or an older one", n, tr.zxid)
			}
		}
		eventually(t, func() error { // until something has happened
			for i := range acknowledged {
				if acknowledged[i].Load() > before[i]+3 {
					return nil
				}
			}
			return errors.New("nothing is written")
		})
	}
	close(stopped)
	writing.Wait()
}

func TestReadOnlyDiskRefusesWritesAndGoesOnWhenItCan(t *testing.T) {
	t.Parallel()
	var readOnly atomic.Bool
	d := newDisk(true)
	d.write = func(f *os.File, b []byte, off int64) (int, error) {
		if readOnly.Load() {
			return 0, syscall.EROFS
		}
		return f.WriteAt(b, off)
	}
	d.sync = func(*os.File) error {
		if readOnly.Load() {
			return syscall.EROFS
		}
		return nil
	}
	dir := t.TempDir()
	r := startOn(t, dir, d)
	c := client(t, r)
	must(c.Create("/before", nil, 0, everyone))
	readOnly.Store(true)
	for range 5 {
		if _, err := c.Create("/refused", nil, 0, everyone); err == nil {
			t.Fatal("a write was acknowledged on a read-only disk")
		}
		eventually(t, func() error { _, _, err := c.Get("/before"); return err })
	}
	readOnly.Store(false)
	eventually(t, func() error { _, err := c.Create("/after", nil, 0, everyone); return err })
	r.stop()
	tr, err := reopen(dir)
	if err != nil || tr.lookup("/before") == nil || tr.lookup("/after") == nil || tr.lookup("/refused") != nil {
		t.Fatalf("after a restart: %v", err)
	}
}

// A file system of 2 MB that is really full: while the log is written and while a snapshot is.
func TestReallyFullDiskLosesNothingAndGoesOn(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small file system needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mount, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(mount, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(mount, "store")
	srv := must(New(Options{Dir: dir}))
	srv.pipeline.snapshotLog = 300 << 10
	r := run(t, srv)
	c := client(t, r)
	written := 0
	fill := func() error {
		_, err := c.Create(fmt.Sprintf("/n%d", written), make([]byte, 10000), 0, everyone)
		if err == nil {
			written++
		}
		return err
	}
	for written < 1000 && fill() == nil {
	}
	if written == 1000 || written < 10 {
		t.Fatalf("%d nodes of 10 kB are on 1 MB", written)
	}
	if _, _, err := c.Get("/n0"); err != nil {
		t.Fatalf("read on a full disk: %v", err)
	}
	if _, err := Backup(dir, filepath.Join(mount, "backup")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("backup on a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, fill)
	for range 20 {
		if err := fill(); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	tr, err := reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n := range written {
		if tr.lookup(fmt.Sprintf("/n%d", n)) == nil {
			t.Fatalf("/n%d of %d is gone", n, written)
		}
	}
	if tr.lookup(fmt.Sprintf("/n%d", written)) != nil {
		t.Error("a refused write is there")
	}
}
