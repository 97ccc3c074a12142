package store

import (
	"github.com/go-zookeeper/zk"
)

// Mark tells one state of a directory's list of entries from another.
type Mark struct {
	Created int64 // zxid of the directory's creation
	Changes int32 // entries made and deleted since then: its child version
	// Time is when the directory was made, in ms of the store's clock; 0: not known. In a store that was wiped the same
	// first steps have the same zxids.
	Time int64
}

func markOf(stat *zk.Stat) Mark {
	return Mark{Created: stat.Czxid, Changes: stat.Cversion, Time: stat.Ctime}
}

// Continues reports whether m was taken of the same directory as known, then or later. Otherwise the directory was
// made anew, or an older state of it was restored, and it says nothing about what became of the entries known before
// (decision 10).
func (m Mark) Continues(known Mark) bool {
	return m.sameDirectory(known) && m.Changes >= known.Changes
}

func (m Mark) sameDirectory(known Mark) bool {
	return m.Created == known.Created && (m.Time == known.Time || m.Time == 0 || known.Time == 0)
}

// Registration is what an agent must remember of the store it is registered in, across restarts too.
type Registration struct {
	Hosts Mark  // the list of all hosts, while the host stood in it
	Host  *Mark // the host's own node then; nil: not remembered
}

// Anew reports whether the host stands in the very list of hosts that it stood in before, by another registration: it
// was deregistered, and somebody registered it again.
func (r Registration) Anew(known Registration) bool {
	return r.Host != nil && known.Host != nil && r.Hosts.Continues(known.Hosts) && r.Host.Created > known.Host.Created
}

// finding is what one reading gave of a host's registration.
type finding struct {
	current    bool // by a server that had caught up with all that was done before
	registered bool // the host has an id
	hosts      *Mark
	host       *Mark // the host's own node; like hosts it is nil where there is none
}

// verdict is what a host without an id means to its agent.
type verdict int

const (
	askAgain     verdict = iota // the reading says nothing that an agent may act by
	register                    // the host was never registered in this store, or the store forgot it
	deregistered                // somebody took the host off the list
)

// judge tells a host that was deregistered from one whose store was wiped or restored (decision 9). known is nil for an
// agent that never was registered. It is total: whatever was remembered and read has an answer.
//
// The list of hosts remembers by its changes that the host came, and that it went. A list that is gone, that was made
// anew, or that had fewer changes than when the host stood in it, cannot have seen the host go. Neither can the host's
// own node if it is there, and is an older state of itself: half of a registration by an agent of 0.9, which makes the
// nodes one by one.
func judge(known *Registration, found finding) verdict {
	switch {
	case found.registered:
		return askAgain // whose id it is decides, not this
	case known == nil:
		return register
	case !found.current:
		return askAgain // a server that is behind looks like one that was restored
	case found.hosts == nil && found.host != nil:
		return askAgain // the two were not read of one state
	case found.hosts == nil || !found.hosts.Continues(known.Hosts):
		return register
	case found.host != nil && known.Host != nil && found.host.sameDirectory(*known.Host) && found.host.Changes < known.Host.Changes:
		return register
	default:
		return deregistered
	}
}
