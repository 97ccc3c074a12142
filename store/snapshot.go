package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-zookeeper/zk"
)

// Tree is all of Helios' nodes at about one moment, by path. Those that others keep beside them are not in it.
type Tree map[string]TreeNode

// TreeNode is a node as ZooKeeper has it.
type TreeNode struct {
	Data      []byte
	Null      bool // it has no data, which is not the same as data of no length
	Ephemeral bool
	ACL       []zk.ACL // where it was asked for
}

// roots are the nodes that all others are below.
var roots = []string{"/config", "/status", "/history"}

// Snapshot reads the whole tree, and the access lists if asked to. Nodes that come and go meanwhile may be in it or not.
// It returns ErrNoRoot.
func (s *Store) Snapshot(ctx context.Context, acls bool) (Tree, error) {
	if err := s.session.catchUp(ctx); err != nil {
		return nil, err
	}
	if err := s.session.findRoot(ctx); err != nil {
		return nil, err
	}
	var mu sync.Mutex // guards tree and below
	tree := make(Tree)
	for level := roots; len(level) > 0; {
		var below []string
		err := each(ctx, level, func(ctx context.Context, _ int, path string) error {
			n, names, err := s.session.whole(ctx, path, acls)
			if errors.Is(err, zk.ErrNoNode) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			tree[path] = n
			for _, name := range names {
				below = append(below, childOf(path, name))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		level = below
	}
	return tree, nil
}

// whole reads all there is of a node, and the names of its children.
func (s *session) whole(ctx context.Context, path string, acls bool) (TreeNode, []string, error) {
	n, err := s.get(ctx, path)
	if err != nil {
		return TreeNode{}, nil, err
	}
	read := TreeNode{Data: n.data, Null: n.data == nil, Ephemeral: n.stat.EphemeralOwner != 0}
	if acls {
		if read.ACL, err = s.getACL(ctx, path); err != nil {
			return TreeNode{}, nil, err
		}
	}
	if n.stat.NumChildren == 0 {
		return read, nil, nil
	}
	list, err := s.children(ctx, path)
	return read, list.names, err
}

// getACL reads the access list of a node.
func (s *session) getACL(ctx context.Context, path string) ([]zk.ACL, error) {
	at := cmp.Or(path, "/")
	acl, _, err := call(ctx, s, func(c *zk.Conn) ([]zk.ACL, error) {
		acl, _, err := c.GetACL(cmp.Or(s.chroot+path, "/"))
		return acl, err
	})
	return acl, named("read access list of", at, err)
}

// findRoot returns ErrNoRoot if there is no node that stands for the root.
func (s *session) findRoot(ctx context.Context) error {
	if s.chroot == "" {
		return nil
	}
	found, err := s.exists(ctx, "")
	if err == nil && !found {
		return fmt.Errorf("%s: %w", s.chroot, ErrNoRoot)
	}
	return err
}
