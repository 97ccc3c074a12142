package zkserver

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// pollerEvents is how many connections are handled before the pipeline is told of their requests.
const pollerEvents = 256

// emptyLooks is how many times in a row the poller finds nothing before it sleeps. That costs less than to be woken by the
// next request of many clients, which is about to come.
const emptyLooks = 9

// poller reads and handles the requests of all connections that are bare sockets, in one goroutine, so that many clients
// that write at once cost no goroutine switch and no wake-up each. It never waits for a client or for the log: a
// connection whose next request has to wait gets its turn back, and its own goroutine does the waiting.
type poller struct {
	sockets int // the epoll instance of the connections
	// gate is an epoll instance of sockets alone, which the runtime's poller waits for. It lets one event through and
	// then none until it is set again: requests that arrive while the poller is busy wake no thread.
	gate    *os.File
	waiting syscall.RawConn // of gate

	mu    sync.Mutex // guards the fields below
	conns map[int32]*conn
	ended bool
}

func newPoller() (*poller, error) {
	var fds [2]int
	for i := range fds {
		fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			if i > 0 {
				unix.Close(fds[0])
			}
			return nil, fmt.Errorf("epoll_create: %w", err)
		}
		fds[i] = fd
	}
	err := errors.Join(
		unix.SetNonblock(fds[1], true), // so that it becomes a file that the runtime's poller knows
		unix.EpollCtl(fds[1], unix.EPOLL_CTL_ADD, fds[0], &unix.EpollEvent{}),
	)
	p := &poller{sockets: fds[0], gate: os.NewFile(uintptr(fds[1]), "epoll"), conns: map[int32]*conn{}}
	waiting, rawErr := p.gate.SyscallConn()
	if err = errors.Join(err, rawErr); err != nil {
		p.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p.waiting = waiting
	return p, nil
}

// close ends run, and waits for that.
func (p *poller) close() {
	p.end()
	p.gate.Close()
	unix.Close(p.sockets)
}

// end gives all connections their turn, to end, and takes no others.
func (p *poller) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, c := range p.conns {
		c.turn <- false
	}
	clear(p.conns)
}

// add gives the poller the turn of a connection.
func (p *poller) add(c *conn) error {
	fd := int32(c.nc.fd)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return net.ErrClosed
	}
	err := unix.EpollCtl(p.sockets, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: fd})
	if err == nil {
		p.conns[fd] = c
	}
	return err
}

// giveBack gives a connection its turn, to go on or to end.
func (p *poller) giveBack(c *conn, goOn bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	delete(p.conns, int32(c.nc.fd))
	_ = unix.EpollCtl(p.sockets, unix.EPOLL_CTL_DEL, c.nc.fd, nil) // it is there
	c.turn <- goOn
}

// run works until close. The error is nil then.
func (p *poller) run(requests *pipeline) error {
	defer p.end()
	var failed error
	events := make([]unix.EpollEvent, pollerEvents)
	err := p.waiting.Read(func(gate uintptr) (done bool) {
		failed = p.work(int(gate), events, requests)
		return failed != nil
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return nil
	}
	return cmp.Or(failed, err)
}

// work handles what has arrived, until there is no more, and sets the gate for the next event.
func (p *poller) work(gate int, events []unix.EpollEvent, requests *pipeline) error {
	if _, err := unix.EpollWait(gate, events[:1], 0); err != nil && !errors.Is(err, unix.EINTR) { // shuts it
		return os.NewSyscallError("epoll_wait", err)
	}
	for empty := 0; empty < emptyLooks; {
		requests.answered() // who is being answered is about to ask again
		n, err := unix.EpollWait(p.sockets, events, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return os.NewSyscallError("epoll_wait", err)
		case n == 0:
			empty++
			continue
		}
		empty = 0
		for _, c := range p.ready(events[:n]) {
			if turn := c.advance(); turn != turnDone {
				p.giveBack(c, turn == turnBlocked)
			}
		}
		requests.wake()
	}
	err := unix.EpollCtl(gate, unix.EPOLL_CTL_MOD, p.sockets, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT})
	return os.NewSyscallError("epoll_ctl", err)
}

// ready returns the connections of events whose turn the poller has.
func (p *poller) ready(events []unix.EpollEvent) []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := make([]*conn, 0, len(events))
	for _, e := range events {
		if c := p.conns[e.Fd]; c != nil {
			conns = append(conns, c)
		}
	}
	return conns
}

// turn is what has become of a connection that the poller has advanced.
type turn int

const (
	turnDone    turn = iota // everything that has arrived is handled
	turnBlocked             // the next request has to wait for something
	turnOver                // the connection is to end
)

// advance handles the requests that have arrived, as long as nobody has to wait.
func (c *conn) advance() turn {
	c.polled, c.nc.reads = true, socketReads
	defer func() { c.polled = false }()
	for {
		open, room, settled := c.out.state()
		switch {
		case !open:
			return turnOver
		case !room:
			return turnBlocked
		}
		switch err := c.next(); {
		case errors.Is(err, errLater):
			c.out.flush()
			return turnDone
		case err != nil:
			return turnOver
		}
		if c.waits(settled) {
			c.held = true
			return turnBlocked
		}
		if !c.take() {
			return turnOver
		}
	}
}

// waits tells whether the request that has been read has to wait: for room in the pipeline, for itself, or for the
// connection's writes before it, of which there are none if it is settled.
func (c *conn) waits(settled bool) bool {
	if len(c.frame) < 8 {
		return false
	}
	switch int32(binary.BigEndian.Uint32(c.frame[4:])) {
	case opCloseSession:
		return true
	case opPing:
		return false
	case opCreate, opCreate2, opCreateContainer, opCreateTTL, opDelete, opSetData, opSetACL, opCheck, opSync, opMulti:
		return !c.srv.pipeline.hasRoom()
	}
	return !settled
}
