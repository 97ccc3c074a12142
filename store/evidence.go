package store

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
)

// What a reading of a host's tasks shows beside the tasks, for the agent to tell an undeployment from a store that was
// wiped, restored, changed half or exchanged (decision 10).

// NodeMark tells one state of a node from another.
type NodeMark struct {
	Created int64 // zxid of the node's creation
	Changed int64 // zxid of the last change of its data
	Version int32 // changes of its data
	Time    int64 // of the last change, in ms of the store's clock
}

func nodeMarkOf(stat *zk.Stat) NodeMark {
	return NodeMark{Created: stat.Czxid, Changed: stat.Mzxid, Version: stat.Version, Time: stat.Mtime}
}

// Departure is what the tree says of a task that is not in the list any more. Masters, 0.9's too, take the host off the
// job's own list of hosts in the transaction that undeploys; and they remove a job in a transaction that changes the list
// of jobs.
type Departure struct {
	Listed  bool  // the job still lists the host
	Changed int64 // zxid of the last change of the job's list of hosts; 0 when there is none
	// Removed is the zxid of the last removal or creation of a job by a master. It is 0 unless that was the last thing
	// that became of the list of jobs, and while the job is there.
	Removed int64
}

// Late reports whether tasks that are gone may have gone otherwise than by a master's transaction, which takes the host
// off the job's list at the same moment: unless the last change of the list is such a moment, or the making of an entry,
// this may be a tree that is being deleted node by node. Such a reading is told when the list has stood for a while:
// then nobody is deleting it.
func (t Tasks) Late() bool {
	gone, proven := false, false
	for _, d := range t.Departed {
		if d.Listed {
			continue
		}
		last := max(d.Changed, d.Removed)
		if last > t.Latest {
			return true
		}
		gone, proven = true, proven || last == t.Latest
	}
	for _, n := range t.Nodes {
		proven = proven || n.Created == t.Latest
	}
	return gone && !proven
}

// departure reads what there is about a task that was taken out of the list.
func (s *session) departure(ctx context.Context, hostName, name string) (Departure, error) {
	directory := configHostJobs(hostName)
	id, err := nodeID(directory, name)
	if err != nil {
		return Departure{Changed: -1}, nil // never a task: nothing depends on it
	}
	stats, err := s.stats(ctx, configJobs, configJob(id), configJobHosts(id), configJobHost(id, hostName))
	if err != nil {
		return Departure{}, err
	}
	d := Departure{Listed: stats[3] != nil}
	if stats[2] != nil {
		d.Changed = stats[2].Pzxid
	}
	if jobs := stats[0]; jobs != nil && stats[1] == nil && jobs.Mzxid >= jobs.Pzxid {
		d.Removed = jobs.Mzxid
	}
	return d, nil
}

// noted reads an agent's own note. One that cannot be read is as good as none.
func (s *Store) noted(ctx context.Context, hostName string) (Noted, error) {
	n, err := s.session.get(ctx, statusHostWishes(hostName))
	if errors.Is(err, zk.ErrNoNode) {
		return Noted{}, nil
	}
	if err != nil {
		return Noted{}, err
	}
	note, err := host.ReadNote(n.data)
	if err != nil {
		return Noted{}, nil
	}
	noted := Noted{Agent: note.Agent, Count: note.Count, Line: note.Line}
	if note.Doubt != nil {
		noted.Doubt = note.Doubt.Token
	}
	return noted, nil
}

// Noted is how far an agent's own note says that it has seen the tree; zero without a note that can be read.
type Noted struct {
	Agent string
	Count int64
	Line  int64
	Doubt string // token of the doubt that it speaks of
}
