package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/helios-go/helios/supervisor"
)

// Pull fetches an image, the tag "latest" if it names none. If that fails and the image is there, it is used as it is:
// a registry that is away does not keep a container from being restarted.
func (e *Engine) Pull(ctx context.Context, image string) error {
	pullErr := e.pull(ctx, image)
	if pullErr == nil || ctx.Err() != nil {
		return pullErr
	}
	err := e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) error {
		_, err := cli.ImageInspect(ctx, image)
		return err
	})
	switch {
	case err == nil:
		e.log.Warn().Str("image", image).Err(pullErr).Msg("image was not pulled, the local one is used")
		return nil
	case errors.Is(err, supervisor.ErrUnavailable):
		return err
	case missing(pullErr):
		return fmt.Errorf("%w: %w", supervisor.ErrImageMissing, pullErr)
	default:
		return fmt.Errorf("%w: %w", supervisor.ErrPullFailed, pullErr)
	}
}

// pull reads the daemon's progress to its end. The daemon answers 200 first and reports what fails in the stream.
func (e *Engine) pull(ctx context.Context, image string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(e.silence, func() { cancel(fmt.Errorf("no word from docker for %s", e.silence)) })
	defer watchdog.Stop()
	auth, err := credentials(ctx, e.opts.ClientConfig, image)
	if err != nil {
		e.log.Warn().Err(err).Str("image", image).Msg("image is pulled anonymously")
	}
	return e.ask(ctx, 0, func(ctx context.Context, cli *client.Client) error {
		progress, err := cli.ImagePull(ctx, image, client.ImagePullOptions{RegistryAuth: auth})
		if err != nil {
			return err
		}
		for message, err := range progress.JSONMessages(ctx) {
			if err != nil {
				return err
			}
			if message.Error != nil {
				return refused{message.Error.Code, message.Error.Message}
			}
			watchdog.Reset(e.silence)
		}
		return nil
	})
}

// refused is a failure told in the stream of a pull.
type refused struct {
	code int
	text string
}

func (r refused) Error() string { return r.text }

// Is makes it an answer of the daemon, not the lack of one.
func (r refused) Is(target error) bool {
	if r.code == http.StatusNotFound {
		return target == errdefs.ErrNotFound
	}
	return target == errdefs.ErrUnknown
}

// missing tells whether a failed pull means that there is no such image, rather than that it could not be fetched.
func missing(err error) bool {
	text := err.Error()
	return errdefs.IsNotFound(err) || strings.Contains(text, "not found") || strings.Contains(text, "manifest unknown")
}
