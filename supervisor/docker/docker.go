// Package docker is the container engine of the supervisors: [Engine] speaks to a Docker daemon, API 1.40 or newer.
//
// It is the only package that knows the Docker API. It owns the connection, the event subscription and the translation
// of a job into a container; it keeps no belief about any container, and removes none but, if it is told to, those that
// it could not start. What a daemon answers is taken as it may be: garbage is an error that says nothing about containers.
//
// Events only say when to look again, with one exception: [Engine.Wait] takes the word of an event that its container
// has ended. A daemon tells of an end at once, but then holds the container locked while it takes its network down, and
// answers no look at it for a fifth of a second.
package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/rs/zerolog"

	"github.com/helios-go/helios/supervisor"
)

const (
	// patience is how long the daemon may take to answer a request that does not wait for something itself.
	patience = 30 * time.Second
	// silence is how long a pull may go without a word from the daemon.
	silence = 30 * time.Second
	// connecting is how long a connection may take.
	connecting = 5 * time.Second
	// poll is how often a container that is waited for is looked at without an event.
	poll = 30 * time.Second
)

// Options is how to reach a daemon, and what the agent adds to every container.
type Options struct {
	// Endpoint is the daemon's address, see [ParseEndpoint].
	Endpoint string
	// CertPath is a directory with ca.pem, cert.pem and key.pem: the endpoint then speaks TLS. It does not apply to a
	// unix socket.
	CertPath string
	// Poll is how often a running container is looked at even without an event; zero means every 30 s.
	Poll time.Duration

	// ClientConfig is the configuration file of Docker's client, usually ~/.docker/config.json, whose credentials pulls
	// use (Q46). Empty or missing: pulls are anonymous.
	ClientConfig string

	// DNS, Binds and ExtraHosts are added to every container; SyslogRedirectTo, if not empty, is the host:port that
	// their output goes to (testdata/spec/4-agent.md §5).
	DNS              []netip.Addr
	Binds            []string
	ExtraHosts       []string
	SyslogRedirectTo string

	// RemoveRefused removes a container that the daemon refused to start and that has never run (Q19).
	RemoveRefused bool

	// LogStats logs what a container uses just before it is stopped.
	LogStats bool

	Logger zerolog.Logger
}

// Engine is a Docker daemon, an implementation of [supervisor.Engine]. [Engine.Run] should run beside its users.
type Engine struct {
	opts     Options
	endpoint Endpoint
	log      zerolog.Logger
	silence  time.Duration // the constant, but for tests
	maxReply int64         // the same
	pulls    pulls
	starts   turns
	listed   shared[[]supervisor.Container]
	vouched  shared[vouched]
	news     news

	mu        sync.Mutex // guards what follows
	connected *client.Client
	waiters   map[string]map[*waiter]bool // by container id
}

var _ supervisor.Engine = (*Engine)(nil)

// New makes the engine. It reads certificates but does not connect: a daemon that is away now may come later.
func New(opts Options) (*Engine, error) {
	endpoint, err := ParseEndpoint(opts.Endpoint)
	if err != nil {
		return nil, err
	}
	if opts.Poll <= 0 {
		opts.Poll = poll
	}
	e := &Engine{
		opts: opts, endpoint: endpoint, log: opts.Logger, silence: silence, maxReply: maxReply,
		starts:  newTurns(startsAtOnce(), slowStart),
		waiters: map[string]map[*waiter]bool{},
	}
	e.listed.ask, e.listed.apart = e.candidates, listsApart
	e.vouched.ask = e.vouch
	probe, err := e.dial()
	if err != nil {
		return nil, fmt.Errorf("docker endpoint %s: %w", endpoint.URL, err)
	}
	return e, probe.Close()
}

// Endpoint returns where the daemon is.
func (e *Engine) Endpoint() Endpoint { return e.endpoint }

func (e *Engine) dial() (*client.Client, error) {
	options := []client.Opt{client.WithHost(e.endpoint.URL), client.WithDialContext(e.connect)}
	if dir := e.opts.CertPath; dir != "" && !e.endpoint.Socket {
		options = append(options, client.WithTLSClientConfig(
			filepath.Join(dir, "ca.pem"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")))
	}
	return client.New(options...)
}

// client returns the connection, having agreed on an API version with the daemon.
func (e *Engine) client(ctx context.Context) (*client.Client, error) {
	e.mu.Lock()
	cli := e.connected
	e.mu.Unlock()
	if cli != nil {
		return cli, nil
	}
	cli, err := e.dial()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", supervisor.ErrUnavailable, err)
	}
	ping, err := cli.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	switch {
	case errdefs.IsInvalidArgument(err) && ping.APIVersion != "":
		return nil, fmt.Errorf("%w: it speaks API %s, and at least %s is needed",
			supervisor.ErrUnsupported, ping.APIVersion, client.MinAPIVersion)
	case answered(err): // whoever refuses a ping is no daemon, or wants TLS
		return nil, fmt.Errorf("%w: %w", supervisor.ErrUnavailable, err)
	case err != nil:
		return nil, e.classify(ctx, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.connected != nil { // another request was quicker
		_ = cli.Close()
		return e.connected, nil
	}
	e.connected = cli
	return cli, nil
}

// Close gives back the connections that no request uses; a later request makes a new one.
func (e *Engine) Close() { e.forget() }

// forget makes the next request agree on a version again: the daemon may have been replaced by another one.
func (e *Engine) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.connected != nil {
		_ = e.connected.Close() // only idle connections are closed
	}
	e.connected = nil
}

// ask sends one request that the daemon must answer in time, and not at any length.
func (e *Engine) ask(ctx context.Context, limit time.Duration, request func(context.Context, *client.Client) error) error {
	return e.converse(ctx, limit, newReply(e.maxReply), request)
}

// converse is ask for a reply that comes in pieces.
func (e *Engine) converse(ctx context.Context, limit time.Duration, r *reply, request func(context.Context, *client.Client) error) error {
	ctx = r.await(ctx)
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	cli, err := e.client(ctx)
	if err != nil {
		return err
	}
	return e.classify(ctx, request(ctx, cli))
}

// classify tells an answer that refuses something from the lack of any sensible answer, which says nothing about the
// containers. An answer is recognised by its HTTP status.
func (e *Engine) classify(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return context.Cause(ctx)
	case client.IsErrConnectionFailed(err), errors.Is(ctx.Err(), context.DeadlineExceeded) && !answered(err):
		e.forget() // other idle connections may be as dead as this one
		return fmt.Errorf("%w: %w", supervisor.ErrUnavailable, err)
	case errdefs.IsUnavailable(err) || !answered(err):
		return fmt.Errorf("%w: %w", supervisor.ErrUnavailable, err)
	default:
		return err
	}
}

// answered tells whether the error is the daemon's answer to a request.
func answered(err error) bool {
	return errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) || errdefs.IsConflict(err) ||
		errdefs.IsInternal(err) || errdefs.IsNotImplemented(err) || errdefs.IsUnauthorized(err) ||
		errdefs.IsPermissionDenied(err) || errdefs.IsUnknown(err) || errdefs.IsFailedPrecondition(err) ||
		errdefs.IsResourceExhausted(err)
}

// Version is what a daemon says of itself, as host information shows it.
type Version struct {
	APIVersion, Arch, GitCommit, GoVersion, KernelVersion, OS, Version string
}

// Version asks the daemon what it is.
func (e *Engine) Version(ctx context.Context) (Version, error) {
	var answer client.ServerVersionResult
	err := e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) (err error) {
		answer, err = cli.ServerVersion(ctx, client.ServerVersionOptions{})
		return err
	})
	if err != nil {
		return Version{}, fmt.Errorf("ask docker for its version: %w", err)
	}
	v := Version{APIVersion: answer.APIVersion, Arch: answer.Arch, OS: answer.Os, Version: answer.Version}
	for _, c := range answer.Components {
		if strings.EqualFold(c.Name, "Engine") {
			v.GitCommit, v.GoVersion, v.KernelVersion = c.Details["GitCommit"], c.Details["GoVersion"], c.Details["KernelVersion"]
		}
	}
	return v, nil
}

// Ping asks whether the daemon answers.
func (e *Engine) Ping(ctx context.Context) error {
	return e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) error {
		_, err := cli.Ping(ctx, client.PingOptions{})
		return err
	})
}
