package store

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/helios-go/helios/store/job"
)

// This file is the only one that spells a path.

// NodeKind is one line of the node map: a kind of node, what it holds, who writes it and who reads it.
type NodeKind struct {
	Path      string // with <…> for what differs from node to node
	Holds     string // the document or text; empty for nodes of zero length, in old trees also of no meaning
	Writes    string // M a master, A an agent, O an operator (helios store init)
	Reads     string // M, A; empty where only the existence counts, or nothing at all
	Ephemeral bool
	Ours      bool // 0.9 does not know it
	either    bool // some are ephemeral, some are not
	form      form // of its document; nil takes anything
}

// NodeMap is the node map (zookeeper §2), in the order of the tree. Nodes of our own stand where 0.9 deletes whatever it
// finds (§2.1); but for the hold, which stands for a moment where it would not, below a port node that no task owns. The
// access lists let an agent create and delete its own, not change them: what changes is replaced.
func NodeMap() []NodeKind { return slices.Clone(nodeMap) }

var nodeMap = []NodeKind{
	{Path: "/config", Writes: "MO"},
	{Path: "/config/id", Writes: "O"},
	{Path: "/config/id/<cluster>", Writes: "O", Reads: "MA"},
	{Path: "/config/jobs", Holds: "a fresh UUID with each job added or removed", Writes: "M", Reads: "M"},
	{Path: "/config/jobs/<job>", Holds: "Job", Writes: "M", Reads: "M", form: jobForm},
	{Path: "/config/jobs/<job>/creation-<uuid>", Writes: "M", Reads: "M"},
	{Path: "/config/jobs/<job>/hosts", Writes: "M", Reads: "M"},
	{Path: "/config/jobs/<job>/hosts/<host>", Writes: "M", Reads: "M"},
	{Path: "/config/jobrefs", Writes: "M"},
	{Path: "/config/jobrefs/<name:version>", Holds: "full job id", Writes: "M", form: idForm},
	{Path: "/config/hosts", Writes: "MA", Reads: "MA"},
	{Path: "/config/hosts/<host>", Writes: "MA", Reads: "M"},
	{Path: "/config/hosts/<host>/id", Holds: "agent id as text; created last", Writes: "MA", Reads: "MA"},
	{Path: "/config/hosts/<host>/jobs", Writes: "MA", Reads: "MA"},
	{Path: "/config/hosts/<host>/jobs/<job>", Holds: "Task", Writes: "M", Reads: "MA", form: taskForm},
	{Path: "/config/hosts/<host>/jobs/<job>/creation-<uuid>", Writes: "M", Reads: "M"},
	{Path: "/config/hosts/<host>/ports", Writes: "MA", Reads: "M"},
	{Path: "/config/hosts/<host>/ports/<port>", Holds: "full job id", Writes: "M", Reads: "M", form: idForm},
	{Path: "/config/hosts/<host>/ports/<port>/hold-<uuid>", Writes: "M", Ephemeral: true, Ours: true},
	{Path: "/config/deployment-groups", Writes: "M", Reads: "M"},
	{Path: "/config/deployment-groups/<group>", Holds: "DeploymentGroup", Writes: "M", Reads: "M", form: groupForm},
	{Path: "/status", Writes: "M"},
	{Path: "/status/hosts", Writes: "MA"},
	{Path: "/status/hosts/<host>", Writes: "MA"},
	{Path: "/status/hosts/<host>/up", Writes: "A", Reads: "M", Ephemeral: true},
	{Path: "/status/hosts/<host>/jobs", Writes: "MA", Reads: "MA"},
	{Path: "/status/hosts/<host>/jobs/<job>", Holds: "TaskStatus", Writes: "A", Reads: "MA", form: statusForm},
	{Path: "/status/hosts/<host>/hostinfo", Holds: "HostInfo", Writes: "A", Reads: "MA", form: hostInfoForm},
	{Path: "/status/hosts/<host>/agentinfo", Holds: "AgentInfo", Writes: "A", Reads: "M", form: agentInfoForm},
	{Path: "/status/hosts/<host>/environment", Holds: "object of texts", Writes: "A", Reads: "M", form: textsForm},
	{Path: "/status/hosts/<host>/labels", Holds: "object of texts", Writes: "A", Reads: "M", form: textsForm},
	{Path: "/status/hosts/<host>/wishes", Holds: "Note: what it has seen, and doubts", Writes: "A", Reads: "MA", Ours: true, form: noteForm},
	{Path: "/status/hosts/<host>/remembered-<job>", Holds: "Task that it holds on to in doubt", Writes: "A", Reads: "MA", Ours: true, form: rememberedForm},
	{Path: "/status/hosts/<host>/accept", Holds: "Acceptance: a word that ends the doubt", Writes: "M", Reads: "A", Ours: true, either: true, form: acceptanceForm},
	{Path: "/status/masters", Writes: "M", Reads: "M"},
	{Path: "/status/masters/<master>", Writes: "M", Reads: "M"},
	{Path: "/status/masters/<master>/up", Writes: "M", Reads: "M", Ephemeral: true},
	{Path: "/status/deployment-groups", Writes: "M"},
	{Path: "/status/deployment-groups/<group>", Holds: "DeploymentGroupStatus, or nothing", Writes: "M", Reads: "M", form: groupStatusForm},
	{Path: "/status/deployment-groups/<group>/hosts", Holds: "list of host names", Writes: "M", Reads: "M", form: hostListForm},
	{Path: "/status/deployment-groups/<group>/removed", Holds: "list of host names", Writes: "M", Reads: "M", form: hostListForm},
	{Path: "/status/deployment-group-tasks", Writes: "M", Reads: "M"},
	{Path: "/status/deployment-group-tasks/<group>", Holds: "DeploymentGroupTasks", Writes: "M", Reads: "M", form: groupTasksForm},
	{Path: "/history", Writes: "M"},
	{Path: "/history/jobs", Writes: "M"},
	{Path: "/history/jobs/<job>", Writes: "MA"},
	{Path: "/history/jobs/<job>/hosts", Writes: "A", Reads: "M"},
	{Path: "/history/jobs/<job>/hosts/<host>", Writes: "A"},
	{Path: "/history/jobs/<job>/hosts/<host>/events", Writes: "A", Reads: "MA"},
	{Path: "/history/jobs/<job>/hosts/<host>/events/<ms>", Holds: "TaskStatus", Writes: "A", Reads: "M", form: statusForm},
}

const (
	configIDs     = "/config/id"
	configJobs    = "/config/jobs"
	configJobRefs = "/config/jobrefs"
	configHosts   = "/config/hosts"
	configGroups  = "/config/deployment-groups"
	statusHosts   = "/status/hosts"
	statusMasters = "/status/masters"
	statusGroups  = "/status/deployment-groups"
	groupTasks    = "/status/deployment-group-tasks"
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

func statusGroup(name string) string      { return statusGroups + "/" + name }
func statusGroupHosts(name string) string { return statusGroup(name) + "/hosts" }

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

// maxName is the longest name in bytes. No host, master or job has one nearly as long; several of them, and what stands
// beside them, must fit into one request.
const maxName = 4096

// legalName reports whether a host, master or job name can be one component of a path. Everything else would address
// another node (zookeeper Q40) or is refused by ZooKeeper (§1.5).
func legalName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > maxName || !utf8.ValidString(name) {
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
