// Package zkserver is a single-node server of the ZooKeeper client protocol, durable in one directory. It is what
// `helios solo` and the tests run instead of a ZooKeeper ensemble, so that every role has one store and one client.
//
// A request is read by its connection (conn.go), or by one goroutine for all of TCP (poller.go), decoded (protocol.go,
// wire.go) and, if it changes something, put through the pipeline (pipeline.go): a batch of requests is checked against
// the tree (prepare.go), written to the log with one fsync (journal.go), applied to the tree (tree.go, which also tells
// the events), and answered (outbox.go). Reads are answered from the tree at once, after the connection's own writes
// (read.go). Nothing is visible before it is durable.
//
// The package owns the state directory and its formats. It never speaks to other servers, interprets no node's content,
// and knows nothing of Helios. It follows testdata/spec/7-zookeeper-protocol.md where the protocol's public description
// is silent.
package zkserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Options configure a Server. The zero value is a server in memory that only ServeConn and Dial reach.
type Options struct {
	// Addr is the TCP address to listen on, "127.0.0.1:2181"; port 0 takes a free one. Empty: no listener.
	Addr string
	// Dir holds the log and the snapshots; it is created. Empty: everything is forgotten at the end.
	Dir string
	// SessionTimeoutMin and SessionTimeoutMax bound what clients ask for. Defaults: 4 s and 40 s.
	SessionTimeoutMin, SessionTimeoutMax time.Duration
	// MaxConnections bounds the connections at one time. Default: 5000, but no more than half of the files that the process
	// may open. A further connection takes the place of one that has no session yet; if all have, it is closed. A tenth is
	// kept from new sessions, for clients that come back to theirs and for four-letter words.
	MaxConnections int
	// MaxConnectionsPerAddress bounds the connections with a session of one client address; a new session beyond it is
	// refused. Clients that come back to theirs may be as many more as are kept for them. Default: three quarters of all.
	MaxConnectionsPerAddress int
	// NoSync leaves out fsync: a crash of the machine may lose what was acknowledged. For simulations and tests.
	NoSync bool
	// SuperDigest is the identity, user:base64(sha1(user:password)), that may do everything. Empty: nobody.
	SuperDigest string
	// Logger gets the server's log. The zero value logs nothing.
	Logger zerolog.Logger
}

// Server is a coordination server. Make one with New.
type Server struct {
	log                    zerolog.Logger
	listener               net.Listener // nil without an address
	sessionMin, sessionMax time.Duration
	containerCheck         time.Duration
	maxConns, maxPerAddr   int
	superDigest            string
	started                time.Time
	pipeline               *pipeline
	poller                 *poller // nil without an address
	sessions               *liveSessions
	incoming               chan net.Conn // from ServeConn
	ended                  chan struct{} // closed when Run returns

	waiting atomic.Int64 // bytes in all outboxes

	mu      sync.Mutex // guards the fields below
	conns   map[*conn]struct{}
	settled int                 // connections with a session
	perAddr map[netip.Addr]load // that there are connections of
	gone    packets             // of connections that have ended
	refused time.Time           // when it was last said that there are too many
	closing bool
}

// load is what one client address takes.
type load struct{ conns, settled int }

// New checks the options, reads the state from the directory and binds the listener, but serves nobody before Run. Damage
// in the directory that is not the torn end of a crash is an error that says what and where; nothing is repaired then.
// The listener and the directory are held until Run has returned. In virtual time New and Run belong to one bubble.
func New(opts Options) (*Server, error) {
	s := &Server{
		log: opts.Logger, superDigest: opts.SuperDigest,
		sessionMin: orDefault(opts.SessionTimeoutMin, 4*time.Second), sessionMax: orDefault(opts.SessionTimeoutMax, 40*time.Second),
		containerCheck: time.Minute, maxConns: opts.MaxConnections, maxPerAddr: opts.MaxConnectionsPerAddress, started: time.Now(),
		incoming: make(chan net.Conn), ended: make(chan struct{}), conns: map[*conn]struct{}{}, perAddr: map[netip.Addr]load{},
	}
	if s.maxConns == 0 {
		s.maxConns = defaultConnections()
	}
	if s.maxPerAddr == 0 {
		s.maxPerAddr = s.maxConns * 3 / 4
	}
	if s.sessionMin < 0 || s.sessionMin > s.sessionMax {
		return nil, fmt.Errorf("session time-outs from %s to %s: the least must not be above the greatest", s.sessionMin, s.sessionMax)
	}
	if opts.Addr != "" {
		l, err := net.Listen("tcp", opts.Addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("address %s is in use by another program", opts.Addr)
		}
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", opts.Addr, err)
		}
		s.listener = l
		if s.poller, err = newPoller(); err != nil {
			l.Close()
			return nil, err
		}
	}
	if err := s.open(opts.Dir, newDisk(opts.NoSync)); err != nil {
		if s.listener != nil {
			s.listener.Close()
			s.poller.close()
		}
		return nil, err
	}
	return s, nil
}

// open reads the state, or makes it.
func (s *Server) open(dir string, d *disk) error {
	if dir == "" {
		s.pipeline = newPipeline(newTree(), nil, s.log)
		s.sessions = newLiveSessions(s.pipeline.tree)
		return nil
	}
	j, t, err := openJournal(dir, d, s.log)
	if err != nil {
		return err
	}
	s.pipeline = newPipeline(t, j, s.log)
	s.pipeline.snapshotSize.Store(j.snapshotSize)
	s.sessions = newLiveSessions(t)
	s.log.Info().Str("dir", dir).Int64("zxid", t.zxid).Int("nodes", t.nodes).Int("sessions", len(t.sessions)).Dur("took", time.Since(s.started)).Msg("state read")
	return nil
}

// defaultConnections leaves files for others: the server may share its process.
func defaultConnections() int {
	most := 5000
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil && files.Cur/2 < uint64(most) {
		most = max(int(files.Cur/2), 10)
	}
	return most
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

// Addr is the address the server listens on, "" without one.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until ctx ends. It returns when all connections are closed and every goroutine has ended; the error is nil
// after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	defer close(s.ended)
	pipeline, stopPipeline := context.WithCancel(context.WithoutCancel(ctx))
	defer stopPipeline()
	var committing errgroup.Group
	committing.Go(func() error { s.pipeline.run(pipeline); return nil })

	var serving sync.WaitGroup
	polling, ctx := errgroup.WithContext(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.tend(ctx); return nil })
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case nc := <-s.incoming:
				serving.Go(func() { s.serve(nc) })
			}
		}
	})
	if s.listener != nil {
		polling.Go(func() error { return s.poller.run(s.pipeline) })
		g.Go(func() error { return s.accept(ctx, &serving) })
		context.AfterFunc(ctx, func() { s.listener.Close() })
	}
	<-ctx.Done()
	s.closeConns()
	err := g.Wait()
	serving.Wait()
	if s.poller != nil {
		s.poller.close()
	}
	err = errors.Join(err, polling.Wait())
	stopPipeline()
	err = errors.Join(err, committing.Wait())
	if s.pipeline.journal != nil {
		err = errors.Join(err, s.pipeline.journal.close())
	}
	return err
}

// accept takes connections until ctx ends. Running out of file descriptors is no reason to stop.
func (s *Server) accept(ctx context.Context, serving *sync.WaitGroup) error {
	for {
		nc, err := s.listener.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED):
			s.log.Warn().Err(err).Msg("accept connection")
			wait(ctx, 100*time.Millisecond)
		case err != nil:
			return fmt.Errorf("accept on %s: %w", s.Addr(), err)
		default:
			serving.Go(func() { s.serve(nc) })
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// ServeConn serves a connection as if the listener had accepted it. It waits for Run to take it and returns then; the
// connection is closed when Run has ended.
func (s *Server) ServeConn(nc net.Conn) {
	select {
	case s.incoming <- nc:
	case <-s.ended:
		nc.Close()
	}
}

// Dial connects to the server without a network, by a pipe; network and address mean nothing. It is a dialer for the
// client library, in virtual time too.
func (s *Server) Dial(_, _ string, timeout time.Duration) (net.Conn, error) {
	client, server := net.Pipe()
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case s.incoming <- server:
		return client, nil
	case <-s.ended:
		return nil, net.ErrClosed
	case <-late.C:
		return nil, os.ErrDeadlineExceeded
	}
}

// register counts a connection in, unless there are too many or the server is ending. Where there is no room, one without
// a session has to go, the oldest of the address that has most of them: who only opens connections keeps nobody out.
func (s *Server) register(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	if len(s.conns) >= s.maxConns {
		var from netip.Addr
		most := 0
		for addr, l := range s.perAddr {
			if n := l.conns - l.settled; n > most {
				from, most = addr, n
			}
		}
		var oldest *conn
		for other := range s.conns {
			if !other.settled && other.addr == from && (oldest == nil || other.since.Before(oldest.since)) {
				oldest = other
			}
		}
		if oldest == nil {
			return false
		}
		s.drop(oldest)
		oldest.out.close()
	}
	s.conns[c] = struct{}{}
	s.count(c.addr, 1, 0)
	return true
}

// settle counts a connection among those with a session, unless there are too many. There is more room for one that comes
// back to its session than for one that wants a new one.
func (s *Server) settle(c *conn, back bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.conns[c]; !ok {
		return false
	}
	room := s.maxConns / 10
	most, ofAddress := s.maxConns-room, s.maxPerAddr
	if back {
		most, ofAddress = s.maxConns-room/2, s.maxPerAddr+room
	}
	has := s.perAddr[c.addr].settled
	if s.settled >= most || c.addr.IsValid() && has >= ofAddress {
		if time.Since(s.refused) > time.Minute {
			s.refused = time.Now()
			s.log.Warn().Str("client", c.nc.RemoteAddr().String()).Int("sessions", has).Int("of", s.settled).Msg("too many connections with a session; refused")
		}
		return false
	}
	c.settled = true
	s.settled++
	s.count(c.addr, 0, 1)
	return true
}

// count changes what an address takes; s.mu is held.
func (s *Server) count(addr netip.Addr, conns, settled int) {
	l := s.perAddr[addr]
	l.conns, l.settled = l.conns+conns, l.settled+settled
	s.perAddr[addr] = l
	if l.conns == 0 {
		delete(s.perAddr, addr)
	}
}

func (s *Server) unregister(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
}

// drop takes a connection off the lists, if it is on them; s.mu is held.
func (s *Server) drop(c *conn) {
	if _, ok := s.conns[c]; !ok {
		return
	}
	delete(s.conns, c)
	s.gone.received, s.gone.sent = s.gone.received+c.received.Load(), s.gone.sent+c.sent.Load()
	settled := 0
	if c.settled {
		settled = 1
	}
	s.settled -= settled
	s.count(c.addr, -1, -settled)
}

func (s *Server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) closeConns() {
	s.mu.Lock()
	s.closing = true
	open := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		c.out.close()
	}
}
