package zkserver

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// segmented makes a directory with a few segments and snapshots, and returns what its nodes were at each zxid.
func segmented(t testing.TB) (dir string, states map[int64]map[string]string) {
	t.Helper()
	dir, states = t.TempDir(), map[int64]map[string]string{}
	srv := must(New(Options{Dir: dir, NoSync: true}))
	srv.pipeline.snapshotLog = 3000
	r := run(t, srv)
	c := client(t, r)
	note := func() {
		srv.pipeline.mu.RLock()
		defer srv.pipeline.mu.RUnlock()
		states[srv.pipeline.tree.zxid] = state(srv.pipeline.tree)
	}
	note()
	for i := range 60 {
		must(c.Create(fmt.Sprintf("/n%02d", i), []byte(strings.Repeat("x", 100)), 0, everyone))
		note()
		must(c.Set(fmt.Sprintf("/n%02d", i/2), []byte("changed"), -1))
		note()
		eventually(t, func() error {
			if srv.pipeline.snapshotting.Load() {
				return errors.New("still writing a snapshot")
			}
			return nil
		})
	}
	r.stop()
	states[srv.pipeline.tree.zxid] = state(srv.pipeline.tree)
	return dir, states
}

// perform does what a report says about cutting.
func (c *Cut) perform(t *testing.T) {
	t.Helper()
	if c.File != "" {
		if err := os.Truncate(c.File, c.Size); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range c.Remove {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheckNamesTheFirstBadRecordAndItsCutWorks(t *testing.T) {
	t.Parallel()
	dir, states := segmented(t)
	last := max64(maps.Keys(states))
	if r := must(Check(dir)); r.Damage != nil || r.Zxid != last || len(r.Notes) > 0 {
		t.Fatalf("a whole state: %+v", r)
	}
	cuts := 0
	for _, info := range must(listDir(dir)).segments {
		path := segmentPath(dir, info)
		whole := must(os.ReadFile(path))
		for at := 40; at < len(whole); at += 97 {
			b := bytes.Clone(whole)
			b[at] ^= 0x20
			damaged := copyDir(t, dir, path, b)
			report := must(Check(damaged))
			_, err := reopen(damaged)
			if (err != nil) != (report.Damage != nil) || err != nil && !strings.HasSuffix(err.Error(), report.Damage.Error()) {
				t.Fatalf("%s, byte %d: a start says %v, the check %v", path, at, err, report.Damage)
			}
			if report.Damage == nil {
				continue
			}
			before := treeFiles(t, damaged)
			if diff := cmp.Diff(before, treeFiles(t, damaged)); diff != "" {
				t.Fatal(diff)
			}
			if report.Damage.File != filepath.Join(damaged, filepath.Base(path)) || report.Cut == nil {
				t.Fatalf("%s, byte %d: %+v", path, at, report)
			}
			report.Cut.perform(t)
			tr, err := reopen(damaged)
			if err != nil {
				t.Fatalf("%s, byte %d: after the cut %+v: %v", path, at, report.Cut, err)
			}
			if diff := cmp.Diff(states[tr.zxid], state(tr)); diff != "" || tr.zxid >= report.Damage.Zxid {
				t.Fatalf("%s, byte %d: damaged at 0x%x, cut to 0x%x: %s", path, at, report.Damage.Zxid, tr.zxid, diff)
			}
			if report.Cut.Lost != int(last-report.Damage.Zxid) && report.Cut.Lost != int(last-report.Damage.Zxid)+1 || report.Cut.Until != last {
				t.Fatalf("byte %d: damaged at 0x%x of 0x%x: %+v", at, report.Damage.Zxid, last, report.Cut)
			}
			cuts++
		}
	}
	if cuts < 20 {
		t.Errorf("only %d cuts", cuts)
	}
}

func max64(seq func(func(int64) bool)) (most int64) {
	for v := range seq {
		most = max(most, v)
	}
	return most
}

// treeFiles is the content of all files in a directory.
func treeFiles(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, e := range must(os.ReadDir(dir)) {
		files[e.Name()] = string(must(os.ReadFile(filepath.Join(dir, e.Name()))))
	}
	return files
}

func TestCheckChangesNothingAndTellsWhatCostsNothing(t *testing.T) {
	t.Parallel()
	dir, _ := segmented(t)
	found := must(listDir(dir))
	lastSegment := segmentPath(dir, found.segments[len(found.segments)-1])
	torn := copyDir(t, dir, lastSegment, append(must(os.ReadFile(lastSegment)), 1, 2, 3))
	reserve := copyDir(t, dir, filepath.Join(dir, snapshotName(found.snapshots[0])), []byte("x"))
	newest := copyDir(t, dir, filepath.Join(dir, snapshotName(found.snapshots[1])), []byte("x"))
	for dir, wanted := range map[string]string{torn: "ends with 3 bytes", reserve: "kept in reserve", newest: "the snapshot before it is read instead"} {
		before := treeFiles(t, dir)
		r := must(Check(dir))
		if r.Damage != nil || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], wanted) {
			t.Errorf("%+v, wanted %q", r, wanted)
		}
		if diff := cmp.Diff(before, treeFiles(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestCheckOfWhatIsNoStateIsOneSentence(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(empty, "missing"), file, t.TempDir()} {
		if _, err := Check(dir); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	r := must(Check(empty))
	if r.Damage == nil || r.Damage.File != file || r.Cut != nil {
		t.Errorf("a foreign file: %+v", r)
	}
}

func TestBackupIsRestoredWithoutSessionsAndAboveAllZxids(t *testing.T) {
	t.Parallel()
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	r := start(t, Options{Dir: dir, NoSync: true})
	fill(t, r)
	c := client(t, r)
	must(c.Create("/mine", nil, zk.FlagEphemeral, everyone))
	made := must(Backup(dir, file)) // while the server runs and has sessions
	must(c.Create("/later", nil, 0, everyone))
	made2 := must(Backup(dir, file)) // takes the place of the first
	if made2.Zxid != made.Zxid+1 {
		t.Errorf("%+v after %+v", made2, made)
	}
	if _, err := Restore(file, dir); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("restored over a running server: %v", err)
	}
	seen := r.pipeline.zxid()
	r.stop()
	if _, err := Restore(file, dir); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("restored over a state: %v", err)
	}
	target := filepath.Join(t.TempDir(), "deep", "store")
	restored := must(Restore(file, target))
	again := start(t, Options{Dir: target, NoSync: true})
	if restored.Zxid>>32 < 1 || again.pipeline.zxid() < seen {
		t.Errorf("zxid 0x%x after 0x%x", again.pipeline.zxid(), seen)
	}
	if diff := cmp.Diff(contentsOf(r.pipeline.tree), contentsOf(again.pipeline.tree)); diff != "" {
		t.Error(diff)
	}
	if len(again.pipeline.tree.sessions)+len(again.pipeline.tree.ephemerals) > 0 || again.pipeline.tree.lookup("/mine") != nil || again.pipeline.tree.lookup("/later") == nil {
		t.Errorf("%d sessions, ephemeral nodes %v", len(again.pipeline.tree.sessions), again.pipeline.tree.ephemerals)
	}
	must(client(t, again).Create("/n0/s-", nil, zk.FlagSequence, everyone))
}

// contentsOf is what the nodes hold that belong to no session.
func contentsOf(tr *tree) map[string]string {
	all := map[string]string{}
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		if n.owner > 0 {
			return
		}
		all[path] = fmt.Sprintf("%q %v %d %d, zxids %d %d, times %d %d, counter %d", n.data, n.acl, n.version, n.aversion, n.czxid, n.mzxid, n.ctime, n.mtime, n.created)
		for name, child := range n.children {
			walk(path+"/"+name, child)
		}
	}
	walk("", tr.root)
	return all
}

func TestBackupsUnderLoadHoldEverythingAcknowledgedBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := must(New(Options{Dir: dir, NoSync: true}))
	srv.pipeline.snapshotLog = 10 << 10 // files come and go during the backups
	r := run(t, srv)
	c := client(t, r)
	var mu sync.Mutex
	written, stopped := 0, make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stopped:
				return
			default:
			}
			if _, err := c.Create(fmt.Sprintf("/n%d", i), make([]byte, 100), 0, everyone); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			written = i + 1
			mu.Unlock()
		}
	})
	for i := range 15 {
		mu.Lock()
		before := written
		mu.Unlock()
		file := filepath.Join(t.TempDir(), "backup")
		if _, err := Backup(dir, file); err != nil {
			t.Fatal(err)
		}
		tr, _, err := readSnapshot(must(os.ReadFile(file)))
		if err != nil {
			t.Fatal(err)
		}
		for n := range before {
			if tr.lookup(fmt.Sprintf("/n%d", n)) == nil {
				t.Fatalf("backup %d lacks /n%d of %d", i, n, before)
			}
		}
		for n := before; tr.lookup(fmt.Sprintf("/n%d", n)) != nil; n++ {
			before = n + 1
		}
		if tr.nodes != before+4 {
			t.Errorf("backup %d has %d nodes, but the first %d of the writer", i, tr.nodes, before)
		}
		if report, err := Check(dir); err != nil || report.Damage != nil {
			t.Fatalf("check beside a running server: %v, %v", err, report.Damage)
		}
	}
	close(stopped)
	writing.Wait()
}

func TestBackupTouchesNoOtherFile(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	fill(t, r)
	precious, file := filepath.Join(out, "precious"), filepath.Join(out, "backup")
	if err := os.WriteFile(precious, []byte("no backup"), 0o644); err != nil {
		t.Fatal(err)
	}
	// What an interrupted one might have left, and what somebody might have put there to have a file overwritten.
	if err := errors.Join(os.Symlink(precious, file+".tmp"), os.WriteFile(file+".1.tmp", []byte("cut off"), 0o666)); err != nil {
		t.Fatal(err)
	}
	must(Backup(dir, file))
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	must(Backup(dir, file)) // takes the place of the first
	if mode := must(os.Stat(file)).Mode(); mode != 0o600 {
		t.Errorf("the backup has the mode %s", mode)
	}
	link, pipe := filepath.Join(out, "link"), filepath.Join(out, "pipe")
	if err := errors.Join(os.Symlink(file, link), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{link, pipe, "/dev/null", out, precious} {
		if _, err := Backup(dir, other); !errors.Is(err, ErrOccupied) {
			t.Errorf("%s: %v", other, err)
		}
	}
	want := []string{"backup", "backup.1.tmp", "backup.tmp", "link", "pipe", "precious"}
	var names []string
	for _, e := range must(os.ReadDir(out)) {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff(want, names); diff != "" || string(must(os.ReadFile(precious))) != "no backup" {
		t.Errorf("in the directory: %s", diff)
	}
}

func TestFailedBackupAndRestoreLeaveNothing(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	fill(t, r)
	precious := filepath.Join(out, "precious")
	if err := os.WriteFile(precious, []byte("no backup"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{precious, out, filepath.Join(out, "missing", "file"), "/dev/full/x", "/proc/nothing"} {
		if _, err := Backup(dir, file); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", file, err)
		}
	}
	files := treeFiles(t, dir)
	for _, name := range []string{"backup", lockName} {
		if _, err := Backup(dir, filepath.Join(dir, name)); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("a backup into the state directory: %v", err)
		}
	}
	if diff := cmp.Diff(files, treeFiles(t, dir)); diff != "" {
		t.Error(diff)
	}
	good := filepath.Join(t.TempDir(), "good")
	must(Backup(dir, good))
	content := must(os.ReadFile(good))
	for i := 0; i < len(content); i += 13 {
		b := bytes.Clone(content)
		b[i] ^= 1
		if err := os.WriteFile(precious, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(precious, filepath.Join(out, "store")); err == nil {
			t.Fatalf("restored with byte %d damaged", i)
		}
	}
	if err := os.WriteFile(precious, content[:len(content)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{precious, out, filepath.Join(out, "missing")} {
		if _, err := Restore(file, filepath.Join(out, "store")); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := Restore(good, filepath.Join(precious, "store")); err == nil {
		t.Error("restored below a file")
	}
	if names := must(os.ReadDir(out)); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}
