package host

import (
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// State is whether a host's agent is connected. §6.
type State string

// The states.
const (
	Up   State = "UP"
	Down State = "DOWN"
)

// Words are the states in the order of their ordinals.
func (State) Words() []string { return states }

var states = []string{string(Up), string(Down)}

// Status is all that is known of a host, as the master answers it. §6
// (HostStatus). A nil entry of a map is null.
type Status struct {
	Jobs        map[job.ID]*job.Deployment
	Statuses    map[job.ID]*job.TaskStatus
	Status      State
	HostInfo    *Info
	AgentInfo   *AgentInfo
	Environment map[string]string
	Labels      map[string]string
}

// JSON describes the document of §6. Status, jobs and statuses are required on
// reading, and missed in that order.
func (s *Status) JSON() document.Value {
	deployment := func(p **job.Deployment) document.Value { return document.Optional(p, (*job.Deployment).JSON) }
	taskStatus := func(p **job.TaskStatus) document.Value { return document.Optional(p, (*job.TaskStatus).JSON) }
	return statusValue{document.Object(
		document.Member{Name: "jobs", Value: document.Map(&s.Jobs, job.IDKeys, deployment), Required: true},
		document.Member{Name: "statuses", Value: document.Map(&s.Statuses, job.IDKeys, taskStatus), Required: true},
		document.Member{Name: "status", Value: document.Enum(&s.Status), Required: true},
		document.Member{Name: "hostInfo", Value: document.Optional(&s.HostInfo, (*Info).JSON)},
		document.Member{Name: "agentInfo", Value: document.Optional(&s.AgentInfo, (*AgentInfo).JSON)},
		document.Member{Name: "environment", Value: document.TextMap(&s.Environment)},
		document.Member{Name: "labels", Value: document.TextMap(&s.Labels)},
	), s}
}

// statusValue misses the member status before those that stand before it.
type statusValue struct {
	document.Value
	s *Status
}

func (v statusValue) ReadFrom(r *document.Reader) error {
	v.s.Status = ""
	err := v.Value.ReadFrom(r)
	if _, missing := err.(*document.MissingError); missing && v.s.Status == "" { //nolint:errorlint // a wrapped one is of a member
		return &document.MissingError{Member: "status"}
	}
	return err
}
