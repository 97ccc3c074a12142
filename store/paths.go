package store

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/helios-go/helios/store/job"
)

// The node map (zookeeper §2). This file is the only one that spells a path. All nodes are persistent unless marked;
// "-" is a zero-length node. M is a master, A an agent, O an operator (helios store init): who writes.
//
//	/config
//	  id                                O  -
//	    <cluster id>                    O  -, the tree is that cluster's
//	  jobs                              M  a fresh UUID with each job added or removed
//	    <job>                           M  Job
//	      creation-<uuid>               M  -, the operation that created the job
//	      hosts                         M  -
//	        <host>                      M  -, the job is deployed there
//	  jobrefs
//	    <name>:<version>                M  "<job>", makes name and version unique
//	  hosts
//	    <host>                          MA -
//	      id                            MA agent id as text; created last: it means "registered"
//	      jobs                          MA -
//	        <job>                       M  Task
//	          creation-<uuid>           M  -, the operation that deployed the job
//	      ports                         MA -
//	        <port>                      M  "<job>", the static port is taken
//	          hold-<uuid>               M  -, ephemeral, ours: a leftover is about to be deleted
//	  deployment-groups                 M
//	/status
//	  hosts
//	    <host>                          MA -
//	      up                            A  -, ephemeral: the agent is alive
//	      jobs                          MA -
//	        <job>                       A  TaskStatus
//	      hostinfo                      A  Info
//	      agentinfo                     A  AgentInfo
//	      environment                   A  object of texts
//	      labels                        A  object of texts
//	      wishes                        A  Note, ours: how far the agent has seen the store, and what it doubts
//	      remembered-<job>              A  Task, ours: what the agent holds on to while it is in doubt
//	      accept                        M  Acceptance, ours: the word that ends the doubt; the agent deletes it
//	  masters
//	    <master>                        M  -
//	      up                            M  -, ephemeral: the master is alive
//	  deployment-groups                 M
//	/history
//	  jobs
//	    <job>                           MA -
//	      hosts                         A  -
//	        <host>                      A  -
//	          events                    A  -
//	            <epoch milliseconds>    A  TaskStatus
//
// Nodes of our own that 0.9 does not know are marked; they stand where it deletes whatever it finds (zookeeper §2.1).
// The access lists let an agent create and delete there, not change: what changes is replaced.
// The hold stands, for a moment, where 0.9 would not delete it, but only below a port node that no task owns.
const (
	configIDs     = "/config/id"
	configJobs    = "/config/jobs"
	configJobRefs = "/config/jobrefs"
	configHosts   = "/config/hosts"
	configGroups  = "/config/deployment-groups"
	statusHosts   = "/status/hosts"
	statusMasters = "/status/masters"
	statusGroups  = "/status/deployment-groups"
	historyJobs   = "/history/jobs"

	creationPrefix   = "creation-"
	holdPrefix       = "hold-"
	rememberedPrefix = "remembered-"
)

// basePaths is what every master makes sure of, in this order (zookeeper §6).
var basePaths = []string{
	configHosts, configJobs, configJobRefs, statusHosts, statusMasters, historyJobs, configGroups, statusGroups,
}

func configID(cluster string) string { return configIDs + "/" + cluster }

func configJob(id job.ID) string                    { return configJobs + "/" + id.String() }
func configJobCreation(id job.ID, op string) string { return configJob(id) + "/" + creationPrefix + op }
func configJobHosts(id job.ID) string               { return configJob(id) + "/hosts" }
func configJobHost(id job.ID, host string) string   { return configJobHosts(id) + "/" + host }

func configJobRef(id job.ID) string {
	return configJobRefs + "/" + id.Name + ":" + id.Version
}

func configHost(host string) string      { return configHosts + "/" + host }
func configHostID(host string) string    { return configHost(host) + "/id" }
func configHostJobs(host string) string  { return configHost(host) + "/jobs" }
func configHostPorts(host string) string { return configHost(host) + "/ports" }

func configHostJob(host, job string) string { return configHostJobs(host) + "/" + job }

func configHostJobCreation(host string, id job.ID, op string) string {
	return configHostJob(host, id.String()) + "/" + creationPrefix + op
}

func configHostPort(host string, port int32) string {
	return configHostPorts(host) + "/" + strconv.Itoa(int(port))
}

func statusHost(host string) string            { return statusHosts + "/" + host }
func statusHostUp(host string) string          { return statusHost(host) + "/up" }
func statusHostJobs(host string) string        { return statusHost(host) + "/jobs" }
func statusHostJob(host, job string) string    { return statusHostJobs(host) + "/" + job }
func statusHostInfo(host string) string        { return statusHost(host) + "/hostinfo" }
func statusHostAgentInfo(host string) string   { return statusHost(host) + "/agentinfo" }
func statusHostEnvironment(host string) string { return statusHost(host) + "/environment" }
func statusHostLabels(host string) string      { return statusHost(host) + "/labels" }

func statusHostWishes(host string) string { return statusHost(host) + "/wishes" }
func statusHostAccept(host string) string { return statusHost(host) + "/accept" }

func statusHostRemembered(host, job string) string {
	return statusHost(host) + "/" + rememberedPrefix + job
}

func statusMaster(name string) string   { return statusMasters + "/" + name }
func statusMasterUp(name string) string { return statusMaster(name) + "/up" }

func historyJob(id job.ID) string                  { return historyJobs + "/" + id.String() }
func historyJobHosts(id job.ID) string             { return historyJob(id) + "/hosts" }
func historyJobHost(id job.ID, host string) string { return historyJobHosts(id) + "/" + host }

func historyEvents(id job.ID, host string) string { return historyJobHost(id, host) + "/events" }

func historyEvent(id job.ID, host string, at int64) string {
	return historyEvents(id, host) + "/" + strconv.FormatInt(at, 10)
}

// parentOf is the path of the node above, empty for the root and for its children: those need no making sure of.
func parentOf(path string) string { return path[:strings.LastIndexByte(path, '/')] }

// childOf is the path of a node's child.
func childOf(path, name string) string { return path + "/" + name }

// legalName reports whether a host, master or job name can be one component of a path. Everything else would address
// another node (zookeeper Q40) or is refused by ZooKeeper (§1.5).
func legalName(name string) bool {
	if name == "" || name == "." || name == ".." || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		switch {
		case r == '/', r <= 0x1f, r >= 0x7f && r <= 0x9f, r >= 0xe000 && r <= 0xf8ff, r >= 0xfff0 && r <= 0xffff:
			return false
		}
	}
	return true
}

// TaskPath is the path of a host's task, by which the state file task-config.json names it (zookeeper §11).
func TaskPath(host string, id job.ID) string { return configHostJob(host, id.String()) }
