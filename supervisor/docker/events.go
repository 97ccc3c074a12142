package docker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/helios-go/helios/supervisor"
)

// Run subscribes to the daemon's events until ctx ends, and returns the cause. Events only ring doorbells: whoever waits
// for a container looks again. Without Run, waits notice the end of a container at the next poll.
func (e *Engine) Run(ctx context.Context) error {
	// The daemon is often away for a second only, and one that is back should be noticed soon.
	pause := supervisor.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
	away := false
	for {
		err := e.listen(ctx, func() {
			if away {
				e.log.Info().Msg("docker answers again")
			}
			away = false
			pause.Reset()
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !away {
			e.log.Warn().Err(err).Msg("docker is away, waiting for it")
		}
		away = true
		e.forget()
		e.ringAll() // so that those who wait learn of it too
		timer := time.NewTimer(pause.Next())
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// listen rings the doorbells of the containers that the daemon tells of until the subscription breaks. Once it stands,
// all are rung: what happened before was not heard.
func (e *Engine) listen(ctx context.Context, subscribed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limited, stop := context.WithTimeout(ctx, patience)
	cli, err := e.client(limited)
	stop()
	if err != nil {
		return err
	}
	stream := cli.Events(ctx, client.EventsListOptions{
		Filters: make(client.Filters).Add("type", "container").Add("event", "die", "destroy"),
	})
	select {
	case err := <-stream.Err:
		return e.classify(ctx, err)
	default:
		subscribed()
		e.ringAll()
	}
	for {
		select {
		case message := <-stream.Messages:
			if message.Type == events.ContainerEventType {
				e.ring(message.Actor.ID)
			}
		case err := <-stream.Err:
			return e.classify(ctx, err)
		}
	}
}

// doorbell hangs up a bell for one container; the returned function takes it down.
func (e *Engine) doorbell(id string) (<-chan struct{}, func()) {
	bell := make(chan struct{}, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.doorbells[id] == nil {
		e.doorbells[id] = map[chan struct{}]bool{}
	}
	e.doorbells[id][bell] = true
	return bell, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.doorbells[id], bell)
		if len(e.doorbells[id]) == 0 {
			delete(e.doorbells, id)
		}
	}
}

func (e *Engine) ring(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for bell := range e.doorbells[id] {
		select {
		case bell <- struct{}{}:
		default:
		}
	}
}

func (e *Engine) ringAll() {
	e.mu.Lock()
	ids := make([]string, 0, len(e.doorbells))
	for id := range e.doorbells {
		ids = append(ids, id)
	}
	e.mu.Unlock()
	for _, id := range ids {
		e.ring(id)
	}
}

// Wait returns when the container does not run any more: it looks at it, then again at each event, and at each poll.
func (e *Engine) Wait(ctx context.Context, id string) error {
	bell, remove := e.doorbell(id)
	defer remove()
	for {
		c, err := e.inspect(ctx, id)
		if err != nil {
			return err
		}
		if !c.Running {
			return nil
		}
		// Polls of many containers spread over time.
		timer := time.NewTimer(e.opts.Poll - time.Duration(rand.Int64N(int64(e.opts.Poll)/4+1)))
		select {
		case <-bell:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return fmt.Errorf("wait for container %s: %w", id, context.Cause(ctx))
		}
	}
}
