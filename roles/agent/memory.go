package agent

import (
	"path"
	"slices"
	"sync"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// memoryFile is our own beside the original's files: which store the agent knows, to tell it from an emptied, restored
// or foreign one (decisions 9, 10).
const memoryFile = "registration.json"

// remembered is what an agent knows of its store across restarts.
type remembered struct {
	Hosts      *store.Mark         // the list of hosts while this one stood in it; nil: never registered
	Host       *store.Mark         // the host's own node then
	Tasks      *store.Mark         // the task directory at the last reading that was followed
	Doubted    map[job.ID]job.Goal // see wishes
	Unreadable []string            // names of unreadable tasks at that reading
	Former     []string            // ids of the agents whose host name was taken over, the newest last
}

// memory keeps what is remembered in its file.
type memory struct {
	dir *stateDir

	mu sync.Mutex // guards remembered, and the file
	remembered
}

func markJSON(m *store.Mark) document.Value {
	return document.Object(
		document.Member{Name: "created", Value: document.Long(&m.Created), Required: true},
		document.Member{Name: "changes", Value: document.Int(&m.Changes), Required: true},
		document.Member{Name: "time", Value: document.Long(&m.Time)},
	)
}

func (m *remembered) JSON() document.Value {
	goal := func(p *job.Goal) document.Value { return document.Enum(p) }
	return document.Object(
		document.Member{Name: "hosts", Value: document.Optional(&m.Hosts, markJSON)},
		document.Member{Name: "host", Value: document.Optional(&m.Host, markJSON)},
		document.Member{Name: "tasks", Value: document.Optional(&m.Tasks, markJSON)},
		document.Member{Name: "doubted", Value: document.Map(&m.Doubted, job.IDKeys, goal)},
		document.Member{Name: "unreadable", Value: document.Texts(&m.Unreadable)},
		document.Member{Name: "former", Value: document.Texts(&m.Former)},
	)
}

// openMemory reads what is remembered.
func openMemory(dir *stateDir) (*memory, error) {
	m := &memory{dir: dir}
	return m, dir.read(memoryFile, func(data []byte) error {
		var r remembered
		if err := document.Read(data, r.JSON()); err != nil {
			return err
		}
		m.remembered = r
		return nil
	})
}

// takeOver remembers an agent whose containers are this one's from now on: the tasks it ran may run on in them (Q51).
func (m *memory) takeOver(id string) error {
	return m.change(func(r *remembered) {
		r.Former = append(slices.DeleteFunc(slices.Clone(r.Former), func(other string) bool { return other == id }), id)
	})
}

// former are the ids of the agents whose host name was taken over.
func (m *memory) former() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Former
}

// change alters what is remembered, and returns when that is on disk.
func (m *memory) change(alter func(*remembered)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.remembered
	alter(&next)
	if err := m.dir.write(memoryFile, pretty(next.JSON())); err != nil {
		return err
	}
	m.remembered = next
	return nil
}

// openExecutions reads executions.json.
func openExecutions(dir *stateDir) (map[job.ID]execution, error) {
	executions := make(map[job.ID]execution)
	err := dir.read(executionsFile, func(data []byte) error {
		var stored map[job.ID]execution
		if err := document.Read(data, executionsJSON(&stored)); err != nil {
			return err
		}
		for id, e := range stored {
			e.Job.ID = id
			executions[id] = e
		}
		return nil
	})
	return executions, err
}

func executionsJSON(p *map[job.ID]execution) document.Value {
	return document.Map(p, job.IDKeys, (*execution).JSON)
}

// tasksJSON describes task-config.json: the path of a task's node → Task (zookeeper §11).
func tasksJSON(p *map[string]job.Task) document.Value {
	return document.Map(p, document.TextKeys, (*job.Task).JSON)
}

// openWishes reads what was wished at the last reading: task-config.json, and the mark that belongs to it.
func openWishes(dir *stateDir, m remembered) (wishes, error) {
	w := wishes{mark: m.Tasks, doubted: m.Doubted, unreadable: make(map[string]bool)}
	for _, name := range m.Unreadable {
		w.unreadable[name] = true
	}
	err := dir.read(tasksFile, func(data []byte) error {
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
		w.tasks = tasks
		return nil
	})
	return w, err
}

// saveTasks writes task-config.json.
func saveTasks(dir *stateDir, host string, tasks map[job.ID]job.Task) error {
	stored := make(map[string]job.Task, len(tasks))
	for id, task := range tasks {
		stored[store.TaskPath(host, id)] = task
	}
	return dir.write(tasksFile, pretty(tasksJSON(&stored)))
}
