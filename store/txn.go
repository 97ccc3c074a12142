package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-zookeeper/zk"
)

const (
	// maxRaces is how often a transaction is planned anew after others came between its reading and its writing.
	maxRaces = 3
	// maxBatch is how many nodes one transaction deletes when there may be very many.
	maxBatch = 500
)

// errOvertaken ends an operation of which nothing can be told: nothing was heard of it, and what it would have left is not
// there, or not any more.
var errOvertaken = errors.New("the connection was lost, and others have changed the same since: it may have been done and undone")

// errRaces ends an operation that others came in between too often.
var errRaces = fmt.Errorf("%d failures (possibly concurrent modifications), giving up", maxRaces)

// raced reports whether a transaction was refused because the tree was not as read before.
func raced(err error) bool {
	return errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrNodeExists) ||
		errors.Is(err, zk.ErrNotEmpty) || errors.Is(err, zk.ErrBadVersion)
}

// txn is a list of operations that are carried out together or not at all (zookeeper §1.3).
type txn struct {
	operations []any
	paths      []string // of the operations
	size       int      // bytes on the wire, without the chroot
}

const (
	operationSize = 32  // bytes of an operation beside path and data, at most
	accessSize    = 160 // of an access list
)

func (t *txn) add(operation any, path string, data []byte) {
	t.operations = append(t.operations, operation)
	t.paths = append(t.paths, path)
	t.size += len(path) + len(data) + operationSize
}

// check demands that a node exists, with that version.
func (t *txn) check(path string, version int32) {
	t.add(&zk.CheckVersionRequest{Path: path, Version: version}, path, nil)
}

func (t *txn) create(path string, data []byte) {
	t.add(&zk.CreateRequest{Path: path, Data: notNil(data)}, path, data)
	t.size += accessSize
}

func (t *txn) set(path string, data []byte, version int32) {
	t.add(&zk.SetDataRequest{Path: path, Data: notNil(data), Version: version}, path, data)
}

func (t *txn) delete(path string, version int32) {
	t.add(&zk.DeleteRequest{Path: path, Version: version}, path, nil)
}

// absent demands that a node does not exist, in a directory that does (as zookeeper §8.15).
func (t *txn) absent(path string) {
	t.create(path, nil)
	t.delete(path, anyVersion)
}

// creates reports whether t makes a node.
func (t *txn) creates() bool {
	return slices.ContainsFunc(t.operations, func(operation any) bool { _, ok := operation.(*zk.CreateRequest); return ok })
}

// deleteTree deletes what tree listed: leaves first.
func (t *txn) deleteTree(paths []string) {
	for i := range paths {
		t.delete(paths[len(paths)-1-i], anyVersion)
	}
}

// fits reports whether t can be sent in one request.
func (s *session) fits(t *txn) bool { return t.size+len(t.operations)*len(s.chroot) <= maxRequest }

// commit carries out t; a t without operations is done. The error names the operation that was refused. lost says
// that the connection was lost on the way: the refusal may then be that of a repetition, after t was done.
func (s *session) commit(ctx context.Context, t *txn) (lost bool, err error) {
	if len(t.operations) == 0 {
		return false, nil
	}
	if !s.fits(t) {
		return false, fmt.Errorf("commit %d operations: %w", len(t.operations), ErrTooLarge)
	}
	results, lost, err := call(ctx, s, t.request(s))
	return lost, t.refused(results, err)
}

// attempt carries out t, but never twice. Where commit repeats what it has heard nothing of, attempt first looks at a
// witness: a node that t changes for good, be it only by its children, as it was when t was planned; nil, if it was not
// there. If it has not changed, t was not carried out. If it has, whoever did it, attempt ends with overtaken.
func (s *session) attempt(ctx context.Context, t *txn, witness string, before *zk.Stat) (overtaken bool, err error) {
	if !s.fits(t) {
		return false, fmt.Errorf("commit %d operations: %w", len(t.operations), ErrTooLarge)
	}
	for range maxAttempts {
		if err := s.await(ctx); err != nil {
			return false, err
		}
		var results []zk.MultiResponse
		if results, err = inCluster(ctx, s, t.request(s)); !connectionLost(err) {
			return false, t.refused(results, s.denied(err))
		}
		if err := s.catchUp(ctx); err != nil {
			return false, err
		}
		now, err := s.stat(ctx, witness)
		if err != nil {
			return false, err
		}
		if differ(before, now) {
			return true, nil
		}
	}
	return false, fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// differ tells two states of a node apart.
func differ(a, b *zk.Stat) bool {
	if a == nil || b == nil {
		return a != b
	}
	return a.Czxid != b.Czxid || a.Version != b.Version || a.Cversion != b.Cversion
}

// request is what sends t.
func (t *txn) request(s *session) func(*zk.Conn) ([]zk.MultiResponse, error) {
	operations := make([]any, len(t.operations))
	for i, operation := range t.operations {
		operations[i] = s.complete(operation)
	}
	return func(c *zk.Conn) ([]zk.MultiResponse, error) { return c.Multi(operations...) }
}

// refused names in an error the operation that was refused.
func (t *txn) refused(results []zk.MultiResponse, err error) error {
	for i, result := range results {
		if result.Error != nil && err != nil {
			return named("commit", t.paths[i], err)
		}
	}
	return err
}

// complete is operation with its path below the chroot, and with the access list of what it creates.
func (s *session) complete(operation any) any {
	switch o := operation.(type) {
	case *zk.CheckVersionRequest:
		return &zk.CheckVersionRequest{Path: s.chroot + o.Path, Version: o.Version}
	case *zk.CreateRequest:
		return &zk.CreateRequest{Path: s.chroot + o.Path, Data: o.Data, Acl: s.acl(o.Path)}
	case *zk.SetDataRequest:
		return &zk.SetDataRequest{Path: s.chroot + o.Path, Data: o.Data, Version: o.Version}
	case *zk.DeleteRequest:
		return &zk.DeleteRequest{Path: s.chroot + o.Path, Version: o.Version}
	}
	panic(fmt.Sprintf("store: no such operation: %T", operation))
}

// removeTree deletes a node and all below it, in batches (zookeeper Q11). A live agent may add to it meanwhile, hence the
// repetitions.
func (s *session) removeTree(ctx context.Context, path string) error {
	var err error
	for range maxRaces {
		var paths []string
		if paths, err = s.tree(ctx, path); err != nil || len(paths) == 0 {
			return err
		}
		slices.Reverse(paths)
		if err = s.removeAll(ctx, paths); !raced(err) {
			return err
		}
	}
	return err
}

// removeAll deletes nodes in batches.
func (s *session) removeAll(ctx context.Context, paths []string) error {
	for batch := range slices.Chunk(paths, maxBatch) {
		var t txn
		for _, path := range batch {
			t.delete(path, anyVersion)
		}
		if _, err := s.commit(ctx, &t); err != nil {
			return err
		}
	}
	return nil
}
