package zkserver_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// swarm is a load generator: connections to one server that one thread serves, with raw frames, so that what it costs
// itself is as little as can be. It works against any address.
type swarm struct {
	conns []*drone
	epoll int
	ready []unix.EpollEvent
}

// drone is one connection with its session.
type drone struct {
	file   *os.File // its descriptor blocks; it is read when there is something
	xid    int32
	in     []byte // received, not yet handled
	out    []byte // to be sent
	asked  int    // requests of this run
	events int    // watch events received in this run
}

// request appends the kind and the body of the nth request of one connection.
type request func(b []byte, conn, nth int) []byte

// attack connects n clients to addr.
func attack(tb testing.TB, addr string, n int) *swarm {
	tb.Helper()
	s := &swarm{ready: make([]unix.EpollEvent, n)}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.close)
	for i := range n {
		d, err := newDrone(addr)
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
			tb.Fatalf("connection %d of %d: %v; the server may allow an address no more (ZooKeeper's maxClientCnxns is 60)", i+1, n, err)
		}
		if err != nil {
			tb.Fatal(err)
		}
		s.conns = append(s.conns, d)
		fd := int(d.file.Fd())
		if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func newDrone(addr string) (*drone, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	if _, err := nc.Write(framed(encode(int32(0), int64(0), int32(40000), int64(0), make([]byte, 16)))); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(nc, make([]byte, 4+36)); err != nil {
		return nil, err
	}
	file, err := nc.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	return &drone{file: file}, unix.SetNonblock(int(file.Fd()), false)
}

// framed puts the length before a frame.
func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func (s *swarm) close() {
	for _, d := range s.conns {
		d.file.Close()
	}
	unix.Close(s.epoll)
}

// ask puts the connection's next request into its outgoing bytes.
func (d *drone) ask(r request, conn int) {
	start := len(d.out)
	d.xid++
	d.out = binary.BigEndian.AppendUint32(append(d.out, 0, 0, 0, 0), uint32(d.xid))
	d.out = r(d.out, conn, d.asked)
	d.asked++
	binary.BigEndian.PutUint32(d.out[start:], uint32(len(d.out)-start-4))
}

func (d *drone) flush() error {
	_, err := unix.Write(int(d.file.Fd()), d.out)
	d.out = d.out[:0]
	return err
}

// receive reads what has arrived and returns the number of answers in it. An answer with an error ends the run.
func (d *drone) receive() (answers int, err error) {
	have := len(d.in)
	d.in = slices.Grow(d.in, 64<<10)
	n, err := unix.Read(int(d.file.Fd()), d.in[have:have+64<<10])
	d.in = d.in[:have+max(n, 0)]
	if n == 0 && err == nil {
		err = io.ErrUnexpectedEOF
	}
	rest := d.in
	for len(rest) >= 4 {
		size := int(binary.BigEndian.Uint32(rest))
		if len(rest) < 4+size {
			break
		}
		frame := rest[4 : 4+size]
		rest = rest[4+size:]
		if int32(binary.BigEndian.Uint32(frame)) == -1 {
			d.events++
			continue
		}
		if code := int32(binary.BigEndian.Uint32(frame[12:])); code != 0 {
			return answers, fmt.Errorf("refused with %d", code)
		}
		answers++
	}
	d.in = append(d.in[:0], rest...)
	return answers, err
}

// drive keeps depth requests of each of the connections from first on on their way until more says that it is enough for
// one, and returns how many were answered, and how long that took until the last one was.
func (s *swarm) drive(first, conns, depth int, r request, more func(asked int) bool) (done int, took time.Duration, err error) {
	start := time.Now()
	asked := 0
	for i, d := range s.conns {
		d.asked, d.events = 0, 0
		if i < first || i >= first+conns {
			continue
		}
		for d.asked < depth && more(d.asked) {
			d.ask(r, i)
			asked++
		}
		if err := d.flush(); err != nil {
			return 0, 0, err
		}
	}
	for done < asked {
		err := s.await(func(i, answers int) error {
			d := s.conns[i]
			done += answers
			for range answers {
				if more(d.asked) {
					d.ask(r, i)
					asked++
				}
			}
			if len(d.out) == 0 {
				return nil
			}
			return d.flush()
		})
		if err != nil {
			return done, time.Since(start), err
		}
	}
	return done, time.Since(start), nil
}

// refresh keeps the sessions of all connections.
func (s *swarm) refresh() error {
	_, _, err := s.drive(0, len(s.conns), 1, func(b []byte, _, _ int) []byte { return append(b, encode(int32(ping))...) }, times(1))
	return err
}

// await waits for something to arrive and has it handled.
func (s *swarm) await(handle func(conn, answers int) error) error {
	n, err := unix.EpollWait(s.epoll, s.ready, 20000)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if n == 0 && err == nil {
		err = os.ErrDeadlineExceeded
	}
	if err != nil {
		return err
	}
	for _, e := range s.ready[:n] {
		answers, err := s.conns[e.Fd].receive()
		if err == nil {
			err = handle(int(e.Fd), answers)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// during lasts for a time.
func during(d time.Duration) func(int) bool {
	end := time.Now().Add(d)
	return func(int) bool { return time.Now().Before(end) }
}

// times lasts for a number of requests of each connection.
func times(n int) func(int) bool { return func(asked int) bool { return asked < n } }

var load100 = make([]byte, 100)

// creating makes nodes of 100 bytes below a directory, each connection its own.
func creating(dir, prefix string) request {
	tail := encode(load100, open, int32(0))
	return func(b []byte, conn, nth int) []byte {
		b = binary.BigEndian.AppendUint32(b, create)
		at := len(b)
		b = fmt.Appendf(append(b, 0, 0, 0, 0), "%s/%s%d-%d", dir, prefix, conn, nth)
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
		return append(b, tail...)
	}
}

// creatingOne makes one node without data.
func creatingOne(path string) request {
	return func(b []byte, _, _ int) []byte {
		return append(b, encode(int32(create), path, null, open, int32(0))...)
	}
}

// on applies an operation to n nodes that one connection has created in a directory, one after the other.
func on(op int, dir string, n int, tail ...any) request {
	bodies := make([][]byte, n)
	for i := range bodies {
		bodies[i] = append(encode(int32(op), fmt.Sprintf("%s/x0-%d", dir, i)), encode(tail...)...)
	}
	return func(b []byte, conn, nth int) []byte { return append(b, bodies[(conn*13+nth)%n]...) }
}
