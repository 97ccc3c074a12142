package docker

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// maxReply is how long one answer of the daemon may be, and one message of a stream: what is read goes into memory. Ten
// thousand containers are listed in half of it.
const maxReply = 64 << 20

// reply is how much of an answer may still come. An answer that is longer breaks its connection.
type reply struct {
	limit int64
	left  atomic.Int64
}

func newReply(limit int64) *reply { return &reply{limit: limit} }

// more allows the full length again: what came so far was taken.
func (r *reply) more() { r.left.Store(r.limit) }

// await returns a context whose requests have their answers counted.
func (r *reply) await(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		under := got.Conn
		if secure, ok := under.(*tls.Conn); ok {
			under = secure.NetConn()
		}
		if c, ok := under.(*connection); ok {
			r.more()
			c.reply.Store(r)
		}
	}})
}

// connection counts what is read for the answer that it carries. One on which a command's output comes counts nothing.
type connection struct {
	net.Conn
	reply atomic.Pointer[reply]
}

func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if r := c.reply.Load(); r != nil && r.left.Add(-int64(n)) < 0 {
		return 0, fmt.Errorf("its reply is longer than %d bytes", r.limit)
	}
	return n, err
}

// connect opens a connection to the daemon.
func (e *Engine) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if e.endpoint.Socket {
		network, address = "unix", strings.TrimPrefix(e.endpoint.URL, "unix://")
	}
	dialer := &net.Dialer{Timeout: connecting, KeepAlive: connecting}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: conn}, nil
}
