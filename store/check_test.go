package store

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// wholeTree is a tree with one of each kind of node, in which nothing is amiss.
func wholeTree() Tree {
	tree := make(Tree)
	empty := TreeNode{Data: []byte{}}
	for _, path := range append(slices.Clone(roots), basePaths...) {
		tree[path] = empty
	}
	j := sample("web", 80)
	task := taskOf(start(j), j)
	status := job.TaskStatus{Job: j, Goal: job.Start, State: job.Running}
	for _, path := range []string{
		configIDs, configID("x"), "/config/jobs/" + j.ID.String() + "/creation-1", configJobHosts(j.ID), configJobHost(j.ID, "h1"),
		configHost("h1"), configHostJobs("h1"), configHostPorts("h1"), configHostJob("h1", j.ID.String()) + "/creation-2",
		statusHost("h1"), statusHostJobs("h1"), statusMaster("m1"), historyJob(j.ID), historyJobHosts(j.ID),
		historyJobHost(j.ID, "h1"), historyEvents(j.ID, "h1"), statusGroup("g1"), groupTasks,
	} {
		tree[path] = empty
	}
	for path, text := range map[string]string{
		configJob(j.ID): document.Compact(j.JSON()), configJobRef(j.ID): string(quoted(j.ID)),
		configHostID("h1"): "id1", configHostPort("h1", 80): string(quoted(j.ID)),
		configHostJob("h1", j.ID.String()): document.Compact(task.JSON()),
		statusHostJob("h1", j.ID.String()): document.Compact(status.JSON()), historyEvent(j.ID, "h1", 1): document.Compact(status.JSON()),
		statusHostLabels("h1"): `{"a":"b"}`, statusHostEnvironment("h1"): `{}`, statusHostInfo("h1"): hostInfo, statusHostAgentInfo("h1"): agentInfo,
		configGroups + "/g1": `{"name":"g1","hostSelectors":[]}`, statusGroupHosts("g1"): `["h1"]`, statusGroup("g1") + "/removed": `[]`,
	} {
		tree[path] = TreeNode{Data: []byte(text)}
	}
	for _, path := range []string{statusHostUp("h1"), statusMasterUp("m1")} {
		tree[path] = TreeNode{Data: []byte{}, Ephemeral: true}
	}
	return tree
}

const (
	hostInfo  = `{"architecture":"amd64","cpus":1,"hostname":"h1","loadAvg":0.5,"memoryFreeBytes":1,"memoryTotalBytes":2,"osName":"Linux","osVersion":"6","swapFreeBytes":0,"swapTotalBytes":0,"uname":"Linux"}`
	agentInfo = `{"inputArguments":[],"name":"1@h1","specName":"","specVendor":"","specVersion":"","startTime":1,"uptime":1,"version":"0.10.0","vmName":"","vmVendor":"","vmVersion":""}`
)

// without deletes nodes with all below them.
func (t Tree) without(paths ...string) Tree {
	for _, gone := range paths {
		if _, ok := t[gone]; !ok {
			panic("there is no " + gone)
		}
		maps.DeleteFunc(t, func(path string, _ TreeNode) bool { return path == gone || strings.HasPrefix(path, gone+"/") })
	}
	return t
}

// with sets nodes: path, data, path, data.
func (t Tree) with(pairs ...string) Tree {
	for pair := range slices.Chunk(pairs, 2) {
		t[pair[0]] = TreeNode{Data: []byte(pair[1])}
	}
	return t
}

func TestWhatIsFoundInATree(t *testing.T) {
	t.Parallel()
	web, other := sample("web", 80).ID, sample("other").ID
	second := job.ID{Name: "web", Version: "1", Hash: strings.Repeat("9", 40)}
	task := configHostJob("h1", web.String())
	taskOfOther := taskOf(start(sample("other")), sample("other"))
	cases := []struct {
		name  string
		tree  Tree
		finds []string // kind and node
		given Examining
	}{
		{name: "whole tree", tree: wholeTree()},
		{name: "whole tree of the cluster", tree: wholeTree(), given: Examining{ClusterID: "x"}},
		{name: "nothing at all", tree: Tree{}, finds: []string{"empty /"}},
		{name: "cluster id alone", tree: Tree{"/config": {}, configIDs: {}, configID("x"): {}}, finds: []string{"empty /"}},
		{name: "base node that is missing", tree: wholeTree().without(statusMasters), finds: []string{"no-base /status/masters"}},

		{name: "tree of another cluster", tree: wholeTree(), given: Examining{ClusterID: "y"}, finds: []string{"no-cluster-id /config/id/y"}},
		{name: "two cluster ids", tree: wholeTree().with(configID("y"), ""), finds: []string{"cluster-ids /config/id"}},

		{name: "job that lists a host where it is not deployed", tree: wholeTree().without(task, configHostPort("h1", 80)).without(statusHostJob("h1", web.String())), finds: []string{"host-without-task " + configJobHost(web, "h1")}},
		{name: "job that does not list its host", tree: wholeTree().without(configJobHost(web, "h1")), finds: []string{"task-without-host " + configJobHost(web, "h1")}},
		{name: "job without a list of hosts", tree: wholeTree().without(configJobHosts(web)), finds: []string{"no-host-list " + configJobHosts(web), "task-without-host " + configJobHost(web, "h1")}},
		{name: "job that is gone while it is deployed", tree: wholeTree().without(configJob(web), configJobRef(web)), finds: []string{"task-without-job " + task, "orphan-history " + historyJob(web)}},
		{name: "job that was created twice", tree: wholeTree().with(configJobCreation(web, "3"), ""), finds: []string{"creations " + configJob(web)}},
		{name: "job without a reference", tree: wholeTree().without(configJobRef(web)), finds: []string{"no-jobref " + configJobRef(web)}},
		{name: "reference to a job that is gone", tree: wholeTree().with(configJobRef(other), string(quoted(other))), finds: []string{"orphan-jobref " + configJobRef(other)}},
		{name: "reference to a job of another name", tree: wholeTree().with(configJobRef(other), string(quoted(web))), finds: []string{"jobref " + configJobRef(other)}},
		{name: "two jobs of one name and version", tree: wholeTree().with(configJob(second), jobText(second), configJobHosts(second), ""), finds: []string{"two-jobs " + configJob(second)}},

		{name: "static port without a node", tree: wholeTree().without(configHostPort("h1", 80)), finds: []string{"no-port " + configHostPort("h1", 80)}},
		{name: "port held by a job that is not deployed", tree: wholeTree().with(configHostPort("h1", 81), string(quoted(other))), finds: []string{"orphan-port " + configHostPort("h1", 81)}},
		{name: "port of two jobs", tree: wholeTree().with(
			configJob(other), jobText(other), configJobRef(other), string(quoted(other)), configJobHosts(other), "", configJobHost(other, "h1"), "",
			configHostJob("h1", other.String()), document.Compact(taskOfOther.JSON()), configHostPort("h1", 80), string(quoted(other))), finds: []string{"port-of-two " + configHostPort("h1", 80)}},

		{name: "host without an id", tree: wholeTree().without(configHostID("h1")), finds: []string{"half-registered " + configHost("h1")}},
		{name: "host without directories", tree: wholeTree().with(configHost("h2"), ""), finds: []string{
			"half-registered /config/hosts/h2", "no-host-node /config/hosts/h2/jobs", "no-host-node /config/hosts/h2/ports", "no-host-node /status/hosts/h2", "no-host-node /status/hosts/h2/jobs",
		}},
		{name: "status of a host that is not registered", tree: wholeTree().with(statusHost("h2"), ""), finds: []string{"status-without-host /status/hosts/h2"}},
		{name: "status of a task that was undeployed, from a host that is down", tree: wholeTree().without(statusHostUp("h1")).with(statusHostJob("h1", other.String()), statusText(other)), finds: []string{"status-without-task " + statusHostJob("h1", other.String())}},
		{name: "status of a task that was undeployed, from a host that is up", tree: wholeTree().with(statusHostJob("h1", other.String()), statusText(other))},

		{name: "directory of a master that is gone", tree: wholeTree().with(statusMaster("m2"), ""), finds: []string{"dead-master /status/masters/m2"}},
		{name: "history of a job that is gone", tree: wholeTree().with(historyJob(other), ""), finds: []string{"orphan-history " + historyJob(other)}},
		{name: "group without its status", tree: wholeTree().without(statusGroup("g1")), finds: []string{"half-group /status/deployment-groups/g1", "half-group /status/deployment-groups/g1/hosts"}},
		{name: "status and tasks of a group that is gone", tree: wholeTree().without(configGroups+"/g1").with(groupTasks+"/g1", `{"deploymentGroup":{"name":"g1"},"rolloutTasks":[],"taskIndex":0}`), finds: []string{"orphan-group /status/deployment-group-tasks/g1", "orphan-group /status/deployment-groups/g1"}},

		{name: "node below /config that Helios does not know", tree: wholeTree().with("/config/extra", "", "/config/extra/more", ""), finds: []string{"foreign /config/extra"}},
		{name: "job of no name of a job", tree: wholeTree().with(configJobs+"/a:b:c:d", ""), finds: []string{"foreign /config/jobs/a:b:c:d"}},
		{name: "port that is no number", tree: wholeTree().with(configHostPorts("h1")+"/080", `""`), finds: []string{"foreign /config/hosts/h1/ports/080"}},
		{name: "event of no time", tree: wholeTree().with(historyEvents(web, "h1")+"/now", ""), finds: []string{"foreign " + historyEvents(web, "h1") + "/now"}},
		{name: "node below a port", tree: wholeTree().with(configHostPort("h1", 80)+"/x", ""), finds: []string{"foreign " + configHostPort("h1", 80) + "/x"}},
		{name: "up that does not end with a session", tree: wholeTree().with(statusHostUp("h1"), ""), finds: []string{"never-down /status/hosts/h1/up"}},
		{name: "node that ends with a session", tree: mutated(func(n *TreeNode) { n.Ephemeral = true }, configHost("h1")), finds: []string{"ephemeral /config/hosts/h1"}},
		{name: "null instead of no data", tree: mutated(func(n *TreeNode) { n.Null = true }, statusHostJobs("h1")), finds: []string{"null /status/hosts/h1/jobs"}},
		{name: "task that holds another job", tree: wholeTree().with(task, document.Compact(taskOfOther.JSON())), finds: []string{"unreadable " + task}},
		{name: "access lists that are not the wanted ones", tree: wholeTree(), given: Examining{ACLs: &ACLs{}}, finds: everyNode("acl")},
	}
	for path := range wholeTree() {
		kind := kindOf(path)
		if kind == nil || kind.form == nil || kind.Path == "/status/deployment-groups/<group>" {
			continue
		}
		for damage, text := range map[string]string{"nothing": "", "half": `{"id":`, "another type": "7", "no text": "\xff\x00"} {
			finds := []string{"unreadable " + path}
			cases = append(cases, struct {
				name  string
				tree  Tree
				finds []string
				given Examining
			}{name: damage + " for " + kind.Path, tree: wholeTree().with(path, text), finds: finds})
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range Examine(c.tree, c.given) {
				got = append(got, f.Kind+" "+f.Node)
				if f.Means == "" || f.Heals == "" {
					t.Errorf("%s says nothing", f.Kind)
				}
			}
			slices.Sort(c.finds)
			slices.Sort(got)
			if diff := cmp.Diff(c.finds, got); diff != "" {
				t.Errorf("finds other things (-want +got):\n%s", diff)
			}
		})
	}
}

func jobText(id job.ID) string {
	j := job.Job{ID: id, Image: new("i")}
	return document.Compact(j.JSON())
}

func statusText(id job.ID) string {
	s := job.TaskStatus{Job: job.Job{ID: id, Image: new("i")}, Goal: job.Start, State: job.Stopped}
	return document.Compact(s.JSON())
}

func mutated(change func(*TreeNode), path string) Tree {
	tree := wholeTree()
	n := tree[path]
	change(&n)
	tree[path] = n
	return tree
}

func everyNode(kind string) []string {
	var list []string
	for path := range wholeTree() {
		list = append(list, kind+" "+path)
	}
	return list
}

func TestWhateverATreeHoldsItIsJudged(t *testing.T) {
	t.Parallel()
	whole := wholeTree()
	paths := slices.Sorted(maps.Keys(whole))
	rapid.Check(t, func(t *rapid.T) {
		tree := maps.Clone(whole)
		for range rapid.IntRange(0, 20).Draw(t, "changes") {
			path := rapid.SampledFrom(paths).Draw(t, "path")
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				delete(tree, path)
			case 1:
				tree[path] = TreeNode{Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}
			case 2:
				tree[path] = whole[rapid.SampledFrom(paths).Draw(t, "other")]
			case 3:
				tree[childOf(path, rapid.StringMatching(`[a-z0-9:]{1,8}`).Draw(t, "child"))] = TreeNode{Data: []byte("{}")}
			}
		}
		findings := Examine(tree, Examining{})
		if same := Lasting(findings, Examine(tree, Examining{})); len(same) != len(findings) {
			t.Fatalf("two judgements of one tree differ: %v, %v", findings, same)
		}
	})
}

// The original's own trees hold nothing that is amiss, but for what its masters leave behind.
func TestRecordedTreesOfTheOriginalAreClean(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/golden/zookeeper/*/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		if filepath.Base(file) == "steps.json" {
			continue
		}
		tree := make(Tree)
		for path, n := range storetest.RecordedTree(t, file) {
			if path == "/" {
				continue
			}
			tree[path] = TreeNode{Data: []byte(n.Data), Ephemeral: n.Ephemeral}
		}
		for _, f := range Examine(tree, Examining{}) {
			if f.Kind == "empty" && len(tree) == 0 {
				continue
			}
			t.Errorf("%s: %s %s: %s", file, f.Kind, f.Node, f.Means)
		}
	}
}

func TestEveryPathHasItsLineInTheNodeMap(t *testing.T) {
	t.Parallel()
	for path := range wholeTree() {
		if kindOf(path) == nil {
			t.Errorf("%s has none", path)
		}
	}
	seen := make(map[string]bool)
	tree := wholeTree().with(groupTasks+"/g1", "", childOf(configHostPort("h1", 80), holdPrefix+"1"), "",
		statusHostWishes("h1"), "", statusHostAccept("h1"), "", statusHostRemembered("h1", "j"), "")
	for path := range tree {
		seen[kindOf(path).Path] = true
	}
	for i, kind := range nodeMap {
		if !seen[kind.Path] {
			t.Errorf("no node is a %s", kind.Path)
		}
		if parent := parentOf(kind.Path); parent != "" && !slices.ContainsFunc(nodeMap[:i], func(k NodeKind) bool { return k.Path == parent }) {
			t.Errorf("%s stands before the node above", kind.Path)
		}
	}
}

func TestTreeThatIsUsedIsClean(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		s := open(t, Options{Servers: address})
		must(t, s.ensureBase(t.Context()))
		web, db := sample("web", 80), sample("db", 81)
		deployed(t, s, web)
		must(t, s.CreateJob(t.Context(), db))
		must(t, s.Deploy(t.Context(), "h1", start(db), ""))
		must(t, remember(t.Context(), s, "h1", 1, job.TaskStatus{Job: web, State: job.Running}))
		_, err := s.Undeploy(t.Context(), "h1", db.ID, "")
		must(t, err)
		must(t, s.RemoveJob(t.Context(), db.ID, ""))
		tree, err := s.Snapshot(t.Context(), true)
		must(t, err)
		if findings := Examine(tree, Examining{}); len(findings) > 0 {
			t.Errorf("found %v", findings)
		}
		all, err := s.session.tree(t.Context(), "")
		must(t, err)
		if got := slices.Sorted(maps.Keys(tree)); !slices.Equal(got, slices.DeleteFunc(slices.Sorted(slices.Values(all)), func(p string) bool { return p == "" })) {
			t.Errorf("the snapshot has %d nodes, the tree %d", len(got), len(all))
		}
		for path, n := range tree {
			if n.Null || len(n.ACL) != 1 {
				t.Errorf("%s is %+v", path, n)
			}
		}
	})
}
