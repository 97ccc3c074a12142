package zkserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// The environment of a test binary that is to be a server.
const (
	childDir         = "ZKSERVER_CHILD_DIR"
	childSnapshotLog = "ZKSERVER_CHILD_SNAPSHOT_LOG"
)

// Child is a server in a process of its own: the test binary.
type Child struct {
	Addr string
	t    testing.TB
	cmd  *exec.Cmd
}

// serveAsChild is the whole life of such a process. It is false in the test process itself.
func serveAsChild() bool {
	dir := os.Getenv(childDir)
	if dir == "" {
		return false
	}
	srv, err := New(Options{Addr: "127.0.0.1:0", Dir: dir, Logger: zerolog.New(os.Stderr).Level(zerolog.WarnLevel)})
	if err != nil {
		fmt.Println("error", err)
		return true
	}
	if n, err := strconv.ParseInt(os.Getenv(childSnapshotLog), 10, 64); err == nil && n > 0 {
		srv.pipeline.snapshotLog = n
	}
	fmt.Println("listening", srv.Addr())
	if err := srv.Run(context.Background()); err != nil {
		fmt.Println("error", err)
	}
	return true
}

// StartChild starts a server process on a directory; it is killed at the end of the test, if not before. A snapshotLog
// above 0 is how much log it takes for a snapshot.
func StartChild(t testing.TB, dir string, snapshotLog int64) *Child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprint(childSnapshotLog, "=", snapshotLog))
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &Child{t: t, cmd: cmd}
	t.Cleanup(c.Kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if err != nil || !ok {
		t.Fatalf("child says %q, %v", line, err)
	}
	c.Addr = addr
	return c
}

// PID is the process's number.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Kill ends the process with SIGKILL and waits for its end.
func (c *Child) Kill() {
	if c.cmd.ProcessState != nil {
		return
	}
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Error(err)
	}
	_ = c.cmd.Wait() // killed
}
