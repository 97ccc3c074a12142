package agent

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"

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
	given := func(name string, port int32) execution {
		return execution{Job: dynamic(name), Goal: job.Start, Ports: map[string]int32{"p": port}}
	}
	found := func(name string, port int) map[job.ID]map[string]int {
		return map[job.ID]map[string]int{testID(name): {"p": port}}
	}

	t.Run("each gets its own ports, and the one too many is told why", func(t *testing.T) {
		executions := map[job.ID]execution{}
		for _, name := range []string{"a", "b", "c"} {
			executions[testID(name)] = execution{Job: dynamic(name), Goal: job.Start}
		}
		refused := allocate(executions, ports, nil)
		if len(refused) != 1 {
			t.Fatalf("refused: %v, want one of three for a range of two", refused)
		}
		for id, err := range refused {
			if !errors.Is(err, supervisor.ErrNoPort) || executions[id].Ports != nil {
				t.Errorf("%s: %v, ports %v", id.Name, err, executions[id].Ports)
			}
		}
	})
	t.Run("an execution that is to end gets none", func(t *testing.T) {
		executions := map[job.ID]execution{testID("a"): {Job: dynamic("a"), Goal: job.Undeploy}}
		if refused := allocate(executions, ports, nil); len(refused) > 0 || executions[testID("a")].Ports != nil {
			t.Errorf("refused %v, ports %v", refused, executions[testID("a")].Ports)
		}
	})
	for _, c := range []struct {
		name       string
		executions []execution
		found      map[job.ID]map[string]int
		want       map[string]int32
	}{
		{"ports that were found are given", []execution{{Job: dynamic("a"), Goal: job.Start}}, found("a", 31000), map[string]int32{"a": 31000}},
		{
			"ports that were found replace others, which are free then",
			[]execution{given("a", 20000), given("b", 20001), {Job: dynamic("c"), Goal: job.Start}},
			found("a", 31000),
			map[string]int32{"a": 31000, "b": 20001, "c": 20000},
		},
		{"not those that another one holds", []execution{given("a", 20000), given("b", 31000)}, found("a", 31000), map[string]int32{"a": 20000, "b": 31000}},
		{"those of a task that is unknown are nobody's", []execution{given("a", 20000)}, found("b", 31000), map[string]int32{"a": 20000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			executions := make(map[job.ID]execution)
			for _, e := range c.executions {
				executions[e.Job.ID] = e
			}
			if refused := allocate(executions, ports, c.found); len(refused) > 0 {
				t.Error(refused)
			}
			got := make(map[string]int32)
			for id, e := range executions {
				got[id.Name] = e.Ports["p"]
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestPortsOfContainersThatAreFound loses the state directory of an agent whose tasks have dynamic ports, and shifts the
// range, so that what is allocated anew is surely something else.
func TestPortsOfContainersThatAreFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		first int           // port of the range after the loss
		meet  func(*engine) // what the next agent meets
		runs  string        // the container then
	}{
		{"of what runs", 30000, func(*engine) {}, "c1"},
		{"of what runs in a range that is full", 20000, func(e *engine) { e.full = true }, "c1"},
		{"of what runs, when Docker lists nothing at first", 30000, func(e *engine) { e.unlisted = true }, "c1"},
		{"of what was made and not started", 30000, func(e *engine) {
			e.change("c1", func(c *supervisor.Container) { c.Running, c.Unstarted = false, true })
		}, "c1"},
		{"of the next container, when the start of that one is refused", 30000, func(e *engine) {
			e.change("c1", func(c *supervisor.Container) { c.Running, c.Unstarted = false, true })
			e.refused = "c1"
		}, "c2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				e, s := &engine{}, newTree(0, "a")
				s.ports = map[string]job.PortMapping{"p": {InternalPort: 80, Protocol: "tcp"}}
				b := start(t, path, e, s)
				s.deploy("a", job.Start)
				b.look()
				b.end()
				had := e.find(func(c supervisor.Container) bool { return c.Running }).Ports
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				c.meet(e)
				b = startWith(t, path, e, s, c.first)
				b.look()
				if n, id := e.running(); n != 1 || id != c.runs {
					t.Fatalf("%d containers run, the last is %s; want %s alone", n, id, c.runs)
				}
				has := e.find(func(c supervisor.Container) bool { return c.Running }).Ports
				if id := c.runs; (id == "c1") != slices.Equal(has, had) {
					t.Errorf("%s has %v, the one before the loss had %v", id, has, had)
				}
				status, _ := b.statuses.last(testID("a"))
				if got := status.Ports["p"].ExternalPort; got == nil || int(*got) != has[0].Host || status.State != job.Running {
					t.Errorf("%s at %v, want what the container has: %v", status.State, status.Ports, has)
				}
				if got, want := status.Env["HELIOS_PORT_p"], fmt.Sprint("h:", has[0].Host); got != want {
					t.Errorf("environment %s, want %s", got, want)
				}
				b.end()
				if left, _ := openExecutions(b.dir); int(left[testID("a")].Ports["p"]) != has[0].Host {
					t.Errorf("recorded %v, want %v", left[testID("a")].Ports, has)
				}
			})
		})
	}
}
