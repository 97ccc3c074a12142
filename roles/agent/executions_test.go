package agent

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

func TestFollow(t *testing.T) {
	running := map[job.ID]execution{testID("a"): {Goal: job.Start, Ports: map[string]int32{"p": 1}}}
	for _, c := range []struct {
		name   string
		wishes wishes
		want   map[string]job.Goal
	}{
		{"silence changes nothing", wishes{}, map[string]job.Goal{"a": job.Start}},
		{"a new task makes an execution", wishes{tasks: tasks(task("b", job.Stop))}, map[string]job.Goal{"a": job.Start, "b": job.Stop}},
		{"a goal is taken over", wishes{tasks: tasks(task("a", job.Stop))}, map[string]job.Goal{"a": job.Stop}},
		{"an undeployed task leaves the goal", wishes{undeployed: map[job.ID]bool{testID("a"): true}}, map[string]job.Goal{"a": job.Undeploy}},
		{"an undeployed task without an execution leaves nothing", wishes{undeployed: map[job.ID]bool{testID("b"): true}}, map[string]job.Goal{"a": job.Start}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[string]job.Goal{}
			for id, e := range follow(running, c.wishes) {
				got[id.Name] = e.Goal
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if running[testID("a")].Goal != job.Start {
				t.Error("the executions before were changed")
			}
		})
	}
}

func TestAllocate(t *testing.T) {
	ports, err := supervisor.NewPorts(20000, 20002, func(supervisor.HostPort) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	dynamic := func(name string) job.Job {
		return job.Job{ID: testID(name), Ports: map[string]job.PortMapping{"p": {InternalPort: 80, Protocol: "tcp"}}}
	}
	none := func(job.ID) (job.TaskStatus, bool) { return job.TaskStatus{}, false }

	t.Run("each gets its own ports, and the one too many is told why", func(t *testing.T) {
		executions := map[job.ID]execution{}
		for _, name := range []string{"a", "b", "c"} {
			executions[testID(name)] = execution{Job: dynamic(name), Goal: job.Start}
		}
		refused := allocate(executions, ports, none)
		if len(refused) != 1 {
			t.Fatalf("refused: %v, want one of three for a range of two", refused)
		}
		for id, err := range refused {
			if !errors.Is(err, supervisor.ErrNoPort) || executions[id].Ports != nil {
				t.Errorf("%s: %v, ports %v", id.Name, err, executions[id].Ports)
			}
		}
	})
	t.Run("ports are kept, and given back when their record was lost", func(t *testing.T) {
		j := dynamic("a")
		executions := map[job.ID]execution{testID("a"): {Job: j, Goal: job.Start}}
		last := func(job.ID) (job.TaskStatus, bool) {
			return job.TaskStatus{Job: j, ContainerID: new("c1"), Ports: map[string]job.PortMapping{
				"p": {InternalPort: 80, Protocol: "tcp", ExternalPort: new(int32(31000))},
			}}, true
		}
		if refused := allocate(executions, ports, last); len(refused) > 0 {
			t.Fatal(refused)
		}
		if got := executions[testID("a")].Ports["p"]; got != 31000 {
			t.Errorf("port %d, want 31000, which the container has", got)
		}
	})
	t.Run("an execution that is to end gets none", func(t *testing.T) {
		executions := map[job.ID]execution{testID("a"): {Job: dynamic("a"), Goal: job.Undeploy}}
		if refused := allocate(executions, ports, none); len(refused) > 0 || executions[testID("a")].Ports != nil {
			t.Errorf("refused %v, ports %v", refused, executions[testID("a")].Ports)
		}
	})
}
