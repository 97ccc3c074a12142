package store

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// HostStatus reads all that is known of a host (zookeeper §8.10). Unreadable deployments and task statuses are left
// out, directories that are missing are empty (Q10). It returns host.ErrNotFound for a host that is not registered
// completely, or an [UnreadableError] for one of the documents about the host itself.
func (s *Store) HostStatus(ctx context.Context, name string) (host.Status, error) {
	status, err := certain(ctx, s, func() (host.Status, error) { return s.hostStatus(ctx, name) })
	return status, named("read status of host", name, err)
}

func (s *Store) hostStatus(ctx context.Context, name string) (host.Status, error) {
	if !legalName(name) {
		return host.Status{}, host.ErrNotFound
	}
	tasks, err := s.session.children(ctx, configHostJobs(name))
	if errors.Is(err, zk.ErrNoNode) { // of names that nobody registered nothing is remembered
		var registered bool
		if registered, err = s.session.exists(ctx, configHostID(name)); err == nil && !registered {
			err = host.ErrNotFound
		}
	}
	if err != nil {
		return host.Status{}, err
	}
	reported, err := s.session.childrenIfAny(ctx, statusHostJobs(name))
	if err != nil {
		return host.Status{}, err
	}
	nodes, err := s.session.getAllKnown(ctx, []string{
		configHostID(name), statusHostUp(name),
		statusHostInfo(name), statusHostAgentInfo(name), statusHostEnvironment(name), statusHostLabels(name),
	})
	if err != nil {
		return host.Status{}, err
	}
	if nodes[0].stat == nil {
		return host.Status{}, host.ErrNotFound
	}
	status := host.Status{Status: host.Down}
	if nodes[1].stat != nil {
		status.Status = host.Up
	}
	if status.HostInfo, err = optional(nodes[2], (*host.Info).JSON); err != nil {
		return host.Status{}, err
	}
	if status.AgentInfo, err = optional(nodes[3], (*host.AgentInfo).JSON); err != nil {
		return host.Status{}, err
	}
	if status.Environment, err = texts(nodes[4]); err != nil {
		return host.Status{}, err
	}
	if status.Labels, err = texts(nodes[5]); err != nil {
		return host.Status{}, err
	}
	deployments, err := entries(ctx, s, configHostJobs(name), tasks.names, (*job.Task).JSON)
	if err != nil {
		return host.Status{}, err
	}
	status.Jobs = make(map[job.ID]*job.Deployment, len(deployments))
	for id, task := range deployments {
		status.Jobs[id] = new(deploymentOf(id, *task))
	}
	status.Statuses, err = entries(ctx, s, statusHostJobs(name), reported, (*job.TaskStatus).JSON)
	return status, err
}

// entries reads the documents in a directory that was just listed and whose nodes are named by jobs.
func entries[T any](ctx context.Context, s *Store, directory string, names []string, form func(*T) document.Value) (map[job.ID]*T, error) {
	ids := s.jobIDs(directory, names)
	paths := make([]string, len(ids))
	for i, id := range ids {
		paths[i] = childOf(directory, id.String())
	}
	nodes, err := s.session.getAllKnown(ctx, paths)
	if err != nil {
		return nil, err
	}
	found := make(map[job.ID]*T, len(ids))
	for i, id := range ids {
		if v := listed(s, nodes[i], form); v != nil {
			found[id] = v
		}
	}
	return found, nil
}
