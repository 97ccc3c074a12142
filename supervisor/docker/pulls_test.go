package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/helios-go/helios/supervisor"
)

// slowRegistry is a daemon whose pulls wait until they are released.
type slowRegistry struct {
	release           chan struct{}
	begun, mostAtOnce atomic.Int64
	mu                sync.Mutex // guards underway
	underway          int64
	cut               atomic.Int64 // pulls that were given up
}

func (s *slowRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	switch {
	case strings.HasSuffix(r.URL.Path, "/images/create"):
		s.count(1)
		defer s.count(-1)
		s.begun.Add(1)
		fmt.Fprint(w, `{"status":"Pulling"}`)
		w.(http.Flusher).Flush()
		select {
		case <-s.release:
		case <-r.Context().Done():
			s.cut.Add(1)
		}
	case strings.HasSuffix(r.URL.Path, "/local:1/json"):
		fmt.Fprint(w, "{}")
	case strings.HasSuffix(r.URL.Path, "/json"):
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *slowRegistry) count(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underway += n
	s.mostAtOnce.Store(max(s.mostAtOnce.Load(), s.underway))
}

func slow(t *testing.T) (*slowRegistry, *Engine) {
	s := &slowRegistry{release: make(chan struct{})}
	return s, serve(t, s.ServeHTTP)
}

// soon waits until it is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for over := time.Now().Add(30 * time.Second); !so(); {
		if time.Now().After(over) {
			t.Fatalf("not %s", what)
		}
		timer := time.NewTimer(time.Millisecond)
		<-timer.C
	}
}

// waiting is how many wait for an image.
func (e *Engine) waiting(image string) int {
	e.pulls.mu.Lock()
	defer e.pulls.mu.Unlock()
	if f := e.pulls.underway[image]; f != nil {
		return f.waiting
	}
	return 0
}

func TestAnImageIsPulledOnceForAllWhoWantIt(t *testing.T) {
	t.Parallel()
	s, e := slow(t)
	const many = 20
	ended := make(chan error, many)
	for range many {
		go func() { ended <- e.Pull(t.Context(), "img:1") }()
	}
	soon(t, "waiting", func() bool { return e.waiting("img:1") == many && s.begun.Load() == 1 })
	close(s.release)
	for range many {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if n := s.begun.Load(); n != 1 {
		t.Errorf("%d pulls", n)
	}
	if err := e.Pull(t.Context(), "img:1"); err != nil || s.begun.Load() != 2 {
		t.Errorf("a later one is not asked for anew: %v", err)
	}
}

func TestAPullEndsWithTheLastWhoWantsIt(t *testing.T) {
	t.Parallel()
	s, e := slow(t)
	first, leaveFirst := context.WithCancel(t.Context())
	second, leaveSecond := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- e.Pull(first, "img:1") }()
	soon(t, "begun", func() bool { return s.begun.Load() == 1 })
	go func() { ended <- e.Pull(second, "img:1") }()
	soon(t, "joined", func() bool { return e.waiting("img:1") == 2 })
	leaveFirst()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: %v", err)
	}
	if s.cut.Load() != 0 || e.waiting("img:1") != 1 {
		t.Error("the pull was given up though another one wants it")
	}
	leaveSecond()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the second: %v", err)
	}
	soon(t, "given up", func() bool { return s.cut.Load() == 1 })
}

func TestPullsFromOneRegistryAreBounded(t *testing.T) {
	t.Parallel()
	s, e := slow(t)
	const many = 3 * pullsAtOnce
	ended := make(chan error, many+1)
	pull := func(image string) { ended <- e.Pull(t.Context(), image) }
	for i := range many {
		go pull(fmt.Sprintf("127.0.0.1:1/img%d:1", i))
	}
	soon(t, "begun", func() bool { return s.begun.Load() == pullsAtOnce })
	go pull("127.0.0.1:2/img:1")
	soon(t, "pulling from another registry", func() bool { return s.begun.Load() == pullsAtOnce+1 })
	close(s.release)
	for range many + 1 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if n := s.mostAtOnce.Load(); n > pullsAtOnce+1 {
		t.Errorf("%d at once", n)
	}
}

// TestAnImageThatIsHereDoesNotWaitForOthers: a registry that hangs keeps no container from being restarted.
func TestAnImageThatIsHereDoesNotWaitForOthers(t *testing.T) {
	t.Parallel()
	s, e := slow(t)
	for range pullsAtOnce {
		_ = e.pulls.turns("img:1").Acquire(t.Context(), 1)
	}
	e.silence = 20 * time.Millisecond
	if err := e.Pull(t.Context(), "local:1"); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := e.Pull(ctx, "img:1"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, supervisor.ErrPullFailed) {
		t.Errorf("one that is not: %v", err)
	}
	if s.begun.Load() != 0 {
		t.Error("pulled out of turn")
	}
}
