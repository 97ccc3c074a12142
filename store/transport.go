package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const maxReply = 64 << 20 // bytes; a longer one is no reply of ZooKeeper's

// errGarbage says that a server broke the protocol. The connection is given up.
var errGarbage = errors.New("the server's answer makes no sense")

// transport is one connection to a server, between the network and the library, which writes and reads whole frames. It
// does what the library must not be left alone with:
//
//   - It authenticates before the library learns that there is a session, so that nothing is asked by nobody. The
//     library's own way can hang for good when the connection is lost meanwhile.
//   - It lets no watch outlive its connection. The library sets them again from the last zxid it saw, which an answer may
//     have taken past a change of meanwhile; and says nothing when a server refuses that, or hangs up on it each time.
//     Here they all ring instead: whoever watches reads and watches anew, as after any event.
//   - It keeps the zxid of the last answer, which the library reads and writes unguarded, to itself.
//   - It passes nothing on that makes the library panic.
//   - It asks for a session that must be over without claiming to have seen anything: a store that was restored or
//     wiped hangs up on whoever saw later states than it has, for ever.
type transport struct {
	net.Conn
	in       *bufio.Reader
	greeting greeting
	greeted  bool   // the library has asked for a session; the writer's
	welcomed bool   // it has got one, or not; the reader's, like those below
	buf      []byte // of frames
	rest     []byte // of buf, to be handed on

	mu    sync.Mutex // guards asked
	asked map[int32]question
}

// greeting is how a connection begins, and who is told of it.
type greeting struct {
	credential Credential
	seen       *atomic.Int64               // zxid of the last answer, on any connection of the session
	forget     bool                        // the session must be over
	granted    func(timeout time.Duration) // a session
	failed     func(error)                 // to read
}

// question is a request that was not answered yet.
type question struct {
	operation int32
	rings     []string // nodes whose watches ring with the answer
}

func newTransport(conn net.Conn, g greeting) *transport {
	return &transport{Conn: conn, in: bufio.NewReader(conn), greeting: g, asked: make(map[int32]question)}
}

// Write sends one frame of the library's.
func (t *transport) Write(frame []byte) (int, error) {
	sent := frame
	if !t.greeted {
		t.greeted = true
		if t.greeting.forget {
			t.greeting.seen.Store(0)
		}
		setLastSeen(frame, t.greeting.seen.Load())
	} else if xid, operation, ok := requestHeader(frame); ok && xid > 0 {
		q := question{operation: operation}
		if operation == codeSetWatches {
			q.rings = watchedNodes(frame)
			sent = emptySetWatches(xid)
		}
		t.mu.Lock()
		t.asked[xid] = q
		t.mu.Unlock()
	}
	if n, err := t.Conn.Write(sent); err != nil {
		return min(n, len(frame)), err
	}
	return len(frame), nil
}

// Read gives the library frame after frame.
func (t *transport) Read(p []byte) (int, error) {
	if len(t.rest) == 0 {
		t.buf = t.buf[:0]
		receive := t.receive
		if !t.welcomed {
			receive = t.welcome
		}
		if err := receive(); err != nil {
			t.greeting.failed(err)
			return 0, err
		}
		t.rest = t.buf
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// receive reads the next frame into buf, and puts before it the events that it brings.
func (t *transport) receive() error {
	body, err := t.next(maxReply)
	if err != nil {
		return err
	}
	xid, code, ok := replyHeader(body)
	if !ok {
		return errGarbage
	}
	if xid < 0 {
		return nil
	}
	if zxid := takeZxid(body); zxid > 0 {
		t.greeting.seen.Store(zxid)
	}
	t.mu.Lock()
	q, asked := t.asked[xid]
	delete(t.asked, xid)
	t.mu.Unlock()
	if asked && code == 0 && !decodable(q.operation, body[replyHeaderSize:]) {
		return errGarbage
	}
	if len(q.rings) > 0 {
		answer := t.buf
		t.buf = nil
		for _, path := range q.rings {
			t.buf = appendEvent(t.buf, path)
		}
		t.buf = append(t.buf, answer...)
	}
	return nil
}

// next appends the next frame of at most limit bytes to buf, and gives its body.
func (t *transport) next(limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(t.in, head[:]); err != nil {
		return nil, err
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes", errGarbage, size)
	}
	begin := len(t.buf) + len(head)
	t.buf = append(t.buf, head[:]...)
	t.buf = append(t.buf, make([]byte, size)...)
	_, err := io.ReadFull(t.in, t.buf[begin:])
	return t.buf[begin:], err
}

// welcome reads the answer to the wish for a session into buf, and authenticates if there is one.
func (t *transport) welcome() error {
	body, err := t.next(maxWelcome)
	if err != nil {
		return err
	}
	session, timeout, ok := welcomed(body)
	if !ok {
		return errGarbage
	}
	if session == 0 {
		t.greeting.seen.Store(0) // expired: the next one may begin anywhere
	} else {
		if err := t.authenticate(); err != nil {
			return err
		}
		t.greeting.granted(timeout)
	}
	t.welcomed = true
	return nil
}

// authenticate says who we are and waits for the answer. It leaves buf as it is.
func (t *transport) authenticate() error {
	c := t.greeting.credential
	if c.Password == "" {
		return nil
	}
	if _, err := t.Conn.Write(authRequest(c)); err != nil {
		return err
	}
	welcome := t.buf
	t.buf = nil
	body, err := t.next(maxWelcome)
	t.buf = welcome
	if err != nil {
		return fmt.Errorf("authenticate user %s: %w", c.User, err)
	}
	switch xid, code, ok := replyHeader(body); {
	case !ok || xid != xidAuth:
		return errGarbage
	case code != 0:
		return &refusedError{user: c.User}
	}
	return nil
}
