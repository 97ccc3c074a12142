package zkserver

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	batchRequests = 1000                 // requests of one batch at most
	batchBytes    = 4 << 20              // request bytes after which a batch is closed
	gatherPause   = 2 * time.Millisecond // the longest that a batch waits for more; nor longer than the log took last
	queueRequests = 4 * batchRequests    // that wait, at most, and one for each connection
	queueBytes    = 2 * batchBytes       // of those
)

// request is what goes through the pipeline: everything that changes the tree or must keep its place among changes.
type request struct {
	caller
	kind   int32 // opMulti, opOpenSession, opCloseSession, opSync, or the kind of the single operation
	ops    []op
	open   session          // for opOpenSession
	size   int              // bytes of the frame
	quiet  bool             // the pipeline is told of it later, by wake
	begun  time.Time        // when it was handed over
	zxid   int64            // of the answer
	answer code             // filled in by the pipeline; one that it has already is a refusal
	body   []byte           // filled in by the pipeline
	done   func(r *request) // called once, with the tree locked, in the order of the requests; must not block
	out    *outbox          // what done queues the answer in, if any; flushed when the tree is free
}

// pipeline takes requests in their order, prepares a batch of them against a view, has the log make it durable, applies
// it and answers. It is the only writer of the tree, and only durable changes are ever visible.
type pipeline struct {
	mu      sync.RWMutex // guards the tree and latency: the pipeline writes, connections read
	tree    *tree
	latency latency
	journal *journal // nil: memory only
	watches *watches
	arrived chan struct{} // there is enough in the queue
	sending sync.Mutex    // held while the answers of a batch are sent

	queueMu sync.Mutex // guards the fields below
	room    *sync.Cond // there is, or an end
	queue   []*request
	queued  int  // bytes of the requests in it
	enough  int  // requests that are worth waking the pipeline for
	ended   bool // requests are not taken any more

	lengths [2]int        // of the last two batches
	took    time.Duration // by the log for the last one

	log          zerolog.Logger
	refusing     atomic.Value   // refusal: of the last write to the log
	background   sync.WaitGroup // the snapshot being written
	snapshotting atomic.Bool
	snapshotSize atomic.Int64 // bytes of the last one
	snapshotLog  int64        // bytes of log that make a snapshot worth while
}

func newPipeline(t *tree, j *journal, log zerolog.Logger) *pipeline {
	p := &pipeline{
		tree: t, journal: j, log: log, watches: newWatches(),
		arrived: make(chan struct{}, 1), enough: 1, snapshotLog: snapshotLog,
	}
	p.room = sync.NewCond(&p.queueMu)
	return p
}

// submit hands a request over; a quiet one does not wait for room. It is false when the server is ending; done is not
// called then.
func (p *pipeline) submit(r *request) bool {
	r.begun = time.Now()
	p.queueMu.Lock()
	defer p.queueMu.Unlock()
	for !p.ended && !r.quiet && !p.roomy() {
		p.notify()
		p.room.Wait()
	}
	if p.ended {
		return false
	}
	p.queue, p.queued = append(p.queue, r), p.queued+r.size
	if !r.quiet {
		p.notify()
	}
	return true
}

func (p *pipeline) roomy() bool { return len(p.queue) < queueRequests && p.queued < queueBytes }

// hasRoom tells whether submit would not wait for it.
func (p *pipeline) hasRoom() bool {
	p.queueMu.Lock()
	defer p.queueMu.Unlock()
	return p.roomy()
}

// answered waits while a batch is being answered, which takes no waiting for clients.
func (p *pipeline) answered() {
	p.sending.Lock()
	defer p.sending.Unlock()
}

// wake tells of requests that were submitted quietly.
func (p *pipeline) wake() {
	p.queueMu.Lock()
	defer p.queueMu.Unlock()
	p.notify()
}

// notify wakes the pipeline if it is worth while; queueMu is held.
func (p *pipeline) notify() {
	if len(p.queue) < p.enough {
		return
	}
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

// outstanding is how many requests wait.
func (p *pipeline) outstanding() int {
	p.queueMu.Lock()
	defer p.queueMu.Unlock()
	return len(p.queue)
}

// run works until ctx ends.
func (p *pipeline) run(ctx context.Context) {
	defer p.background.Wait()
	defer p.end()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.arrived:
		}
		if batch := p.gather(); len(batch) > 0 {
			p.lengths = [2]int{p.lengths[1], len(batch)}
			p.commit(batch)
			p.tidy(ctx)
		}
	}
}

func (p *pipeline) end() {
	p.queueMu.Lock()
	p.ended = true
	p.queueMu.Unlock()
	p.room.Broadcast()
}

// gather takes a batch of what is waiting. Where the batches before were larger, it waits a little for more: many clients
// whose writes were answered together are about to write again together. One that writes alone never waits.
func (p *pipeline) gather() (batch []*request) {
	p.queueMu.Lock()
	defer p.queueMu.Unlock()
	p.enough = max(p.lengths[0], p.lengths[1], 1)
	if len(p.queue) > 0 && len(p.queue) < p.enough {
		late := time.NewTimer(min(p.took, gatherPause))
		defer late.Stop()
		for waiting := true; waiting && len(p.queue) < p.enough; {
			p.queueMu.Unlock()
			select {
			case <-p.arrived:
			case <-late.C:
				waiting = false
			}
			p.queueMu.Lock()
		}
	}
	p.enough = 1
	n, size := 0, 0
	for n < len(p.queue) && n < batchRequests && size < batchBytes {
		size += p.queue[n].size
		n++
	}
	batch = slices.Clone(p.queue[:n])
	p.queue = slices.Delete(p.queue, 0, n)
	p.queued -= size
	p.notify()
	p.room.Broadcast()
	return batch
}

func (p *pipeline) commit(batch []*request) {
	view := newView(p.tree, time.Now().UnixMilli())
	txns := make([]txn, 0, len(batch))
	made := make([]int, len(batch)) // transactions of each request
	for i, r := range batch {
		if effects, ok := view.prepare(r); ok {
			for _, part := range parts(effects) {
				txns = append(txns, view.commit(part))
				made[i]++
			}
		}
		r.zxid = view.zxid
	}
	var failed error
	if p.journal != nil && len(txns) > 0 {
		start := time.Now()
		failed = p.journal.append(txns)
		p.took = time.Since(start)
		switch {
		case failed != nil && p.refusal() == nil:
			p.log.Error().Err(failed).Msg("the log cannot be written, changes are refused")
		case failed == nil && p.refusal() != nil:
			p.log.Info().Msg("the log can be written again")
		}
		p.refusing.Store(refusal{failed})
	}

	refusal := codeSystem
	if errors.Is(failed, errLost) {
		refusal = codeConnectionLoss
	}

	p.finish(batch, made, txns, failed, refusal)
	p.sending.Lock()
	defer p.sending.Unlock()
	for _, r := range batch {
		if r.out != nil {
			r.out.flush()
		}
	}
}

// refusal is why the disk did not take the last write to the log; nil if it did, or there was none.
type refusal struct{ err error }

func (p *pipeline) refusal() error {
	last, _ := p.refusing.Load().(refusal)
	return last.err
}

// finish applies what is durable, tells the events and gives each request its answer.
func (p *pipeline) finish(batch []*request, made []int, txns []txn, failed error, refusal code) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for i, r := range batch {
		p.latency.add(now.Sub(r.begun))
		if failed != nil {
			r.zxid, r.answer, r.body = p.tree.zxid, refusal, nil
			made[i] = 0
		}
		for range made[i] {
			for _, e := range p.tree.apply(txns[0]) {
				p.watches.fire(e)
			}
			txns = txns[1:]
		}
		r.done(r)
	}
}

// tidy begins a new segment of the log, and a snapshot, when the log has grown enough. The snapshot is written beside
// the pipeline.
func (p *pipeline) tidy(ctx context.Context) {
	j := p.journal
	if j == nil || j.broken != nil || p.snapshotting.Load() || j.logged < min(max(p.snapshotLog, p.snapshotSize.Load()), segmentLimit) {
		return
	}
	j.logged = 0 // also after a failure: the next try comes with more log
	if err := j.rotate(); err != nil {
		p.log.Warn().Err(err).Msg("snapshot put off")
		return
	}
	begin := p.tree.zxid
	p.snapshotting.Store(true)
	p.background.Go(func() {
		defer p.snapshotting.Store(false)
		start := time.Now()
		err := j.disk.writeFile(j.dir, snapshotName(begin), func(out io.Writer) error {
			size, err := p.writeSnapshot(ctx, begin, out)
			if err == nil {
				p.snapshotSize.Store(size)
			}
			return err
		})
		if err == nil {
			err = j.prune()
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			p.log.Warn().Err(err).Msg("write snapshot")
		default:
			p.log.Debug().Int64("bytes", p.snapshotSize.Load()).Dur("took", time.Since(start)).Msg("snapshot written")
		}
	})
}

// prepare turns a request into the effects of a transaction and fills in its answer. ok is false when there is nothing
// to commit.
func (v *view) prepare(r *request) (effects []effect, ok bool) {
	if r.answer != codeOK {
		return nil, false
	}
	if r.kind != opOpenSession && !v.alive(r.caller) {
		r.answer = codeSessionExpired
		return nil, false
	}
	switch r.kind {
	case opSync:
		r.body = appendBuffer(nil, r.ops[0].data)
		return nil, false
	case opOpenSession:
		return []effect{{kind: effectOpenSession, owner: r.session, count: int32(r.open.timeout), password: r.open.password}}, true
	case opCloseSession:
		return v.closeSession(r.session), true
	case opMulti:
		effects, r.body, ok = v.multi(r.ops, r.caller)
		return effects, ok
	}
	effects, r.body, r.answer = v.change(r.ops[0], r.caller)
	return effects, r.answer == codeOK
}
