package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	// resyncEvery is how often a loop looks again although nothing rang: a watch that was lost costs that much
	// (zookeeper Q29).
	resyncEvery = 30 * time.Second
	minBackOff  = time.Second
	maxBackOff  = 30 * time.Second
)

// final is an error of a pass that no repetition can mend.
type final struct{ error }

// longer is the pause after the next failure in a row (zookeeper §6.2).
func longer(pause time.Duration) time.Duration {
	if pause == 0 {
		return minBackOff
	}
	return min(time.Duration(float64(pause)*(1.5+rand.Float64())), maxBackOff)
}

// loop calls pass again and again until ctx ends, or pass fails with a final error: at once, when a watch or a new
// connection rings, at times without any reason, and with growing pauses while pass fails (zookeeper §6.2). It is a view
// of the store's meanwhile. Failures that last are logged more and more rarely. The watches that pass sets end with loop.
func (s *session) loop(ctx context.Context, what string, pass func(ctx context.Context, w *watches) error) error {
	ctx, cancel := context.WithCancel(ctx)
	w := &watches{session: s, bell: make(chan struct{}, 1), done: ctx.Done(), armed: make(map[string]bool)}
	defer w.waiters.Wait()
	defer cancel()
	connections := s.subscribe(ctx)
	view := s.views.begin(what)
	defer s.views.end(view)
	var (
		backOff  time.Duration // zero while pass succeeds
		reminder Reminder
	)
	for {
		wait := resyncEvery + rand.N(resyncEvery/4)
		err := s.await(ctx)
		looked := time.Now()
		if err == nil { // what rang until now is answered by one pass
			quiet(w.bell)
			quiet(connections)
			err = pass(ctx, w)
		}
		switch last, ok := errors.AsType[final](err); {
		case ok:
			return last.error
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, ErrClosed):
			return err
		}
		since := s.views.learn(view, looked, err)
		if err != nil {
			if reminder.Due(time.Now()) {
				s.log.Warn().Err(err).Msg(what + " will be tried again")
			}
			backOff = longer(backOff)
			wait = backOff
		} else if backOff = 0; reminder.Reset() {
			s.log.Info().Dur("unconfirmed", looked.Sub(since)).Msg(what + " succeeded")
		}
		timer := time.NewTimer(wait)
		select {
		case <-w.bell:
		case <-connections:
		case <-timer.C:
		case <-s.closing.Done():
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if s.closing.Err() != nil {
			return ErrClosed
		}
	}
}

// watches turns the library's watch channels into one doorbell. It remembers which nodes are watched already: the
// library keeps a channel until its event comes, so that watching the same node at each reading would pile them up.
type watches struct {
	session *session
	bell    chan struct{}
	done    <-chan struct{} // closed when nobody listens any more
	waiters sync.WaitGroup

	mu    sync.Mutex // guards armed
	armed map[string]bool
}

// arm makes the bell ring at the event of a watch on path, which is then no longer watched.
func (w *watches) arm(key string, events <-chan zk.Event) {
	w.mu.Lock()
	w.armed[key] = true
	w.mu.Unlock()
	w.waiters.Go(func() {
		select {
		case <-events:
		case <-w.done:
			return
		}
		w.mu.Lock()
		delete(w.armed, key)
		w.mu.Unlock()
		ring(w.bell)
	})
}

func (w *watches) isArmed(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.armed[key]
}

// children lists like session.children and watches the list.
func (w *watches) children(ctx context.Context, path string) (listing, error) {
	key := "list " + path
	if w.isArmed(key) {
		return w.session.children(ctx, path)
	}
	l, err := watched(ctx, w, key, func(c *zk.Conn) (listing, <-chan zk.Event, error) {
		names, stat, events, err := c.ChildrenW(w.session.chroot + path)
		slices.Sort(names)
		return listing{names, stat}, events, err
	})
	return l, named("list", path, err)
}

// get reads like session.get and watches the data.
func (w *watches) get(ctx context.Context, path string) (node, error) {
	key := "data " + path
	if w.isArmed(key) {
		return w.session.get(ctx, path)
	}
	n, err := watched(ctx, w, key, func(c *zk.Conn) (node, <-chan zk.Event, error) {
		data, stat, events, err := c.GetW(w.session.chroot + path)
		return node{path, data, stat}, events, err
	})
	return n, named("read", path, err)
}

// stat looks like session.stat and watches for the node to come or go.
func (w *watches) stat(ctx context.Context, path string) (*zk.Stat, error) {
	key := "stat " + path
	if w.isArmed(key) {
		return w.session.stat(ctx, path)
	}
	stat, err := watched(ctx, w, key, func(c *zk.Conn) (*zk.Stat, <-chan zk.Event, error) {
		exists, stat, events, err := c.ExistsW(w.session.chroot + path)
		if !exists {
			stat = nil
		}
		return stat, events, err
	})
	return stat, named("look for", path, err)
}

// watched makes a request that sets a watch, and arms it.
func watched[T any](ctx context.Context, w *watches, key string, request func(*zk.Conn) (T, <-chan zk.Event, error)) (T, error) {
	type reading struct {
		answer T
		events <-chan zk.Event
	}
	r, _, err := call(ctx, w.session, func(c *zk.Conn) (reading, error) {
		answer, events, err := request(c)
		return reading{answer, events}, err
	})
	if err == nil {
		w.arm(key, r.events)
	}
	return r.answer, err
}
