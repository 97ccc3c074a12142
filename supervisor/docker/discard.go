package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/helios-go/helios/supervisor"
)

var errHasRun = errors.New("it has run, or may have")

// discard removes a container that the daemon has refused to start (Q19), with the volumes that have no name. One that
// has run is left, whatever became of it, and the daemon itself removes none that runs. Only the lack of an answer is an
// error; one that the daemon does not remove is left too.
func (e *Engine) discard(ctx context.Context, id string) error {
	err := e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) error {
		seen, err := cli.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		state := seen.Container.State
		if state == nil || seen.Container.ID != id || state.Running || state.Paused || state.Restarting {
			return errHasRun
		}
		if began, err := time.Parse(time.RFC3339Nano, state.StartedAt); err != nil || !began.IsZero() {
			return errHasRun
		}
		_, err = cli.ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true})
		return err
	})
	switch {
	case err == nil || errdefs.IsNotFound(err) || errors.Is(err, errHasRun):
		return nil
	case errors.Is(err, supervisor.ErrUnavailable) || ctx.Err() != nil:
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	if e.news.is("removal of "+id, err.Error()) {
		e.log.Warn().Err(err).Str("container", id).Msg("a container that docker refused to start is not removed")
	}
	return nil
}
