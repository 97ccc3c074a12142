package docker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/helios-go/helios/supervisor"
)

// heard are the events of containers that matter to whoever waits for the end of one: those that tell of it, and those
// after which it may be otherwise.
var heard = []events.Action{
	events.ActionDie, events.ActionOOM, events.ActionDestroy,
	events.ActionStart, events.ActionRestart, events.ActionPause, events.ActionUnPause,
}

// Run subscribes to the daemon's events until ctx ends, and returns the cause. Whoever waits for a container is told of
// its end, or to look again. Without Run, waits notice the end of a container at the next poll.
func (e *Engine) Run(ctx context.Context) error {
	// The daemon is often away for a second only, and one that is back should be noticed soon.
	pause := supervisor.Backoff{Min: 100 * time.Millisecond, Max: 5 * time.Second}
	away := false
	for {
		var since time.Time
		err := e.listen(ctx, func() {
			if away {
				e.log.Info().Msg("docker answers again")
			}
			away, since = false, time.Now()
		})
		if !since.IsZero() && time.Since(since) > pause.Max { // not one that breaks each time
			pause.Reset()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !away {
			e.log.Warn().Err(err).Msg("docker is away, waiting for it")
		}
		away = true
		e.forget()
		e.lookAll() // so that those who wait learn of it too
		timer := time.NewTimer(pause.Next())
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// listen tells those who wait what the daemon tells of until the subscription breaks. Once it stands, all have to look:
// what happened before was not heard.
func (e *Engine) listen(ctx context.Context, subscribed func()) error {
	reply := newReply(e.maxReply)
	ctx, cancel := context.WithCancel(reply.await(ctx))
	defer cancel()
	limited, stop := context.WithTimeout(ctx, patience)
	cli, err := e.client(limited)
	stop()
	if err != nil {
		return err
	}
	filters := make(client.Filters).Add("type", string(events.ContainerEventType))
	for _, action := range heard {
		filters.Add("event", string(action))
	}
	stream := cli.Events(ctx, client.EventsListOptions{Filters: filters})
	select {
	case err := <-stream.Err:
		return e.classify(ctx, err)
	default:
		subscribed()
		e.lookAll()
	}
	for {
		select {
		case message := <-stream.Messages:
			reply.more()
			e.hear(message)
		case err := <-stream.Err:
			return e.classify(ctx, err)
		}
	}
}

// waiter is somebody who waits for the end of one container. What is heard of the container is kept here and nowhere
// else, so that it is believed once, and no longer than somebody waits.
type waiter struct {
	word chan supervisor.Container // how it ended, or the zero value: look at it. It has room for one: the newest word
	oom  bool                      // it ran out of memory
}

// tell replaces what the waiter has not heard yet. Engine.mu must be held.
func (w *waiter) tell(ended supervisor.Container) {
	select {
	case <-w.word:
	default:
	}
	w.word <- ended
}

// waiter makes one for a container; the returned function takes it away.
func (e *Engine) waiter(id string) (*waiter, func()) {
	w := &waiter{word: make(chan supervisor.Container, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiters[id] == nil {
		e.waiters[id] = map[*waiter]bool{}
	}
	e.waiters[id][w] = true
	return w, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.waiters[id], w)
		if len(e.waiters[id]) == 0 {
			delete(e.waiters, id)
		}
	}
}

// hear tells those who wait for a container what an event says of it. A process that ran out of memory need not be the
// end of its container, and a look at one that is about to end would take long: that is only noted.
func (e *Engine) hear(message events.Message) {
	if message.Type != events.ContainerEventType {
		return
	}
	ended := end(message)
	e.mu.Lock()
	defer e.mu.Unlock()
	for w := range e.waiters[message.Actor.ID] {
		switch message.Action {
		case events.ActionOOM:
			w.oom = true
		case events.ActionDie:
			ended.OOMKilled = w.oom
			w.tell(ended)
		default:
			w.oom = false
			w.tell(supervisor.Container{})
		}
	}
}

// end reads how a container ended from its die event; an event that does not say it all is no word of an end. The exit
// code may be another one than the container's: a label of that name hides it.
func end(message events.Message) supervisor.Container {
	code, err := strconv.ParseInt(message.Actor.Attributes["exitCode"], 10, 32)
	if err != nil || message.TimeNano <= 0 {
		return supervisor.Container{}
	}
	return supervisor.Container{ID: message.Actor.ID, ExitCode: int(code), FinishedAt: time.Unix(0, message.TimeNano)}
}

// lookAll makes all who wait look, and forgets what was heard.
func (e *Engine) lookAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, waiters := range e.waiters {
		for w := range waiters {
			w.oom = false
			w.tell(supervisor.Container{})
		}
	}
}

// Wait returns when an event says that the container has ended. Otherwise it looks: at first, when another event makes
// it worth while, and at each poll.
func (e *Engine) Wait(ctx context.Context, id string) (supervisor.Container, error) {
	w, leave := e.waiter(id)
	defer leave()
	for {
		c, err := e.inspect(ctx, id)
		if err != nil || !c.Running {
			return c, err
		}
		// Polls of many containers spread over time.
		timer := time.NewTimer(e.opts.Poll - time.Duration(rand.Int64N(int64(e.opts.Poll)/4+1)))
		var ended supervisor.Container
		select {
		case ended = <-w.word:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		switch {
		case ctx.Err() != nil:
			return supervisor.Container{}, fmt.Errorf("wait for container %s: %w", id, context.Cause(ctx))
		case ended.ID != "":
			return ended, nil
		}
	}
}
