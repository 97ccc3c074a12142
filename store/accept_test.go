package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// doubter is as much of an agent as an acceptance needs.
type doubter struct {
	t     *testing.T
	store *Store
	note  host.Note
}

// doubting is an agent of the host h1, up and in doubt about tasks that it holds on to, and others that it does not follow.
func doubting(t *testing.T, s *Store, held map[job.ID]job.Task, others ...job.ID) *doubter {
	t.Helper()
	d := &doubter{t: t, store: s, note: host.Note{Agent: "id1", Count: 1, Line: 1}}
	doubt := host.Doubt{Since: 1, Reason: "r", Token: "t1", Tasks: make(map[string]host.Difference)}
	for id, task := range held {
		doubt.Tasks[id.String()] = host.Difference{Followed: task.Goal}
	}
	for _, id := range others {
		doubt.Tasks[id.String()] = host.Difference{Stored: job.Start}
	}
	d.note.Doubt = &doubt
	background(t, func(ctx context.Context) error { return s.KeepHostUp(ctx, "h1", "id1") })
	eventuallyUp(t, s, "h1", true)
	must(t, s.PutNote(t.Context(), "h1", d.note, held))
	return d
}

// end ends the doubt, as an agent does.
func (d *doubter) end(ctx context.Context, a *host.Acceptance) {
	n := d.note
	n.Count++
	n.Doubt, n.Ended = nil, a
	if err := d.store.PutNote(ctx, "h1", n, nil); err != nil && ctx.Err() == nil {
		d.t.Error(err)
	}
}

// heed answers every acceptance of the doubt, and takes those that are void away.
func (d *doubter) heed() {
	background(d.t, func(ctx context.Context) error {
		return d.store.WatchAcceptance(ctx, "h1", func(a host.Acceptance, err error) {
			if err == nil && a.Mode == host.Follow && a.Token == d.note.Doubt.Token {
				d.end(ctx, &a)
			}
			if err != nil || a.Mode == host.Follow {
				_ = d.store.EndAcceptance(ctx, "h1")
			}
		})
	})
}

func follow(user string) host.Acceptance {
	return host.Acceptance{Token: "t1", Mode: host.Follow, User: user}
}

func TestAcceptances(t *testing.T) {
	t.Parallel()
	keep := host.Acceptance{Token: "t1", Mode: host.Keep, User: "ann"}
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *Store)
	}{
		{"of an unknown host, one that is down, and one without doubt are refused", func(t *testing.T, s *Store) {
			for _, name := range []string{"h1", "a/b", ""} {
				if err := s.Accept(t.Context(), name, keep); !errors.Is(err, host.ErrNotFound) {
					t.Errorf("%q: %v", name, err)
				}
			}
			must(t, s.RegisterHost(t.Context(), "h1", "id1"))
			if err := s.Accept(t.Context(), "h1", keep); !errors.Is(err, host.ErrDown) {
				t.Error(err)
			}
			background(t, func(ctx context.Context) error { return s.KeepHostUp(ctx, "h1", "id1") })
			eventuallyUp(t, s, "h1", true)
			for _, garbage := range []string{"", "{", "null", `{"version":2,"agent":"id1","count":1}`} {
				must(t, s.session.put(t.Context(), statusHostWishes("h1"), []byte(garbage)))
				if err := s.Accept(t.Context(), "h1", keep); !errors.Is(err, host.ErrNoDoubt) {
					t.Errorf("%q: %v", garbage, err)
				}
			}
			if w, err := s.Wishes(t.Context(), "h1"); err != nil || !w.Newer {
				t.Errorf("%+v, %v", w, err)
			}
		}},
		{"of another doubt are refused", func(t *testing.T, s *Store) {
			deployed(t, s, sample("web"))
			doubting(t, s, nil, sample("web").ID)
			if err := s.Accept(t.Context(), "h1", host.Acceptance{Token: "t0", Mode: host.Follow}); !errors.Is(err, host.ErrOtherDoubt) {
				t.Error(err)
			}
		}},
		{"to follow a list that is gone are refused", func(t *testing.T, s *Store) {
			must(t, s.RegisterHost(t.Context(), "h1", "id1"))
			must(t, s.session.removeTree(t.Context(), configHostJobs("h1")))
			doubting(t, s, nil, sample("web").ID)
			if err := s.Accept(t.Context(), "h1", follow("ann")); !errors.Is(err, host.ErrNothingStored) {
				t.Error(err)
			}
		}},
		{"of two people at once end with one that wins", func(t *testing.T, s *Store) {
			deployed(t, s, sample("web"))
			d := doubting(t, s, nil, sample("web").ID)
			results := make(chan error, 2)
			var people sync.WaitGroup
			for _, user := range []string{"ann", "bob"} {
				people.Go(func() { results <- s.Accept(t.Context(), "h1", follow(user)) })
			}
			told := <-results // the agent has not answered yet
			if !errors.Is(told, host.ErrAccepting) {
				t.Error(told)
			}
			d.heed()
			people.Wait()
			if won := <-results; won != nil {
				t.Error(won)
			}
		}},
		{"to keep bring back jobs and tasks, and take away what is not followed", func(t *testing.T, s *Store) {
			stray, web := sample("stray"), sample("web", 8080)
			web.Token = "secret"
			deployed(t, s, stray)
			db := sample("db")
			must(t, s.CreateJob(t.Context(), db))
			must(t, s.Deploy(t.Context(), "h1", start(db), ""))
			must(t, s.session.set(t.Context(), configHostJob("h1", db.ID.String()), []byte("{"), anyVersion))
			d := doubting(t, s, map[job.ID]job.Task{
				web.ID: {Job: web, Goal: job.Stop, DeployerUser: new("ann")}, db.ID: {Job: db, Goal: job.Start},
			}, stray.ID)
			background(t, func(ctx context.Context) error { // an agent ends its doubt when it sees the tasks
				return s.WatchTasks(ctx, "h1", nobody, func(tasks Tasks) {
					_, kept := tasks.Tasks[web.ID]
					if kept && len(tasks.Tasks) == 2 && len(tasks.Nodes) == 2 {
						d.end(ctx, nil)
					}
				})
			})
			must(t, s.Accept(t.Context(), "h1", keep))
			was, err := s.Deployment(t.Context(), "h1", web.ID)
			if err != nil || was.Goal != job.Stop || *was.DeployerUser != "ann" {
				t.Errorf("%+v, %v", was, err)
			}
			if j, err := s.Job(t.Context(), web.ID); err != nil || j.Token != "secret" {
				t.Errorf("%+v, %v", j.ID, err)
			}
			w, err := s.Wishes(t.Context(), "h1")
			if want := fmt.Sprint(map[string]job.Goal{web.ID.String(): job.Stop, db.ID.String(): job.Start}); err != nil || fmt.Sprint(w.Stored) != want {
				t.Errorf("stored %v, %v", w.Stored, err)
			}
			for _, path := range []string{statusHostAccept("h1"), statusHostRemembered("h1", web.ID.String())} {
				storetest.Eventually(t, 25*time.Second, func() error { // the agent takes tasks away after its note
					if left, err := s.session.exists(t.Context(), path); left || err != nil {
						return fmt.Errorf("%s is left, %w", path, err)
					}
					return nil
				})
			}
		}},
		{"that are garbage are void", func(t *testing.T, s *Store) {
			deployed(t, s, sample("web"))
			d := doubting(t, s, nil, sample("web").ID)
			d.heed()
			for _, garbage := range []string{"", "{", "[]", `{"version":1}`, `{"version":9,"token":"t1","mode":"follow"}`, `{"version":1,"token":"t1","mode":"end"}`} {
				must(t, s.session.create(t.Context(), statusHostAccept("h1"), []byte(garbage), 0))
				storetest.Eventually(t, 25*time.Second, func() error {
					if there, err := s.session.exists(t.Context(), statusHostAccept("h1")); there || err != nil {
						return fmt.Errorf("%q is there, %w", garbage, err)
					}
					return nil
				})
			}
			if w, err := s.Wishes(t.Context(), "h1"); err != nil || w.Note.Doubt == nil {
				t.Errorf("%+v, %v", w, err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t, Options{Servers: storetest.Start(t)}))
		})
	}
}
