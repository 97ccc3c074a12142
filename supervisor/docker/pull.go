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
	pullErr := e.pulls.share(ctx, image, e.pull)
	switch {
	case ctx.Err() != nil:
		return pullErr
	case pullErr == nil:
		e.news.is("pull of "+image, "")
		return nil
	}
	switch err := e.look(ctx, image); {
	case err == nil:
		if e.news.is("pull of "+image, pullErr.Error()) {
			e.log.Warn().Str("image", image).Err(pullErr).Msg("image was not pulled, the local one is used")
		}
		return nil
	case errors.Is(err, supervisor.ErrUnavailable):
		return err
	case missing(pullErr):
		return fmt.Errorf("%w: %w", supervisor.ErrImageMissing, pullErr)
	default:
		return fmt.Errorf("%w: %w", supervisor.ErrPullFailed, pullErr)
	}
}

// look tells whether the daemon has an image.
func (e *Engine) look(ctx context.Context, image string) error {
	return e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) error {
		_, err := cli.ImageInspect(ctx, image)
		return err
	})
}

// pull waits for its turn. An image that is there does not wait long: it is used as it is.
func (e *Engine) pull(ctx context.Context, image string) error {
	turn := e.pulls.turns(image)
	impatient, cancel := context.WithTimeout(ctx, e.silence)
	err := turn.Acquire(impatient, 1)
	cancel()
	if err != nil && ctx.Err() == nil {
		if e.look(ctx, image) == nil {
			return fmt.Errorf("waited %s for other pulls from its registry", e.silence)
		}
		err = turn.Acquire(ctx, 1)
	}
	if err != nil {
		return context.Cause(ctx)
	}
	defer turn.Release(1)
	return e.transfer(ctx, image)
}

// transfer reads the daemon's progress to its end. The daemon answers 200 first and reports what fails in the stream.
func (e *Engine) transfer(ctx context.Context, image string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(e.silence, func() { cancel(fmt.Errorf("no word from docker for %s", e.silence)) })
	defer watchdog.Stop()
	auth, err := credentials(ctx, e.opts.ClientConfig, image)
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if e.news.is("credentials for "+image, problem) {
		e.log.Warn().Err(err).Str("image", image).Msg("image is pulled anonymously")
	}
	message := newReply(e.maxReply)
	return e.converse(ctx, 0, message, func(ctx context.Context, cli *client.Client) error {
		progress, err := cli.ImagePull(ctx, image, client.ImagePullOptions{RegistryAuth: auth})
		if err != nil {
			return err
		}
		for said, err := range progress.JSONMessages(ctx) {
			if err != nil {
				return err
			}
			if said.Error != nil {
				return refused{said.Error.Code, said.Error.Message}
			}
			message.more()
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
