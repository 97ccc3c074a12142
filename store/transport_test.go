package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/zkserver"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// watchNode sets a watch as the library does and gives its events.
func watchNode(t *testing.T, s *Store, path string) <-chan zk.Event {
	t.Helper()
	events, _, err := call(t.Context(), s.session, func(c *zk.Conn) (<-chan zk.Event, error) {
		_, _, events, err := c.GetW(s.session.chroot + path)
		return events, err
	})
	must(t, err)
	return events
}

func TestWatchRingsAtTheNextConnectionWhateverBecomesOfTheLibrarysAttemptToSetItAgain(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(int, int32, []byte) ([]byte, error){
		"it is set again": nil,
		"from a zxid past the change": func(_ int, operation int32, frame []byte) ([]byte, error) {
			if operation == codeSetWatches {
				binary.BigEndian.PutUint64(frame[12:], math.MaxInt64)
			}
			return frame, nil
		},
		"it is refused": func(_ int, operation int32, frame []byte) ([]byte, error) {
			if operation == codeSetWatches {
				return sized(appendNumbers(nil, 0, number(frame[4:]), 9999, 0)), nil // no operation of that kind
			}
			return frame, nil
		},
		"a server hangs up on what names nodes": func(_ int, operation int32, frame []byte) ([]byte, error) {
			if operation == codeSetWatches && len(watchedNodes(frame)) > 0 {
				return nil, io.ErrClosedPipe
			}
			return frame, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := storetest.Start(t)
			l := new(tap)
			l.tamper(request, nil)
			s, other := open(t, Options{Servers: address, Dial: l.dial}), open(t, Options{Servers: address})
			must(t, other.session.create(t.Context(), "/a", nil, 0))
			events := watchNode(t, s, "/a")
			connections := s.Connections(t.Context())
			<-connections
			l.cut()
			must(t, other.session.set(t.Context(), "/a", []byte("new"), anyVersion))
			select {
			case <-events:
			case <-time.After(25 * time.Second): // much sooner than it would look by itself
				t.Error("the watch is silent")
			}
			select {
			case <-connections:
			case <-time.After(25 * time.Second): // much sooner than it would look by itself
				t.Error("no connection")
			}
		})
	}
}

func TestTasksAreStillWatchedAfterAServerRefusedToSetWatchesAgain(t *testing.T) {
	t.Parallel()
	address := storetest.Start(t)
	l := new(tap)
	agent, master := open(t, Options{Servers: address, Dial: l.dial}), open(t, Options{Servers: address})
	web := sample("web")
	deployed(t, master, web)
	told := watch(t, agent)
	told.await(t, "web START")
	l.tamper(func(_ int, operation int32, frame []byte) ([]byte, error) {
		if operation == codeSetWatches {
			return sized(appendNumbers(nil, 0, number(frame[4:]), 9999, 0)), nil
		}
		return frame, nil
	}, nil)
	connections := agent.Connections(t.Context())
	<-connections
	l.cut()
	<-connections
	must(t, master.session.create(t.Context(), "/marker", nil, 0))
	must(t, agent.session.catchUp(t.Context()))
	must(t, master.SetGoal(t.Context(), "h1", web.ID, job.Stop, ""))
	storetest.Eventually(t, 25*time.Second, func() error { // much sooner than it would look by itself
		if got := describe(told.last()); got != "web STOP" {
			return fmt.Errorf("told %q", got)
		}
		return nil
	})
}

func TestRequestsEndWithTheirContextWhileTheConnectionIsStalled(t *testing.T) {
	t.Parallel()
	proxy := storetest.StartProxy(t, storetest.Start(t))
	s := open(t, Options{Servers: proxy.Addr(), SessionTimeout: 30 * time.Second})
	_, err := s.Hosts(t.Context())
	must(t, err)
	proxy.Stall()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	paths := make([]string, 100)
	_ = each(ctx, paths, func(ctx context.Context, _ int, _ string) error {
		if err := s.session.create(ctx, "/x", make([]byte, 100_000), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		return nil
	})
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	proxy.Heal()
}

func TestRequestThatWasGivenUpIsNotCarriedOutByALaterConnection(t *testing.T) {
	t.Parallel()
	address := storetest.Start(t)
	l, gone := new(tap), make(chan struct{})
	s, other := open(t, Options{Servers: address, Dial: l.dial}), open(t, Options{Servers: address})
	connections := s.Connections(t.Context())
	<-connections
	l.tamper(func(connection int, operation int32, frame []byte) ([]byte, error) {
		if connection == 0 && operation == codeCreate {
			<-gone // a send that blocks until the connection breaks
			return nil, io.ErrClosedPipe
		}
		return frame, nil
	}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	paths := make([]string, 12)
	for i := range paths {
		paths[i] = fmt.Sprintf("/late-%d", i)
	}
	_ = each(ctx, paths, func(ctx context.Context, _ int, path string) error {
		if err := s.session.create(ctx, path, nil, 0); err == nil {
			t.Error("created")
		}
		return nil
	})
	close(gone)
	<-connections
	must(t, s.session.catchUp(t.Context()))
	for _, path := range paths {
		if exists, err := other.session.exists(t.Context(), path); exists || err != nil {
			t.Errorf("%s exists: %v, %v", path, exists, err)
		}
	}
}

func TestStoreThatHasNotComeAsFarIsReachedOnceTheSessionIsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, old func() *links) {
		fresh, err := zkserver.New(zkserver.Options{})
		must(t, err)
		background(t, fresh.Run)
		wiped := false
		l := old()
		before := l.server
		l.server = func(ctx context.Context, network, address string) (net.Conn, error) {
			if wiped {
				return fresh.Dial(network, address, time.Second)
			}
			return before(ctx, network, address)
		}
		s := open(t, Options{Servers: "server:1", Dial: l.dial, SessionTimeout: 10 * time.Second})
		deployed(t, s, sample("web"))
		events := watchNode(t, s, configHosts)
		wiped = true
		l.cut(false)
		time.Sleep(8 * time.Second)
		if s.Connected() {
			t.Error("connected to a store that has not come as far, as if the session could go on")
		}
		time.Sleep(8 * time.Second)
		if !s.Connected() {
			t.Fatal("not connected")
		}
		<-events
		must(t, s.RegisterHost(t.Context(), "h2", "id2"))
	})
}

func TestRequestThatIsNeverAnsweredEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		for _, c := range []struct {
			opts Options
			want time.Duration
		}{
			{Options{SessionTimeout: 20 * time.Second}, 20 * time.Second},
			{Options{SessionTimeout: 20 * time.Second, FailFast: 2 * time.Second}, 2 * time.Second},
		} {
			l := &tap{server: dial().dial}
			c.opts.Servers, c.opts.Dial = "server:1", l.dial
			s := open(t, c.opts)
			_, err := s.Hosts(t.Context())
			must(t, err)
			l.tamper(func(_ int, operation int32, frame []byte) ([]byte, error) {
				if operation == codeGetChildren {
					return nil, nil // pings go on
				}
				return frame, nil
			}, nil)
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			_, err = s.Hosts(ctx)
			cancel()
			if took := time.Since(begin); !errors.Is(err, ErrUnavailable) || took != c.want {
				t.Errorf("%v after %v", err, took)
			}
		}
	})
}

func TestStalledConnectionIsGivenUpWithinTheSessionTimeOut(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		l := &tap{server: dial().dial}
		s := open(t, Options{Servers: "server:1", Dial: l.dial, SessionTimeout: 12 * time.Second})
		_, err := s.Hosts(t.Context())
		must(t, err)
		l.tamper(func(int, int32, []byte) ([]byte, error) { return nil, nil }, nil)
		time.Sleep(12 * time.Second)
		if s.Connected() {
			t.Error("still connected")
		}
	})
}

func TestClosingWhileRequestsComeInAndTheConnectionFailsEnds(t *testing.T) {
	t.Parallel()
	for range 5 {
		l := new(tap)
		s, err := Open(Options{Servers: storetest.Start(t), Dial: l.dial})
		must(t, err)
		_, err = s.Hosts(t.Context())
		must(t, err)
		l.tamper(func(_ int, operation int32, frame []byte) ([]byte, error) {
			switch operation {
			case codeGetData:
				return nil, io.ErrClosedPipe
			case opClose:
				return nil, nil // the library waits for an answer, for a second
			}
			return frame, nil
		}, nil)
		var callers sync.WaitGroup
		closing := s.session.closing.Done()
		for range 20 {
			callers.Go(func() {
				_, _, _ = call(t.Context(), s.session, func(c *zk.Conn) ([]byte, error) {
					<-closing
					<-time.After(50 * time.Millisecond) // by now the library closes too, if it is not held back
					data, _, err := c.Get("/")
					return data, err
				})
			})
		}
		closed := make(chan struct{})
		go func() {
			s.Close()
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(time.Minute):
			t.Fatal("the store does not close")
		}
		callers.Wait()
	}
}
