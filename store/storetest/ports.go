package storetest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// FreeAddr is an address that nobody listens on. Until the test ends the system gives its port to no one who asks for
// any, so that a process of the test can listen there whenever it starts, and again.
func FreeAddr(t testing.TB) string {
	t.Helper()
	port, err := reserve(t, 0)
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// FreePorts is the first of n such ports in a row, below those that the system and agents choose from.
func FreePorts(t testing.TB, n int) (first int) {
	t.Helper()
	Eventually(t, time.Minute, func() error {
		first = 10000 + rand.IntN(10000-n)
		for port := first; port < first+n; port++ {
			if _, err := reserve(t, port); err != nil {
				return err
			}
		}
		return nil
	})
	return first
}

// reserve binds a port of the loopback address, any if it is 0, and does not listen on it, until the test ends.
func reserve(t testing.TB, port int) (int, error) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	// Not before: nobody else may have bound the port by now, and whoever names it may do so from now on.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return bound.(*syscall.SockaddrInet4).Port, nil
}
