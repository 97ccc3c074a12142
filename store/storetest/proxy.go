package storetest

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Proxy is a link that can be broken: it passes connections on to a target until it is told otherwise.
type Proxy struct {
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond
	made    int // connections of clients, so far
	stalled bool
	muted   bool
	cut     bool
	closed  bool
	open    map[net.Conn]struct{}
	links   map[*link]struct{}
}

// link is one connection of a client, passed on to the target.
type link struct {
	client, target net.Conn
	forsaken       bool // guarded by Proxy.mu
}

// StartProxy listens for the duration of the test and passes connections on to target: "host:port", or the absolute path
// of a unix socket, in which case the proxy listens on one too.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	address := "127.0.0.1:0"
	if network(target) == "unix" {
		dir, err := os.MkdirTemp("", "proxy") // t.TempDir may be too long for a socket
		if err != nil {
			t.Fatalf("start a proxy: %v", err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		address = filepath.Join(dir, "socket")
	}
	l, err := net.Listen(network(target), address)
	if err != nil {
		t.Fatalf("start a proxy: %v", err)
	}
	p := &Proxy{listener: l, target: target, open: map[net.Conn]struct{}{}, links: map[*link]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

func network(address string) string {
	if strings.HasPrefix(address, "/") {
		return "unix"
	}
	return "tcp"
}

// Addr is where the proxy listens, in the form of the target.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Connections counts those that clients have made so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.made
}

// Cut closes all connections, and new ones at once, until Heal.
func (p *Proxy) Cut() { p.set(func() { p.cut = true }) }

// Stall keeps the connections and accepts new ones, but lets nothing through until Heal.
func (p *Proxy) Stall() { p.set(func() { p.stalled = true }) }

// Mute lets nothing of what the target says through, until Heal. What clients say still reaches it.
func (p *Proxy) Mute() { p.set(func() { p.muted = true }) }

// Forsake leaves the present connections half open, for good: the target's side is closed, and the client hears nothing
// more, not even an end. New connections are whole.
func (p *Proxy) Forsake() {
	p.set(func() {
		for l := range p.links {
			l.forsaken = true
			l.target.Close()
		}
	})
}

// Heal makes the link whole again. What was stalled or muted goes on; what was cut has to be connected anew.
func (p *Proxy) Heal() { p.set(func() { p.cut, p.stalled, p.muted = false, false, false }) }

// Close cuts the link for good and waits for its goroutines. The end of the test calls it too.
func (p *Proxy) Close() {
	p.set(func() { p.closed = true })
	p.listener.Close()
	p.running.Wait()
}

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	if p.cut || p.closed {
		for c := range p.open {
			c.Close()
		}
	}
	p.changed.Broadcast()
}

// admit notes a connection, or closes it if the link is cut.
func (p *Proxy) admit(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		c.Close()
		return false
	}
	p.open[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	c.Close()
}

// passable waits until bytes may pass, which may be the target's; it is false when the link is gone.
func (p *Proxy) passable(targets bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for (p.stalled || p.muted && targets) && !p.cut && !p.closed {
		p.changed.Wait()
	}
	return !p.cut && !p.closed
}

// keep notes a link until it is let go.
func (p *Proxy) keep(l *link) (letGo func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[l] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	}
}

func (p *Proxy) forsaken(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return l.forsaken
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		p.set(func() { p.made++ })
		if p.admit(c) {
			p.running.Go(func() { p.link(c) })
		}
	}
}

// link passes one connection on, both ways, until both have ended.
func (p *Proxy) link(client net.Conn) {
	defer p.drop(client)
	if !p.passable(false) {
		return
	}
	target, err := net.Dial(network(p.target), p.target)
	if err != nil || !p.admit(target) {
		return
	}
	defer p.drop(target)
	l := &link{client: client, target: target}
	defer p.keep(l)()
	var back sync.WaitGroup
	back.Go(func() { p.pass(l, target, client) })
	p.pass(l, client, target)
	back.Wait()
}

// pass copies one direction and hands its end on, unless the link is forsaken: then the client may talk to nobody.
func (p *Proxy) pass(l *link, from, to net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if !p.passable(from == l.target) {
			break
		}
		if p.forsaken(l) {
			if from == l.client && err == nil {
				continue
			}
			if from == l.target {
				return
			}
			break
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil && !p.forsaken(l) {
				break
			}
		}
		if err == nil {
			continue
		}
		if half, ok := to.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			return
		}
		break
	}
	from.Close()
	to.Close()
}
