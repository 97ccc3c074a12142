package dockertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Watch notes what happens to the test's containers, from its start to the end of the test.
type Watch struct {
	mu     sync.Mutex // guards what follows
	events []Event
	noted  map[string]bool // a stream that is opened anew tells some a second time
}

// Event is one thing that happened to a container.
type Event struct {
	At        time.Time
	Action    string // start, die, kill, stop, pause, destroy and so on, as Docker calls it
	Container string
	Labels    map[string]string // and what else Docker says of it: exitCode, signal
}

// Watch starts to note events. Where their stream ends, as it does with the daemon, it is opened anew, from the last
// event on; what a daemon did just before it was killed may be missing.
func (d *Daemon) Watch() *Watch {
	d.t.Helper()
	w := &Watch{noted: make(map[string]bool)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.t.Context()))
	begin := time.Now()
	first := d.stream(ctx, begin) // is subscribed before anything else happens
	var running sync.WaitGroup
	running.Go(func() { w.follow(ctx, d, first, begin) })
	d.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return w
}

// Events are those noted so far, the oldest first.
func (w *Watch) Events() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := slices.Clone(w.events)
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	return events
}

func (d *Daemon) stream(ctx context.Context, since time.Time) client.EventsResult {
	return d.client.Events(ctx, client.EventsListOptions{
		Since:   fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()),
		Filters: make(client.Filters).Add("type", string(events.ContainerEventType)),
	})
}

func (w *Watch) follow(ctx context.Context, d *Daemon, s client.EventsResult, last time.Time) {
	for {
		select {
		case m := <-s.Messages:
			if at := time.Unix(0, m.TimeNano); at.After(last) { // events of different containers may come out of order
				last = at
			}
			w.note(d, m)
		case <-s.Err:
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
				s = d.stream(ctx, last)
			}
		}
	}
}

func (w *Watch) note(d *Daemon, m events.Message) {
	ours := slices.ContainsFunc(d.labels, func(label string) bool {
		key, value, _ := strings.Cut(label, "=")
		return m.Actor.Attributes[key] == value
	})
	if !ours {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := fmt.Sprint(m.TimeNano, m.Action, m.Actor.ID)
	if w.noted[key] {
		return
	}
	w.noted[key] = true
	w.events = append(w.events, Event{
		At: time.Unix(0, m.TimeNano), Action: string(m.Action), Container: m.Actor.ID, Labels: m.Actor.Attributes,
	})
}
