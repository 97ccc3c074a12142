package store

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/job"
)

// standing is how long a list must have stood that may be being deleted.
const standing = 2 * time.Second

// Tasks is one complete reading of what a host shall run.
type Tasks struct {
	// Missing says that the host has no list at all, though it is registered. Beside that only Noted is set.
	Missing bool
	// Directory tells this list from others: what was in the last one and is not in this one was undeployed only if
	// this one continues that (decision 10).
	Directory Mark
	// Latest is the zxid of the last change of the list.
	Latest int64
	// Nodes are the marks of all nodes in the list, readable or not, by name.
	Nodes map[string]NodeMark
	// Departed is what there is about the tasks that the watcher knows and that are not in the list, by name.
	Departed map[string]Departure
	// Noted is the agent's own note.
	Noted Noted
	// Tasks are the readable tasks. Treat it as read-only.
	Tasks map[job.ID]job.Task
	// Unreadable are the nodes that exist but cannot be understood, by name: full ids where Helios made them. What was
	// known of such a task holds on (agent Q48).
	Unreadable map[string]error
}

// taskNode is what is remembered of a node, so that only changes are decoded and told.
type taskNode struct {
	data []byte
	mark NodeMark
	id   job.ID
	task job.Task
	err  error
}

// WatchTasks calls changed with the tasks of a host, at first and whenever something in the list changed, until ctx
// ends; it blocks, and returns the cause of that, ErrName or ErrClosed. Calls do not overlap, and a slow one costs
// nothing but being told of several changes at once. known gives the names of the tasks that the caller still knows, to
// be told what there is about those that are gone.
//
// Only complete readings are told, each of one state of the list. While ZooKeeper is away, changed is not called at all
// and the last list holds on: unknown is not empty. After a reconnection, and twice a minute, everything is read again.
// A host that is refused registration must not watch its tasks (zookeeper Q2).
func (s *Store) WatchTasks(ctx context.Context, hostName string, known func() []string, changed func(Tasks)) error {
	if !legalName(hostName) {
		return named("watch tasks of", hostName, ErrName)
	}
	var last, waiting *reading
	var since time.Time // of waiting
	return s.session.loop(ctx, "reading the tasks of "+hostName, func(ctx context.Context, w *watches) error {
		if last == nil { // what one server of an ensemble does not know yet must not look like an older store
			if err := s.session.catchUp(ctx); err != nil {
				return err
			}
		}
		now, err := s.readTasks(ctx, w, hostName, last, known())
		if err != nil || last != nil && last.same(now) {
			return err
		}
		tasks := now.tasks()
		if tasks.Late() && !(waiting != nil && now.list.Pzxid == waiting.list.Pzxid && time.Since(since) >= standing) {
			if waiting == nil || now.list.Pzxid != waiting.list.Pzxid {
				waiting, since = now, time.Now()
			}
			bell := w.bell
			time.AfterFunc(standing, func() { ring(bell) })
			return nil
		}
		last, waiting = now, nil
		changed(tasks)
		return nil
	})
}

// reading is one complete reading of a host's task list.
type reading struct {
	missing  bool // the host is registered, and has no list
	list     *zk.Stat
	nodes    map[string]taskNode
	departed map[string]Departure
	noted    Noted
}

var (
	// errUnsteady ends a reading during which the list changed again and again.
	errUnsteady = errors.New("the list changes faster than it can be read")
	// errMade says that a list that was missing is there.
	errMade = errors.New("the list was made meanwhile")
)

// readTasks reads everything, the list and its nodes watched, until what was read is of one state of the list.
func (s *Store) readTasks(ctx context.Context, w *watches, hostName string, last *reading, known []string) (*reading, error) {
	directory := configHostJobs(hostName)
	for range maxRaces {
		list, err := w.children(ctx, directory)
		if errors.Is(err, zk.ErrNoNode) {
			r, err := s.readMissing(ctx, w, hostName, err)
			if errors.Is(err, errMade) {
				continue
			}
			return r, err
		}
		if err != nil {
			return nil, err
		}
		r := &reading{list: list.stat}
		if r.nodes, err = w.tasks(ctx, hostName, list.names, last); err != nil {
			return nil, err
		}
		if r.departed, err = s.departed(ctx, hostName, r.nodes, last, known); err != nil {
			return nil, err
		}
		if r.noted, err = s.noted(ctx, hostName); err != nil {
			return nil, err
		}
		if err := s.session.prove(ctx, directory); err != nil {
			return nil, err
		}
		// Last of all: what another server, or a restored store, would show would show here.
		after, err := s.session.stat(ctx, directory)
		if err != nil {
			return nil, err
		}
		if after != nil && markOf(after) == markOf(list.stat) && after.Pzxid == list.stat.Pzxid {
			return r, nil
		}
	}
	return nil, named("read", directory, errUnsteady)
}

// readMissing tells a host without a list from one that is not registered, which is no news.
func (s *Store) readMissing(ctx context.Context, w *watches, hostName string, missing error) (*reading, error) {
	made, err := w.stat(ctx, configHostJobs(hostName)) // rings when the list is made
	switch {
	case err != nil:
		return nil, errors.Join(missing, err)
	case made != nil: // meanwhile: nothing rings any more
		return nil, errMade
	}
	registered, err := s.session.exists(ctx, configHostID(hostName))
	if err != nil || !registered {
		return nil, errors.Join(missing, err)
	}
	r := &reading{missing: true}
	r.noted, err = s.noted(ctx, hostName)
	return r, err
}

// tasks reads the nodes of a list, every one watched. A task that vanishes meanwhile fails the reading.
func (w *watches) tasks(ctx context.Context, hostName string, names []string, last *reading) (map[string]taskNode, error) {
	directory := configHostJobs(hostName)
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = configHostJob(hostName, name)
	}
	nodes := make([]node, len(paths))
	err := each(ctx, paths, func(ctx context.Context, i int, path string) (err error) {
		nodes[i], err = w.get(ctx, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	fresh := make(map[string]taskNode, len(nodes))
	for i, name := range names {
		n, ok := last.node(name)
		if !ok || !bytes.Equal(n.data, nodes[i].data) {
			n = taskNode{data: nodes[i].data}
			if n.id, n.task, n.err = readTask(directory, name, nodes[i]); n.err != nil {
				w.session.log.Error().Err(n.err).Str("host", hostName).Msg("what was known of the task holds on")
			}
		}
		n.mark = nodeMarkOf(nodes[i].stat)
		fresh[name] = n
	}
	return fresh, nil
}

// departed reads what there is about the tasks that the caller knows, or that were told last, and are not in the list.
func (s *Store) departed(ctx context.Context, hostName string, nodes map[string]taskNode, last *reading, known []string) (map[string]Departure, error) {
	var names []string
	if last != nil {
		names = slices.Collect(maps.Keys(last.nodes))
	}
	departed := make(map[string]Departure)
	for _, name := range append(names, known...) {
		if _, stays := nodes[name]; stays {
			continue
		}
		if _, done := departed[name]; done {
			continue
		}
		d, err := s.session.departure(ctx, hostName, name)
		if err != nil {
			return nil, err
		}
		departed[name] = d
	}
	return departed, nil
}

// node is what is remembered of a task's node; a nil reading remembers nothing.
func (r *reading) node(name string) (taskNode, bool) {
	if r == nil {
		return taskNode{}, false
	}
	n, ok := r.nodes[name]
	return n, ok
}

// same reports whether two readings have the same to tell. What is known of departed tasks is news only with the list.
func (r *reading) same(other *reading) bool {
	if r.missing || other.missing {
		return r.missing == other.missing && r.noted == other.noted
	}
	return markOf(r.list) == markOf(other.list) && r.list.Pzxid == other.list.Pzxid && r.noted == other.noted &&
		maps.EqualFunc(r.nodes, other.nodes, func(a, b taskNode) bool { return a.mark == b.mark })
}

// tasks is a reading for the agent.
func (r *reading) tasks() Tasks {
	if r.missing {
		return Tasks{Missing: true, Noted: r.noted}
	}
	t := Tasks{
		Directory: markOf(r.list), Latest: r.list.Pzxid, Nodes: make(map[string]NodeMark), Departed: r.departed, Noted: r.noted,
		Tasks: make(map[job.ID]job.Task), Unreadable: make(map[string]error),
	}
	for name, n := range r.nodes {
		t.Nodes[name] = n.mark
		if n.err != nil {
			t.Unreadable[name] = n.err
		} else {
			t.Tasks[n.id] = n.task
		}
	}
	return t
}

// readTask decodes a task for the agent, which acts on it: the job inside must be the one that the node names.
func readTask(directory, name string, n node) (job.ID, job.Task, error) {
	id, err := nodeID(directory, name)
	if err != nil {
		return job.ID{}, job.Task{}, err
	}
	task, err := read(n, (*job.Task).JSON)
	if err == nil && task.Job.ID != id {
		err = &UnreadableError{Node: n.path, Err: errors.New("it holds another job than it is named by")}
	}
	return id, task, err
}
