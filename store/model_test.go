package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// model is what the store is meant to be, in plain maps.
type model struct {
	jobs  map[string]job.Job
	hosts map[string]map[string]job.Goal // by host and job name
}

// portTaken says whether a static port of the job is held on the host.
func (m model) portTaken(hostName string, j job.Job) bool {
	for name := range m.hosts[hostName] {
		for _, port := range staticPorts(m.jobs[name]) {
			if slices.Contains(staticPorts(j), port) {
				return true
			}
		}
	}
	return false
}

func (m model) deployedSomewhere(name string) bool {
	for _, deployments := range m.hosts {
		if _, ok := deployments[name]; ok {
			return true
		}
	}
	return false
}

func TestRandomOperationsDoWhatTheModelDoes(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		checkModel(t, Options{Servers: address}, nil)
	})
}

func TestLostAnswersDoNotChangeWhatOperationsDo(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		l := dial()
		checkModel(t, Options{Servers: "server:1", Dial: l.dial}, map[string]func(*rapid.T){
			"lose an answer": func(r *rapid.T) {
				l.loseAnswer(rapid.SampledFrom([]int32{opCreate, opSet, opMulti}).Draw(r, "operation"), nil)
			},
		})
	})
}

// checkModel does random operations, and more, for a few seconds, each time in a tree of its own.
func checkModel(t *testing.T, opts Options, more map[string]func(*rapid.T)) {
	root := open(t, opts)
	run, begin := 0, time.Now()
	rapid.Check(struct{ testing.TB }{t}, func(r *rapid.T) { // without the deadline, which is none in virtual time
		if time.Since(begin) > 5*time.Second && more == nil {
			return
		}
		run++
		opts := opts
		chroot := fmt.Sprintf("/run%d", run)
		must(t, root.session.ensure(t.Context(), chroot))
		opts.Servers += chroot
		s, err := Open(opts)
		must(t, err)
		defer s.Close()
		m := model{make(map[string]job.Job), make(map[string]map[string]job.Goal)}
		operations := m.operations(t, s)
		maps.Copy(operations, more)
		r.Repeat(operations)
	})
}

// operations are what can be done to both; each compares the outcomes, and "" compares the wholes.
func (m model) operations(t *testing.T, s *Store) map[string]func(*rapid.T) {
	all := []job.Job{sample("a", 80), sample("b", 80, 81), sample("c"), sample("d", 81)}
	all[2].Token = "token"
	anyJob := rapid.SampledFrom(all)
	anyHost := rapid.SampledFrom([]string{"h1", "h2"})
	anyGoal := rapid.SampledFrom([]job.Goal{job.Start, job.Stop})
	expect := func(r *rapid.T, got, want error) {
		r.Helper()
		if !errors.Is(got, want) || (want == nil) != (got == nil) {
			r.Fatalf("got %v, want %v", got, want)
		}
	}
	return map[string]func(*rapid.T){
		"create": func(r *rapid.T) {
			j := anyJob.Draw(r, "job")
			var want error
			if _, exists := m.jobs[j.ID.Name]; exists {
				want = job.ErrExists
			} else {
				m.jobs[j.ID.Name] = j
			}
			expect(r, s.CreateJob(t.Context(), j), want)
		},
		"remove": func(r *rapid.T) {
			j := anyJob.Draw(r, "job")
			var want error
			if _, exists := m.jobs[j.ID.Name]; !exists {
				want = job.ErrNotFound
			} else if m.deployedSomewhere(j.ID.Name) {
				want = job.ErrInUse
			} else {
				delete(m.jobs, j.ID.Name)
			}
			expect(r, s.RemoveJob(t.Context(), j.ID, j.Token), want)
		},
		"register": func(r *rapid.T) {
			name := anyHost.Draw(r, "host")
			if m.hosts[name] == nil {
				m.hosts[name] = make(map[string]job.Goal)
			}
			expect(r, s.RegisterHost(t.Context(), name, "id of "+name), nil)
		},
		"deregister": func(r *rapid.T) {
			name := anyHost.Draw(r, "host")
			var want error
			if m.hosts[name] == nil {
				want = host.ErrNotFound
			}
			delete(m.hosts, name)
			expect(r, s.DeregisterHost(t.Context(), name), want)
		},
		"deploy": func(r *rapid.T) {
			name, j, goal := anyHost.Draw(r, "host"), anyJob.Draw(r, "job"), anyGoal.Draw(r, "goal")
			var want error
			_, exists := m.jobs[j.ID.Name]
			_, deployed := m.hosts[name][j.ID.Name]
			switch {
			case !exists:
				want = job.ErrNotFound
			case m.hosts[name] == nil:
				want = host.ErrNotFound
			case deployed:
				want = job.ErrAlreadyDeployed
			case m.portTaken(name, j):
				want = job.ErrPortConflict
			default:
				m.hosts[name][j.ID.Name] = goal
			}
			expect(r, s.Deploy(t.Context(), name, job.Deployment{JobID: j.ID, Goal: goal}, j.Token), want)
		},
		"set goal": func(r *rapid.T) {
			name, j, goal := anyHost.Draw(r, "host"), anyJob.Draw(r, "job"), anyGoal.Draw(r, "goal")
			var want error
			_, exists := m.jobs[j.ID.Name]
			_, deployed := m.hosts[name][j.ID.Name]
			switch {
			case exists && m.hosts[name] == nil:
				want = host.ErrNotFound
			case !exists || !deployed:
				want = job.ErrNotDeployed
			default:
				m.hosts[name][j.ID.Name] = goal
			}
			expect(r, s.SetGoal(t.Context(), name, j.ID, goal, j.Token), want)
		},
		"undeploy": func(r *rapid.T) {
			name, j := anyHost.Draw(r, "host"), anyJob.Draw(r, "job")
			var want error
			goal, deployed := m.hosts[name][j.ID.Name]
			switch {
			case m.hosts[name] == nil:
				want = host.ErrNotFound
			case !deployed:
				want = job.ErrNotDeployed
			}
			delete(m.hosts[name], j.ID.Name)
			was, err := s.Undeploy(t.Context(), name, j.ID, j.Token)
			expect(r, err, want)
			if was.Goal != goal {
				r.Fatalf("was %s, want %s", was.Goal, goal)
			}
		},
		"": func(r *rapid.T) { m.compare(r, t, s) },
	}
}

func (m model) compare(r *rapid.T, t *testing.T, s *Store) {
	ids, err := s.JobIDs(t.Context())
	if err != nil {
		r.Fatal(err)
	}
	var names []string
	for _, id := range ids {
		names = append(names, id.Name)
		status, err := s.JobStatus(t.Context(), id)
		if err != nil {
			r.Fatal(err)
		}
		for hostName, deployments := range m.hosts {
			goal, want := deployments[id.Name]
			if d, ok := status.Deployments[hostName]; ok != want || want && d.Goal != goal {
				r.Fatalf("job %s on %s: %+v, want %q", id, hostName, d, goal)
			}
		}
	}
	if want := slices.Sorted(maps.Keys(m.jobs)); !slices.Equal(names, want) {
		r.Fatalf("jobs %v, want %v", names, want)
	}
	hosts, err := s.Hosts(t.Context())
	if want := slices.Sorted(maps.Keys(m.hosts)); err != nil || !slices.Equal(hosts, want) {
		r.Fatalf("hosts %v, %v, want %v", hosts, err, want)
	}
	for _, name := range hosts {
		status, err := s.HostStatus(t.Context(), name)
		if err != nil || len(status.Jobs) != len(m.hosts[name]) {
			r.Fatalf("host %s: %+v, %v, want %v", name, status.Jobs, err, m.hosts[name])
		}
		ports, err := s.session.childrenIfAny(t.Context(), configHostPorts(name))
		var want []string
		for jobName := range m.hosts[name] {
			for _, port := range staticPorts(m.jobs[jobName]) {
				want = append(want, fmt.Sprint(port))
			}
		}
		slices.Sort(want)
		if err != nil || !slices.Equal(ports, want) {
			r.Fatalf("ports of %s: %v, %v, want %v", name, ports, err, want)
		}
	}
}
