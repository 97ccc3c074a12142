package store

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// TestHistoryIsWholeAndInOrderForEveryMaster lets an agent write events, often several of one millisecond, and some twice
// since it was killed before it had noted that they were written; meanwhile two masters read (zookeeper §10.4, Q7).
func TestHistoryIsWholeAndInOrderForEveryMaster(t *testing.T) {
	schedules(t, func(p *play) {
		p.watcher = p.connect(p.dial().dial)
		j := sample("web")
		must(t, p.watcher.CreateJob(p.t.Context(), j))
		before, newest := p.random.IntN(maxEvents+1), int64(1000)
		write := &operation{kind: remembers, job: j, host: "h1", at: newest}
		agent := &actor{name: "agent", agent: true}
		agent.store, agent.gate = p.open()
		for event := range before + 3 + p.random.IntN(5) {
			if p.random.IntN(2) == 0 {
				newest += p.random.Int64N(2)
			}
			write := *write
			write.event, write.at = event, newest
			if event < before {
				(&actor{store: p.watcher}).perform(p.t.Context(), &write, nil)
				must(t, write.answer)
				continue
			}
			for range 1 + p.random.IntN(2) {
				again := write
				agent.to = append(agent.to, &again)
			}
		}
		p.act(agent)
		for i := range 2 {
			master := &actor{name: fmt.Sprint("master ", i)}
			master.store, master.gate = p.open()
			for range 1 + p.random.IntN(3) {
				master.to = append(master.to, &operation{kind: recalls, job: j})
			}
			p.act(master)
		}
		synctest.Wait()
		for p.advance() {
		}
		all := p.over()
		last := &operation{kind: recalls, job: j, begin: p.step, end: p.step}
		(&actor{store: p.watcher}).perform(p.t.Context(), last, nil)
		for _, o := range append(all, last) {
			if o.kind == recalls && o.answer == nil {
				p.recalled(o, all, before)
			}
		}
	})
}

// recalled judges one reading: every event that was written before it is there once, in order, unless thirty newer ones
// may have been.
func (p *play) recalled(o *operation, all []*operation, before int) {
	p.t.Helper()
	var got []int
	for _, e := range o.history {
		var event int
		fmt.Sscan(*e.Status.ContainerID, &event)
		got = append(got, event)
	}
	written, begun := make(map[int]bool), before // events surely are, and so many may be
	for event := range before {
		written[event] = true
	}
	for _, w := range all {
		if w.kind != remembers {
			continue
		}
		if w.answer == nil && w.end < o.begin {
			written[w.event] = true
		}
		if w.begin < o.end {
			begun = max(begun, w.event+1)
		}
	}
	p.say("%d–%d: %v of %d to %d", o.begin, o.end, got, len(written), begun)
	for i, event := range got {
		if i > 0 && (event <= got[i-1] || o.history[i].Timestamp <= o.history[i-1].Timestamp) {
			p.t.Errorf("%v are not in order, each once", got)
			break
		}
	}
	for event := range written {
		if event >= begun-maxEvents && !slices.Contains(got, event) {
			p.t.Errorf("%d is missing from %v", event, got)
		}
	}
}
