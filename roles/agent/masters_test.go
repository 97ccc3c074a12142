package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/store/zkserver"
)

var mixtures = flag.Int("agent.mixtures", 10, "random mixtures of the transactions of masters of both kinds")

// mixture is a server with data on a disk, on which masters of ours and of the original work, to which things happen, and
// which an agent follows, whose containers are in memory. All is in virtual time.
type mixture struct {
	*testing.T
	random *rand.Rand
	data   string // of the server
	server atomic.Pointer[zkserver.Server]
	halt   func() // stops the server
	ours   *store.Store
	own    *store.Store // the agent's
	path   string       // of its state directory
	engine *engine
	agent  *bench
	blind  func() // has the agent look away; nil while it does

	step      int
	named     map[string]int   // steps in which a master last undeployed or stopped a task, in this store, by name
	changed   map[string]int   // and did anything to it
	accepted  map[string]int   // steps of the states in which the agent accepted its tasks last
	looked    int              // step that the agent has seen
	runs      map[string]bool  // what ran then
	faulty    bool             // something but transactions of masters happened since
	snapshots []storedSnapshot // of the store
	did       []string
	counts    map[string]int
}

type storedSnapshot struct {
	dir            string
	named, changed map[string]int
}

func (m *mixture) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatalf("%v, after %q", err, m.did)
	}
}

// serve starts the server on its data.
func (m *mixture) serve() {
	server, err := zkserver.New(zkserver.Options{Dir: m.data, NoSync: true})
	m.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { _ = server.Run(ctx) })
	m.server.Store(server)
	m.halt = func() {
		cancel()
		done.Wait()
	}
}

func (m *mixture) dial(_ context.Context, network, address string) (net.Conn, error) {
	return m.server.Load().Dial(network, address, time.Second)
}

func (m *mixture) open() *store.Store {
	s, err := store.Open(store.Options{Servers: "server:1", Dial: m.dial})
	m.must(err)
	return s
}

// original does something as a master of the original.
func (m *mixture) original(do func(o *storetest.Original) error) error {
	o := storetest.OpenOriginal(m, m.server.Load().Dial)
	defer o.Close()
	return do(o)
}

// begin makes what there is before anything happens.
func (m *mixture) begin() {
	m.serve()
	m.ours, m.own = m.open(), m.open()
	m.populate()
	m.startAgent()
	m.look()
}

func (m *mixture) end() {
	m.stopAgent()
	m.own.Close()
	m.ours.Close()
	m.halt()
}

// populate makes a tree with the host and all jobs in an empty store.
func (m *mixture) populate() {
	m.must(m.original(func(o *storetest.Original) error {
		errs := []error{o.Start(), o.RegisterHost("h", "A")}
		for _, name := range worldNames {
			errs = append(errs, o.CreateJob(mixedJob(name)))
		}
		return errors.Join(errs...)
	}))
	m.named, m.changed = make(map[string]int), make(map[string]int)
}

func mixedJob(name string) job.Job {
	j := job.Job{ID: testID(name), Image: new("img")}
	if name == "a" {
		j.Ports = map[string]job.PortMapping{"p": {InternalPort: 80, ExternalPort: new(int32(8080)), Protocol: "tcp"}}
	}
	return j
}

func (m *mixture) startAgent() {
	m.agent = start(m.T, m.path, m.engine, nil)
	m.agent.reconciler.note = func(ctx context.Context, n host.Note, held map[job.ID]job.Task) error {
		return m.own.PutNote(ctx, "h", n, held)
	}
	m.watch()
}

func (m *mixture) stopAgent() {
	m.lookAway()
	m.agent.end()
	m.agent.statuses.writing.Wait()
}

// watch has the agent follow the store, as its registration does.
func (m *mixture) watch() {
	if m.blind != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	b := m.agent
	done.Go(func() {
		defer b.ignore()
		_ = m.own.WatchTasks(ctx, "h", b.names, b.observe)
	})
	m.blind = func() {
		cancel()
		done.Wait()
	}
}

func (m *mixture) lookAway() {
	if m.blind != nil {
		m.blind()
		m.blind = nil
	}
}

// look lets the agent see the store and do what follows, and judges that.
func (m *mixture) look() {
	m.watch()
	before := m.agent.wishesNow()
	settle()
	after := m.agent.wishesNow()
	runs := make(map[string]bool)
	list, _ := m.engine.Running(context.Background())
	for _, c := range list {
		name := c.Labels["helios.job"][:1]
		if runs[name] {
			m.Fatalf("%s runs twice after %q", name, m.did)
		}
		runs[name] = true
	}
	for name := range m.runs {
		if runs[name] {
			continue
		}
		m.counts["ends"]++
		if m.named[name] <= m.accepted[name] {
			m.Fatalf("%s ends, though nobody named it since step %d: %q, in doubt %+v", name, m.accepted[name], m.did, after.doubt)
		}
	}
	if after.doubt != nil {
		m.counts["doubts"]++
	}
	stored, whole := m.stored()
	if !m.faulty && before.doubt == nil && whole && (after.doubt != nil || !maps.Equal(goals(after.tasks), stored)) {
		m.Fatalf("stored %v, followed %v after %q, in doubt: %+v", stored, goals(after.tasks), m.did, after.doubt)
	}
	for id := range after.tasks {
		if !after.doubts(id.String()) && (after.accepted == nil || m.changed[id.Name] > m.looked) && whole {
			m.accepted[id.Name] = m.step
		}
	}
	m.runs, m.looked, m.faulty = runs, m.step, !whole
}

func (b *bench) wishesNow() wishes {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told
}

// stored are the goals in the store; whole tells whether there is a list, of which all can be read.
func (m *mixture) stored() (stored map[string]job.Goal, whole bool) {
	w, err := m.ours.Wishes(context.Background(), "h")
	if errors.Is(err, host.ErrNotFound) {
		return nil, false
	}
	m.must(err)
	stored = make(map[string]job.Goal)
	whole = !w.Missing
	for name, goal := range w.Stored {
		stored[name[:1]] = goal
		whole = whole && goal != ""
	}
	return stored, whole
}

// name notes what a master did to a task.
func (m *mixture) name(name string, ending bool) {
	if m.changed[name] = m.step; ending {
		m.named[name] = m.step
	}
}

// work is one operation of a master of one of the kinds, the first of some that is not refused.
func (m *mixture) work() {
	for range 5 {
		if m.operate() {
			return
		}
	}
}

func (m *mixture) operate() (done bool) {
	ctx := context.Background()
	name := worldNames[m.random.IntN(len(worldNames))]
	id := testID(name)
	goal := []job.Goal{job.Start, job.Start, job.Stop}[m.random.IntN(3)]
	what := []string{"deploy", "deploy", "undeploy", "undeploy", "set goal", "remove", "create"}[m.random.IntN(7)]
	theirs := m.random.IntN(2) == 0
	var err error
	do := func(original func(o *storetest.Original) error, ours func() error) {
		if theirs {
			err = m.original(original)
		} else {
			err = ours()
		}
	}
	d := job.Deployment{JobID: id, Goal: goal}
	switch what {
	case "deploy":
		do(func(o *storetest.Original) error { return o.Deploy("h", d) }, func() error { return m.ours.Deploy(ctx, "h", d, "") })
	case "undeploy":
		do(func(o *storetest.Original) error { return o.Undeploy("h", id) }, func() error {
			_, err := m.ours.Undeploy(ctx, "h", id, "")
			return err
		})
	case "set goal":
		do(func(o *storetest.Original) error { return o.SetGoal("h", id, goal) }, func() error { return m.ours.SetGoal(ctx, "h", id, goal, "") })
	case "remove":
		do(func(o *storetest.Original) error { return o.RemoveJob(id) }, func() error { return m.ours.RemoveJob(ctx, id, "") })
	case "create":
		do(func(o *storetest.Original) error { return o.CreateJob(mixedJob(name)) }, func() error { return m.ours.CreateJob(ctx, mixedJob(name)) })
	}
	if err != nil {
		m.counts["refused"]++
		return false
	}
	m.did = append(m.did, fmt.Sprintf("%s %s %s, by the original: %t", what, name, goal, theirs))
	kind := "by ours"
	if theirs {
		kind = "by the original"
	}
	m.counts[kind]++
	switch what {
	case "deploy", "set goal":
		m.name(name, goal == job.Stop)
	case "undeploy", "remove": // a task that somebody deleted by hand, and then its job: an undeployment in two steps
		m.name(name, true)
	}
	return true
}

// halted does something to the data while there is no server, for longer than sessions last.
func (m *mixture) halted(do func()) {
	m.halt()
	do()
	time.Sleep(2 * time.Minute)
	m.serve()
	time.Sleep(10 * time.Second) // connections come back
}

func (m *mixture) copyData(to, from string) {
	m.must(os.RemoveAll(to))
	m.must(os.CopyFS(to, os.DirFS(from)))
}

func (m *mixture) snapshot() storedSnapshot {
	s := storedSnapshot{filepath.Join(m.TempDir(), "snapshot"), maps.Clone(m.named), maps.Clone(m.changed)}
	m.halted(func() { m.copyData(s.dir, m.data) })
	return s
}

func (m *mixture) restore(s storedSnapshot) {
	m.halted(func() { m.copyData(m.data, s.dir) })
	m.named, m.changed = maps.Clone(s.named), maps.Clone(s.changed)
}

func (m *mixture) wipe() {
	m.halted(func() { m.must(os.RemoveAll(m.data)) })
	m.populate()
}

// happen is one thing that happens beside the work of masters.
func (m *mixture) happen(what string) {
	m.did = append(m.did, what)
	m.counts[what]++
	switch what {
	case "look":
		m.look()
	case "look away":
		if m.blind != nil {
			m.look() // what it saw until then is judged by what was named until then
			m.lookAway()
		}
	case "restart":
		m.stopAgent()
		m.startAgent()
	case "snapshot":
		m.snapshots = append(m.snapshots, m.snapshot())
	default:
		if m.blind != nil {
			m.look() // what was named before the fault takes effect before it
		}
		m.faulty = true
		m.fail(what)
	}
}

func (m *mixture) fail(what string) {
	switch what {
	case "restore":
		if len(m.snapshots) > 0 {
			m.restore(m.snapshots[m.random.IntN(len(m.snapshots))])
		}
	case "wipe":
		m.wipe()
	case "another cluster":
		m.lookAway()
		m.wipe()
		for range m.random.IntN(5) {
			m.work() // nobody there means this host
		}
		m.named, m.changed = make(map[string]int), make(map[string]int)
	case "deregister":
		m.lookAway()
		ctx := context.Background()
		if m.random.IntN(2) == 0 {
			m.must(m.original(func(o *storetest.Original) error {
				return errors.Join(o.DeregisterHost("h"), o.RegisterHost("h", "A"))
			}))
		} else {
			m.must(m.ours.DeregisterHost(ctx, "h"))
			m.must(m.ours.RegisterHost(ctx, "h", "A"))
		}
		m.agent.readmit()
	case "garbage", "task deleted":
		list, err := m.ours.Wishes(context.Background(), "h")
		m.must(err)
		for _, name := range slices.Sorted(maps.Keys(list.Stored)) {
			path := "/config/hosts/h/jobs/" + name
			m.must(m.raw(func(conn *zk.Conn) error {
				if what == "garbage" {
					_, err := conn.Set(path, []byte("{"), -1)
					return err
				}
				below, _, err := conn.Children(path)
				for _, child := range below {
					err = errors.Join(err, conn.Delete(path+"/"+child, -1))
				}
				return errors.Join(err, conn.Delete(path, -1))
			}))
			break
		}
	case "away":
		m.away()
	}
}

// raw does something by hand.
func (m *mixture) raw(do func(*zk.Conn) error) error {
	conn, _, err := zk.Connect([]string{"127.0.0.1:1"}, 10*time.Second, zk.WithLogInfo(false), zk.WithDialer(m.server.Load().Dial))
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(conn)
}

// away has the store show another cluster's data for a while, and then its own, in which masters have worked before the
// agent looks: that is followed, and the doubt ends by itself.
func (m *mixture) away() {
	m.look()
	if w := m.agent.wishesNow(); w.doubt != nil || w.accepted != nil || m.faulty {
		return
	}
	own := m.snapshot()
	m.look() // the agent knows nothing newer
	m.fail([]string{"another cluster", "wipe"}[m.random.IntN(2)])
	m.faulty = true
	m.look()
	if m.random.IntN(2) == 0 {
		m.happen("restart")
	}
	m.lookAway()
	m.restore(own)
	m.did = append(m.did, "back")
	for range m.random.IntN(4) {
		m.step++
		m.work()
	}
	m.faulty = true
	m.look()
	stored, whole := m.stored()
	if w := m.agent.wishesNow(); whole && (w.doubt != nil || !maps.Equal(goals(w.tasks), stored)) {
		m.Fatalf("the own data are back: stored %v, followed %v after %q, in doubt: %+v", stored, goals(w.tasks), m.did, w.doubt)
	}
	m.counts["backs"]++
}

// No running task ends without an undeployment, or a goal, that named it after the last accepted state, whoever of the
// masters of both kinds works on the store, and whatever happens to that; and what they do is followed at once.
func TestNothingEndsUnlessAMasterOfEitherKindNamesIt(t *testing.T) {
	counts := make(map[string]int)
	for seed := range *mixtures {
		path, data := t.TempDir(), filepath.Join(t.TempDir(), "data")
		synctest.Test(t, func(t *testing.T) {
			m := &mixture{
				T: t, random: rand.New(rand.NewPCG(uint64(seed), 9)), data: data, path: path, engine: &engine{},
				accepted: make(map[string]int), runs: make(map[string]bool), counts: counts,
			}
			m.begin()
			defer m.end()
			m.did = []string{fmt.Sprintf("seed %d", seed)}
			things := []string{
				"look", "look", "look", "look", "look", "look", "look", "look", "look away", "look away", "restart", "snapshot", "restore",
				"wipe", "another cluster", "deregister", "garbage", "task deleted", "away",
			}
			for range 40 {
				m.step++
				if m.random.IntN(5) > 1 {
					m.work()
				} else {
					m.happen(things[m.random.IntN(len(things))])
				}
			}
			m.look()
		})
		if t.Failed() {
			break
		}
	}
	t.Logf("%d mixtures: %v", *mixtures, counts)
}
