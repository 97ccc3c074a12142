package agent

import (
	"maps"
	"slices"

	"github.com/helios-go/helios/store"
)

// evidence is what is remembered of one reading of the task list, beside the tasks, to judge a later one by. It is a value.
type evidence struct {
	Directory store.Mark
	Latest    int64                     // zxid of the last entry made or deleted
	Nodes     map[string]store.NodeMark // by name
	Notes     int64                     // count of this agent's last note that is known to be in the store
	Line      int64                     // of that note; 0: the list does not follow from the one before
}

func evidenceOf(r store.Tasks) *evidence {
	return &evidence{Directory: r.Directory, Latest: r.Latest, Nodes: r.Nodes}
}

// anchor is the last reading that was accepted, kept while the store shows a list that does not follow from it, so that
// the accepted list is known again when it is back. The zero anchor is that of an agent that never accepted a list.
type anchor struct {
	evidence
	Named map[string]bool // tasks that somebody named in other lists since: it says nothing about them any more
}

// accepted is the anchor after a reading that follows from one, or from none, and after which the wishes are next. named
// are the tasks of which a change was followed.
//
// A list that follows from the accepted one is accepted, unless it differs from what was followed elsewhere meanwhile.
// Another list is, once a change in it was followed, and nothing is in doubt: that it is the same by chance says nothing.
func (w wishes) accept(next wishes, from *evidence, reason string, named map[string]bool) *anchor {
	if w.accepted == nil && reason == "" {
		return nil
	}
	a := anchor{Named: named}
	switch {
	case w.accepted != nil:
		a.evidence = w.accepted.evidence
		maps.Copy(a.Named, w.accepted.Named)
	case w.seen != nil:
		a.evidence = *w.seen
	}
	back := w.accepted != nil && from == &w.accepted.evidence
	switch {
	case back && !slices.ContainsFunc(slices.Collect(maps.Keys(w.accepted.Named)), next.doubts):
		return nil
	case next.doubt == nil && (len(a.Named) > 0 || a.Directory == store.Mark{}):
		return nil
	}
	return &a
}

// same reports whether a list is exactly as it was: whatever became of the store meanwhile, this did not change.
func (e *evidence) same(r store.Tasks) bool {
	return e.Directory == r.Directory && e.Latest == r.Latest && maps.Equal(e.Nodes, r.Nodes)
}

// judgement is what a reading says of one task beside what is remembered.
type judgement int

const (
	unknown    judgement = iota // nothing: what is remembered holds on
	unchanged                   // its node is as it was
	changed                     // somebody deployed it, deployed it anew, or gave it a goal since
	undeployed                  // somebody undeployed it since
)

// The reasons why a reading does not follow from what is remembered.
const (
	madeAnew    = "the task list was made anew"
	older       = "the task list is older than the one known before"
	another     = "the task list cannot have become of the one known before"
	noteOlder   = "the store is older than this agent's last note in it"
	unproven    = "tasks are gone, but not by an undeployment"
	notReadable = "tasks cannot be read"
	missing     = "there is no task list"
	forgotten   = "what this agent remembered of the task list is lost"
	newer       = "what this agent remembered of the task list was written by a newer version of Helios"
)

// judge says what a reading means for each task that it or what is remembered names. For a reading that does not follow
// from what is remembered, reason says why, and every task is unknown.
//
// It is total, and errs on one side only: undeployed is said of nothing but the node that is gone from the very list that
// had it, by a transaction later than the one remembered that took the host off the job's list, too.
func judge(known *evidence, agent string, r store.Tasks) (verdicts map[string]judgement, reason string) {
	verdicts = make(map[string]judgement, len(r.Nodes))
	for name := range known.Nodes {
		verdicts[name] = unknown
	}
	for name := range r.Nodes {
		verdicts[name] = unknown
	}
	if reason = known.breaks(agent, r); reason != "" {
		return verdicts, reason
	}
	for name := range verdicts {
		before, had := known.Nodes[name]
		switch now, has := r.Nodes[name]; {
		case has && had && now == before:
			verdicts[name] = unchanged
		case has:
			verdicts[name] = changed
		case known.undeployed(r.Departed[name]):
			verdicts[name] = undeployed
		}
	}
	if !known.explained(r, verdicts) {
		for name, verdict := range verdicts {
			if verdict == undeployed {
				verdicts[name] = unknown
			}
		}
	}
	return verdicts, ""
}

// judgeFirst is judge for the first reading of all: what is stored is taken for what is wished, and of what an agent of the
// original left in its files, what no job lists this host for any more was undeployed.
func judgeFirst(r store.Tasks) map[string]judgement {
	verdicts := make(map[string]judgement, len(r.Nodes))
	for name := range r.Nodes {
		verdicts[name] = changed
	}
	for name, d := range r.Departed {
		if new(evidence).undeployed(d) {
			verdicts[name] = undeployed
		}
	}
	return verdicts
}

// breaks tells why a reading is not one of the same list, then or later; "" if it is.
func (e *evidence) breaks(agent string, r store.Tasks) string {
	if e.same(r) {
		return ""
	}
	made, gone := e.difference(r)
	switch changes := int(r.Directory.Changes - e.Directory.Changes); {
	case r.Directory.Created != e.Directory.Created || r.Directory.Time != e.Directory.Time:
		return madeAnew
	case changes < 0 || r.Latest < e.Latest:
		return older
	case (changes == 0) != (r.Latest == e.Latest), made+gone > changes:
		return another
	}
	for name, now := range r.Nodes {
		before, had := e.Nodes[name]
		switch {
		case !had || now.Created != before.Created: // made since: later than all that was there
			if now.Created <= e.Latest {
				return another
			}
		case now.Version < before.Version || now.Changed < before.Changed:
			return older
		case (now.Version == before.Version) != (now.Changed == before.Changed), now.Changed == before.Changed && now != before:
			return another
		}
	}
	if e.Notes > 0 && (r.Noted.Agent != agent || r.Noted.Count < e.Notes || r.Noted.Line != e.Line) {
		return noteOlder
	}
	return ""
}

// difference is how many entries must have been made and deleted between two readings, at least.
func (e *evidence) difference(r store.Tasks) (made, gone int) {
	for name, now := range r.Nodes {
		before, had := e.Nodes[name]
		if !had || before.Created != now.Created {
			made++
		}
		if had && before.Created != now.Created {
			gone++
		}
	}
	for name := range e.Nodes {
		if _, stays := r.Nodes[name]; !stays {
			gone++
		}
	}
	return made, gone
}

// unseen is how many changes there were between two readings beside those that the second one shows.
func (e *evidence) unseen(r store.Tasks) int {
	made, gone := e.difference(r)
	return int(r.Directory.Changes-e.Directory.Changes) - made - gone
}

// undeployed reports whether a master took the host off the job's list since.
func (e *evidence) undeployed(d store.Departure) bool {
	return !d.Listed && max(d.Changed, d.Removed) > e.Latest
}

// explained reports whether the last change of the list is one that a reading shows: an entry made, or one that a master
// took away. Nodes that are deleted one by one, like those of a tree that is being wiped, leave another picture: the last
// deletion in the list belongs to no transaction on a job. More changes than entries that came and went leave it open.
func (e *evidence) explained(r store.Tasks, verdicts map[string]judgement) bool {
	if e.unseen(r) > 0 {
		return true
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(r.Nodes)), func(n store.NodeMark) bool { return n.Created == r.Latest }) {
		return true
	}
	for name, verdict := range verdicts {
		if d := r.Departed[name]; verdict == undeployed && max(d.Changed, d.Removed) >= r.Latest {
			return true
		}
	}
	return false
}
