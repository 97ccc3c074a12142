package httpapi

import "net/url"

// Parameters of queries (http §2).
const (
	ParamUser        = "user" // who asks; the last of every request of a client
	ParamToken       = "token"
	ParamQuery       = "q"
	ParamHostPattern = "hostPattern"
	ParamNamePattern = "namePattern"
	ParamSelector    = "selector" // may be repeated
	ParamStatus      = "status"
	ParamID          = "id"
	ParamClient      = "client"
)

// Paths with a segment that varies are built by the functions below, which escape it once.
const (
	PathJobs         = "/jobs"
	PathJobStatuses  = "/jobs/statuses"
	PathHistory      = "/history/jobs"
	PathHosts        = "/hosts"
	PathHostStatuses = "/hosts/statuses"
	PathMasters      = "/masters"
	PathVersion      = "/version"
	PathVersionCheck = "/version/check"

	PathAgentTasks    = "/helios/tasks" // an agent's own (http §11)
	PathAgentStatuses = "/helios/taskstatus"
)

// JobPath is the path of a job, JobStatusPath of its status and HistoryPath of its history.
func JobPath(id string) string       { return PathJobs + "/" + url.PathEscape(id) }
func JobStatusPath(id string) string { return JobPath(id) + "/status" }
func HistoryPath(id string) string   { return PathHistory + "/" + url.PathEscape(id) }

// HostPath is the path of a host, HostStatusPath of its status and DeploymentPath of a job's deployment on it.
func HostPath(host string) string           { return PathHosts + "/" + url.PathEscape(host) }
func HostStatusPath(host string) string     { return HostPath(host) + "/status" }
func DeploymentPath(host, id string) string { return HostPath(host) + JobPath(id) }
