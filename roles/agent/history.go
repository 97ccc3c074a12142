package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// Limits of the queue of history events (zookeeper §10.4).
const (
	historyPerJob = 30
	historyTotal  = 600
	historyRetry  = time.Second
)

// history is the queue of statuses on their way into the history of their jobs. Losing one never disturbs a task.
type history struct {
	dir  *stateDir
	host string
	file *saver
	log  zerolog.Logger

	stored []byte // what the file was last given; belongs to save

	mu     sync.Mutex // guards queues and newest
	queues map[job.ID][]job.TaskStatusEvent
	newest map[job.ID]int64 // the last timestamp given out

	writing sync.WaitGroup // what drain does not wait for
	bell    chan struct{}  // rings when there is something to write
}

func openHistory(dir *stateDir, host string, log zerolog.Logger) (*history, error) {
	h := &history{
		dir: dir, host: host, log: log,
		queues: make(map[job.ID][]job.TaskStatusEvent), newest: make(map[job.ID]int64), bell: make(chan struct{}, 1),
	}
	h.file = newSaver(h.save)
	return h, dir.read(historyFile, h.parse)
}

// eventQueues describes task-history.json (zookeeper §11).
func eventQueues(p *map[job.ID][]*job.TaskStatusEvent) document.Value {
	event := func(p **job.TaskStatusEvent) document.Value { return document.Optional(p, (*job.TaskStatusEvent).JSON) }
	queue := func(p *[]*job.TaskStatusEvent) document.Value { return document.List(p, event) }
	return document.Map(p, job.IDKeys, queue)
}

func (h *history) parse(data []byte) error {
	var stored map[job.ID][]*job.TaskStatusEvent
	if err := document.Read(data, eventQueues(&stored)); err != nil {
		return err
	}
	for id, events := range stored {
		for _, event := range events {
			if event != nil && event.Status != nil {
				h.queues[id] = append(h.queues[id], *event)
				h.newest[id] = max(h.newest[id], event.Timestamp)
			}
		}
	}
	ring(h.bell)
	return nil
}

// save writes the file.
func (h *history) save() error {
	h.mu.Lock()
	stored := make(map[job.ID][]*job.TaskStatusEvent, len(h.queues))
	for id, events := range h.queues { // none of an event changes
		for i := range events {
			stored[id] = append(stored[id], &events[i])
		}
	}
	h.mu.Unlock()
	data := pretty(eventQueues(&stored))
	if bytes.Equal(data, h.stored) {
		return nil
	}
	h.stored = nil
	if err := h.dir.write(historyFile, data); err != nil {
		return err
	}
	h.stored = data
	return nil
}

// keep has the file follow what is queued.
func (h *history) keep() { h.kept(h.file.save()) }

func (h *history) kept(err error) {
	if err != nil {
		h.log.Warn().Err(err).Msg("history events are only in memory")
	}
}

// add queues a status with the time now, or the next free millisecond of its job (agent Q36). keep has it on disk.
func (h *history) add(status job.TaskStatus, now time.Time) {
	defer ring(h.bell)
	h.mu.Lock()
	defer h.mu.Unlock()
	id := status.Job.ID
	at := max(now.UnixMilli(), h.newest[id]+1)
	h.newest[id] = at
	for h.total() >= historyTotal {
		h.drop(h.oldest())
	}
	for len(h.queues[id]) >= historyPerJob {
		h.drop(id)
	}
	h.queues[id] = append(h.queues[id], job.TaskStatusEvent{Status: &status, Timestamp: at, Host: &h.host})
}

func (h *history) total() int {
	n := 0
	for _, queue := range h.queues {
		n += len(queue)
	}
	return n
}

// oldest is the job whose first event is the oldest of all.
func (h *history) oldest() job.ID {
	return slices.MinFunc(slices.Collect(maps.Keys(h.queues)), func(a, b job.ID) int {
		return cmp.Or(cmp.Compare(h.queues[a][0].Timestamp, h.queues[b][0].Timestamp), a.Compare(b))
	})
}

// drop removes the first event of a queue. Empty queues are not kept.
func (h *history) drop(id job.ID) {
	h.queues[id] = h.queues[id][1:]
	if len(h.queues[id]) == 0 {
		delete(h.queues, id)
	}
}

// head is the queue with the oldest event of all; none, when there is none.
func (h *history) head() (job.ID, []job.TaskStatusEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queues) == 0 {
		return job.ID{}, nil
	}
	id := h.oldest()
	return id, h.queues[id]
}

// written takes the events up to one that was stored off their queue.
func (h *history) written(id job.ID, last job.TaskStatusEvent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.queues[id]) > 0 && h.queues[id][0].Timestamp <= last.Timestamp {
		h.drop(id)
	}
	if len(h.queues[id]) == 0 && h.newest[id] < time.Now().UnixMilli() {
		delete(h.newest, id)
	}
}

// appendFunc writes events of one job, and returns how many; the error is of the one after them.
type appendFunc func(context.Context, job.ID, []job.TaskStatusEvent) (int, error)

// run hands the events to write, oldest first and those of one job together, until ctx ends. What fails is tried again a
// second later. Nothing waits for more to come: a job may be removed next, and its history with it.
func (h *history) run(ctx context.Context, write appendFunc) error {
	defer h.writing.Wait()
	var reminder store.Reminder
	for {
		err := h.drain(ctx, write)
		if err == nil {
			reminder.Reset()
		} else {
			if ctx.Err() == nil && reminder.Due(time.Now()) {
				h.log.Warn().Err(err).Msg("history cannot be written: its events wait")
			}
			ring(h.bell)
			if !sleep(ctx, historyRetry) {
				return context.Cause(ctx)
			}
		}
		select {
		case <-h.bell:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// drain writes what is queued. The file follows a little later: an event written twice is found to be there already.
func (h *history) drain(ctx context.Context, write appendFunc) error {
	wrote := false
	defer func() {
		if wrote {
			h.writing.Go(func() { h.kept(h.file.soon()) })
		}
	}()
	for {
		id, events := h.head()
		if len(events) == 0 {
			return nil
		}
		n, err := write(ctx, id, events)
		if errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrName) {
			h.log.Error().Err(err).Msg("a history event can never be written: dropped")
			n, err = n+1, nil
		}
		if n > 0 {
			h.written(id, events[n-1])
			wrote = true
		}
		if err != nil {
			return err
		}
	}
}
