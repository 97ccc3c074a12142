package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
)

// maxAnswer bounds the body of an answer, unpacked.
const maxAnswer = document.MaxSize

// ErrUnreachable is the failure of a request that no master answered.
var ErrUnreachable = errors.New("no master answered")

// unreachable is one attempt that brought no answer: its text is what the original prints (http §12.5).
type unreachable struct {
	text  string
	cause error
}

func (e *unreachable) Error() string {
	if e.cause == nil {
		return e.text
	}
	return e.text + ": " + e.cause.Error()
}
func (e *unreachable) Unwrap() error     { return e.cause }
func (e *unreachable) Is(err error) bool { return err == ErrUnreachable }

// request is a call of the API before a master is chosen. Its path is escaped; the user is added to the query.
type request struct {
	method string
	path   string
	query  httpapi.Query
	body   []byte // JSON; nil: none
}

// answer is what a master answered, whatever its status.
type answer struct {
	request
	url    string // without secrets, for messages
	status int
	body   []byte
}

// do sends a request: to each address of the masters once without waiting, then again after RetryDelay, until one
// answers or RetryTimeout has passed (http §12.5, decision 26). It goes one address further with each attempt, from
// where the request before left off. Every method is repeated alike: a repeated request after a lost answer may meet
// what the first one has done.
func (c *Client) do(ctx context.Context, r request) (answer, error) {
	r.query = append(r.query, httpapi.Param{Name: httpapi.ParamUser, Value: c.opts.User})
	start := time.Now()
	turn := c.turn.Load()
	for round := 0; ; round++ {
		places, err := c.refresh(ctx, round)
		if err != nil {
			return answer{}, err
		}
		var unavailable *answer
		for range places {
			var a answer
			a, err = c.attempt(ctx, places[turn%uint32(len(places))], r)
			turn++
			c.turn.Store(turn)
			switch {
			case err == nil && a.status == http.StatusServiceUnavailable:
				unavailable = &a // without its store; another master may have one
			case err == nil:
				return a, nil
			case ctx.Err() != nil:
				return answer{}, context.Cause(ctx)
			}
			if round > 0 && time.Since(start) >= c.opts.RetryTimeout {
				break
			}
		}
		if unavailable != nil {
			return *unavailable, nil
		}
		if time.Since(start) >= c.opts.RetryTimeout {
			return answer{}, err
		}
		c.warn(fmt.Sprintf("%v; retrying in %s", err, c.opts.RetryDelay))
		if err := pause(ctx, c.opts.RetryDelay); err != nil {
			return answer{}, err
		}
	}
}

// pause waits for a while, somewhat longer than told so that many clients of a lost master do not come back at once.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d + rand.N(d/10+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refresh answers the places to try in a round. They are looked up for the client's first request and again whenever
// all of them have failed; a look-up that then finds nothing leaves the old ones.
func (c *Client) refresh(ctx context.Context, round int) ([]place, error) {
	c.mu.Lock()
	places, endpoints := c.places, c.endpoints
	c.mu.Unlock()
	if round == 0 && len(places) > 0 {
		return places, nil
	}
	if round > 0 && c.opts.Refresh != nil {
		if texts, err := c.opts.Refresh(ctx); err != nil {
			c.warn(err.Error())
		} else if fresh, err := parseEndpoints(texts); err == nil && len(fresh) > 0 {
			endpoints = fresh
		}
	}
	found, err := resolve(ctx, c.opts.Resolver, endpoints)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		c.warn(err.Error())
	}
	if len(found) == 0 {
		if len(places) > 0 {
			return places, nil
		}
		return nil, ErrNoMasters
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places, c.endpoints = found, endpoints
	return found, nil
}

// attempt sends the request to one place and reads the answer. Any failure, and status 502, is an *unreachable.
func (c *Client) attempt(ctx context.Context, p place, r request) (answer, error) {
	a := answer{request: r, url: p.scheme + "://" + p.address + p.prefix + r.path + "?" + r.query.Redacted()}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := c.newRequest(ctx, p, r)
	if err != nil {
		return a, &unreachable{"Unexpected error connecting to " + a.url, err}
	}
	resp, err := c.transport(p).RoundTrip(req)
	if err != nil {
		return a, connectError(a.url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusBadGateway {
		return a, &unreachable{text: "Request to " + a.url + " returned 502, master is down"}
	}
	quiet := time.AfterFunc(c.opts.Timeout, func() {
		cancel(fmt.Errorf("no data for %s: %w", c.opts.Timeout, context.DeadlineExceeded))
	})
	defer quiet.Stop()
	a.status = resp.StatusCode
	a.body, err = io.ReadAll(io.LimitReader(progress{resp.Body, func() { quiet.Reset(c.opts.Timeout) }}, maxAnswer+1))
	if err != nil {
		return a, connectError(a.url, err)
	}
	if len(a.body) > maxAnswer {
		return a, &unreachable{"Unexpected error connecting to " + a.url, fmt.Errorf("answer of more than %d bytes", maxAnswer)}
	}
	c.noteVersion(resp.Header)
	return a, nil
}

func (c *Client) newRequest(ctx context.Context, p place, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	url := p.scheme + "://" + p.address + p.prefix + r.path + "?" + r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, url, body)
	if err != nil {
		return nil, err
	}
	req.Host = p.serverName()
	if p.scheme == "http" {
		req.Host = net.JoinHostPort(req.Host, p.port)
	}
	req.Header.Set("User-Agent", "helios/"+c.opts.Version)
	req.Header.Set(httpapi.HeaderVersion, c.opts.Version)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Charset", "utf-8")
	}
	return req, nil
}

// progress calls moved whenever data arrives.
type progress struct {
	io.Reader
	moved func()
}

func (p progress) Read(b []byte) (int, error) {
	n, err := p.Reader.Read(b)
	p.moved()
	return n, err
}

// connectError words the failure of an attempt as the original does: what did not answer, or what went wrong.
func connectError(url string, err error) error {
	text := "Unexpected error connecting to "
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		text = "Unable to connect to master: "
	} else if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		text = "Unable to connect to master: "
	}
	return &unreachable{text + url, err}
}

// transport is the connections of all places that need the same TLS name; one without TLS serves all of http.
func (c *Client) transport(p place) *http.Transport {
	name := ""
	if p.scheme == "https" {
		name = p.serverName()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.transports[name]
	if t == nil {
		config := &tls.Config{}
		if c.opts.TLS != nil {
			config = c.opts.TLS.Clone()
		}
		config.ServerName = name
		dial := c.opts.Dial
		if dial == nil {
			dial = (&net.Dialer{Timeout: c.opts.Timeout}).DialContext
		}
		t = &http.Transport{
			DialContext:            dial,
			TLSClientConfig:        config,
			TLSHandshakeTimeout:    c.opts.Timeout,
			ResponseHeaderTimeout:  c.opts.Timeout,
			IdleConnTimeout:        20 * time.Second, // masters close after 30
			MaxResponseHeaderBytes: 64 << 10,
		}
		c.transports[name] = t
	}
	return t
}

// noteVersion warns once when the client is of a later version than a master. Other values of the header say nothing
// that the status does not say (model quirk 27).
func (c *Client) noteVersion(h http.Header) {
	if h.Get(httpapi.HeaderVersionStatus) == string(httpapi.VersionMaybe) && c.ahead.CompareAndSwap(false, true) {
		c.warn(fmt.Sprintf("this client's version %s is ahead of the master's version %s",
			c.opts.Version, printable(h.Get(httpapi.HeaderServerVersion))))
	}
}

func (c *Client) warn(text string) {
	if c.opts.Warn != nil {
		c.opts.Warn(text)
	}
}
