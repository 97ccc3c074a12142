package dockertest

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// run makes the daemon run the image as the test's container, as an agent would, and returns its exit status.
func run(t *testing.T, d *Daemon, reference string, command ...string) int64 {
	t.Helper()
	id := create(t, d, reference, command...)
	if _, err := d.client.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	wait := d.client.ContainerWait(t.Context(), id, client.ContainerWaitOptions{})
	select {
	case end := <-wait.Result:
		return end.StatusCode
	case err := <-wait.Error:
		t.Fatal(err)
		return -1
	}
}

func create(t *testing.T, d *Daemon, reference string, command ...string) string {
	t.Helper()
	created, err := d.client.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: d.Host,
		Config: &container.Config{
			Image: reference, Cmd: command, Labels: map[string]string{"helios.host": d.Host, "k": "v"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return created.ID
}

func pull(ctx context.Context, d *Daemon, reference string) error {
	progress, err := d.client.ImagePull(ctx, reference, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	return errors.Join(progress.Wait(ctx), progress.Close())
}

func TestPushedImagesArePulledAndRun(t *testing.T) {
	t.Parallel()
	d := New(t)
	r := d.Registry("127.0.0.1:0")
	reference := r.Push("some/probe:1", Probe(t))
	if _, err := d.client.ImageInspect(t.Context(), reference); !errdefs.IsNotFound(err) {
		t.Fatalf("before the pull: %v, want that it is not there", err)
	}
	if err := pull(t.Context(), d, reference); err != nil {
		t.Fatal(err)
	}
	if code := run(t, d, reference, "exit", "7"); code != 7 {
		t.Errorf("exit status %d, want 7", code)
	}
	if err := pull(t.Context(), d, r.Addr+"/nosuch:1"); err == nil {
		t.Error("an image that was not pushed could be pulled")
	}
}

func TestLoadedImagesRunWithoutARegistry(t *testing.T) {
	t.Parallel()
	d := New(t)
	reference := "127.0.0.1:1/" + d.Host + "/busybox:1"
	d.Load(reference, Busybox(t))
	if code := run(t, d, reference, "sh", "-c", "exit 3"); code != 3 {
		t.Errorf("exit status %d, want 3", code)
	}
	if err := pull(t.Context(), d, reference); err == nil {
		t.Error("an image of no registry could be pulled")
	}
}

func TestContainersAreSeenKilledAndRemoved(t *testing.T) {
	t.Parallel()
	d := New(t)
	d.Own("k=v-of-" + d.Host)
	if got := d.Containers(); len(got) > 0 {
		t.Fatalf("containers at first: %v", got)
	}
	reference := "127.0.0.1:1/" + d.Host + "/probe:1"
	d.Load(reference, Probe(t))
	id := create(t, d, reference, "ignoreterm")
	see := func(state string) {
		t.Helper()
		got := d.Containers()
		if len(got) != 1 || got[0].ID != id || got[0].Name != d.Host || got[0].Image != reference ||
			got[0].Labels["k"] != "v" || got[0].State != state {
			t.Errorf("containers %v, want %s %s", got, id, state)
		}
	}
	see("created")
	if _, err := d.client.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	see("running")
	wait := d.client.ContainerWait(t.Context(), id, client.ContainerWaitOptions{})
	d.Kill(id)
	select {
	case end := <-wait.Result:
		if end.StatusCode != 137 {
			t.Errorf("killed with status %d, want 137", end.StatusCode)
		}
	case err := <-wait.Error:
		t.Fatal(err)
	}
	see("exited")
	if len(d.Inspect(id)) == 0 {
		t.Error("nothing inspected")
	}
	d.Remove(id)
	if got := d.Containers(); len(got) > 0 {
		t.Errorf("containers after removal: %v", got)
	}
}

func TestNothingIsLeftAfterATest(t *testing.T) {
	t.Parallel()
	d := New(t)
	var reference, addr string
	inner := new(Daemon)
	t.Run("a test that leaves a container running", func(t *testing.T) {
		inner = New(t)
		r := inner.Registry("127.0.0.1:0")
		reference, addr = r.Push("probe:1", Probe(t)), r.Addr
		if err := pull(t.Context(), inner, reference); err != nil {
			t.Fatal(err)
		}
		id := create(t, inner, reference, "ignoreterm")
		if _, err := inner.client.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	d.Own("helios.host=" + inner.Host)
	if got := d.Containers(); len(got) > 0 {
		t.Errorf("containers %v", got)
	}
	if _, err := d.client.ImageInspect(t.Context(), reference); !errdefs.IsNotFound(err) {
		t.Errorf("image: %v, want that it is gone", err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the registry still listens")
	}
}

// outcome is a testing.TB that records how New ends a test.
type outcome struct {
	testing.TB
	ended string
}

func (o *outcome) Helper()               {}
func (o *outcome) Fatalf(string, ...any) { o.ended = "failed"; panic(io.EOF) }
func (o *outcome) Skipf(string, ...any)  { o.ended = "skipped"; panic(io.EOF) }

func TestAMissingDaemonSkipsOrFails(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+t.TempDir()+"/none.sock")
	for e2e, want := range map[string]string{"": "skipped", "1": "failed"} {
		t.Setenv("HELIOS_E2E", e2e)
		o := &outcome{TB: t}
		func() {
			defer func() { _ = recover() }()
			New(o)
		}()
		if o.ended != want {
			t.Errorf("with HELIOS_E2E=%q: %q, want %q", e2e, o.ended, want)
		}
	}
}
