package zkserver

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	outboxRoom  = 1 << 20   // replies waiting to be sent before the connection's requests are read no further
	outboxTotal = 256 << 20 // waiting bytes of all clients at which those that have much are given up
	outboxLimit = 32 << 20  // waiting bytes at which a client that does not read is given up
	writesLimit = 1000      // writes of one connection on their way through the pipeline
	spareLimit  = 64 << 10  // bytes of a buffer that is kept for later
	writeStall  = 30 * time.Second
)

// outbox holds what is to be sent to one client, in order. Filling it never blocks, so that nobody waits for a slow
// client but the client itself: its next request waits in ready.
type outbox struct {
	nc      net.Conn
	socket  syscall.RawConn // nil where nc is no socket
	waiting *atomic.Int64   // bytes in all outboxes of the server, this one among them
	mu      sync.Mutex      // guards the fields below
	filled  *sync.Cond      // there is something to send, or an end
	drained *sync.Cond      // there is room, or a write is done, or an end
	buf     []byte
	writes  int  // in the pipeline
	sending bool // run has taken something and is sending it
	ending  bool // close when all is sent
	closed  bool
}

func newOutbox(nc net.Conn, waiting *atomic.Int64) *outbox {
	o := &outbox{nc: nc, waiting: waiting}
	o.filled, o.drained = sync.NewCond(&o.mu), sync.NewCond(&o.mu)
	if c, ok := nc.(syscall.Conn); ok {
		if socket, err := c.SyscallConn(); err == nil {
			o.socket = socket
		}
	}
	return o
}

// ready waits until the next request may be taken: there is room for its answer, and all writes of the connection are
// done if settled is asked for. It is false when the connection has ended.
func (o *outbox) ready(settled bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && !o.ending && (len(o.buf) > outboxRoom || o.writes >= writesLimit || settled && o.writes > 0) {
		o.filled.Signal()
		o.drained.Wait()
	}
	return !o.closed && !o.ending
}

// startWrite counts a write into the pipeline; the reply that ends it says so.
func (o *outbox) startWrite() {
	o.mu.Lock()
	o.writes++
	o.mu.Unlock()
}

func (o *outbox) endWrite() {
	o.mu.Lock()
	o.writes--
	o.mu.Unlock()
	o.drained.Signal()
}

// outstanding is the number of writes on their way.
func (o *outbox) outstanding() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.writes
}

// send queues one frame that build appends.
func (o *outbox) send(build func([]byte) []byte) {
	o.queue(build)
	o.filled.Signal()
}

// queue is like send, but the frame may wait until flush, ready or end is called.
func (o *outbox) queue(build func([]byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed && !o.ending {
		before := len(o.buf)
		o.buf = appendFrame(o.buf, build)
		o.waiting.Add(int64(len(o.buf) - before))
	}
}

// flush sends what is queued. As much as the socket takes without waiting is sent at once, without another goroutine.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) == 0 || o.closed || o.sending {
		return
	}
	if o.socket != nil {
		_ = o.socket.Write(o.writeOnce) // what stays is for run, which finds out why
		if len(o.buf) == 0 {
			if cap(o.buf) > spareLimit {
				o.buf = nil
			}
			return
		}
	}
	o.filled.Signal()
}

// writeOnce writes without waiting; the buffer is locked.
func (o *outbox) writeOnce(fd uintptr) bool {
	n, err := unix.Write(int(fd), o.buf)
	if err == nil || errors.Is(err, unix.EAGAIN) {
		n = max(n, 0)
		o.waiting.Add(int64(-n))
		o.buf = o.buf[:copy(o.buf, o.buf[n:])]
	}
	return true
}

// raw queues bytes as they are and returns how many are waiting now.
func (o *outbox) raw(b []byte) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.ending {
		return 0
	}
	o.buf = append(o.buf, b...)
	o.waiting.Add(int64(len(b)))
	o.filled.Signal()
	return len(o.buf)
}

// event queues a watch event. A client that lets them pile up is given up: it comes back and sets its watches again.
func (o *outbox) event(frame []byte) {
	if n := o.raw(frame); n > outboxLimit || n > outboxRoom && o.waiting.Load() > outboxTotal {
		o.close()
	}
}

// end closes the connection after what is queued now has been sent.
func (o *outbox) end() {
	o.mu.Lock()
	o.ending = true
	o.mu.Unlock()
	o.filled.Signal()
	o.drained.Signal()
}

// close ends the connection at once.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.waiting.Add(int64(-len(o.buf)))
	o.buf = nil
	o.mu.Unlock()
	o.filled.Signal()
	o.drained.Signal()
	o.nc.Close()
}

// run sends until the connection ends, then closes it.
func (o *outbox) run() {
	defer o.close()
	var spare []byte
	for {
		o.mu.Lock()
		o.sending = false
		for len(o.buf) == 0 && !o.closed && !o.ending {
			o.filled.Wait()
		}
		if len(o.buf) == 0 || o.closed {
			o.mu.Unlock()
			return
		}
		batch := o.buf
		o.buf, spare, o.sending = spare[:0], nil, true
		o.mu.Unlock()
		o.drained.Signal()

		_ = o.nc.SetWriteDeadline(time.Now().Add(writeStall)) // fails like the write behind it
		_, err := o.nc.Write(batch)
		o.waiting.Add(int64(-len(batch)))
		if err != nil {
			return
		}
		if cap(batch) <= spareLimit {
			spare = batch
		}
	}
}

// appendHeader writes the header of a reply.
func appendHeader(b []byte, xid int32, zxid int64, err code) []byte {
	return appendInt32(appendInt64(appendInt32(b, xid), zxid), int32(err))
}
