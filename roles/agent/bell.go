package agent

import (
	"context"
	"time"
)

// ring rings a doorbell: a channel with room for one. Whoever answers reads the truth again, so that one ring stands for
// any number of events.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}

// hush takes a ring back, for who is about to read the truth anyway.
func hush(bell <-chan struct{}) {
	select {
	case <-bell:
	default:
	}
}

// sleep waits; it returns false when ctx ended first.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
