package store

import (
	"context"
	"errors"
	"slices"

	"github.com/go-zookeeper/zk"
	"github.com/google/uuid"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// statusReserve is room in bytes for what an agent adds to a status: its own environment, an error, names.
const statusReserve = 64 << 10

// CreateJob adds a job (zookeeper §8.1). It returns job.ErrExists when there is a job of that name and version,
// and ErrTooLarge for one that no status could tell of. A base path that is missing is made.
func (s *Store) CreateJob(ctx context.Context, j job.Job) error {
	operation := uuid.NewString()
	if err := s.createJob(ctx, j, operation); err != nil {
		return named("create job", j.ID.String(), err)
	}
	return nil
}

func (s *Store) createJob(ctx context.Context, j job.Job, operation string) error {
	if !legalName(j.ID.String()) {
		return ErrName
	}
	// A status holds the job and its environment once more: one that could be stored but never told of is no use.
	told := job.TaskStatus{Job: j, Env: j.Env, Ports: j.Ports, State: job.HealthChecking}
	if len(document.Canonical(told.JSON())) > maxRequest-statusReserve {
		return ErrTooLarge
	}
	if err := s.session.ensure(ctx, historyJob(j.ID)); err != nil {
		return err
	}
	base, err := s.session.stats(ctx, configJobs, configJobRefs)
	if err == nil && slices.Contains(base, nil) { // nobody has made the tree yet, or not all of it
		if err = s.ensureBase(ctx); err == nil {
			base, err = s.session.stats(ctx, configJobs, configJobRefs)
		}
	}
	if err != nil {
		return err
	}
	jobs := base[0]
	var t txn
	t.create(configJob(j.ID), document.Canonical(j.JSON()))
	t.create(configJobRef(j.ID), quoted(j.ID))
	t.create(configJobHosts(j.ID), nil)
	t.create(configJobCreation(j.ID, operation), nil)
	t.set(configJobs, []byte(uuid.NewString()), anyVersion)
	overtaken, err := s.session.attempt(ctx, &t, configJobs, jobs)
	if overtaken {
		ours, err := s.session.exists(ctx, configJobCreation(j.ID, operation))
		if err == nil && !ours {
			err = errOvertaken
		}
		return err
	}
	if errors.Is(err, zk.ErrNodeExists) {
		return job.ErrExists
	}
	return err
}

// Job reads a job. It returns job.ErrNotFound or an [UnreadableError].
func (s *Store) Job(ctx context.Context, id job.ID) (job.Job, error) {
	j, err := certain(ctx, s, func() (job.Job, error) { return s.job(ctx, id) })
	return j, named("read job", id.String(), err)
}

func (s *Store) job(ctx context.Context, id job.ID) (job.Job, error) {
	j, _, err := s.jobAndStat(ctx, id)
	return j, err
}

func (s *Store) jobAndStat(ctx context.Context, id job.ID) (job.Job, *zk.Stat, error) {
	if !legalName(id.String()) {
		return job.Job{}, nil, job.ErrNotFound
	}
	n, err := s.session.get(ctx, configJob(id))
	if errors.Is(err, zk.ErrNoNode) {
		return job.Job{}, nil, job.ErrNotFound
	}
	if err != nil {
		return job.Job{}, nil, err
	}
	j, err := read(n, (*job.Job).JSON)
	return j, n.stat, err
}

// JobIDs lists the ids of all jobs, in the order of their texts.
func (s *Store) JobIDs(ctx context.Context) ([]job.ID, error) {
	names, err := s.session.childrenNow(ctx, configJobs)
	if err != nil {
		return nil, named("list", "jobs", err)
	}
	return s.jobIDs(configJobs, names), nil
}

// jobIDs are the ids that nodes of a directory are named by. Other names are left out.
func (s *Store) jobIDs(directory string, names []string) []job.ID {
	ids := make([]job.ID, 0, len(names))
	for _, name := range names {
		id, err := nodeID(directory, name)
		if err != nil {
			s.report(node{path: childOf(directory, name), stat: new(zk.Stat)}, err)
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// Jobs reads the jobs of ids. Those that do not exist, or no more, and those that are unreadable are not in the result.
func (s *Store) Jobs(ctx context.Context, ids []job.ID) (map[job.ID]job.Job, error) {
	paths := make([]string, len(ids))
	for i, id := range ids {
		paths[i] = configJob(id)
	}
	nodes, err := s.session.getAll(ctx, paths)
	if err != nil {
		return nil, named("read", "jobs", err)
	}
	jobs := make(map[job.ID]job.Job, len(ids))
	for i, n := range nodes {
		if j := listed(s, n, (*job.Job).JSON); j != nil {
			jobs[ids[i]] = *j
		}
	}
	return jobs, nil
}

// JobStatus reads a job and what is known of it on the hosts it is deployed on: there the deployments, and the task
// statuses of those that reported one (zookeeper §8.2). Unreadable deployments and statuses are left out. It returns
// job.ErrNotFound, or an [UnreadableError] for the job itself.
func (s *Store) JobStatus(ctx context.Context, id job.ID) (job.Status, error) {
	status, err := certain(ctx, s, func() (job.Status, error) { return s.jobStatus(ctx, id) })
	return status, named("read status of job", id.String(), err)
}

func (s *Store) jobStatus(ctx context.Context, id job.ID) (job.Status, error) {
	if !legalName(id.String()) {
		return job.Status{}, job.ErrNotFound
	}
	hosts, err := s.session.children(ctx, configJobHosts(id))
	if errors.Is(err, zk.ErrNoNode) {
		return job.Status{}, job.ErrNotFound
	}
	if err != nil {
		return job.Status{}, err
	}
	paths := []string{configJob(id)}
	for _, host := range hosts.names {
		paths = append(paths, configHostJob(host, id.String()), statusHostJob(host, id.String()))
	}
	nodes, err := s.session.getAllKnown(ctx, paths)
	if err != nil {
		return job.Status{}, err
	}
	if nodes[0].stat == nil {
		return job.Status{}, job.ErrNotFound
	}
	j, err := read(nodes[0], (*job.Job).JSON)
	if err != nil {
		return job.Status{}, err
	}
	status := job.Status{
		Job:          &j,
		Deployments:  make(map[string]*job.Deployment),
		TaskStatuses: make(map[string]*job.TaskStatus),
	}
	for i, host := range hosts.names {
		if task := listed(s, nodes[2*i+1], (*job.Task).JSON); task != nil {
			status.Deployments[host] = new(deploymentOf(id, *task))
		}
		if reported := listed(s, nodes[2*i+2], (*job.TaskStatus).JSON); reported != nil {
			status.TaskStatuses[host] = reported
		}
	}
	return status, nil
}

// RemoveJob removes a job that is deployed nowhere, and its history (zookeeper §8.3). It returns job.ErrNotFound,
// job.ErrForbidden, an [InUseError], or an [UnreadableError].
func (s *Store) RemoveJob(ctx context.Context, id job.ID, token string) error {
	if err := certainly(ctx, s, func() error { return s.removeJob(ctx, id, token) }); err != nil {
		return named("remove job", id.String(), err)
	}
	if err := s.session.removeTree(ctx, historyJob(id)); err != nil {
		s.log.Warn().Err(err).Str("job", id.String()).Msg("history of the removed job is left behind")
	}
	return nil
}

func (s *Store) removeJob(ctx context.Context, id job.ID, token string) error {
	for range maxRaces {
		j, stat, err := s.jobAndStat(ctx, id)
		if err != nil {
			return err
		}
		if err := verify(j, token); err != nil {
			return err
		}
		t, err := s.planRemoval(ctx, id)
		if err != nil {
			return err
		}
		overtaken, err := s.session.attempt(ctx, t, configJob(id), stat)
		if overtaken || !raced(err) {
			return err // the job is gone: nothing else about it ever changes
		}
	}
	return errRaces
}

// planRemoval deletes whatever there is of a job: also with more than one creation node, or without a reference. A
// host in the job's list that has no such task is a leftover, not a deployment (zookeeper Q9), as long as it has none.
func (s *Store) planRemoval(ctx context.Context, id job.ID) (*txn, error) {
	below, err := s.session.childrenIfAny(ctx, configJob(id))
	if err != nil {
		return nil, err
	}
	hosts, err := s.session.childrenIfAny(ctx, configJobHosts(id))
	if err != nil {
		return nil, err
	}
	paths := []string{configJobRef(id)}
	for _, host := range hosts {
		paths = append(paths, configHost(host), configHostJobs(host), configHostJob(host, id.String()))
	}
	stats, err := s.session.stats(ctx, paths...)
	if err != nil {
		return nil, err
	}
	var (
		t     txn
		inUse []string
	)
	for i, host := range hosts {
		at := 1 + 3*i
		missing := slices.Index(stats[at:at+3], nil) // the first of them
		if missing < 0 {
			inUse = append(inUse, host)
			continue
		}
		t.absent(paths[at+missing])
		t.delete(configJobHost(id, host), anyVersion)
	}
	if inUse != nil {
		return nil, &InUseError{Job: id, Hosts: inUse}
	}
	for _, name := range below {
		t.delete(childOf(configJob(id), name), anyVersion)
	}
	if stats[0] != nil {
		t.delete(configJobRef(id), anyVersion)
	}
	t.delete(configJob(id), anyVersion)
	t.set(configJobs, []byte(uuid.NewString()), anyVersion)
	return &t, nil
}

// verify compares a token with the job's; a job without one takes none (zookeeper §8).
func verify(j job.Job, token string) error {
	if j.Token != token {
		return job.ErrForbidden
	}
	return nil
}

// quoted is the content of a node that refers to a job: its id as a document.
func quoted(id job.ID) []byte { return document.Canonical(id.JSON()) }
