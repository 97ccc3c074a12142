package supervisor

import (
	"errors"
	"fmt"
	"time"

	"github.com/helios-go/helios/store/job"
)

// The restart delays and the measure of flapping (testdata/spec/4-agent.md §3.8).
const (
	restartDelay      = time.Second
	flappingDelay     = 30 * time.Second
	pullFailedDelay   = 30 * time.Second
	imageMissingDelay = 120 * time.Second
	flappingRuns      = 10
	flappingTotal     = time.Minute
)

// Restarts decides how soon a task runs again. It is a plain value fed with what happened; it knows no container and no
// clock. Its zero value is a task that has never run.
type Restarts struct {
	image job.Throttle    // the image problem that is not over, empty when there is none
	runs  []time.Duration // the newest runs that ended with an exit, oldest first, at most flappingRuns
	since time.Time       // when the newest run began
	live  bool            // it goes on
}

// Verdict is what follows from a task's past.
type Verdict struct {
	Throttle job.Throttle
	Delay    time.Duration // between the end of a run and the next one
	Recheck  time.Duration // while a run goes on: when the verdict may change by itself; zero: it will not
	Reason   string        // the delay in words
}

// Created notes that a container was made: whatever was wrong with the image is over.
func (r *Restarts) Created() { r.image = "" }

// Started notes that a run begins: when its container was started, and again when it was found healthy, since the time
// before does not count as running.
func (r *Restarts) Started(now time.Time) { r.image, r.since, r.live = "", now, true }

// Lasts is how long the current run has lasted, or would have.
func (r *Restarts) Lasts(now time.Time) time.Duration { return now.Sub(r.since) }

// Exited notes that the container of the current run ended by itself.
func (r *Restarts) Exited(now time.Time) {
	lasted := time.Duration(0)
	if r.live {
		lasted = max(0, now.Sub(r.since))
	}
	r.runs = append(r.runs[max(0, len(r.runs)-flappingRuns+1):len(r.runs):len(r.runs)], lasted)
	r.live = false
}

// Failed notes that a run failed: an image that is missing or cannot be pulled slows the next ones down.
func (r *Restarts) Failed(err error) {
	r.live = false
	switch {
	case errors.Is(err, ErrImageMissing):
		r.image = job.ImageMissing
	case errors.Is(err, ErrPullFailed):
		r.image = job.ImagePullFailed
	}
}

// Verdict answers for the moment now. An image problem goes before flapping, and flapping is ten exits with less than a
// minute of running between them, the current run included.
func (r *Restarts) Verdict(now time.Time) Verdict {
	switch r.image {
	case job.ImageMissing:
		return Verdict{Throttle: r.image, Delay: imageMissingDelay, Reason: "the image was not found"}
	case job.ImagePullFailed:
		return Verdict{Throttle: r.image, Delay: pullFailedDelay, Reason: "the image could not be pulled"}
	}
	if left := r.flapping(now); left > 0 {
		v := Verdict{
			Throttle: job.Flapping,
			Delay:    flappingDelay,
			Reason:   fmt.Sprintf("%d exits after %s of running in all", flappingRuns, flappingTotal-left),
		}
		if r.live {
			v.Recheck = left
		}
		return v
	}
	return Verdict{Throttle: job.NotThrottled, Delay: restartDelay, Reason: "the last run ended"}
}

// Next returns when the task runs again after an exit that the engine says was at the moment finished: a delay after
// it. The engine's clock may be wrong: a run has not ended before it began, nor later than now.
func (r *Restarts) Next(finished, now time.Time) time.Time {
	ago := time.Duration(0)
	if !finished.IsZero() && !r.since.IsZero() {
		ago = max(0, min(now.Sub(finished), now.Sub(r.since)))
	}
	return now.Add(r.Verdict(now).Delay - ago)
}

// flapping returns how much running time is missing before the task counts as steady; zero or less: it is steady.
func (r *Restarts) flapping(now time.Time) time.Duration {
	if len(r.runs) < flappingRuns {
		return 0
	}
	left := flappingTotal
	for _, lasted := range r.runs {
		left -= min(lasted, flappingTotal) // so that no sum can overflow
	}
	if r.live {
		left -= max(0, now.Sub(r.since))
	}
	return left
}
