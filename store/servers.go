package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-zookeeper/zk"
)

const defaultPort = "2181"

// parseServers takes a connect string apart, such as h1:2181,h2/prefix: the addresses, each with its port, and the
// node that stands for the root ("" for the root itself), which must exist already (zookeeper §1.1).
func parseServers(text string) (addresses []string, chroot string, err error) {
	if scheme, _, ok := strings.Cut(text, "://"); ok {
		return nil, "", fmt.Errorf("zookeeper servers %q: write them without %s://", text, scheme)
	}
	list, prefix, hasPrefix := strings.Cut(text, "/")
	if hasPrefix {
		chroot = strings.TrimRight("/"+prefix, "/")
		for name := range strings.SplitSeq(strings.TrimPrefix(chroot, "/"), "/") {
			if chroot != "" && !legalName(name) {
				return nil, "", fmt.Errorf("zookeeper servers %q: %q is no path", text, "/"+prefix)
			}
		}
	}
	for server := range strings.SplitSeq(list, ",") {
		server = strings.TrimSpace(server)
		if server == "" {
			continue
		}
		host, port, err := net.SplitHostPort(server)
		if err != nil {
			host, port = strings.Trim(server, "[]"), defaultPort
		}
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return nil, "", fmt.Errorf("zookeeper servers %q: port %q is not a number from 1 to 65535", text, port)
		}
		if !isHost(host) {
			return nil, "", fmt.Errorf("zookeeper servers %q: %q is no host", text, host)
		}
		addresses = append(addresses, net.JoinHostPort(host, port))
	}
	if len(addresses) == 0 {
		return nil, "", fmt.Errorf("zookeeper servers %q: no address", text)
	}
	return addresses, chroot, nil
}

// isHost reports whether a text is an address, or may be a name that has one.
func isHost(text string) bool {
	if _, err := netip.ParseAddr(text); err == nil {
		return true
	}
	strange := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.", r)
	}
	return text != "" && !strings.ContainsFunc(text, strange)
}

// dialer connects to one of the addresses that a name has at that moment, a random one first: one that a record no more
// has is forgotten, and one that accepts and then does not answer is not tried each time.
type dialer struct {
	lookup func(ctx context.Context, host string) ([]string, error)
}

func (d dialer) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	found, err := d.lookup(ctx, host)
	if err == nil && len(found) == 0 {
		err = &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	if err != nil {
		return nil, err
	}
	deadline, limited := ctx.Deadline()
	for i, n := range rand.Perm(len(found)) {
		var one net.Dialer
		if limited {
			one.Timeout = time.Until(deadline) / time.Duration(len(found)-i)
		}
		conn, err = one.DialContext(ctx, network, net.JoinHostPort(found[n], port))
		if err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// servers chooses the next address to connect to. Unlike the library's own it resolves no name: the dialer does, each
// time, so that one unresolvable member does no harm and a changed record is noticed.
type servers struct {
	mu        sync.Mutex // guards all fields
	addresses []string
	next      int // index of the address to try next
	tried     int // addresses tried without a session; never 0 again after the first session
}

var _ zk.HostProvider = (*servers)(nil)

// Init takes the addresses, which the library has shuffled.
func (s *servers) Init(addresses []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addresses = addresses
	return nil
}

// Len is the number of addresses.
func (s *servers) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.addresses)
}

// Next gives the next address. pause makes the library give up all requests not sent yet and wait for a second: at
// every full turn without a session, and after each loss of a connection. The latter means that no request outlives
// the connection that it was made on, to be carried out much later.
func (s *servers) Next() (address string, pause bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	address = s.addresses[s.next]
	s.next = (s.next + 1) % len(s.addresses)
	pause = s.tried > 0 && s.tried%len(s.addresses) == 0
	s.tried++
	return address, pause
}

// Connected notes that a session was granted.
func (s *servers) Connected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = len(s.addresses)
}
