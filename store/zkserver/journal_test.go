package zkserver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// reopen reads the state of a directory like a starting server.
func reopen(dir string) (*tree, error) {
	j, t, err := openJournal(dir, newDisk(true), zerolog.Nop())
	if err != nil {
		return nil, err
	}
	return t, j.close()
}

func isDamage(err error) bool {
	_, ok := errors.AsType[*Damage](err)
	return ok
}

// fill makes a tree with a bit of everything, in many batches.
func fill(t testing.TB, r running) {
	t.Helper()
	c := client(t, r)
	for i := range 5 {
		must(c.Create(fmt.Sprintf("/n%d", i), []byte("data"), 0, everyone))
		must(c.Create(fmt.Sprintf("/n%d/s-", i), nil, zk.FlagSequence, zk.DigestACL(zk.PermAll, "u", "p")))
		must(c.Create(fmt.Sprintf("/n%d/e", i), []byte{}, zk.FlagEphemeral, everyone))
		must(c.Set(fmt.Sprintf("/n%d", i), []byte("changed"), -1))
	}
	if err := c.Delete("/n4/s-0000000000", -1); err != nil {
		t.Fatal(err)
	}
	must(c.SetACL("/n3", zk.DigestACL(zk.PermAll, "u", "p"), -1))
	must(c.Multi(&zk.CreateRequest{Path: "/m", Data: []byte{}, Acl: everyone}, &zk.SetDataRequest{Path: "/m", Data: []byte("x"), Version: 0}))
	must(c.CreateContainer("/box", nil, zk.FlagContainer, everyone))
}

func TestStateIsTheSameAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	fill(t, r)
	r.stop()
	before := state(r.pipeline.tree)
	again, err := reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, state(again)); diff != "" {
		t.Error(diff)
	}
}

// onlySegment is the one log file of a directory.
func onlySegment(t testing.TB, dir string) string {
	t.Helper()
	names := must(filepath.Glob(filepath.Join(dir, "*"+segmentSuffix)))
	if len(names) != 1 {
		t.Fatalf("log files %v", names)
	}
	return names[0]
}

// records is the content of a log file without the zeros behind its last record.
func records(t testing.TB, path string) []byte {
	t.Helper()
	content := must(os.ReadFile(path))
	for _, info := range must(listDir(filepath.Dir(path))).segments {
		if segmentPath(filepath.Dir(path), info) == path {
			end, _ := endOf(info, content, math.MaxInt64)
			return content[:end]
		}
	}
	t.Fatalf("%s is no segment", path)
	return nil
}

// copyDir makes a directory with one file changed.
func copyDir(t testing.TB, from, changed string, content []byte) string {
	t.Helper()
	to := t.TempDir()
	for _, e := range must(os.ReadDir(from)) {
		path := filepath.Join(from, e.Name())
		b := must(os.ReadFile(path))
		if path == changed {
			b = content
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestTornTailIsCutWhereverItIsTorn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	c := client(t, r)
	must(c.Create("/kept", []byte("x"), 0, everyone))
	before := len(records(t, onlySegment(t, dir)))
	must(c.Create("/torn", []byte("some data of the last record"), 0, everyone))
	path := onlySegment(t, dir)
	whole := records(t, path)
	must(c.Create("/more", nil, 0, everyone))
	r.stop()

	for end := before; end < len(whole); end++ {
		for _, garbage := range []string{"", "\x00\x00\x00\x00\x00\x00\x00\x00\x00", "\x02garbage"} {
			content := append(whole[:end:end], garbage...)
			if bytes.HasPrefix(content, whole) {
				continue // the garbage is by chance what was cut off
			}
			torn := copyDir(t, dir, path, content)
			tr, err := reopen(torn)
			if err != nil {
				t.Fatalf("cut at byte %d of %d + %q: %v", end, len(whole), garbage, err)
			}
			if tr.lookup("/kept") == nil || tr.lookup("/torn") != nil {
				t.Fatalf("cut at byte %d: kept %v, torn %v", end, tr.lookup("/kept"), tr.lookup("/torn"))
			}
			// What is written from here on must not meet the torn bytes again.
			second := start(t, Options{Dir: torn, NoSync: true})
			must(client(t, second).Create("/next", nil, 0, everyone))
			second.stop()
			if tr, err := reopen(torn); err != nil || tr.lookup("/next") == nil {
				t.Fatalf("cut at byte %d, then written: %v", end, err)
			}
		}
	}
}

func TestFlippedBitInTheMiddleIsReportedOrHarmless(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	fill(t, r)
	r.stop()
	path := onlySegment(t, dir)
	whole := must(os.ReadFile(path))
	want := state(r.pipeline.tree)
	// The last two batches may look like a torn end: the last one, and the close of the session.
	last := strings.LastIndex(string(whole[:len(whole)-200]), "/box")
	reported := 0
	for i := range last - 60 {
		b := []byte(string(whole))
		b[i] ^= 1 << (i % 8)
		tr, err := reopen(copyDir(t, dir, path, b))
		switch {
		case isDamage(err):
			reported++
		case err != nil:
			t.Fatalf("byte %d: %v", i, err)
		case !maps.Equal(want, state(tr)):
			t.Fatalf("byte %d of %d: silently read as something else: %s", i, len(whole), cmp.Diff(want, state(tr)))
		}
	}
	if reported < last*8/10 {
		t.Errorf("%d of %d flipped bytes were reported", reported, last)
	}
}

func TestForeignAndMissingFilesAreReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	fill(t, r)
	r.stop()
	path := onlySegment(t, dir)
	for name, spoil := range map[string]func(dir string) error{
		"a foreign file":      func(dir string) error { return os.WriteFile(filepath.Join(dir, "version-2"), nil, 0o600) },
		"a foreign directory": func(dir string) error { return os.Mkdir(filepath.Join(dir, "snapshot.0000000000000001"), 0o700) },
		"a log that begins in the middle": func(dir string) error {
			return os.Rename(filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, strings.Replace(filepath.Base(path), "1-", "7-", 1)))
		},
		"an empty snapshot": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "snapshot.0000000000000001"), nil, 0o600)
		},
	} {
		spoiled := copyDir(t, dir, "", nil)
		if err := spoil(spoiled); err != nil {
			t.Fatal(err)
		}
		_, err := New(Options{Dir: spoiled})
		if !isDamage(err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeftOversOfAnInterruptedSnapshotAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Dir: dir, NoSync: true})
	fill(t, r)
	r.stop()
	if err := os.WriteFile(filepath.Join(dir, snapshotName(3)+temporarySuffix), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state(r.pipeline.tree), state(tr)); diff != "" {
		t.Error(diff)
	}
	if found, err := listDir(dir); err != nil || len(found.temporary) > 0 {
		t.Error(found.temporary, err)
	}
}

func TestDirectoryIsForOneServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, Options{Dir: dir, NoSync: true})
	if _, err := New(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another server") {
		t.Error(err)
	}
}

func TestTakenPortIsOneClearError(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0"})
	if _, err := New(Options{Addr: r.Addr()}); err == nil || !strings.Contains(err.Error(), "address "+r.Addr()+" is in use") {
		t.Error(err)
	}
}

// snapshotOf is a snapshot's bytes.
func snapshotOf(t testing.TB, p *pipeline) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := p.writeSnapshot(t.Context(), p.tree.zxid, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// seal puts a good checksum behind the body of a snapshot.
func seal(body []byte) []byte {
	return binary.BigEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
}

func TestSnapshotIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	fill(t, r)
	r.stop()
	b := snapshotOf(t, r.pipeline)
	tr, end, err := readSnapshot(b)
	if err != nil || end != r.pipeline.tree.zxid {
		t.Fatal(end, err)
	}
	if diff := cmp.Diff(state(r.pipeline.tree), state(tr)); diff != "" {
		t.Error(diff)
	}
	for i := range b {
		damaged := bytes.Clone(b)
		damaged[i] ^= 0x10
		if _, _, err := readSnapshot(damaged); err == nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, _, err := readSnapshot(b[:i]); err == nil {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}
