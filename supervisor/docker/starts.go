package docker

import (
	"context"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// slowStart is how long a start keeps its turn.
const slowStart = 2 * time.Second

// startsAtOnce is how many containers are started at a time. Linux lets only one at a time change the machine's network,
// which is much of a start, and lets the others burn processor time while they wait: forty starts at once take longer than
// forty that come a few at a time. Too few, though, leave processors idle.
func startsAtOnce() int64 { return max(8, int64(runtime.NumCPU())) }

// turns are those of the starts.
type turns struct {
	free *semaphore.Weighted
	keep time.Duration
}

func newTurns(atOnce int64, keep time.Duration) turns {
	return turns{semaphore.NewWeighted(atOnce), keep}
}

// take waits for a turn, and returns what gives it back. One that is kept too long is taken away: a start that hangs keeps
// nobody from theirs.
func (t turns) take(ctx context.Context) (giveBack func(), err error) {
	if t.free.Acquire(ctx, 1) != nil {
		return nil, context.Cause(ctx)
	}
	release := sync.OnceFunc(func() { t.free.Release(1) })
	late := time.AfterFunc(t.keep, release)
	return func() {
		late.Stop()
		release()
	}, nil
}
