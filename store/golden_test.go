package store

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// golden is the recorded tree after a step of the sequence without access lists, or of the one with them.
func golden(t testing.TB, sequence, step string) storetest.Tree {
	t.Helper()
	return storetest.RecordedTree(t, filepath.Join("..", "testdata", "golden", "zookeeper", sequence, step+".json"))
}

// dump reads the tree as it is. Only a superuser's store sees all of access lists.
func dump(t testing.TB, s *Store) storetest.Tree {
	t.Helper()
	return storetest.ReadTree(t, s.session.conn, s.session.chroot)
}

// in decodes a document of a recorded tree.
func in[T any](t *testing.T, tree storetest.Tree, path string, form func(*T) document.Value) T {
	t.Helper()
	n, ok := tree[path]
	if !ok {
		t.Fatalf("%s is not in the recording", path)
	}
	var v T
	if err := document.Read([]byte(n.Data), form(&v)); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

// replay does what the recorded programs did, step by step. What the agents' Docker side came to is taken from the
// recording.
type replay struct {
	*testing.T
	sequence      string
	master, agent *Store
}

// id is that of the recorded agent of a number.
func (r replay) id(number int) string {
	if r.sequence == "acl" {
		return fmt.Sprintf("aclid%d", number)
	}
	return fmt.Sprintf("agentid%d", number)
}

func (r replay) register(tree storetest.Tree, name, id string) {
	ctx := r.Context()
	_, err := r.agent.RegisterAgent(ctx, Registering{Host: name, ID: id, TTL: 10 * time.Minute})
	must(r, err)
	background(r, func(ctx context.Context) error { return r.agent.KeepHostUp(ctx, name, id) })
	must(r, r.agent.PutHostInfo(ctx, name, in(r.T, tree, statusHostInfo(name), (*host.Info).JSON)))
	must(r, r.agent.PutAgentInfo(ctx, name, in(r.T, tree, statusHostAgentInfo(name), (*host.AgentInfo).JSON)))
	must(r, r.agent.PutEnvironment(ctx, name, in(r.T, tree, statusHostEnvironment(name), document.TextMap)))
	must(r, r.agent.PutLabels(ctx, name, in(r.T, tree, statusHostLabels(name), document.TextMap)))
	storetest.Eventually(r, time.Minute, func() error {
		if up, err := r.master.HostUp(ctx, name); err != nil || !up {
			return fmt.Errorf("up %v: %w", up, err)
		}
		return nil
	})
}

func (r replay) create(tree storetest.Tree, names ...string) {
	for _, name := range names {
		id := r.find(tree, name)
		must(r, r.master.CreateJob(r.Context(), in(r.T, tree, configJob(id), (*job.Job).JSON)))
	}
}

// find is the id of the recorded job of that name and version.
func (r replay) find(tree storetest.Tree, name string) job.ID {
	r.Helper()
	for path := range tree {
		if text, ok := strings.CutPrefix(path, configJobs+"/"); ok && strings.HasPrefix(text, name+":") && !strings.Contains(text, "/") {
			id, err := job.ParseID(text)
			must(r, err)
			return id
		}
	}
	r.Fatalf("no job %s in the recording", name)
	return job.ID{}
}

func (r replay) deploy(hostName string, id job.ID, goal job.Goal, token string) {
	must(r, r.master.Deploy(r.Context(), hostName, job.Deployment{JobID: id, Goal: goal, DeployerUser: new("root")}, token))
}

// follow writes the statuses and the history that the recorded agent had written until the step.
func (r replay) follow(tree storetest.Tree, hostName string, id job.ID) {
	ctx := r.Context()
	prefix := historyEvents(id, hostName) + "/"
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		if text, ok := strings.CutPrefix(path, prefix); ok {
			status := in(r.T, tree, path, (*job.TaskStatus).JSON)
			must(r, remember(ctx, r.agent, hostName, eventTimes([]string{text})[0], status))
		}
	}
	if _, reported := tree[statusHostJob(hostName, id.String())]; reported {
		status := in(r.T, tree, statusHostJob(hostName, id.String()), (*job.TaskStatus).JSON)
		must(r, r.agent.PutTaskStatus(ctx, hostName, id.String(), document.Canonical(status.JSON())))
	} else {
		must(r, r.agent.RemoveTaskStatus(ctx, hostName, id.String()))
	}
}

func TestTreeEqualsTheRecordedOneAfterEachStep(t *testing.T) {
	const master, host1, host2 = "master1.example.com", "host1.example.com", "host2.example.com"
	steps := []struct {
		name string
		do   func(r replay, tree storetest.Tree)
	}{
		{"01-empty", func(replay, storetest.Tree) {}},
		{"02-master-start", func(r replay, _ storetest.Tree) {
			background(r, func(ctx context.Context) error { return r.master.KeepMaster(ctx, master) })
			storetest.Eventually(r, time.Minute, func() error {
				masters, err := r.master.Masters(r.Context())
				if err == nil && !slices.Equal(masters, []string{master}) {
					err = fmt.Errorf("masters %v", masters)
				}
				return err
			})
		}},
		{"03-agent1-registered", func(r replay, tree storetest.Tree) { r.register(tree, host1, r.id(1)) }},
		{"04-agent2-registered", func(r replay, tree storetest.Tree) { r.register(tree, host2, r.id(2)) }},
		{"05-job-create", func(r replay, tree storetest.Tree) { r.create(tree, "app:1") }},
		{"06-more-jobs", func(r replay, tree storetest.Tree) { r.create(tree, "app:2", "bad:1", "tok:1") }},
		{"07-deployed-no-start", func(r replay, tree storetest.Tree) {
			r.deploy(host1, r.find(tree, "app:1"), job.Stop, "")
		}},
		{"08-running", func(r replay, tree storetest.Tree) {
			must(r, r.master.SetGoal(r.Context(), host1, r.find(tree, "app:1"), job.Start, ""))
			r.follow(tree, host1, r.find(tree, "app:1"))
		}},
		{"09-stopped", func(r replay, tree storetest.Tree) {
			must(r, r.master.SetGoal(r.Context(), host1, r.find(tree, "app:1"), job.Stop, ""))
			r.follow(tree, host1, r.find(tree, "app:1"))
		}},
		{"10-started-again", func(r replay, tree storetest.Tree) {
			must(r, r.master.SetGoal(r.Context(), host1, r.find(tree, "app:1"), job.Start, ""))
			r.follow(tree, host1, r.find(tree, "app:1"))
		}},
		{"11-undeployed", func(r replay, tree storetest.Tree) {
			_, err := r.master.Undeploy(r.Context(), host1, r.find(tree, "app:1"), "")
			must(r, err)
			r.follow(tree, host1, r.find(tree, "app:1"))
		}},
		{"12-job-removed", func(r replay, _ storetest.Tree) {
			must(r, r.master.RemoveJob(r.Context(), r.find(golden(r.T, r.sequence, "11-undeployed"), "app:1"), ""))
		}},
		{"13-deployed-token", func(r replay, tree storetest.Tree) {
			id := r.find(tree, "tok:1")
			token := in(r.T, tree, configJob(id), (*job.Job).JSON).Token
			r.deploy(host2, id, job.Start, token)
			r.follow(tree, host2, id)
		}},
	}
	for _, sequence := range []string{"plain", "acl"} {
		t.Run(sequence, func(t *testing.T) {
			onEachServer(t, func(t *testing.T, address string) {
				r := replay{T: t, sequence: sequence, master: open(t, Options{Servers: address}), agent: open(t, Options{Servers: address})}
				if sequence == "acl" {
					r.master, r.agent = open(t, asMaster(address)), open(t, asAgent(address))
				}
				reader := open(t, Options{Servers: address, Credential: super})
				for _, step := range steps {
					tree := golden(t, sequence, step.name)
					step.do(r, tree)
					if diff := tree.Diff(dump(t, reader), storetest.Rewritten); diff != "" {
						t.Fatalf("after %s (- recorded, + ours):\n%s", step.name, diff)
					}
				}
			})
		})
	}
}
