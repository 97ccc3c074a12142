package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/storetest"
)

func TestConnectStringIsTakenApart(t *testing.T) {
	for _, c := range []struct {
		text      string
		addresses []string
		chroot    string
		ok        bool
	}{
		{"h1", []string{"h1:2181"}, "", true},
		{"h1:1,h2", []string{"h1:1", "h2:2181"}, "", true},
		{" h1 , ,h2:3 ", []string{"h1:2181", "h2:3"}, "", true},
		{"h1:1,h2:2/a/b", []string{"h1:1", "h2:2"}, "/a/b", true},
		{"h1:1/", []string{"h1:1"}, "", true},
		{"h1:1/a/", []string{"h1:1"}, "/a", true},
		{"[::1]:1,[::2]", []string{"[::1]:1", "[::2]:2181"}, "", true},
		{"", nil, "", false},
		{"/a", nil, "", false},
		{"h1/a//b", nil, "", false},
		{"h1/../b", nil, "", false},
		{"h1:99999999", nil, "", false},
		{"h1:0", nil, "", false},
		{"h1:x", nil, "", false},
		{"h1 h2", nil, "", false},
		{":2181", nil, "", false},
		{"h1:2181:1", nil, "", false},
		{"h1:1;h2:2", nil, "", false},
		{"user@h1", nil, "", false},
		{"http://h1:1", nil, "", false},
		{"h1\x01", nil, "", false},
		{"fe80::1%eth0,zoo_1.example.net.", []string{"[fe80::1%eth0]:2181", "zoo_1.example.net.:2181"}, "", true},
	} {
		addresses, chroot, err := parseServers(c.text)
		if (err == nil) != c.ok || c.ok && (!slices.Equal(addresses, c.addresses) || chroot != c.chroot) {
			t.Errorf("parseServers(%q) = %q, %q, %v", c.text, addresses, chroot, err)
		}
	}
}

func TestServersAreTriedInTurnWithAPauseAfterEachRoundAndEachLoss(t *testing.T) {
	var s servers
	must(t, s.Init([]string{"a", "b"}))
	var got []string
	next := func() {
		address, pause := s.Next()
		got = append(got, fmt.Sprint(address, pause))
	}
	next()
	next()
	next()
	s.Connected()
	next()
	next()
	next()
	want := []string{"afalse", "bfalse", "atrue", "btrue", "afalse", "btrue"}
	if !slices.Equal(got, want) {
		t.Errorf("tried %v, want %v", got, want)
	}
}

func TestUnresolvableServerIsToleratedBesideOneThatWorks(t *testing.T) {
	s := open(t, Options{Servers: "no.such.host.invalid:2181," + storetest.Start(t), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(address); host == "no.such.host.invalid" {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}})
	if _, err := s.Hosts(t.Context()); err != nil {
		t.Error(err)
	}
}

// names is a resolver whose records change.
type names struct {
	mu        sync.Mutex // guards addresses
	addresses []string
}

func (n *names) set(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses = addresses
}

func (n *names) lookup(_ context.Context, host string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if host != "zk.test" || n.addresses == nil {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return n.addresses, nil
}

func TestNameIsResolvedAtEachConnection(t *testing.T) {
	t.Parallel()
	host, port, err := net.SplitHostPort(storetest.Start(t))
	must(t, err)
	records := new(names)
	l := &tap{server: dialer{records.lookup}.dial}
	s := open(t, Options{Servers: "zk.test:" + port + ",other.test:1", Dial: l.dial, ConnectTimeout: 3 * time.Second})
	if _, err := s.Hosts(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v although no name resolves", err)
	}
	records.set("127.0.0.99", host) // where nobody listens, and where the server is
	storetest.Eventually(t, time.Minute, func() error {
		_, err := s.Hosts(t.Context())
		return err
	})
	records.set("127.0.0.99")
	l.cut()
	storetest.Eventually(t, time.Minute, func() error {
		if _, err := s.Hosts(t.Context()); err == nil {
			return errors.New("still connected")
		}
		return nil
	})
	records.set(host)
	storetest.Eventually(t, time.Minute, func() error {
		_, err := s.Hosts(t.Context())
		return err
	})
}

func TestNameWithAnAddressThatAcceptsAndSaysNothingIsReachedByAnother(t *testing.T) {
	t.Parallel()
	host, port, err := net.SplitHostPort(storetest.Start(t))
	must(t, err)
	silent, err := net.Listen("tcp", "127.0.0.98:"+port)
	must(t, err)
	defer silent.Close()
	records := new(names)
	records.set("127.0.0.98", host)
	s := open(t, Options{Servers: "zk.test:" + port, Dial: dialer{records.lookup}.dial, ConnectTimeout: time.Second})
	storetest.Eventually(t, 30*time.Second, func() error {
		_, err := s.Hosts(t.Context())
		return err
	})
}

func TestNotEverybodyBeginsWithTheSameServer(t *testing.T) {
	first := make(map[string]bool)
	for range 30 {
		l := &tap{server: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }}
		open(t, Options{Servers: "a:1,b:1,c:1", Dial: l.dial})
		storetest.Eventually(t, time.Minute, func() error {
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.addresses) == 0 {
				return errors.New("nothing dialled")
			}
			first[l.addresses[0]] = true
			return nil
		})
	}
	if len(first) != 3 {
		t.Errorf("all began with %v", fmt.Sprint(first))
	}
}
