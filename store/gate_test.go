package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// gate is a dialer that holds every request back until it is let through, one at a time. What the library sends of its
// own accord (greetings, pings, watches set again, farewells) passes at once.
type gate struct {
	server func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex // guards all below
	newest *gatedConn
	open   bool      // nothing is held back
	losses int       // requests whose answer was lost, carried out or not
	down   time.Time // until then there are no connections
	onWay  func()    // delivers a request that is late
}

// fate is what becomes of a request.
type fate int

const (
	answered   fate = iota
	neverSent       // the connection is lost before the server has it
	unanswered      // the connection is lost before the client has the answer
	late            // the connection is lost for the client, and the server gets the request some time after
)

type gatedConn struct {
	net.Conn
	gate    *gate
	greeted bool     // the rest is guarded by gate.mu
	held    [][]byte // frames
	losing  uint32   // the request whose answer is lost
	said    frameReader
	lost    bool // for the client, though not for the server
}

func (g *gate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Now().Before(g.down) {
		return nil, io.ErrClosedPipe
	}
	conn, err := g.server(ctx, network, address)
	if err != nil {
		return nil, err
	}
	g.newest = &gatedConn{Conn: conn, gate: g}
	return g.newest, nil
}

// waiting counts the requests that are held back. Those that came together have no order of their own; they are put into
// one that does not depend on which goroutine was first.
func (g *gate) waiting(shuffle func(n int, swap func(i, j int))) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.newest == nil {
		return 0
	}
	held := g.newest.held
	slices.SortFunc(held, func(a, b []byte) int { return slices.Compare(a[8:], b[8:]) })
	shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
	return len(held)
}

// pass decides on the first request that is held back, and tells whether it may have changed something, and what it is.
func (g *gate) pass(f fate) (wrote bool, text string) {
	g.mu.Lock()
	c := g.newest
	frame := c.held[0]
	c.held = c.held[1:]
	switch f {
	case neverSent:
		g.losses++
		c.held = nil
	case unanswered:
		g.losses++
		c.losing = binary.BigEndian.Uint32(frame[4:8])
	case late:
		g.losses++
		c.held, c.lost = nil, true
		g.onWay = func() { c.deliver(frame) }
	}
	g.mu.Unlock()
	operation := operationOf(frame)
	text = fmt.Sprintf("%d %q", operation, frame[12:min(len(frame), 90)])
	switch f {
	case neverSent:
		c.Conn.Close()
		return false, text
	case late:
		_ = c.Conn.SetReadDeadline(time.Now()) // wakes the client, who finds it closed
		return false, text
	}
	_, _ = c.Conn.Write(frame)
	return writes(frame), text
}

// next tells whether the request that is first may change something.
func (g *gate) next() (write bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return writes(g.newest.held[0])
}

func operationOf(frame []byte) int32 { return int32(binary.BigEndian.Uint32(frame[8:12])) }

func writes(frame []byte) bool {
	return slices.Contains([]int32{opCreate, opDelete, opSet, opMulti}, operationOf(frame))
}

func (g *gate) lost() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.losses
}

// shut lets nobody connect for a time.
func (g *gate) shut(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = time.Now().Add(d)
}

// opened lets everything through from now on.
func (g *gate) opened() {
	g.mu.Lock()
	g.open = true
	g.mu.Unlock()
	for g.waiting(func(int, func(i, j int)) {}) > 0 {
		g.pass(answered)
	}
}

func (c *gatedConn) Write(frame []byte) (int, error) {
	c.gate.mu.Lock()
	if c.lost {
		c.gate.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	if !c.greeted || c.gate.open || int32(binary.BigEndian.Uint32(frame[4:8])) < 0 || operationOf(frame) == opClose {
		c.greeted = true
		c.gate.mu.Unlock()
		return c.Conn.Write(frame)
	}
	defer c.gate.mu.Unlock()
	c.held = append(c.held, slices.Clone(frame))
	return len(frame), nil
}

func (c *gatedConn) Close() error {
	c.gate.mu.Lock()
	c.held = nil
	lost := c.lost
	c.gate.mu.Unlock()
	if lost {
		return nil
	}
	return c.Conn.Close()
}

// deliver brings the server a request of a client that has given the connection up.
func (c *gatedConn) deliver(frame []byte) {
	defer c.Conn.Close()
	_ = c.Conn.SetDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Conn.Write(frame); err == nil {
		_, _ = io.Copy(io.Discard, c.Conn)
	}
}

// SetReadDeadline lets nobody wait on a connection that is lost.
func (c *gatedConn) SetReadDeadline(t time.Time) error {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if c.lost {
		t = time.Now()
	}
	return c.Conn.SetReadDeadline(t)
}

// arrival is the delivery of a late request, if one is on its way.
func (g *gate) arrival() func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.onWay
}

// arrived forgets it.
func (g *gate) arrived() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onWay = nil
}

// Read hands on what the server says, but for the answer that gets lost.
func (c *gatedConn) Read(p []byte) (int, error) {
	return c.said.read(p, c.Conn, func(frame []byte) ([]byte, error) {
		c.gate.mu.Lock()
		lost := c.losing != 0 && binary.BigEndian.Uint32(frame[4:]) == c.losing
		if lost {
			c.held = nil
		}
		c.gate.mu.Unlock()
		if lost {
			c.Conn.Close()
			return nil, io.ErrUnexpectedEOF
		}
		return frame, nil
	})
}
