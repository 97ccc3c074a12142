package roles_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi/client"
	agentrole "github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/roles/master"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// The names of the recorded cluster (testdata/golden/zookeeper/README.md), and of a host that only a master registers.
const (
	treeMaster = "master1.example.com"
	treeHost1  = "host1.example.com"
	treeHost2  = "host2.example.com"
	treeHost3  = "host3.example.com"
)

// TestRecordedTrees does what the original was asked to do with a master and two agents of ours, real Docker and a real
// ZooKeeper, and compares the whole tree after each step, first with the recording, and where that goes on with
// deployment groups, with what the specification says (zookeeper §2, §7, §8).
func TestRecordedTrees(t *testing.T) {
	t.Parallel()
	recordedImages(t)
	for name, start := range map[string]func(testing.TB) string{
		"zookeeper": func(t testing.TB) string { return storetest.StartEnsemble(t, 1).Servers() },
		"zkserver":  storetest.Start,
	} {
		for _, sequence := range []string{"plain", "acl"} {
			t.Run(name+"/"+sequence, func(t *testing.T) { // one after the other: they have a static port
				g := &grove{
					cluster: &cluster{t: t, zk: start(t)}, t: t, docker: dockertest.New(t), dir: t.TempDir(), sequence: sequence,
					jobs: recordedJobs(t, recordedTree(t, "plain", "06-more-jobs")), stops: make(map[string]func()),
				}
				g.conn = g.tree()
				t.Cleanup(g.conn.Close)
				g.check("see all access lists", g.conn.AddAuth("digest", []byte(storetest.SuperCredential)))
				for _, step := range recordedSteps {
					step.do(g)
					g.grows(step.name, recordedTree(t, sequence, step.name))
				}
				g.goesOn()
			})
		}
	}
}

// recordedTree is the tree after a step of a sequence: plain, or acl.
func recordedTree(t *testing.T, sequence, step string) storetest.Tree {
	t.Helper()
	return storetest.RecordedTree(t, filepath.Join("..", "testdata", "golden", "zookeeper", sequence, step+".json"))
}

// recordedJobs are the jobs of a recorded tree by name and version.
func recordedJobs(t *testing.T, tree storetest.Tree) map[string]job.Job {
	t.Helper()
	jobs := make(map[string]job.Job)
	for path, node := range tree {
		text, ok := strings.CutPrefix(path, "/config/jobs/")
		if !ok || strings.Contains(text, "/") {
			continue
		}
		var j job.Job
		if err := document.Read([]byte(node.Data), j.JSON()); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		jobs[j.ID.Name+":"+j.ID.Version] = j
	}
	return jobs
}

// recordedSteps are the steps of the recording until it goes on with deployment groups.
var recordedSteps = []struct {
	name string
	do   func(g *grove)
}{
	{"01-empty", func(*grove) {}},
	{"02-master-start", (*grove).startMaster},
	{"03-agent1-registered", func(g *grove) { g.startAgent(treeHost1) }},
	{"04-agent2-registered", func(g *grove) { g.startAgent(treeHost2) }},
	{"05-job-create", func(g *grove) { g.create("app:1") }},
	{"06-more-jobs", func(g *grove) { g.create("app:2", "bad:1", "tok:1") }},
	{"07-deployed-no-start", func(g *grove) { g.deploy("app:1", treeHost1, job.Stop) }},
	{"08-running", func(g *grove) { g.setGoal("app:1", treeHost1, job.Start) }},
	{"09-stopped", func(g *grove) { g.setGoal("app:1", treeHost1, job.Stop) }},
	{"10-started-again", func(g *grove) { g.setGoal("app:1", treeHost1, job.Start) }},
	{"11-undeployed", func(g *grove) { g.undeploy("app:1", treeHost1) }},
	{"12-job-removed", func(g *grove) { g.remove("app:1") }},
	{"13-deployed-token", func(g *grove) { g.deploy("tok:1", treeHost2, job.Start) }},
}

// grove is the cluster of a tree.
type grove struct {
	*cluster
	t        *testing.T
	docker   *dockertest.Daemon
	sequence string // of the recording: plain, or acl
	dir      string // of the agents' files
	conn     *zk.Conn
	jobs     map[string]job.Job
	stops    map[string]func() // of masters and agents
}

// as are the settings for the store of a role: with the recorded account where the sequence has such.
func (g *grove) as(user, password string) store.Options {
	opts := store.Options{Servers: g.zk}
	if g.sequence == "acl" {
		opts.Credential = store.Credential{User: user, Password: password}
		opts.ACLs = &store.ACLs{
			Master: store.NewIdentity("helios-master", "mpass"), Agent: store.NewIdentity("helios-agent", "apass"),
		}
	}
	return opts
}

// grows waits until the tree is the other one, but for what is volatile.
func (g *grove) grows(step string, other storetest.Tree) {
	g.t.Helper()
	storetest.Eventually(g.t, inTime, func() error { return g.differs(other) })
	g.t.Log(step)
}

func (g *grove) differs(other storetest.Tree) error {
	if diff := other.Diff(g.now(), storetest.Relived); diff != "" {
		return errors.New("the tree is another (- wanted, + ours):\n" + diff)
	}
	return nil
}

func (g *grove) startMaster() {
	role, err := master.New(master.Options{
		Name: treeMaster, Store: g.as("helios-master", "mpass"), Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Version: recordedVersion, Logger: zerolog.Nop(),
	})
	g.check("start master", err)
	g.stops[treeMaster] = runRole(g.t, role.Run)
	g.Client, err = client.New(client.Options{
		Masters: []string{"http://" + role.Addr().String()}, User: "root", Version: recordedVersion,
		RetryTimeout: inTime, RetryDelay: 50 * time.Millisecond,
	})
	g.check("make a client", err)
	g.t.Cleanup(g.Close)
}

// startAgent starts a host's agent, with the files that it left before.
func (g *grove) startAgent(name string) {
	opts := map[string]agentrole.Options{
		treeHost1: {ID: "agentid1", Labels: map[string]string{"role": "web", "zone": "a"}, Env: map[string]string{"POD": "x"}},
		treeHost2: {ID: "agentid2", Labels: map[string]string{"role": "web"}},
	}[name]
	if g.sequence == "acl" {
		opts.ID = strings.Replace(opts.ID, "agent", "acl", 1)
	}
	g.docker.Own("helios.agent=" + opts.ID)
	opts.Name, opts.StateDir, opts.Store = name, filepath.Join(g.dir, name), g.as("helios-agent", "apass")
	opts.FirstPort, opts.EndPort = 24930, 25000
	opts.Version, opts.Logger = recordedVersion, zerolog.Nop()
	role, err := agentrole.New(opts)
	g.check("start agent", err)
	g.stops[name] = runRole(g.t, role.Run)
}

func (g *grove) create(names ...string) {
	for _, name := range names {
		_, err := g.CreateJob(g.t.Context(), g.jobs[name])
		g.check("create "+name, err)
	}
}

func (g *grove) deploy(name, on string, goal job.Goal) {
	_, err := g.Deploy(g.t.Context(), on, g.jobs[name].ID, goal, g.jobs[name].Token)
	g.check("deploy "+name, err)
}

func (g *grove) setGoal(name, on string, goal job.Goal) {
	_, err := g.SetGoal(g.t.Context(), on, g.jobs[name].ID, goal, g.jobs[name].Token)
	g.check("set goal of "+name, err)
}

func (g *grove) undeploy(name, on string) {
	_, err := g.Undeploy(g.t.Context(), on, g.jobs[name].ID, g.jobs[name].Token)
	g.check("undeploy "+name, err)
}

func (g *grove) remove(names ...string) {
	for _, name := range names {
		_, err := g.RemoveJob(g.t.Context(), g.jobs[name].ID, g.jobs[name].Token)
		g.check("remove "+name, err)
	}
}

func (g *grove) check(what string, err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatalf("%s: %v", what, err)
	}
}

// now is the tree as it is.
func (g *grove) now() storetest.Tree { return storetest.ReadTree(g.t, g.conn, "") }

// events are the paths of the history of a job on a host, the oldest first.
func (g *grove) events(tree storetest.Tree, name, on string) []string {
	prefix := "/history/jobs/" + g.jobs[name].ID.String() + "/hosts/" + on + "/events/"
	return slices.DeleteFunc(slices.Sorted(maps.Keys(tree)), func(path string) bool { return !strings.HasPrefix(path, prefix) })
}

// goesOn is a sequence of our own: what hosts may come to, and the end of all jobs. The containers run on until then.
func (g *grove) goesOn() {
	g.deploy("app:2", treeHost1, job.Start)
	g.awaitState(g.jobs["app:2"].ID, treeHost1, job.Running)
	var deployed storetest.Tree
	storetest.Eventually(g.t, inTime, func() error {
		const lived = 4 // events of a container that runs
		deployed = g.now()
		if list := g.events(deployed, "app:2", treeHost1); len(list) != lived {
			return fmt.Errorf("events %v", list)
		}
		return nil
	})
	containers := []string{running(g.docker, g.jobs["app:2"].ID)[0].ID, running(g.docker, g.jobs["tok:1"].ID)[0].ID}
	run := func() error {
		return errors.Join(
			runsOnly(g.docker, g.jobs["app:2"].ID, containers[0]), runsOnly(g.docker, g.jobs["tok:1"].ID, containers[1]),
		)
	}

	// An orderly stop of the agent deletes its up node, and nothing else (§7.6).
	down := maps.Clone(deployed)
	delete(down, "/status/hosts/"+treeHost1+"/up")
	g.stops[treeHost1]()
	g.grows("host down", down)

	// Its id is registered, so that it only comes up again (§7.3). What runs is said once more, in the history (§10.4).
	back := maps.Clone(deployed)
	events := g.events(deployed, "app:2", treeHost1)
	last := events[len(events)-1]
	back[last+"0"] = back[last]
	g.startAgent(treeHost1)
	g.grows("host back", back)
	g.check("go on", run())

	// All there is of a host goes when it is deregistered (§8.9), and its agent, which is alive, adds nothing (Q3).
	deregistered := maps.Clone(back)
	maps.DeleteFunc(deregistered, func(path string, _ storetest.Node) bool { return strings.Contains(path, "/"+treeHost2) })
	_, err := g.DeregisterHost(g.t.Context(), treeHost2)
	g.check("deregister", err)
	g.grows("host deregistered", deregistered)
	holds(g.t, 3*time.Second, func() error { return errors.Join(g.differs(deregistered), run()) })

	// What a master registers has all that an agent would make first (§8.8): an agent with that id may come later.
	registered := maps.Clone(deregistered)
	for path, data := range map[string]string{
		"/config/hosts/%s": "", "/config/hosts/%s/jobs": "", "/config/hosts/%s/ports": "", "/config/hosts/%s/id": "id3",
		"/status/hosts/%s": "", "/status/hosts/%s/jobs": "",
	} {
		registered[fmt.Sprintf(path, treeHost3)] = storetest.Node{ACL: deregistered[fmt.Sprintf(path, treeHost1)].ACL, Data: data}
	}
	_, err = g.RegisterHost(g.t.Context(), treeHost3, "id3")
	g.check("register", err)
	g.grows("host registered by a master", registered)

	// No job leaves anything behind (§8.3, §8.7): the recording has the same left, and what groups need.
	removed := recordedTree(g.t, g.sequence, "31-all-removed")
	delete(removed, "/status/deployment-group-tasks")
	g.undeploy("app:2", treeHost1)
	g.awaitGone(g.jobs["app:2"].ID, treeHost1)
	g.remove("app:2", "bad:1", "tok:1")
	g.grows("all jobs removed", removed)

	// Agents and masters that stop in order leave nothing ephemeral (§6, §7.6).
	maps.DeleteFunc(removed, func(_ string, n storetest.Node) bool { return n.Ephemeral })
	for _, stop := range g.stops {
		stop()
	}
	g.grows("all down", removed)
}
