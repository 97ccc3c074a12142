package agent

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// wishes is what this host was told to run, as far as that is known: the tasks that were accepted, and what became of
// them at the last reading. It is a value; a reading makes the next one.
//
// Unknown is not empty (decisions 10). What judge calls unknown is not followed, whatever it is: neither does a task end
// that is not stored any more, nor one begin that nobody saw being deployed. What differs is the doubt. It shrinks by
// every change that names a task in it, and ends when the list that was accepted is back, when what is stored is what is
// followed, or when a person says which of the two is true.
type wishes struct {
	known      bool      // a list was read since the process began
	seen       *evidence // of the last reading; nil: none is remembered
	accepted   *anchor   // of the last reading that was accepted; nil: that is the last one
	lost       string    // why none is remembered though tasks were followed; "": they are an original agent's
	tasks      map[job.ID]job.Task
	undeployed map[job.ID]bool // were followed before the last reading, and are to end
	doubt      *host.Doubt     // nil: what is stored is followed
	readmitted bool            // the host was registered anew since the last reading: a list made anew is its new one
}

// read is what is wished after a reading of the task list by the agent with that id.
func (w wishes) read(agent string, r store.Tasks, now time.Time) wishes {
	if r.Missing {
		return w.miss(r, now)
	}
	verdicts, reason, from := w.judge(agent, r)
	if reason == madeAnew && w.readmitted { // what is in it was deployed since; what ran before stays in doubt
		for name := range r.Nodes {
			verdicts[name] = changed
		}
	}
	next := wishes{
		known: true, seen: evidenceOf(r), tasks: make(map[job.ID]job.Task), undeployed: make(map[job.ID]bool),
	}
	if next.seen.Notes = w.note().Count; from != nil {
		next.seen.Notes, next.seen.Line = from.Notes, from.Line
	}
	differences, named := make(map[string]host.Difference), make(map[string]bool)
	for name := range w.names(r) {
		id, err := job.ReadID(name)
		if err != nil {
			continue // no task of ours
		}
		before, followed := w.tasks[id]
		stored, readable := r.Tasks[id]
		_, there := r.Nodes[name]
		verdict := verdicts[name]
		agreed := followed && before.Goal == stored.Goal || verdict == changed || verdict == unchanged
		if verdict == undeployed || verdict == changed && readable {
			named[name] = true
		}
		switch {
		case readable && agreed:
			next.tasks[id] = stored
		case verdict == undeployed:
			if followed {
				next.undeployed[id] = true
			}
		case followed || readable:
			if followed {
				next.tasks[id] = before
			}
			differences[name] = host.Difference{Followed: before.Goal, Stored: stored.Goal, Unreadable: there && !readable}
		}
	}
	next.doubt = w.doubting(differences, cmp.Or(reason, reasonOf(differences)), r, now)
	next.accepted = w.accept(next, from, reason, named)
	return next
}

// judge is the judgement by what is remembered, and that of which the reading follows: the last reading, or else the last
// one that was accepted. The first reading of all is followed.
func (w wishes) judge(agent string, r store.Tasks) (verdicts map[string]judgement, reason string, from *evidence) {
	switch {
	case w.seen != nil:
		if verdicts, reason = judge(w.seen, agent, r); reason == "" {
			w.correct(verdicts, r)
			return verdicts, "", w.seen
		}
		if w.accepted != nil {
			if back, other := judge(&w.accepted.evidence, agent, r); other == "" {
				for name := range w.accepted.Named {
					back[name] = unknown
				}
				return back, "", &w.accepted.evidence
			}
		}
		return verdicts, reason, nil
	case w.lost != "" && len(w.tasks) > 0:
		return nil, w.lost, nil
	case int(r.Directory.Changes) < len(w.tasks):
		return nil, older, nil // each of the original's tasks had been put into its list once
	default:
		return judgeFirst(r), "", nil
	}
}

// correct adds what the last reading does not show: a task in doubt stays so until it is changed, and one that came and
// went meanwhile may have been undeployed.
func (w wishes) correct(verdicts map[string]judgement, r store.Tasks) {
	for name, verdict := range verdicts {
		if verdict == unchanged && w.doubts(name) {
			verdicts[name] = unknown
		}
	}
	if passing := w.passing(r); w.seen.unseen(r) >= 2*len(passing) {
		for _, name := range passing {
			if w.seen.undeployed(r.Departed[name]) {
				verdicts[name] = undeployed
			}
		}
	}
}

// passing are the tasks that are followed though they are neither in the last reading nor in this one, nor in doubt: an
// agent of the original followed them between two of ours. Each came and went by two changes of the list.
func (w wishes) passing(r store.Tasks) []string {
	var names []string
	for id := range w.tasks {
		name := id.String()
		_, before := w.seen.Nodes[name]
		_, now := r.Nodes[name]
		if !before && !now && !w.doubts(name) {
			names = append(names, name)
		}
	}
	return names
}

// miss is what is wished while there is no list.
func (w wishes) miss(r store.Tasks, now time.Time) wishes {
	next := w
	next.undeployed = nil
	differences := make(map[string]host.Difference)
	for id, task := range w.tasks {
		differences[id.String()] = host.Difference{Followed: task.Goal}
	}
	next.doubt = w.doubting(differences, missing, r, now)
	return next
}

// names are the names of all tasks that are followed, were seen, or are stored.
func (w wishes) names(r store.Tasks) map[string]bool {
	names := make(map[string]bool, len(r.Nodes))
	for id := range w.tasks {
		names[id.String()] = true
	}
	for name := range r.Nodes {
		names[name] = true
	}
	return names
}

// doubting is the doubt about the differences; nil where there are none.
func (w wishes) doubting(differences map[string]host.Difference, reason string, r store.Tasks, now time.Time) *host.Doubt {
	if len(differences) == 0 {
		return nil
	}
	d := &host.Doubt{Since: now.UnixMilli(), Reason: reason, Token: token(differences, r), Tasks: differences}
	if w.doubt != nil {
		d.Since = w.doubt.Since
		if reason == unproven || reason == notReadable { // what began the doubt says more
			d.Reason = w.doubt.Reason
		}
	}
	return d
}

// reasonOf is the reason of a doubt about tasks of a list that is the one known before.
func reasonOf(differences map[string]host.Difference) string {
	for _, d := range differences {
		if d.Unreadable {
			return notReadable
		}
	}
	return unproven
}

// token names a doubt: what is in doubt, and what is stored instead.
func token(differences map[string]host.Difference, r store.Tasks) string {
	sum := sha256.New()
	fmt.Fprintln(sum, r.Missing, r.Directory.Created, r.Directory.Time)
	for _, name := range slices.Sorted(maps.Keys(differences)) {
		fmt.Fprintf(sum, "%q %+v %+v\n", name, differences[name], r.Nodes[name])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// doubts reports whether a task is in doubt.
func (w wishes) doubts(name string) bool {
	if w.doubt == nil {
		return false
	}
	_, in := w.doubt.Tasks[name]
	return in
}

// follow is what is wished once a person said that what a reading shows is the truth: of the tasks in doubt, those that
// are stored are followed and the others end. One that cannot be read stays what it is.
func (w wishes) follow(r store.Tasks, now time.Time) wishes {
	next := w
	next.tasks, next.undeployed, next.accepted = maps.Clone(w.tasks), make(map[job.ID]bool), nil
	left := make(map[string]host.Difference)
	for name, difference := range w.doubt.Tasks {
		id, err := job.ReadID(name)
		if err != nil {
			continue
		}
		switch stored, readable := r.Tasks[id]; {
		case readable:
			next.tasks[id] = stored
		case difference.Unreadable:
			left[name] = difference
		default:
			delete(next.tasks, id)
			next.undeployed[id] = true
		}
	}
	next.doubt = w.doubting(left, notReadable, r, now)
	return next
}

// note is the last note that is known to be in the store.
func (w wishes) note() store.Noted {
	if w.seen == nil {
		return store.Noted{}
	}
	return store.Noted{Count: w.seen.Notes, Line: w.seen.Line}
}

// gains reports whether the next wishes follow a node that these do not know: one that was made since.
func (w wishes) gains(next wishes) bool {
	for id := range next.tasks {
		name := id.String()
		now, stored := next.seen.Nodes[name]
		if !stored {
			continue
		}
		if w.seen == nil || w.seen.Nodes[name].Created != now.Created || w.doubts(name) && !next.doubts(name) {
			return true
		}
	}
	return false
}

// inDoubt are the tasks that are followed and in doubt.
func (w wishes) inDoubt() map[job.ID]job.Task {
	tasks := make(map[job.ID]job.Task)
	for id, task := range w.tasks {
		if w.doubts(id.String()) {
			tasks[id] = task
		}
	}
	return tasks
}
