package store

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// Operation codes of the ZooKeeper protocol.
const (
	opCreate = 1
	opDelete = 2
	opExists = 3
	opSet    = 5
	opMulti  = 14
	opClose  = -11
)

// links is a dialer whose connections can be cut, and made to lose events, or an answer: the server carries a request
// out and the client never hears of it.
type links struct {
	// server makes connections; a plain dialer by default.
	server func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex // guards all below
	open  map[*lossyConn]struct{}
	down  bool
	lose  int32  // the operation whose next answer is lost
	deaf  bool   // events of watches are lost
	heard func() // called between the server's answer and the loss
}

type lossyConn struct {
	net.Conn
	links  *links
	losing bool // the next answer of the server is lost; guarded by links.mu
	said   frameReader
}

func (l *links) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	down := l.down
	l.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: network, Err: io.ErrClosedPipe}
	}
	dial := l.server
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = make(map[*lossyConn]struct{})
	}
	c := &lossyConn{Conn: conn, links: l}
	l.open[c] = struct{}{}
	return c, nil
}

// loseAnswer makes the answer to the next request with the operation code get lost, and the connection with it. then,
// if any, is called once the request is carried out.
func (l *links) loseAnswer(operation int32, then func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose, l.heard = operation, then
}

// cut closes all connections; while down, none can be made.
func (l *links) cut(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
	for c := range l.open {
		c.Conn.Close()
	}
	clear(l.open)
}

func (c *lossyConn) Write(frame []byte) (int, error) {
	c.links.mu.Lock()
	if len(frame) >= 12 && c.links.lose != 0 && int32(binary.BigEndian.Uint32(frame[8:12])) == c.links.lose {
		c.links.lose = 0
		c.losing = true
	}
	c.links.mu.Unlock()
	return c.Conn.Write(frame)
}

// Read hands on what the server says, but for what gets lost.
func (c *lossyConn) Read(p []byte) (int, error) {
	return c.said.read(p, c.Conn, func(frame []byte) ([]byte, error) {
		c.links.mu.Lock()
		losing, heard, deaf := c.losing, c.links.heard, c.links.deaf
		c.links.mu.Unlock()
		switch event := number(frame[4:]) == xidEvent; {
		case event && deaf:
			return nil, nil
		case losing && !event:
			c.Conn.Close()
			if heard != nil {
				heard()
			}
			return nil, io.ErrUnexpectedEOF
		default:
			return frame, nil
		}
	})
}
