package store

import (
	"context"

	"github.com/helios-go/helios/store/job"
)

// Hosts lists the names of all hosts, halfway registered ones too, sorted as texts (zookeeper §8.10).
func (s *Store) Hosts(ctx context.Context) ([]string, error) {
	names, err := s.session.childrenNow(ctx, configHosts)
	return names, named("list", "hosts", err)
}

// HostJobs lists for each of the hosts the ids of the jobs deployed there, without reading the deployments.
func (s *Store) HostJobs(ctx context.Context, hosts []string) (map[string][]job.ID, error) {
	found := make([][]job.ID, len(hosts))
	err := each(ctx, hosts, func(ctx context.Context, i int, name string) error {
		if !legalName(name) {
			return nil
		}
		names, err := s.session.childrenIfAny(ctx, configHostJobs(name))
		found[i] = s.jobIDs(configHostJobs(name), names)
		return err
	})
	if err != nil {
		return nil, named("list", "deployments", err)
	}
	jobs := make(map[string][]job.ID, len(hosts))
	for i, name := range hosts {
		jobs[name] = found[i]
	}
	return jobs, nil
}

// HostLabels reads the labels of a host; none for a host that is not registered completely or reported none. It
// returns an [UnreadableError].
func (s *Store) HostLabels(ctx context.Context, name string) (map[string]string, error) {
	if !legalName(name) {
		return nil, nil
	}
	nodes, err := s.session.getAll(ctx, []string{configHostID(name), statusHostLabels(name)})
	if err != nil || nodes[0].stat == nil {
		return nil, named("read labels of host", name, err)
	}
	labels, err := texts(nodes[1])
	return labels, named("read labels of host", name, err)
}

// HostUp reports whether a host is registered and its agent alive.
func (s *Store) HostUp(ctx context.Context, name string) (bool, error) {
	if !legalName(name) {
		return false, nil
	}
	stats, err := s.session.stats(ctx, configHostID(name), statusHostUp(name))
	if err != nil {
		return false, named("look for host", name, err)
	}
	return stats[0] != nil && stats[1] != nil, nil
}

func (s *Store) hostExists(ctx context.Context, name string) (bool, error) {
	if !legalName(name) {
		return false, nil
	}
	return s.session.exists(ctx, configHost(name))
}
