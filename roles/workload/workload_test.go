package workload

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	if os.Getenv("WORKLOAD") != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestRun runs workloads in virtual time and, where term is set, ends them after it as a signal would.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		name string
		args string
		term time.Duration
		code int
		took time.Duration
	}{
		{"exit ends at once with its status", "exit 3", 0, 3, 0},
		{"exit waits the time it is given", "exit 3 2.5", 0, 3, 2500 * time.Millisecond},
		{"exit that is terminated ends with 0", "exit 3 60", time.Second, 0, time.Second},
		{"sleep ends with 0", "sleep 3600", 0, 0, time.Hour},
		{"sleep that is terminated ends with 0", "sleep 3600", time.Minute, 0, time.Minute},
		{"healthcheck ends with 0", "healthcheck", 0, 0, 0},
		{"no argument is wrong", "", 0, 2, 0},
		{"an unknown word is wrong", "dance", 0, 2, 0},
		{"a status that is no number is wrong", "exit x", 0, 2, 0},
		{"a time that is no number is wrong", "sleep x", 0, 2, 0},
		{"a surplus word is wrong", "sleep 1 2", 0, 2, 0},
		{"an unknown flag is wrong", "http -x", 0, 2, 0},
		{"a word after the flags is wrong", "http x", 0, 2, 0},
		{"an address that cannot be listened on ends with 1", "http -listen 127.0.0.1:-1", 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.term > 0 {
					defer time.AfterFunc(c.term, cancel).Stop()
				}
				start := time.Now()
				code, err := run(ctx, strings.Fields(c.args), io.Discard)
				if code != c.code || (code == 1 || code == 2) != (err != nil) {
					t.Errorf("code %d, error %v; want code %d", code, err, c.code)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestHTTPTalksAndExits(t *testing.T) {
	for _, c := range []struct {
		name  string
		text  string
		every time.Duration
		exit  time.Duration
		code  int
		want  string
	}{
		{"without a text it is silent", "", time.Second, 3 * time.Second, 0, ""},
		{"a text is printed once", "hi there", 0, time.Second, 4, "hi there\n"},
		{"a text is repeated", "hi", time.Second, 2500 * time.Millisecond, 0, "hi\nhi\nhi\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out bytes.Buffer
				start := time.Now()
				if code := talk(t.Context(), &out, c.text, c.every, c.exit, c.code); code != c.code {
					t.Errorf("code %d, want %d", code, c.code)
				}
				if diff := cmp.Diff(c.want, out.String()); diff != "" {
					t.Error(diff)
				}
				if took := time.Since(start); took != c.exit {
					t.Errorf("took %v, want %v", took, c.exit)
				}
			})
		})
	}
}

func TestHTTPAnswers(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		path    string
		failFor time.Duration
		age     time.Duration
		status  int
		body    string
	}{
		{"every path greets", "/any/thing", -1, 0, 200, "hello from " + host + "\n"},
		{"healthz is well at once by default", "/healthz", 0, 0, 200, "healthy\n"},
		{"healthz fails for its time", "/healthz", time.Hour, time.Minute, 500, "not yet healthy\n"},
		{"healthz is well after its time", "/healthz", time.Hour, 2 * time.Hour, 200, "healthy\n"},
		{"healthz fails for ever", "/healthz", -time.Second, 1000 * time.Hour, 500, "not yet healthy\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			handler(time.Now().Add(-c.age), c.failFor).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, c.path, nil))
			if answer.Code != c.status || answer.Body.String() != c.body {
				t.Errorf("%d %q, want %d %q", answer.Code, answer.Body, c.status, c.body)
			}
		})
	}
}

func TestHTTPEndsWithZeroOnSignals(t *testing.T) {
	for _, end := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(end.String(), func(t *testing.T) {
			t.Parallel()
			process := start(t, "http", "-listen", "127.0.0.1:0", "-print", "ready")
			if err := process.Process.Signal(end); err != nil {
				t.Fatal(err)
			}
			process.Wait()
			if code := process.ProcessState.ExitCode(); code != 0 {
				t.Errorf("ended with %d, want 0", code)
			}
		})
	}
}

func TestIgnoretermIgnoresSIGTERM(t *testing.T) {
	t.Parallel()
	process := start(t, "ignoreterm")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "SigIgn:")
	mask, err := strconv.ParseUint(strings.Fields(after)[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if mask&(1<<(syscall.SIGTERM-1)) == 0 {
		t.Errorf("ignored signals are %x, without SIGTERM", mask)
	}
}

// start runs the workload as a process of its own, which ends with the test, and returns after its first output.
func start(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	process := exec.CommandContext(t.Context(), os.Args[0], args...)
	process.Env = append(os.Environ(), "WORKLOAD=1")
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { process.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return process
}
