package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/supervisor"
)

const (
	judgeEvery = 30 * time.Second // between two judgements of the docker check that nobody asked for
	pingTime   = 5 * time.Second  // for Docker to answer a health check
)

// health tells what is well with this agent, by the name of the check (operations §3.3). The checks registration, views and
// wishes are there only when they fail, so that readers of the original's document find what they know.
func (a *Agent) health(ctx context.Context) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	checks := map[string]error{
		"zookeeper": server.ZooKeeper(a.store),
		"dockerd":   a.engine.Ping(ctx),
		"docker":    a.attempts.judge(time.Now(), a.log),
	}
	if refused := a.registrar.refused(); refused != "" {
		checks["registration"] = server.Unwell(refused)
	}
	if err := server.Views(a.store.Views()); err != nil {
		checks["views"] = err
	}
	if doubt := a.reconciler.doubt(); doubt != nil {
		checks["wishes"] = server.Unwell(fmt.Sprintf("in doubt since %s: %s",
			time.UnixMilli(doubt.Since).UTC().Format(time.RFC3339), doubt.Reason))
	}
	return checks
}

// judgeDocker keeps the docker check up to date when nobody asks.
func (a *Agent) judgeDocker(ctx context.Context) error {
	for sleep(ctx, judgeEvery) {
		_ = a.attempts.judge(time.Now(), a.log)
	}
	return context.Cause(ctx)
}

// verdict is what the docker check says, "" when all is well. It changes slowly: it turns bad at high shares of failing
// attempts, and good again only at low ones.
type verdict string

// next is the verdict after a look at the shares of attempts that ran into a time-out of Docker, and that failed.
func (v verdict) next(timeouts, failures float64) verdict {
	const high, low = 0.8, 0.4
	if timeouts > high {
		v = "docker timeouts are too high for too long"
	}
	if failures > high {
		v = "supervisor run exception frequency is too high"
	}
	if timeouts < low && failures < low {
		v = ""
	}
	return v
}

// share is the part that some events have among attempts, of their rates per second. Few attempts say nothing.
func share(events, attempts float64) float64 {
	if attempts < 0.1 {
		return 0
	}
	return events / attempts
}

// rate is a moving average over five minutes of how often something happens, as the original's metrics have it.
type rate struct {
	perSecond float64
	begun     bool
	pending   int       // since the last tick
	last      time.Time // tick
}

const tick = 5 * time.Second

// at is the rate per second at a time.
func (r *rate) at(now time.Time) float64 {
	for ; now.Sub(r.last) >= tick; r.last = r.last.Add(tick) {
		instant := float64(r.pending) / tick.Seconds()
		if r.begun {
			r.perSecond += (1 - math.Exp(-tick.Minutes()/5)) * (instant - r.perSecond)
		} else {
			r.perSecond, r.begun = instant, true
		}
		r.pending = 0
	}
	return r.perSecond
}

func (r *rate) mark(now time.Time) {
	r.at(now)
	r.pending++
}

// attempts counts what supervisors try, and how that ends.
type attempts struct {
	mu                    sync.Mutex // guards what follows
	all, failed, timeouts rate
	verdict               verdict
}

func newAttempts(now time.Time) *attempts {
	begin := rate{last: now}
	return &attempts{all: begin, failed: begin, timeouts: begin}
}

func (a *attempts) began() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all.mark(time.Now())
}

// ended notes how a step of an attempt ended; one that was cut short says nothing.
func (a *attempts) ended(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed.mark(time.Now())
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		a.timeouts.mark(time.Now())
	}
}

// judge looks at the rates, and returns what is wrong.
func (a *attempts) judge(now time.Time, log zerolog.Logger) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all.at(now)
	timeouts, failures := share(a.timeouts.at(now), all), share(a.failed.at(now), all)
	if timeouts > 0 || failures > 0 {
		log.Info().Float64("timeouts", timeouts).Float64("failures", failures).Msg("some attempts to run tasks fail")
	}
	if a.verdict = a.verdict.next(timeouts, failures); a.verdict != "" {
		return server.Unwell(a.verdict)
	}
	return nil
}

// counted is an engine whose attempts are counted: each launch is one, and each look that finds no answer.
type counted struct {
	supervisor.Engine
	attempts *attempts
}

func (c counted) Find(ctx context.Context, ref supervisor.Ref) (supervisor.Container, error) {
	found, err := c.Engine.Find(ctx, ref)
	if err != nil && ctx.Err() == nil {
		c.attempts.began()
		c.attempts.ended(ctx, err)
	}
	return found, err
}

func (c counted) Pull(ctx context.Context, image string) error {
	c.attempts.began()
	err := c.Engine.Pull(ctx, image)
	c.attempts.ended(ctx, err)
	return err
}

func (c counted) Create(ctx context.Context, spec supervisor.Spec) (string, error) {
	id, err := c.Engine.Create(ctx, spec)
	c.attempts.ended(ctx, err)
	return id, err
}

func (c counted) Start(ctx context.Context, id string) error {
	err := c.Engine.Start(ctx, id)
	c.attempts.ended(ctx, err)
	return err
}
