package zkserver

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// liveSession is what is known of a session beside its durable part: when the client was last heard of, and where it is
// connected.
type liveSession struct {
	heard   atomic.Int64  // time since the epoch of liveSessions, in ns
	epoch   time.Time     // never changed
	timeout time.Duration // guarded by liveSessions.mu, like the rest
	conn    *conn         // nil while the client is away
	closing bool          // its end is in the pipeline
}

func (l *liveSession) touch() { l.heard.Store(int64(time.Since(l.epoch))) }

// liveSessions is the table of all open sessions.
type liveSessions struct {
	epoch time.Time
	mu    sync.Mutex // guards table and the entries
	table map[int64]*liveSession
}

// newLiveSessions gives every session of the tree its whole time-out again, as nobody could be heard while the server
// was away.
func newLiveSessions(t *tree) *liveSessions {
	s := &liveSessions{epoch: time.Now(), table: map[int64]*liveSession{}}
	for id, durable := range t.sessions {
		s.add(id, time.Duration(durable.timeout)*time.Millisecond, nil)
	}
	return s
}

func (s *liveSessions) add(id int64, timeout time.Duration, c *conn) *liveSession {
	l := &liveSession{epoch: s.epoch, timeout: timeout, conn: c}
	l.touch()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table[id] = l
	return l
}

func (s *liveSessions) remove(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.table, id)
}

// detach notes that the connection has ended; the session goes on until its time-out.
func (s *liveSessions) detach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.table[c.session]; l != nil && l.conn == c {
		l.conn = nil
	}
}

// attach moves a session to another connection and returns the one it had. Without proof the session stays where it is,
// and only loses its connection: its client is then just as free to come back.
func (s *liveSessions) attach(id int64, proved bool, timeout time.Duration, c *conn) (l *liveSession, old *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l = s.table[id]
	if l == nil {
		return nil, nil
	}
	old, l.conn = l.conn, nil
	if !proved || l.closing {
		return nil, old
	}
	l.conn, l.timeout = c, timeout
	l.touch()
	return l, old
}

// expired marks the sessions that have been silent for too long as closing and returns their ids.
func (s *liveSessions) expired() (ids []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.epoch)
	for id, l := range s.table {
		if !l.closing && now-time.Duration(l.heard.Load()) > l.timeout {
			l.closing = true
			ids = append(ids, id)
		}
	}
	return ids
}

// ended is called when the end of an expired session has been through the pipeline. If it was refused, because the disk
// is full for instance, the session is tried again later.
func (s *liveSessions) ended(id int64, ok bool) {
	s.mu.Lock()
	l := s.table[id]
	if l == nil {
		s.mu.Unlock()
		return
	}
	c := l.conn
	if ok {
		delete(s.table, id)
	} else {
		l.closing = false
	}
	s.mu.Unlock()
	if c != nil {
		c.out.close()
	}
}

func (s *liveSessions) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.table)
}

// newSession invents a session.
func (s *Server) newSession(timeout time.Duration) (id int64, durable session) {
	var b [8]byte
	durable.timeout = int64(timeout / time.Millisecond)
	rand.Read(durable.password[:])
	for {
		rand.Read(b[:])
		id = int64(binary.BigEndian.Uint64(b[:]) >> 1)
		if id != 0 && !s.pipeline.hasSession(id) {
			return id, durable
		}
	}
}

func (p *pipeline) hasSession(id int64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.tree.sessions[id]
	return ok
}

func (p *pipeline) zxid() int64 {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.tree.zxid
}

// resume attaches a connection to an open session, if the password is right. The connection that had the session is
// closed in any case.
func (s *Server) resume(c *conn, id int64, password []byte, timeout time.Duration) (*liveSession, bool) {
	s.pipeline.mu.RLock()
	durable, open := s.pipeline.tree.sessions[id]
	s.pipeline.mu.RUnlock()
	proved := open && subtle.ConstantTimeCompare(password, durable.password[:]) == 1
	live, old := s.sessions.attach(id, proved, timeout, c)
	if old != nil {
		s.unregister(old) // at once: this one may need its place
		old.out.close()
	}
	return live, live != nil
}

// Refusal is why the disk refused the last change, which nobody was told is done; nil if it took it.
func (s *Server) Refusal() error { return s.pipeline.refusal() }

// tend ends silent sessions and deletes empty containers until ctx ends.
func (s *Server) tend(ctx context.Context) {
	tick := time.NewTicker(s.sessionMin / 4)
	defer tick.Stop()
	swept := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, id := range s.sessions.expired() {
			s.pipeline.submit(&request{
				caller: caller{session: id}, kind: opCloseSession,
				done: func(r *request) {
					ok := r.answer == codeOK || r.answer == codeSessionExpired
					s.sessions.ended(id, ok)
					if ok { // that changes are refused is said once for all
						s.log.Info().Str("session", fmt.Sprintf("0x%x", id)).Msg("session timed out")
					}
				},
			})
		}
		if time.Since(swept) < s.containerCheck {
			continue
		}
		swept = time.Now()
		if s.Refusal() != nil { // an empty change finds out whether that is over, though nobody else may try
			s.pipeline.submit(&request{kind: opMulti, done: func(*request) {}})
		}
		for _, path := range s.pipeline.emptyContainers() {
			s.pipeline.submit(&request{kind: opDeleteContainer, ops: []op{{kind: opDeleteContainer, path: path}}, done: func(*request) {}})
		}
	}
}
