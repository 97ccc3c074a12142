package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	maxAttempts = 4 // of one request: the first and three more (zookeeper §1.2)
	retryWait   = 200 * time.Millisecond
)

// call sends one request and waits for its answer; every request goes through it. A connection lost on the way is
// waited for and the request repeated, three times at most (zookeeper §1.2); lost then says that an earlier attempt
// may have been carried out unheard. When ctx ends first the outcome of a write is unknown.
func call[T any](ctx context.Context, s *session, request func(*zk.Conn) (T, error)) (answer T, lost bool, err error) {
	for attempt := range maxAttempts {
		if attempt > 0 {
			if err := pause(ctx, retryWait<<attempt); err != nil {
				return answer, lost, err
			}
		}
		if err := s.await(ctx); err != nil {
			return answer, lost, err
		}
		answer, err = inCluster(ctx, s, request)
		if !connectionLost(err) {
			return answer, lost, s.denied(err)
		}
		lost = lost || !errors.Is(err, zk.ErrNoServer) // that one was never sent
	}
	return answer, lost, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// once makes the one attempt. The library's calls take no context and may block for as long as it reconnects, so the
// call is left behind when waiting has no more sense; it ends with its connection at the latest.
func once[T any](ctx context.Context, s *session, request func(*zk.Conn) (T, error)) (T, error) {
	type result struct {
		answer T
		err    error
	}
	var none T
	done := make(chan result, 1)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return none, ErrClosed
	}
	s.calls.Go(func() {
		answer, err := request(s.conn)
		done <- result{answer, err}
	})
	s.mu.Unlock()
	late := time.NewTimer(s.patience)
	defer late.Stop()
	select {
	case r := <-done:
		if s.closing.Err() != nil && connectionLost(r.err) {
			return none, ErrClosed
		}
		return r.answer, r.err
	case <-late.C:
		return none, fmt.Errorf("%w: no answer for %v", ErrUnavailable, s.patience)
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// connectionLost reports whether a request came to nothing, or to nothing that is known, for want of a connection or
// a session.
func connectionLost(err error) bool {
	for _, lost := range []error{
		zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrSessionExpired, zk.ErrSessionMoved, zk.ErrClosing,
		io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, os.ErrDeadlineExceeded, net.ErrClosed,
	} {
		if errors.Is(err, lost) {
			return true
		}
	}
	_, network := errors.AsType[*net.OpError](err)
	return network
}

// pause waits for a random time up to limit.
func pause(ctx context.Context, limit time.Duration) error { return sleep(ctx, rand.N(limit)) }

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
