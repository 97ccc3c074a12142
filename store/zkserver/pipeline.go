package zkserver

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	batchRequests = 1000                 // requests of one batch at most
	batchBytes    = 4 << 20              // request bytes after which a batch is closed
	gatherPause   = 2 * time.Millisecond // the longest that a batch waits for more; nor longer than the log took last
	queueLength   = 64                   // and one for each connection that waits
)

// request is what goes through the pipeline: everything that changes the tree or must keep its place among changes.
type request struct {
	caller
	kind   int32 // opMulti, opOpenSession, opCloseSession, opSync, or the kind of the single operation
	ops    []op
	open   session          // for opOpenSession
	size   int              // bytes of the frame
	begun  time.Time        // when it was handed over
	zxid   int64            // of the answer
	answer code             // filled in by the pipeline
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
	queue   chan *request
	stopped chan struct{} // closed when requests are not taken any more

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
	return &pipeline{
		tree: t, journal: j, log: log, watches: newWatches(),
		queue: make(chan *request, queueLength), stopped: make(chan struct{}), snapshotLog: snapshotLog,
	}
}

// submit hands a request over. It is false when the server is ending; done is not called then.
func (p *pipeline) submit(r *request) bool {
	r.begun = time.Now()
	select {
	case p.queue <- r:
		return true
	case <-p.stopped:
		return false
	}
}

// run works until ctx ends.
func (p *pipeline) run(ctx context.Context) {
	defer p.background.Wait()
	defer close(p.stopped)
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-p.queue:
			batch := p.fill(first)
			p.lengths = [2]int{p.lengths[1], len(batch)}
			p.commit(batch)
			p.tidy(ctx)
		}
	}
}

// fill adds to a batch what is waiting already. Where the batches before were larger, it waits a little for more: many
// clients whose writes were answered together are about to write again together. One that writes alone never waits.
func (p *pipeline) fill(first *request) []*request {
	batch, size := []*request{first}, first.size
	expected := max(p.lengths[0], p.lengths[1])
	late := time.NewTimer(min(p.took, gatherPause))
	defer late.Stop()
	for len(batch) < batchRequests && size < batchBytes {
		var r *request
		select {
		case r = <-p.queue:
		default:
			if len(batch) >= expected {
				return batch
			}
			select {
			case r = <-p.queue:
			case <-late.C:
				return batch
			}
		}
		batch = append(batch, r)
		size += r.size
	}
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
