package agent

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// world is a store to which everything happens, and an agent that looks at it now and then.
type world struct {
	t         *rapid.T
	store     *tree
	snapshots []*tree
	agent     *reconciler
	accepted  map[string]int64 // moments of the states in which the agent accepted its tasks last
	looked    int64            // moment of the state that the agent looked at last
	faulty    bool             // something but transactions of masters happened since
	deaf      bool             // the store takes no notes
	ends      int64            // of tasks
	backs     int64            // returns of the accepted list, after which the agent was sure again
}

var worldNames = []string{"a", "b", "c", "d"}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, store: newTree(0, worldNames...), accepted: make(map[string]int64)}
	w.start(wishes{}, make(map[job.ID]execution))
	return w
}

// start starts an agent with what an earlier one left.
func (w *world) start(left wishes, executions map[job.ID]execution) {
	w.agent = &reconciler{
		id: "A", host: "h", log: zerolog.Nop(), wishes: left, told: left, executions: executions, bell: make(chan struct{}, 1),
		note: func(_ context.Context, n host.Note, _ map[job.ID]job.Task) error {
			if w.deaf {
				return errors.New("deaf")
			}
			w.store.leave(n)
			return nil
		},
	}
}

// look is a look of the agent at the store, after which it follows what it wishes. What ends is returned.
func (w *world) look(acceptance *host.Acceptance) (ended []string) {
	r := w.agent
	defer func() { w.looked = w.store.clock }()
	r.observe(w.store.read(r.names()))
	r.acceptance = acceptance
	wished, reading, _ := r.wish(w.t.Context())
	next := follow(r.executions, wished)
	for id, e := range next {
		if before := r.executions[id]; before.Goal == job.Start && e.Goal != job.Start {
			ended = append(ended, id.Name)
			w.ends++
		}
		if e.Goal == job.Undeploy {
			delete(next, id)
		}
	}
	r.executions, r.wishes, r.told, r.judged = next, wished, wished, reading
	r.wishes.undeployed, r.acceptance = nil, nil
	return ended
}

// check is a look after which the promises must hold.
func (w *world) check() {
	before, looked := w.agent.wishes, w.looked
	sure := before.doubt == nil && !w.faulty && !w.deaf && (before.seen != nil || len(before.tasks) == 0)
	for _, name := range w.look(nil) {
		if w.store.named[name] <= w.accepted[name] {
			w.t.Fatalf("%s ends, though nobody named it: %+v", name, w.agent.wishes.doubt)
		}
	}
	after := w.agent.wishes
	if w.deaf {
		return
	}
	w.remember(before, looked)
	garbage := 0
	stored := make(map[string]job.Goal)
	for name, n := range w.store.tasks {
		if stored[name] = n.goal; n.garbage {
			garbage++
		}
	}
	if sure && garbage == 0 && (after.doubt != nil || !maps.Equal(goals(after.tasks), stored)) {
		w.t.Fatalf("stored %v, followed %v, in doubt: %+v", stored, goals(after.tasks), after.doubt)
	}
	w.faulty = garbage > 0
}

// remember notes what the agent accepted by a look: all that is not in doubt, or in another list than the accepted one
// what masters have changed since it looked there last. A list that is as it was before is the state that was accepted then.
func (w *world) remember(before wishes, looked int64) {
	if w.store.list == nil || before.seen != nil && before.seen.same(w.store.read(nil)) {
		return
	}
	after := w.agent.wishes
	for id := range after.tasks {
		if !after.doubts(id.String()) && (after.accepted == nil || w.store.changed[id.Name] > looked) {
			w.accepted[id.Name] = w.store.clock
		}
	}
}

// kept are wishes as they are read back from their file.
func (w *world) kept(left wishes) wishes {
	if left.seen == nil {
		return left
	}
	was := recollection{seen: *left.seen, accepted: left.accepted, doubt: left.doubt}
	var r recollection
	if err := document.ReadVersioned(pretty(was.JSON()), wishesVersion, r.JSON()); err != nil {
		w.t.Fatal(err)
	}
	left.seen, left.accepted, left.doubt = &r.seen, r.accepted, r.doubt
	return left
}

// away has the store show other lists for a while, and then the accepted one again, in which masters have worked on. The
// agent is sure of all tasks again but for those that it saw being changed elsewhere.
func (w *world) away() {
	w.check()
	s, left := w.store, w.agent.wishes
	if left.doubt != nil || left.accepted != nil || left.seen == nil || s.list == nil || w.faulty {
		return
	}
	own := s.clone()
	changed := make(map[string]bool)
	others := []string{"foreign", "wipe", "restore", "drop list"}
	for i := range rapid.IntRange(1, 5).Draw(w.t, "steps away") {
		what := rapid.SampledFrom(others).Draw(w.t, "away")
		if i == 0 {
			others = append(others, "make list", "look", "look", "look", "crash", "restart", "deaf", "work", "work")
		}
		if what == "work" {
			name := w.work()
			changed[name] = true
			continue
		}
		w.happen(what)
		if what == "restore" && left.seen.same(s.read(nil)) {
			return // the very list, of a time before the last note: from there on that is the accepted one
		}
	}
	clock, zxid := s.clock, max(s.zxid, own.zxid)
	*s = *own
	s.clock = clock + 1
	if rapid.Bool().Draw(w.t, "a new epoch") {
		s.zxid = zxid + 1<<32
	}
	w.faulty = true
	for range rapid.IntRange(0, 3).Draw(w.t, "work before the first look") {
		w.work()
	}
	w.faulty = true
	elsewhere := w.agent.wishes.accepted == nil
	w.check()
	if len(changed) > 0 && elsewhere {
		return // another list was accepted meanwhile
	}
	after := w.agent.wishes
	followed := goals(after.tasks)
	for _, name := range worldNames {
		if changed[name] {
			continue
		}
		if after.doubts(testID(name).String()) || followed[name] != s.tasks[name].goal {
			w.t.Fatalf("the accepted list is back, and %s is stored %q, followed %q, in doubt: %+v", name, s.tasks[name].goal, followed[name], after.doubt)
		}
	}
	w.backs++
}

// work is one transaction of a master, on the task that is named.
func (w *world) work() (name string) {
	s, name := w.store, rapid.SampledFrom(worldNames).Draw(w.t, "worked on")
	goal := rapid.SampledFrom([]job.Goal{job.Start, job.Stop}).Draw(w.t, "goal")
	if !s.deploy(name, goal) && !(rapid.Bool().Draw(w.t, "undeploy") && s.undeploy(name)) {
		s.set(name, goal, false)
	}
	return name
}

// happen is one thing that happens.
func (w *world) happen(what string) {
	s, name := w.store, rapid.SampledFrom(worldNames).Draw(w.t, "name")
	goal := rapid.SampledFrom([]job.Goal{job.Start, job.Start, job.Stop}).Draw(w.t, "goal")
	switch what {
	case "create":
		s.create(name)
	case "remove":
		s.remove(name)
	case "deploy":
		s.deploy(name, goal)
	case "undeploy":
		s.undeploy(name)
	case "redeploy":
		if s.undeploy(name) {
			s.deploy(name, goal)
		}
	case "set goal":
		s.set(name, goal, false)
	case "elsewhere":
		s.elsewhere(name)
	case "snapshot":
		w.snapshots = append(w.snapshots, s.clone())
	case "look":
		w.check()
	case "deaf":
		w.deaf = true
		w.check()
		w.deaf = false
	case "crash": // after a note, before anything was remembered
		left, executions := w.agent.wishes, w.agent.executions
		w.look(nil)
		w.start(left, executions)
	case "restart":
		w.start(w.kept(w.agent.wishes), w.agent.executions)
	case "away":
		w.away()
	default:
		w.faulty = true
		w.fail(what, name)
	}
}

// fail is one fault.
func (w *world) fail(what, name string) {
	s := w.store
	switch what {
	case "deregister":
		for name := range s.tasks {
			s.hosts[name] = hostsNode{latest: s.begin()}
		}
		s.tasks, s.note = make(map[string]storedTask), store.Noted{}
		s.makeList()
	case "wipe":
		*s = *newTree(s.clock, worldNames[:rapid.IntRange(0, len(worldNames)).Draw(w.t, "jobs")]...)
	case "restore":
		if len(w.snapshots) == 0 {
			return
		}
		clock, zxid := s.clock, s.zxid
		*s = *rapid.SampledFrom(w.snapshots).Draw(w.t, "snapshot").clone()
		s.clock = clock + 1
		if rapid.Bool().Draw(w.t, "a new epoch") {
			s.zxid = max(s.zxid, zxid) + 1<<32
		}
	case "restore a part": // node by node, into the list that is there
		if len(w.snapshots) == 0 || s.list == nil {
			return
		}
		old := rapid.SampledFrom(w.snapshots).Draw(w.t, "snapshot")
		for _, name := range slices.Sorted(maps.Keys(old.tasks)) {
			if _, there := s.tasks[name]; !there && rapid.Bool().Draw(w.t, "restored") {
				zxid := s.begin()
				s.tasks[name] = storedTask{mark: store.NodeMark{Created: zxid, Changed: zxid, Time: s.clock}, goal: job.Start}
				s.touch(zxid)
			}
		}
	case "foreign":
		foreign := newTree(s.clock+1000, worldNames...)
		for range rapid.IntRange(0, 6).Draw(w.t, "changes") {
			name := rapid.SampledFrom(worldNames).Draw(w.t, "name")
			if !foreign.deploy(name, job.Start) {
				foreign.undeploy(name)
			}
		}
		foreign.named, foreign.changed = make(map[string]int64), make(map[string]int64) // nobody there meant this host
		*s = *foreign
	case "garbage":
		s.set(name, "", true)
	case "drop task", "drop link", "drop job":
		map[string]func(string){"drop task": s.dropTask, "drop link": s.dropLink, "drop job": s.dropJob}[what](name)
		if _, deployed := s.tasks[name]; !deployed && !s.hosts[name].listed {
			s.named[name] = s.clock // its own nodes were deleted, by name: an undeployment by hand (decisions 10)
		}
	case "drop everything":
		drops := []func(string){s.dropTask, s.dropLink, s.dropJob}
		for _, i := range rapid.Permutation([]int{0, 1, 2}).Draw(w.t, "order") {
			for _, name := range worldNames {
				drops[i](name)
				meanwhile := rapid.IntRange(0, 5).Draw(w.t, "looked meanwhile") == 0
				if meanwhile && !s.read(w.agent.names()).Late() { // what is late is told when it has stood for a while
					w.check()
					w.faulty = true
				}
			}
		}
		s.list = nil
	case "drop list":
		s.list, s.tasks = nil, make(map[string]storedTask)
	case "make list":
		if s.list == nil {
			s.makeList()
		}
	case "drop status":
		s.note = store.Noted{}
	case "forget":
		left := wishes{lost: forgotten, tasks: w.agent.wishes.tasks}
		w.start(left, w.agent.executions)
	case "accept":
		doubt := w.agent.wishes.doubt
		if doubt == nil || s.list == nil {
			return
		}
		looked := w.looked
		ended := w.look(&host.Acceptance{Token: doubt.Token, Mode: host.Follow})
		for _, name := range ended {
			if _, in := doubt.Tasks[testID(name).String()]; !in && s.named[name] <= w.accepted[name] {
				w.t.Fatalf("%s ends by the acceptance of another doubt", name)
			}
		}
		w.remember(wishes{}, looked)
	}
}

// No running task ends without an undeployment, or a goal, that named it after the state that was followed last, in the
// very store that the agent looks at; and where nothing but masters' transactions happened, every one of them is followed.
func TestNothingEndsUnlessNamedAndWhatIsNamedEnds(t *testing.T) {
	var steps, ends, doubts, backs atomic.Int64
	changes := []string{"create", "remove", "deploy", "deploy", "undeploy", "redeploy", "set goal", "elsewhere", "snapshot", "look", "look", "look", "crash", "restart", "deaf", "away"}
	faults := []string{
		"deregister", "wipe", "restore", "restore", "restore a part", "foreign", "garbage", "drop task", "drop link", "drop job",
		"drop everything", "drop list", "make list", "drop status", "forget", "accept",
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(5, 60).Draw(t, "steps") {
			kind := changes
			if rapid.IntRange(0, 4).Draw(t, "fault") == 0 {
				kind = faults
			}
			w.happen(rapid.SampledFrom(kind).Draw(t, "what"))
			steps.Add(1)
			if w.agent.wishes.doubt != nil {
				doubts.Add(1)
			}
		}
		ends.Add(w.ends)
		backs.Add(w.backs)
	})
	t.Logf("%d steps, %d tasks ended, %d steps in doubt, %d times the accepted list was back and followed", steps.Load(), ends.Load(), doubts.Load(), backs.Load())
}
