package store

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"
)

// goodbye bounds the deletion of an ephemeral node at an orderly end.
const goodbye = 2 * time.Second

// KeepTree makes the nodes that everything else stands on, and makes them again after a reconnection should they be
// missing. It blocks until ctx ends. For a master that does not register itself (zookeeper Q38).
func (s *Store) KeepTree(ctx context.Context) error {
	makeTree := s.treeMaker()
	return s.session.loop(ctx, "making the tree", func(ctx context.Context, _ *watches) error { return makeTree(ctx) })
}

// KeepMaster does what KeepTree does and keeps the master called name registered: its up node exists while KeepMaster
// runs and ZooKeeper is there, and is deleted at the end of ctx, for which it blocks (zookeeper §6). ErrName is the
// only other reason to return.
func (s *Store) KeepMaster(ctx context.Context, name string) error {
	if !legalName(name) {
		return named("register master", name, ErrName)
	}
	defer s.session.farewell(ctx, statusMasterUp(name))
	makeTree := s.treeMaker()
	return s.session.loop(ctx, "registering master "+name, func(ctx context.Context, w *watches) error {
		if err := makeTree(ctx); err != nil {
			return err
		}
		if err := s.session.ensure(ctx, statusMaster(name)); err != nil {
			return err
		}
		return w.ephemeral(ctx, statusMasterUp(name))
	})
}

// Masters lists the masters that are up.
func (s *Store) Masters(ctx context.Context) ([]string, error) {
	masters, err := s.session.children(ctx, statusMasters)
	if err != nil {
		return nil, named("list", "masters", err)
	}
	paths := make([]string, len(masters.names))
	for i, name := range masters.names {
		paths[i] = statusMasterUp(name)
	}
	stats, err := s.session.stats(ctx, paths...)
	if err != nil {
		return nil, named("list", "masters", err)
	}
	up := make([]string, 0, len(masters.names))
	for i, name := range masters.names {
		if stats[i] != nil {
			up = append(up, name)
		}
	}
	return up, nil
}

// treeMaker gives a function that makes the base paths, and the first times protects the root node before.
func (s *Store) treeMaker() func(context.Context) error {
	protected := false
	return func(ctx context.Context) error {
		protected = protected || s.protectRoot(ctx)
		return s.ensureBase(ctx)
	}
}

func (s *Store) ensureBase(ctx context.Context) error {
	for _, path := range basePaths {
		if err := s.session.ensure(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// ephemeral makes an ephemeral node unless it exists, and watches it (zookeeper §6.1). One that an earlier session of
// the same process left is taken for ours: when that session ends, the watch rings and the node is made anew. So does
// the watch ring for a node just made, which is then found and watched in its turn.
func (w *watches) ephemeral(ctx context.Context, path string) error {
	stat, err := w.stat(ctx, path)
	if err != nil || stat != nil {
		return err
	}
	err = w.session.createUnhurried(ctx, path)
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// createUnhurried creates an ephemeral node and, when ctx ends, waits for the answer for a little longer: a creation
// that was left behind could come after the farewell.
func (s *session) createUnhurried(ctx context.Context, path string) error {
	patient, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(goodbye, func() { cancel(context.Cause(ctx)) })
		context.AfterFunc(patient, func() { timer.Stop() })
	})()
	return s.create(patient, path, nil, zk.FlagEphemeral)
}

// farewell deletes an ephemeral node at the end of ctx, so that nobody need wait for the session's.
func (s *session) farewell(ctx context.Context, path string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if err := s.remove(ctx, path); err != nil && !errors.Is(err, ErrClosed) {
		s.log.Warn().Err(err).Msg("ephemeral node is left to the session's end")
	}
}
