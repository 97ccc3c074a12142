package supervisor

import (
	"math/rand/v2"
	"time"
)

// Backoff is a growing wait between attempts: the first is Min, each further one 1.5 to 2.5 times the one before, never
// longer than Max (testdata/spec/4-agent.md §3.10). The random factor keeps many waiters from marching in step. The
// zero value waits 1 s at first and at most 30 s.
type Backoff struct {
	// Min and Max bound the wait; zero means 1 s and 30 s.
	Min, Max time.Duration

	last time.Duration
}

// Next returns the next wait of the sequence.
func (b *Backoff) Next() time.Duration {
	low, high := b.Min, b.Max
	if low <= 0 {
		low = time.Second
	}
	if high <= 0 {
		high = 30 * time.Second
	}
	high = max(low, high)
	if b.last <= 0 {
		b.last = low
	} else {
		b.last = time.Duration(min(float64(b.last)*(1.5+rand.Float64()), float64(high)))
	}
	return b.last
}

// Reset begins the sequence anew, after a success.
func (b *Backoff) Reset() { b.last = 0 }
