package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// truth is what a writer knows to be in the store, by host.
type truth struct {
	goals map[string]job.Goal
	state map[string]string
}

func TestReadingThatBeginsAfterAWriteShowsIt(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		l := new(tap)
		writer, reader := open(t, Options{Servers: address}), open(t, Options{Servers: address, Dial: l.dial})
		j := sample("web")
		must(t, writer.CreateJob(t.Context(), j))
		hosts := []string{"h1", "h2", "h3"}
		for _, host := range hosts {
			must(t, writer.RegisterHost(t.Context(), host, "id"))
		}
		now := truth{goals: make(map[string]job.Goal), state: make(map[string]string)}
		background(t, func(ctx context.Context) error { // others fill what is remembered, at any moment
			for ctx.Err() == nil {
				_, _ = reader.JobStatus(ctx, j.ID)
			}
			return context.Cause(ctx)
		})
		for step := range 300 {
			host := hosts[random.IntN(len(hosts))]
			switch goal, deployed := now.goals[host]; {
			case !deployed:
				must(t, writer.Deploy(t.Context(), host, start(j), ""))
				now.goals[host] = job.Start
			case random.IntN(4) == 0:
				_, err := writer.Undeploy(t.Context(), host, j.ID, "")
				must(t, err)
				delete(now.goals, host)
			case random.IntN(2) == 0:
				other := job.Start
				if goal == job.Start {
					other = job.Stop
				}
				must(t, writer.SetGoal(t.Context(), host, j.ID, other, ""))
				now.goals[host] = other
			default:
				state := []string{"RUNNING", "EXITED", "STOPPED"}[random.IntN(3)]
				must(t, writer.PutTaskStatus(t.Context(), host, j.ID.String(), fmt.Appendf(nil, `{"job":{"id":%q},"state":%q}`, j.ID, state)))
				now.state[host] = state
			}
			if random.IntN(40) == 0 {
				l.cut()
			}
			status, err := reader.JobStatus(t.Context(), j.ID)
			must(t, err)
			goals, states := make(map[string]job.Goal), make(map[string]string)
			for host, d := range status.Deployments {
				goals[host] = d.Goal
			}
			for host, reported := range status.TaskStatuses {
				states[host] = string(reported.State)
			}
			want := maps.Clone(now.state)
			maps.DeleteFunc(want, func(host, _ string) bool { return now.goals[host] == "" }) // of hosts of the job alone
			if !maps.Equal(goals, now.goals) || !maps.Equal(states, want) {
				t.Fatalf("seed %d step %d: job has %v %v, want %v %v", seed, step, goals, states, now.goals, want)
			}
			of, err := reader.HostStatus(t.Context(), host)
			must(t, err)
			if d := of.Jobs[j.ID]; (d == nil) != (now.goals[host] == "") || d != nil && d.Goal != now.goals[host] {
				t.Fatalf("seed %d step %d: host %s has %+v, want %s", seed, step, host, d, now.goals[host])
			}
			if reported := of.Statuses[j.ID]; (reported == nil) != (now.state[host] == "") || reported != nil && string(reported.State) != now.state[host] {
				t.Fatalf("seed %d step %d: host %s reports %+v, want %s", seed, step, host, reported, now.state[host])
			}
		}
	})
}

func TestWhatIsRememberedIsNotAskedAgainAndItsWatchesDoNotPileUp(t *testing.T) {
	t.Parallel()
	address := storetest.Start(t)
	l := new(tap)
	s := open(t, Options{Servers: address, Dial: l.dial})
	j := sample("web")
	deployed(t, s, j)
	read := func() {
		t.Helper()
		for range 3 {
			_, err := s.JobStatus(t.Context(), j.ID)
			must(t, err)
			_, err = s.HostStatus(t.Context(), "h1")
			must(t, err)
		}
	}
	read()
	want := watchesAt(t, address)
	if held := heldWatches(s); want == 0 || want > 10 || held != want {
		t.Fatalf("%d watches at the server, %d in the library", want, held)
	}
	asked := len(slices.Concat(l.connections()...))
	read()
	if more := len(slices.Concat(l.connections()...)) - asked; more != 3*3 { // the lists of the job and of the host
		t.Errorf("%d requests for three readings of both", more)
	}
	connections := s.Connections(t.Context())
	<-connections
	for range 8 {
		l.cut()
		<-connections
		read()
	}
	storetest.Eventually(t, time.Minute, func() error {
		if at, held := watchesAt(t, address), heldWatches(s); at != want || held != want {
			return fmt.Errorf("%d watches at the server and %d in the library after eight connections, %d after one", at, held, want)
		}
		return nil
	})
}

// watchesAt is the number of watches that a server holds.
func watchesAt(t *testing.T, address string) int {
	t.Helper()
	answer, err := storetest.FourLetterWord(address, "mntr")
	must(t, err)
	_, after, _ := strings.Cut(answer, "zk_watch_count\t")
	count, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(after, "\n", 2)[0]))
	must(t, err)
	return count
}

// heldWatches is the number of watches that the library holds, which it does not tell.
func heldWatches(s *Store) int {
	conn := reflect.ValueOf(s.session.conn).Elem()
	lock := (*sync.Mutex)(unsafe.Pointer(conn.FieldByName("watchersLock").UnsafeAddr()))
	lock.Lock()
	defer lock.Unlock()
	held := 0
	for all := conn.FieldByName("watchers").MapRange(); all.Next(); {
		held += all.Value().Len()
	}
	return held
}

func TestNothingIsRememberedOfNamesThatNobodyHas(t *testing.T) {
	t.Parallel()
	address := storetest.Start(t)
	s := open(t, Options{Servers: address})
	deployed(t, s, sample("web"))
	for i := range 50 {
		_, err := s.HostStatus(t.Context(), fmt.Sprint("nobody-", i))
		if err == nil {
			t.Error("no error")
		}
		if _, err = s.JobStatus(t.Context(), sample(fmt.Sprint("nothing-", i)).ID); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
	if n, watches := len(s.session.known.nodes), watchesAt(t, address); n != 0 || watches != 0 {
		t.Errorf("%d nodes are remembered, %d watches held", n, watches)
	}
}

func TestMemoryOfWhatIsRememberedIsBounded(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	k := new(known)
	var watches []chan zk.Event
	for i := range 100_000 {
		path := fmt.Sprintf("/status/hosts/some.host.example.net/jobs/job-%d:1:0123456789012345678901234567890123456789", i)
		if _, _, watch, link := k.look(path); watch {
			changed := make(chan zk.Event, 1)
			watches = append(watches, changed)
			k.add(node{path: path, data: make([]byte, i%300), stat: new(zk.Stat)}, changed, link)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int(after.HeapAlloc - before.HeapAlloc); k.bytes > maxKnown || len(k.nodes) < 10_000 || used > 2*maxKnown {
		t.Errorf("%d nodes, counted as %d bytes, take %d", len(k.nodes), k.bytes, used)
	}
	full := len(k.nodes)
	k.add(node{path: "/one", data: make([]byte, 1<<20)}, make(chan zk.Event), 0)
	if len(k.nodes) != full {
		t.Error("there was room for one more")
	}
	for _, changed := range watches { // room is made of those that changed
		close(changed)
	}
	k.swept = time.Time{}
	if _, _, watch, _ := k.look("/one"); !watch || len(k.nodes) != 0 {
		t.Errorf("%d nodes are still remembered", len(k.nodes))
	}
}

func TestWhatWasReadOnAnEarlierConnectionIsNotTrusted(t *testing.T) {
	k := new(known)
	changed := make(chan zk.Event, 1)
	_, _, _, link := k.look("/a")
	k.add(node{path: "/a"}, changed, link)
	if _, ok, _, _ := k.look("/a"); !ok {
		t.Error("not remembered")
	}
	k.disconnected()
	if _, ok, _, _ := k.look("/a"); ok {
		t.Error("remembered over the end of its connection")
	}
	k.add(node{path: "/a"}, changed, link) // an answer of then that comes late
	if _, ok, _, _ := k.look("/a"); ok {
		t.Error("a late answer is trusted")
	}
	_, _, _, link = k.look("/a")
	k.add(node{path: "/a"}, changed, link)
	close(changed)
	if _, ok, _, _ := k.look("/a"); ok {
		t.Error("remembered although it changed")
	}
}
