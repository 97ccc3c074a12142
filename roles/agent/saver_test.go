package agent

import (
	"errors"
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
