package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/helios-go/helios/supervisor"
)

// fresh is how long a container that was made and not started may still be about to be: a request of an agent that is
// gone, and of its memory, may be under way in a slow daemon.
const fresh = 2 * time.Minute

// Find answers by the recorded id if that container runs; otherwise by what else runs for the task; and if none is
// recorded, by one that was made just now, since each is recorded before it is started.
func (e *Engine) Find(ctx context.Context, ref supervisor.Ref) (supervisor.Container, error) {
	var recorded supervisor.Container
	if ref.Container != "" {
		c, err := e.inspect(ctx, ref.Container)
		if err != nil || c.Running {
			return c, err
		}
		if e.opts.RemoveRefused && c.ID != "" && !c.Unstarted && c.FinishedAt.IsZero() {
			if err := e.discard(ctx, c.ID); err != nil {
				return supervisor.Container{}, err
			}
		}
		recorded = c
	}
	listed, err := e.listed.get(ctx)
	if err != nil {
		return supervisor.Container{}, err
	}
	fits := func(c supervisor.Container) bool { return c.Running || c.Unstarted && recorded.ID == "" }
	for _, c := range listed {
		if c.ID == recorded.ID || !ref.Matches(c) || !fits(c) {
			continue
		}
		// The list may be older than the container's end: ask again.
		if now, err := e.inspect(ctx, c.ID); err != nil || fits(now) {
			return now, err
		}
	}
	if recorded.ID == "" && !slices.ContainsFunc(listed, func(c supervisor.Container) bool { return c.Running }) {
		_, err := e.vouched.get(ctx)
		return supervisor.Container{}, err
	}
	return recorded, nil
}

// inspect looks at one container; one that is not there is the zero value.
func (e *Engine) inspect(ctx context.Context, id string) (supervisor.Container, error) {
	var answer client.ContainerInspectResult
	err := e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) (err error) {
		answer, err = cli.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		return err
	})
	switch {
	case errdefs.IsNotFound(err):
		return supervisor.Container{}, nil
	case err != nil:
		return supervisor.Container{}, fmt.Errorf("inspect container %s: %w", id, err)
	}
	return convert(id, answer.Container)
}

// convert reads what a daemon shows of a container.
func convert(id string, shown container.InspectResponse) (supervisor.Container, error) {
	state := shown.State
	if state == nil || shown.ID == "" {
		return supervisor.Container{}, fmt.Errorf("inspect container %s: %w: neither id nor state in its answer",
			id, supervisor.ErrUnavailable)
	}
	c := supervisor.Container{
		ID:        shown.ID,
		Name:      strings.TrimPrefix(shown.Name, "/"),
		Running:   state.Running || state.Paused,
		Unstarted: state.Status == container.StateCreated && state.Error == "" && state.ExitCode == 0,
		ExitCode:  state.ExitCode,
		OOMKilled: state.OOMKilled,
		Error:     state.Error,
	}
	if t, err := time.Parse(time.RFC3339Nano, state.FinishedAt); err == nil && t.Year() > 1 {
		c.FinishedAt = t
	}
	if shown.Config != nil {
		c.Labels = shown.Config.Labels
	}
	if shown.HostConfig != nil {
		c.Ports = published(shown.HostConfig.PortBindings)
	}
	if shown.NetworkSettings != nil {
		networks := shown.NetworkSettings.Networks
		for _, name := range slices.Sorted(maps.Keys(networks)) {
			if n := networks[name]; n != nil && n.IPAddress.IsValid() && n.Gateway.IsValid() {
				c.Address, c.Gateway = n.IPAddress.String(), n.Gateway.String()
				break
			}
		}
	}
	return c, nil
}

// published reads port bindings as they were asked for; one that leaves the choice to the daemon is none of ours.
func published(bindings network.PortMap) []supervisor.PublishedPort {
	var ports []supervisor.PublishedPort
	for internal, hosts := range bindings {
		for _, host := range hosts {
			if number, err := strconv.ParseUint(host.HostPort, 10, 16); err == nil && number > 0 {
				ports = append(ports, supervisor.PublishedPort{
					Protocol: string(internal.Proto()), Container: int(internal.Num()), Host: int(number),
				})
			}
		}
	}
	return ports
}

// Create makes the container of one run.
func (e *Engine) Create(ctx context.Context, spec supervisor.Spec) (string, error) {
	body, err := createBody(spec, e.opts)
	if err != nil {
		return "", err
	}
	var answer client.ContainerCreateResult
	err = e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) (err error) {
		answer, err = cli.ContainerCreate(ctx, body)
		return err
	})
	if errdefs.IsNotFound(err) {
		return "", fmt.Errorf("%w: %w", supervisor.ErrImageMissing, err)
	}
	for _, warning := range answer.Warnings {
		if !e.news.is("warning "+warning, warning) {
			continue
		}
		e.log.Warn().Str("container", answer.ID).Str("warning", warning).Msg("docker warns of a container")
	}
	return answer.ID, err
}

// Start starts a container, when it is its turn; one that runs is left alone.
func (e *Engine) Start(ctx context.Context, id string) error {
	giveBack, err := e.starts.take(ctx)
	if err != nil {
		return err
	}
	defer giveBack()
	return e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) error {
		_, err := cli.ContainerStart(ctx, id, client.ContainerStartOptions{})
		return err
	})
}

// Stop has the daemon send SIGTERM, and SIGKILL after so many seconds.
func (e *Engine) Stop(ctx context.Context, id string, seconds int) error {
	if e.opts.LogStats {
		e.logStats(ctx, id)
	}
	limit := time.Duration(0)
	if seconds >= 0 {
		limit = time.Duration(seconds)*time.Second + patience
	}
	err := e.ask(ctx, limit, func(ctx context.Context, cli *client.Client) error {
		_, err := cli.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &seconds})
		return err
	})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// logStats logs one sample of what a container uses, as the daemon has it.
func (e *Engine) logStats(ctx context.Context, id string) {
	const limit = 64 << 10
	var sample []byte
	err := e.ask(ctx, connecting, func(ctx context.Context, cli *client.Client) error {
		stats, err := cli.ContainerStats(ctx, id, client.ContainerStatsOptions{})
		if err != nil {
			return err
		}
		defer stats.Body.Close()
		sample, err = io.ReadAll(io.LimitReader(stats.Body, limit))
		return err
	})
	if err != nil || !json.Valid(sample) {
		e.log.Warn().Err(err).Str("container", id).Msg("docker gives no stats of a container that is stopped")
		return
	}
	e.log.Info().Str("container", id).RawJSON("stats", bytes.TrimSpace(sample)).Msg("container before it is stopped")
}

// Kill sends SIGKILL.
func (e *Engine) Kill(ctx context.Context, id string) error {
	err := e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) error {
		_, err := cli.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGKILL"})
		return err
	})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil // not there, or does not run
	}
	return err
}

// Exec runs a command, without a shell, in a running container and returns its exit code. Its output is dropped.
func (e *Engine) Exec(ctx context.Context, id string, command []string) (int, error) {
	code := 0
	err := e.ask(ctx, 0, func(ctx context.Context, cli *client.Client) error {
		exec, err := cli.ExecCreate(ctx, id, client.ExecCreateOptions{
			Cmd: command, AttachStdout: true, AttachStderr: true,
		})
		if err != nil {
			return err
		}
		attached, err := cli.ExecAttach(ctx, exec.ID, client.ExecAttachOptions{})
		if err != nil {
			return err
		}
		defer attached.Close()
		// A hijacked connection does not know of ctx.
		defer context.AfterFunc(ctx, attached.Close)()
		if _, err := io.Copy(io.Discard, attached.Reader); err != nil {
			return err
		}
		result, err := cli.ExecInspect(ctx, exec.ID, client.ExecInspectOptions{})
		code = result.ExitCode
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("execute in container %s: %w", id, err)
	}
	return code, nil
}
