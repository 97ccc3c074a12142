package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
)

// RegisterHost registers a host on behalf of an agent with that id (zookeeper §8.8). A host that is registered with the
// same id is left as it is; with another, it is a host.ErrConflict (Q12). It also returns ErrName.
func (s *Store) RegisterHost(ctx context.Context, name, id string) error {
	if !legalName(name) {
		return named("register host", name, ErrName)
	}
	return named("register host", name, s.registerHost(ctx, name, id))
}

func (s *Store) registerHost(ctx context.Context, name, id string) error {
	var err error
	for range maxRaces {
		var held node
		held, err = s.session.get(ctx, configHostID(name))
		switch {
		case errors.Is(err, zk.ErrNoNode):
			err = s.createHost(ctx, name, id)
		case err == nil && sameID(held.data, id):
			err = s.ensureHost(ctx, name)
		case err == nil:
			return host.ErrConflict
		}
		if !raced(err) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", errRaces, err)
}

// DeregisterHost takes a host off the list, with its deployments, statuses and history (zookeeper §8.9). Halfway
// registered hosts can be deregistered too (Q10). It undeploys nothing: the agent's containers go on running (decision
// 9). It returns host.ErrNotFound.
func (s *Store) DeregisterHost(ctx context.Context, name string) error {
	return named("deregister host", name, certainly(ctx, s, func() error { return s.deregister(ctx, name) }))
}

func (s *Store) deregister(ctx context.Context, name string) error {
	if !legalName(name) {
		return host.ErrNotFound
	}
	for range maxRaces {
		stat, err := s.session.stat(ctx, configHost(name))
		if err != nil {
			return err
		}
		if stat == nil {
			return host.ErrNotFound
		}
		t, err := s.planDeregistration(ctx, name)
		if raced(err) {
			continue
		}
		if err != nil {
			return err
		}
		overtaken, err := s.session.attempt(ctx, t, configHost(name), stat)
		if overtaken {
			now, err := s.session.stat(ctx, configHost(name))
			if err != nil || now == nil || now.Czxid != stat.Czxid {
				return err // it is gone; another one that is there now was not meant
			}
			continue
		}
		if !raced(err) {
			return err
		}
	}
	return errRaces
}

// planDeregistration deletes all there is of a host at once: taken from a host that is still registered, tasks would be
// undeployed. What may be too much for one transaction goes first: the history of its jobs, and if need be the statuses of
// its tasks, and then what belongs to its tasks (zookeeper Q11).
func (s *Store) planDeregistration(ctx context.Context, name string) (*txn, error) {
	config, err := s.session.tree(ctx, configHost(name))
	if err == nil && len(config) == 0 {
		err = named("list", configHost(name), zk.ErrNoNode)
	}
	if err != nil {
		return nil, err
	}
	links, err := s.forgetHistory(ctx, name)
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
	for _, link := range links {
		t.delete(link, anyVersion)
	}
	t.deleteTree(status)
	if len(status) == 0 { // should an agent register the host at this moment, all is read again
		if err := s.session.ensure(ctx, statusHosts); err != nil {
			return nil, err
		}
		t.absent(statusHost(name))
	}
	t.deleteTree(config)
	if s.session.fits(&t) {
		return &t, nil
	}
	first := links
	for _, path := range config {
		if parentOf(path) == configHostPorts(name) || parentOf(parentOf(path)) == configHostJobs(name) {
			first = append(first, path)
		}
	}
	if len(first) == 0 {
		return &t, nil
	}
	if err := s.session.removeAll(ctx, first); err != nil {
		return nil, err
	}
	return s.planDeregistration(ctx, name)
}

// forgetHistory deletes the history of a host's jobs, and returns the nodes by which they list the host.
func (s *Store) forgetHistory(ctx context.Context, name string) ([]string, error) {
	jobs, err := s.session.childrenIfAny(ctx, configHostJobs(name))
	if err != nil {
		return nil, err
	}
	var links, history []string
	for _, text := range jobs {
		id, err := nodeID(configHostJobs(name), text)
		if err != nil {
			continue // no job of such a name has a list of hosts, or a history
		}
		links, history = append(links, configJobHost(id, name)), append(history, historyJobHost(id, name))
	}
	err = each(ctx, history, func(ctx context.Context, _ int, path string) error { return s.session.removeTree(ctx, path) })
	if err != nil {
		return nil, err
	}
	found, err := s.session.stats(ctx, links...)
	if err != nil {
		return nil, err
	}
	there := links[:0]
	for i, stat := range found {
		if stat != nil {
			there = append(there, links[i])
		}
	}
	return there, nil
}
