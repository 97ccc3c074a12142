package agent

import (
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/job"
)

// testID is a full job id of one letter.
func testID(name string) job.ID {
	id, err := job.ReadID(name + ":1:0123456789012345678901234567890123456789")
	if err != nil {
		panic(err)
	}
	return id
}

func task(name string, goal job.Goal) job.Task {
	return job.Task{Job: job.Job{ID: testID(name)}, Goal: goal}
}

func tasks(list ...job.Task) map[job.ID]job.Task {
	m := make(map[job.ID]job.Task, len(list))
	for _, t := range list {
		m[t.Job.ID] = t
	}
	return m
}

func goals(m map[job.ID]job.Task) map[string]job.Goal {
	g := make(map[string]job.Goal, len(m))
	for id, t := range m {
		g[id.Name] = t.Goal
	}
	return g
}

func TestWishesAfterAReading(t *testing.T) {
	mark := func(created int64, changes int32) store.Mark { return store.Mark{Created: created, Changes: changes} }
	before := wishes{
		known: true, mark: new(mark(7, 5)),
		tasks: tasks(task("a", job.Start), task("b", job.Stop)),
	}
	for _, c := range []struct {
		name       string
		before     wishes
		read       store.Tasks
		want       map[string]job.Goal
		undeployed []string
		doubted    []string
	}{
		{
			name: "a first reading is followed", before: wishes{},
			read: store.Tasks{Directory: mark(7, 2), Tasks: tasks(task("a", job.Start))},
			want: map[string]job.Goal{"a": job.Start},
		},
		{
			name: "a changed goal and a new task are followed", before: before,
			read: store.Tasks{Directory: mark(7, 8), Tasks: tasks(task("a", job.Stop), task("b", job.Stop), task("c", job.Start))},
			want: map[string]job.Goal{"a": job.Stop, "b": job.Stop, "c": job.Start},
		},
		{
			name: "a task that was taken out of its directory is undeployed", before: before,
			read: store.Tasks{Directory: mark(7, 6), Tasks: tasks(task("b", job.Stop))},
			want: map[string]job.Goal{"b": job.Stop}, undeployed: []string{"a"},
		},
		{
			name: "an empty directory made anew undeploys nothing", before: before,
			read: store.Tasks{Directory: mark(9, 0)},
			want: map[string]job.Goal{},
		},
		{
			name: "a directory restored to an older state undeploys nothing", before: before,
			read: store.Tasks{Directory: mark(7, 3), Tasks: tasks(task("b", job.Stop))},
			want: map[string]job.Goal{"b": job.Stop},
		},
		{
			name: "a restored directory that was changed again, and does not add up, undeploys nothing", before: before,
			read: store.Tasks{Directory: mark(7, 6), Tasks: tasks(task("c", job.Start))},
			want: map[string]job.Goal{"c": job.Start},
		},
		{
			name:   "after a crash between the tasks' file and the mark's, a task that was taken out is undeployed all the same",
			before: wishes{mark: new(mark(7, 5)), tasks: tasks(task("a", job.Start), task("b", job.Stop), task("c", job.Start))},
			read:   store.Tasks{Directory: mark(7, 7), Tasks: tasks(task("b", job.Stop), task("c", job.Start))},
			want:   map[string]job.Goal{"b": job.Stop, "c": job.Start}, undeployed: []string{"a"},
		},
		{
			name: "a goal of a restored directory does not stop what runs", before: before,
			read: store.Tasks{Directory: mark(7, 3), Tasks: tasks(task("a", job.Stop), task("b", job.Start))},
			want: map[string]job.Goal{"a": job.Start, "b": job.Start}, doubted: []string{"a"},
		},
		{
			name: "a doubted goal is still not followed when it is read again",
			before: wishes{
				known: true, mark: new(mark(9, 1)), tasks: tasks(task("a", job.Start)),
				doubted: map[job.ID]job.Goal{testID("a"): job.Stop},
			},
			read: store.Tasks{Directory: mark(9, 2), Tasks: tasks(task("a", job.Stop), task("c", job.Start))},
			want: map[string]job.Goal{"a": job.Start, "c": job.Start}, doubted: []string{"a"},
		},
		{
			name: "a goal that changes after it was doubted is followed",
			before: wishes{
				known: true, mark: new(mark(9, 1)), tasks: tasks(task("a", job.Start)),
				doubted: map[job.ID]job.Goal{testID("a"): job.Stop},
			},
			read: store.Tasks{Directory: mark(9, 1), Tasks: tasks(task("a", job.Undeploy))},
			want: map[string]job.Goal{"a": job.Undeploy},
		},
		{
			name: "an unreadable task stays what it was", before: before,
			read: store.Tasks{
				Directory: mark(7, 5), Tasks: tasks(task("b", job.Stop)),
				Unreadable: map[string]error{testID("a").String(): errors.New("garbage"), "x": errors.New("garbage")},
			},
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop},
		},
		{
			name:   "the files of an agent without a mark: a task gone from a directory that can have had it is undeployed",
			before: wishes{tasks: before.tasks},
			read:   store.Tasks{Directory: mark(7, 3), Tasks: tasks(task("b", job.Stop))},
			want:   map[string]job.Goal{"b": job.Stop}, undeployed: []string{"a"},
		},
		{
			name:   "the files of an agent without a mark: a directory that cannot have had its tasks undeploys nothing",
			before: wishes{tasks: before.tasks},
			read:   store.Tasks{Directory: mark(7, 1), Tasks: tasks(task("c", job.Start))},
			want:   map[string]job.Goal{"c": job.Start},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.before.read(c.read)
			if d := cmp.Diff(c.want, goals(got.tasks)); d != "" {
				t.Errorf("tasks (-want +got):\n%s", d)
			}
			undeployed := map[job.ID]bool{}
			for _, name := range c.undeployed {
				undeployed[testID(name)] = true
			}
			if d := cmp.Diff(undeployed, got.undeployed); d != "" {
				t.Errorf("undeployed (-want +got):\n%s", d)
			}
			if len(got.doubted) != len(c.doubted) {
				t.Errorf("doubted: %v, want %v", got.doubted, c.doubted)
			}
			if again := got.read(c.read); !maps.Equal(goals(again.tasks), goals(got.tasks)) || len(again.undeployed) > 0 {
				t.Errorf("the same reading once more changes the wishes: %v, undeployed %v", goals(again.tasks), again.undeployed)
			}
		})
	}
}

// Whatever is read in whatever order: an execution ends only by a task that named it in the directory known before.
func TestOnlyATaskThatLeftItsDirectoryOrNamesTheEndEndsAnExecution(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(t *rapid.T) {
		var w wishes
		executions := map[job.ID]execution{}
		directory, content := store.Mark{Created: 1}, map[job.ID]job.Task{}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			named := map[job.ID]bool{} // by an accepted change of this step
			restored := false
			switch rapid.SampledFrom([]string{"deploy", "undeploy", "stop", "wipe", "restore", "garbage"}).Draw(t, "step") {
			case "deploy":
				id := testID(rapid.SampledFrom(names).Draw(t, "job"))
				content = maps.Clone(content)
				content[id] = job.Task{Job: job.Job{ID: id}, Goal: job.Start}
				directory.Changes++
			case "undeploy":
				id := testID(rapid.SampledFrom(names).Draw(t, "job"))
				if _, there := content[id]; there {
					content = maps.Clone(content)
					delete(content, id)
					named[id] = true
					directory.Changes++
				}
			case "stop":
				id := testID(rapid.SampledFrom(names).Draw(t, "job"))
				if was, there := content[id]; there && was.Goal == job.Start {
					content = maps.Clone(content)
					content[id] = job.Task{Job: job.Job{ID: id}, Goal: job.Stop}
					named[id] = true
				}
			case "wipe":
				directory, content = store.Mark{Created: directory.Created + 10}, map[job.ID]job.Task{}
			case "restore":
				restored = true
				directory.Changes = max(0, directory.Changes-int32(rapid.IntRange(1, 3).Draw(t, "lost")))
				content = maps.Clone(content)
				for id := range content {
					if rapid.Bool().Draw(t, "missing") {
						delete(content, id)
					}
				}
				if w.mark != nil && directory.Continues(*w.mark) {
					directory.Created++ // a store that lost nothing was not restored
				}
			case "garbage":
				readable, bad := maps.Clone(content), map[string]error{}
				for id := range content {
					if rapid.Bool().Draw(t, "bad") {
						delete(readable, id)
						bad[id.String()] = errors.New("garbage")
					}
				}
				w = w.read(store.Tasks{Directory: directory, Tasks: readable, Unreadable: bad})
			}
			if missed := rapid.Bool().Draw(t, "missed"); missed && len(named) == 0 && !restored {
				continue // this state of the directory is never read
			}
			w = w.read(store.Tasks{Directory: directory, Tasks: content})
			next := follow(executions, w)
			for id, e := range executions {
				if e.Goal == job.Start && next[id].Goal != job.Start && !named[id] {
					t.Fatalf("job %s ends by nothing that names it", id.Name)
				}
			}
			executions = next
		}
	})
}
