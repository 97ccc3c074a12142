package roles_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/helios-go/helios/store/storetest"
)

// The tests of whole processes run the binary that is shipped, real Docker and, beside solo, a real ZooKeeper. This file
// is what they share: processes, clusters, and what a test asks of them.

// inTime is how long an effect may take; loaded machines are slow. Nothing waits that long when all is well.
const inTime = 3 * time.Minute

// buildDir is where binary was built, if it was; TestMain removes it.
var buildDir string

// binary is the helios that is shipped, built once for all tests.
var binary = sync.OnceValues(func() (path string, err error) {
	if buildDir, err = os.MkdirTemp("", "helios"); err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "helios")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", path, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build helios: %w\n%s", err, out)
	}
	return path, nil
})

// command is one call of the binary, in surroundings that hold nothing of the caller's.
func command(t testing.TB, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, args...)
	c.Dir = t.TempDir()
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "HELIOS_") {
			c.Env = append(c.Env, variable)
		}
	}
	c.Env = append(append(c.Env, "HOME="+c.Dir, "XDG_STATE_HOME="+filepath.Join(c.Dir, "state")), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // none outlives the tests
	return c
}

// result is what a command printed and how it ended.
type result struct {
	out, err string
	exit     int
}

func (r result) String() string {
	return fmt.Sprintf("exit %d, stdout %q, stderr %q", r.exit, r.out, r.err)
}

// helios runs a client command to its end.
func helios(t testing.TB, env []string, args ...string) result {
	t.Helper()
	c := command(t, env, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), c.ProcessState.ExitCode()}
}

// process is a daemon that can be ended and started again. What it wrote is kept with the artifacts of the test, and its
// end is shown where the test fails.
type process struct {
	t    testing.TB
	env  []string
	args []string
	path string // of its standard output; that of its log is path.log
	cmd  *exec.Cmd
	// program is run in place of the binary; "": the binary.
	program string
}

// start runs a daemon until the test ends.
func start(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	dir, err := os.MkdirTemp(t.ArtifactDir(), args[0])
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, env: env, args: args, path: filepath.Join(dir, args[0])}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			lines := strings.SplitAfter(p.log(), "\n")
			t.Logf("helios %s:\n%s", strings.Join(args, " "), strings.Join(lines[max(0, len(lines)-40):], ""))
		}
	})
	p.restart()
	return p
}

// restart starts the process, which has ended, with the same words. Its log grows; its standard output is new.
func (p *process) restart() {
	p.t.Helper()
	c := command(p.t, p.env, p.args...)
	if p.program != "" {
		c.Path, c.Args[0] = p.program, p.program
	}
	out, err := os.Create(p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	log, err := os.OpenFile(p.path+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	c.Stdout, c.Stderr = out, log
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = c
}

// end waits until the process has ended and returns its exit status, -1 after a deadly signal. One that hangs is killed.
func (p *process) end() int {
	p.t.Helper()
	timer := time.AfterFunc(inTime, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil && p.cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// stop ends the process in order and returns its exit status.
func (p *process) stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.end()
}

// kill ends the process as a crash would, if it still runs.
func (p *process) kill() {
	if p.cmd != nil && p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// out and log are what the process has written so far.
func (p *process) out() string { return read(p.path) }
func (p *process) log() string { return read(p.path + ".log") }

func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

// said waits until the log holds a match, and returns its first group.
func (p *process) said(pattern string) string {
	p.t.Helper()
	return awaitMatch(p.t, p.log, pattern)
}

func awaitMatch(t testing.TB, text func() string, pattern string) string {
	t.Helper()
	var found []string
	storetest.Eventually(t, inTime, func() error {
		if found = regexp.MustCompile(pattern).FindStringSubmatch(text()); found == nil {
			return fmt.Errorf("no %s in %s", pattern, text())
		}
		return nil
	})
	return found[len(found)-1]
}
