package store

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
)

// RegisterHost registers a host on behalf of an agent with that id (zookeeper §8.8). A host that is registered with the
// same id is left as it is; with another, it is a host.ErrConflict (Q12). It also returns ErrName.
func (s *Store) RegisterHost(ctx context.Context, name, id string) error {
	if !legalName(name) {
		return named("register host", name, ErrName)
	}
	err := s.createHost(ctx, name, id)
	if errors.Is(err, zk.ErrNodeExists) {
		var n node
		switch n, err = s.session.get(ctx, configHostID(name)); {
		case err != nil:
		case sameID(n.data, id):
			err = s.ensureHost(ctx, name)
		default:
			err = host.ErrConflict
		}
	}
	return named("register host", name, err)
}

// DeregisterHost takes a host off the list, with its deployments, statuses and history (zookeeper §8.9). Halfway
// registered hosts can be deregistered too (Q10). It undeploys nothing: the agent's containers go on running (decision
// 9). It returns host.ErrNotFound.
func (s *Store) DeregisterHost(ctx context.Context, name string) error {
	return named("deregister host", name, certainly(ctx, s, func() error { return s.deregister(ctx, name) }))
}

func (s *Store) deregister(ctx context.Context, name string) error {
	unsure := false // a lost attempt may have done it
	for range maxRaces {
		known, err := s.hostExists(ctx, name)
		if err != nil {
			return err
		}
		if !known {
			if unsure {
				return nil
			}
			return host.ErrNotFound
		}
		t, err := s.planDeregistration(ctx, name)
		if err != nil {
			return err
		}
		lost, err := s.session.commit(ctx, t)
		if !raced(err) {
			return err
		}
		unsure = unsure || lost
	}
	return errRaces
}

// planDeregistration deletes all there is of a host at once. What may be too much for one transaction goes first: the
// history of its jobs, and if need be the statuses of its tasks (zookeeper Q11).
func (s *Store) planDeregistration(ctx context.Context, name string) (*txn, error) {
	config, err := s.session.tree(ctx, configHost(name))
	if err != nil {
		return nil, err
	}
	jobs, err := s.session.childrenIfAny(ctx, configHostJobs(name))
	if err != nil {
		return nil, err
	}
	var links []string
	for _, text := range jobs {
		id, err := nodeID(configHostJobs(name), text)
		if err != nil {
			continue // no job of such a name has a list of hosts, or a history
		}
		links = append(links, configJobHost(id, name))
		if err := s.session.removeTree(ctx, historyJobHost(id, name)); err != nil {
			return nil, err
		}
	}
	found, err := s.session.stats(ctx, links...)
	if err != nil {
		return nil, err
	}
	status, err := s.session.tree(ctx, statusHost(name))
	if err != nil {
		return nil, err
	}
	if len(config)+len(links)+len(status) > 4*maxBatch {
		if err := s.session.removeTree(ctx, statusHostJobs(name)); err != nil {
			return nil, err
		}
		if status, err = s.session.tree(ctx, statusHost(name)); err != nil {
			return nil, err
		}
	}
	var t txn
	for i, stat := range found {
		if stat != nil {
			t.delete(links[i], anyVersion)
		}
	}
	t.deleteTree(status)
	t.deleteTree(config)
	return &t, nil
}
