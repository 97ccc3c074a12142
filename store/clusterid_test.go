package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

const clusterX = "cluster-x"

// inTree makes the tree at the address that of the cluster, and opens a store that wants it, and one that does not care.
func inTree(t *testing.T, address string) (guarded, free *Store) {
	t.Helper()
	free = open(t, Options{Servers: address})
	must(t, free.CreateClusterID(t.Context(), clusterX, true))
	return open(t, Options{Servers: address, ClusterID: clusterX}), free
}

// eventually waits until a request ends with the error, or with none.
func eventually(t *testing.T, want error, request func() error) {
	t.Helper()
	storetest.Eventually(t, 25*time.Second, func() error {
		if err := request(); !errors.Is(err, want) {
			return fmt.Errorf("got %v, want %v", err, want)
		}
		return nil
	})
}

func TestRequestsFailWhileTheClusterIDIsMissing(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		guarded, free := inTree(t, address)
		t.Run("SYS-124 operation fails half a second after the id is deleted", func(t *testing.T) {
			must(t, guarded.CreateJob(t.Context(), sample("web")))
			must(t, free.session.remove(t.Context(), configID(clusterX)))
			timer := time.NewTimer(500 * time.Millisecond)
			<-timer.C
			begun := time.Now()
			err := guarded.CreateJob(t.Context(), sample("db"))
			if !errors.Is(err, ErrNoCluster) || !strings.HasSuffix(err.Error(), "ZooKeeper cluster ID does not exist") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begun); took > 10*time.Second { // it does not wait for the id, nor for a connection
				t.Errorf("failed after %v", took)
			}
		})
		t.Run("an id that comes back is noticed", func(t *testing.T) {
			must(t, free.CreateClusterID(t.Context(), clusterX, true))
			eventually(t, nil, func() error { return guarded.CreateJob(t.Context(), sample("db")) })
		})
	})
}

func TestNothingIsWrittenToATreeOfAnotherCluster(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		free := open(t, Options{Servers: address})
		must(t, free.CreateClusterID(t.Context(), "another", false))
		guarded := open(t, Options{Servers: address, ClusterID: clusterX})
		ctx := t.Context()
		background(t, func(ctx context.Context) error { return guarded.KeepMaster(ctx, "m1") })
		background(t, func(ctx context.Context) error { return guarded.KeepHostUp(ctx, "h1", "id1") })
		_, registering := guarded.RegisterAgent(ctx, Registering{Host: "h1", ID: "id1"})
		_, listing := guarded.JobIDs(ctx)
		for _, err := range []error{
			registering, listing, guarded.CreateJob(ctx, sample("web")), guarded.RegisterHost(ctx, "h1", "id1"),
			remember(ctx, guarded, "h1", 1, job.TaskStatus{Job: sample("web"), State: job.Running}),
			guarded.RemoveTaskStatus(ctx, "h1", "web"), guarded.DeregisterHost(ctx, "h1"),
		} {
			if !errors.Is(err, ErrNoCluster) {
				t.Errorf("got %v", err)
			}
		}
		tree, err := free.session.tree(ctx, "")
		if err != nil || !slices.Equal(tree, []string{"", "/config", "/config/id", "/config/id/another"}) {
			t.Errorf("the tree is %q, %v", tree, err)
		}
	})
}

func TestAgentKeepsItsTasksWhileATreeIsDeletedInWhateverOrder(t *testing.T) {
	t.Parallel()
	depthFirst := func(descending bool) func(t *testing.T, s *Store) {
		return func(t *testing.T, s *Store) {
			var visit func(path string)
			visit = func(path string) {
				names, err := s.session.childrenIfAny(t.Context(), path)
				must(t, err)
				if descending {
					slices.Reverse(names)
				}
				for _, name := range names {
					visit(childOf(path, name))
				}
				must(t, s.session.remove(t.Context(), path))
				<-time.NewTimer(50 * time.Millisecond).C // agents look meanwhile
			}
			visit("/config")
		}
	}
	for name, destroy := range map[string]func(t *testing.T, s *Store){
		"first to last": depthFirst(false),
		"last to first": depthFirst(true),
		"at once":       func(t *testing.T, s *Store) { must(t, s.session.removeTree(t.Context(), "/config")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachServer(t, func(t *testing.T, address string) {
				agent, master := inTree(t, address)
				j := sample("web")
				deployed(t, master, j)
				told := watch(t, agent)
				told.await(t, "web START")
				destroy(t, master)
				if _, err := agent.JobIDs(t.Context()); !errors.Is(err, ErrNoCluster) {
					t.Errorf("got %v", err)
				}
				for _, view := range told.seen() {
					if got := describe(view); got != "web START" && got != "? "+j.ID.String() {
						t.Errorf("told %q", got)
					}
				}
			})
		})
	}
}

func TestTaskThatNobodyUndeployedIsNotToldAsGone(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		agent, master := inTree(t, address)
		j := sample("web")
		deployed(t, master, j)
		told := watch(t, agent)
		told.await(t, "web START")
		must(t, master.session.removeTree(t.Context(), configHostJob("h1", j.ID.String())))
		told.await(t, "? "+j.ID.String())
		must(t, master.Deploy(t.Context(), "h1", start(j), ""))
		told.await(t, "web START")
		_, err := master.Undeploy(t.Context(), "h1", j.ID, "")
		must(t, err)
		told.await(t, "")
	})
}

// Behind the address that an agent knows there is suddenly an ensemble that was set up anew, and has seen more changes.
func TestAnswersOfAnotherEnsembleAreNotActedOn(t *testing.T) {
	t.Parallel()
	ours, other := storetest.Start(t), storetest.Start(t)
	stranger := open(t, Options{Servers: other})
	for i := range 100 {
		must(t, stranger.session.put(t.Context(), "/x", []byte{byte(i)}))
	}
	must(t, stranger.RegisterHost(t.Context(), "h1", "id1")) // without any task
	must(t, open(t, Options{Servers: ours}).CreateClusterID(t.Context(), clusterX, false))

	var target atomic.Value
	target.Store(ours)
	links := &links{server: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, target.Load().(string))
	}}
	agent := open(t, Options{Servers: ours, ClusterID: clusterX, Dial: links.dial})
	deployed(t, agent, sample("web"))
	told := watch(t, agent)
	told.await(t, "web START")

	target.Store(other)
	links.cut(false)
	eventually(t, ErrNoCluster, func() error { _, err := agent.JobIDs(t.Context()); return err })
	if told.count() != 1 {
		t.Errorf("told %d times, at last %q", told.count(), describe(told.last()))
	}
}

func TestIDIsAskedForAnewOnEachConnection(t *testing.T) {
	t.Parallel()
	address := storetest.Start(t)
	free := open(t, Options{Servers: address})
	must(t, free.CreateClusterID(t.Context(), clusterX, true))
	links := new(links)
	guarded := open(t, Options{Servers: address, ClusterID: clusterX, Dial: links.dial})
	must(t, guarded.CreateJob(t.Context(), sample("web")))
	links.mu.Lock()
	links.deaf = true
	links.mu.Unlock()
	must(t, free.session.remove(t.Context(), configID(clusterX)))
	links.cut(false)
	eventually(t, ErrNoCluster, func() error { _, err := guarded.JobIDs(t.Context()); return err })
}

func TestJobsAreListedThoughAServerOfTheStringDoesNotResolve(t *testing.T) {
	t.Parallel()
	ensemble := storetest.StartEnsemble(t, 3)
	servers := "no-such-host.invalid:2181," + ensemble.Servers()
	ensemble.AwaitLeader()
	_, free := inTree(t, ensemble.Servers())
	must(t, free.ensureBase(t.Context()))
	t.Run("SYS-123 three peers, and a name that does not resolve, with a cluster id", func(t *testing.T) {
		guarded := open(t, Options{Servers: servers, ClusterID: clusterX})
		must(t, guarded.CreateJob(t.Context(), sample("web")))
		if ids, err := guarded.JobIDs(t.Context()); err != nil || !slices.Equal(ids, []job.ID{sample("web").ID}) {
			t.Errorf("listed %v, %v", ids, err)
		}
	})
}

func TestCreatingAClusterID(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		s := open(t, Options{Servers: address})
		must(t, s.CreateClusterID(t.Context(), "a", false))
		for _, path := range []string{"/config", configIDs, configID("a")} {
			if n, err := s.session.get(t.Context(), path); err != nil || n.data == nil || len(n.data) != 0 {
				t.Errorf("%s holds %q, %v", path, n.data, err)
			}
		}
		err := open(t, Options{Servers: address + "/missing"}).CreateClusterID(t.Context(), "b", true)
		if !errors.Is(err, ErrNoRoot) {
			t.Errorf("below a chroot that is missing: %v", err)
		}
		err = s.CreateClusterID(t.Context(), "b", false)
		if occupied, ok := errors.AsType[*OccupiedError](err); !ok || !slices.Equal(occupied.Nodes, []string{"/config", "/config/id"}) {
			t.Errorf("got %v", err)
		}
		if exists, err := s.session.exists(t.Context(), configID("b")); exists || err != nil {
			t.Errorf("refused, and yet it is there: %v, %v", exists, err)
		}
		must(t, s.CreateClusterID(t.Context(), "b", true))
		must(t, s.CreateClusterID(t.Context(), "b", true))
		for _, id := range []string{"", "..", "a/b", "a\x00"} {
			if err := s.CreateClusterID(t.Context(), id, true); !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
}

func TestClusterIDWhoseAnswerIsLostIsRecognised(t *testing.T) {
	t.Parallel()
	links := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: links.dial})
	links.loseAnswer(opMulti, nil)
	must(t, s.CreateClusterID(t.Context(), clusterX, false))
}

func TestClusterIDThatIsNoNameIsRefused(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a/b", "..", "a\nb"} {
		if s, err := Open(Options{Servers: "127.0.0.1:1", ClusterID: id}); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", id, err)
			s.Close()
		}
	}
}

func TestClusterIDGuardsATreeWithAccessLists(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		acls := &ACLs{Master: NewIdentity("helios-master", "mpass"), Agent: NewIdentity("helios-agent", "apass")}
		as := func(user, password string) *Store {
			return open(t, Options{Servers: address, ClusterID: clusterX, ACLs: acls, Credential: Credential{User: user, Password: password}})
		}
		free := open(t, Options{Servers: address, ACLs: acls, Credential: Credential{User: "helios-master", Password: "mpass"}})
		must(t, free.CreateClusterID(t.Context(), clusterX, false))
		master, agent := as("helios-master", "mpass"), as("helios-agent", "apass")
		must(t, master.ensureBase(t.Context()))
		_, err := agent.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "id1"})
		must(t, err)
		must(t, master.CreateJob(t.Context(), sample("web")))
		must(t, master.Deploy(t.Context(), "h1", start(sample("web")), ""))
		told := watch(t, agent)
		told.await(t, "web START")
		must(t, free.session.remove(t.Context(), configID(clusterX)))
		for _, s := range []*Store{master, agent} {
			eventually(t, ErrNoCluster, func() error { _, err := s.JobIDs(t.Context()); return err })
		}
	})
}
