package agent

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/supervisor"
)

// TestDockerVerdict holds the vectors of operations §3.3: successive looks of one check.
func TestDockerVerdict(t *testing.T) {
	t.Parallel()
	const timeouts, failures = "docker timeouts are too high for too long", "supervisor run exception frequency is too high"
	var v verdict
	for _, look := range []struct {
		timeouts, failures float64
		want               verdict
	}{
		{0.81, 0, timeouts},
		{0.79, 0, timeouts},
		{0.39, 0, ""},
		{0, 0.81, failures},
		{0.79, 0.39, failures},
		{0.39, 0.39, ""},
		{0.8, 0.8, ""},
		{0.81, 0.81, failures},
		{0.4, 0.39, failures},
	} {
		v = v.next(share(100*look.timeouts, 100), share(100*look.failures, 100))
		if v != look.want {
			t.Errorf("after %v and %v: %q, want %q", look.timeouts, look.failures, v, look.want)
		}
	}
	if got := share(0.09, 0.09); got != 0 {
		t.Errorf("the share among few attempts is %v, want 0", got)
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	r := rate{last: begin}
	for second := range 300 {
		r.mark(begin.Add(time.Duration(second) * time.Second))
	}
	if got := r.at(begin.Add(5 * time.Minute)); got < 0.99 || got > 1.01 {
		t.Errorf("rate of one a second is %v", got)
	}
	if got := r.at(begin.Add(10 * time.Minute)); got < 0.36 || got > 0.38 { // 1/e
		t.Errorf("five minutes after the last one it is %v", got)
	}
}

// silentEngine is one that gives no answer, or only refusals.
type silentEngine struct {
	supervisor.Engine
	err error
}

func (e silentEngine) Find(context.Context, supervisor.Ref) (supervisor.Container, error) {
	return supervisor.Container{}, e.err
}
func (e silentEngine) Pull(context.Context, string) error  { return nil }
func (e silentEngine) Start(context.Context, string) error { return e.err }

// TestDockerCheckFollowsTheEngine feeds the check by what supervisors ask of an engine.
func TestDockerCheckFollowsTheEngine(t *testing.T) {
	t.Parallel()
	const many = 100 // attempts, in the first seconds
	judge := func(err error, attempt func(context.Context, counted)) error {
		begin := time.Now().Add(-tick)
		a := newAttempts(begin)
		for range many {
			attempt(t.Context(), counted{silentEngine{err: err}, a})
		}
		return a.judge(time.Now().Add(tick), zerolog.Nop())
	}
	find := func(ctx context.Context, c counted) { _, _ = c.Find(ctx, supervisor.Ref{}) }
	launch := func(ctx context.Context, c counted) { _ = c.Pull(ctx, ""); _ = c.Start(ctx, "") }
	timeout := fmt.Errorf("%w: %w", supervisor.ErrUnavailable, context.DeadlineExceeded)
	for _, test := range []struct {
		name    string
		err     error
		attempt func(context.Context, counted)
		want    string
	}{
		{"looks that find answers are no attempts", nil, find, ""},
		{"launches that succeed are well", nil, launch, ""},
		{"a daemon that is away is not", supervisor.ErrUnavailable, find, "supervisor run exception frequency is too high"},
		{"nor one that hangs", timeout, find, "supervisor run exception frequency is too high"},
		{"nor one that starts nothing", errors.New("port taken"), launch, "supervisor run exception frequency is too high"},
		{"what was cut short says nothing", timeout, func(ctx context.Context, c counted) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			find(ctx, c)
		}, ""},
	} {
		got := ""
		if err := judge(test.err, test.attempt); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	for err, counts := range map[error]bool{timeout: true, supervisor.ErrUnavailable: false} {
		a := newAttempts(time.Now())
		find(t.Context(), counted{silentEngine{err: err}, a})
		if got := a.timeouts.at(time.Now().Add(tick)) > 0; got != counts {
			t.Errorf("%v counts as a time-out: %t, want %t", err, got, counts)
		}
	}
}
