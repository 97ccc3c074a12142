package agent

import (
	"context"
	"maps"
	"slices"
	"time"

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

// allocate gives ports to the executions that wait for them, and says for which it could not. Ports that were found are
// given as they are, unless another execution holds one: a container keeps those it was made with.
func allocate(executions map[job.ID]execution, ports *supervisor.Ports, found map[job.ID]map[string]int) map[job.ID]error {
	held := supervisor.HeldPorts{}
	for _, e := range executions {
		held.Hold(e.Job.Ports, e.hostPorts())
	}
	for id, given := range found {
		e, known := executions[id]
		if !known || maps.Equal(given, e.hostPorts()) && e.Ports != nil {
			continue
		}
		held.Release(e.Job.Ports, e.hostPorts())
		if !held.Holds(e.Job.Ports, given) {
			e.Ports = toExecutionPorts(given)
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

// surveyTime is how long a pass waits for Docker to list what runs, where that is needed to know who has which port.
const surveyTime = 5 * time.Second

// find tells the host ports that tasks have already: those that supervisors found their containers to have and, where the
// record of an execution was lost, those of a container that runs for the task, or else those that its last status shows.
// Without an answer of Docker a supervisor will find them.
func (r *reconciler) find(ctx context.Context, executions map[job.ID]execution) map[job.ID]map[string]int {
	found := make(map[job.ID]map[string]int)
	r.mu.Lock()
	maps.Copy(found, r.rebound)
	r.mu.Unlock()
	var running []supervisor.Container
	listed := false
	for id, e := range executions {
		if e.Ports != nil || e.Goal == job.Undeploy || len(e.Job.Ports) == 0 {
			continue
		}
		if !listed {
			limited, cancel := context.WithTimeout(ctx, surveyTime)
			running, _ = r.containers(limited)
			cancel()
			listed = true
		}
		ref := supervisor.Ref{Job: id, Host: r.host, Agents: r.agents()}
		if i := slices.IndexFunc(running, ref.Matches); i >= 0 {
			if ports, all := supervisor.BoundPorts(e.Job.Ports, running[i].Ports); all {
				found[id] = ports
				continue
			}
		}
		if status, known := r.statuses.last(id); known && status.ContainerID != nil {
			if ports, all := shownPorts(e.Job, status); all {
				found[id] = ports
			}
		}
	}
	return found
}

// shownPorts are the host ports that a status shows, if it shows all of them.
func shownPorts(j job.Job, status job.TaskStatus) (map[string]int, bool) {
	ports := make(map[string]int, len(j.Ports))
	for name := range j.Ports {
		mapping, shown := status.Ports[name]
		if !shown || mapping.ExternalPort == nil {
			return nil, false
		}
		ports[name] = int(*mapping.ExternalPort)
	}
	return ports, true
}

// rebind takes the host ports that the supervisor of a task found its container to have.
func (r *reconciler) rebind(id job.ID, ports map[string]int) {
	r.mu.Lock()
	r.rebound[id] = ports
	r.mu.Unlock()
	ring(r.bell)
}
