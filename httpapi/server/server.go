// Package server is what a master and an agent say over HTTP (testdata/spec/2-http-api.md): a master's REST API over the
// store, an agent's view of its own tasks, and the admin port of either. It finds the endpoint, reads the request, asks
// the store or the agent and writes the answer, with the exact statuses and bodies that Helios 0.9 clients decode.
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
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
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

// Server answers on the two ports of one process: [New] makes that of a master, [NewAgent] that of an agent.
type Server struct {
	log   zerolog.Logger
	api   *echo.Echo
	admin *echo.Echo
	ports []port
}

// port is a listener and what answers on it.
type port struct {
	net.Listener
	handler http.Handler
}

// listen binds the ports, so that their addresses are known; "" does without a listener. After an error nothing is left
// open.
func (s *Server) listen(addr, adminAddr string) error {
	for _, p := range []struct {
		addr    string
		handler http.Handler
	}{{addr, s.api}, {adminAddr, s.admin}} {
		if p.addr == "" {
			s.ports = append(s.ports, port{nil, p.handler})
			continue
		}
		l, err := net.Listen("tcp", p.addr)
		if err != nil {
			s.close()
			if errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("address %s is in use by another program: %w", p.addr, err)
			}
			return fmt.Errorf("listen on %s: %w", p.addr, err)
		}
		s.ports = append(s.ports, port{l, p.handler})
	}
	return nil
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
