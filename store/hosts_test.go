package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

func TestHostStatusHoldsWhatWasReported(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	deployed(t, s, j)
	must(t, s.PutHostInfo(t.Context(), "h1", host.Info{Hostname: new("machine")}))
	must(t, s.PutAgentInfo(t.Context(), "h1", host.AgentInfo{Name: new("agent")}))
	must(t, s.PutEnvironment(t.Context(), "h1", map[string]string{"A": "b"}))
	must(t, s.PutLabels(t.Context(), "h1", map[string]string{"role": "web"}))
	must(t, s.PutLabels(t.Context(), "h1", map[string]string{"role": "db"}))
	must(t, s.PutTaskStatus(t.Context(), "h1", j.ID.String(), []byte(fmt.Sprintf(`{"job":{"id":%q},"state":"RUNNING"}`, j.ID))))
	must(t, s.session.create(t.Context(), statusHostJob("h1", "a:b:c:d"), nil, 0))
	must(t, s.session.create(t.Context(), configHostJob("h1", sample("bad").ID.String()), []byte("garbage"), 0))
	status, err := s.HostStatus(t.Context(), "h1")
	if err != nil {
		t.Fatal(err)
	}
	if status.Status != host.Down || *status.HostInfo.Hostname != "machine" || *status.AgentInfo.Name != "agent" ||
		status.Environment["A"] != "b" || status.Labels["role"] != "db" ||
		len(status.Jobs) != 1 || status.Jobs[j.ID].Goal != job.Start ||
		len(status.Statuses) != 1 || status.Statuses[j.ID].State != job.Running {
		t.Errorf("status %+v", status)
	}
	if labels, err := s.HostLabels(t.Context(), "h1"); err != nil || labels["role"] != "db" {
		t.Errorf("labels %v, %v", labels, err)
	}
	jobs, err := s.HostJobs(t.Context(), []string{"h1", "h2"})
	if err != nil || len(jobs["h1"]) != 2 || len(jobs["h2"]) != 0 {
		t.Errorf("jobs %v, %v", jobs, err)
	}
}

func TestHostThatReportedNothingHasAnEmptyStatus(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.session.removeTree(t.Context(), statusHost("h1")))
	status, err := s.HostStatus(t.Context(), "h1")
	if err != nil || status.HostInfo != nil || status.Labels == nil || len(status.Jobs) != 0 || len(status.Statuses) != 0 {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestHostWithUnreadableFactsIsAnErrorThatNamesTheNode(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	for _, path := range []string{statusHostInfo("h1"), statusHostAgentInfo("h1"), statusHostEnvironment("h1"), statusHostLabels("h1")} {
		must(t, s.session.put(t.Context(), path, []byte("[")))
		_, err := s.HostStatus(t.Context(), "h1")
		if unreadable, ok := errors.AsType[*UnreadableError](err); !ok || unreadable.Node != path {
			t.Errorf("%s: %v", path, err)
		}
		if path == statusHostLabels("h1") {
			if _, err := s.HostLabels(t.Context(), "h1"); !strings.Contains(err.Error(), path) {
				t.Errorf("labels: %v", err)
			}
		}
		must(t, s.session.remove(t.Context(), path))
	}
}

func TestHostThatIsNotRegisteredIsNotFound(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	must(t, s.session.ensure(t.Context(), configHost("halfway")))
	for _, name := range []string{"h1", "halfway", "", "a/b", ".."} {
		if _, err := s.HostStatus(t.Context(), name); !errors.Is(err, host.ErrNotFound) {
			t.Errorf("status of %q: %v", name, err)
		}
		if labels, err := s.HostLabels(t.Context(), name); err != nil || len(labels) != 0 {
			t.Errorf("labels of %q: %v, %v", name, labels, err)
		}
		if up, err := s.HostUp(t.Context(), name); up || err != nil {
			t.Errorf("%q up: %v, %v", name, up, err)
		}
		if err := s.PutLabels(t.Context(), name, nil); !errors.Is(err, host.ErrNotFound) && !errors.Is(err, ErrName) {
			t.Errorf("put labels of %q: %v", name, err)
		}
	}
	if names, err := s.Hosts(t.Context()); err != nil || !slices.Equal(names, []string{"halfway"}) {
		t.Errorf("hosts %v, %v", names, err)
	}
}

func TestRegisteringAHostAgain(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	if err := s.RegisterHost(t.Context(), "h1", "id1"); err != nil {
		t.Errorf("same id: %v", err)
	}
	if err := s.RegisterHost(t.Context(), "h1", "id2"); !errors.Is(err, host.ErrConflict) {
		t.Errorf("other id: %v", err)
	}
	if err := s.RegisterHost(t.Context(), "a/b", "id"); !errors.Is(err, ErrName) {
		t.Errorf("illegal name: %v", err)
	}
	must(t, s.session.ensure(t.Context(), configHost("halfway")))
	must(t, s.RegisterHost(t.Context(), "halfway", "id"))
	if n, err := s.session.get(t.Context(), configHostID("halfway")); err != nil || string(n.data) != "id" {
		t.Errorf("id %q, %v", n.data, err)
	}
}

func TestRegistrationWhoseAnswerIsLostIsRecognised(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	l.loseAnswer(opMulti, nil)
	must(t, s.RegisterHost(t.Context(), "h2", "id2"))
}

func TestDeregistrationLeavesNothingOfAHost(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		s := open(t, Options{Servers: address})
		j := sample("web", 80)
		must(t, s.ensureBase(t.Context()))
		must(t, s.CreateJob(t.Context(), j))
		before := dump(t, s)
		must(t, s.RegisterHost(t.Context(), "h1", "id1"))
		must(t, s.Deploy(t.Context(), "h1", start(j), ""))
		must(t, s.session.ensure(t.Context(), configHostJob("h1", "a:b:c:d")))
		must(t, s.session.create(t.Context(), statusHostUp("h1"), nil, zk.FlagEphemeral))
		must(t, s.PutTaskStatus(t.Context(), "h1", j.ID.String(), []byte("{}")))
		for at := range int64(5) {
			must(t, remember(t.Context(), s, "h1", at, job.TaskStatus{Job: j, State: job.Running}))
		}
		must(t, s.DeregisterHost(t.Context(), "h1"))
		for path := range dump(t, s) {
			if _, ok := before[path]; !ok && path != historyJobHosts(j.ID) {
				t.Errorf("%s is left", path)
			}
		}
		if err := s.DeregisterHost(t.Context(), "h1"); !errors.Is(err, host.ErrNotFound) {
			t.Errorf("again: %v", err)
		}
		must(t, s.RemoveJob(t.Context(), j.ID, ""))
	})
}

func TestHostWithVeryManyStatusesCanBeDeregistered(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	paths := make([]string, 5*maxBatch)
	for i := range paths {
		paths[i] = statusHostJob("h1", fmt.Sprintf("job%d:1:%s", i, sample("").ID.Hash))
	}
	must(t, each(t.Context(), paths, func(ctx context.Context, _ int, path string) error { return s.session.create(ctx, path, nil, 0) }))
	must(t, s.DeregisterHost(t.Context(), "h1"))
}

func TestHostThatIsRegisteredHalfwayCanBeDeregistered(t *testing.T) {
	for _, path := range []string{configHost("h1"), configHostJobs("h1"), configHostPorts("h1")} {
		s := open(t, Options{Servers: storetest.Start(t)})
		must(t, s.session.ensure(t.Context(), path))
		must(t, s.DeregisterHost(t.Context(), "h1"))
		if names, err := s.Hosts(t.Context()); err != nil || len(names) != 0 {
			t.Errorf("hosts %v, %v", names, err)
		}
	}
}

func TestDeregistrationWhoseAnswerIsLostIsRecognised(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	l.loseAnswer(opMulti, nil)
	must(t, s.DeregisterHost(t.Context(), "h1"))
}

func TestStatusDirectoryHoldsDocumentsAsTheyAre(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	if _, err := s.TaskStatuses(t.Context(), "h1"); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("without a host: %v", err)
	}
	if err := s.PutTaskStatus(t.Context(), "h1", "a", nil); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("without a host: %v", err)
	}
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.PutTaskStatus(t.Context(), "h1", "a", []byte("1")))
	must(t, s.PutTaskStatus(t.Context(), "h1", "a", []byte("2")))
	must(t, s.PutTaskStatus(t.Context(), "h1", "b", nil))
	must(t, s.PutTaskStatus(t.Context(), "h1", "c", nil))
	must(t, s.RemoveTaskStatus(t.Context(), "h1", "c"))
	must(t, s.RemoveTaskStatus(t.Context(), "h1", "c"))
	got, err := s.TaskStatuses(t.Context(), "h1")
	if err != nil || len(got) != 2 || string(got["a"]) != "2" || got["b"] == nil || len(got["b"]) != 0 {
		t.Errorf("got %q, %v", got, err)
	}
	for _, name := range []string{"", "x/y", "."} {
		if err := s.PutTaskStatus(t.Context(), "h1", name, nil); !errors.Is(err, ErrName) {
			t.Errorf("put %q: %v", name, err)
		}
		if err := s.RemoveTaskStatus(t.Context(), "h1", name); !errors.Is(err, ErrName) {
			t.Errorf("remove %q: %v", name, err)
		}
	}
}

func TestLegalNames(t *testing.T) {
	for name, want := range map[string]bool{
		"h1": true, "h1.example.com": true, "web:1:abc": true, "...": true, "ü": true, " ": true,
		"": false, ".": false, "..": false, "a/b": false, "/": false, "a\x00": false, "a\n": false, "\x7f": false,
		strings.Repeat("n", maxName+1): false, "\ue000": false, "\ufff0": false, "\xff": false,
	} {
		if got := legalName(name); got != want {
			t.Errorf("legalName(%q) = %v", name, got)
		}
	}
}
