package zkserver

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errLater says that there is nothing more to read for now.
var errLater = errors.New("nothing has arrived")

// socketReads is how many full reads a connection gets in its turn before others get theirs.
const socketReads = 16

// stream is what a connection reads from and writes to: a net.Conn, until detach makes a bare socket of it, which never
// waits and is unknown to the runtime's poller.
type stream struct {
	net.Conn
	fd    int // of the bare socket; -1 while there is none
	reads int // that may be made of it before the poller says again that something has arrived
}

// detach makes a bare socket of a TCP connection. Where that cannot be done nothing changes.
func (s *stream) detach() {
	tcp, ok := s.Conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	fd := -1
	controlErr := raw.Control(func(old uintptr) { fd, err = duplicate(old) })
	if controlErr != nil || err != nil {
		return
	}
	s.Conn.Close()
	s.fd = fd
}

func duplicate(fd uintptr) (int, error) { return unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }

// Read is errLater where a net.Conn would wait, if it is a bare socket.
func (s *stream) Read(b []byte) (int, error) {
	if s.fd < 0 {
		return s.Conn.Read(b)
	}
	if s.reads == 0 {
		return 0, errLater
	}
	s.reads--
	n, err := unix.Read(s.fd, b)
	if n < len(b) {
		s.reads = 0 // it was all
	}
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return 0, errLater
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// try writes what a bare socket takes without waiting. Why it takes no more is found out by write.
func (s *stream) try(b []byte) int {
	if s.fd < 0 {
		return 0
	}
	n, err := unix.Write(s.fd, b)
	if err != nil {
		return 0
	}
	return n
}

// write writes all, but does not wait longer than the limit.
func (s *stream) write(b []byte, limit time.Duration) error {
	if b = b[s.try(b):]; len(b) == 0 {
		return nil
	}
	var w interface {
		io.Writer
		SetWriteDeadline(time.Time) error
	} = s.Conn
	if s.fd >= 0 { // the runtime's poller knows how to wait
		fd, err := duplicate(uintptr(s.fd))
		if err != nil {
			return err
		}
		file := os.NewFile(uintptr(fd), "socket")
		defer file.Close()
		w = file
	}
	if err := w.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// Close ends the connection. The descriptor of a bare socket is kept until release.
func (s *stream) Close() error {
	if s.fd < 0 {
		return s.Conn.Close()
	}
	return unix.Shutdown(s.fd, unix.SHUT_RDWR)
}

func (s *stream) release() {
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
}
