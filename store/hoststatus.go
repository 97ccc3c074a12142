package store

import (
	"context"

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
	nodes, err := s.session.getAll(ctx, []string{
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
	if status.Jobs, err = s.deployments(ctx, name); err != nil {
		return host.Status{}, err
	}
	status.Statuses, err = s.taskStatuses(ctx, name)
	return status, err
}

// deployments reads a host's deployments, as far as they are readable.
func (s *Store) deployments(ctx context.Context, name string) (map[job.ID]*job.Deployment, error) {
	tasks, err := entries(ctx, s, configHostJobs(name), (*job.Task).JSON)
	if err != nil {
		return nil, err
	}
	deployments := make(map[job.ID]*job.Deployment, len(tasks))
	for id, task := range tasks {
		deployments[id] = new(deploymentOf(id, *task))
	}
	return deployments, nil
}

// taskStatuses reads what a host reported of its tasks, as far as it is readable.
func (s *Store) taskStatuses(ctx context.Context, name string) (map[job.ID]*job.TaskStatus, error) {
	return entries(ctx, s, statusHostJobs(name), (*job.TaskStatus).JSON)
}

// entries reads the documents in a directory whose nodes are named by jobs.
func entries[T any](ctx context.Context, s *Store, directory string, form func(*T) document.Value) (map[job.ID]*T, error) {
	names, err := s.session.childrenIfAny(ctx, directory)
	if err != nil {
		return nil, err
	}
	ids := s.jobIDs(directory, names)
	paths := make([]string, len(ids))
	for i, id := range ids {
		paths[i] = childOf(directory, id.String())
	}
	nodes, err := s.session.getAll(ctx, paths)
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
