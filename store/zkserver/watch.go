package zkserver

import (
	"slices"
	"strings"
	"sync"
)

// watchKind is the table that a watch is in. The numbers of data, children and any are those of the removeWatches request.
type watchKind int32

const (
	watchChildren   watchKind = 1
	watchData       watchKind = 2 // of existing and of missing nodes
	watchAny        watchKind = 3 // in requests only
	watchPersistent watchKind = 4
	watchRecursive  watchKind = 5
)

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
	deep    int    // recursive watches, to spare the walk to the root where there are none
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
	if kind == watchRecursive {
		w.deep++
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
	if key.kind == watchRecursive {
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
			c.out.event(frame)
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
	}
	if e.kind == eventChildrenChanged || e.kind == eventDeleted {
		spend(watchChildren)
	}
	send(watchKey{e.path, watchPersistent})
	if w.deep > 0 && e.kind != eventChildrenChanged {
		for path := e.path; ; path = path[:strings.LastIndexByte(path, '/')] {
			if path == "" {
				send(watchKey{"/", watchRecursive})
				break
			}
			send(watchKey{path, watchRecursive})
			if path == "/" {
				break
			}
		}
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
