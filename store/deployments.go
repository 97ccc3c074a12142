package store

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-zookeeper/zk"
	"github.com/google/uuid"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// Deploy gives a host a job (zookeeper §8.4). The deployment names the job, the goal and who asks. The host need not
// be up. Leftovers of deployments that are no more are taken over (Q9).
//
// It returns job.ErrNotFound, job.ErrForbidden, host.ErrNotFound, job.ErrAlreadyDeployed, a [PortConflictError], or an
// [UnreadableError] for the job.
func (s *Store) Deploy(ctx context.Context, hostName string, d job.Deployment, token string) error {
	err := certainly(ctx, s, func() error { return s.deploy(ctx, hostName, d, token) })
	return named("deploy job "+d.JobID.String()+" on", hostName, err)
}

func (s *Store) deploy(ctx context.Context, hostName string, d job.Deployment, token string) error {
	operation := uuid.NewString()
	for range maxRaces {
		j, err := s.job(ctx, d.JobID)
		if err != nil {
			return err
		}
		if err := verify(j, token); err != nil {
			return err
		}
		if !legalName(hostName) {
			return host.ErrNotFound
		}
		ground, err := s.survey(ctx, hostName, d.JobID, j)
		if err != nil {
			return err
		}
		t, err := planDeploy(ground, d, j, operation)
		if err != nil {
			return err
		}
		if err := s.clearPorts(ctx, ground); err != nil {
			return err
		}
		overtaken, err := s.session.attempt(ctx, t, configHostJobs(hostName), ground.tasks)
		if overtaken {
			ours, err := s.session.exists(ctx, configHostJobCreation(hostName, d.JobID, operation))
			if err == nil && !ours {
				err = errOvertaken
			}
			return err
		}
		if !raced(err) {
			return err
		}
	}
	return errRaces
}

// ground is what a job finds on a host before it is deployed there, and what it must clear to be undeployed.
type ground struct {
	host  string
	known bool     // the host's node exists
	tasks *zk.Stat // the host's list of tasks
	task  *node    // nil when the job is not deployed
	link  *zk.Stat
	links bool // the job's list of hosts exists
	ports map[int32]portNode
}

// portNode is the node of a static port of the job that exists.
type portNode struct {
	owner   string // full id of a job
	version int32
	held    bool // the owner is deployed on the host; otherwise the node is a leftover
}

// survey reads all that bears on a deployment of j on a host.
func (s *Store) survey(ctx context.Context, hostName string, id job.ID, j job.Job) (ground, error) {
	g := ground{host: hostName, ports: make(map[int32]portNode)}
	ports := staticPorts(j)
	paths := []string{
		configHost(hostName), configHostJob(hostName, id.String()), configJobHost(id, hostName), configJobHosts(id),
		configHostJobs(hostName),
	}
	for _, port := range ports {
		paths = append(paths, configHostPort(hostName, port))
	}
	nodes, err := s.session.getAll(ctx, paths)
	if err != nil {
		return ground{}, err
	}
	g.known, g.link, g.links, g.tasks = nodes[0].stat != nil, nodes[2].stat, nodes[3].stat != nil, nodes[4].stat
	if nodes[1].stat != nil {
		g.task = &nodes[1]
	}
	for i, port := range ports {
		n := nodes[5+i]
		if n.stat == nil {
			continue
		}
		if g.ports[port], err = s.portNode(ctx, hostName, n); err != nil {
			return ground{}, err
		}
	}
	return g, nil
}

func (s *Store) portNode(ctx context.Context, hostName string, n node) (portNode, error) {
	found := portNode{owner: string(n.data), version: n.stat.Version, held: true}
	owner, err := read(n, (*job.ID).JSON)
	if err != nil || !legalName(owner.String()) {
		return found, nil // an owner that cannot be told is left in possession
	}
	found.owner = owner.String()
	found.held, err = s.session.exists(ctx, configHostJob(hostName, found.owner))
	return found, err
}

// clearPorts deletes the nodes of static ports that are leftovers. A node that was read may be another one by the time
// that it is deleted, and nothing in ZooKeeper's transactions would tell. So it is held fast at first, by a child without
// which it cannot be deleted, and then read again.
func (s *Store) clearPorts(ctx context.Context, g ground) error {
	for port, found := range g.ports {
		if found.held {
			continue
		}
		if err := s.clearPort(ctx, g.host, port); err != nil && !raced(err) {
			return err
		}
	}
	return nil
}

func (s *Store) clearPort(ctx context.Context, hostName string, port int32) error {
	path := configHostPort(hostName, port)
	hold := childOf(path, holdPrefix+uuid.NewString())
	err := s.session.create(ctx, hold, nil, zk.FlagEphemeral)
	if err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return err
	}
	n, err := s.session.get(ctx, path)
	if err != nil {
		return err
	}
	found, err := s.portNode(ctx, hostName, n)
	if err != nil {
		return err
	}
	if found.held {
		return s.session.remove(ctx, hold)
	}
	nodes, err := s.session.tree(ctx, path)
	if err != nil {
		return err
	}
	var t txn
	t.check(hold, anyVersion)
	t.deleteTree(nodes)
	_, err = s.session.commit(ctx, &t)
	return errors.Join(err, s.session.remove(ctx, hold))
}

// planDeploy is the transaction that deploys, or the reason why not. A link that is a leftover stays.
func planDeploy(g ground, d job.Deployment, j job.Job, operation string) (*txn, error) {
	id := d.JobID
	switch {
	case !g.known:
		return nil, host.ErrNotFound
	case g.task != nil:
		return nil, job.ErrAlreadyDeployed
	}
	var t txn
	t.check(configJob(id), anyVersion)
	for _, port := range staticPorts(j) {
		if found := g.ports[port]; found.held {
			return nil, &PortConflictError{Port: port, Job: id, Other: found.owner, Host: g.host}
		}
		t.create(configHostPort(g.host, port), quoted(id))
	}
	if !g.links {
		t.create(configJobHosts(id), nil)
	}
	if g.link == nil {
		t.create(configJobHost(id, g.host), nil)
	} else {
		t.check(configJobHost(id, g.host), anyVersion)
	}
	task := taskOf(d, j)
	t.create(configHostJob(g.host, id.String()), document.Canonical(task.JSON()))
	t.create(configHostJobCreation(g.host, id, operation), nil)
	return &t, nil
}

// staticPorts are the host ports that a job asks for by number, each once (zookeeper §8).
func staticPorts(j job.Job) []int32 {
	ports := make(map[int32]bool)
	for _, mapping := range j.Ports {
		if mapping.ExternalPort != nil {
			ports[*mapping.ExternalPort] = true
		}
	}
	return slices.Sorted(maps.Keys(ports))
}

func taskOf(d job.Deployment, j job.Job) job.Task {
	return job.Task{
		Job: j, Goal: d.Goal,
		DeployerUser: d.DeployerUser, DeployerMaster: d.DeployerMaster, DeploymentGroupName: d.DeploymentGroupName,
	}
}

func deploymentOf(id job.ID, t job.Task) job.Deployment {
	return job.Deployment{
		JobID: id, Goal: t.Goal,
		DeployerUser: t.DeployerUser, DeployerMaster: t.DeployerMaster, DeploymentGroupName: t.DeploymentGroupName,
	}
}

// Deployment reads a job's deployment on a host. It returns job.ErrNotDeployed or an [UnreadableError].
func (s *Store) Deployment(ctx context.Context, hostName string, id job.ID) (job.Deployment, error) {
	task, err := certain(ctx, s, func() (job.Task, error) {
		task, _, err := s.task(ctx, hostName, id)
		return task, err
	})
	if err != nil {
		return job.Deployment{}, named("read deployment of job "+id.String()+" on", hostName, err)
	}
	return deploymentOf(id, task), nil
}

func (s *Store) task(ctx context.Context, hostName string, id job.ID) (job.Task, *zk.Stat, error) {
	if !legalName(hostName) || !legalName(id.String()) {
		return job.Task{}, nil, job.ErrNotDeployed
	}
	n, err := s.session.get(ctx, configHostJob(hostName, id.String()))
	if errors.Is(err, zk.ErrNoNode) {
		return job.Task{}, nil, job.ErrNotDeployed
	}
	if err != nil {
		return job.Task{}, nil, err
	}
	task, err := read(n, (*job.Task).JSON)
	return task, n.stat, err
}

// SetGoal changes the goal of a deployment (zookeeper §8.5). It returns job.ErrNotDeployed, job.ErrForbidden,
// host.ErrNotFound, or an [UnreadableError]; for a job that does not exist job.ErrNotDeployed, be the host known or not.
func (s *Store) SetGoal(ctx context.Context, hostName string, id job.ID, goal job.Goal, token string) error {
	err := certainly(ctx, s, func() error { return s.setGoal(ctx, hostName, id, goal, token) })
	return named("set goal of job "+id.String()+" on", hostName, err)
}

func (s *Store) setGoal(ctx context.Context, hostName string, id job.ID, goal job.Goal, token string) error {
	for range maxRaces {
		j, err := s.job(ctx, id)
		if errors.Is(err, job.ErrNotFound) {
			return job.ErrNotDeployed
		}
		if err != nil {
			return err
		}
		if err := verify(j, token); err != nil {
			return err
		}
		if known, err := s.hostExists(ctx, hostName); err != nil {
			return err
		} else if !known {
			return host.ErrNotFound
		}
		task, stat, err := s.task(ctx, hostName, id)
		if err != nil {
			return err
		}
		d := deploymentOf(id, task)
		d.Goal = goal
		changed := taskOf(d, j)
		var t txn
		t.set(configHostJob(hostName, id.String()), document.Canonical(changed.JSON()), stat.Version)
		overtaken, err := s.session.attempt(ctx, &t, configHostJob(hostName, id.String()), stat)
		if overtaken {
			now, err := s.session.stat(ctx, configHostJob(hostName, id.String()))
			if err == nil && (now == nil || now.Czxid != stat.Czxid) {
				err = errOvertaken
			}
			return err // only the goal ever changes: it was set, or another one was at the same time
		}
		if !raced(err) {
			return err
		}
	}
	return errRaces
}

// Undeploy takes a job from a host and returns the deployment as it was (zookeeper §8.7). The task's status stays until
// the agent has stopped the container. Nodes of the deployment that are missing are no obstacle; without the job's own
// node the token is that of the task's copy (Q9).
//
// It returns host.ErrNotFound, job.ErrNotDeployed, job.ErrForbidden, or an [UnreadableError].
func (s *Store) Undeploy(ctx context.Context, hostName string, id job.ID, token string) (job.Deployment, error) {
	d, err := certain(ctx, s, func() (job.Deployment, error) { return s.undeploy(ctx, hostName, id, token) })
	return d, named("undeploy job "+id.String()+" from", hostName, err)
}

func (s *Store) undeploy(ctx context.Context, hostName string, id job.ID, token string) (job.Deployment, error) {
	var was job.Deployment
	for range maxRaces {
		if known, err := s.hostExists(ctx, hostName); err != nil {
			return was, err
		} else if !known {
			return was, host.ErrNotFound
		}
		nodes, err := s.session.tree(ctx, configHostJob(hostName, id.String()))
		if err != nil {
			return was, err
		}
		if len(nodes) == 0 {
			return was, job.ErrNotDeployed
		}
		task, stat, err := s.task(ctx, hostName, id)
		if err != nil {
			return was, err
		}
		was = deploymentOf(id, task)
		t, err := s.planUndeploy(ctx, hostName, id, task, stat.Version, nodes, token)
		if err != nil {
			return was, err
		}
		overtaken, err := s.session.attempt(ctx, t, configHostJob(hostName, id.String()), stat)
		if overtaken {
			now, err := s.session.stat(ctx, configHostJob(hostName, id.String()))
			if err != nil || now == nil || now.Czxid != stat.Czxid {
				return was, err // it is gone; another one that is there now was not meant
			}
			continue
		}
		if !raced(err) {
			return was, err
		}
	}
	return was, errRaces
}

// planUndeploy deletes what there is of a deployment.
func (s *Store) planUndeploy(ctx context.Context, hostName string, id job.ID, task job.Task, version int32, nodes []string, token string) (*txn, error) {
	j, err := s.job(ctx, id)
	lost := errors.Is(err, job.ErrNotFound)
	if lost {
		j, err = task.Job, s.session.ensure(ctx, configJobs)
	}
	if err != nil {
		return nil, err
	}
	if err := verify(j, token); err != nil {
		return nil, err
	}
	g, err := s.survey(ctx, hostName, id, j)
	if err != nil {
		return nil, err
	}
	var t txn
	t.deleteTree(nodes[1:])
	t.delete(nodes[0], version) // what is deleted is what is returned
	switch link := configJobHost(id, hostName); {
	case g.link != nil:
		t.delete(link, anyVersion)
	case lost: // a change of the list of jobs tells agents an undeployment from nodes that were lost
		t.set(configJobs, []byte(uuid.NewString()), anyVersion)
	default: // so does one of the job's list of hosts
		if !g.links {
			t.create(configJobHosts(id), nil)
		}
		t.create(link, nil)
		t.delete(link, anyVersion)
	}
	for port, found := range g.ports {
		if found.owner == id.String() {
			t.delete(configHostPort(hostName, port), found.version)
		}
	}
	return &t, nil
}
