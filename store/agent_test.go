package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// wantID asserts on the id that a host is registered with.
func wantID(t *testing.T, s *Store, name, want string) {
	t.Helper()
	n, err := s.session.get(t.Context(), configHostID(name))
	if err != nil && !errors.Is(err, zk.ErrNoNode) || string(n.data) != want {
		t.Errorf("host %s is registered with %q, want %q: %v", name, n.data, want, err)
	}
}

func TestAgentRegistersWhereNobodyIs(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	first, err := s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", TTL: 2 * time.Minute})
	must(t, err)
	wantID(t, s, "h1", "1234")
	again, err := s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", TTL: 2 * time.Minute, Known: &first})
	if err != nil || again.Hosts != first.Hosts || *again.Host != *first.Host {
		t.Errorf("again: %+v, %v, want %+v", again, err, first)
	}
	if n, _ := s.session.get(t.Context(), configHostID("h1")); n.stat.Version != 0 || n.stat.Czxid != n.stat.Mzxid {
		t.Error("the id was written again")
	}
}

func TestAgentRepairsTheDirectoriesOfItsHost(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	wish := Registering{Host: "h1", ID: "1234"}
	_, err := s.RegisterAgent(t.Context(), wish)
	must(t, err)
	must(t, s.session.removeTree(t.Context(), statusHost("h1")))
	must(t, s.session.remove(t.Context(), configHostPorts("h1")))
	_, err = s.RegisterAgent(t.Context(), wish)
	must(t, err)
	for _, path := range hostPaths("h1") {
		if exists, err := s.session.exists(t.Context(), path); !exists {
			t.Errorf("%s is missing: %v", path, err)
		}
	}
}

func TestAgentIsRefusedWhileAnotherHoldsTheName(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	must(t, s.RegisterHost(t.Context(), "h1", "a different host\n"))
	must(t, s.PutHostInfo(t.Context(), "h1", host.Info{}))
	_, err := s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", TTL: 2 * time.Minute})
	other, ok := errors.AsType[*OtherAgentError](err)
	if !ok || !errors.Is(err, host.ErrConflict) || other.ID != "a different host" || other.Expires > 2*time.Minute || other.Expires < time.Minute {
		t.Errorf("got %v", err)
	}
	wantID(t, s, "h1", "a different host\n")
}

func TestAgentTakesOverFromOneThatIsSilent(t *testing.T) {
	for name, prepare := range map[string]struct {
		reported bool
		ttl      time.Duration
	}{"no host info": {false, time.Hour}, "a time-out of nothing": {true, 0}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{Servers: storetest.Start(t)})
			j := sample("web")
			deployed(t, s, j)
			if prepare.reported {
				must(t, s.PutHostInfo(t.Context(), "h1", host.Info{}))
			}
			must(t, s.PutTaskStatus(t.Context(), "h1", j.ID.String(), nil))
			must(t, remember(t.Context(), s, "h1", 1, job.TaskStatus{Job: j, State: job.Running}))
			before, err := s.session.stat(t.Context(), configHostJob("h1", j.ID.String()))
			must(t, err)
			former, err := s.session.get(t.Context(), configHostID("h1"))
			must(t, err)
			full := errors.New("no room to remember the former agent")
			wish := Registering{Host: "h1", ID: "1234", TTL: prepare.ttl, TakingOver: func(string) error { return full }}
			if _, err = s.RegisterAgent(t.Context(), wish); !errors.Is(err, full) {
				t.Errorf("got %v", err)
			}
			wantID(t, s, "h1", string(former.data))
			told := ""
			wish.TakingOver = func(id string) error { told = id; return nil }
			_, err = s.RegisterAgent(t.Context(), wish)
			must(t, err)
			wantID(t, s, "h1", "1234")
			if told != strings.TrimSpace(string(former.data)) {
				t.Errorf("told that %q is taken over from, want %q", told, former.data)
			}
			if after, err := s.session.stat(t.Context(), configHostJob("h1", j.ID.String())); err != nil || *after != *before {
				t.Errorf("the deployment changed: %+v, %v", after, err)
			}
			if statuses, err := s.TaskStatuses(t.Context(), "h1"); err != nil || len(statuses) != 0 {
				t.Errorf("statuses %v, %v", statuses, err)
			}
			if events, err := s.History(t.Context(), j.ID); err != nil || len(events) != 1 {
				t.Errorf("%d events, %v", len(events), err)
			}
		})
	}
}

func TestTakeOverIsTheOriginalsTransaction(t *testing.T) {
	t.Parallel()
	plan := planTakeOver(Registering{Host: "h1", ID: "1234"}, []string{
		"/status/hosts/h1", "/status/hosts/h1/jobs", "/status/hosts/h1/up", "/status/hosts/h1/jobs/a:1:b",
	})
	want := []string{
		"check /config/hosts/h1",
		"delete /status/hosts/h1/jobs/a:1:b", "delete /status/hosts/h1/up", "delete /status/hosts/h1/jobs", "delete /status/hosts/h1",
		`create /status/hosts/h1 ""`, `create /status/hosts/h1/jobs ""`,
		"delete /config/hosts/h1/id", `create /config/hosts/h1/id "1234"`,
	}
	var got []string
	for _, operation := range plan.operations {
		switch o := operation.(type) {
		case *zk.CheckVersionRequest:
			got = append(got, "check "+o.Path)
		case *zk.DeleteRequest:
			got = append(got, "delete "+o.Path)
		case *zk.CreateRequest:
			got = append(got, fmt.Sprintf("create %s %q", o.Path, o.Data))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWaitingForAHostEndsWhenItsIdComesOrGoes(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Servers: storetest.Start(t)})
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.AwaitHost(short, "h1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while nothing changes: %v", err)
	}
	waited := make(chan error, 1)
	background(t, func(ctx context.Context) error {
		waited <- s.AwaitHost(ctx, "h1")
		return nil
	})
	registered := false
	storetest.Eventually(t, 25*time.Second, func() error { // it may begin to wait after a change
		change := s.RegisterHost
		if registered {
			change = func(ctx context.Context, name, _ string) error { return s.DeregisterHost(ctx, name) }
		}
		must(t, change(t.Context(), "h1", "1234"))
		registered = !registered
		select {
		case err := <-waited:
			if err != nil {
				t.Error(err)
			}
			return nil
		default:
			return errors.New("it still waits")
		}
	})
}

func TestDeregisteredAgentIsToldSo(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	known, err := s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234"})
	must(t, err)
	must(t, s.DeregisterHost(t.Context(), "h1"))
	_, err = s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", Known: &known})
	if !errors.Is(err, ErrDeregistered) {
		t.Errorf("got %v", err)
	}
	wantID(t, s, "h1", "")

	// A person registers its id anew.
	must(t, s.RegisterHost(t.Context(), "h1", "1234"))
	renewed, err := s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", Known: &known})
	must(t, err)
	if renewed.Host.Continues(*known.Host) {
		t.Error("the new node of the host passes for the old one")
	}

	// An agent that cannot read what it remembers follows a registration that is there, and makes none.
	_, err = s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", Forgot: true})
	must(t, err)
	must(t, s.DeregisterHost(t.Context(), "h1"))
	if _, err = s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", Forgot: true}); !errors.Is(err, ErrForgotten) {
		t.Errorf("got %v", err)
	}
	must(t, s.RegisterHost(t.Context(), "h1", "1234"))

	// Or accepts it on the host.
	must(t, s.DeregisterHost(t.Context(), "h1"))
	_, err = s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234"})
	must(t, err)
}

func TestAgentRegistersAgainInAStoreThatWasWipedOrRestored(t *testing.T) {
	for name, change := range map[string]func(Registration) Registration{
		"made anew":      func(r Registration) Registration { r.Hosts.Created--; return r },
		"an older state": func(r Registration) Registration { r.Hosts.Changes += 10; return r },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{Servers: storetest.Start(t)})
			must(t, s.RegisterHost(t.Context(), "h0", "0"))
			known, err := s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234"})
			must(t, err)
			must(t, s.session.removeTree(t.Context(), configHost("h1")))
			known = change(known)
			_, err = s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", Known: &known})
			must(t, err)
			wantID(t, s, "h1", "1234")
		})
	}
	t.Run("empty", func(t *testing.T) {
		s := open(t, Options{Servers: storetest.Start(t)})
		_, err := s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234", Known: &Registration{Hosts: Mark{Created: 1, Changes: 1}}})
		must(t, err)
		wantID(t, s, "h1", "1234")
	})
}

func TestMarkContinuesTheSameDirectory(t *testing.T) {
	known := Mark{Created: 5, Changes: 3, Time: 7}
	for m, want := range map[Mark]bool{
		{5, 3, 7}: true, {5, 4, 7}: true, {5, 2, 7}: false, {6, 3, 7}: false, {4, 9, 7}: false, {5, 4, 8}: false, {5, 4, 0}: true,
	} {
		if got := m.Continues(known); got != want {
			t.Errorf("%+v continues %+v: %v", m, known, got)
		}
	}
}

func eventuallyUp(t *testing.T, s *Store, name string, want bool) {
	t.Helper()
	storetest.Eventually(t, 25*time.Second, func() error {
		if up, err := s.HostUp(t.Context(), name); err != nil || up != want {
			return fmt.Errorf("%s up: %v, %w", name, up, err)
		}
		return nil
	})
}

func TestHostIsUpWhileItsAgentIsThere(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		l := new(links)
		agent, master := open(t, Options{Servers: address, Dial: l.dial}), open(t, Options{Servers: address})
		_, err := agent.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234"})
		must(t, err)
		stop := background(t, func(ctx context.Context) error { return agent.KeepHostUp(ctx, "h1", "1234") })
		eventuallyUp(t, master, "h1", true)
		must(t, master.session.remove(t.Context(), statusHostUp("h1")))
		eventuallyUp(t, master, "h1", true)
		l.cut(false)
		if _, err := agent.Hosts(t.Context()); err != nil { // connected again
			t.Error(err)
		}
		eventuallyUp(t, master, "h1", true)
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if up, err := master.HostUp(t.Context(), "h1"); up || err != nil {
			t.Errorf("up after the end: %v, %v", up, err)
		}
	})
}

func TestHostIsUpAgainAfterItsSessionExpired(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		l := new(links)
		agent := open(t, Options{Servers: address, Dial: l.dial, SessionTimeout: 2 * time.Second})
		master := open(t, Options{Servers: address})
		_, err := agent.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234"})
		must(t, err)
		background(t, func(ctx context.Context) error { return agent.KeepHostUp(ctx, "h1", "1234") })
		eventuallyUp(t, master, "h1", true)
		l.cut(true)
		eventuallyUp(t, master, "h1", false)
		l.cut(false)
		eventuallyUp(t, master, "h1", true)
	})
}

func TestKeepingAHostUpEndsWithItsRegistration(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(s *Store) error
		want error
	}{
		"deregistered": {func(s *Store) error { return s.DeregisterHost(context.Background(), "h1") }, host.ErrNotFound},
		"taken over": {func(s *Store) error {
			return s.takeOver(context.Background(), Registering{Host: "h1", ID: "other"})
		}, host.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{Servers: storetest.Start(t)})
			_, err := s.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "1234"})
			must(t, err)
			done := make(chan error, 1)
			background(t, func(ctx context.Context) error {
				done <- s.KeepHostUp(ctx, "h1", "1234")
				return nil
			})
			eventuallyUp(t, s, "h1", true)
			must(t, c.lose(s))
			select {
			case err := <-done:
				if !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			case <-time.After(25 * time.Second):
				t.Fatal("it does not end")
			}
		})
	}
}

func TestMasterIsListedWhileItIsThere(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		l := new(links)
		s, other := open(t, Options{Servers: address, Dial: l.dial}), open(t, Options{Servers: address})
		listed := func(want string) {
			t.Helper()
			storetest.Eventually(t, 25*time.Second, func() error {
				masters, err := other.Masters(t.Context())
				if got := strings.Join(masters, " "); err == nil && got != want {
					err = fmt.Errorf("masters %q, want %q", got, want)
				}
				return err
			})
		}
		stop := background(t, func(ctx context.Context) error { return s.KeepMaster(ctx, "m1") })
		background(t, func(ctx context.Context) error { return other.KeepMaster(ctx, "m2") })
		listed("m1 m2")
		must(t, other.session.removeTree(t.Context(), statusMaster("m1"))) // its parent too
		listed("m1 m2")
		l.cut(false)
		must(t, other.session.removeTree(t.Context(), statusMaster("m1")))
		listed("m1 m2")
		_ = stop()
		listed("m2")
	})
}

func TestTreeIsMadeWithoutAMaster(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	background(t, s.KeepTree)
	storetest.Eventually(t, 25*time.Second, func() error {
		_, err := s.Masters(t.Context())
		return err
	})
	if err := s.KeepMaster(t.Context(), "a/b"); !errors.Is(err, ErrName) {
		t.Errorf("got %v", err)
	}
}
