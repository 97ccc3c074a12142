package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-zookeeper/zk"
	"golang.org/x/sync/errgroup"
)

const (
	// anyVersion makes a write unconditional.
	anyVersion = -1
	// maxRequest is the longest request in bytes that every server takes, with room for the frame. The library would
	// lose the connection over a longer one.
	maxRequest = 1_000_000
	// maxInFlight bounds the requests of one batch that are under way together.
	maxInFlight = 128
)

// node is what one reading of a node gave.
type node struct {
	path string
	data []byte
	stat *zk.Stat
}

func (s *session) get(ctx context.Context, path string) (node, error) {
	n, _, err := call(ctx, s, func(c *zk.Conn) (node, error) {
		data, stat, err := c.Get(s.chroot + path)
		return node{path, data, stat}, err
	})
	return n, named("read", path, err)
}

// getAll reads many nodes at once, in flight together. The result has the order of paths, with a nil stat where the
// node does not exist.
func (s *session) getAll(ctx context.Context, paths []string) ([]node, error) {
	nodes := make([]node, len(paths))
	err := each(ctx, paths, func(ctx context.Context, i int, path string) error {
		n, err := s.get(ctx, path)
		if !errors.Is(err, zk.ErrNoNode) {
			nodes[i] = n
			return err
		}
		return nil
	})
	return nodes, err
}

// stats is getAll for the stats alone.
func (s *session) stats(ctx context.Context, paths ...string) ([]*zk.Stat, error) {
	stats := make([]*zk.Stat, len(paths))
	err := each(ctx, paths, func(ctx context.Context, i int, path string) (err error) {
		stats[i], err = s.stat(ctx, path)
		return err
	})
	return stats, err
}

// each calls f for all paths, many at once.
func each(ctx context.Context, paths []string, f func(ctx context.Context, i int, path string) error) error {
	if len(paths) == 1 {
		return f(ctx, 0, paths[0])
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxInFlight)
	for i, path := range paths {
		group.Go(func() error { return f(ctx, i, path) })
	}
	return group.Wait()
}

// stat gives a node's stat, nil when the node does not exist.
func (s *session) stat(ctx context.Context, path string) (*zk.Stat, error) {
	stat, _, err := call(ctx, s, func(c *zk.Conn) (*zk.Stat, error) {
		exists, stat, err := c.Exists(s.chroot + path)
		if !exists {
			stat = nil
		}
		return stat, err
	})
	return stat, named("look for", cmp.Or(path, "/"), err)
}

func (s *session) exists(ctx context.Context, path string) (bool, error) {
	stat, err := s.stat(ctx, path)
	return stat != nil, err
}

// listing is what one listing of a node's children gave: their names, sorted, and the node's own stat.
type listing struct {
	names []string
	stat  *zk.Stat
}

// children lists a node's children. A node that does not exist is an error.
func (s *session) children(ctx context.Context, path string) (listing, error) {
	l, _, err := call(ctx, s, func(c *zk.Conn) (listing, error) {
		names, stat, err := c.Children(cmp.Or(s.chroot+path, "/"))
		slices.Sort(names)
		return listing{names, stat}, err
	})
	return l, named("list", path, err)
}

// childrenIfAny is children, with none for a node that does not exist.
func (s *session) childrenIfAny(ctx context.Context, path string) ([]string, error) {
	l, err := s.children(ctx, path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	return l.names, err
}

func (s *session) create(ctx context.Context, path string, data []byte, flags int32) error {
	if len(path)+len(data) > maxRequest {
		return named("create", path, ErrTooLarge)
	}
	_, _, err := call(ctx, s, func(c *zk.Conn) (string, error) {
		return c.Create(s.chroot+path, notNil(data), flags, s.acl(path))
	})
	return named("create", path, err)
}

func (s *session) set(ctx context.Context, path string, data []byte, version int32) error {
	if len(path)+len(data) > maxRequest {
		return named("write", path, ErrTooLarge)
	}
	_, _, err := call(ctx, s, func(c *zk.Conn) (*zk.Stat, error) {
		return c.Set(s.chroot+path, notNil(data), version)
	})
	return named("write", path, err)
}

// put sets a node, creating it where it is missing. Its parent must exist.
func (s *session) put(ctx context.Context, path string, data []byte) error {
	err := s.set(ctx, path, data, anyVersion)
	if !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	err = s.create(ctx, path, data, 0)
	if !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	return s.set(ctx, path, data, anyVersion)
}

// remove deletes a node. That it does not exist is no error.
func (s *session) remove(ctx context.Context, path string) error {
	_, _, err := call(ctx, s, func(c *zk.Conn) (struct{}, error) {
		return struct{}{}, c.Delete(s.chroot+path, anyVersion)
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return named("delete", path, err)
}

// ensure makes a node and all above it, empty, where they are missing (zookeeper §1.4 without Q1 and Q6): all at once,
// so that whoever may not make the last one does not leave the others behind.
func (s *session) ensure(ctx context.Context, path string) error {
	var err error
	for range maxRaces {
		var missing []string
		for at := path; at != ""; at = parentOf(at) { // up to the root, which nobody creates
			exists, err := s.exists(ctx, at)
			if err != nil {
				return err
			}
			if exists {
				break
			}
			missing = append(missing, at)
		}
		var t txn
		for _, at := range slices.Backward(missing) {
			t.create(at, nil)
		}
		if _, err = s.commit(ctx, &t); errors.Is(err, zk.ErrNoNode) {
			return cmp.Or(s.findRoot(ctx), err)
		}
		if !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	return err
}

// tree lists a node and all below it, parents first. A node that does not exist has an empty tree.
func (s *session) tree(ctx context.Context, path string) ([]string, error) {
	level := []string{path}
	var all []string
	for len(level) > 0 {
		below := make([][]string, len(level))
		err := each(ctx, level, func(ctx context.Context, i int, path string) error {
			l, err := s.children(ctx, path)
			if errors.Is(err, zk.ErrNoNode) {
				return nil
			}
			below[i] = append(below[i], path)
			for _, name := range l.names {
				below[i] = append(below[i], childOf(path, name))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		level = nil
		for _, found := range below {
			if len(found) > 0 {
				all = append(all, found[0])
				level = append(level, found[1:]...)
			}
		}
	}
	return all, nil
}

// notNil makes empty data of none: a null breaks 0.9 processes (zookeeper §1.3).
func notNil(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	return data
}

// named says in an error what was tried on which node.
func named(operation, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", operation, path, err)
}
