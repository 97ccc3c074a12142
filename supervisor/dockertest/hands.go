package dockertest

import (
	"context"

	"github.com/moby/moby/client"
)

// What people do to containers by hand, behind the back of whoever looks after them.

// Pause stops the container's processes until Unpause, without ending them.
func (d *Daemon) Pause(id string) {
	d.t.Helper()
	d.must(func(ctx context.Context) error {
		_, err := d.client.ContainerPause(ctx, id, client.ContainerPauseOptions{})
		return err
	})
}

// Unpause lets a paused container go on.
func (d *Daemon) Unpause(id string) {
	d.t.Helper()
	d.must(func(ctx context.Context) error {
		_, err := d.client.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{})
		return err
	})
}

// Rename gives the container another name.
func (d *Daemon) Rename(id, name string) {
	d.t.Helper()
	d.must(func(ctx context.Context) error {
		_, err := d.client.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name})
		return err
	})
}

// Duplicate runs another container like the given one, with its labels but no ports, under the name, and returns its id.
func (d *Daemon) Duplicate(id, name string) string {
	d.t.Helper()
	var copied string
	d.must(func(ctx context.Context) error {
		original, err := d.client.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		config := *original.Container.Config
		config.Hostname, config.ExposedPorts = "", nil
		made, err := d.client.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name, Config: &config})
		if err != nil {
			return err
		}
		copied = made.ID
		d.ids = append(d.ids, copied)
		_, err = d.client.ContainerStart(ctx, copied, client.ContainerStartOptions{})
		return err
	})
	return copied
}

// must makes one request.
func (d *Daemon) must(request func(context.Context) error) {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	if err := request(ctx); err != nil {
		d.t.Fatal(err)
	}
}
