package storetest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Process is a real ZooKeeper that runs alone, as Debian's package sets it up: with fsync, the virtual machine left to its
// own defaults. It is for measuring.
type Process struct {
	t testing.TB
	m *member
}

// StartZooKeeper starts such a server for the duration of the test.
func StartZooKeeper(t testing.TB) *Process {
	t.Helper()
	requireZooKeeper(t)
	m := &member{dir: t.TempDir(), addr: FreeAddr(t), java: []string{"-server"}}
	m.configure(t, "tickTime=2000\ninitLimit=10\nsyncLimit=5\n")
	p := &Process{t, m}
	m.start(t)
	t.Cleanup(func() { m.kill(t) })
	Eventually(t, startLimit, m.serving)
	return p
}

// Addr is where the server listens.
func (p *Process) Addr() string { return p.m.addr }

// PID is the number of the Java process: the one child of the shell that it is started by.
func (p *Process) PID() int {
	p.t.Helper()
	shell := p.m.cmd.Process.Pid
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", shell, shell))
	if err != nil {
		p.t.Fatalf("find ZooKeeper's process: %v", err)
	}
	for field := range strings.FieldsSeq(string(children)) {
		pid, err := strconv.Atoi(field)
		name, readErr := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && readErr == nil && strings.TrimSpace(string(name)) == "java" {
			return pid
		}
	}
	p.t.Fatalf("find ZooKeeper's process: not among %q", children)
	return 0
}

// Restart ends the server and starts it again with its data.
func (p *Process) Restart() {
	p.t.Helper()
	p.m.kill(p.t)
	p.m.start(p.t)
	Eventually(p.t, startLimit, p.m.serving)
}
