package job

import "github.com/helios-go/helios/store/document"

// Goal is what shall become of a job on a host; "" is null. §4.
type Goal string

// The goals.
const (
	Start    Goal = "START"
	Stop     Goal = "STOP"
	Undeploy Goal = "UNDEPLOY"
)

// Words are the goals in the order of their ordinals.
func (Goal) Words() []string { return goals }

var goals = []string{string(Start), string(Stop), string(Undeploy)}

// Deployment is a job id and its goal on a host. §4.
type Deployment struct {
	JobID               ID
	Goal                Goal
	DeployerUser        *string
	DeployerMaster      *string // set by rolling updates
	DeploymentGroupName *string // set by rolling updates
}

// JSON describes the document of §4. Both jobId and job are read (quirk 7).
func (d *Deployment) JSON() document.Value {
	return document.Object(
		document.Member{Name: "goal", Value: document.Enum(&d.Goal)},
		document.Member{Name: "deployerUser", Value: document.OptionalText(&d.DeployerUser)},
		document.Member{Name: "deployerMaster", Value: document.OptionalText(&d.DeployerMaster), OmitNull: true},
		document.Member{Name: "deploymentGroupName", Value: document.OptionalText(&d.DeploymentGroupName), OmitNull: true},
		document.Member{Name: "jobId", Alias: "job", Value: d.JobID.JSON(), Last: true},
	)
}

// Task is a whole job and its goal: what lies in a host's job node. §4.
type Task struct {
	Job                 Job
	Goal                Goal
	DeployerUser        *string
	DeployerMaster      *string
	DeploymentGroupName *string
}

// JSON describes the document of §4. Job and goal are required on reading.
func (t *Task) JSON() document.Value {
	return document.Object(
		document.Member{Name: "job", Value: t.Job.JSON(), Required: true},
		document.Member{Name: "goal", Value: document.Enum(&t.Goal), Required: true},
		document.Member{Name: "deployerUser", Value: document.OptionalText(&t.DeployerUser)},
		document.Member{Name: "deployerMaster", Value: document.OptionalText(&t.DeployerMaster)},
		document.Member{Name: "deploymentGroupName", Value: document.OptionalText(&t.DeploymentGroupName)},
	)
}
