package zkserver

import (
	"sync"
	"sync/atomic"
	"time"
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
	nc      *stream
	waiting *atomic.Int64 // bytes in all outboxes of the server, this one among them
	mu      sync.Mutex    // guards the fields below
	filled  *sync.Cond    // there is something to send, or an end
	drained *sync.Cond    // there is room, or a write is done, or an end
	buf     []byte
	writes  int  // in the pipeline
	sending bool // run has taken something and is sending it
	ending  bool // close when all is sent
	closed  bool
}

func newOutbox(nc *stream, waiting *atomic.Int64) *outbox {
	o := &outbox{nc: nc, waiting: waiting}
	o.filled, o.drained = sync.NewCond(&o.mu), sync.NewCond(&o.mu)
	return o
}

// detach makes a bare socket of the connection, if it can, when all has been sent.
func (o *outbox) detach() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && (o.sending || len(o.buf) > 0) {
		o.filled.Signal()
		o.drained.Wait()
	}
	if !o.closed {
		o.nc.detach()
	}
}

// state tells whether the connection is open, there is room for answers, and no writes are on their way.
func (o *outbox) state() (open, room, settled bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.closed && !o.ending, len(o.buf) <= outboxRoom && o.writes < writesLimit, o.writes == 0
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
	n := o.nc.try(o.buf)
	o.waiting.Add(int64(-n))
	o.buf = o.buf[:copy(o.buf, o.buf[n:])]
	if len(o.buf) > 0 {
		o.filled.Signal()
	} else if cap(o.buf) > spareLimit {
		o.buf = nil
	}
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
	o.nc.Close()
	o.mu.Unlock()
	o.filled.Signal()
	o.drained.Signal()
}

// release gives the descriptor free when nobody uses it any more.
func (o *outbox) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.nc.release()
}

// run sends until the connection ends, then closes it.
func (o *outbox) run() {
	defer o.close()
	var spare []byte
	for {
		o.mu.Lock()
		o.sending = false
		o.drained.Signal()
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

		err := o.nc.write(batch, writeStall)
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
