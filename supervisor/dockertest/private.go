package dockertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/helios-go/helios/store/storetest"
)

// Private is a Docker daemon of the test's own, which may be stopped and killed. Its containers have no network.
type Private struct {
	*Daemon
	// Endpoint is its address.
	Endpoint string

	dir  string
	args []string
	cmd  *exec.Cmd
}

// StartPrivate starts a daemon with the arguments beside those that keep it apart from the machine's own: socket, data,
// processes and network. It skips the test, or fails it with HELIOS_E2E=1, where it may not.
func StartPrivate(t testing.TB, args ...string) *Private {
	t.Helper()
	_, missing := exec.LookPath("dockerd")
	if missing != nil || os.Geteuid() != 0 {
		if os.Getenv("HELIOS_E2E") == "1" {
			t.Fatalf("no dockerd to start as root: %v", missing)
		}
		t.Skipf("no dockerd to start as root: %v", missing)
	}
	dir, err := os.MkdirTemp("", "dockerd") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	p := &Private{dir: dir, Endpoint: "unix://" + filepath.Join(dir, "docker.sock")}
	p.args = append([]string{
		"--host", p.Endpoint, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--bridge", "none", "--iptables=false", "--storage-driver", "vfs",
	}, args...)
	docker, err := client.New(client.WithHost(p.Endpoint))
	if err != nil {
		t.Fatal(err)
	}
	p.Daemon = &Daemon{Host: "t" + strings.ToLower(rand.Text()[:10]) + ".test", t: t, client: docker}
	p.Own("helios.host=" + p.Host)
	t.Cleanup(func() {
		p.clean() // all containers have ended, so that none outlives the daemon
		p.Stop()
		_ = syscall.Unmount(filepath.Join(dir, "data"), syscall.MNT_DETACH) // it mounts its data upon itself
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	p.Start()
	return p
}

// Start starts the daemon, which has ended, and waits until it answers.
func (p *Private) Start() {
	p.t.Helper()
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command("dockerd", p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Without a network of its own it would take away the bridge of the machine's daemon.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	storetest.Eventually(p.t, patience, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err := p.client.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
		if err != nil {
			text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
			err = fmt.Errorf("%w\n%s", err, text[max(0, len(text)-1000):])
		}
		return err
	})
}

// Stop ends the daemon in order; with --live-restore its containers go on running.
func (p *Private) Stop() { p.end(syscall.SIGTERM) }

// Crash ends the daemon at once; with --live-restore its containers go on running.
func (p *Private) Crash() {
	p.t.Helper()
	p.end(syscall.SIGKILL)
	p.forgetContainerd()
}

// Hang keeps the daemon from doing anything until GoOn; its containers go on running.
func (p *Private) Hang() { p.signal(syscall.SIGSTOP) }

// GoOn lets a daemon that hangs go on.
func (p *Private) GoOn() { p.signal(syscall.SIGCONT) }

func (p *Private) signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Error(err)
	}
}

// forgetContainerd waits for the daemon's own containerd, which dies with it, and makes the next daemon start another
// one. Where process 1 reaps no orphans, it would take the dead one for a live one for ever.
func (p *Private) forgetContainerd() {
	p.t.Helper()
	file := filepath.Join(p.dir, "exec", "containerd", "containerd.pid")
	pid, err := os.ReadFile(file)
	if err != nil {
		return // it never ran
	}
	storetest.Eventually(p.t, patience, func() error {
		stat, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "stat"))
		_, state, _ := strings.Cut(string(stat), ") ")
		if err == nil && !strings.HasPrefix(state, "Z") {
			return fmt.Errorf("containerd is alive: %s", stat)
		}
		return nil
	})
	if err := os.Remove(file); err != nil {
		p.t.Error(err)
	}
}

func (p *Private) end(signal syscall.Signal) {
	p.t.Helper()
	if p.cmd == nil || p.cmd.ProcessState != nil {
		return
	}
	p.signal(signal)
	if _, exited := errors.AsType[*exec.ExitError](p.cmd.Wait()); !exited && !p.cmd.ProcessState.Exited() {
		p.t.Errorf("dockerd did not end: %s", p.cmd.ProcessState)
	}
}
