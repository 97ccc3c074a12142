package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/helios-go/helios/store/job"
)

// The rules of Examine about nodes that belong together.

// cluster judges the ids of the tree.
func (e *examination) cluster(wanted string) {
	ids := e.in(configIDs)
	if wanted != "" && !slices.Contains(ids, wanted) {
		e.add("no-cluster-id", configID(wanted), "the tree is not that cluster's: masters and agents that were given the id do nothing",
			"naming the right server and chroot; or, if this is the cluster, creating the node by hand (zkCli.sh create)")
	}
	if len(ids) > 1 {
		e.add("cluster-ids", configIDs, fmt.Sprintf("the tree has %d cluster ids (%s): masters and agents of any of them take it for theirs", len(ids), strings.Join(ids, ", ")),
			"deleting by hand those that no master or agent is given")
	}
}

// job judges the nodes about a job, and which hosts it says it is deployed on.
func (e *examination) job(id job.ID) {
	path := configJob(id)
	creations := slices.DeleteFunc(e.in(path), func(name string) bool { return !strings.HasPrefix(name, creationPrefix) })
	if len(creations) > 1 {
		e.add("creations", path, fmt.Sprintf("it was created %d times: a master of 0.9 cannot remove the job", len(creations)), "itself when a master of this version removes the job")
	}
	if !e.has(configJobHosts(id)) {
		e.add("no-host-list", configJobHosts(id), "the job's list of hosts is missing: its status cannot be shown, and masters of 0.9 can neither deploy nor remove it",
			"itself when a master of this version deploys or removes the job")
	}
	if ref := configJobRef(id); !e.has(ref) {
		e.add("no-jobref", ref, fmt.Sprintf("nothing keeps another job of the name and version of %s from being created; a master of 0.9 cannot remove the job", id),
			"removing the job and creating it again")
	}
	for _, host := range e.in(configJobHosts(id)) {
		if !e.has(configHostJob(host, id.String())) {
			e.add("host-without-task", configJobHost(id, host), "the job lists a host that it is not deployed on: masters of 0.9 can neither deploy it there nor remove it", byRedeploy)
		}
	}
	if other, refers := e.id(configJobRef(id)), e.has(configJobRef(id)); refers && other != id && e.has(configJob(other)) {
		e.add("two-jobs", path, fmt.Sprintf("there is another job of the same name and version, %s", other), "removing one of them")
	}
}

// jobRefs judges the nodes that make name and version of a job unique.
func (e *examination) jobRefs() {
	for _, name := range e.in(configJobRefs) {
		path := childOf(configJobRefs, name)
		id := e.id(path)
		switch {
		case id == job.ID{}: // unreadable, which is said already
		case id.Name+":"+id.Version != name:
			e.add("jobref", path, fmt.Sprintf("it refers to %s, which has another name or version", id), byDeleting)
		case !e.has(configJob(id)):
			e.add("orphan-jobref", path, "the job is gone, but no other of its name and version can be created", byDeleting)
		}
	}
}

// host judges the nodes of a host, and its tasks and ports.
func (e *examination) host(name string) {
	if !e.has(configHostID(name)) {
		e.add("half-registered", configHost(name), "the host has no id: it is in the list of hosts, and is not registered", byDeregister)
	}
	for _, path := range hostPaths(name) {
		if !e.has(path) {
			e.add("no-host-node", path, fmt.Sprintf("a directory of host %s is missing: deploying there or showing its status may fail", name), byAgent)
		}
	}
	for _, text := range e.in(configHostJobs(name)) {
		if id, err := nodeID(configHostJobs(name), text); err == nil {
			e.task(name, id)
		}
	}
	for _, port := range e.in(configHostPorts(name)) {
		path := childOf(configHostPorts(name), port)
		owner := e.id(path)
		if owner != (job.ID{}) && !e.has(configHostJob(name, owner.String())) {
			e.add("orphan-port", path, fmt.Sprintf("the port is held by %s, which is not deployed there: masters of 0.9 give it to nobody", owner), "itself when a job that asks for the port is deployed there; or with the host")
		}
	}
}

// task judges what belongs to a deployment.
func (e *examination) task(host string, id job.ID) {
	path := configHostJob(host, id.String())
	if !e.has(configJob(id)) {
		e.add("task-without-job", path, "the job is gone, but goes on running on the host", "undeploying it")
	} else if !e.has(configJobHost(id, host)) {
		e.add("task-without-host", configJobHost(id, host), "the job is deployed on the host, but does not list it: it does not show there, and could be removed while it runs; masters of 0.9 cannot undeploy it", byUndeploy)
	}
	task, err := read(node{path: path, data: e.tree[path].Data}, (*job.Task).JSON)
	if err != nil {
		return // which is said already
	}
	for _, port := range staticPorts(task.Job) {
		path := configHostPort(host, port)
		switch owner := e.id(path); {
		case !e.has(path):
			e.add("no-port", path, fmt.Sprintf("%s runs with that port, and another job could be given it, too; masters of 0.9 cannot undeploy the job", id), byUndeploy)
		case owner != id && owner != job.ID{} && e.has(configHostJob(host, owner.String())):
			e.add("port-of-two", path, fmt.Sprintf("%s and %s are deployed with the same port", owner, id), "undeploying one of them")
		}
	}
}

// statuses judges what there is about hosts, masters and jobs that are gone.
func (e *examination) statuses() {
	for _, name := range e.in(statusHosts) {
		if !e.has(configHost(name)) {
			e.add("status-without-host", statusHost(name), "the status of a host that is not registered", "itself when a host of that name registers; or "+byDeleting)
			continue
		}
		for _, text := range e.in(statusHostJobs(name)) {
			if !e.has(statusHostUp(name)) && !e.has(configHostJob(name, text)) {
				e.add("status-without-task", statusHostJob(name, text), "the status of a task that the host was told to end, and its agent is away: the container may still run", "itself when the agent comes back; or helios deregister")
			}
		}
	}
	for _, name := range e.in(statusMasters) {
		if !e.has(statusMasterUp(name)) {
			e.add("dead-master", statusMaster(name), "no master of that name runs; nothing depends on it", "starting it; or, if it will never run again, "+byDeleting)
		}
	}
	for _, name := range e.in(historyJobs) {
		if id, err := nodeID(historyJobs, name); err == nil && !e.has(configJob(id)) {
			e.add("orphan-history", historyJob(id), "the history of a job that was removed; it takes room, and nobody can see it", "creating the same job and removing it again; or "+byDeleting)
		}
	}
}

// groups judges the nodes of deployment groups.
func (e *examination) groups() {
	const by09 = " with a master of Helios 0.9: this version has no deployment groups"
	for _, name := range e.in(configGroups) {
		for _, path := range []string{statusGroup(name), statusGroupHosts(name)} {
			if !e.has(path) {
				e.add("half-group", path, "a node of deployment group "+name+" is missing: its rollouts cannot go on", "removing the group and creating it again"+by09)
			}
		}
	}
	for _, directory := range []string{statusGroups, groupTasks} {
		for _, name := range e.in(directory) {
			if !e.has(childOf(configGroups, name)) {
				e.add("orphan-group", childOf(directory, name), "what is left of a deployment group that was removed: none of that name can be created", byDeleting+", or removing the group once more"+by09)
			}
		}
	}
}

// access judges the access lists.
func (e *examination) access(rules []rule) {
	for path, n := range e.tree {
		wanted := aclOf(rules, path)
		if !sameACL(n.ACL, wanted) {
			e.add("acl", path, fmt.Sprintf("its access list is %s, not %s", summary(n.ACL), summary(wanted)), "helios store acl")
		}
	}
}
