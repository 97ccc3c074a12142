// Package health asks containers whether they are well, by the health checks of jobs: an HTTP request, a TCP connection,
// or a command in the container (testdata/spec/4-agent.md §3.9).
//
// It makes one attempt at a time; when to ask again, and what follows, is the supervisor's to decide. It never touches a
// container other than by the check itself.
package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/helios-go/helios/store/job"
)

const (
	connecting = 500 * time.Millisecond
	answering  = 10 * time.Second
	redirects  = 20
)

// Prober runs health checks on one Docker host.
type Prober struct {
	// Host is where published ports are found: the host of the Docker endpoint, "localhost" for a unix socket.
	Host string
	// Inside tells that this process runs in a container of that host, so that its localhost is another one.
	Inside bool
	// Exec runs a command in a running container and returns its exit code.
	Exec func(ctx context.Context, container string, command []string) (int, error)
}

// Target is a container and what is known of it.
type Target struct {
	Container        string                     // id
	Ports            map[string]job.PortMapping // of the job, with the host ports filled in
	Address, Gateway string                     // the container's own address and its network's gateway; may be empty
}

// Probe runs a check once. Nil means healthy; any error means that the container is not, or not known to be.
func (p *Prober) Probe(ctx context.Context, check job.HealthCheck, target Target) error {
	switch check.Type {
	case job.CheckExec:
		return p.exec(ctx, check.Command, target.Container)
	case job.CheckHTTP:
		address, err := p.address(ctx, check, target, p.Inside)
		if err != nil || check.Path == nil {
			return errors.Join(err, missing(check.Path, "path"))
		}
		return get(ctx, "http://"+address+*check.Path)
	case job.CheckTCP:
		// A port that is published on loopback accepts connections though nobody listens in the container.
		address, err := p.address(ctx, check, target, true)
		if err != nil {
			return err
		}
		dialer := net.Dialer{Timeout: connecting}
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return fmt.Errorf("health check of unknown type %q", check.Type)
}

func missing(s *string, what string) error {
	if s == nil {
		return fmt.Errorf("health check without a %s", what)
	}
	return nil
}

// address finds the port of a check. A loopback address of the Docker host is passed by where it means something else,
// through the gateway of the container's network; and a container that has no network of its own has its internal port
// on the host itself.
func (p *Prober) address(ctx context.Context, check job.HealthCheck, target Target, passLoopback bool) (string, error) {
	if err := missing(check.Port, "port"); err != nil {
		return "", err
	}
	mapping, ok := target.Ports[*check.Port]
	if !ok || mapping.ExternalPort == nil {
		return "", fmt.Errorf("health check on port %q, which the job does not have", *check.Port)
	}
	join := func(host string, port int32) string { return net.JoinHostPort(host, strconv.Itoa(int(port))) }
	if !passLoopback {
		return join(p.Host, *mapping.ExternalPort), nil
	}
	local, err := loopback(ctx, p.Host)
	switch {
	case err != nil:
		return "", err
	case !local:
		return join(p.Host, *mapping.ExternalPort), nil
	case target.Gateway != "":
		return join(target.Gateway, *mapping.ExternalPort), nil
	case target.Address != "":
		return join(target.Address, mapping.InternalPort), nil
	default:
		return join(p.Host, mapping.InternalPort), nil
	}
}

// loopback tells whether a host is this one by its loopback address.
func loopback(ctx context.Context, host string) (bool, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback(), nil
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false, fmt.Errorf("resolve the docker host: %w", err)
	}
	for _, ip := range addresses {
		if ip.IsLoopback() {
			return true, nil
		}
	}
	return false, nil
}

// get is healthy with any final status from 200 to 399. Redirects are followed as long as they stay with http.
func get(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, connecting+answering)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	client := http.Client{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: connecting}).DialContext,
			ResponseHeaderTimeout: answering,
			DisableKeepAlives:     true,
		},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			switch {
			case next.URL.Scheme != "http":
				return http.ErrUseLastResponse
			case len(via) > redirects:
				return fmt.Errorf("more than %d redirects", redirects)
			}
			return nil
		},
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode < 200 || response.StatusCode > 399 {
		return fmt.Errorf("get %s: %s", address, response.Status)
	}
	return nil
}

// exec is healthy when the command ends with 0.
func (p *Prober) exec(ctx context.Context, command []string, container string) error {
	if len(command) == 0 || p.Exec == nil {
		return errors.New("health check without a command")
	}
	code, err := p.Exec(ctx, container, command)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("%s ended with %d", command[0], code)
	}
	return nil
}
