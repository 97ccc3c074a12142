package zkserver

import (
	"net"
	"sync"
	"time"
)

const (
	outboxRoom  = 1 << 20  // replies waiting to be sent before the connection's requests are read no further
	outboxLimit = 32 << 20 // waiting bytes at which a client that does not read is given up
	writesLimit = 1000     // writes of one connection on their way through the pipeline
	writeStall  = 30 * time.Second
)

// outbox holds what is to be sent to one client, in order. Filling it never blocks, so that nobody waits for a slow
// client but the client itself: its next request waits in ready.
type outbox struct {
	nc      net.Conn
	mu      sync.Mutex // guards the fields below
	filled  *sync.Cond // there is something to send, or an end
	drained *sync.Cond // there is room, or a write is done, or an end
	buf     []byte
	writes  int  // in the pipeline
	ending  bool // close when all is sent
	closed  bool
}

func newOutbox(nc net.Conn) *outbox {
	o := &outbox{nc: nc}
	o.filled, o.drained = sync.NewCond(&o.mu), sync.NewCond(&o.mu)
	return o
}

// ready waits until the next request may be taken: there is room for its answer, and all writes of the connection are
// done if settled is asked for. It is false when the connection has ended.
func (o *outbox) ready(settled bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && !o.ending && (len(o.buf) > outboxRoom || o.writes >= writesLimit || settled && o.writes > 0) {
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

// send queues one frame that build appends.
func (o *outbox) send(build func([]byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.ending {
		return
	}
	o.buf = appendFrame(o.buf, build)
	o.filled.Signal()
}

// raw queues bytes as they are and returns how many are waiting now.
func (o *outbox) raw(b []byte) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.ending {
		return 0
	}
	o.buf = append(o.buf, b...)
	o.filled.Signal()
	return len(o.buf)
}

// event queues a watch event. A client that lets them pile up is given up: it comes back and sets its watches again.
func (o *outbox) event(frame []byte) {
	if o.raw(frame) > outboxLimit {
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
		for len(o.buf) == 0 && !o.closed && !o.ending {
			o.filled.Wait()
		}
		if len(o.buf) == 0 || o.closed {
			o.mu.Unlock()
			return
		}
		batch := o.buf
		o.buf, spare = spare[:0], nil
		o.mu.Unlock()
		o.drained.Signal()

		if err := o.nc.SetWriteDeadline(time.Now().Add(writeStall)); err != nil {
			return
		}
		if _, err := o.nc.Write(batch); err != nil {
			return
		}
		if cap(batch) <= 64<<10 {
			spare = batch
		}
	}
}

// appendHeader writes the header of a reply.
func appendHeader(b []byte, xid int32, zxid int64, err code) []byte {
	return appendInt32(appendInt64(appendInt32(b, xid), zxid), int32(err))
}
