package zkserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// frameLimit is the longest request frame, ZooKeeper's jute.maxbuffer. A longer one ends the connection.
	frameLimit = 1<<20 - 1
	// helloLimit is the longest frame before there is a session.
	helloLimit = 4096
	// identityLimit is how many bytes of identities a connection may prove.
	identityLimit = 16 << 10
	// silenceLimit is how long a connection may stay without a session.
	silenceLimit = 10 * time.Second
)

// conn is one client connection: a goroutine that reads and answers requests in their order, and one that sends. Of a TCP
// connection with a session the poller does both, and those goroutines only what takes waiting.
type conn struct {
	srv *Server
	nc  *stream
	in  *bufio.Reader
	out *outbox

	addr    netip.Addr // the client's; zero where it has none
	since   time.Time
	settled bool // it has a session, or is getting one; guarded by Server.mu

	received, sent atomic.Int64 // frames

	turn chan bool // from the poller: the turn of the reading goroutine, to go on or to end

	// Of the one whose turn it is, after the session is there: the reading goroutine or the poller.
	frame   []byte // the request
	missing int    // bytes of it that have not arrived yet
	held    bool   // it has been read but not handled yet
	polled  bool   // the poller has the turn
	session int64
	live    *liveSession
	ids     []identity // never changed in place: requests in the pipeline hold it

	// Guarded by the watches' mutex.
	watching map[watchKey]struct{}
	watched  int    // bytes that the watches take
	fired    uint64 // the last event sent
	gone     bool
}

// serve talks to one client until the connection ends.
func (s *Server) serve(nc net.Conn) {
	c := &conn{srv: s, nc: &stream{Conn: nc, fd: -1}, turn: make(chan bool, 1), since: time.Now()}
	c.in, c.out = bufio.NewReaderSize(c.nc, 4096), newOutbox(c.nc, &s.waiting)
	if host, err := netip.ParseAddrPort(nc.RemoteAddr().String()); err == nil {
		c.addr = host.Addr().Unmap()
		c.ids = []identity{{"ip", c.addr.String()}}
	}
	if !s.register(c) {
		nc.Close()
		return
	}
	defer s.unregister(c)
	var sender sync.WaitGroup
	sender.Go(c.out.run)
	c.converse()
	s.pipeline.watches.forget(c)
	c.out.end()
	sender.Wait()
	s.sessions.detach(c)
	c.out.release()
}

// converse reads requests until there are no more, the client breaks the protocol, or its session ends.
func (c *conn) converse() {
	if err := c.nc.SetReadDeadline(time.Now().Add(silenceLimit)); err != nil {
		return
	}
	if !c.hello() {
		return
	}
	if err := c.nc.SetReadDeadline(time.Time{}); err != nil {
		return
	}
	if c.srv.poller != nil {
		c.out.detach()
	}
	for c.out.ready(false) {
		if !c.held && !c.buffered() {
			c.out.flush()
		}
		switch err := c.next(); {
		case errors.Is(err, errLater):
			if c.srv.poller.add(c) != nil || !<-c.turn {
				return
			}
		case err != nil || !c.take():
			return
		}
	}
}

// next reads the next request, unless there is one that waits to be handled.
func (c *conn) next() error {
	if c.held {
		c.held = false
		return nil
	}
	return c.readFrame(frameLimit)
}

// take handles the request that has been read. It is false when the connection is to end.
func (c *conn) take() bool {
	c.received.Add(1)
	c.live.touch()
	d := &decoder{rest: c.frame}
	xid, kind := d.int32(), d.int32()
	return !d.bad && c.handle(xid, kind, d)
}

var errFrame = errors.New("frame of illegal length")

// readFrame reads the next request into c.frame. The buffer grows with what has arrived, not with what was announced.
// After an error that is no end it goes on where it was.
func (c *conn) readFrame(limit int) error {
	if c.missing == 0 {
		head, err := c.in.Peek(4)
		if err != nil {
			return err
		}
		n := int(int32(binary.BigEndian.Uint32(head)))
		if n < 0 || n > limit {
			return errFrame
		}
		if _, err := c.in.Discard(4); err != nil {
			return err
		}
		if cap(c.frame) > 64<<10 {
			c.frame = nil
		}
		c.frame, c.missing = c.frame[:0], n
	}
	for c.missing > 0 {
		have := len(c.frame)
		if have == cap(c.frame) {
			c.frame = slices.Grow(c.frame, min(c.missing, max(have, 4096)))
		}
		n, err := c.in.Read(c.frame[have:min(have+c.missing, cap(c.frame))])
		c.frame, c.missing = c.frame[:have+n], c.missing-n
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// buffered tells whether a whole request has been received already.
func (c *conn) buffered() bool {
	have := c.in.Buffered()
	if have < 4 {
		return false
	}
	head, err := c.in.Peek(4)
	return err == nil && have-4 >= int(binary.BigEndian.Uint32(head))
}

// hello reads the connect request and gets the client its session. A four-letter word is answered instead.
func (c *conn) hello() bool {
	word, err := c.in.Peek(4)
	if err != nil {
		return false
	}
	if answer, ok := c.srv.fourLetterWord(string(word)); ok {
		c.out.raw([]byte(answer))
		return false
	}
	if err := c.readFrame(helloLimit); err != nil {
		return false
	}
	c.received.Add(1)
	d := &decoder{rest: c.frame}
	d.int32() // protocol version
	seen, timeout, id, password := d.int64(), d.int32(), d.int64(), d.buffer()
	if d.bad {
		return false
	}
	readOnlyByte := len(d.rest) > 0
	if seen > c.srv.pipeline.zxid() {
		c.srv.log.Warn().Str("client", c.nc.RemoteAddr().String()).Msg("client has seen a later state than this server has; refused")
		return false
	}
	limited := min(max(time.Duration(timeout)*time.Millisecond, c.srv.sessionMin), c.srv.sessionMax)
	if id == 0 {
		return c.srv.settle(c, false) && c.openSession(limited, readOnlyByte)
	}
	live, ok := c.srv.resume(c, id, password, limited)
	if !ok {
		c.welcome(0, 0, make([]byte, passwordSize), readOnlyByte)
		return false
	}
	c.session, c.live = id, live
	if !c.srv.settle(c, true) {
		return false
	}
	c.welcome(limited, id, password, readOnlyByte)
	return true
}

// openSession gets a new session through the pipeline and waits for it.
func (c *conn) openSession(timeout time.Duration, readOnlyByte bool) bool {
	id, durable := c.srv.newSession(timeout)
	opened := false
	c.session = id
	c.out.startWrite()
	ok := c.srv.pipeline.submit(&request{
		caller: caller{session: id}, kind: opOpenSession, open: durable,
		done: func(r *request) {
			if opened = r.answer == codeOK; opened {
				c.live = c.srv.sessions.add(id, timeout, c)
				c.welcome(timeout, id, durable.password[:], readOnlyByte)
			}
			c.out.endWrite()
		},
	})
	return ok && c.out.ready(true) && opened
}

// welcome answers the connect request; a refusal is a welcome with zeros.
func (c *conn) welcome(timeout time.Duration, id int64, password []byte, readOnlyByte bool) {
	c.sent.Add(1)
	c.out.send(func(b []byte) []byte {
		b = appendInt32(appendInt32(b, 0), int32(timeout/time.Millisecond))
		b = appendBuffer(appendInt64(b, id), password)
		if readOnlyByte {
			b = appendBool(b, false)
		}
		return b
	})
}

// reply queues the answer to a request, which is sent before the next one is waited for. Of a refused one only the header
// is sent.
func (c *conn) reply(xid int32, zxid int64, err code, body []byte) {
	c.sent.Add(1)
	c.out.queue(func(b []byte) []byte {
		b = appendHeader(b, xid, zxid, err)
		if err == codeOK {
			b = append(b, body...)
		}
		return b
	})
}

// event queues a watch event.
func (c *conn) event(frame []byte) {
	c.sent.Add(1)
	c.out.event(frame)
}

// handle takes one request. It is false when the connection is to end.
func (c *conn) handle(xid, kind int32, d *decoder) bool {
	switch kind {
	case opPing:
		c.reply(xid, c.srv.pipeline.zxid(), codeOK, nil)
	case opAuth:
		return c.authenticate(xid, d)
	case opCloseSession:
		c.write(xid, &request{kind: kind})
		c.out.ready(true)
		return false
	case opCreate, opCreate2, opCreateContainer, opCreateTTL, opDelete, opSetData, opSetACL, opCheck, opSync:
		return c.decoded(xid, d, &request{kind: kind, ops: []op{decodeOp(kind, d)}})
	case opMulti:
		return c.decoded(xid, d, &request{kind: kind, ops: decodeMulti(d)})
	case opExists, opGetData, opGetACL, opGetChildren, opGetChildren2, opSetWatches, opSetWatches2, opAddWatch,
		opCheckWatches, opRemoveWatches, opMultiRead, opGetEphemerals, opCountChildren, opWhoAmI:
		if !c.out.ready(true) {
			return false
		}
		c.srv.pipeline.read(c, xid, kind, d)
	case opReconfig:
		return c.reconfigure(xid, d)
	case opDeleteContainer: // the server's own
		return c.refuse(xid, codeBadArguments)
	case opSASL:
		return c.sasl(xid, d)
	default:
		c.refuse(xid, codeUnimplemented)
		return false
	}
	return true
}

// refuse answers with an error in the request's turn.
func (c *conn) refuse(xid int32, err code) bool {
	if !c.out.ready(true) {
		return false
	}
	c.reply(xid, c.srv.pipeline.zxid(), err, nil)
	return true
}

// reconfigure refuses as a server does where reconfiguration is switched off.
func (c *conn) reconfigure(xid int32, d *decoder) bool {
	d.buffer() // joining
	d.buffer() // leaving
	d.buffer() // members
	d.int64()  // version
	if d.bad {
		return c.refuse(xid, codeMarshalling)
	}
	return c.refuse(xid, codeReconfigOff)
}

// sasl answers with no token, as a server does that has no SASL: the client goes on without.
func (c *conn) sasl(xid int32, d *decoder) bool {
	if token := d.buffer(); token == nil || !c.out.ready(true) {
		return false
	}
	c.reply(xid, 0, codeOK, appendBuffer(nil, nil))
	return true
}

func (c *conn) decoded(xid int32, d *decoder, r *request) bool {
	if d.bad {
		r.answer = codeMarshalling
	}
	return c.write(xid, r)
}

// write sends a request through the pipeline without waiting for it.
func (c *conn) write(xid int32, r *request) bool {
	r.caller = caller{session: c.session, ids: c.ids}
	r.size, r.out, r.quiet = len(c.frame), c.out, c.polled
	c.frame = nil // the request's data is part of it
	closing := r.kind == opCloseSession
	r.done = func(r *request) {
		if closing && r.answer == codeOK {
			c.srv.sessions.remove(r.session)
		}
		if r.answer == codeConnectionLoss {
			c.out.close()
		}
		c.reply(xid, r.zxid, r.answer, r.body)
		c.out.endWrite()
	}
	c.out.startWrite()
	return c.srv.pipeline.submit(r)
}

// authenticate adds an identity. What cannot be proved ends the connection.
func (c *conn) authenticate(xid int32, d *decoder) bool {
	d.int32() // type
	scheme, credential := d.string(), d.buffer()
	if d.bad || !c.out.ready(true) {
		return false
	}
	ids := slices.Clone(c.ids)
	switch scheme {
	case "digest":
		proved := digestOf(string(credential))
		if proved == c.srv.superDigest {
			ids = append(ids, identity{"super", ""})
		}
		ids = append(ids, identity{"digest", proved})
	case "ip":
	default:
		c.reply(xid, 0, codeAuthFailed, nil)
		return false
	}
	slices.SortFunc(ids, compareIdentities)
	ids = slices.Compact(ids)
	total := 0
	for _, id := range ids {
		total += len(id.scheme) + len(id.id)
	}
	if total > identityLimit {
		c.reply(xid, 0, codeAuthFailed, nil)
		return false
	}
	c.ids = ids
	c.reply(xid, 0, codeOK, nil)
	return true
}
