package roles_test

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestClocksAnHourApart is two masters and an agent in a tree in which everything that carries a time was written by a
// clock that is an hour ahead of theirs, or behind: by the agent of another host, which is one of 0.9, and by their own
// agent before its clock was set. The store's own clock decides nothing beside the time that a silent agent keeps its name
// (zookeeper Q27).
func TestClocksAnHourApart(t *testing.T) {
	t.Parallel()
	for name, skew := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			docker := dockertest.New(t)
			image := *shell(t, docker)
			c, _ := startMaster(t, storetest.StartEnsemble(t, 1).Servers())
			second, _ := startMaster(t, c.zk)
			a := startAgent(c, docker, nil)
			c.await(docker.Host, host.Up)
			web := c.create(job.Job{Image: &image, Command: idle})
			c.deploy(web, docker.Host)
			container := *c.awaitState(web, docker.Host, job.Running).ContainerID
			w := &skewed{cluster: c, conn: c.tree(), skew: skew}
			defer w.conn.Close()

			java := unique("java")
			w.host(java, web)
			w.history(web, java, job.Creating, job.Starting, job.Running)
			w.history(web, docker.Host, job.Creating, job.Starting, job.Running) // another run, as it seems
			w.note(docker.Host)
			calm := func() error {
				return errors.Join(runsOnly(docker, web, container), c.runs(web, docker.Host, container))
			}
			holds(t, 2*time.Second, calm)

			// The agent comes back, and its host's note and history are those of another time.
			a.kill()
			a.restart()
			a.said(`(?s)"registered".*"(registered)"`)
			holds(t, 2*time.Second, calm)

			// It does what it is told, and tells what it does, in its order.
			c.setGoal(web, docker.Host, job.Stop)
			c.awaitState(web, docker.Host, job.Stopped)
			c.setGoal(web, docker.Host, job.Start)
			c.awaitState(web, docker.Host, job.Running)
			db := c.create(job.Job{Image: &image, Command: idle})
			c.deploy(db, docker.Host)
			c.awaitState(db, docker.Host, job.Running)
			c.must("undeploy", db.String(), docker.Host)
			c.awaitGone(db, docker.Host)
			w.keepsOrder(web, docker.Host, java)

			// Both masters show the same.
			storetest.Eventually(t, inTime, func() error {
				for _, args := range [][]string{
					{"hosts", "--json"},
					{"status", "--job", web.String()},
					{"status", "--json", "--job", web.String()},
					{"history", web.String()},
					{"history", "--json", web.String()},
				} {
					one, two := c.helios(args...), second.helios(args...)
					if one.exit != 0 || one.out != two.out || one.exit != two.exit || !strings.Contains(one.out, java) {
						return fmt.Errorf("%v: %s\nthe other master: %s", args, one, two)
					}
				}
				return nil
			})
			if out := c.must("hosts"); !regexp.MustCompile(`(?m)^` + java + `\. +Up (1 hour|0 seconds) `).MatchString(out) {
				t.Errorf("hosts: %s", out)
			}
			if _, err := c.DeregisterHost(t.Context(), java); err != nil {
				t.Error(err)
			}
			if err := runsOnly(docker, web, ""); err != nil {
				t.Error(err)
			}
		})
	}
}

// skewed writes what others write, by another clock.
type skewed struct {
	*cluster
	conn *zk.Conn
	skew time.Duration
}

func (w *skewed) now() int64 { return time.Now().Add(w.skew).UnixMilli() }

// write makes a node, or replaces its data.
func (w *skewed) write(path, data string, flags int32) {
	w.t.Helper()
	_, err := w.conn.Create(path, []byte(data), flags, zk.WorldACL(zk.PermAll))
	if errors.Is(err, zk.ErrNodeExists) {
		_, err = w.conn.Set(path, []byte(data), -1)
	}
	if err != nil {
		w.t.Fatalf("write %s: %v", path, err)
	}
}

// host is one that an agent of 0.9 keeps up and that runs a job.
func (w *skewed) host(name string, id job.ID) {
	w.t.Helper()
	w.must("register", name, "java-"+name)
	w.deploy(id, name)
	status := "/status/hosts/" + name
	w.write(status+"/up", "", zk.FlagEphemeral)
	w.write(status+"/jobs/"+id.String(), w.status(id, job.Running), 0)
	w.write(status+"/agentinfo", fmt.Sprintf(`{"inputArguments":[],"name":"1@java","specName":"Java","specVendor":"Oracle","specVersion":"1.8",`+
		`"startTime":%d,"uptime":%d,"version":"0.9.283","vmName":"HotSpot","vmVendor":"Oracle","vmVersion":"25"}`, w.now(), time.Minute.Milliseconds()), 0)
}

// status is the document of a task's status.
func (w *skewed) status(id job.ID, state job.State) string {
	w.t.Helper()
	j, err := w.Job(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	s := job.TaskStatus{Job: j, Goal: job.Start, State: state, Throttled: job.NotThrottled}
	return string(document.Canonical(s.JSON()))
}

// history writes events of a job on a host, a second apart.
func (w *skewed) history(id job.ID, name string, states ...job.State) {
	w.t.Helper()
	at := w.now()
	path := "/history/jobs/" + id.String()
	for _, part := range []string{"", "/hosts", "/" + name, "/events"} {
		if path += part; part != "" {
			if exists, _, err := w.conn.Exists(path); err != nil {
				w.t.Fatal(err)
			} else if !exists {
				w.write(path, "", 0)
			}
		}
	}
	for i, state := range states {
		w.write(path+"/"+strconv.FormatInt(at+1000*int64(i), 10), w.status(id, state), 0)
	}
}

var noteCount = regexp.MustCompile(`"count":(\d+)`)

// note puts the host's note off, as if its agent had written it at the other time. A note that an agent remembers to have
// written cannot become older.
func (w *skewed) note(name string) {
	w.t.Helper()
	if w.skew < 0 {
		return
	}
	path := "/status/hosts/" + name + "/wishes"
	data, _, err := w.conn.Get(path)
	found := noteCount.FindSubmatch(data)
	if err != nil || found == nil {
		w.t.Fatalf("note %s: %v", data, err)
	}
	count, _ := strconv.ParseInt(string(found[1]), 10, 64)
	later := noteCount.ReplaceAll(data, fmt.Appendf(nil, `"count":%d`, count+w.skew.Microseconds()))
	if _, err := w.conn.Set(path, later, -1); err != nil {
		w.t.Fatal(err)
	}
}

// keepsOrder wants the history to be in the order of time, all that was written by the other clock once, and what the agent
// did in the order in which it did it.
func (w *skewed) keepsOrder(id job.ID, own, other string) {
	w.t.Helper()
	storetest.Eventually(w.t, inTime, func() error {
		history, err := w.History(w.t.Context(), id)
		if err != nil {
			return err
		}
		if !slices.IsSortedFunc(history.Events, func(a, b job.TaskStatusEvent) int { return cmp.Compare(a.Timestamp, b.Timestamp) }) {
			return fmt.Errorf("out of order: %v", history.Events)
		}
		here := time.Now().Add(w.skew / 2).UnixMilli() // between the two clocks
		states := make(map[string][]job.State)         // by host, those of the other clock with a mark
		for _, e := range history.Events {
			key := *e.Host
			if (e.Timestamp > here) == (w.skew > 0) {
				key += " by the other clock"
			}
			states[key] = append(states[key], e.Status.State)
		}
		skewed := []job.State{job.Creating, job.Starting, job.Running}
		done := states[own]
		if !slices.Equal(states[other+" by the other clock"], skewed) || !slices.Equal(states[own+" by the other clock"], skewed) ||
			len(states) != 3 || len(done) < 4 || done[len(done)-1] != job.Running || !slices.Contains(done, job.Stopped) ||
			slices.Index(done, job.Running) > slices.Index(done, job.Stopped) {
			return fmt.Errorf("history %v", states)
		}
		return nil
	})
}
