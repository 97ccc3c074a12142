package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	maxKnown   = 16 << 20 // bytes
	knownCost  = 512      // bytes of a node beside its path and data: entry, stat and watch
	sweepEvery = time.Minute
)

// known remembers nodes as they were last read, each with a watch. ZooKeeper tells whoever watches of a change before it
// answers a later request of theirs, so a node whose watch is silent when an answer comes is at that moment as it was
// read. Whoever has had an answer since they were asked themselves may therefore take from here what the server would
// give. That holds on one connection: the watches of the last one prove nothing, and ring (transport).
type known struct {
	mu    sync.Mutex // guards all below
	nodes map[string]*knownNode
	bytes int       // of nodes
	swept time.Time // when nodes that changed were last dropped for want of room
	link  int       // counts the connections
}

// knownNode is a node, or with a nil stat its absence.
type knownNode struct {
	node
	changed <-chan zk.Event
	link    int // the connection that changed was asked for on, or an earlier one
}

func (n *knownNode) size() int { return knownCost + len(n.path) + len(n.data) }

// silent reports whether the watch has not fired. The library closes the channel of one that has.
func (n *knownNode) silent() bool {
	select {
	case <-n.changed:
		return false
	default:
		return true
	}
}

// disconnected ends the trust in all watches.
func (k *known) disconnected() {
	k.mu.Lock()
	k.link++
	k.mu.Unlock()
}

// look gives a node as far as it is known. One that is not may be read with a watch and added for this link, if there is
// room for the largest: a watch on what is not remembered then would be set at each reading.
func (k *known) look(path string) (n node, ok, watch bool, link int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if found := k.nodes[path]; found != nil {
		return found.node, found.link == k.link && found.silent(), true, k.link
	}
	if k.full(maxRequest) && time.Since(k.swept) > sweepEvery {
		for _, old := range k.nodes {
			if !old.silent() {
				k.drop(old)
			}
		}
		k.swept = time.Now()
	}
	return node{path: path}, false, !k.full(maxRequest), k.link
}

// full reports whether there is no room for a node of size.
func (k *known) full(size int) bool { return k.bytes+size > maxKnown }

// add remembers a node, in place of what was known of it, if there is room.
func (k *known) add(n node, changed <-chan zk.Event, link int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if old := k.nodes[n.path]; old != nil {
		k.drop(old)
	}
	fresh := &knownNode{node: n, changed: changed, link: link}
	if k.full(fresh.size()) {
		return
	}
	if k.nodes == nil {
		k.nodes = make(map[string]*knownNode)
	}
	k.nodes[n.path] = fresh
	k.bytes += fresh.size()
}

func (k *known) drop(n *knownNode) {
	delete(k.nodes, n.path)
	k.bytes -= n.size()
}

// getAllKnown is getAll for callers who have had an answer of the server since they were asked themselves.
func (s *session) getAllKnown(ctx context.Context, paths []string) ([]node, error) {
	nodes := make([]node, len(paths))
	var unknown []string
	var places []int
	for i, path := range paths {
		n, ok, _, _ := s.known.look(path)
		if ok {
			nodes[i] = n
		} else {
			unknown, places = append(unknown, path), append(places, i)
		}
	}
	err := each(ctx, unknown, func(ctx context.Context, i int, path string) error {
		n, err := s.getAndWatch(ctx, path)
		nodes[places[i]] = n
		return err
	})
	return nodes, err
}

// getAndWatch reads a node that is not known, with a nil stat where it does not exist, and lets it be known.
func (s *session) getAndWatch(ctx context.Context, path string) (node, error) {
	type reading struct {
		node
		changed <-chan zk.Event
	}
	_, _, watch, link := s.known.look(path)
	r, _, err := call(ctx, s, func(c *zk.Conn) (reading, error) {
		if watch {
			data, stat, changed, err := c.GetW(s.chroot + path)
			if !errors.Is(err, zk.ErrNoNode) {
				return reading{node{path, data, stat}, changed}, err
			}
			exists, _, changed, err := c.ExistsW(s.chroot + path)
			if !exists || err != nil {
				return reading{node{path: path}, changed}, err
			}
		}
		data, stat, err := c.Get(s.chroot + path)
		if errors.Is(err, zk.ErrNoNode) {
			return reading{node: node{path: path}}, nil
		}
		return reading{node: node{path, data, stat}}, err
	})
	if err != nil {
		return node{}, named("read", path, err)
	}
	if r.changed != nil {
		s.known.add(r.node, r.changed, link)
	}
	return r.node, nil
}
