package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// only is the one view of a store.
func only(t *testing.T, s *Store) View {
	t.Helper()
	views := s.Views()
	if len(views) != 1 {
		t.Fatalf("views %v, want one", views)
	}
	return views[0]
}

func TestViewIsYoungWhileAllIsWellAndKnowsItsAgeInAnOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		l := dial()
		s := open(t, Options{Servers: "server:1", Dial: l.dial})
		deployed(t, s, sample("web"))
		told := watch(t, s)
		for range 100 {
			time.Sleep(10 * time.Second)
			if v := only(t, s); v.What != "reading the tasks of h1" || v.Err != nil || v.Stale(time.Now()) || time.Since(v.Confirmed) > 40*time.Second {
				t.Fatalf("%v after %v", v, time.Since(v.Confirmed))
			}
		}
		before := only(t, s).Confirmed
		l.cut(true)
		time.Sleep(55 * time.Second) // the next look, which waits for a connection
		if v := only(t, s); !errors.Is(v.Err, ErrUnavailable) || !v.Confirmed.Equal(before) || v.Stale(before.Add(overdue)) {
			t.Errorf("soon after the loss: %+v, confirmed %v before", v, before)
		}
		time.Sleep(time.Hour)
		v := only(t, s)
		if text := v.String(); !v.Stale(time.Now()) || !v.Confirmed.Equal(before) || !strings.HasPrefix(text,
			"reading the tasks of h1: confirmed last at "+before.UTC().Format(time.RFC3339)+": zookeeper is not available: no connection for ") {
			t.Errorf("an hour later: %v, confirmed %v before", v, before)
		}
		l.cut(false)
		time.Sleep(35 * time.Second) // what the library waits between two attempts
		if v := only(t, s); v.Err != nil || v.Stale(time.Now()) || time.Since(v.Confirmed) > 35*time.Second {
			t.Errorf("after the outage: %+v", v)
		}
		if told.count() != 1 {
			t.Errorf("told %d times", told.count())
		}
	})
}

func TestViewIsStaleAtOnceWhenItIsRefusedOnly(t *testing.T) {
	for err, stale := range map[error]bool{
		nil: false, ErrDenied: true, fmt.Errorf("node: %w", ErrDenied): true, ErrNoCluster: true, ErrUnavailable: false, errUnsteady: false,
	} {
		now := time.Now()
		v := View{What: "testing", Begun: now.Add(-time.Hour), Confirmed: now.Add(-time.Second), Err: err}
		if v.Stale(now) != stale || !v.Stale(now.Add(overdue)) {
			t.Errorf("%v: stale %v, later %v", v, v.Stale(now), v.Stale(now.Add(overdue)))
		}
		if v = (View{What: "testing", Begun: now.Add(-time.Second), Err: err}); v.Stale(now) != stale || !strings.HasPrefix(v.String(), "testing: never confirmed") {
			t.Errorf("%v: stale %v", v, v.Stale(now))
		}
	}
}

func TestFailureThatLastsIsSaidMoreAndMoreRarely(t *testing.T) {
	var log buffer
	inBubble(t, func(t *testing.T, dial func() *links) {
		s := open(t, Options{Servers: "server:1", Dial: dial().dial, Logger: zerolog.New(&log)})
		var well atomic.Bool
		background(t, func(ctx context.Context) error {
			return s.session.loop(ctx, "testing", func(context.Context, *watches) error {
				if well.Load() {
					return nil
				}
				return ErrDenied
			})
		})
		said := func() int { return strings.Count(log.String(), `"testing will be tried again"`) }
		begun := time.Now()
		for _, c := range []struct {
			after       time.Duration
			least, most int
		}{{time.Second, 1, 1}, {50 * time.Second, 1, 1}, {2 * time.Minute, 2, 2}, {5 * time.Minute, 3, 3}, {24 * time.Hour, 25, 30}} {
			time.Sleep(c.after - time.Since(begun))
			if n := said(); n < c.least || n > c.most {
				t.Errorf("said %d times in %v, want %d to %d", n, c.after, c.least, c.most)
			}
			if v := only(t, s); !v.Stale(time.Now()) || !v.Confirmed.IsZero() {
				t.Errorf("%+v", v)
			}
		}
		well.Store(true)
		time.Sleep(time.Minute)
		if v := only(t, s); v.Stale(time.Now()) || !strings.Contains(log.String(), `"testing succeeded"`) {
			t.Errorf("mended: %v", v)
		}
	})
}

func TestViewEndsWithItsWatcher(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		s := open(t, Options{Servers: "server:1", Dial: dial().dial})
		if views := s.Views(); len(views) != 0 {
			t.Errorf("views %v before anything is watched", views)
		}
		stop := background(t, func(ctx context.Context) error { return s.KeepMaster(ctx, "m1") })
		synctest.Wait()
		if v := only(t, s); v.What != "registering master m1" || v.Confirmed.IsZero() {
			t.Errorf("%+v", v)
		}
		_ = stop()
		if views := s.Views(); len(views) != 0 {
			t.Errorf("views %v are left", views)
		}
	})
}
