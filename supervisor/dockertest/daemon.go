// Package dockertest gives tests the machine's own Docker daemon: a host name of their own, by which the containers that
// an agent or engine under test makes are found and at the end removed; images that hold nothing but the workload or
// busybox; and a registry in the test process, so that pulls are real without a network. It never touches containers or
// images that it was not told of, and never starts or stops the daemon.
package dockertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"
)

// patience is how long one request to the daemon may take; loaded machines are slow.
const patience = 3 * time.Minute

// Daemon is the Docker daemon of this machine (or of DOCKER_HOST) as one test sees it.
type Daemon struct {
	// Host is a host name that no other test uses. Containers that carry it in their label helios.host belong to the
	// test and are removed when it ends, as are those given to Own.
	Host string

	t       testing.TB
	client  *client.Client
	labels  []string // "key=value": containers with any of them belong to the test
	ids     []string // of containers without such labels
	images  []string // patterns of references to remove
	volumes []string // names of volumes to remove
}

// Container is what the daemon says of one container.
type Container struct {
	ID     string
	Name   string // without the slash in front
	Image  string // as it was named at creation
	State  string // created, running, paused, restarting, removing, exited, dead
	Labels map[string]string
}

// New returns the daemon, or skips the test if none answers; with HELIOS_E2E=1 the test then fails. When the test ends,
// after all clean-ups registered later, its containers and images are removed.
func New(t testing.TB) *Daemon {
	t.Helper()
	docker, err := client.New(client.FromEnv)
	if err == nil {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err = docker.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	}
	if err != nil {
		if os.Getenv("HELIOS_E2E") == "1" {
			t.Fatalf("no Docker daemon: %v", err)
		}
		t.Skipf("no Docker daemon: %v", err)
	}
	d := &Daemon{Host: "t" + strings.ToLower(rand.Text()[:10]) + ".test", t: t, client: docker}
	d.Own("helios.host=" + d.Host)
	t.Cleanup(d.clean)
	return d
}

// Own makes all containers with the label, given as "key=value", belong to the test: for names that cannot be unique.
func (d *Daemon) Own(label string) {
	d.labels = append(d.labels, label)
}

// OwnVolume has a volume removed when the test ends.
func (d *Daemon) OwnVolume(name string) { d.volumes = append(d.volumes, name) }

// Run runs a container that no agent made, under the name and without labels, and returns its id. Containers does not
// list it; it is removed when the test ends.
func (d *Daemon) Run(name, reference string, command ...string) string {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	made, err := d.client.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: name, Config: &container.Config{Image: reference, Cmd: command},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.ids = append(d.ids, made.ID)
	if _, err := d.client.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		d.t.Fatal(err)
	}
	return made.ID
}

// Containers returns the test's containers, stopped ones included, the newest first.
func (d *Daemon) Containers() []Container {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	containers, err := d.containers(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	return containers
}

func (d *Daemon) containers(ctx context.Context) ([]Container, error) {
	var all []Container
	for _, label := range d.labels {
		list, err := d.client.ContainerList(ctx, client.ContainerListOptions{
			All: true, Filters: make(client.Filters).Add("label", label),
		})
		if err != nil {
			return nil, err
		}
		for _, c := range list.Items {
			if slices.ContainsFunc(all, func(other Container) bool { return other.ID == c.ID }) {
				continue
			}
			var name string
			if len(c.Names) > 0 {
				name = strings.TrimPrefix(c.Names[0], "/")
			}
			all = append(all, Container{ID: c.ID, Name: name, Image: c.Image, State: string(c.State), Labels: c.Labels})
		}
	}
	return all, nil
}

// Inspect returns the daemon's full answer about the container, as JSON.
func (d *Daemon) Inspect(id string) json.RawMessage {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	answer, err := d.client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return answer.Raw
}

// Logs returns what the container has written to its standard output and error so far.
func (d *Daemon) Logs(id string) string {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	stream, err := d.client.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		d.t.Fatal(err)
	}
	defer stream.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, stream); err != nil {
		d.t.Fatal(err)
	}
	return text.String()
}

// Version returns the version that the daemon reports.
func (d *Daemon) Version() string {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	answer, err := d.client.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return answer.Version
}

// Kill sends SIGKILL to the container's process behind the back of whoever looks after it.
func (d *Daemon) Kill(id string) {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	if _, err := d.client.ContainerKill(ctx, id, client.ContainerKillOptions{}); err != nil {
		d.t.Fatal(err)
	}
}

// Exec runs a command in the container, to its end.
func (d *Daemon) Exec(id string, command ...string) {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	made, err := d.client.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		d.t.Fatal(err)
	}
	attached, err := d.client.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	defer attached.Close()
	output, _ := io.ReadAll(attached.Reader) // until the command has ended
	if ended, err := d.client.ExecInspect(ctx, made.ID, client.ExecInspectOptions{}); err != nil || ended.ExitCode != 0 {
		d.t.Fatalf("%s in %s: exit status %d, %v: %s", command, id, ended.ExitCode, err, output)
	}
}

// Remove removes the container, running or not, behind the back of whoever looks after it.
func (d *Daemon) Remove(id string) {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	if err := d.remove(ctx, id); err != nil {
		d.t.Fatal(err)
	}
}

func (d *Daemon) remove(ctx context.Context, id string) error {
	_, err := d.client.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	return err
}

// request returns the context of one request. It outlives the test's own, for clean-ups.
func (d *Daemon) request() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(d.t.Context()), patience)
}

// clean removes containers before the images they are made of.
func (d *Daemon) clean() {
	ctx, cancel := d.request()
	defer cancel()
	defer d.client.Close()
	containers, err := d.containers(ctx)
	if err != nil {
		d.t.Error(err)
	}
	ids := d.ids
	for _, c := range containers {
		ids = append(ids, c.ID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var removals errgroup.Group
	removals.SetLimit(8)
	for _, id := range ids {
		removals.Go(func() error {
			ctx, cancel := d.request()
			defer cancel()
			if err := d.remove(ctx, id); err != nil && !errdefs.IsNotFound(err) {
				d.t.Error(err)
			}
			return nil
		})
	}
	_ = removals.Wait()
	ctx, cancel = d.request() // a minute may be over
	defer cancel()
	for _, name := range d.volumes {
		if _, err := d.client.VolumeRemove(ctx, name, client.VolumeRemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
			d.t.Error(err)
		}
	}
	for _, pattern := range d.images {
		list, err := d.client.ImageList(ctx, client.ImageListOptions{
			Filters: make(client.Filters).Add("reference", pattern),
		})
		if err != nil {
			d.t.Error(err)
		}
		for _, image := range list.Items {
			_, err := d.client.ImageRemove(ctx, image.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
			if err != nil && !errdefs.IsNotFound(err) {
				d.t.Error(err)
			}
		}
	}
}
