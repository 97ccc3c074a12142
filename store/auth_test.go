package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/storetest"
)

// expireOn makes the next connection's server say that there is no such session.
func expireOn(l *tap) {
	done := false
	l.tamper(nil, func(_ int, operation int32, frame []byte) ([]byte, error) {
		if operation == 0 && !done {
			done = true
			clear(frame[8:20])
		}
		return frame, nil
	})
}

func TestConnectionsAreAuthenticatedBeforeAnythingIsAskedOnThem(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		l := new(tap)
		s := open(t, Options{Servers: address, Dial: l.dial, Credential: Credential{User: "me", Password: "secret"}})
		_, _, err := call(t.Context(), s.session, func(c *zk.Conn) (string, error) {
			return c.Create(s.session.chroot+"/mine", []byte{}, 0, zk.DigestACL(zk.PermAll, "me", "secret"))
		})
		must(t, err)
		watchNode(t, s, "/mine")
		connections := s.Connections(t.Context())
		<-connections
		stop := background(t, func(ctx context.Context) error { // somebody always has something to ask
			for ctx.Err() == nil {
				if _, err := s.session.get(ctx, "/mine"); err != nil && ctx.Err() == nil {
					return err
				}
			}
			return context.Cause(ctx)
		})
		for i := range 4 {
			if i == 2 {
				expireOn(l)
			}
			l.cut()
			<-connections
			watchNode(t, s, "/mine")
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		asked := l.connections()
		if len(asked) < 6 {
			t.Errorf("%d connections", len(asked))
		}
		for _, operations := range asked {
			if len(operations) > 1 && (operations[0] != 0 || operations[1] != codeAuth) {
				t.Errorf("asked %v", operations[:min(len(operations), 5)])
			}
		}
	})
}

func TestConnectionLostWhileAuthenticatingIsMadeAnew(t *testing.T) {
	t.Parallel()
	l, broken := new(tap), 0
	l.tamper(func(_ int, operation int32, frame []byte) ([]byte, error) {
		if operation == codeAuth && broken < 3 {
			broken++
			return nil, io.ErrClosedPipe
		}
		return frame, nil
	}, nil)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial, Credential: Credential{User: "me", Password: "secret"}})
	storetest.Eventually(t, 25*time.Second, func() error {
		_, err := s.Hosts(t.Context())
		return err
	})
	if len(l.connections()) != 4 {
		t.Errorf("%d connections", len(l.connections()))
	}
}

func TestRefusedCredentialIsToldWithoutThePasswordAndTriedMoreAndMoreRarely(t *testing.T) {
	const authFailed = -115
	var (
		log  buffer
		told error
	)
	inBubble(t, func(t *testing.T, links func() *links) {
		dial := &tap{server: links().dial}
		var accepting atomic.Bool
		dial.tamper(nil, func(_ int, operation int32, frame []byte) ([]byte, error) {
			if operation == codeAuth && !accepting.Load() {
				copy(frame[16:], appendNumbers(nil, authFailed))
			}
			return frame, nil
		})
		s := open(t, Options{
			Servers: "server:1", Dial: dial.dial, Logger: zerolog.New(&log),
			Credential: Credential{User: "me", Password: "s3cret"},
		})
		_, told = s.Hosts(t.Context())
		time.Sleep(10*time.Minute - 15*time.Second)
		if n := len(dial.connections()); n < 20 || n > 30 {
			t.Errorf("%d connections in ten minutes", n)
		}
		accepting.Store(true)
		time.Sleep(31 * time.Second)
		if !s.Connected() {
			t.Error("not connected although the credential is good now")
		}
	})
	const sentence = "server:1: the server refused the credential of user me"
	if !errors.Is(told, ErrUnavailable) || !strings.Contains(told.Error(), sentence) {
		t.Errorf("got %v", told)
	}
	if text := log.String(); strings.Count(text, sentence) < 2 || strings.Count(text, sentence) > 4 || strings.Contains(text+told.Error(), "s3cret") {
		t.Errorf("logged %s", text)
	}
}

func TestCredentialPrintsWithoutThePassword(t *testing.T) {
	opts := Options{Credential: Credential{User: "me", Password: "s3cret"}}
	if text := fmt.Sprintf("%v %+v %#v %s", opts, opts, opts, opts.Credential); strings.Contains(text, "s3cret") || !strings.Contains(text, "me") {
		t.Error(text)
	}
	for _, c := range []Credential{{Password: "s3cret"}, {User: "a:b", Password: "s3cret"}} {
		if _, err := Open(Options{Servers: "h", Credential: c}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%v: %v", c, err)
		}
	}
}
