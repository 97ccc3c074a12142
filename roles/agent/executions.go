package agent

import (
	"maps"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

// execution is the agent's own durable record of one task (agent §2.2): the job as it was when the task was first
// seen, what shall become of it, and the host ports it was given, which it keeps until it is undeployed.
type execution struct {
	Job   job.Job
	Goal  job.Goal
	Ports map[string]int32 // by port name; nil until they are allocated
}

// JSON describes an entry of executions.json (model §10).
func (e *execution) JSON() document.Value {
	return document.Object(
		document.Member{Name: "goal", Value: document.Enum(&e.Goal)},
		document.Member{Name: "job", Value: e.Job.JSON()},
		document.Member{Name: "ports", Value: document.NullableMap(&e.Ports, document.TextKeys, document.Int)},
	)
}

// hostPorts are the ports as a supervisor wants them.
func (e execution) hostPorts() map[string]int {
	ports := make(map[string]int, len(e.Ports))
	for name, number := range e.Ports {
		ports[name] = int(number)
	}
	return ports
}

func toExecutionPorts(ports map[string]int) map[string]int32 {
	given := make(map[string]int32, len(ports))
	for name, number := range ports {
		given[name] = int32(number)
	}
	return given
}

// sameExecution compares what may change of an execution.
func sameExecution(a, b execution) bool {
	return a.Goal == b.Goal && (a.Ports == nil) == (b.Ports == nil) && maps.Equal(a.Ports, b.Ports)
}

// follow lays the wishes over the executions (agent §2.3): a new task makes an execution, a changed goal is taken over,
// and a task that is undeployed leaves its execution with the goal UNDEPLOY. An execution that no wish names stays as
// it is: silence is no wish.
func follow(executions map[job.ID]execution, wishes wishes) map[job.ID]execution {
	next := maps.Clone(executions)
	if next == nil {
		next = make(map[job.ID]execution)
	}
	for id, task := range wishes.tasks {
		e, known := next[id]
		if !known {
			e = execution{Job: task.Job}
		}
		e.Goal = task.Goal
		next[id] = e
	}
	for id := range wishes.undeployed {
		if e, known := next[id]; known {
			e.Goal = job.Undeploy
			next[id] = e
		}
	}
	return next
}

// allocate gives ports to the executions that wait for them, and says for which it could not. Ports that the last status
// of a task names are its own still: they are given again when the record of them was lost.
func allocate(executions map[job.ID]execution, ports *supervisor.Ports, last func(job.ID) (job.TaskStatus, bool)) map[job.ID]error {
	held := supervisor.HeldPorts{}
	for id, e := range executions {
		if e.Ports == nil && e.Goal != job.Undeploy {
			e.Ports = formerPorts(e, id, last)
			executions[id] = e
		}
		held.Hold(e.Job.Ports, e.hostPorts())
	}
	refused := make(map[job.ID]error)
	for id, e := range executions {
		if e.Ports != nil || e.Goal == job.Undeploy {
			continue
		}
		given, err := ports.Allocate(e.Job.Ports, held)
		if err != nil {
			refused[id] = err
			continue
		}
		held.Hold(e.Job.Ports, given)
		e.Ports = toExecutionPorts(given)
		executions[id] = e
	}
	return refused
}

// formerPorts are the host ports that the last status of a task shows, if it shows all of them.
func formerPorts(e execution, id job.ID, last func(job.ID) (job.TaskStatus, bool)) map[string]int32 {
	status, known := last(id)
	if !known || status.ContainerID == nil {
		return nil
	}
	ports := make(map[string]int32, len(e.Job.Ports))
	for name := range e.Job.Ports {
		mapping, shown := status.Ports[name]
		if !shown || mapping.ExternalPort == nil {
			return nil
		}
		ports[name] = *mapping.ExternalPort
	}
	return ports
}
