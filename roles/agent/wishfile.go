package agent

import (
	"bytes"
	"errors"
	"maps"
	"path"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// wishesFile is our own beside the original's task-config.json: how the task list looked when those tasks were accepted
// (decisions 10).
const wishesFile = "wishes.json"

// wishesVersion is the form of that file that this version writes and understands.
const wishesVersion = 1

// wishFile keeps wishes on disk: the tasks in the original's file, and what is ours in our own.
type wishFile struct {
	dir     *stateDir
	host    string
	tasks   map[job.ID]job.Task // as the original's file has them
	written []byte              // as our own has it
}

// tasksJSON describes task-config.json: the path of a task's node → Task (zookeeper §11).
func tasksJSON(p *map[string]job.Task) document.Value {
	return document.Map(p, document.TextKeys, (*job.Task).JSON)
}

func nodeMarkJSON(m *store.NodeMark) document.Value {
	return document.Object(
		document.Member{Name: "created", Value: document.Long(&m.Created), Required: true},
		document.Member{Name: "changed", Value: document.Long(&m.Changed), Required: true},
		document.Member{Name: "version", Value: document.Int(&m.Version), Required: true},
		document.Member{Name: "time", Value: document.Long(&m.Time)},
	)
}

// members describe an evidence.
func (e *evidence) members() []document.Member {
	return []document.Member{
		{Name: "directory", Value: markJSON(&e.Directory), Required: true},
		{Name: "latest", Value: document.Long(&e.Latest), Required: true},
		{Name: "nodes", Value: document.Map(&e.Nodes, document.TextKeys, nodeMarkJSON)},
		{Name: "notes", Value: document.Long(&e.Notes)},
		{Name: "line", Value: document.Long(&e.Line)},
	}
}

// JSON describes an anchor.
func (a *anchor) JSON() document.Value {
	named := document.Member{Name: "named", Value: document.Map(&a.Named, document.TextKeys, document.Bool)}
	return document.Object(append(a.members(), named)...)
}

// recollection is the content of our own file.
type recollection struct {
	seen     evidence
	accepted *anchor
	doubt    *host.Doubt
}

// JSON describes the file.
func (r *recollection) JSON() document.Value {
	members := append([]document.Member{document.Version(wishesVersion)}, r.seen.members()...)
	return document.Object(append(members,
		document.Member{Name: "accepted", Value: document.Optional(&r.accepted, (*anchor).JSON)},
		document.Member{Name: "doubt", Value: document.Optional(&r.doubt, (*host.Doubt).JSON)},
	)...)
}

// openWishes reads what was wished at the last reading. Executions are wishes, too, should the tasks be lost. registered
// says that an agent of ours has followed this host's tasks before.
func openWishes(dir *stateDir, hostName string, executions map[job.ID]execution, registered bool) (wishes, *wishFile, error) {
	file := &wishFile{dir: dir, host: hostName, tasks: make(map[job.ID]job.Task)}
	w := wishes{}
	if registered {
		w.lost = forgotten
	}
	err := errors.Join(
		dir.read(tasksFile, file.readTasks),
		dir.read(wishesFile, func(data []byte) error {
			var r recollection
			err := document.ReadVersioned(data, wishesVersion, r.JSON())
			if err != nil {
				w.lost = forgotten
				if _, ok := errors.AsType[*document.NewerError](err); ok {
					w.lost = newer
				}
				return err
			}
			w.seen, w.accepted, w.doubt = &r.seen, r.accepted, r.doubt
			file.written = data
			return nil
		}),
	)
	w.tasks = maps.Clone(file.tasks)
	for id, e := range executions {
		if _, followed := w.tasks[id]; !followed && e.Goal != job.Undeploy {
			w.tasks[id] = job.Task{Job: e.Job, Goal: e.Goal}
		}
	}
	return w, file, err
}

// readTasks reads task-config.json.
func (f *wishFile) readTasks(data []byte) error {
	var stored map[string]job.Task
	if err := document.Read(data, tasksJSON(&stored)); err != nil {
		return err
	}
	tasks := make(map[job.ID]job.Task, len(stored))
	for node, task := range stored {
		id, err := job.ReadID(path.Base(node))
		if err != nil {
			return err
		}
		tasks[id] = task
	}
	f.tasks = tasks
	return nil
}

// save makes wishes durable, as far as they changed. Before a reading there is nothing of our own to be kept.
func (f *wishFile) save(w wishes) error {
	same := func(a, b job.Task) bool { return a.Goal == b.Goal && a.Job.ID == b.Job.ID }
	if !maps.EqualFunc(f.tasks, w.tasks, same) {
		if err := f.saveTasks(w.tasks); err != nil {
			return err
		}
	}
	if w.seen == nil {
		return nil
	}
	data := pretty((&recollection{seen: *w.seen, accepted: w.accepted, doubt: w.doubt}).JSON())
	if bytes.Equal(data, f.written) {
		return nil
	}
	if err := f.dir.write(wishesFile, data); err != nil {
		return err
	}
	f.written = data
	return nil
}

// saveTasks writes task-config.json.
func (f *wishFile) saveTasks(tasks map[job.ID]job.Task) error {
	stored := make(map[string]job.Task, len(tasks))
	for id, task := range tasks {
		stored[store.TaskPath(f.host, id)] = task
	}
	if err := f.dir.write(tasksFile, pretty(tasksJSON(&stored))); err != nil {
		return err
	}
	f.tasks = tasks
	return nil
}
