package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// views collects what a watcher was told.
type views struct {
	mu  sync.Mutex // guards all
	all []Tasks
}

func (v *views) add(tasks Tasks) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all = append(v.all, tasks)
}

func (v *views) count() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.all)
}

func (v *views) seen() []Tasks {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.all)
}

func (v *views) last() Tasks {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.all) == 0 {
		return Tasks{}
	}
	return v.all[len(v.all)-1]
}

// await waits until the newest view is as described: the name and goal of each task, and "?" with the name of each
// unreadable one.
func (v *views) await(t *testing.T, want string) {
	t.Helper()
	storetest.Eventually(t, 25*time.Second, func() error {
		if got := describe(v.last()); v.count() == 0 || got != want {
			return fmt.Errorf("told %q in %d views, want %q", got, v.count(), want)
		}
		return nil
	})
}

func describe(tasks Tasks) string {
	var words []string
	for id, task := range tasks.Tasks {
		words = append(words, id.Name+" "+string(task.Goal))
	}
	for name := range tasks.Unreadable {
		words = append(words, "? "+name)
	}
	for name, d := range tasks.Departed {
		if d.Listed || d.Changed == 0 && d.Removed == 0 { // nobody undeployed it
			words = append(words, "? "+name)
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// nobody knows any task.
func nobody() []string { return nil }

func watch(t *testing.T, s *Store) *views {
	t.Helper()
	v := new(views)
	background(t, func(ctx context.Context) error { return s.WatchTasks(ctx, "h1", nobody, v.add) })
	return v
}

func TestTasksAreToldAtFirstAndAtEachChange(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		agent, master := open(t, Options{Servers: address}), open(t, Options{Servers: address})
		web, db := sample("web"), sample("db")
		deployed(t, master, web)
		must(t, master.CreateJob(t.Context(), db))
		told := watch(t, agent)
		told.await(t, "web START")
		must(t, master.SetGoal(t.Context(), "h1", web.ID, job.Stop, ""))
		told.await(t, "web STOP")
		must(t, master.SetGoal(t.Context(), "h1", web.ID, job.Start, ""))
		told.await(t, "web START")
		must(t, master.Deploy(t.Context(), "h1", start(db), ""))
		told.await(t, "db START, web START")
		before := told.last().Directory
		_, err := master.Undeploy(t.Context(), "h1", web.ID, "")
		must(t, err)
		told.await(t, "db START")
		if now := told.last().Directory; !now.Continues(before) || before.Continues(now) {
			t.Errorf("directory %+v after %+v", now, before)
		}
		_, err = master.Undeploy(t.Context(), "h1", db.ID, "")
		must(t, err)
		told.await(t, "")
	})
}

func TestNothingIsToldTwice(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	j := sample("web")
	deployed(t, s, j)
	told := watch(t, s)
	told.await(t, "web START")
	for range 2 {
		bell := s.Connections(t.Context())
		<-bell
		l.cut(false)
		<-bell
	}
	must(t, s.SetGoal(t.Context(), "h1", j.ID, job.Stop, ""))
	told.await(t, "web STOP")
	if told.count() != 2 {
		t.Errorf("told %d times", told.count())
	}
}

func TestChangesWhileTheConnectionIsLostAreToldAfterwards(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{"in the same session": 30 * time.Second, "in a new session": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachServer(t, func(t *testing.T, address string) {
				l := new(links)
				agent, master := open(t, Options{Servers: address, Dial: l.dial, SessionTimeout: timeout}), open(t, Options{Servers: address})
				web, db := sample("web"), sample("db")
				deployed(t, master, web)
				must(t, master.CreateJob(t.Context(), db))
				_, err := agent.RegisterAgent(t.Context(), Registering{Host: "h1", ID: "id1"})
				must(t, err)
				background(t, func(ctx context.Context) error { return agent.KeepHostUp(ctx, "h1", "id1") })
				eventuallyUp(t, master, "h1", true)
				told := watch(t, agent)
				told.await(t, "web START")
				l.cut(true)
				must(t, master.SetGoal(t.Context(), "h1", web.ID, job.Stop, ""))
				must(t, master.Deploy(t.Context(), "h1", start(db), ""))
				if timeout < 10*time.Second {
					eventuallyUp(t, master, "h1", false) // the session has expired
				}
				if told.count() != 1 {
					t.Errorf("told %d times", told.count())
				}
				l.cut(false)
				told.await(t, "db START, web STOP")
				_, err = master.Undeploy(t.Context(), "h1", web.ID, "") // is it still watched?
				must(t, err)
				told.await(t, "db START")
			})
		})
	}
}

func TestTaskListThatIsGoneOrMadeAnewIsNeverToldAsEmpty(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		agent, master := open(t, Options{Servers: address}), open(t, Options{Servers: address})
		web := sample("web")
		deployed(t, master, web)
		told := watch(t, agent)
		told.await(t, "web START")
		known := told.last().Directory

		// The whole list goes at once, as when a host is deregistered or a store wiped.
		var gone txn
		paths, err := master.session.tree(t.Context(), configHostJobs("h1"))
		must(t, err)
		gone.deleteTree(paths)
		_, err = master.session.commit(t.Context(), &gone)
		must(t, err)
		// A marker in the same place proves that the watcher had its chance.
		must(t, master.session.create(t.Context(), configHostJobs("h1"), nil, 0))
		must(t, master.session.create(t.Context(), configHostJob("h1", "marker"), nil, 0))
		storetest.Eventually(t, 25*time.Second, func() error {
			if got := told.last(); len(got.Unreadable) != 1 || len(got.Nodes) != 1 {
				return fmt.Errorf("told %q", describe(got))
			}
			return nil
		})

		told.mu.Lock()
		defer told.mu.Unlock()
		for _, view := range told.all {
			if !view.Missing && len(view.Tasks) == 0 && view.Directory.Continues(known) {
				t.Errorf("told as empty: %+v", view)
			}
		}
	})
}

func TestTaskListThatIsMadeBetweenTwoLooksIsWatched(t *testing.T) {
	t.Parallel()
	l := new(tap)
	address := storetest.Start(t)
	agent, master := open(t, Options{Servers: address, Dial: l.dial}), open(t, Options{Servers: address})
	must(t, master.RegisterHost(t.Context(), "h1", "id1"))
	must(t, master.session.remove(t.Context(), configHostJobs("h1")))
	directory := []byte(configHostJobs("h1"))
	var once sync.Once
	l.tamper(func(_ int, operation int32, frame []byte) ([]byte, error) {
		if operation == opExists && bytes.HasSuffix(frame[:len(frame)-1], directory) { // the list was not found
			once.Do(func() { must(t, master.session.create(t.Context(), configHostJobs("h1"), nil, 0)) })
		}
		return frame, nil
	}, nil)
	told := watch(t, agent)
	told.await(t, "")
	must(t, master.session.create(t.Context(), configHostJob("h1", "marker"), nil, 0))
	storetest.Eventually(t, 25*time.Second, func() error {
		if got := told.last(); len(got.Nodes) != 1 {
			return fmt.Errorf("told %q", describe(got))
		}
		return nil
	})
}

func TestMissingTaskListIsNoNews(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Servers: storetest.Start(t)})
	told := watch(t, s)
	must(t, s.CreateJob(t.Context(), sample("web")))
	if told.count() != 0 {
		t.Errorf("told %q", describe(told.last()))
	}
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	told.await(t, "")
}

func TestUnreadableTaskIsToldAsSuch(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Servers: storetest.Start(t)})
	web, other := sample("web"), sample("other")
	deployed(t, s, web)
	told := watch(t, s)
	told.await(t, "web START")
	path := configHostJob("h1", web.ID.String())
	wrong := job.Task{Job: other, Goal: job.Start}
	for name, data := range map[string]string{
		"garbage": "{", "no document": "", "no goal": fmt.Sprintf(`{"job":{"id":%q}}`, web.ID),
		"a goal that is none": fmt.Sprintf(`{"goal":"EXPLODE","job":{"id":%q}}`, web.ID),
		"another job":         string(document.Canonical(wrong.JSON())),
	} {
		must(t, s.session.set(t.Context(), path, []byte(data), anyVersion))
		storetest.Eventually(t, 25*time.Second, func() error {
			if got := describe(told.last()); got != "? "+web.ID.String() {
				return fmt.Errorf("%s: told %q", name, got)
			}
			return nil
		})
		task := job.Task{Job: web, Goal: job.Start}
		must(t, s.session.set(t.Context(), path, document.Canonical(task.JSON()), anyVersion))
		told.await(t, "web START")
	}
}

func TestWatcherThatIsSlowMissesNothingInTheEnd(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	deployed(t, s, j)
	var told views
	let := make(chan struct{})
	background(t, func(ctx context.Context) error {
		return s.WatchTasks(ctx, "h1", nobody, func(tasks Tasks) {
			<-let
			told.add(tasks)
		})
	})
	for range 5 {
		must(t, s.SetGoal(t.Context(), "h1", j.ID, job.Stop, ""))
		must(t, s.SetGoal(t.Context(), "h1", j.ID, job.Start, ""))
	}
	must(t, s.SetGoal(t.Context(), "h1", j.ID, job.Stop, ""))
	close(let)
	told.await(t, "web STOP")
	if told.count() > 3 {
		t.Errorf("told %d times", told.count())
	}
}

func TestWatchingEndsWithItsContextAndTheStore(t *testing.T) {
	t.Parallel()
	s, err := Open(Options{Servers: storetest.Start(t)})
	must(t, err)
	because := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(because)
	if err := s.WatchTasks(ctx, "h1", nobody, func(Tasks) {}); !errors.Is(err, because) {
		t.Errorf("got %v", err)
	}
	if err := s.WatchTasks(t.Context(), "a/b", nobody, func(Tasks) {}); !errors.Is(err, ErrName) {
		t.Errorf("got %v", err)
	}
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	told := make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- s.WatchTasks(t.Context(), "h1", nobody, func(Tasks) { close(told) }) }()
	<-told
	s.Close()
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestReadingAgainPilesUpNoWatches(t *testing.T) {
	t.Parallel()
	s := open(t, Options{Servers: storetest.Start(t)})
	deployed(t, s, sample("web"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	readings, armed := 0, 0
	_ = s.session.loop(ctx, "reading", func(ctx context.Context, w *watches) error {
		if _, err := s.readTasks(ctx, w, "h1", nil, nil); err != nil {
			t.Error(err)
		}
		w.mu.Lock()
		armed = len(w.armed)
		w.mu.Unlock()
		ring(w.bell)
		if readings++; readings == 5 {
			cancel()
		}
		return nil
	})
	if armed != 2 {
		t.Errorf("%d watches, want one of the list and one of the task", armed)
	}
}
