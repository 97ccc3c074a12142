package agent

import (
	"maps"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/job"
)

// wishes is what this host was told to run, as far as that is known: the tasks of the last reading of its task
// directory, and what became of those before. It is a value; a reading makes the next one.
//
// Unknown is not empty (decisions 10). Only that a task is gone from the very directory that had it means undeploy. A
// directory that was made anew or restored says nothing about what it does not have, and nothing by a goal that it had
// when it was first seen: what runs goes on running until a change names it.
type wishes struct {
	known      bool        // a directory was read, now or before the last start
	mark       *store.Mark // of that directory; nil while only the files of an agent that kept no mark tell of it
	tasks      map[job.ID]job.Task
	undeployed map[job.ID]bool     // were there at the reading before, and were taken away
	doubted    map[job.ID]job.Goal // goals found in a directory that was not the one before, and not followed
	unreadable map[string]bool     // names of nodes that could not be understood
}

// read is what is wished after a reading of the task directory.
func (w wishes) read(r store.Tasks) wishes {
	next := wishes{
		known: true, mark: &r.Directory,
		tasks: make(map[job.ID]job.Task), undeployed: make(map[job.ID]bool), doubted: make(map[job.ID]job.Goal),
		unreadable: make(map[string]bool),
	}
	continued := w.continuedBy(r)
	for id, task := range r.Tasks {
		before, remembered := w.tasks[id]
		doubt := remembered && before.Goal == job.Start && task.Goal != job.Start
		if doubt && (!continued || w.doubted[id] == task.Goal) {
			next.doubted[id] = task.Goal
			task.Goal = before.Goal
		}
		next.tasks[id] = task
	}
	for name := range r.Unreadable {
		next.unreadable[name] = true
		id, err := job.ReadID(name)
		if before, remembered := w.tasks[id]; remembered && err == nil {
			next.tasks[id] = before
		}
	}
	for id := range w.tasks {
		if _, stays := next.tasks[id]; !stays && continued {
			next.undeployed[id] = true
		}
	}
	return next
}

// continuedBy tells whether a reading is of the directory known before, then or later.
func (w wishes) continuedBy(r store.Tasks) bool {
	if w.mark == nil {
		// An agent that kept no mark (the original) had each of its tasks put into the directory once: one with fewer
		// changes cannot be its.
		return int(r.Directory.Changes) >= len(w.tasks)
	}
	if !r.Directory.Continues(*w.mark) {
		return false
	}
	// Each change makes or deletes one entry. A directory that was restored, and changed again since, often shows more
	// difference than it had changes.
	return w.difference(r) <= int(r.Directory.Changes-w.mark.Changes)
}

// difference is how many entries are only in one of the two readings.
func (w wishes) difference(r store.Tasks) int {
	before, now := maps.Clone(w.unreadable), make(map[string]bool)
	if before == nil {
		before = make(map[string]bool)
	}
	for id := range w.tasks {
		before[id.String()] = true
	}
	for id := range r.Tasks {
		now[id.String()] = true
	}
	for name := range r.Unreadable {
		now[name] = true
	}
	n := 0
	for name := range before {
		if !now[name] {
			n++
		}
	}
	for name := range now {
		if !before[name] {
			n++
		}
	}
	return n
}
