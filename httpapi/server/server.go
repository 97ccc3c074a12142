// Package server is a master's REST API over the store: it finds the endpoint, reads the request, calls the store and
// writes the answer, with the exact statuses and bodies that Helios 0.9 clients decode (testdata/spec/2-http-api.md).
// A second listener answers the admin port.
//
// It owns its listeners and every byte of an answer. It decides nothing about jobs and hosts: the store and the job's
// own rules do. No token and no environment value reaches its log.
//
//	request ─ version ─ CORS ─ method ─ path ─ route ─ Accept ─ path parameters ─ body ─ endpoint ─ store
//	                 any of them may answer; an error of any of them is written by handleError
package server

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store"
)

// Bounds of what a client can make the server hold or wait for.
const (
	maxHeader    = 8<<10 - 4<<10    // net/http allows 4 KiB more
	maxBody      = 16 << 20         // of a request, unpacked
	bodyTime     = 30 * time.Second // for a whole body to arrive
	answerTime   = 2 * time.Minute  // from a request's headers to the end of its answer
	idleTime     = 30 * time.Second // of a connection between requests
	shutdownTime = 30 * time.Second // for requests in flight when Run ends
)

// Options are the settings of a server. Store and Version are required.
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
	// Logger gets failed requests; nothing by default.
	Logger zerolog.Logger
}

// Server answers the API of one master.
type Server struct {
	opts    Options
	version httpapi.Version
	store   *store.Store
	log     zerolog.Logger
	api     *echo.Echo
	admin   *echo.Echo
	ports   []port

	reported sync.Map // paths of the unreadable nodes in the log
}

// port is a listener and what answers on it.
type port struct {
	net.Listener
	handler http.Handler
}

// New makes a server and binds its listeners, so that their addresses are known. It answers only when Run runs.
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
	s := &Server{opts: opts, version: version, store: opts.Store, log: opts.Logger}
	s.api, s.admin = s.newAPI(), s.newAdmin()
	for _, p := range []struct {
		addr    string
		handler http.Handler
	}{{opts.Addr, s.api}, {opts.AdminAddr, s.admin}} {
		if p.addr == "" {
			s.ports = append(s.ports, port{nil, p.handler})
			continue
		}
		l, err := net.Listen("tcp", p.addr)
		if err != nil {
			s.close()
			return nil, err
		}
		s.ports = append(s.ports, port{l, p.handler})
	}
	return s, nil
}

func (s *Server) close() {
	for _, p := range s.ports {
		if p.Listener != nil {
			_ = p.Close()
		}
	}
}

// Handler answers the API port, AdminHandler the admin port.
func (s *Server) Handler() http.Handler      { return s.api }
func (s *Server) AdminHandler() http.Handler { return s.admin }

// Addr is the address of the API port, AdminAddr of the admin port; nil without a listener.
func (s *Server) Addr() net.Addr      { return addr(s.ports[0]) }
func (s *Server) AdminAddr() net.Addr { return addr(s.ports[1]) }

func addr(p port) net.Addr {
	if p.Listener == nil {
		return nil
	}
	return p.Listener.Addr()
}

// Run serves until ctx ends, then lets requests in flight finish for a while. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range slices.DeleteFunc(slices.Clone(s.ports), func(p port) bool { return p.Listener == nil }) {
		h := &http.Server{
			Handler:           p.handler,
			MaxHeaderBytes:    maxHeader,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       idleTime,
			ErrorLog:          log.New(s.log, "", 0),
		}
		g.Go(func() error {
			if err := h.Serve(p.Listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", p.Addr(), err)
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
			defer cancel()
			if err := h.Shutdown(grace); err != nil {
				return errors.Join(fmt.Errorf("stop %s: %w", p.Addr(), err), h.Close())
			}
			return nil
		})
	}
	return g.Wait()
}
