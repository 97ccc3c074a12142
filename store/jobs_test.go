package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

func TestJobsCanBeReadAsWritten(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web", 80)
	j.Token = "secret"
	must(t, s.CreateJob(t.Context(), j))
	got, err := s.Job(t.Context(), j.ID)
	if err != nil || got.ID != j.ID || got.Token != "secret" || *got.Ports["a"].ExternalPort != 80 {
		t.Errorf("got %+v, %v", got, err)
	}
	ids, err := s.JobIDs(t.Context())
	if err != nil || !slices.Equal(ids, []job.ID{j.ID}) {
		t.Errorf("ids %v, %v", ids, err)
	}
	jobs, err := s.Jobs(t.Context(), append(ids, sample("gone").ID))
	if err != nil || len(jobs) != 1 || jobs[j.ID].Token != "secret" {
		t.Errorf("jobs %v, %v", jobs, err)
	}
}

func TestJobIsCreatedOnATreeThatNobodyMade(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	for i, path := range append([]string{""}, basePaths...) { // or that a master is making, and has not made wholly
		if path != "" {
			must(t, s.session.removeTree(t.Context(), path))
		}
		must(t, s.CreateJob(t.Context(), sample(fmt.Sprint("web", i))))
	}
	must(t, s.ensureBase(t.Context()))
	for _, path := range basePaths {
		if exists, err := s.session.exists(t.Context(), path); err != nil || !exists {
			t.Errorf("%s: %v, %v", path, exists, err)
		}
	}
}

func TestEmptyTreeHasNoJobs(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	if ids, err := s.JobIDs(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("ids %v, %v", ids, err)
	}
	if _, err := s.Job(t.Context(), sample("web").ID); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := s.JobStatus(t.Context(), sample("web").ID); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.RemoveJob(t.Context(), sample("web").ID, ""); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err := s.History(t.Context(), sample("web").ID); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestNameAndVersionOfAJobAreUnique(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	if err := s.CreateJob(t.Context(), j); !errors.Is(err, job.ErrExists) {
		t.Errorf("same job: %v", err)
	}
	j.ID.Hash = strings.Repeat("f", 40)
	if err := s.CreateJob(t.Context(), j); !errors.Is(err, job.ErrExists) {
		t.Errorf("other hash: %v", err)
	}
}

func TestCreationWhoseAnswerIsLostIsRecognised(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	must(t, s.CreateJob(t.Context(), sample("other")))
	l.loseAnswer(opMulti, nil)
	must(t, s.CreateJob(t.Context(), sample("web")))
	if n, err := s.session.get(t.Context(), configJobs); err != nil || n.stat.Version != 2 {
		t.Errorf("%d jobs were created, %v", n.stat.Version, err)
	}
}

func TestRemovalWhoseAnswerIsLostIsRecognised(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	l.loseAnswer(opMulti, nil)
	must(t, s.RemoveJob(t.Context(), j.ID, ""))
	if err := s.RemoveJob(t.Context(), j.ID, ""); !errors.Is(err, job.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestRemovalWhoseAnswerIsLostLeavesAJobMadeMeanwhileAlone(t *testing.T) {
	t.Parallel()
	address := storetest.Start(t)
	l := new(links)
	s, other := open(t, Options{Servers: address, Dial: l.dial}), open(t, Options{Servers: address})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	l.loseAnswer(opMulti, func() { must(t, other.CreateJob(t.Context(), j)) })
	must(t, s.RemoveJob(t.Context(), j.ID, ""))
	if _, err := other.Job(t.Context(), j.ID); err != nil {
		t.Error(err)
	}
}

func TestJobThatIsDeployedIsNotRemoved(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	deployed(t, s, j)
	err := s.RemoveJob(t.Context(), j.ID, "")
	if inUse, ok := errors.AsType[*InUseError](err); !ok || !errors.Is(err, job.ErrInUse) || !slices.Equal(inUse.Hosts, []string{"h1"}) {
		t.Errorf("got %v", err)
	}
}

func TestTokenGuardsAJob(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	with, without := sample("with"), sample("without")
	with.Token = "abc123"
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), with))
	must(t, s.CreateJob(t.Context(), without))
	for _, c := range []struct {
		job    job.Job
		tokens []string // the last one fits
	}{{with, []string{"", "letmein", "abc123"}}, {without, []string{"abc123", ""}}} {
		operations := map[string]func(token string) error{
			"1 deploy": func(token string) error { return s.Deploy(t.Context(), "h1", start(c.job), token) },
			"2 stop":   func(token string) error { return s.SetGoal(t.Context(), "h1", c.job.ID, job.Stop, token) },
			"3 undeploy": func(token string) error {
				_, err := s.Undeploy(t.Context(), "h1", c.job.ID, token)
				return err
			},
			"4 remove": func(token string) error { return s.RemoveJob(t.Context(), c.job.ID, token) },
		}
		for _, name := range []string{"1 deploy", "2 stop", "3 undeploy", "4 remove"} {
			for i, token := range c.tokens {
				err := operations[name](token)
				if fits := i == len(c.tokens)-1; fits && err != nil || !fits && !errors.Is(err, job.ErrForbidden) {
					t.Errorf("%s %s with token %q: %v", name, c.job.ID.Name, token, err)
				}
				if err != nil && token != "" && strings.Contains(err.Error(), token) {
					t.Errorf("the error shows the token: %v", err)
				}
			}
		}
	}
}

func TestUnreadableJobIsLeftOutOfListsAndReportedOnce(t *testing.T) {
	var log buffer
	s := open(t, Options{Servers: storetest.Start(t), Logger: zerolog.New(&log).Level(zerolog.ErrorLevel)})
	good, bad := sample("good"), sample("bad")
	must(t, s.CreateJob(t.Context(), good))
	must(t, s.CreateJob(t.Context(), bad))
	must(t, s.session.set(t.Context(), configJob(bad.ID), []byte("{"), anyVersion))
	must(t, s.session.create(t.Context(), childOf(configJobs, "a:b:c:d"), nil, 0))
	for range 2 {
		ids, err := s.JobIDs(t.Context())
		if err != nil || len(ids) != 2 {
			t.Fatalf("ids %v, %v", ids, err)
		}
		if jobs, err := s.Jobs(t.Context(), ids); err != nil || len(jobs) != 1 {
			t.Errorf("jobs %v, %v", jobs, err)
		}
	}
	if lines := strings.Count(log.String(), "\n"); lines != 2 {
		t.Errorf("%d lines in the log, want one for each node:\n%s", lines, log.String())
	}
	for name, request := range map[string]func() error{
		"job":    func() error { _, err := s.Job(t.Context(), bad.ID); return err },
		"status": func() error { _, err := s.JobStatus(t.Context(), bad.ID); return err },
		"remove": func() error { return s.RemoveJob(t.Context(), bad.ID, "") },
		"deploy": func() error { return s.Deploy(t.Context(), "h1", start(bad), "") },
	} {
		err := request()
		if unreadable, ok := errors.AsType[*UnreadableError](err); !ok || unreadable.Node != configJob(bad.ID) || !strings.Contains(err.Error(), configJob(bad.ID)) {
			t.Errorf("%s: %v does not name the node", name, err)
		}
	}
}

func TestJobStatusHoldsWhatIsReadable(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	deployed(t, s, j)
	must(t, s.RegisterHost(t.Context(), "h2", "id2"))
	must(t, s.Deploy(t.Context(), "h2", start(j), ""))
	must(t, s.PutTaskStatus(t.Context(), "h1", j.ID.String(), []byte(fmt.Sprintf(`{"job":{"id":%q},"state":"RUNNING"}`, j.ID))))
	must(t, s.PutTaskStatus(t.Context(), "h2", j.ID.String(), []byte(`garbage`)))
	status, err := s.JobStatus(t.Context(), j.ID)
	if err != nil || status.Job.ID != j.ID || len(status.Deployments) != 2 || len(status.TaskStatuses) != 1 {
		t.Fatalf("status %+v, %v", status, err)
	}
	if status.TaskStatuses["h1"].State != job.Running || status.Deployments["h2"].Goal != job.Start {
		t.Errorf("status %+v", status)
	}
}

func TestLeftoverHostDoesNotKeepAJobFromBeingRemoved(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	must(t, s.session.create(t.Context(), configJobHost(j.ID, "gone"), nil, 0))
	must(t, s.session.create(t.Context(), configJobCreation(j.ID, "second"), nil, 0))
	must(t, s.session.remove(t.Context(), configJobRef(j.ID)))
	must(t, s.RemoveJob(t.Context(), j.ID, ""))
	must(t, s.CreateJob(t.Context(), j))
}

func TestManyJobsAreReadInFlightTogether(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		s := open(t, Options{Servers: address})
		must(t, s.ensureBase(t.Context()))
		for i := range 300 {
			id := job.ID{Name: fmt.Sprintf("job%d", i), Version: "1", Hash: sample("").ID.Hash}
			j := sample(id.Name)
			must(t, s.CreateJob(t.Context(), j))
		}
		ids, err := s.JobIDs(t.Context())
		must(t, err)
		if jobs, err := s.Jobs(t.Context(), ids); err != nil || len(jobs) != 300 {
			t.Errorf("%d jobs, %v", len(jobs), err)
		}
	})
}

func BenchmarkListOfHundredJobs(b *testing.B) {
	s := open(b, Options{Servers: storetest.Start(b)})
	for i := range 100 {
		must(b, s.CreateJob(b.Context(), sample(fmt.Sprintf("job%d", i))))
	}
	for b.Loop() {
		ids, err := s.JobIDs(b.Context())
		must(b, err)
		if jobs, err := s.Jobs(b.Context(), ids); err != nil || len(jobs) != 100 {
			b.Fatalf("%d jobs, %v", len(jobs), err)
		}
	}
}
