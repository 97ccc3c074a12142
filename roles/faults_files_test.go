package roles_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestFaultsOfStateDirectories takes an agent's memory away, wholly and by halves.
func TestFaultsOfStateDirectories(t *testing.T) {
	promises(t, []promise{
		{"the disk of a state directory may be full, and dead containers are replaced meanwhile", 20 * time.Second, false, stateFull},
		{"a state directory may become read-only, and dead containers are replaced meanwhile", 20 * time.Second, false, stateReadOnly},
		{"each file of a state directory may be damaged", 10 * time.Second, false, stateDamaged},
		{"a state directory may be deleted, and its containers are adopted", 20 * time.Second, true, stateDeleted},
		{"a state directory and its agent id may be lost, and containers are adopted by their labels", 15 * time.Second, true, stateAndIDLost},
		{"a state directory may be deleted while Docker starts a container, which is started once", 20 * time.Second, false, stateDeletedInStart},
		{"a state directory may be replaced by an older one", 10 * time.Second, false, stateRestored},
	})
}

// content is what the files of a directory hold, by name.
func content(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

func fill(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func empty(t testing.TB, dir string) {
	t.Helper()
	for name := range content(t, dir) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// mount mounts something over the agent's state directory, and takes it away when the test ends.
func (tr *trial) mount(a *agent, source, kind string, flags uintptr, data string) {
	tr.Helper()
	if os.Geteuid() != 0 {
		tr.Skip("only root may mount")
	}
	if err := unix.Mount(source, a.dir, kind, flags, data); err != nil {
		tr.Fatal(err)
	}
	tr.Cleanup(func() {
		a.kill()
		_ = unix.Unmount(a.dir, unix.MNT_DETACH) // or the test did it
	})
}

// withoutDisk is the course of a fault in which nothing can be written: containers are replaced all the same, and a job
// that is deployed meanwhile runs afterwards.
func withoutDisk(tr *trial, c *faultCluster, end func()) {
	tr.Helper()
	a := c.agents[0]
	tr.hurt(a.docker, c.ids[0])
	before := running(a.docker, c.ids[0])[0].ID
	a.docker.Kill(before)
	id := c.create(job.Job{Image: &c.image})
	c.deploy(id, a.docker.Host)
	storetest.Eventually(tr, inTime, func() error {
		if runsOnly(a.docker, c.ids[0], before) == nil {
			return errors.New("it still runs")
		}
		return runsOnly(a.docker, c.ids[0], "")
	})
	tr.goesOn(3 * time.Second)
	a.kill()
	a.restart()
	tr.goesOn(4 * time.Second)
	end()
	tr.ends()
	tr.reaches(func() error {
		return errors.Join(c.wished(), c.runs(id, a.docker.Host, ""), tr.startsOnce(a.docker, id))
	})
	c.recovers()
}

func stateFull(tr *trial) {
	c := tr.start(setup{tasks: 3})
	a := c.agents[0]
	a.stop()
	files := content(tr, a.dir)
	tr.mount(a, "tmpfs", "tmpfs", 0, "size=256k")
	fill(tr, a.dir, files)
	a.restart()
	storetest.Eventually(tr, inTime, c.wished)
	filler := filepath.Join(a.dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		tr.Fatalf("the disk is not full: %v", err)
	}
	withoutDisk(tr, c, func() {
		if err := os.Remove(filler); err != nil {
			tr.Error(err)
		}
	})
}

func stateReadOnly(tr *trial) {
	c := tr.start(setup{tasks: 3})
	a := c.agents[0]
	tr.mount(a, a.dir, "", unix.MS_BIND, "")
	if err := unix.Mount("", a.dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		tr.Fatal(err)
	}
	withoutDisk(tr, c, func() {
		if status := a.end(); status != 1 || !strings.Contains(a.log(), "read-only file system") {
			tr.Errorf("the agent that cannot lock its state directory ended with %d: %s", status, a.log())
		}
		if err := unix.Unmount(a.dir, 0); err != nil {
			tr.Error(err)
		}
		a.restart() // as whatever keeps it running does
	})
}

func stateDamaged(tr *trial) {
	c := tr.start(setup{tasks: 3})
	a := c.agents[0]
	for name, good := range content(tr, a.dir) {
		for _, damaged := range [][]byte{[]byte(garbage), nil, good[:len(good)/2]} {
			a.kill()
			fill(tr, a.dir, map[string][]byte{name: damaged})
			before := registrations(a)
			a.restart()
			if name == "id" { // it is nobody, or somebody else, until a person puts that right
				tr.goesOn(2 * time.Second)
				a.kill()
				fill(tr, a.dir, map[string][]byte{name: good})
				before = registrations(a)
				a.restart()
			}
			tr.ends()
			tr.reaches(func() error {
				if registrations(a) == before {
					return errors.New("not registered again")
				}
				read, _ := os.ReadFile(filepath.Join(a.dir, "wishes.json"))
				if len(read) == 0 || name == "wishes.json" && bytes.Equal(read, damaged) {
					return errors.New("the task list is not read again") // what is deployed before that is in doubt
				}
				return c.wished()
			})
		}
	}
	c.recovers()
}

// registrations is how many times the agent has said that it is registered.
func registrations(a *agent) int { return strings.Count(a.log(), `"registered"`) }

func stateDeleted(tr *trial) {
	c := tr.start(setup{tasks: 3})
	a := c.agents[0]
	empty(tr, a.dir)
	tr.hurt(a.docker, c.ids[0])
	a.docker.Kill(running(a.docker, c.ids[0])[0].ID)
	tr.goesOn(4 * time.Second)
	a.kill()
	empty(tr, a.dir)
	a.restart()
	c.recovers()
}

func stateAndIDLost(tr *trial) {
	c := tr.start(setup{tasks: 3, agent: []string{"--zk-registration-ttl", "0"}})
	a := c.agents[0]
	a.kill()
	empty(tr, a.dir)
	a.args = append(a.args, "--id", unique("id"))
	c.awaitExpired()
	a.restart()
	c.recovers()
}

// stateRestored deploys a job and undeploys another one between the copy of the directory and its return.
func stateRestored(tr *trial) {
	c := tr.start(setup{tasks: 2})
	a := c.agents[0]
	gone := c.create(job.Job{Image: &c.image})
	c.deploy(gone, a.docker.Host)
	c.awaitState(gone, a.docker.Host, job.Running)
	files := content(tr, a.dir)
	c.undeploy(gone, a.docker.Host)
	c.awaitGone(gone, a.docker.Host)
	c.deployAll(1)
	a.kill()
	empty(tr, a.dir)
	fill(tr, a.dir, files)
	a.restart()
	tr.ends()
	tr.reaches(func() error {
		if s, err := c.task(gone, a.docker.Host); err != nil || s != nil {
			return errors.Join(errors.New(describe(s)), err)
		}
		return c.wished()
	})
	if n := tr.starts(a.docker, gone); n != 1 {
		tr.Errorf("the job that was undeployed was started %d times", n)
	}
	c.recovers()
}

// stateDeletedInStart has Docker take its time for a start: the agent that asked for it is gone by then, and the next one
// knows nothing of it.
func stateDeletedInStart(tr *trial) {
	c := tr.start(setup{})
	a := c.agents[0]
	link := tr.throughRules(a)
	storetest.Eventually(tr, inTime, c.wished)
	goOn, done := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goOn) })
	tr.Cleanup(release)
	var first atomic.Bool
	link.set(func(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
		if !strings.HasSuffix(r.URL.Path, "/start") || !first.CompareAndSwap(false, true) {
			daemon.ServeHTTP(w, r)
			return
		}
		<-goOn
		daemon.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		close(done)
	})
	id := c.create(job.Job{Image: &c.image})
	c.deploy(id, a.docker.Host)
	storetest.Eventually(tr, inTime, func() error {
		if !first.Load() {
			return errors.New("nothing is started yet")
		}
		return nil
	})
	a.kill()
	empty(tr, a.dir)
	tr.ends()
	a.restart()
	tr.reaches(func() error {
		return errors.Join(c.wished(), c.runs(id, a.docker.Host, ""), tr.startsOnce(a.docker, id))
	})
	release()
	<-done
	holds(tr, 2*time.Second, func() error { return tr.startsOnce(a.docker, id) })
	link.set(nil)
	c.recovers()
}
