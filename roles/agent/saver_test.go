package agent

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestManyAreSavedAtOnce: while one write lasts, all who come are served by the one that follows.
func TestManyAreSavedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var value, written atomic.Int64
		writes := 0
		full := errors.New("disk is full")
		s := newSaver(func() error {
			writes++
			now := value.Load()
			time.Sleep(time.Second)
			if writes == 3 {
				return full
			}
			written.Store(now)
			return nil
		})
		saved := func(n int64) {
			value.Store(n)
			if err := s.save(); err != nil || written.Load() < n {
				t.Errorf("saved %d, on disk is %d: %v", n, written.Load(), err)
			}
		}
		var all sync.WaitGroup
		all.Go(func() { saved(1) })
		synctest.Wait()
		for range 100 {
			all.Go(func() { saved(2) })
		}
		all.Wait()
		if writes != 2 {
			t.Errorf("%d writes", writes)
		}
		if err := s.save(); !errors.Is(err, full) {
			t.Errorf("a write that failed: %v", err)
		}
		saved(3)
	})
}

// TestThoseInNoHurryGatherForAWrite: they are served by a write that begins a while after the one before, or sooner by
// one that begins for somebody else.
func TestThoseInNoHurryGatherForAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var began []time.Duration
		s := newSaver(func() error {
			began = append(began, time.Since(start))
			time.Sleep(gather / 10)
			return nil
		})
		var all sync.WaitGroup
		saved := func(save func() error, by time.Duration) {
			all.Go(func() {
				if err := save(); err != nil || time.Since(start) != by+gather/10 {
					t.Errorf("saved after %s (%v), want a write at %s", time.Since(start), err, by)
				}
			})
			synctest.Wait()
		}
		saved(s.soon, 0)
		time.Sleep(gather / 2)
		for range 100 {
			saved(s.soon, gather)
		}
		all.Wait()
		saved(s.soon, 2*gather-gather/4)
		time.Sleep(2*gather - gather/4 - time.Since(start))
		saved(s.save, 2*gather-gather/4)
		all.Wait()
		if want := []time.Duration{0, gather, 2*gather - gather/4}; !slices.Equal(began, want) {
			t.Errorf("writes began at %v, want %v", began, want)
		}
	})
}
