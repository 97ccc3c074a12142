package roles_test

import (
	"errors"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	agentrole "github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestRecordedTakeOver lets an agent of another id take a host name over, as the original did when it was recorded, and
// compares the whole tree after each step. Where the original ran the job a second time, here the one container runs on
// (zookeeper Q2, agent Q51).
func TestRecordedTakeOver(t *testing.T) {
	t.Parallel()
	recordedImages(t)
	for name, start := range map[string]func(testing.TB) string{
		"zookeeper": func(t testing.TB) string { return storetest.StartEnsemble(t, 1).Servers() },
		"zkserver":  storetest.Start,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ids := map[string]string{"oldid": unique("oldid"), "newid": unique("newid")} // others use this Docker, too
			recorded := func(step string) storetest.Tree {
				t.Helper()
				tree := storetest.RecordedTree(t, filepath.Join("..", "testdata", "golden", "zookeeper", "rereg", step+".json"))
				node := tree["/config/hosts/"+treeHost1+"/id"]
				node.Data = ids[node.Data]
				tree["/config/hosts/"+treeHost1+"/id"] = node
				return tree
			}
			g := &grove{
				cluster: &cluster{t: t, zk: start(t)}, t: t, docker: dockertest.New(t), dir: t.TempDir(),
				jobs: recordedJobs(t, recorded("01-before")), stops: make(map[string]func()),
			}
			g.conn = g.tree()
			t.Cleanup(g.conn.Close)
			agent := func(id string, ttl time.Duration) (stop func()) {
				t.Helper()
				g.docker.Own("helios.agent=" + ids[id])
				role, err := agentrole.New(agentrole.Options{
					Name: treeHost1, ID: ids[id], StateDir: filepath.Join(g.dir, id), TTL: &ttl,
					Labels: map[string]string{"role": "web"}, Store: store.Options{Servers: g.zk},
					FirstPort: 24800, EndPort: 24900, Version: recordedVersion, Logger: zerolog.Nop(),
				})
				g.check("start agent "+id, err)
				return runRole(t, role.Run)
			}

			g.startMaster()
			stop := agent("oldid", time.Hour)
			storetest.Eventually(t, inTime, func() error {
				_, err := g.HostStatus(t.Context(), treeHost1)
				return err
			})
			g.create("app:1")
			g.deploy("app:1", treeHost1, job.Start)
			g.grows("01-before", recorded("01-before"))
			var containers []string
			for _, c := range g.docker.Containers() {
				containers = append(containers, c.ID)
			}
			if len(containers) != 1 {
				t.Fatalf("containers %v", containers)
			}
			sameContainer := func() error {
				if all := g.docker.Containers(); len(all) != 1 {
					return errors.New("there is another container")
				}
				return runsOnly(g.docker, g.jobs["app:1"].ID, containers[0])
			}

			stop()
			g.grows("02-down", recorded("02-down"))
			g.check("after the agent's end", sameContainer())

			stop = agent("newid", time.Hour)
			holds(t, 5*time.Second, func() error { return errors.Join(g.differs(recorded("02-down")), sameContainer()) })
			t.Log("03-refused")
			stop()
			g.check("after the refused agent's end", errors.Join(g.differs(recorded("02-down")), sameContainer()))

			// The recording's containers are others each time, ours is not: so task status and history are not compared.
			agent("newid", 0)
			stable := func(tree storetest.Tree) storetest.Tree {
				tree = maps.Clone(tree)
				maps.DeleteFunc(tree, func(path string, _ storetest.Node) bool {
					return strings.Contains(path, "/events/") || strings.HasPrefix(path, "/status/hosts/"+treeHost1+"/jobs/")
				})
				return tree
			}
			storetest.Eventually(t, inTime, func() error {
				if diff := stable(recorded("04-taken-over")).Diff(stable(g.now()), storetest.Relived); diff != "" {
					return errors.New("the tree is another (- wanted, + ours):\n" + diff)
				}
				return nil
			})
			t.Log("04-taken-over")
			id := g.jobs["app:1"].ID
			storetest.Eventually(t, inTime, func() error { return g.runs(id, treeHost1, containers[0]) })
			holds(t, 3*time.Second, func() error { return errors.Join(g.runs(id, treeHost1, containers[0]), sameContainer()) })
		})
	}
}
