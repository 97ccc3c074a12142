package roles_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestEnsemble is one chain: a whole cluster, what becomes of it when its processes die one after the other, and, all
// the time, tasks that nobody names.
func TestEnsemble(t *testing.T) {
	t.Parallel()
	e := startEnsembleCluster(t)
	b := e.startBystanders()
	for _, step := range []struct {
		name string
		test func(t *testing.T, e *ensembleCluster)
	}{
		{"masters list each other until they end", mastersListEachOther},
		{"client that knows both masters never sees one die", mastersDieUnseen},
		{"agents that were silent for longer than their sessions are up again", sessionsAreLost},
		{"what one master did is done for the next one", mastersKeepUp},
		{"leader of ZooKeeper dies, and the watches live", leaderDies},
		{"every command takes effect once, whoever dies", everyoneDies},
		{"SYS-128, SYS-129 without a majority masters say so, and agents go on", majorityDies},
		{"SYS-127, SYS-130, SYS-131, SYS-132, AGT-087 jobs are deployed with one peer dead, also after another has lost its data", peersDie},
		{"SYS-023 one job is deployed on ten hosts, and undeployed", manyHosts},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			step.test(t, e)
			if err := b.unharmed(); err != nil {
				t.Error(err)
			}
			storetest.Eventually(t, inTime, b.shown)
		})
		if !ok {
			return
		}
	}
}

// mastersListEachOther wants a master on the list of every other one from its start until its end: a killed one until
// its session is over, one that ends in order until then.
func mastersListEachOther(t *testing.T, e *ensembleCluster) {
	lists := func(names ...string) func() error {
		return func() error {
			slices.Sort(names)
			for _, m := range e.masters {
				list := strings.Fields(m.must("masters", "-f"))
				if slices.Sort(list); !slices.Equal(list, names) {
					return fmt.Errorf("%s lists %v, want %v", m.name, list, names)
				}
			}
			return nil
		}
	}
	first, second := e.masters[0].name, e.masters[1].name
	storetest.Eventually(t, inTime, lists(first, second))
	orderly := startNamedMaster(t, e.zk, "--zk-session-timeout", "60000")
	killed := startNamedMaster(t, e.zk, "--zk-session-timeout", "15000") // that of one that is listed until it ends
	storetest.Eventually(t, inTime, lists(first, second, orderly.name, killed.name))

	killed.process.kill()
	if err := lists(first, second, orderly.name, killed.name)(); err != nil {
		t.Errorf("at once after the kill: %v", err)
	}
	storetest.Eventually(t, inTime, lists(first, second, orderly.name))
	if status := orderly.process.stop(); status != 128+int(syscall.SIGTERM) {
		t.Errorf("master ended with %d", status)
	}
	storetest.Eventually(t, 40*time.Second, lists(first, second)) // before its session is over
}

// mastersDieUnseen lets a client read and write while the masters are killed and ended by turns.
func mastersDieUnseen(t *testing.T, e *ensembleCluster) {
	c := newCluster(t, e.masters[0].api, e.zk, e.masters[1].api)
	id := e.create(job.Job{Image: new(noImage)})
	name := e.agents[0].docker.Host
	if _, err := c.Deploy(t.Context(), name, id, job.Stop, ""); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var commands atomic.Int64
	var failure error
	loop := func(ctx context.Context) error {
		if _, err := c.SetGoal(ctx, name, id, job.Stop, ""); err != nil {
			return err
		}
		if d, err := c.Deployment(ctx, name, id); err != nil || d.JobID != id || d.Goal != job.Stop {
			return fmt.Errorf("deployment %+v: %w", d, err)
		}
		if hosts, err := c.Hosts(ctx, ""); err != nil || len(hosts) != len(e.agents) {
			return fmt.Errorf("hosts %v: %w", hosts, err)
		}
		if jobs, err := c.Jobs(ctx, id.Name, ""); err != nil || len(jobs) != 1 {
			return fmt.Errorf("jobs %v: %w", jobs, err)
		}
		if _, err := c.JobStatus(ctx, id); err != nil {
			return err
		}
		commands.Add(5)
		return nil
	}
	var looping sync.WaitGroup
	looping.Go(func() {
		for ctx.Err() == nil && failure == nil {
			failure = loop(t.Context())
		}
		stop()
	})
	for i := range 16 {
		m, before := e.masters[i%2], commands.Load()
		storetest.Eventually(t, inTime, func() error { // some commands between two deaths
			if ctx.Err() == nil && commands.Load() < before+20 {
				return errors.New("the client does not get on")
			}
			return nil
		})
		if i%4 < 3 {
			m.process.kill()
		} else {
			m.process.stop()
		}
		m.process.restart()
		m.answers()
	}
	stop()
	looping.Wait()
	if failure != nil {
		t.Errorf("after %d commands: %v", commands.Load(), failure)
	}
	t.Logf("%d commands", commands.Load())
	e.undeploy(id, name)
}

// mastersKeepUp gives commands through masters by turns that are connected to different servers of ZooKeeper, none of them
// the leader: one may be behind the other by a moment.
func mastersKeepUp(t *testing.T, e *ensembleCluster) {
	var masters []*cluster
	leader := e.zookeeper.AwaitLeader()
	for i := range 3 {
		if i != leader {
			masters = append(masters, startNamedMaster(t, e.zookeeper.Addr(i), "--zk-session-timeout", "60000").cluster)
		}
	}
	name := unique("host")
	if _, err := masters[0].RegisterHost(t.Context(), name, "id"); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		a, b := masters[i%2], masters[1-i%2]
		id := a.create(job.Job{Image: new(noImage)})
		b.insist(nil, func() error {
			jobs, err := b.Jobs(t.Context(), id.Name, "")
			if err == nil && len(jobs) != 1 {
				t.Fatalf("%d: created job is not listed: %v", i, jobs)
			}
			return err
		})
		b.deploy(id, name)
		a.setGoal(id, name, job.Stop)
		b.undeploy(id, name)
		a.insist(job.ErrNotFound, func() error {
			_, err := a.RemoveJob(t.Context(), id, "")
			return err
		})
	}
	if _, err := masters[1].DeregisterHost(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// sessionsAreLost stops a master and an agent for longer than their sessions last.
func sessionsAreLost(t *testing.T, e *ensembleCluster) {
	a, m := e.agents[0], e.masters[0]
	other := e.masters[1].seenBy(t)
	a.signal(syscall.SIGSTOP)
	m.process.signal(syscall.SIGSTOP)
	listed := func(want bool) func() error {
		return func() error {
			if list, err := other.Masters(t.Context()); err != nil || slices.Contains(list, m.name) != want {
				return fmt.Errorf("masters %v: %w", list, err)
			}
			return nil
		}
	}
	other.await(a.docker.Host, host.Down)
	storetest.Eventually(t, inTime, listed(false))
	a.signal(syscall.SIGCONT)
	m.process.signal(syscall.SIGCONT)
	other.await(a.docker.Host, host.Up)
	storetest.Eventually(t, inTime, listed(true))
	e.reachesAgents(t)
}

// reachesAgents deploys a job to every agent and takes it back. Nobody waits for what a watch tells: without a word, the
// next look is after half a minute.
func (e *ensembleCluster) reachesAgents(t *testing.T) {
	t.Helper()
	c := newCluster(t, e.masters[0].api, e.zk, e.masters[1].api)
	id := c.create(job.Job{Image: &e.image})
	// soon waits until each agent has said something, which takes Docker as long as it takes, and then for its effect.
	soon := func(saying string, effect func(name string)) {
		t.Helper()
		begin := time.Now()
		for _, a := range e.agents {
			a.said(`"job":"` + id.String() + `"[^\n]*"goal":"` + saying)
		}
		if took := time.Since(begin); took > 28*time.Second {
			t.Errorf("the agents know only after %s: %s", took, saying)
		}
		for _, a := range e.agents {
			effect(a.docker.Host)
		}
	}
	for _, a := range e.agents {
		c.deploy(id, a.docker.Host)
	}
	soon("START", func(name string) { c.awaitState(id, name, job.Running) })
	for _, a := range e.agents {
		c.undeploy(id, a.docker.Host)
	}
	soon("UNDEPLOY", func(name string) { c.awaitGone(id, name) })
}

// leaderDies wants a new leader to be served by everyone as the old one was. Nothing is read again for half a minute
// unless a watch says so.
func leaderDies(t *testing.T, e *ensembleCluster) {
	leader := e.zookeeper.AwaitLeader()
	e.zookeeper.Kill(leader)
	e.zookeeper.AwaitLeader()
	c := e.cluster.seenBy(t)
	for _, a := range e.agents {
		c.await(a.docker.Host, host.Up)
	}
	for _, m := range e.masters {
		storetest.Eventually(t, inTime, func() error { _, err := m.Hosts(t.Context(), ""); return err })
	}
	e.reachesAgents(t)
	e.zookeeper.Restart(leader)
	e.zookeeper.AwaitServing(leader)
}

// everyoneDies kills masters, agents and leaders while commands go on, at first one after the other and then several
// at a time.
func everyoneDies(t *testing.T, e *ensembleCluster) {
	s := e.startStream()
	master := func(i int, meanwhile ...func()) {
		m := e.masters[i]
		s.dies("master "+m.name, m.process.kill, func() {
			all(meanwhile)
			m.process.restart()
			m.answers()
		})
	}
	agent := func(i int, meanwhile ...func()) {
		a := e.agents[i]
		s.dies("agent "+a.docker.Host, a.kill, func() {
			all(meanwhile)
			e.await(a.docker.Host, host.Down)
			a.restart()
			e.await(a.docker.Host, host.Up)
		})
	}
	leader := func(meanwhile ...func()) {
		i := e.zookeeper.AwaitLeader()
		s.dies("leader", func() { e.zookeeper.Kill(i) }, func() {
			all(meanwhile)
			e.zookeeper.AwaitLeader()
			e.zookeeper.Restart(i)
			e.zookeeper.AwaitServing(i)
		})
	}
	err := s.during(func() {
		master(0)
		agent(0)
		leader()
		master(1)
		agent(1, func() { master(0) })
		leader(func() { agent(2, func() { master(1) }) })
		agent(0, func() { leader() })
	})
	t.Logf("%d lines of commands:\n%s", len(s.log), strings.Join(s.log, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	starts := 0
	for _, l := range s.lanes {
		if err := l.onceEach(); err != nil {
			t.Error(err)
		}
		storetest.Eventually(t, inTime, l.inOrder)
		starts += l.starts
		t.Logf("%s on %s: %d accepted starts, %d containers", l.id, l.docker.Host, l.starts, len(lifetimes(t, l.docker, l.id)))
	}
	if starts < len(s.lanes) {
		t.Errorf("only %d starts", starts)
	}
	storetest.Eventually(t, inTime, s.agrees)
	for _, l := range s.lanes {
		if l.goal != "" {
			if _, err := e.Undeploy(t.Context(), l.docker.Host, l.id, password); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func all(steps []func()) {
	for _, step := range steps {
		step()
	}
}

// agrees tells whether both masters, the tree and Docker say the same of every task, and what the commands said.
func (s *stream) agrees() error {
	conn := s.e.tree()
	defer conn.Close()
	deployed, jobs := map[string][]string{}, map[job.ID][]string{} // by host and by job
	for _, l := range s.lanes {
		for _, m := range s.e.masters {
			if err := l.settled(m.cluster); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		if l.goal != "" {
			deployed[l.docker.Host] = append(deployed[l.docker.Host], l.id.String())
			jobs[l.id] = append(jobs[l.id], l.docker.Host)
		}
	}
	for _, a := range s.e.agents {
		for _, l := range s.lanes {
			want := slices.Contains(deployed[a.docker.Host], l.id.String())
			if slices.Contains(s.e.nodes(conn, "/config/hosts/"+a.docker.Host+"/jobs"), l.id.String()) != want {
				return fmt.Errorf("tree: %s on %s: want %v", l.id, a.docker.Host, want)
			}
		}
	}
	for _, l := range s.lanes {
		slices.Sort(jobs[l.id])
		if hosts := s.e.nodes(conn, "/config/jobs/"+l.id.String()+"/hosts"); !slices.Equal(hosts, jobs[l.id]) {
			return fmt.Errorf("tree: %s is on %v, want %v", l.id, hosts, jobs[l.id])
		}
	}
	return s.e.mastersAgree()
}

// mastersAgree tells whether each master gives the same answers.
func (e *ensembleCluster) mastersAgree() error {
	var first map[string]any
	for _, m := range e.masters {
		ctx := m.t.Context()
		jobs, err1 := m.Jobs(ctx, "", "")
		hosts, err2 := m.Hosts(ctx, "")
		statuses, err3 := m.HostStatuses(ctx, hosts, "")
		masters, err4 := m.Masters(ctx)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return err
		}
		answers := map[string]any{"jobs": jobs, "hosts": hosts, "statuses": statuses, "masters": masters}
		for id := range jobs {
			status, err1 := m.JobStatus(ctx, id)
			history, err2 := m.History(ctx, id)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			answers[id.String()] = []any{status, history}
		}
		if first == nil {
			first = answers
		} else if diff := cmp.Diff(first, answers); diff != "" {
			return fmt.Errorf("%s and %s differ: %s", e.masters[0].name, m.name, diff)
		}
	}
	return nil
}
