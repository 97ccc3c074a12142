package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/storetest"
)

// starting is a daemon whose starts take until they are let go on.
type starting struct {
	mu      sync.Mutex // guards what follows
	now     map[string]chan struct{}
	most    int
	started int
}

func (s *starting) handle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Api-Version", "1.41")
	_, path, ok := strings.Cut(r.URL.Path, "/containers/")
	if !ok {
		return
	}
	id := strings.TrimSuffix(path, "/start")
	end := make(chan struct{})
	s.mu.Lock()
	s.now[id] = end
	s.most = max(s.most, len(s.now))
	s.mu.Unlock()
	select {
	case <-end:
	case <-r.Context().Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.now, id)
	s.started++
	w.WriteHeader(http.StatusNoContent)
}

// underWay tells how many starts the daemon has been asked for and not answered.
func (s *starting) underWay(want int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.now) != want {
		return fmt.Errorf("%d starts are under way, want %d", len(s.now), want)
	}
	return nil
}

// goOn ends a start.
func (s *starting) goOn() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, end := range s.now {
		if end != nil {
			close(end)
			s.now[id] = nil
			return nil
		}
	}
	return errors.New("no start is under way")
}

func TestAFewContainersAreStartedAtATime(t *testing.T) {
	t.Parallel()
	const many, atOnce = 12, 3
	s := &starting{now: make(map[string]chan struct{})}
	e := serve(t, s.handle)
	e.starts = newTurns(atOnce, time.Hour)
	var starts sync.WaitGroup
	defer starts.Wait()
	for i := range many {
		starts.Go(func() {
			if err := e.Start(t.Context(), fmt.Sprint("c", i)); err != nil {
				t.Error(err)
			}
		})
	}
	storetest.Eventually(t, time.Minute, func() error { return s.underWay(atOnce) })
	for range many {
		storetest.Eventually(t, time.Minute, s.goOn)
	}
	starts.Wait()
	if s.started != many || s.most != atOnce {
		t.Errorf("%d of %d were started, at most %d at a time, want %d", s.started, many, s.most, atOnce)
	}
}

func TestAStartThatHangsKeepsNobodyFromTheirs(t *testing.T) {
	t.Parallel()
	s := &starting{now: make(map[string]chan struct{})}
	e := serve(t, s.handle)
	e.starts = newTurns(1, 10*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	var starts sync.WaitGroup
	defer starts.Wait()
	defer cancel()
	for i := range 3 {
		starts.Go(func() { _ = e.Start(ctx, fmt.Sprint("c", i)) })
	}
	storetest.Eventually(t, time.Minute, func() error { return s.underWay(3) })
}

func TestTheEndOfTheAgentEndsTheWaitForATurn(t *testing.T) {
	t.Parallel()
	e := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("docker is asked") })
	e.starts = newTurns(1, time.Hour)
	if _, err := e.starts.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := errors.New("the agent ends")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ended)
	if err := e.Start(ctx, "c"); !errors.Is(err, ended) {
		t.Errorf("error %v, want %v", err, ended)
	}
}
