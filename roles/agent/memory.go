package agent

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// memoryFile is our own beside the original's files: which store the agent knows, to tell it from an emptied, restored
// or foreign one (decisions 9, 10).
const memoryFile = "registration.json"

// memoryVersion is the form of that file that this version writes and understands.
const memoryVersion = 1

// remembered is what an agent knows of its store across restarts.
type remembered struct {
	Hosts  *store.Mark // the list of hosts while this one stood in it; nil: never registered
	Host   *store.Mark // the host's own node then
	Former []string    // ids of the agents whose host name was taken over, the newest last
	Name   string      // of the host
	Place  *place      // of the state directory; nil: not remembered
}

// memory keeps what is remembered in its file. A file of a newer version stays as it is, for that version: then nothing
// is remembered, and nothing may be forgotten.
type memory struct {
	dir   *stateDir
	newer error // the file is of a newer version
	here  place // of the state directory

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
	return document.Object(
		document.Version(memoryVersion),
		document.Member{Name: "hosts", Value: document.Optional(&m.Hosts, markJSON)},
		document.Member{Name: "host", Value: document.Optional(&m.Host, markJSON)},
		document.Member{Name: "former", Value: document.Texts(&m.Former)},
		document.Member{Name: "name", Value: document.Text(&m.Name)},
		document.Member{Name: "place", Value: document.Optional(&m.Place, (*place).JSON)},
	)
}

// openMemory reads what is remembered in a directory, which is here.
func openMemory(dir *stateDir, here place) (*memory, error) {
	m := &memory{dir: dir, here: here}
	return m, dir.read(memoryFile, func(data []byte) error {
		var r remembered
		err := document.ReadVersioned(data, memoryVersion, r.JSON())
		if _, ok := errors.AsType[*document.NewerError](err); ok {
			m.newer = fmt.Errorf("read %s: %w", memoryFile, err)
			return nil
		}
		if err == nil {
			m.remembered = r
		}
		return err
	})
}

// settle remembers a registration, and where that is.
func (m *memory) settle(name string, reg store.Registration) error {
	m.mu.Lock()
	r := m.remembered
	m.mu.Unlock()
	if m.newer != nil || r.Hosts != nil && *r.Hosts == reg.Hosts && r.Host != nil && *r.Host == *reg.Host &&
		r.Name == name && r.Place != nil && *r.Place == m.here {
		return nil
	}
	return m.change(func(r *remembered) { r.Hosts, r.Host, r.Name, r.Place = &reg.Hosts, reg.Host, name, &m.here })
}

// copied returns the name that the host had where the state directory was copied from; "" for one that is no copy.
func (m *memory) copied() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Place == nil || !m.here.copied(*m.Place) {
		return ""
	}
	return m.Name
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
	if m.newer != nil {
		return m.newer
	}
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
