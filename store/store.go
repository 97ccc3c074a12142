// Package store keeps the documents of Helios in ZooKeeper: jobs, deployments, hosts, task statuses and their history.
// It is what masters and agents share, and with them the original's (0.9): paths, documents and transactions are theirs
// (zookeeper §2–§12; the node map is in paths.go).
//
// It owns the session with ZooKeeper, the transactions that keep the tree consistent, what is done about leftovers and
// lost answers, and the watch on a host's tasks. It never decides what an agent or a master does next, and it never
// takes silence for an answer: a reading that failed, and a directory that is not there, are errors or no news, not an
// empty list.
//
//	Store ── session ── zk client ── ZooKeeper or zkserver
//	  │         │
//	  │         └ one request at a time through call: context, bounded waits, three retries
//	  ├ master: jobs.go deployments.go hosts.go deregister.go history.go masters.go
//	  └ agent:  agent.go watch.go history.go
package store

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Options are the settings of a store. Only Servers is required.
type Options struct {
	// Servers is the connect string: h1:2181,h2:2181/chroot. The chroot node must exist.
	Servers string
	// ACLs, if set, protect every node that the store creates; without them it is open to all.
	ACLs *ACLs
	// ClusterID, if set, is the cluster whose tree it must be: requests end with ErrNoCluster while the tree has no node
	// of that id.
	ClusterID string
	// SessionTimeout is how long a session outlives its connection; 60 s by default. The server may shorten it.
	SessionTimeout time.Duration
	// ConnectTimeout is how long a request waits for a connection, each time it needs one; 15 s by default.
	ConnectTimeout time.Duration
	// FailFast, if set, ends a request with ErrUnavailable when there has been no connection, or no answer, for that
	// long: during a long outage at once. For whoever serves people; zero leaves ConnectTimeout alone in force.
	FailFast time.Duration
	// Credential, if it has a password, authenticates every connection before anything else is asked on it.
	Credential Credential
	// Logger gets state changes of the connection and unreadable nodes; nothing by default.
	Logger zerolog.Logger
	// Dial connects to a server; by default to one of the addresses that its name has at that moment.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Store is the tree of one cluster. Its methods may be called concurrently. Each may also return [ErrUnavailable],
// [ErrClosed] or the cause of its context's end, beside what it says itself.
type Store struct {
	session *session
	log     zerolog.Logger

	mu       sync.Mutex       // guards reported
	reported map[string]int64 // unreadable nodes in the log: path → zxid of what was reported
}

// Open begins to connect and returns at once, also while ZooKeeper is away. The error is one of opts.
func Open(opts Options) (*Store, error) {
	if opts.SessionTimeout < 0 || opts.ConnectTimeout < 0 || opts.FailFast < 0 {
		return nil, errors.New("zookeeper time-outs must not be negative")
	}
	if err := opts.Credential.check(); err != nil {
		return nil, err
	}
	if opts.ACLs != nil {
		if err := opts.ACLs.check(); err != nil {
			return nil, err
		}
	}
	if opts.SessionTimeout == 0 {
		opts.SessionTimeout = 60 * time.Second
	}
	if opts.ConnectTimeout == 0 {
		opts.ConnectTimeout = 15 * time.Second
	}
	if opts.Dial == nil {
		opts.Dial = dialer{lookup: net.DefaultResolver.LookupHost}.dial
	}
	session, err := newSession(opts)
	if err != nil {
		return nil, err
	}
	return &Store{session: session, log: opts.Logger, reported: make(map[string]int64)}, nil
}

// Close ends the session, and with it all ephemeral nodes of the store, and waits for what is still running.
func (s *Store) Close() { s.session.close() }

// Connected reports whether there is a connection now.
func (s *Store) Connected() bool { return s.session.state().up }

// Connections gives a bell that rings once if there is a connection, and again after every later one: the time to read
// and write again what may have changed meanwhile. It falls silent when ctx ends; it is never closed.
func (s *Store) Connections(ctx context.Context) <-chan struct{} { return s.session.subscribe(ctx) }
