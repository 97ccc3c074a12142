package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"
)

const (
	reconnectWait = 500 * time.Millisecond
	maxHandshake  = 3 * time.Second // a server that begins may take a greeting in and never answer it
	closeWait     = time.Second     // for requests under way
)

// session is the connection to ZooKeeper. It knows of nodes only that their paths begin at chroot.
//
// The library connects and reconnects by itself. What it lacks is here: contexts, a bound on every wait, retries, and a
// word when a connection was made; and, of each connection, in transport.
type session struct {
	conn           *zk.Conn
	ended          <-chan zk.Event // closed when the library's loop is over
	chroot         string
	rules          []rule // of access lists; nil for nodes that are open to all
	credential     Credential
	log            zerolog.Logger
	connectTimeout time.Duration
	failFast       time.Duration
	patience       time.Duration // for the answer to a request
	handshake      time.Duration // bound on dialling and being granted a session, per server
	dial           func(ctx context.Context, network, address string) (net.Conn, error)

	closing context.Context // done when close was called
	cancel  context.CancelFunc
	calls   sync.WaitGroup // requests under way, abandoned ones included

	views   sights
	known   known
	seen    atomic.Int64 // zxid of the last answer
	cluster *clusterID   // nil where none is guarded

	mu        sync.Mutex // guards all below
	closed    bool
	link      link
	bells     map[chan struct{}]struct{}
	transport net.Conn      // the newest connection
	granting  *time.Timer   // closes transport unless a session is granted in time
	timeout   time.Duration // of the session, as granted
	refusals  time.Duration // the pause after the next refused credential; zero without one before
	reminder  Reminder      // of refusals
	reason    error         // why there is no connection, as far as is known
}

// link is the state of the connection between two changes.
type link struct {
	up      bool
	since   time.Time
	changed chan struct{} // closed at the next change
}

func newSession(opts Options) (*session, error) {
	addresses, chroot, err := parseServers(opts.Servers)
	if err != nil {
		return nil, err
	}
	s := &session{
		chroot:         chroot,
		log:            opts.Logger,
		connectTimeout: opts.ConnectTimeout,
		failFast:       opts.FailFast,
		patience:       cmp.Or(opts.FailFast, opts.SessionTimeout),
		timeout:        opts.SessionTimeout,
		handshake:      max(min(opts.ConnectTimeout/time.Duration(len(addresses)), maxHandshake), time.Second),
		dial:           opts.Dial,
		credential:     opts.Credential,
		bells:          make(map[chan struct{}]struct{}),
		link:           link{since: time.Now(), changed: make(chan struct{})},
	}
	if opts.ACLs != nil {
		s.rules = opts.ACLs.rules()
	}
	if s.cluster, err = newClusterID(opts.ClusterID); err != nil {
		return nil, err
	}
	s.closing, s.cancel = context.WithCancel(context.Background())
	s.conn, s.ended, err = zk.Connect(addresses, opts.SessionTimeout,
		zk.WithHostProvider(new(servers)),
		zk.WithDialer(s.connect),
		zk.WithEventCallback(s.noticed),
		zk.WithLogger(logger{opts.Logger}),
		zk.WithMaxBufferSize(maxReply),
	)
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("zookeeper servers %q: %w", opts.Servers, err)
	}
	return s, nil
}

// close ends the session, so that ZooKeeper drops its ephemeral nodes at once, and waits for everything it started.
func (s *session) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.finish()
	s.conn.Close()
	s.mu.Lock()
	if s.transport != nil {
		s.transport.Close()
	}
	s.mu.Unlock()
	for range s.ended {
	}
	s.calls.Wait()
}

// finish waits for the requests under way. The library may hang for good over one that comes in while it closes and
// whose connection fails.
func (s *session) finish() {
	done := make(chan struct{})
	go func() {
		s.calls.Wait()
		close(done)
	}()
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// connect dials one server for the library. The library waits for minutes for a server that accepts and then says
// nothing; the timer does not. The random wait keeps a thousand agents from coming back in one instant, a server that
// refuses our credential is asked more and more rarely.
func (s *session) connect(network, address string, _ time.Duration) (net.Conn, error) {
	s.mu.Lock()
	var wait time.Duration
	if s.transport != nil {
		s.transport.Close() // the library forgets to, when a session has expired
		wait = rand.N(reconnectWait)
	}
	wait = max(wait, s.refusals)
	s.mu.Unlock()
	if sleep(s.closing, wait) != nil {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(s.closing, s.handshake)
	defer cancel()
	conn, err := s.dial(ctx, network, address)
	if err != nil {
		s.blame(address, err)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Err() != nil {
		conn.Close()
		return nil, ErrClosed
	}
	s.transport = conn
	s.granting = time.AfterFunc(s.handshake, func() {
		s.blame(address, fmt.Errorf("no session within %v", s.handshake))
		conn.Close()
	})
	return newTransport(conn, greeting{
		credential: s.credential,
		seen:       &s.seen,
		forget:     !s.link.up && time.Since(s.link.since) > s.timeout,
		granted:    s.granted,
		failed:     func(err error) { s.blame(address, err) },
	}), nil
}

// granted notes how long the session outlives its connection.
func (s *session) granted(timeout time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timeout, s.refusals = timeout, 0
	s.reminder.Reset()
}

// blame notes why there is no connection, for those who wait for one. That our own side closed it is no reason.
func (s *session) blame(address string, err error) {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, io.EOF):
		err = errors.New("the server hung up")
		fallthrough
	case !strings.Contains(err.Error(), address):
		err = fmt.Errorf("%s: %w", address, err)
	}
	s.reason = err
	if errors.Is(err, errRefused) {
		if s.reminder.Due(time.Now()) {
			s.log.Error().Err(s.reason).Msg("zookeeper will be asked again, more and more rarely")
		}
		s.refusals = longer(s.refusals)
	}
}

// noticed is called by the library's goroutines and must not block. Only the session's own states matter here; events
// of nodes reach their watchers through the watchers' channels.
func (s *session) noticed(event zk.Event) {
	if event.Type != zk.EventSession {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch event.State {
	case zk.StateHasSession:
		s.granting.Stop()
		s.announce(event.Server)
	case zk.StateDisconnected:
		s.known.disconnected()
		if s.granting != nil {
			s.granting.Stop()
		}
		if s.link.up {
			s.change(false)
			if s.closed {
				return
			}
			s.log.Warn().Str("server", event.Server).AnErr("reason", s.reason).Msg("connection to zookeeper lost")
		}
	case zk.StateExpired:
		s.log.Warn().Msg("zookeeper session expired")
	}
}

// announce tells all who wait of a connection. s.mu is held.
func (s *session) announce(server string) {
	if s.closed {
		return
	}
	s.reason = nil
	s.change(true)
	s.log.Info().Str("server", server).Msg("connected to zookeeper")
	for bell := range s.bells {
		ring(bell)
	}
}

// change records a new state of the connection. s.mu is held.
func (s *session) change(up bool) {
	close(s.link.changed)
	s.link = link{up: up, since: time.Now(), changed: make(chan struct{})}
}

func (s *session) state() link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// subscribe gives a bell that rings now, if there is a connection, and after every later one, until ctx ends.
func (s *session) subscribe(ctx context.Context) <-chan struct{} {
	bell := make(chan struct{}, 1)
	s.mu.Lock()
	s.bells[bell] = struct{}{}
	if s.link.up {
		ring(bell)
	}
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.bells, bell)
	})
	return bell
}

// await returns when there is a connection.
func (s *session) await(ctx context.Context) error {
	limit := time.Now().Add(s.connectTimeout)
	for {
		now := s.state()
		if now.up {
			return nil
		}
		if s.failFast > 0 {
			limit = earlier(limit, now.since.Add(s.failFast))
		}
		timer := time.NewTimer(time.Until(limit))
		select {
		case <-now.changed:
			timer.Stop()
		case <-timer.C:
			return s.unavailable(now)
		case <-s.closing.Done():
			timer.Stop()
			return ErrClosed
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// unavailable says for how long there has been no connection, and why.
func (s *session) unavailable(now link) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	waited := time.Since(now.since).Round(time.Millisecond)
	if s.reason != nil {
		return fmt.Errorf("%w: no connection for %v: %v", ErrUnavailable, waited, s.reason)
	}
	return fmt.Errorf("%w: no connection for %v", ErrUnavailable, waited)
}

// ring rings a doorbell; ringing twice before it is answered is ringing once.
func ring(bell chan<- struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// quiet makes a bell one that has not rung.
func quiet(bell <-chan struct{}) {
	select {
	case <-bell:
	default:
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// logger gives the library's own messages to debugging; session says what matters.
type logger struct{ log zerolog.Logger }

func (l logger) Printf(format string, args ...any) {
	l.log.Debug().Msgf(format, args...)
}
