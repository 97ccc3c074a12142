package roles_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestSoloStateIsBackedUpCheckedAndRestored runs the commands about the state beside a running solo and after its end.
func TestSoloStateIsBackedUpCheckedAndRestored(t *testing.T) {
	t.Parallel()
	s := startSoloCluster(t, &dockertest.Daemon{Host: unique("host")}, []string{"DOCKER_HOST=unix:///nonexistent"})
	file := filepath.Join(t.TempDir(), "backup")
	state := func(exit int, pattern string, words ...string) {
		t.Helper()
		r := helios(t, nil, append([]string{"solo", words[0], "--state-dir", s.dir}, words[1:]...)...)
		if r.exit != exit || !strings.Contains(r.out+r.err, pattern) {
			t.Errorf("helios solo %s: %s, want exit %d and %q", strings.Join(words, " "), r, exit, pattern)
		}
	}
	s.must("create", "-q", "kept:1", "127.0.0.1:1/image")
	state(0, "holds", "backup", file)
	state(0, "is whole", "check")
	s.must("create", "-q", "later:1", "127.0.0.1:1/image")
	state(4, "in use by another solo", "restore", file)
	state(4, "not overwritten", "backup", filepath.Join(s.dir, "client.json"))
	state(2, "FILE is missing", "backup", "")
	state(2, `"another" is one word too many`, "restore", file, "another")
	s.process.stop()
	state(4, "move it away first", "restore", file)

	logs, err := filepath.Glob(filepath.Join(s.dir, "store", "*.wal"))
	if err != nil || len(logs) != 1 {
		t.Fatal(logs, err)
	}
	foreign := filepath.Join(s.dir, "store", "README")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	state(1, "README is moved away", "check")
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	content := []byte(read(logs[0]))
	content[len(content)/2] ^= 1
	if err := os.WriteFile(logs[0], content, 0o600); err != nil {
		t.Fatal(err)
	}
	state(1, "truncate -s ", "check")
	state(1, "the state is damaged: "+logs[0]+": record 0x", "check")
	state(1, "the state is damaged", "backup", filepath.Join(t.TempDir(), "another"))

	if err := os.Rename(filepath.Join(s.dir, "store"), filepath.Join(s.dir, "store.damaged")); err != nil {
		t.Fatal(err)
	}
	state(0, "the next start uses them", "restore", file)
	state(0, "is whole", "check")
	s.restart()
	s.serve() // the host is up again
	if jobs := s.must("jobs", "-q"); !strings.Contains(jobs, "kept:1") || strings.Contains(jobs, "later:1") {
		t.Errorf("after the restore there are the jobs %q", jobs)
	}
}

// TestSoloSaysThatItsDiskIsFull fills the file system of a solo's state, and makes room again.
func TestSoloSaysThatItsDiskIsFull(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	if err := unix.Mount("tmpfs", mount, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small file system needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := startSoloCluster(t, &dockertest.Daemon{Host: unique("host")}, []string{"DOCKER_HOST=unix:///nonexistent"}, "--state-dir", mount)
	admin := awaitMatch(t, s.out, `admin (http://\S+)\n`)
	store := func() string {
		_, body := ask(t, admin+"/healthcheck")
		_, about, _ := strings.Cut(body, `"store":`)
		return about
	}
	if about := store(); about != "" {
		t.Errorf("the health of a store with room: %s", about)
	}
	filler := filepath.Join(mount, "filler")
	if err := os.WriteFile(filler, make([]byte, 8<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	create := func(n int) bool {
		return s.helios("create", "-q", fmt.Sprintf("job%d:1", n), "127.0.0.1:1/image", "--env", "LONG="+strings.Repeat("x", 50_000)).exit == 0
	}
	made := 0
	storetest.Eventually(t, time.Minute, func() error {
		if create(made) { // in what was left, which a small change may still find
			made++
			return errors.New("a job is taken")
		}
		if about := store(); !strings.HasPrefix(about, `{"healthy":false,"message":"the store refuses changes: `) || !strings.Contains(about, "no space left on device") {
			return fmt.Errorf("the health of the store: %s", about)
		}
		return nil
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	storetest.Eventually(t, time.Minute, func() error {
		if made++; !create(made) {
			return errors.New("a job is still refused")
		}
		if about := store(); about != "" {
			return fmt.Errorf("with room again the health of the store: %s", about)
		}
		return nil
	})
}
