// Package master is the process of one master: it answers the REST API over the store and keeps itself registered there
// (testdata/spec/2-http-api.md, 3-zookeeper.md §6). Any number of masters share a cluster; there is no leader, and none
// holds any state.
//
// It owns the wiring of store and servers. It never talks to agents or Docker.
package master

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/store"
)

// Options are the settings of a master. Name, Version and Store.Servers are required.
type Options struct {
	// Name is what the master is called in the list of masters.
	Name string
	// Store says where the cluster's store is.
	Store store.Options
	// Addr and AdminAddr are what New listens on, host:port; port 0 takes a free one.
	Addr, AdminAddr string
	// NoRegistration leaves the master out of the list of masters.
	NoRegistration bool
	// Capabilities are the Linux capabilities that jobs may add.
	Capabilities []string
	// CORSOrigins are the origins whose pages may call the API.
	CORSOrigins []string
	// Version is what the master reports as its own.
	Version string
	// StoreRefusal tells why the store refuses changes, where it is one of this process; nil: it does not.
	StoreRefusal func() error
	// Logger gets what changes.
	Logger zerolog.Logger
}

// failFast is how long a request may wait for a store that is away: people wait behind it (http quirk 27).
const failFast = 5 * time.Second

// Master is one master. New makes it, Run does its work.
type Master struct {
	opts   Options
	store  *store.Store
	server *server.Server
	log    zerolog.Logger
}

// New binds the listeners and begins to connect to the store, which need not be there. After an error nothing is left
// open.
func New(opts Options) (*Master, error) {
	if opts.Name == "" {
		return nil, errors.New("a master needs a name")
	}
	log := opts.Logger.With().Str("role", "master").Str("host", opts.Name).Logger()
	opts.Store.Logger, opts.Store.FailFast = log, failFast
	st, err := store.Open(opts.Store)
	if err != nil {
		return nil, err
	}
	srv, err := server.New(server.Options{
		Store: st, Version: opts.Version, Addr: opts.Addr, AdminAddr: opts.AdminAddr,
		Capabilities: opts.Capabilities, CORSOrigins: opts.CORSOrigins, StoreRefusal: opts.StoreRefusal, Logger: log,
	})
	if err != nil {
		st.Close()
		return nil, err
	}
	return &Master{opts: opts, store: st, server: srv, log: log}, nil
}

// Addr is the address of the API, AdminAddr of the admin port.
func (m *Master) Addr() net.Addr      { return m.server.Addr() }
func (m *Master) AdminAddr() net.Addr { return m.server.AdminAddr() }

// Run works until ctx ends: then requests in flight are finished and the up node is taken away. It returns nil after an
// orderly end.
func (m *Master) Run(ctx context.Context) error {
	defer m.store.Close()
	m.log.Info().Stringer("http", m.Addr()).Stringer("admin", m.AdminAddr()).Str("version", m.opts.Version).Msg("master starts")
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return m.server.Run(running) })
	g.Go(func() error {
		if m.opts.NoRegistration {
			return m.store.KeepTree(running)
		}
		return m.store.KeepMaster(running, m.opts.Name)
	})
	err := g.Wait()
	m.log.Info().Msg("master ends")
	if ctx.Err() != nil {
		return nil
	}
	return err
}
