package store

import (
	"bytes"
	"context"
	"errors"

	"github.com/helios-go/helios/store/job"
)

// Tasks is one complete reading of what a host shall run.
type Tasks struct {
	// Directory tells this list from others: what was in the last one and is not in this one was undeployed only if
	// this one continues that (decision 10).
	Directory Mark
	// Tasks are the readable tasks. Treat it as read-only.
	Tasks map[job.ID]job.Task
	// Unreadable are the nodes that exist but cannot be understood, by name: full ids where Helios made them. What was
	// known of such a task holds on (agent Q48).
	Unreadable map[string]error
}

// taskNode is what is remembered of a node, so that only changes are decoded and told.
type taskNode struct {
	data []byte
	id   job.ID
	task job.Task
	err  error
}

// WatchTasks calls changed with the tasks of a host, at first and whenever something in the list changed, until ctx
// ends; it blocks, and returns the cause of that, ErrName or ErrClosed. Calls do not overlap, and a slow one costs
// nothing but being told of several changes at once.
//
// Only complete readings are told. While ZooKeeper is away, or the directory is not there, changed is not called at all
// and the last list holds on: unknown is not empty. After a reconnection, and twice a minute, everything is read again.
// A host that is refused registration must not watch its tasks (zookeeper Q2).
func (s *Store) WatchTasks(ctx context.Context, hostName string, changed func(Tasks)) error {
	if !legalName(hostName) {
		return named("watch tasks of", hostName, ErrName)
	}
	var (
		told  bool
		mark  Mark
		known map[string]taskNode
	)
	return s.session.loop(ctx, "reading the tasks of "+hostName, func(ctx context.Context, w *watches) error {
		now, fresh, err := w.tasks(ctx, hostName, known)
		if err != nil {
			return err
		}
		if told && now == mark && same(known, fresh) {
			return nil
		}
		if err := s.session.prove(ctx, configHostJobs(hostName)); err != nil {
			return err
		}
		if err := s.keepListed(ctx, hostName, known, fresh); err != nil {
			return err
		}
		told, mark, known = true, now, fresh
		tasks := Tasks{Directory: mark, Tasks: make(map[job.ID]job.Task), Unreadable: make(map[string]error)}
		for name, n := range known {
			if n.err != nil {
				tasks.Unreadable[name] = n.err
			} else {
				tasks.Tasks[n.id] = n.task
			}
		}
		changed(tasks)
		return nil
	})
}

// tasks reads the whole list, every part of it watched. A task that vanishes meanwhile fails the reading.
func (w *watches) tasks(ctx context.Context, hostName string, known map[string]taskNode) (Mark, map[string]taskNode, error) {
	directory := configHostJobs(hostName)
	list, err := w.children(ctx, directory)
	if err != nil {
		if _, watchErr := w.stat(ctx, directory); watchErr != nil { // rings when the directory is made
			err = errors.Join(err, watchErr)
		}
		return Mark{}, nil, err
	}
	paths := make([]string, len(list.names))
	for i, name := range list.names {
		paths[i] = configHostJob(hostName, name)
	}
	nodes := make([]node, len(paths))
	err = each(ctx, paths, func(ctx context.Context, i int, path string) (err error) {
		nodes[i], err = w.get(ctx, path)
		return err
	})
	if err != nil {
		return Mark{}, nil, err
	}
	fresh := make(map[string]taskNode, len(nodes))
	for i, name := range list.names {
		if n, ok := known[name]; ok && bytes.Equal(n.data, nodes[i].data) {
			fresh[name] = n
			continue
		}
		n := taskNode{data: nodes[i].data}
		if n.id, n.task, n.err = readTask(directory, name, nodes[i]); n.err != nil {
			w.session.log.Error().Err(n.err).Str("host", hostName).Msg("what was known of the task holds on")
		}
		fresh[name] = n
	}
	return markOf(list.stat), fresh, nil
}

// errTaken says of a task that its node is gone, but not by an undeployment.
var errTaken = errors.New("it is gone, but the job still lists the host, or there are no jobs at all: nobody undeployed it")

// keepListed adds to a fresh reading, as unreadable, the tasks that were known and have no node any more though nobody
// undeployed them: an undeployment takes the host off the job's list in the same transaction. A tree that is being
// deleted looks like that, which must not look like orders (acceptance SYS-126). Without a cluster id a task's own node
// alone decides, as for the original.
func (s *Store) keepListed(ctx context.Context, hostName string, known, fresh map[string]taskNode) error {
	if s.session.cluster == nil {
		return nil
	}
	for name := range known {
		if _, stays := fresh[name]; stays {
			continue
		}
		id, err := nodeID(configHostJobs(hostName), name)
		if err != nil {
			continue // no job
		}
		stats, err := s.session.stats(ctx, configJobs, configJobHost(id, hostName))
		if err != nil {
			return err
		}
		if stats[0] == nil || stats[1] != nil {
			fresh[name] = taskNode{err: &UnreadableError{Node: configHostJob(hostName, name), Err: errTaken}}
		}
	}
	return nil
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

func same(a, b map[string]taskNode) bool {
	if len(a) != len(b) {
		return false
	}
	for name, n := range a {
		if m, ok := b[name]; !ok || !bytes.Equal(n.data, m.data) {
			return false
		}
	}
	return true
}
