package roles_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// transcript is what an operator at a terminal types and sees. It is kept with the artifacts of the test.
type transcript struct {
	*cluster
	text  bytes.Buffer
	names *strings.Replacer // of the test's hosts
}

// types runs a command in a terminal and returns what it shows.
func (o *transcript) types(exit int, args ...string) string {
	o.t.Helper()
	c := command(o.t, []string{"HELIOS_MASTER=" + o.api, "TERM=dumb"}, args...)
	words := strings.Join(append([]string{c.Path}, args...), " ")
	c.Path, c.Args = "/usr/bin/script", []string{"script", "-qec", "stty cols 120; " + words, "/dev/null"}
	out, err := c.Output()
	if c.ProcessState == nil {
		o.t.Fatal(err)
	}
	shown := strings.ReplaceAll(string(out), "\r\n", "\n")
	fmt.Fprint(&o.text, o.names.Replace("$ helios "+strings.Join(args, " ")+"\n"+shown))
	if got := c.ProcessState.ExitCode(); got != exit {
		fmt.Fprintf(&o.text, "[exit %d]\n", got)
		o.t.Errorf("%v ended with %d, want %d: %s", args, got, exit, shown)
	} else if exit != 0 {
		fmt.Fprintf(&o.text, "[exit %d]\n", got)
	}
	return shown
}

// remark is what an operator does elsewhere.
func (o *transcript) remark(text string) { fmt.Fprintf(&o.text, "\n# %s\n", text) }

func (o *transcript) keep() {
	o.t.Helper()
	path := filepath.Join(o.t.ArtifactDir(), "transcript.txt")
	if err := os.WriteFile(path, o.text.Bytes(), 0o600); err != nil {
		o.t.Error(err)
	}
	o.t.Logf("%s:\n%s", path, o.text.String())
}

// awaitDoubt waits until the host is in doubt about so many tasks.
func (c *cluster) awaitDoubt(name string, tasks int) *host.Doubt {
	c.t.Helper()
	var doubt *host.Doubt
	storetest.Eventually(c.t, inTime, func() error {
		w, err := c.HostWishes(c.t.Context(), name)
		if err != nil {
			return err
		}
		if doubt = w.Doubt; doubt == nil && tasks > 0 || doubt != nil && len(doubt.Tasks) != tasks {
			return fmt.Errorf("%s is in doubt: %+v, want about %d tasks", name, doubt, tasks)
		}
		return nil
	})
	return doubt
}

// The containers of three hosts outlive their store, and an operator says on which side the truth is.
func TestWipedStoreEndsNothingUntilAPersonSaysSo(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/usr/bin/script"); err != nil {
		t.Skip("there is no terminal without script(1)")
	}
	zookeeper := storetest.StartEnsemble(t, 1)
	c, _ := startMaster(t, zookeeper.Servers())
	var hosts []*hostCase
	var ids []job.ID
	var containers, names []string
	for i := range 3 {
		docker := dockertest.New(t)
		h := &hostCase{cluster: c, docker: docker, image: *shell(t, docker)}
		startAgent(c, docker, nil)
		hosts = append(hosts, h)
		names = append(names, docker.Host, fmt.Sprintf("db%d.example.com", i+1))
		h.await(docker.Host, host.Up)
		id := h.create(job.Job{Image: &h.image, Command: idle})
		ids, containers = append(ids, id), append(containers, *h.run(id).ContainerID)
	}
	for i, id := range ids {
		names = append(names, id.Name, []string{"web", "mail", "queue"}[i])
	}
	o := &transcript{cluster: c, names: strings.NewReplacer(names...)}
	defer o.keep()
	stay := func() error {
		var errs []error
		for i, h := range hosts {
			errs = append(errs, h.alone(ids[i], containers[i]))
		}
		return errors.Join(errs...)
	}
	first, second, third := hosts[0].docker.Host, hosts[1].docker.Host, hosts[2].docker.Host
	o.types(0, "hosts")

	o.remark("ZooKeeper loses its disk")
	zookeeper.Kill(0)
	zookeeper.Wipe(0)
	zookeeper.Restart(0)
	zookeeper.AwaitServing(0)
	for _, h := range hosts {
		c.awaitDoubt(h.docker.Host, 1)
	}
	if shown := o.types(0, "hosts"); !strings.Contains(shown, "IN DOUBT") {
		t.Errorf("hosts shows no doubt:\n%s", shown)
	}
	if piped := c.must("hosts"); strings.Contains(piped, "DOUBT") {
		t.Errorf("hosts is not the original's in a pipe:\n%s", piped)
	}
	if shown := o.types(0, "store", "diff", first); !strings.Contains(shown, "runs here, not stored") {
		t.Errorf("store diff shows\n%s", shown)
	}
	holds(t, 3*time.Second, stay)

	o.remark("on the first host what runs is what should run")
	o.types(0, "accept", "--yes", "--keep", first)
	c.awaitDoubt(first, 0)
	storetest.Eventually(t, inTime, func() error { return c.runs(ids[0], first, containers[0]) })
	o.types(0, "store", "diff", first)
	o.types(4, "accept", "--yes", "--keep", first)

	o.remark("on the second it is out of date, and shall end")
	if err := stay(); err != nil {
		t.Error(err)
	}
	o.types(0, "accept", "--yes", "--follow", second)
	storetest.Eventually(t, inTime, func() error {
		if left := running(hosts[1].docker, ids[1]); len(left) > 0 {
			return fmt.Errorf("%d run", len(left))
		}
		return nil
	})
	o.types(0, "store", "diff", second)

	o.remark("to the third its job is deployed again, which names it: there is nothing left to accept")
	again := job.Job{ID: job.ID{Name: ids[2].Name, Version: ids[2].Version}, Image: &hosts[2].image, Command: idle}
	if _, err := c.CreateJob(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	c.deploy(ids[2], third)
	c.awaitDoubt(third, 0)
	storetest.Eventually(t, inTime, func() error { return c.runs(ids[2], third, containers[2]) })
	o.types(0, "store", "diff", third)
	shown := o.types(0, "hosts")
	if regexp.MustCompile(`DOUBT`).MatchString(shown) {
		t.Errorf("hosts still shows doubts:\n%s", shown)
	}
	for _, i := range []int{0, 2} {
		if err := hosts[i].alone(ids[i], containers[i]); err != nil {
			t.Error(err)
		}
	}
}
