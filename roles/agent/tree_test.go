package agent

import (
	"errors"
	"maps"
	"slices"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// tree is as much of a store as the wishes of one host depend on: its task list, the lists of jobs and of their hosts, and
// the agent's note. Each change is a transaction with the next zxid, of the clock's next moment.
type tree struct {
	zxid, clock int64
	list        *listNode // nil: there is none
	tasks       map[string]storedTask
	jobs        listNode // the list of jobs; changed when a master wrote its data
	written     int64    // zxid of that
	hosts       map[string]hostsNode
	note        store.Noted
	ports       map[string]job.PortMapping // of all jobs
	named       map[string]int64           // moments at which masters last undeployed or stopped tasks, by name
	changed     map[string]int64           // moments at which masters last did anything to tasks, by name
}

type listNode struct {
	mark   store.Mark
	latest int64
}

type storedTask struct {
	mark    store.NodeMark
	goal    job.Goal
	garbage bool
}

// hostsNode is a job's list of hosts.
type hostsNode struct {
	latest int64
	listed bool // this host is in it
}

// newTree is a store with a registered host and jobs of these names.
func newTree(clock int64, names ...string) *tree {
	t := &tree{
		clock: clock, tasks: make(map[string]storedTask), hosts: make(map[string]hostsNode),
		named: make(map[string]int64), changed: make(map[string]int64),
	}
	t.begin()
	t.makeList()
	for _, name := range names {
		t.create(name)
	}
	return t
}

func (t *tree) clone() *tree {
	c := *t
	c.tasks, c.hosts, c.named, c.changed = maps.Clone(t.tasks), maps.Clone(t.hosts), maps.Clone(t.named), maps.Clone(t.changed)
	if t.list != nil {
		c.list = new(*t.list)
	}
	return &c
}

// begin is a transaction.
func (t *tree) begin() int64 {
	t.zxid++
	t.clock++
	return t.zxid
}

func (t *tree) makeList() {
	zxid := t.begin()
	t.list = &listNode{mark: store.Mark{Created: zxid, Time: t.clock}, latest: zxid}
}

func (t *tree) touch(zxid int64) {
	t.list.mark.Changes++
	t.list.latest = zxid
}

func (t *tree) create(name string) {
	if _, there := t.hosts[name]; there {
		return
	}
	zxid := t.begin()
	t.hosts[name] = hostsNode{latest: zxid}
	t.jobs.latest, t.written = zxid, zxid
}

// remove removes a job, which must not be deployed.
func (t *tree) remove(name string) {
	if h, there := t.hosts[name]; !there || h.listed {
		return
	}
	zxid := t.begin()
	delete(t.hosts, name)
	t.jobs.latest, t.written = zxid, zxid
}

func (t *tree) deploy(name string, goal job.Goal) bool {
	_, deployed := t.tasks[name]
	if _, there := t.hosts[name]; !there || deployed || t.list == nil {
		return false
	}
	zxid := t.begin()
	t.tasks[name] = storedTask{mark: store.NodeMark{Created: zxid, Changed: zxid, Time: t.clock}, goal: goal}
	t.hosts[name] = hostsNode{latest: zxid, listed: true}
	t.touch(zxid)
	t.name(name, goal != job.Start)
	return true
}

func (t *tree) undeploy(name string) bool {
	if _, deployed := t.tasks[name]; !deployed {
		return false
	}
	zxid := t.begin()
	delete(t.tasks, name)
	if _, there := t.hosts[name]; there {
		t.hosts[name] = hostsNode{latest: zxid}
	} else {
		t.written = zxid // as our masters do where the job is lost
	}
	t.touch(zxid)
	t.name(name, true)
	return true
}

// name notes that a master did something to a task, be it to end it.
func (t *tree) name(name string, ending bool) {
	t.changed[name] = t.clock
	if ending {
		t.named[name] = t.clock
	}
}

func (t *tree) set(name string, goal job.Goal, garbage bool) bool {
	n, deployed := t.tasks[name]
	if !deployed {
		return false
	}
	n.goal, n.garbage = goal, garbage
	n.mark.Changed, n.mark.Time = t.begin(), t.clock
	n.mark.Version++
	t.tasks[name] = n
	if !garbage {
		t.name(name, goal != job.Start)
	}
	return true
}

// elsewhere is the job's coming and going on another host.
func (t *tree) elsewhere(name string) {
	if h, there := t.hosts[name]; there {
		h.latest = t.begin()
		t.hosts[name] = h
	}
}

// Deletions of single nodes, which are nobody's wish.

func (t *tree) dropTask(name string) {
	if _, deployed := t.tasks[name]; deployed {
		delete(t.tasks, name)
		t.touch(t.begin())
	}
}

func (t *tree) dropLink(name string) {
	if h, there := t.hosts[name]; there && h.listed {
		t.hosts[name] = hostsNode{latest: t.begin()}
	}
}

func (t *tree) dropJob(name string) {
	if _, there := t.hosts[name]; there {
		delete(t.hosts, name)
		t.jobs.latest = t.begin()
	}
}

// read is what the store tells an agent that knows tasks of these names.
func (t *tree) read(known []string) store.Tasks {
	if t.list == nil {
		return store.Tasks{Missing: true, Noted: t.note}
	}
	r := store.Tasks{
		Directory: t.list.mark, Latest: t.list.latest, Noted: t.note,
		Nodes: make(map[string]store.NodeMark), Departed: make(map[string]store.Departure),
		Tasks: make(map[job.ID]job.Task), Unreadable: make(map[string]error),
	}
	for name, n := range t.tasks {
		id := testID(name)
		r.Nodes[id.String()] = n.mark
		if n.garbage {
			r.Unreadable[id.String()] = errors.New("garbage")
		} else {
			r.Tasks[id] = job.Task{Job: job.Job{ID: id, Image: new("img"), Ports: t.ports}, Goal: n.goal}
		}
	}
	for _, name := range known {
		if _, stays := r.Nodes[name]; stays {
			continue
		}
		id, err := job.ReadID(name)
		if err != nil {
			continue
		}
		h, there := t.hosts[id.Name]
		d := store.Departure{Listed: h.listed, Changed: h.latest}
		if !there && t.written >= t.jobs.latest {
			d.Removed = t.written
		}
		r.Departed[name] = d
	}
	return r
}

// leave is the agent's note.
func (t *tree) leave(n host.Note) {
	t.begin()
	t.note = store.Noted{Agent: n.Agent, Count: n.Count, Line: n.Line}
	if n.Doubt != nil {
		t.note.Doubt = n.Doubt.Token
	}
}

// remembered are the names that an agent with these wishes asks for.
func (w wishes) remembered() []string {
	var names []string
	for id := range w.tasks {
		names = append(names, id.String())
	}
	if w.seen != nil {
		names = slices.AppendSeq(names, maps.Keys(w.seen.Nodes))
	}
	if w.accepted != nil {
		names = slices.AppendSeq(names, maps.Keys(w.accepted.Nodes))
	}
	return names
}
