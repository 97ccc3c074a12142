package store

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

var (
	interleavings = flag.Int("interleavings", 0, "how many schedules of several masters are tried; as many as six seconds suffice for by default")
	firstSeed     = flag.Uint64("seed", 0, "the first of their seeds; any by default")
)

// TestMastersAtOnceDoWhatSomeOrderOfTheirOperationsDoes lets masters and an agent work in one tree, request by request in
// any order, with answers and requests lost. After every write the tree is as the node map says, and in the end there is
// an order of the operations that explains all that they said and did.
func TestMastersAtOnceDoWhatSomeOrderOfTheirOperationsDoes(t *testing.T) {
	explore(t, false)
}

// TestMastersAtOnceMendWhatAnOldMasterLeft is the same in a tree with leftovers of 0.9 (zookeeper Q9, Q10): none is added,
// and none spreads.
func TestMastersAtOnceMendWhatAnOldMasterLeft(t *testing.T) {
	explore(t, true)
}

func explore(t *testing.T, leftovers bool) {
	schedules(t, func(p *play) { p.run(leftovers) })
}

// schedules plays as often as is wished, each time by another seed.
func schedules(t *testing.T, run func(p *play)) {
	t.Helper()
	seed := *firstSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	var sum tally
	begin := time.Now()
	for i := 0; i < *interleavings || *interleavings == 0 && time.Since(begin) < 6*time.Second; i++ {
		inBubble(t, func(t *testing.T, dial func() *links) {
			p := &play{t: t, random: rand.New(rand.NewPCG(seed+uint64(i), 0)), dial: dial}
			run(p)
			sum.add(p)
			if t.Failed() {
				t.Logf("-interleavings 1 -seed %d\n%s", seed+uint64(i), strings.Join(p.log, "\n"))
			}
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("%+v in %s", sum, time.Since(begin))
}

// tally is what a number of schedules came to.
type tally struct {
	Schedules, Operations, Steps, Writes, Losses int
	Refused, GaveUp, Unclear                     int
}

func (s *tally) add(p *play) {
	s.Schedules++
	s.Steps += p.step
	s.Writes += p.writes
	for _, a := range p.actors {
		for _, o := range a.did {
			s.Operations++
			switch {
			case o.unclear():
				s.Unclear++
			case gaveUp(o.answer):
				s.GaveUp++
			case o.answer != nil:
				s.Refused++
			}
		}
	}
	for _, g := range p.gates {
		s.Losses += g.losses
	}
}

// play is one schedule.
type play struct {
	t      *testing.T
	random *rand.Rand
	dial   func() *links

	watcher *Store // sees the tree, and is not held back
	gates   []*gate
	actors  []*actor
	jobs    []job.Job
	step    int
	writes  int
	wrote   bool // in the last step
	log     []string
}

// actor does one operation after the other. Several may share a store.
type actor struct {
	name  string
	store *Store
	gate  *gate
	agent bool
	to    []*operation // still to be done
	did   []*operation
	begin chan struct{} // one for each operation
	busy  bool
}

const agentID = "id of the agent"

var playHosts = []string{"h1", "h2"}

func (p *play) say(format string, args ...any) { p.log = append(p.log, fmt.Sprintf(format, args...)) }

func (p *play) connect(dial func(context.Context, string, string) (net.Conn, error)) *Store {
	s, err := Open(Options{Servers: "server:1", Dial: dial})
	must(p.t, err)
	p.t.Cleanup(s.Close)
	return s
}

// open connects a store whose requests pass through a gate of its own.
func (p *play) open() (*Store, *gate) {
	g := &gate{server: p.dial().server}
	p.gates = append(p.gates, g)
	return p.connect(g.dial), g
}

func (p *play) run(leftovers bool) {
	t := p.t
	p.watcher = p.connect(p.dial().dial)
	p.jobs = []job.Job{sample("a", 80), sample("b", 80, 81), sample("a")}
	p.jobs[2].ID.Hash = strings.Repeat("f", 40)
	p.jobs = p.jobs[:2+p.random.IntN(2)]
	p.prepare()
	if leftovers {
		p.damage()
	}
	for i := range 2 + p.random.IntN(2) {
		s, g := p.open()
		for j := range 1 + p.random.IntN(2) {
			p.enter(&actor{name: fmt.Sprintf("master %d.%d", i, j), store: s, gate: g})
		}
	}
	s, g := p.open()
	p.enter(&actor{name: "agent", store: s, gate: g, agent: true})
	synctest.Wait()

	tree := p.observe()
	before, wrong := ledgerOf(tree).tidied(), complaints(tree, p.jobs)
	p.say("before: %s\nwrong: %v", before, wrong)
	for p.advance() {
		if !p.wrote {
			continue
		}
		for about, text := range complaints(p.observe(), p.jobs) {
			if _, old := wrong[about]; !old {
				t.Errorf("step %d: %s: %s", p.step, about, text)
			}
		}
		if t.Failed() {
			break
		}
	}
	after := ledgerOf(p.observe()).tidied()
	all := p.over()
	p.say("after: %s", after)
	if !t.Failed() && !explain(all, before, after) {
		t.Error("no order of the operations explains what they said and did")
	}
}

// over ends the play. It returns all that was done, by its begin.
func (p *play) over() []*operation {
	var all []*operation
	for _, a := range p.actors {
		close(a.begin)
		all = append(all, a.did...)
	}
	for _, g := range p.gates {
		g.opened()
	}
	slices.SortFunc(all, func(a, b *operation) int { return a.begin - b.begin })
	for _, o := range all {
		p.say("%s", o)
	}
	return all
}

func (p *play) observe() storetest.Tree {
	p.t.Helper()
	tree := make(storetest.Tree)
	s := p.watcher.session
	for _, root := range []string{"/config", "/status", "/history"} {
		paths, err := s.tree(p.t.Context(), root)
		must(p.t, err)
		nodes, err := s.getAll(p.t.Context(), paths)
		must(p.t, err)
		for _, n := range nodes {
			tree[n.path] = storetest.Node{Data: string(n.data), Version: n.stat.Version}
		}
	}
	return tree
}

// prepare makes a tree with something in it.
func (p *play) prepare() {
	ctx := p.t.Context()
	must(p.t, p.watcher.ensureBase(ctx))
	for _, name := range playHosts {
		if p.random.IntN(8) > 0 {
			must(p.t, p.watcher.RegisterHost(ctx, name, p.anyID()))
		}
	}
	for _, j := range p.jobs[:2] {
		if p.random.IntN(6) == 0 {
			continue
		}
		must(p.t, p.watcher.CreateJob(ctx, j))
		for _, name := range playHosts {
			if p.random.IntN(3) == 0 {
				_ = p.watcher.Deploy(ctx, name, start(j), "") // if it can be
			}
		}
	}
}

func (p *play) anyID() string {
	if p.random.IntN(4) == 0 {
		return "another id"
	}
	return agentID
}

// enter gives an actor something to do.
func (p *play) enter(a *actor) {
	for range 1 + p.random.IntN(4) {
		o := &operation{job: p.jobs[p.random.IntN(len(p.jobs))], host: "h1", id: p.anyID(), goal: job.Start}
		if p.random.IntN(4) == 0 && !a.agent {
			o.host = "h2"
		}
		if p.random.IntN(2) == 0 {
			o.goal = job.Stop
		}
		kinds := []kind{
			creates, removes, deploys, deploys, deploys, setsGoal, setsGoal, undeploys, undeploys, undeploys,
			registers, deregisters, looks, looks,
		}
		if a.agent {
			o.id = agentID
			kinds = []kind{joins, reports, remembers}
		}
		o.kind = kinds[p.random.IntN(len(kinds))]
		a.to = append(a.to, o)
	}
	p.act(a)
}

// act lets an actor do what it has to.
func (p *play) act(a *actor) {
	a.begin = make(chan struct{})
	p.actors = append(p.actors, a)
	go func() {
		var registration *Registration
		for range a.begin {
			o := a.to[0]
			o.known = registration != nil
			losses := a.gate.lost()
			a.perform(p.t.Context(), o, &registration)
			o.end, o.losses = p.step, a.gate.lost()-losses
			a.to, a.did, a.busy = a.to[1:], append(a.did, o), false
		}
	}()
}

func (a *actor) perform(ctx context.Context, o *operation, registration **Registration) {
	s, id := a.store, o.job.ID
	switch o.kind {
	case creates:
		o.answer = s.CreateJob(ctx, o.job)
	case removes:
		o.answer = s.RemoveJob(ctx, id, "")
	case deploys:
		o.answer = s.Deploy(ctx, o.host, job.Deployment{JobID: id, Goal: o.goal}, "")
	case setsGoal:
		o.answer = s.SetGoal(ctx, o.host, id, o.goal, "")
	case undeploys:
		var was job.Deployment
		was, o.answer = s.Undeploy(ctx, o.host, id, "")
		o.found = was.Goal
	case registers:
		o.answer = s.RegisterHost(ctx, o.host, o.id)
	case deregisters:
		o.answer = s.DeregisterHost(ctx, o.host)
	case looks:
		var d job.Deployment
		d, o.answer = s.Deployment(ctx, o.host, id)
		o.found = d.Goal
	case joins:
		var r Registration
		r, o.answer = s.RegisterAgent(ctx, Registering{Host: o.host, ID: o.id, Known: *registration})
		if o.answer == nil {
			*registration = &r
		}
	case reports:
		o.answer = s.PutTaskStatus(ctx, o.host, id.String(), []byte("{}"))
	case remembers:
		status := job.TaskStatus{Job: o.job, Goal: o.goal, State: job.Running, ContainerID: new(fmt.Sprint(o.event))}
		o.answer = remember(ctx, s, o.host, o.at, status)
	case recalls:
		o.history, o.answer = s.History(ctx, id)
	}
}

// advance takes one step: an operation begins, a request is let through or lost, or time passes. It returns false when
// all is done.
func (p *play) advance() bool {
	p.step++
	p.wrote = false
	var steps []func()
	done := true
	for _, a := range p.actors {
		if len(a.to) == 0 {
			continue
		}
		done = false
		if !a.busy {
			steps = append(steps, func() {
				p.say("%d: %s: %s %s %s", p.step, a.name, a.to[0].kind, a.to[0].job.ID.Name, a.to[0].host)
				a.busy, a.to[0].begin = true, p.step
				a.begin <- struct{}{}
			})
		}
	}
	for i, g := range p.gates {
		if arrive := g.arrival(); arrive != nil {
			for range 3 { // long enough for a new connection, now and then
				steps = append(steps, func() { time.Sleep(300 * time.Millisecond) })
			}
			steps = append(steps, func() {
				p.say("%d: gate %d: late request", p.step, i)
				p.wrote = true
				g.arrived()
				arrive()
			})
		}
		if g.waiting(p.random.Shuffle) == 0 {
			continue
		}
		steps = append(steps, func() {
			f := answered
			odds := 60
			if g.next() {
				odds = 5
			}
			if p.random.IntN(odds) == 0 && g.lost() < 4 {
				f = fate(1 + p.random.IntN(3))
				if f == late && g.arrival() != nil {
					f = unanswered
				}
				if p.random.IntN(8) == 0 {
					g.shut(12 * time.Second) // its session expires
				}
			}
			var text string
			if p.wrote, text = g.pass(f); p.wrote {
				p.writes++
			}
			p.say("%d: gate %d: %s, fate %d", p.step, i, text, f)
		})
	}
	switch {
	case done:
		return false
	case len(steps) == 0: // waiting for a connection
		time.Sleep(50 * time.Millisecond)
	default:
		steps[p.random.IntN(len(steps))]()
	}
	synctest.Wait()
	return true
}
