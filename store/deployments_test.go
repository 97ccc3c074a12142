package store

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

func TestDeployRefusesWithTheReason(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	web, other, missing := sample("web", 80), sample("other", 81, 80), sample("missing")
	deployed(t, s, web)
	must(t, s.CreateJob(t.Context(), other))
	for name, c := range map[string]struct {
		host string
		job  job.Job
		want error
	}{
		"job that does not exist":                         {"h1", missing, job.ErrNotFound},
		"job that does not exist on a host that does not": {"h2", missing, job.ErrNotFound},
		"host that does not exist":                        {"h2", web, host.ErrNotFound},
		"host whose name is no path":                      {"h1/jobs", web, host.ErrNotFound},
		"host without a name":                             {"", web, host.ErrNotFound},
		"job that is deployed":                            {"h1", web, job.ErrAlreadyDeployed},
		"port that is taken":                              {"h1", other, job.ErrPortConflict},
	} {
		before := dump(t, s)
		if err := s.Deploy(t.Context(), c.host, start(c.job), ""); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if after := dump(t, s); len(after) != len(before) {
			t.Errorf("%s: the tree changed", name)
		}
	}
	err := s.Deploy(t.Context(), "h1", start(other), "")
	if c, ok := errors.AsType[*PortConflictError](err); !ok || c.Port != 80 || c.Other != web.ID.String() || c.Host != "h1" || c.Job != other.ID {
		t.Errorf("got %v", err)
	}
}

func TestStoppedJobHoldsItsPorts(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	web, other := sample("web", 80), sample("other", 80)
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), web))
	must(t, s.CreateJob(t.Context(), other))
	must(t, s.Deploy(t.Context(), "h1", job.Deployment{JobID: web.ID, Goal: job.Stop}, ""))
	if err := s.Deploy(t.Context(), "h1", start(other), ""); !errors.Is(err, job.ErrPortConflict) {
		t.Errorf("got %v", err)
	}
}

func TestSetGoalKeepsTheDeployer(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), j))
	must(t, s.Deploy(t.Context(), "h1", job.Deployment{
		JobID: j.ID, Goal: job.Start, DeployerUser: new("user"), DeployerMaster: new("master"), DeploymentGroupName: new("group"),
	}, ""))
	must(t, s.SetGoal(t.Context(), "h1", j.ID, job.Stop, ""))
	d, err := s.Deployment(t.Context(), "h1", j.ID)
	if err != nil || d.Goal != job.Stop || *d.DeployerUser != "user" || *d.DeployerMaster != "master" || *d.DeploymentGroupName != "group" {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestSetGoalAndUndeployRefuseWithTheReason(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	web, idle, missing := sample("web"), sample("idle"), sample("missing")
	deployed(t, s, web)
	must(t, s.CreateJob(t.Context(), idle))
	for name, c := range map[string]struct {
		host           string
		job            job.Job
		goal, undeploy error
	}{
		"job that does not exist":                         {"h1", missing, job.ErrNotDeployed, job.ErrNotDeployed},
		"job that does not exist on a host that does not": {"h2", missing, job.ErrNotDeployed, host.ErrNotFound},
		"host that does not exist":                        {"h2", web, host.ErrNotFound, host.ErrNotFound},
		"job that is not deployed":                        {"h1", idle, job.ErrNotDeployed, job.ErrNotDeployed},
	} {
		if err := s.SetGoal(t.Context(), c.host, c.job.ID, job.Stop, ""); !errors.Is(err, c.goal) {
			t.Errorf("set goal, %s: %v, want %v", name, err, c.goal)
		}
		if _, err := s.Undeploy(t.Context(), c.host, c.job.ID, ""); !errors.Is(err, c.undeploy) {
			t.Errorf("undeploy, %s: %v, want %v", name, err, c.undeploy)
		}
	}
	if _, err := s.Deployment(t.Context(), "h1", idle.ID); !errors.Is(err, job.ErrNotDeployed) {
		t.Errorf("got %v", err)
	}
}

func TestUndeployReturnsTheDeploymentAndFreesItsPorts(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web", 80, 81)
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), j))
	before := dump(t, s)
	must(t, s.Deploy(t.Context(), "h1", job.Deployment{JobID: j.ID, Goal: job.Stop, DeployerUser: new("me")}, ""))
	d, err := s.Undeploy(t.Context(), "h1", j.ID, "")
	if err != nil || d.Goal != job.Stop || *d.DeployerUser != "me" || d.JobID != j.ID {
		t.Errorf("got %+v, %v", d, err)
	}
	if after := dump(t, s); len(after) != len(before) {
		t.Errorf("%d nodes, %d before", len(after), len(before))
	}
}

func TestDeployWhoseAnswerIsLostIsRecognised(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	j := sample("web", 80)
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), j))
	l.loseAnswer(opMulti, nil)
	must(t, s.Deploy(t.Context(), "h1", start(j), ""))
	if err := s.Deploy(t.Context(), "h1", start(j), ""); !errors.Is(err, job.ErrAlreadyDeployed) {
		t.Errorf("got %v", err)
	}
}

func TestUndeployWhoseAnswerIsLostIsRecognised(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	j := sample("web", 80)
	deployed(t, s, j)
	l.loseAnswer(opMulti, nil)
	if d, err := s.Undeploy(t.Context(), "h1", j.ID, ""); err != nil || d.Goal != job.Start {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestUndeployWhoseAnswerIsLostLeavesADeploymentMadeMeanwhileAlone(t *testing.T) {
	t.Parallel()
	address := storetest.Start(t)
	l := new(links)
	s, other := open(t, Options{Servers: address, Dial: l.dial}), open(t, Options{Servers: address})
	j := sample("web", 80)
	deployed(t, s, j)
	l.loseAnswer(opMulti, func() { must(t, other.Deploy(t.Context(), "h1", start(j), "")) })
	if _, err := s.Undeploy(t.Context(), "h1", j.ID, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Deployment(t.Context(), "h1", j.ID); err != nil {
		t.Error(err)
	}
}

func TestSetGoalWhoseAnswerIsLostEndsWithTheGoal(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	j := sample("web")
	deployed(t, s, j)
	l.loseAnswer(opSet, nil)
	must(t, s.SetGoal(t.Context(), "h1", j.ID, job.Stop, ""))
	if d, err := s.Deployment(t.Context(), "h1", j.ID); err != nil || d.Goal != job.Stop {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestOneOfManyDeploysAtOnceWins(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		stores := []*Store{open(t, Options{Servers: address}), open(t, Options{Servers: address})}
		jobs := []job.Job{sample("one", 80), sample("two", 80)} // the same port
		must(t, stores[0].RegisterHost(t.Context(), "h1", "id1"))
		for _, j := range jobs {
			must(t, stores[0].CreateJob(t.Context(), j))
		}
		for range 10 {
			var (
				wait    sync.WaitGroup
				results [4]error
			)
			for i := range results {
				wait.Go(func() { results[i] = stores[i%2].Deploy(t.Context(), "h1", start(jobs[i/2]), "") })
			}
			wait.Wait()
			winner := -1
			for i, err := range results {
				switch {
				case err == nil && winner >= 0:
					t.Fatalf("two won: %v", results)
				case err == nil:
					winner = i
				case !errors.Is(err, job.ErrAlreadyDeployed) && !errors.Is(err, job.ErrPortConflict):
					t.Errorf("loser: %v", err)
				}
			}
			if winner < 0 {
				t.Fatalf("none won: %v", results)
			}
			_, err := stores[0].Undeploy(t.Context(), "h1", jobs[winner/2].ID, "")
			must(t, err)
		}
	})
}

func TestOneOfManyUndeploysAtOnceWins(t *testing.T) {
	address := storetest.Start(t)
	stores := []*Store{open(t, Options{Servers: address}), open(t, Options{Servers: address})}
	j := sample("web", 80)
	deployed(t, stores[0], j)
	for range 10 {
		var (
			wait    sync.WaitGroup
			results [4]error
		)
		for i := range results {
			wait.Go(func() { _, results[i] = stores[i%2].Undeploy(t.Context(), "h1", j.ID, "") })
		}
		wait.Wait()
		won := 0
		for _, err := range results {
			if err == nil {
				won++
			} else if !errors.Is(err, job.ErrNotDeployed) {
				t.Errorf("loser: %v", err)
			}
		}
		if won != 1 {
			t.Errorf("%d won: %v", won, results)
		}
		must(t, stores[0].Deploy(t.Context(), "h1", start(j), ""))
	}
}

func TestLeftoversAreTakenOverByDeploy(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j, other := sample("web", 80, 81), sample("other", 81)
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), j))
	must(t, s.CreateJob(t.Context(), other))
	want := dump(t, s)
	must(t, s.session.create(t.Context(), configJobHost(j.ID, "h1"), nil, 0))
	must(t, s.session.create(t.Context(), configHostPort("h1", 80), quoted(j.ID), 0))     // our own, without a task
	must(t, s.session.create(t.Context(), configHostPort("h1", 81), quoted(other.ID), 0)) // another's, without a task
	must(t, s.Deploy(t.Context(), "h1", start(j), ""))
	if n, err := s.session.get(t.Context(), configHostPort("h1", 81)); err != nil || string(n.data) != string(quoted(j.ID)) {
		t.Errorf("port 81 belongs to %s, %v", n.data, err)
	}
	if err := s.Deploy(t.Context(), "h1", start(other), ""); !errors.Is(err, job.ErrPortConflict) {
		t.Errorf("got %v", err)
	}
	_, err := s.Undeploy(t.Context(), "h1", j.ID, "")
	must(t, err)
	if got := dump(t, s); len(got) != len(want) {
		t.Errorf("%d nodes, want %d", len(got), len(want))
	}
}

func TestPortOfAnUnreadableOwnerIsLeftAlone(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web", 80)
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), j))
	must(t, s.session.create(t.Context(), configHostPort("h1", 80), []byte("somebody"), 0))
	if err := s.Deploy(t.Context(), "h1", start(j), ""); !errors.Is(err, job.ErrPortConflict) || !strings.Contains(err.Error(), "somebody") {
		t.Errorf("got %v", err)
	}
}

func TestMissingNodesAreNoObstacleToUndeploy(t *testing.T) {
	j := sample("web", 80)
	j.Token = "token"
	for name, missing := range map[string][]string{
		"a port":               {configHostPort("h1", 80)},
		"the host of the job":  {configJobHost(j.ID, "h1")},
		"the job":              {configJobHost(j.ID, "h1"), configJobHosts(j.ID), "creation", configJob(j.ID)},
		"everything but tasks": {configHostPort("h1", 80), configJobHost(j.ID, "h1"), configJobHosts(j.ID), "creation", configJob(j.ID)},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{Servers: storetest.Start(t)})
			deployed(t, s, j)
			for _, path := range missing {
				if path == "creation" {
					names, err := s.session.childrenIfAny(t.Context(), configJob(j.ID))
					must(t, err)
					path = childOf(configJob(j.ID), names[0])
				}
				must(t, s.session.remove(t.Context(), path))
			}
			if _, err := s.Undeploy(t.Context(), "h1", j.ID, "wrong"); !errors.Is(err, job.ErrForbidden) {
				t.Errorf("got %v", err)
			}
			if _, err := s.Undeploy(t.Context(), "h1", j.ID, "token"); err != nil {
				t.Errorf("got %v", err)
			}
			for _, path := range []string{configHostJob("h1", j.ID.String()), configHostPort("h1", 80)} {
				if exists, err := s.session.exists(t.Context(), path); exists || err != nil {
					t.Errorf("%s: %v, %v", path, exists, err)
				}
			}
		})
	}
}

func TestJobsListOfHostsIsRepairedByDeploy(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), j))
	must(t, s.session.remove(t.Context(), configJobHosts(j.ID)))
	must(t, s.Deploy(t.Context(), "h1", start(j), ""))
	if status, err := s.JobStatus(t.Context(), j.ID); err != nil || len(status.Deployments) != 1 {
		t.Errorf("got %+v, %v", status, err)
	}
}

func TestHostThatIsRegisteredHalfwayCannotBeDeployedTo(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	must(t, s.CreateJob(t.Context(), sample("web")))
	must(t, s.session.ensure(t.Context(), configHost("h1")))
	if err := s.Deploy(t.Context(), "h1", start(sample("web")), ""); !errors.Is(err, errRaces) {
		t.Errorf("got %v", err)
	}
}

func TestStaticPortsCountOnce(t *testing.T) {
	j := sample("web", 81, 80, 81)
	j.Ports["dynamic"] = job.PortMapping{InternalPort: 1}
	if got := staticPorts(j); !slices.Equal(got, []int32{80, 81}) {
		t.Errorf("got %v", got)
	}
}
