package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store"
)

// Options are the settings of a master's server. Store and Version are required.
type Options struct {
	Store   *store.Store
	Version string // reported to clients and compared with theirs
	// Addr and AdminAddr are what New listens on, HOST:PORT; port 0 takes a free one. "" does without the listener.
	Addr, AdminAddr string
	// Capabilities are those that jobs may add (--whitelisted-capability).
	Capabilities []string
	// CORSOrigins are the origins whose pages may call the API; "*" stands for all. None by default.
	CORSOrigins []string
	// StoreTimeout bounds what a request waits for the store in all; 30 s by default. That a store which is away fails at
	// once is the store's own option.
	StoreTimeout time.Duration
	// StoreRefusal tells why the store refuses changes, where it is one of this process; nil: it does not.
	StoreRefusal func() error
	// Logger gets failed requests; nothing by default.
	Logger zerolog.Logger
}

// master answers the API of one master.
type master struct {
	*Server
	opts     Options
	version  httpapi.Version
	store    *store.Store
	reported sync.Map // what cannot be read and is in the log: paths, or names of hosts
}

// New makes a master's server and binds its listeners, so that their addresses are known. It answers only when Run runs.
func New(opts Options) (*Server, error) {
	version, err := httpapi.ParseVersion(opts.Version)
	if err != nil {
		return nil, fmt.Errorf("version of the server: %w", err)
	}
	if opts.Store == nil {
		return nil, errors.New("a server needs a store")
	}
	if opts.StoreTimeout <= 0 {
		opts.StoreTimeout = 30 * time.Second
	}
	m := &master{Server: &Server{log: opts.Logger}, opts: opts, version: version, store: opts.Store}
	m.api = m.newAPI()
	m.admin = m.newAdmin(func(context.Context) map[string]error {
		checks := map[string]error{"zookeeper": ZooKeeper(m.store)}
		if err := Views(m.store.Views()); err != nil { // readers of the original's document find what they know
			checks["views"] = err
		}
		if opts.StoreRefusal != nil {
			if err := opts.StoreRefusal(); err != nil {
				checks["store"] = Unwell(fmt.Sprintf("the store refuses changes: %v", err))
			}
		}
		return checks
	})
	if err := m.listen(opts.Addr, opts.AdminAddr); err != nil {
		return nil, err
	}
	return m.Server, nil
}
