package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-zookeeper/zk"
)

// OccupiedError says which of the nodes that would have been created exist.
type OccupiedError struct{ Nodes []string }

func (e *OccupiedError) Error() string {
	return "some nodes already exist: " + strings.Join(e.Nodes, ", ")
}

// CreateClusterID makes the tree that of a cluster, all nodes at once (zookeeper §4.1). It returns an [OccupiedError]
// when there is anything in their places, unless force says to create only what is missing; and ErrName.
func (s *Store) CreateClusterID(ctx context.Context, id string, force bool) error {
	if !legalName(id) {
		return named("create cluster id", id, ErrName)
	}
	paths := []string{parentOf(configIDs), configIDs, configID(id)}
	stats, err := s.session.stats(ctx, paths...)
	if err != nil {
		return named("create cluster id", id, err)
	}
	var (
		t    txn
		here []string
	)
	for i, path := range paths {
		if stats[i] != nil {
			here = append(here, path)
		} else {
			t.create(path, nil)
		}
	}
	if here != nil && !force {
		return &OccupiedError{Nodes: here}
	}
	lost, err := s.session.commit(ctx, &t)
	if errors.Is(err, zk.ErrNodeExists) && lost {
		if done, lookErr := s.session.exists(ctx, configID(id)); done || lookErr != nil {
			return lookErr
		}
	}
	if errors.Is(err, zk.ErrNoNode) && s.session.chroot != "" {
		err = fmt.Errorf("the chroot %s does not exist, which somebody must create first: %w", s.session.chroot, err)
	}
	return named("create cluster id", id, err)
}
