package job

import "github.com/helios-go/helios/store/document"

// State is how far a task has got. §5.
type State string

// The states, in the original's order.
const (
	PullingImage   State = "PULLING_IMAGE"
	Creating       State = "CREATING"
	Starting       State = "STARTING"
	HealthChecking State = "HEALTHCHECKING"
	Running        State = "RUNNING"
	Exited         State = "EXITED"
	Stopping       State = "STOPPING"
	Stopped        State = "STOPPED"
	Failed         State = "FAILED"
	Unknown        State = "UNKNOWN"
)

// Words are the states in the order of their ordinals.
func (State) Words() []string { return states }

var states = []string{
	string(PullingImage), string(Creating), string(Starting), string(HealthChecking), string(Running),
	string(Exited), string(Stopping), string(Stopped), string(Failed), string(Unknown),
}

// Throttle is why a task is started again only after a delay. §5.
type Throttle string

// The reasons.
const (
	NotThrottled    Throttle = "NO"
	Flapping        Throttle = "FLAPPING"
	ImageMissing    Throttle = "IMAGE_MISSING"
	ImagePullFailed Throttle = "IMAGE_PULL_FAILED"
)

// Words are the reasons in the order of their ordinals.
func (Throttle) Words() []string { return throttles }

var throttles = []string{string(NotThrottled), string(Flapping), string(ImageMissing), string(ImagePullFailed)}

// TaskStatus is what the agent reports of a task. §5.
type TaskStatus struct {
	Job            Job
	Goal           Goal
	State          State
	ContainerID    *string
	Throttled      Throttle               // "" is written as NO
	Ports          map[string]PortMapping // as really assigned
	Env            map[string]string      // as passed to the container
	ContainerError string                 // the last error of Docker

	// The rest is unknown to Helios 0.9 and written only when set.

	ExitCode   *int32 // of the container that ended last
	FinishedAt *int64 // when it ended: milliseconds since 1970
	OOMKilled  *bool  // whether the kernel killed it for want of memory
}

// JSON describes the document of §5. Job and state are required on reading; an
// unknown state reads as Unknown (quirk 21).
func (s *TaskStatus) JSON() document.Value {
	return document.Object(
		document.Member{Name: "job", Value: s.Job.JSON(), Required: true},
		document.Member{Name: "goal", Value: document.Enum(&s.Goal)},
		document.Member{Name: "state", Value: document.EnumOr(&s.State, Unknown, true), Required: true},
		document.Member{Name: "containerId", Value: document.OptionalText(&s.ContainerID)},
		document.Member{Name: "throttled", Value: document.EnumOr(&s.Throttled, NotThrottled, false)},
		document.Member{Name: "ports", Value: document.Map(&s.Ports, document.TextKeys, (*PortMapping).JSON)},
		document.Member{Name: "env", Value: document.TextMap(&s.Env)},
		document.Member{Name: "containerError", Value: document.Text(&s.ContainerError)},
		document.Member{Name: "exitCode", Value: document.OptionalInt(&s.ExitCode), OmitNull: true},
		document.Member{Name: "finishedAt", Value: document.OptionalLong(&s.FinishedAt), OmitNull: true},
		document.Member{Name: "oomKilled", Value: document.OptionalBool(&s.OOMKilled), OmitNull: true},
	)
}

// TaskStatusEvent is a status that a task had: an entry of its history. §5.
type TaskStatusEvent struct {
	Status    *TaskStatus
	Timestamp int64 // milliseconds since 1970
	Host      *string
}

// JSON describes the document of §5.
func (e *TaskStatusEvent) JSON() document.Value {
	return document.Object(
		document.Member{Name: "status", Value: document.Optional(&e.Status, (*TaskStatus).JSON)},
		document.Member{Name: "timestamp", Value: document.Long(&e.Timestamp)},
		document.Member{Name: "host", Value: document.OptionalText(&e.Host)},
	)
}

// Status is a job with all that is known of it on all hosts, by host name. A nil
// entry is null. §7 (JobStatus).
type Status struct {
	Job          *Job
	TaskStatuses map[string]*TaskStatus // nil is null
	Deployments  map[string]*Deployment // nil is null
}

// JSON describes the document of §7.
func (s *Status) JSON() document.Value {
	taskStatus := func(p **TaskStatus) document.Value { return document.Optional(p, (*TaskStatus).JSON) }
	deployment := func(p **Deployment) document.Value { return document.Optional(p, (*Deployment).JSON) }
	return document.Object(
		document.Member{Name: "job", Value: document.Optional(&s.Job, (*Job).JSON)},
		document.Member{Name: "taskStatuses", Value: document.NullableMap(&s.TaskStatuses, document.TextKeys, taskStatus)},
		document.Member{Name: "deployments", Value: document.NullableMap(&s.Deployments, document.TextKeys, deployment)},
	)
}
