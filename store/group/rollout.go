package group

import "github.com/helios-go/helios/store/document"

// State is how the last rollout of a group stands. §8.3.
type State string

// The states.
const (
	RollingOut State = "ROLLING_OUT"
	Failed     State = "FAILED"
	Done       State = "DONE"
)

// Words are the states in the order of their ordinals.
func (State) Words() []string { return states }

var states = []string{string(RollingOut), string(Failed), string(Done)}

// Status is how the last rollout of a group stands, and why it failed. §8.3
// (DeploymentGroupStatus).
type Status struct {
	State State
	Error *string
}

// JSON describes the document of §8.3. State is required on reading.
func (s *Status) JSON() document.Value {
	return document.Object(
		document.Member{Name: "state", Value: document.Enum(&s.State), Required: true},
		document.Member{Name: "error", Value: document.OptionalText(&s.Error)},
	)
}

// Action is what a rollout task does to its host. §8.4.
type Action string

// The actions, in the original's order.
const (
	UndeployOldJobs   Action = "UNDEPLOY_OLD_JOBS"   // of the group, but for the one it now has
	DeployNewJob      Action = "DEPLOY_NEW_JOB"      // the group's job
	AwaitRunning      Action = "AWAIT_RUNNING"       // until the group's job runs
	ForceUndeployJobs Action = "FORCE_UNDEPLOY_JOBS" // all jobs of the group
	AwaitUndeployed   Action = "AWAIT_UNDEPLOYED"    // until the group's job is gone
	MarkUndeployed    Action = "MARK_UNDEPLOYED"     // strike the host off the group's list of removed hosts
)

// Words are the actions in the order of their ordinals.
func (Action) Words() []string { return actions }

var actions = []string{
	string(UndeployOldJobs), string(DeployNewJob), string(AwaitRunning),
	string(ForceUndeployJobs), string(AwaitUndeployed), string(MarkUndeployed),
}

// RolloutTask is one action on one host. §8.4.
type RolloutTask struct {
	Action Action
	Target string // the host
}

// JSON describes the document of §8.4. Both members are required on reading.
func (t *RolloutTask) JSON() document.Value {
	return document.Object(
		document.Member{Name: "action", Value: document.Enum(&t.Action), Required: true},
		document.Member{Name: "target", Value: document.Text(&t.Target), Required: true},
	)
}

// Tasks is a rollout that is going on. §8.4 (DeploymentGroupTasks).
type Tasks struct {
	RolloutTasks    []RolloutTask
	TaskIndex       int32  // of the task to do next; what is read may be out of range
	DeploymentGroup *Group // as it was when the rollout began
}

// JSON describes the document of §8.4. The list of tasks is required on reading.
func (t *Tasks) JSON() document.Value {
	return document.Object(
		document.Member{Name: "rolloutTasks", Value: document.List(&t.RolloutTasks, (*RolloutTask).JSON), Required: true},
		document.Member{Name: "taskIndex", Value: document.Int(&t.TaskIndex)},
		document.Member{Name: "deploymentGroup", Value: document.Optional(&t.DeploymentGroup, (*Group).JSON)},
	)
}
