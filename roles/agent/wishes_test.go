package agent

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func namesOf[V any](m map[job.ID]V) []string {
	var names []string
	for id := range m {
		names = append(names, id.Name)
	}
	slices.Sort(names)
	return names
}

// inDoubtOf are the short names of the tasks in doubt.
func inDoubtOf(w wishes) []string {
	if w.doubt == nil {
		return nil
	}
	var names []string
	for name := range w.doubt.Tasks {
		id, _ := job.ReadID(name)
		names = append(names, id.Name)
	}
	slices.Sort(names)
	return names
}

func TestWishesAfterAReading(t *testing.T) {
	anew := func(s *tree) {
		s.tasks = make(map[string]storedTask)
		for name := range s.hosts {
			s.hosts[name] = hostsNode{}
		}
		s.makeList()
		s.note = store.Noted{}
	}
	for _, c := range []struct {
		name       string
		change     func(s, before *tree) // of the store; before is how it was before c was deployed
		lose       func(w wishes) wishes // what the agent lost of what it remembers
		want       map[string]job.Goal   // followed
		undeployed []string
		doubted    []string
		reason     string
	}{
		{
			name: "nothing changed", change: func(s, _ *tree) {},
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
		},
		{
			name:   "changed goals and a new task are followed",
			change: func(s, _ *tree) { s.set("a", job.Stop, false); s.set("b", job.Start, false); s.deploy("d", job.Start) },
			want:   map[string]job.Goal{"a": job.Stop, "b": job.Start, "c": job.Start, "d": job.Start},
		},
		{
			name: "a task that a master undeployed ends", change: func(s, _ *tree) { s.undeploy("a") },
			want: map[string]job.Goal{"b": job.Stop, "c": job.Start}, undeployed: []string{"a"},
		},
		{
			name:   "a task that was undeployed and whose job was removed ends",
			change: func(s, _ *tree) { s.undeploy("a"); s.remove("a"); s.create("x"); s.deploy("d", job.Start) },
			want:   map[string]job.Goal{"b": job.Stop, "c": job.Start, "d": job.Start}, undeployed: []string{"a"},
		},
		{
			name:   "all tasks that were undeployed end, whatever else became of their jobs",
			change: func(s, _ *tree) { s.undeploy("a"); s.undeploy("b"); s.elsewhere("b"); s.undeploy("c") },
			want:   map[string]job.Goal{}, undeployed: []string{"a", "b", "c"},
		},
		{
			name: "a task that was deployed anew is followed", change: func(s, _ *tree) { s.undeploy("a"); s.deploy("a", job.Stop) },
			want: map[string]job.Goal{"a": job.Stop, "b": job.Stop, "c": job.Start},
		},
		{
			name:   "a task that came and went unseen is nothing",
			change: func(s, _ *tree) { s.deploy("d", job.Start); s.undeploy("d") },
			want:   map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
		},
		{
			name: "a task list made anew undeploys nothing", change: func(s, _ *tree) { anew(s) },
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"a", "b", "c"}, reason: madeAnew,
		},
		{
			name: "what is in the list of a host that was registered anew is followed, what ran before is in doubt",
			change: func(s, _ *tree) {
				anew(s)
				s.deploy("a", job.Start)
				s.deploy("b", job.Start)
				s.deploy("d", job.Start)
			},
			lose:    func(w wishes) wishes { w.readmitted = true; return w },
			want:    map[string]job.Goal{"a": job.Start, "b": job.Start, "c": job.Start, "d": job.Start},
			doubted: []string{"c"}, reason: madeAnew,
		},
		{
			name: "in a task list made anew only what differs is in doubt",
			change: func(s, _ *tree) {
				anew(s)
				s.deploy("a", job.Start)
				s.deploy("b", job.Start)
				s.deploy("d", job.Start)
			},
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"b", "c", "d"}, reason: madeAnew,
		},
		{
			name:   "a store restored to before a deployment ends nothing",
			change: func(s, before *tree) { *s = *before.clone() },
			want:   map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start}, doubted: []string{"c"}, reason: older,
		},
		{
			name: "a restored store that was changed until it adds up ends nothing",
			change: func(s, before *tree) { // c gone, d there, and as many changes as that takes
				zxid := s.zxid + 100
				*s = *before.clone()
				s.zxid = zxid
				s.deploy("d", job.Start)
				s.elsewhere("c")
				s.deploy("e", job.Start)
				s.undeploy("e")
			},
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"c", "d"}, reason: noteOlder,
		},
		{
			name: "a restored store that was changed as often as it had been ends nothing",
			change: func(s, before *tree) {
				zxid := s.zxid + 100
				*s = *before.clone()
				s.zxid = zxid
				s.deploy("d", job.Start)
			},
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"c", "d"}, reason: another,
		},
		{
			name: "a goal that a restored store has back is not followed",
			change: func(s, before *tree) {
				before.set("a", job.Stop, false)
				*s = *before.clone()
			},
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"a", "c"}, reason: older,
		},
		{
			name:   "nodes that are deleted one by one, tasks first, undeploy nothing",
			change: func(s, _ *tree) { s.dropTask("a"); s.dropTask("c") },
			want:   map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start}, doubted: []string{"a", "c"}, reason: unproven,
		},
		{
			name:   "nodes that are deleted one by one, the jobs' lists first, undeploy nothing",
			change: func(s, _ *tree) { s.dropLink("a"); s.dropLink("b"); s.dropLink("c"); s.dropTask("a"); s.dropTask("b") },
			want:   map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start}, doubted: []string{"a", "b"}, reason: unproven,
		},
		{
			name:   "nodes that are deleted one by one, jobs first, undeploy nothing",
			change: func(s, _ *tree) { s.dropJob("a"); s.dropJob("c"); s.dropTask("a") },
			want:   map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start}, doubted: []string{"a"}, reason: unproven,
		},
		{
			name: "no task list ends nothing", change: func(s, _ *tree) { s.list = nil },
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"a", "b", "c"}, reason: missing,
		},
		{
			name: "a task that cannot be read stays what it was", change: func(s, _ *tree) { s.set("a", job.Stop, true); s.undeploy("c") },
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop}, undeployed: []string{"c"}, doubted: []string{"a"}, reason: notReadable,
		},
		{
			name: "a new node that cannot be read is nothing", change: func(s, _ *tree) { s.deploy("d", job.Start); s.set("d", "", true) },
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
		},
		{
			name: "the status of the host lost, and nothing else, is nothing", change: func(s, _ *tree) { s.note = store.Noted{} },
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
		},
		{
			name: "the tree of another cluster ends nothing, though its numbers are the same",
			change: func(s, _ *tree) {
				*s = *newTree(1_000_000, "a", "b", "c", "d", "e")
				s.deploy("a", job.Start)
				s.deploy("d", job.Start)
				s.deploy("e", job.Start)
			},
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"b", "c", "d", "e"}, reason: madeAnew,
		},
		{
			name: "an agent that lost what it remembered ends nothing", change: func(s, _ *tree) { s.undeploy("a") },
			lose:    func(w wishes) wishes { return wishes{lost: forgotten, tasks: w.tasks} },
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"a"}, reason: forgotten,
		},
		{
			name: "an agent that lost its tasks, and what it remembered, follows what is stored", change: func(s, _ *tree) { s.undeploy("a") },
			lose: func(wishes) wishes { return wishes{lost: forgotten} },
			want: map[string]job.Goal{"b": job.Stop, "c": job.Start},
		},
		{
			name: "an agent that lost its tasks alone follows what is stored", change: func(s, _ *tree) { s.undeploy("a") },
			lose: func(w wishes) wishes { w.tasks = nil; return w },
			want: map[string]job.Goal{"b": job.Stop, "c": job.Start},
		},
		{
			name: "the files of an original agent: what was undeployed meanwhile ends", change: func(s, _ *tree) { s.undeploy("a") },
			lose: func(w wishes) wishes { return wishes{tasks: w.tasks} },
			want: map[string]job.Goal{"b": job.Stop, "c": job.Start}, undeployed: []string{"a"},
		},
		{
			name: "the files of an original agent: a list that cannot have had its tasks ends nothing", change: func(s, _ *tree) { anew(s) },
			lose:    func(w wishes) wishes { return wishes{tasks: w.tasks} },
			want:    map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start},
			doubted: []string{"a", "b", "c"}, reason: older,
		},
		{
			name:   "a task of an original agent that ran between two of ours ends when it was undeployed",
			change: func(s, _ *tree) { s.deploy("d", job.Start); s.undeploy("d") },
			lose: func(w wishes) wishes {
				w.tasks = maps.Clone(w.tasks)
				w.tasks[testID("d")] = task("d", job.Start)
				return w
			},
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start}, undeployed: []string{"d"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.UnixMilli(1000)
			s := newTree(0, "a", "b", "c", "d", "e")
			s.deploy("a", job.Start)
			s.deploy("b", job.Stop)
			s.set("a", job.Stop, false)
			before := s.clone()
			s.set("a", job.Start, false)
			before.set("a", job.Start, false) // by the same transaction
			s.deploy("c", job.Start)
			w := wishes{}.read("A", s.read(nil), now)
			w.seen.Notes, w.seen.Line = 7, 5
			s.note = store.Noted{Agent: "A", Count: 7, Line: 5}
			before.note = store.Noted{Agent: "A", Count: 6, Line: 5}
			if c.lose != nil {
				w = c.lose(w)
			}
			c.change(s, before)
			got := w.read("A", s.read(append(w.remembered(), testID("d").String())), now)
			if d := cmp.Diff(c.want, goals(got.tasks)); d != "" {
				t.Errorf("followed (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.undeployed, namesOf(got.undeployed)); d != "" {
				t.Errorf("undeployed (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.doubted, inDoubtOf(got)); d != "" {
				t.Errorf("in doubt (-want +got):\n%s", d)
			}
			if got.doubt != nil && got.doubt.Reason != c.reason {
				t.Errorf("reason %q, want %q", got.doubt.Reason, c.reason)
			}
			if again := got.read("A", s.read(got.remembered()), now.Add(time.Hour)); !maps.Equal(goals(again.tasks), goals(got.tasks)) ||
				len(again.undeployed) > 0 || !cmp.Equal(again.doubt, got.doubt) {
				t.Errorf("the same reading once more changes the wishes: %v, undeployed %v, %+v", goals(again.tasks), again.undeployed, again.doubt)
			}
		})
	}
}

// A list that was accepted and is back is followed again, with all that became of it meanwhile, and the doubt ends by
// itself; but for what somebody did in another list, which that list cannot speak for.
func TestWishesWhenTheAcceptedListIsBack(t *testing.T) {
	foreign := func(s *tree) {
		*s = *newTree(1_000_000, "a", "b", "c", "d", "e")
		s.deploy("e", job.Start)
	}
	follow := func(w wishes, s *tree) wishes { return w.follow(s.read(w.remembered()), time.UnixMilli(1)) }
	all := map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start}
	for _, c := range []struct {
		name       string
		away       []func(s *tree) // what the store shows meanwhile, in place of the accepted list
		said       func(w wishes, s *tree) wishes
		lose       func(w wishes) wishes
		back       func(s *tree) // what masters do in the accepted list before it is looked at
		want       map[string]job.Goal
		undeployed []string
		doubted    []string
	}{
		{name: "as it was", away: []func(*tree){foreign}, want: all},
		{
			name: "with a task that was deployed before the first look", away: []func(*tree){foreign},
			back: func(s *tree) { s.deploy("d", job.Start) },
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start, "d": job.Start},
		},
		{
			name: "with undeployments and goals of before the first look", away: []func(*tree){foreign},
			back:       func(s *tree) { s.undeploy("a"); s.set("b", job.Start, false); s.undeploy("c"); s.deploy("c", job.Stop) },
			want:       map[string]job.Goal{"b": job.Start, "c": job.Stop},
			undeployed: []string{"a"},
		},
		{
			name: "after two other lists, and none", away: []func(*tree){
				foreign, func(s *tree) { s.list = nil }, func(s *tree) { foreign(s); s.list.mark.Time++ },
			},
			back: func(s *tree) { s.deploy("d", job.Start) },
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start, "d": job.Start},
		},
		{
			name: "after another one that was the same by chance", away: []func(*tree){func(s *tree) {
				*s = *newTree(1_000_000, "a", "b", "c", "d", "e")
				s.deploy("a", job.Start)
				s.deploy("b", job.Stop)
				s.deploy("c", job.Start)
			}},
			back: func(s *tree) { s.undeploy("a"); s.deploy("d", job.Start) },
			want: map[string]job.Goal{"b": job.Stop, "c": job.Start, "d": job.Start}, undeployed: []string{"a"},
		},
		{
			name: "after an older state of itself", away: []func(*tree){func(s *tree) {
				older := newTree(0, "a", "b", "c", "d", "e")
				older.deploy("a", job.Stop)
				older.list.mark = store.Mark{Created: s.list.mark.Created, Changes: 1, Time: s.list.mark.Time}
				older.note = store.Noted{Agent: "A", Count: 6, Line: 5}
				*s = *older
			}},
			back: func(s *tree) { s.deploy("d", job.Start); s.undeploy("c") },
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop, "d": job.Start}, undeployed: []string{"c"},
		},
		{
			name: "but a task that was deployed elsewhere stays", away: []func(*tree){foreign, func(s *tree) { s.deploy("d", job.Start) }},
			want: map[string]job.Goal{"a": job.Start, "b": job.Stop, "c": job.Start, "d": job.Start}, doubted: []string{"d"},
		},
		{
			name:    "but what was changed elsewhere stays, though it was changed in this list before that, too",
			away:    []func(*tree){foreign, func(s *tree) { s.deploy("d", job.Start) }},
			back:    func(s *tree) { s.deploy("d", job.Stop); s.undeploy("a") },
			want:    map[string]job.Goal{"b": job.Stop, "c": job.Start, "d": job.Start},
			doubted: []string{"d"}, undeployed: []string{"a"},
		},
		{
			name: "but a task that was undeployed elsewhere does not begin again", away: []func(*tree){
				func(s *tree) { foreign(s); s.deploy("a", job.Start) }, func(s *tree) { s.undeploy("a") },
			},
			want: map[string]job.Goal{"b": job.Stop, "c": job.Start}, doubted: []string{"a"},
		},
		{
			name: "but not once a person accepted another one", away: []func(*tree){foreign}, said: follow,
			want: map[string]job.Goal{"e": job.Start}, doubted: []string{"a", "b", "c", "e"},
		},
		{
			name: "but not by an agent that never accepted it", away: []func(*tree){foreign},
			lose: func(w wishes) wishes { return wishes{lost: forgotten, tasks: w.tasks} },
			back: func(s *tree) { s.set("a", job.Stop, false) },
			want: all, doubted: []string{"a"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.UnixMilli(1000)
			s := newTree(0, "a", "b", "c", "d", "e")
			s.deploy("a", job.Start)
			s.deploy("b", job.Stop)
			s.deploy("c", job.Start)
			w := wishes{}.read("A", s.read(nil), now)
			w.seen.Notes, w.seen.Line = 7, 5
			s.note = store.Noted{Agent: "A", Count: 7, Line: 5}
			own := s.clone()
			if c.lose != nil {
				w = c.lose(w)
			}
			for _, show := range c.away {
				show(s)
				if w = w.read("A", s.read(w.remembered()), now); w.seen.Line == 0 {
					s.note = store.Noted{Agent: "A", Count: 20, Line: 20}
					w.seen.Notes, w.seen.Line = 20, 20
				}
				w.undeployed = nil
			}
			if c.said != nil {
				w = c.said(w, s)
			}
			s = own
			if c.back != nil {
				c.back(s)
			}
			got := w.read("A", s.read(append(w.remembered(), testID("d").String())), now)
			if d := cmp.Diff(c.want, goals(got.tasks)); d != "" {
				t.Errorf("followed (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.undeployed, namesOf(got.undeployed)); d != "" {
				t.Errorf("undeployed (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.doubted, inDoubtOf(got)); d != "" {
				t.Errorf("in doubt (-want +got):\n%s", d)
			}
			if c.doubted == nil && got.accepted != nil {
				t.Error("the list that is back is not accepted")
			}
		})
	}
}
