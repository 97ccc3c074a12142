package store

import (
	"bytes"
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
)

// PutHostInfo writes what an agent knows of its machine, and by that the time at which it last did so. Like the other
// facts of a host it has a place only while the host is registered; it returns host.ErrNotFound otherwise (zookeeper
// §7.5).
func (s *Store) PutHostInfo(ctx context.Context, name string, info host.Info) error {
	return s.putStatus(ctx, name, statusHostInfo(name), document.Canonical(info.JSON()))
}

// PutAgentInfo writes what an agent says of itself. It returns host.ErrNotFound.
func (s *Store) PutAgentInfo(ctx context.Context, name string, info host.AgentInfo) error {
	return s.putStatus(ctx, name, statusHostAgentInfo(name), document.Canonical(info.JSON()))
}

// KeepHostInfo writes again what was put before, if the store does not have it any more. It returns host.ErrNotFound.
func (s *Store) KeepHostInfo(ctx context.Context, name string, info host.Info) error {
	return s.keepFact(ctx, name, statusHostInfo(name), info.JSON())
}

// KeepAgentInfo writes again what was put before, if the store does not have it any more. It returns host.ErrNotFound.
func (s *Store) KeepAgentInfo(ctx context.Context, name string, info host.AgentInfo) error {
	return s.keepFact(ctx, name, statusHostAgentInfo(name), info.JSON())
}

// PutEnvironment writes the variables that an agent gives to all containers, if they differ from what is there. It
// returns host.ErrNotFound.
func (s *Store) PutEnvironment(ctx context.Context, name string, environment map[string]string) error {
	return s.keepFact(ctx, name, statusHostEnvironment(name), document.TextMap(&environment))
}

// PutLabels writes the labels of a host, if they differ from what is there. It returns host.ErrNotFound.
func (s *Store) PutLabels(ctx context.Context, name string, labels map[string]string) error {
	return s.keepFact(ctx, name, statusHostLabels(name), document.TextMap(&labels))
}

// keepFact writes a fact, unless it is there as it is. A server that is behind may make it one write too many.
func (s *Store) keepFact(ctx context.Context, name, path string, fact document.Value) error {
	if !legalName(name) {
		return named("write", path, ErrName)
	}
	data := document.Canonical(fact)
	there, err := s.session.get(ctx, path)
	switch {
	case err == nil && bytes.Equal(there.data, data):
		return nil
	case errors.Is(err, zk.ErrNoNode):
		if err = s.session.create(ctx, path, data, 0); !errors.Is(err, zk.ErrNodeExists) {
			return unregistered(path, err)
		}
	case err != nil:
		return err
	}
	return s.putStatus(ctx, name, path, data)
}

// putStatus writes a node below a host's status, whose parent is made by registration alone.
func (s *Store) putStatus(ctx context.Context, name, path string, data []byte) error {
	if !legalName(name) {
		return named("write", path, ErrName)
	}
	return unregistered(path, s.session.put(ctx, path, data))
}

// unregistered makes host.ErrNotFound of the want of a place to write in.
func unregistered(path string, err error) error {
	if errors.Is(err, zk.ErrNoNode) {
		return named("write", path, host.ErrNotFound)
	}
	return err
}

// TaskStatuses reads the documents in a host's status directory as they are, by node name: an agent compares them with
// its own, which win (zookeeper §10.2). It returns host.ErrNotFound when there is no such directory, which says nothing
// about the statuses.
func (s *Store) TaskStatuses(ctx context.Context, name string) (map[string][]byte, error) {
	statuses, err := s.rawStatuses(ctx, name)
	return statuses, named("read task statuses of", name, err)
}

func (s *Store) rawStatuses(ctx context.Context, name string) (map[string][]byte, error) {
	if !legalName(name) {
		return nil, host.ErrNotFound
	}
	list, err := s.session.children(ctx, statusHostJobs(name))
	if errors.Is(err, zk.ErrNoNode) {
		return nil, host.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(list.names))
	for i, id := range list.names {
		paths[i] = statusHostJob(name, id)
	}
	nodes, err := s.session.getAll(ctx, paths)
	if err != nil {
		return nil, err
	}
	statuses := make(map[string][]byte, len(nodes))
	for i, id := range list.names {
		if nodes[i].stat != nil {
			statuses[id] = notNil(nodes[i].data)
		}
	}
	return statuses, nil
}

// PutTaskStatus writes one status document into a host's status directory. It returns host.ErrNotFound when there is no
// such directory, or ErrName.
func (s *Store) PutTaskStatus(ctx context.Context, name, id string, status []byte) error {
	if !legalName(id) {
		return named("write status of task", id, ErrName)
	}
	return s.putStatus(ctx, name, statusHostJob(name, id), status)
}

// RemoveTaskStatus deletes one status document, if it is there. It returns ErrName.
func (s *Store) RemoveTaskStatus(ctx context.Context, name, id string) error {
	if !legalName(name) || !legalName(id) {
		return named("delete status of task", id, ErrName)
	}
	return s.session.remove(ctx, statusHostJob(name, id))
}
