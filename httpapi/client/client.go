// Package client is the typed client of a master's REST API: it finds the masters, goes from one to the next until
// one answers, and turns answers into documents and errors that errors.Is knows on both sides of the wire.
//
// It owns its connections. It never follows a redirect, never panics on an answer, reads at most a bounded amount of
// one, and never puts a token into an error or a warning.
//
// Operations that can be refused return the answer document and an error. The document's Status is empty when no
// master answered with a document; the error is nil exactly if the status is OK, and wraps the sentinel of the
// outcome otherwise: errors.Is(err, job.ErrNotFound), errors.Is(err, client.ErrUnreachable).
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options says which masters a client talks to, and how patiently.
type Options struct {
	Masters []string // http://HOST:PORT or https://HOST:PORT, perhaps with a path; at least one
	User    string   // who asks; recorded as creator of jobs and deployer. Not authenticated
	Version string   // the client's version

	Timeout      time.Duration // of connecting, and of silence while waiting for an answer; 0: 10 s
	RetryTimeout time.Duration // since the start of a request, after which nothing is tried again; 0: each master once
	RetryDelay   time.Duration // between two rounds over the masters; 0: 5 s

	// Refresh, if set, is asked for the masters anew after a round in which none answered (Domain.Masters).
	Refresh func(context.Context) ([]string, error)
	// Warn, if set, is given one plain line for each thing a person should know: a round that failed, a name that does
	// not resolve, a client that is ahead of its master.
	Warn func(text string)

	TLS      *tls.Config                                                       // nil: the platform's roots, names verified
	Resolver *net.Resolver                                                     // of the masters' names; nil: the system's
	Dial     func(ctx context.Context, network, addr string) (net.Conn, error) // nil: net.Dialer
}

// Client is safe for use by several goroutines.
type Client struct {
	opts  Options
	turn  atomic.Uint32 // where the next request begins among the places, modulo their number; random at first
	ahead atomic.Bool   // it was said that the client is ahead of its master

	mu         sync.Mutex                 // guards what follows
	endpoints  []endpoint                 // the masters
	places     []place                    // their addresses as last looked up
	transports map[string]*http.Transport // by TLS server name, "" for http
}

// New makes a client. It sends nothing yet: names are resolved by the first request.
func New(opts Options) (*Client, error) {
	endpoints, err := parseEndpoints(opts.Masters)
	if err != nil {
		return nil, err
	}
	if len(endpoints) == 0 {
		return nil, ErrNoMasters
	}
	if opts.Version == "" {
		return nil, errors.New("a client needs a version")
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.RetryDelay <= 0 {
		opts.RetryDelay = 5 * time.Second
	}
	c := &Client{opts: opts, endpoints: endpoints, transports: map[string]*http.Transport{}}
	c.turn.Store(rand.Uint32())
	return c, nil
}

// Close ends the client's idle connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.transports {
		t.CloseIdleConnections()
	}
}
