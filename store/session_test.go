package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/storetest"
)

func TestServerThatAcceptsAndSaysNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	s := open(t, Options{Servers: silent.Addr().String() + "," + storetest.Start(t), ConnectTimeout: 3 * time.Second})
	storetest.Eventually(t, time.Minute, func() error { // whichever of the two comes first
		_, err := s.Hosts(t.Context())
		return err
	})
}

func TestChrootStandsForTheRoot(t *testing.T) {
	address := storetest.Start(t)
	whole := open(t, Options{Servers: address})
	must(t, whole.session.create(t.Context(), "/prefix", nil, 0))
	s := open(t, Options{Servers: address + "/prefix"})
	deployed(t, s, sample("web", 80))
	if n, err := whole.session.get(t.Context(), "/prefix"+configHostID("h1")); err != nil || string(n.data) != "id1" {
		t.Errorf("id %q, %v", n.data, err)
	}
}

func TestWritingBelowAChrootThatIsMissingFails(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t) + "/missing"})
	if err := s.RegisterHost(t.Context(), "h1", "id1"); !errors.Is(err, ErrNoRoot) {
		t.Errorf("got %v", err)
	}
}

func TestRequestWithoutZooKeeperEndsWithTheConnectTimeout(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Servers: "127.0.0.1:1", ConnectTimeout: 100 * time.Millisecond})
	begin := time.Now()
	_, err := s.Hosts(t.Context())
	if took := time.Since(begin); !errors.Is(err, ErrUnavailable) || took < 50*time.Millisecond || took > 12*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}

func TestRequestEndsWithItsContextWhileZooKeeperIsAway(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Servers: "127.0.0.1:1"})
	because := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, because)
	defer cancel()
	if _, err := s.Hosts(ctx); !errors.Is(err, because) {
		t.Errorf("got %v", err)
	}
}

func TestRequestFailsAtOnceWhenZooKeeperHasBeenAwayForLong(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial, FailFast: 2 * time.Second})
	if _, err := s.Hosts(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.cut(true)
	begin := time.Now()
	_, err := s.Hosts(t.Context())
	if took := time.Since(begin); !errors.Is(err, ErrUnavailable) || took > 20*time.Second {
		t.Errorf("first: %v after %v", err, took)
	}
	begin = time.Now()
	_, err = s.Hosts(t.Context())
	if took := time.Since(begin); !errors.Is(err, ErrUnavailable) || took > 1900*time.Millisecond { // it waits no longer
		t.Errorf("second: %v after %v", err, took)
	}
	if s.Connected() {
		t.Error("connected")
	}
	l.cut(false)
	storetest.Eventually(t, time.Minute, func() error {
		_, err := s.Hosts(t.Context())
		return err
	})
}

func TestRequestIsRepeatedAfterAReconnection(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	l.cut(false)
	if names, err := s.Hosts(t.Context()); err != nil || !slices.Equal(names, []string{"h1"}) {
		t.Errorf("hosts %v, %v", names, err)
	}
}

func TestClosedStoreAnswersAtOnce(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{Servers: "127.0.0.1:1"})
	must(t, err)
	s.Close()
	if _, err := s.Hosts(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := s.KeepMaster(t.Context(), "m1"); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestCallsUnderWayEndWhenTheStoreCloses(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{Servers: "127.0.0.1:1"})
	must(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := s.Hosts(context.Background())
		done <- err
	}()
	s.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionsRingAtEachConnection(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	bell := s.Connections(t.Context())
	for range 2 {
		select {
		case <-bell:
		case <-time.After(time.Minute):
			t.Fatal("no connection")
		}
		l.cut(false)
	}
}

func TestTooLargeRequestIsRefusedWithoutLosingTheConnection(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	j := sample("web")
	// The second one could be stored itself; its status, which has the environment twice, could not.
	for _, size := range []int{2_000_000, 500_000} {
		j.Env = map[string]string{"A": strings.Repeat("x", size)}
		if err := s.CreateJob(t.Context(), j); !errors.Is(err, ErrTooLarge) {
			t.Errorf("create job with %d bytes: %v", size, err)
		}
	}
	j.Env = map[string]string{"A": strings.Repeat("x", 2_000_000)}
	if err := s.PutLabels(t.Context(), "h1", j.Env); !errors.Is(err, ErrTooLarge) {
		t.Errorf("put labels: %v", err)
	}
	if !s.Connected() {
		t.Error("connection lost")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, opts := range []Options{{}, {Servers: "/a"}, {Servers: "h", FailFast: -1}, {Servers: "h", SessionTimeout: -1}} {
		if s, err := Open(opts); err == nil {
			s.Close()
			t.Errorf("%+v: no error", opts)
		}
	}
}

func TestLossOfConnectionIsToldFromRefusals(t *testing.T) {
	for _, err := range []error{
		zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrSessionExpired, zk.ErrSessionMoved, net.ErrClosed,
		&net.OpError{Op: "write", Err: errors.New("broken pipe")},
	} {
		if !connectionLost(fmt.Errorf("get: %w", err)) {
			t.Errorf("%v is no loss of connection", err)
		}
	}
	for _, err := range []error{
		nil, zk.ErrNoNode, zk.ErrNodeExists, zk.ErrBadVersion, zk.ErrNotEmpty, zk.ErrNoAuth, zk.ErrInvalidPath,
		context.DeadlineExceeded, context.Canceled, ErrUnavailable,
	} {
		if connectionLost(err) {
			t.Errorf("%v is a loss of connection", err)
		}
	}
}
