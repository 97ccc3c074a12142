package zkserver

import (
	"maps"
	"slices"
	"strings"
)

// containerOwner marks container nodes in node.owner. Session ids are positive.
const containerOwner int64 = -1 << 63

// record is a node without its children: what a transaction sees and the log holds.
type record struct {
	data                []byte // never changed in place; nil is null data, which is not the same as empty
	acl                 []ACL  // shared between nodes, never changed in place
	owner               int64  // session of an ephemeral node, containerOwner, or 0
	czxid, mzxid, pzxid int64
	ctime, mtime        int64 // Unix milliseconds
	version, aversion   int32
	created             int32 // children ever created below, the counter of sequential names
}

type node struct {
	record
	children map[string]*node // nil while there are none
}

// stat is the status of a node as clients see it.
type stat struct {
	record
	cversion, dataLength, children int32
}

// statOf computes the visible status. The child version counts creations and deletions.
func statOf(r record, children int) stat {
	s := stat{record: r, cversion: 2*r.created - int32(children), dataLength: int32(len(r.data)), children: int32(children)}
	if r.owner == containerOwner {
		s.owner = 0
	}
	return s
}

// session is the durable part of a client's session.
type session struct {
	timeout  int64 // milliseconds
	password [passwordSize]byte
}

const passwordSize = 16

// event is a change that watches report.
type event struct {
	kind eventType
	path string
}

// tree is the state machine: the nodes, the sessions and the last zxid. It knows no time, no connection and no file.
// Only apply and load change it.
type tree struct {
	root       *node
	zxid       int64
	nodes      int
	bytes      int // of paths and data, for the statistics
	sessions   map[int64]session
	ephemerals map[int64]map[string]struct{} // paths by owner
	containers map[string]struct{}
	acls       map[string][]ACL // lists in use, by their encoding
}

// newTree is the state of a new server.
func newTree() *tree {
	t := emptyTree()
	t.insert("/zookeeper", record{data: []byte{}, acl: openACL})
	t.insert("/zookeeper/quota", record{data: []byte{}, acl: openACL})
	t.insert("/zookeeper/config", record{data: []byte{}, acl: readOnlyACL, aversion: -1})
	return t
}

func emptyTree() *tree {
	return &tree{
		root:       &node{record: record{data: []byte{}, acl: openACL}},
		nodes:      1,
		sessions:   map[int64]session{},
		ephemerals: map[int64]map[string]struct{}{},
		containers: map[string]struct{}{},
		acls:       map[string][]ACL{},
	}
}

// load puts a node of a snapshot in its place. A node whose parent is missing is left out: it is one that the log is
// going to remove or to create again.
func (t *tree) load(path string, r record) {
	if path != "/" {
		t.insert(path, r)
		return
	}
	r.data, r.acl = slices.Clone(r.data), t.intern(r.acl)
	t.root.record = r
}

// lookup finds a node; the empty path is the root too.
func (t *tree) lookup(path string) *node {
	if path == "" || path == "/" {
		return t.root
	}
	if path[0] != '/' {
		return nil
	}
	n := t.root
	for rest, more := path[1:], true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if n = n.children[name]; n == nil {
			return nil
		}
	}
	return n
}

// insert puts a fresh node at path, in place of one that may be there, and returns its parent, nil if that is missing.
func (t *tree) insert(path string, r record) (parent *node) {
	parentPath, name, _ := splitPath(path)
	if parent = t.lookup(parentPath); parent == nil {
		return nil
	}
	if old := parent.children[name]; old != nil {
		t.forget(path, old)
	}
	if parent.children == nil {
		parent.children = map[string]*node{}
	}
	r.data, r.acl = slices.Clone(r.data), t.intern(r.acl)
	parent.children[strings.Clone(name)] = &node{record: r}
	t.nodes++
	t.bytes += len(path) + len(r.data)
	switch {
	case r.owner == containerOwner:
		t.containers[path] = struct{}{}
	case r.owner != 0:
		if t.ephemerals[r.owner] == nil {
			t.ephemerals[r.owner] = map[string]struct{}{}
		}
		t.ephemerals[r.owner][path] = struct{}{}
	}
	return parent
}

// remove deletes the node at path, if there is one, and all below it.
func (t *tree) remove(path string) {
	parentPath, name, _ := splitPath(path)
	parent := t.lookup(parentPath)
	if parent == nil || parent.children[name] == nil {
		return
	}
	t.forget(path, parent.children[name])
	delete(parent.children, name)
	if len(parent.children) == 0 {
		parent.children = nil
	}
}

// forget takes a node and those below it out of the counters and indexes.
func (t *tree) forget(path string, n *node) {
	for name, child := range n.children {
		t.forget(path+"/"+name, child)
	}
	t.nodes--
	t.bytes -= len(path) + len(n.data)
	switch {
	case n.owner == containerOwner:
		delete(t.containers, path)
	case n.owner != 0:
		delete(t.ephemerals[n.owner], path)
		if len(t.ephemerals[n.owner]) == 0 {
			delete(t.ephemerals, n.owner)
		}
	}
}

// intern returns the copy of an ACL list that nodes share. The table is emptied now and then, so that lists that nobody
// uses any more do not stay; what that costs is only that an equal list may be kept twice.
func (t *tree) intern(acl []ACL) []ACL {
	if slices.Equal(acl, openACL) {
		return openACL
	}
	key := string(appendACLs(nil, acl))
	if kept, ok := t.acls[key]; ok {
		return kept
	}
	if len(t.acls) >= 256 {
		clear(t.acls)
	}
	if len(key) <= 4096 {
		t.acls[key] = acl
	}
	return acl
}

// apply makes the changes of one transaction and returns the events they cause, in their order. Applying a transaction
// again, or to a tree that holds some of its or of later ones' changes already, is harmless as long as all later ones
// are applied too: effects carry results, not differences. Snapshots rely on it.
func (t *tree) apply(x txn) []event {
	t.zxid = x.zxid
	var events []event
	for _, e := range x.effects {
		switch e.kind {
		case effectCreate:
			parent := t.insert(e.path, record{
				data: e.data, acl: e.acl, owner: e.owner,
				czxid: x.zxid, mzxid: x.zxid, pzxid: x.zxid, ctime: x.time, mtime: x.time,
			})
			if parent == nil {
				continue
			}
			parent.created, parent.pzxid = e.count, x.zxid
			parentPath, _, _ := splitPath(e.path)
			events = append(events, event{eventCreated, e.path}, event{eventChildrenChanged, parentPath})
		case effectDelete:
			t.remove(e.path)
			parentPath, _, _ := splitPath(e.path)
			if parent := t.lookup(parentPath); parent != nil {
				parent.pzxid = x.zxid
			}
			events = append(events, event{eventDeleted, e.path}, event{eventChildrenChanged, parentPath})
		case effectSetData:
			if n := t.lookup(e.path); n != nil {
				t.bytes += len(e.data) - len(n.data)
				n.data, n.version, n.mzxid, n.mtime = slices.Clone(e.data), e.count, x.zxid, x.time
				events = append(events, event{eventDataChanged, e.path})
			}
		case effectSetACL:
			if n := t.lookup(e.path); n != nil {
				n.acl, n.aversion = t.intern(e.acl), e.count
			}
		case effectOpenSession:
			t.sessions[e.owner] = session{timeout: int64(e.count), password: e.password}
		case effectCloseSession:
			delete(t.sessions, e.owner)
		}
	}
	return events
}

// ephemeralsOf lists the nodes of a session, sorted.
func (t *tree) ephemeralsOf(id int64) []string { return slices.Sorted(maps.Keys(t.ephemerals[id])) }
