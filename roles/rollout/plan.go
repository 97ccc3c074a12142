// Package rollout plans rolling updates: which tasks, for which hosts, in which order.
//
// It decides only, from values to values. It never reads or writes a store and knows no clock; the master executes
// the plan task by task.
package rollout

import (
	"slices"

	"github.com/helios-go/helios/store/group"
	"github.com/helios-go/helios/store/job"
)

// Hosts is what a rollout is planned for.
type Hosts struct {
	Update   []string               // the hosts that are to run the group's job, in rollout order
	Undeploy []string               // the hosts that left the group, in rollout order
	Up       func(host string) bool // whether the host's agent is connected at this moment
}

// Plan is the list of tasks of a rollout (zookeeper §14.5, §15 E1). Hosts that left the group come first. A host that
// is to be updated is not undeployed, and a host that is not up gets no task at all. The tasks are made partition by
// partition, of as many hosts as the options' parallelism says; missing or senseless options count as the defaults.
func Plan(hosts Hosts, options *job.RolloutOptions) []group.RolloutTask {
	undeploy := slices.DeleteFunc(slices.Clone(hosts.Undeploy), func(host string) bool {
		return !hosts.Up(host) || slices.Contains(hosts.Update, host)
	})
	update := slices.DeleteFunc(slices.Clone(hosts.Update), func(host string) bool {
		return !hosts.Up(host)
	})
	effective := job.ResolveRolloutOptions(options, nil)
	parallelism := max(1, int(*effective.Parallelism))

	var tasks []group.RolloutTask
	each := func(partition []string, actions ...group.Action) {
		for _, host := range partition {
			for _, action := range actions {
				tasks = append(tasks, group.RolloutTask{Action: action, Target: host})
			}
		}
	}
	for partition := range slices.Chunk(undeploy, parallelism) {
		each(partition, group.ForceUndeployJobs)
		each(partition, group.AwaitUndeployed, group.MarkUndeployed)
	}
	for partition := range slices.Chunk(update, parallelism) {
		if *effective.Overlap {
			each(partition, group.DeployNewJob)
			each(partition, group.AwaitRunning)
			each(partition, group.UndeployOldJobs)
		} else {
			each(partition, group.UndeployOldJobs, group.DeployNewJob)
			each(partition, group.AwaitRunning)
		}
	}
	return tasks
}
