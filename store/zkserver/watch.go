package zkserver

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// watchKind is the table that a watch is in. A persistent or recursive watch is in two, since each half can be removed
// alone: the one hears of nodes and their data, the other of their children. Both hear of deletions, and a recursive watch
// of nothing else by its second half.
type watchKind int32

const (
	watchChildren watchKind = iota
	watchData               // of existing and of missing nodes
	watchPersistentChildren
	watchPersistentData
	watchRecursiveChildren
	watchRecursiveData
)

func (k watchKind) recursive() bool { return k == watchRecursiveChildren || k == watchRecursiveData }

// Modes of an addWatch request.
const (
	modePersistentWatch int32 = 0
	modeRecursiveWatch  int32 = 1
)

// watchesOfType lists the kinds that a type of a removeWatches request means; nil for a type that there is not.
func watchesOfType(number int32) []watchKind {
	switch number {
	case 1:
		return []watchKind{watchChildren, watchPersistentChildren, watchRecursiveChildren}
	case 2:
		return []watchKind{watchData, watchPersistentData, watchRecursiveData}
	case 3:
		return append(watchesOfType(1), watchesOfType(2)...)
	}
	return nil
}

const (
	watchCost  = 150      // bytes of memory that a watch takes beside its path, about
	watchLimit = 64 << 20 // bytes that the watches of one connection may take
)

type watchKey struct {
	path string
	kind watchKind
}

// watches knows which connections want to hear of which changes. Watches die with their connection; clients set them
// again. Adding is done under the tree's read lock and firing under its write lock, so that no change falls between a
// read and its watch.
type watches struct {
	mu      sync.Mutex // guards the fields below and those of connections that say so
	table   map[watchKey][]*conn
	deep    int    // halves of recursive watches, to spare the walk to the root where there are none
	firings uint64 // events fired so far
}

func newWatches() *watches { return &watches{table: map[watchKey][]*conn{}} }

// add arms a watch. One on a path that no node can have would never fire and is not kept; a client that wants more than
// watchLimit bytes of them is given up.
func (w *watches) add(c *conn, path string, kind watchKind) {
	if !validPath(path) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := watchKey{path, kind}
	if _, ok := c.watching[key]; ok || c.gone {
		return
	}
	if c.watched+len(path)+watchCost > watchLimit {
		c.out.close()
		return
	}
	c.watched += len(path) + watchCost
	if c.watching == nil {
		c.watching = map[watchKey]struct{}{}
	}
	c.watching[key] = struct{}{}
	w.table[key] = append(w.table[key], c)
	if kind.recursive() {
		w.deep++
	}
}

// arm sets both halves of a persistent or recursive watch. A path has one or the other.
func (w *watches) arm(c *conn, path string, mode int32) {
	set, unset := [2]watchKind{watchPersistentChildren, watchPersistentData}, [2]watchKind{watchRecursiveChildren, watchRecursiveData}
	if mode == modeRecursiveWatch {
		set, unset = unset, set
	}
	for i := range set {
		w.remove(c, path, unset[i])
		w.add(c, path, set[i])
	}
}

// has tells whether the connection has such a watch.
func (w *watches) has(c *conn, path string, kind watchKind) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := c.watching[watchKey{path, kind}]
	return ok
}

// remove takes one watch away and tells whether there was one.
func (w *watches) remove(c *conn, path string, kind watchKind) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := watchKey{path, kind}
	_, ok := c.watching[key]
	if ok {
		w.drop(c, key)
	}
	return ok
}

// drop removes a watch that is there; w.mu is held.
func (w *watches) drop(c *conn, key watchKey) {
	c.spent(key)
	list := w.table[key]
	if i := slices.Index(list, c); i >= 0 {
		list[i] = list[len(list)-1]
		list[len(list)-1] = nil
		list = list[:len(list)-1]
	}
	if len(list) == 0 {
		delete(w.table, key)
	} else {
		w.table[key] = list
	}
	if key.kind.recursive() {
		w.deep--
	}
}

// spent takes a watch off the connection's own list; the watches' mutex is held.
func (c *conn) spent(key watchKey) {
	delete(c.watching, key)
	c.watched -= len(key.path) + watchCost
}

// forget removes all watches of a connection, for good.
func (w *watches) forget(c *conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.gone = true
	for key := range c.watching {
		w.drop(c, key)
	}
}

// fire sends the event to everyone who watches for it, once a connection, and disarms what is spent.
func (w *watches) fire(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.table) == 0 {
		return
	}
	w.firings++
	var frame []byte
	send := func(key watchKey) {
		for _, c := range w.table[key] {
			if c.fired == w.firings {
				continue
			}
			if frame == nil {
				frame = eventFrame(e)
			}
			c.fired = w.firings
			c.event(frame)
		}
	}
	spend := func(kind watchKind) {
		key := watchKey{e.path, kind}
		send(key)
		for _, c := range w.table[key] {
			c.spent(key)
		}
		delete(w.table, key)
	}
	if e.kind != eventChildrenChanged {
		spend(watchData)
		send(watchKey{e.path, watchPersistentData})
	}
	if e.kind == eventChildrenChanged || e.kind == eventDeleted {
		spend(watchChildren)
		send(watchKey{e.path, watchPersistentChildren})
	}
	if w.deep == 0 || e.kind == eventChildrenChanged {
		return
	}
	for path, more := e.path, true; more; {
		send(watchKey{path, watchRecursiveData})
		if e.kind == eventDeleted {
			send(watchKey{path, watchRecursiveChildren})
		}
		more = path != "/"
		path = cmp.Or(path[:strings.LastIndexByte(path, '/')], "/")
	}
}

func eventFrame(e event) []byte {
	return appendFrame(nil, func(b []byte) []byte {
		b = appendHeader(b, xidEvent, -1, codeOK)
		return appendString(appendInt32(appendInt32(b, int32(e.kind)), syncConnected), e.path)
	})
}

// count is the number of watches of all connections.
func (w *watches) count() (total int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.table {
		total += len(list)
	}
	return total
}
