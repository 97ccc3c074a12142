package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/job"
)

// TestMain lets the test binary be a second agent: one that takes the lock of a directory and says whether it could.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HELIOS_TEST_LOCK"); dir != "" {
		if _, err := openStateDir(dir, zerolog.Nop()); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	if file := os.Getenv("HELIOS_TEST_RECORD_LOCK"); file != "" {
		holdRecordLock(file)
	}
	os.Exit(m.Run())
}

// holdRecordLock takes the lock as java.nio does, says how that went, and keeps it until its standard input ends.
func holdRecordLock(file string) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	if err != nil {
		os.Stdout.WriteString(err.Error())
	} else {
		os.Stdout.WriteString("locked")
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

func open(t *testing.T, path string) *stateDir {
	t.Helper()
	dir, err := openStateDir(path, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.close() })
	return dir
}

func TestAStateDirectoryHasOneAgent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "state")
	dir := open(t, path)
	second := func() (string, error) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "HELIOS_TEST_LOCK="+path)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := second()
	if want := "State lock file already locked: " + filepath.Join(path, "lock"); err == nil || out != want {
		t.Errorf("second agent: %v, %q, want %q", err, out, want)
	}
	dir.close()
	if out, err := second(); err != nil {
		t.Errorf("after the first has ended: %v %s", err, out)
	}
}

func TestAgentID(t *testing.T) {
	t.Run("a random one is written down and found again", func(t *testing.T) {
		dir := open(t, t.TempDir())
		id, err := dir.agentID("")
		if err != nil || len(id) != 40 || strings.ToUpper(id) != id {
			t.Fatalf("%q, %v: want 40 upper-case hex digits", id, err)
		}
		if again, err := dir.agentID("other"); err != nil || again != id {
			t.Errorf("then %q, %v, want %q whatever --id says", again, err, id)
		}
	})
	t.Run("a line's end in an old file is no part of it", func(t *testing.T) {
		dir := open(t, t.TempDir())
		os.WriteFile(filepath.Join(dir.path, idFile), []byte("abc\n"), 0o644)
		if id, err := dir.agentID(""); err != nil || id != "abc" {
			t.Errorf("%q, %v", id, err)
		}
	})
	t.Run("a file of something else is refused in a sentence that is not as long", func(t *testing.T) {
		dir := open(t, t.TempDir())
		for _, text := range []string{strings.Repeat("x", 3<<20), strings.Repeat("\x00\xff/", 1<<20)} {
			os.WriteFile(filepath.Join(dir.path, idFile), []byte(text), 0o644)
			want := fmt.Sprintf("agent id of %s: it has 3145728 characters, and at most 1000 are possible", filepath.Join(dir.path, idFile))
			if _, err := dir.agentID("other"); err == nil || err.Error() != want {
				t.Errorf("error %.200v, want %s", err, want)
			}
		}
	})
	t.Run("one that no container name can hold is refused", func(t *testing.T) {
		dir := open(t, t.TempDir())
		if _, err := dir.agentID("a/b"); err == nil || !strings.Contains(err.Error(), `"a/b"`) {
			t.Errorf("error %v", err)
		}
		if _, err := os.Stat(filepath.Join(dir.path, idFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("something was written: %v", err)
		}
	})
}

// The files of a Java agent are read as they are, and written so that they stay the same text.
func TestStateFilesOfTheOriginal(t *testing.T) {
	for _, moment := range []string{"running-and-stopped", "after-shutdown", "undeploying"} {
		t.Run(moment, func(t *testing.T) {
			recorded := filepath.Join("..", "..", "testdata", "golden", "agent-state", moment)
			dir := open(t, t.TempDir())
			for _, name := range []string{idFile, executionsFile, tasksFile, statusesFile, historyFile} {
				data, err := os.ReadFile(filepath.Join(recorded, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir.path, name), data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			executions, err := openExecutions(dir)
			if err != nil {
				t.Fatal(err)
			}
			wishes, file, err := openWishes(dir, "host1.example.com", executions, false)
			if err != nil {
				t.Fatal(err)
			}
			statuses, err := openStatuses(dir, zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			history, err := openHistory(dir, "host1.example.com", zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			if len(executions) == 0 || len(wishes.tasks) == 0 || len(statuses.local) == 0 || len(history.queues) == 0 {
				t.Fatalf("read %d executions, %d tasks, %d statuses, %d histories",
					len(executions), len(wishes.tasks), len(statuses.local), len(history.queues))
			}
			r := &reconciler{dir: dir}
			for what, err := range map[string]error{
				"executions": r.save(executions), "tasks": file.saveTasks(wishes.tasks), "statuses": statuses.save(),
			} {
				if err != nil {
					t.Fatal(what, err)
				}
			}
			history.save()
			for _, name := range []string{executionsFile, tasksFile, statusesFile, historyFile} {
				want, _ := os.ReadFile(filepath.Join(recorded, name))
				got, _ := os.ReadFile(filepath.Join(dir.path, name))
				if d := cmp.Diff(string(want), string(got)); d != "" {
					t.Errorf("%s (-original +ours):\n%s", name, d)
				}
			}
		})
	}
}

func TestDamagedStateFilesAreSetAside(t *testing.T) {
	for _, name := range []string{executionsFile, tasksFile, statusesFile, historyFile, memoryFile, wishesFile} {
		for _, garbage := range []string{"{", "null", "[1,2]", "\x00\xff", `{"a":1}`, `{"foo:1:x":{"goal":"NO"}}`} {
			t.Run(name+" "+garbage, func(t *testing.T) {
				dir := open(t, t.TempDir())
				path := filepath.Join(dir.path, name)
				if err := os.WriteFile(path, []byte(garbage), 0o644); err != nil {
					t.Fatal(err)
				}
				memory, err1 := openMemory(dir, place{})
				executions, err2 := openExecutions(dir)
				wishes, _, err3 := openWishes(dir, "h", executions, false)
				statuses, err4 := openStatuses(dir, zerolog.Nop())
				history, err5 := openHistory(dir, "h", zerolog.Nop())
				if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
					t.Fatal(err)
				}
				if len(executions)+len(wishes.tasks)+len(statuses.local)+len(history.queues) > 0 || memory.Hosts != nil {
					t.Error("something was made of it")
				}
				kept, _ := filepath.Glob(path + ".damaged-*")
				if valid := garbage == "null" || name == memoryFile && strings.HasPrefix(garbage, `{"`); len(kept) == 0 && !valid {
					t.Error("nothing was set aside")
				}
				for _, aside := range kept {
					if data, _ := os.ReadFile(aside); string(data) != garbage {
						t.Errorf("set aside was %q", data)
					}
				}
			})
		}
	}
}

func TestMemorySurvives(t *testing.T) {
	dir := open(t, t.TempDir())
	memory, err := openMemory(dir, place{})
	if err != nil {
		t.Fatal(err)
	}
	want := remembered{
		Hosts: &store.Mark{Created: 1 << 40, Changes: 3}, Host: &store.Mark{Created: 5}, Former: []string{"b"},
	}
	if err := memory.change(func(m *remembered) { *m = want }); err != nil {
		t.Fatal(err)
	}
	again, err := openMemory(dir, place{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, again.remembered); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestHistoryQueue(t *testing.T) {
	at := time.UnixMilli(1_000_000)
	status := func(name string) job.TaskStatus {
		return job.TaskStatus{Job: job.Job{ID: testID(name)}, State: job.Running}
	}
	t.Run("two events of one millisecond have two times", func(t *testing.T) {
		h, err := openHistory(open(t, t.TempDir()), "h", zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		h.add(status("a"), at)
		h.add(status("a"), at)
		h.add(status("b"), at)
		if q := h.queues[testID("a")]; q[0].Timestamp != 1_000_000 || q[1].Timestamp != 1_000_001 {
			t.Errorf("times %d, %d", q[0].Timestamp, q[1].Timestamp)
		}
		if q := h.queues[testID("b")]; q[0].Timestamp != 1_000_000 {
			t.Errorf("another job's time is %d", q[0].Timestamp)
		}
	})
	t.Run("thirty of a job are kept, the newest, across a restart", func(t *testing.T) {
		dir := open(t, t.TempDir())
		h, err := openHistory(dir, "h", zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			h.add(status("a"), at.Add(time.Duration(i)*time.Millisecond))
		}
		h.keep()
		again, err := openHistory(dir, "h", zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		q := again.queues[testID("a")]
		if len(q) != 30 || q[0].Timestamp != 1_000_020 || q[29].Timestamp != 1_000_049 {
			t.Errorf("%d events from %d", len(q), q[0].Timestamp)
		}
	})
	t.Run("what cannot be written waits, the oldest first, and leaves the file when it is written", func(t *testing.T) {
		dir := open(t, t.TempDir())
		h, err := openHistory(dir, "h", zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		h.add(status("b"), at.Add(time.Second))
		h.add(status("a"), at)
		var written []string
		away := errors.New("away")
		if err := h.drain(t.Context(), func(context.Context, job.ID, []job.TaskStatusEvent) (int, error) { return 0, away }); !errors.Is(err, away) {
			t.Fatal(err)
		}
		err = h.drain(t.Context(), func(_ context.Context, id job.ID, events []job.TaskStatusEvent) (int, error) {
			written = append(written, id.Name)
			return len(events), nil
		})
		if err != nil || strings.Join(written, "") != "ab" {
			t.Fatalf("%v, written %v", err, written)
		}
		h.writing.Wait()
		again, err := openHistory(dir, "h", zerolog.Nop())
		if err != nil || len(again.queues) > 0 {
			t.Errorf("%v, left %v", err, again.queues)
		}
	})
}

// TestTheLockIsThatOfTheOriginal: a record lock on the whole file, which excludes a Java agent and is excluded by it.
func TestTheLockIsThatOfTheOriginal(t *testing.T) {
	path := t.TempDir()
	dir := open(t, path)
	java := func() (*exec.Cmd, string) {
		t.Helper()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "HELIOS_TEST_RECORD_LOCK="+filepath.Join(path, "lock"))
		end, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			end.Close()
			_ = cmd.Wait()
		})
		said := make([]byte, 100)
		n, _ := out.Read(said)
		return cmd, string(said[:n])
	}
	if _, said := java(); said != "resource temporarily unavailable" {
		t.Errorf("while our agent has it, another one gets: %s", said)
	}
	dir.close()
	if _, said := java(); said != "locked" {
		t.Errorf("after it has ended: %s", said)
	}
	if _, err := openStateDir(path, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "State lock file already locked") {
		t.Errorf("while another one has it, our agent gets: %v", err)
	}
}
