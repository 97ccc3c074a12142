package agent

import (
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
}

// read is what is wished after a reading of the task directory.
func (w wishes) read(r store.Tasks) wishes {
	next := wishes{
		known: true, mark: &r.Directory,
		tasks: make(map[job.ID]job.Task), undeployed: make(map[job.ID]bool), doubted: make(map[job.ID]job.Goal),
	}
	continued := r.Directory.Continues(w.markBefore(r.Directory))
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

// markBefore is the mark of the reading before. An agent that kept none (the original) had each of its tasks put into
// the directory once: one with fewer changes cannot be its.
func (w wishes) markBefore(now store.Mark) store.Mark {
	if w.mark != nil {
		return *w.mark
	}
	return store.Mark{Created: now.Created, Changes: int32(len(w.tasks))}
}
