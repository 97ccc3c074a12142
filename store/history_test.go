package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// remember appends one event.
func remember(ctx context.Context, s *Store, name string, at int64, status job.TaskStatus) error {
	_, err := s.AppendHistory(ctx, name, status.Job.ID, []job.TaskStatusEvent{{Timestamp: at, Status: &status}})
	return err
}

func TestNewestThirtyEventsAreKept(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	const first = 1_700_000_000_000
	for i := range int64(50) {
		must(t, remember(t.Context(), s, "h1", first+i, job.TaskStatus{Job: j, State: job.Running}))
	}
	events, err := s.History(t.Context(), j.ID)
	if err != nil || len(events) != 30 || events[0].Timestamp != first+20 || events[29].Timestamp != first+49 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestEventsOfOneMillisecondAreAllKept(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	for _, state := range []job.State{job.Creating, job.Starting, job.Starting, job.Running} { // one of them twice
		must(t, remember(t.Context(), s, "h1", 1000, job.TaskStatus{Job: j, State: state}))
	}
	events, err := s.History(t.Context(), j.ID)
	var got []string
	for _, e := range events {
		got = append(got, fmt.Sprint(e.Timestamp, e.Status.State))
	}
	if want := "[1000CREATING 1001STARTING 1002RUNNING]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

// The clock of h2 is an hour behind that of h1 (zookeeper Q27): the events of each host are in their order all the same.
func TestHistoryOfHostsWhoseClocksDifferIsInOrderForEachHost(t *testing.T) {
	t.Parallel()
	onEachServer(t, func(t *testing.T, address string) {
		s := open(t, Options{Servers: address})
		j := sample("web")
		must(t, s.CreateJob(t.Context(), j))
		now := time.Now().UnixMilli()
		states := []job.State{job.Starting, job.Running, job.Exited}
		for i, state := range states {
			for name, skew := range map[string]time.Duration{"h1": 0, "h2": -time.Hour} {
				must(t, remember(t.Context(), s, name, now+int64(i)+skew.Milliseconds(), job.TaskStatus{Job: j, State: state}))
			}
		}
		events, err := s.History(t.Context(), j.ID)
		must(t, err)
		seen := make(map[string][]job.State)
		for _, e := range events {
			seen[*e.Host] = append(seen[*e.Host], e.Status.State)
		}
		if !slices.Equal(seen["h1"], states) || !slices.Equal(seen["h2"], states) || *events[0].Host != "h2" {
			t.Errorf("got %v", seen)
		}
	})
}

func TestHistoryOfAllHostsIsInOrderOfTime(t *testing.T) {
	var log buffer
	s := open(t, Options{Servers: storetest.Start(t), Logger: zerolog.New(&log).Level(zerolog.ErrorLevel)})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	if events, err := s.History(t.Context(), j.ID); err != nil || len(events) != 0 {
		t.Errorf("got %v, %v", events, err)
	}
	for i, name := range []string{"h2", "h1", "h3", "h1"} {
		must(t, remember(t.Context(), s, name, int64(10-i), job.TaskStatus{Job: j, State: job.Running}))
	}
	must(t, s.session.create(t.Context(), historyEvent(j.ID, "h1", 5), []byte("garbage"), 0))
	must(t, s.session.create(t.Context(), childOf(historyEvents(j.ID, "h1"), "noon"), nil, 0))
	for _, c := range []struct {
		hosts []string
		want  string
	}{
		{nil, "7h1 8h3 9h1 10h2 "},
		{[]string{"h1"}, "7h1 9h1 "},
		{[]string{"h4", "a/b"}, ""},
	} {
		events, err := s.History(t.Context(), j.ID, c.hosts...)
		var got strings.Builder
		for _, e := range events {
			fmt.Fprint(&got, e.Timestamp, *e.Host, " ")
		}
		if err != nil || got.String() != c.want {
			t.Errorf("%v: got %q, %v, want %q", c.hosts, got.String(), err, c.want)
		}
	}
	if !strings.Contains(log.String(), historyEvent(j.ID, "h1", 5)) {
		t.Errorf("the unreadable event is not in the log: %s", log.String())
	}
}

// TestEventsWrittenTogetherAreThoseWrittenOneByOne takes two hosts: one writes its events one by one, the other many at a
// time.
func TestEventsWrittenTogetherAreThoseWrittenOneByOne(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	version := 0
	rapid.Check(t, func(r *rapid.T) {
		version++
		j := sample(fmt.Sprint("job", version))
		must(r, s.CreateJob(t.Context(), j))
		var events []job.TaskStatusEvent
		for range rapid.SampledFrom([]int{1, 3, 10, 45}).Draw(r, "events") {
			events = append(events, job.TaskStatusEvent{
				Timestamp: rapid.Int64Range(1000, 1040).Draw(r, "at"),
				Status:    &job.TaskStatus{Job: j, State: rapid.SampledFrom([]job.State{job.Starting, job.Running, job.Exited}).Draw(r, "state")},
			})
		}
		for _, e := range events {
			must(r, remember(t.Context(), s, "single", e.Timestamp, *e.Status))
		}
		for len(events) > 0 {
			batch := events[:rapid.IntRange(1, len(events)).Draw(r, "batch")]
			n, err := s.AppendHistory(t.Context(), "many", j.ID, batch)
			must(r, err)
			if n != len(batch) {
				r.Fatalf("%d of %d", n, len(batch))
			}
			events = events[n:]
		}
		var got [2][]string
		for i, name := range []string{"single", "many"} {
			events, err := s.History(t.Context(), j.ID, name)
			must(r, err)
			for _, e := range events {
				got[i] = append(got[i], fmt.Sprint(e.Timestamp, e.Status.State))
			}
		}
		if !slices.Equal(got[0], got[1]) {
			r.Errorf("one by one:\n%v\ntogether:\n%v", got[0], got[1])
		}
	})
}

func TestEventsThatOneTransactionCannotHoldAreWrittenInSeveral(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	event := func(at int64, size int) job.TaskStatusEvent {
		return job.TaskStatusEvent{Timestamp: at, Status: &job.TaskStatus{Job: j, State: job.Failed, ContainerError: strings.Repeat("x", size)}}
	}
	events := []job.TaskStatusEvent{event(1, 400_000), event(2, 400_000), event(3, 400_000), event(4, 2_000_000), event(5, 1)}
	if n, err := s.AppendHistory(t.Context(), "h1", j.ID, events); n != 3 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := s.AppendHistory(t.Context(), "h1", j.ID, events[4:]); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if events, err := s.History(t.Context(), j.ID); err != nil || len(events) != 4 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestEventWhoseAnswerIsLostIsWrittenOnce(t *testing.T) {
	t.Parallel()
	l := new(links)
	s := open(t, Options{Servers: storetest.Start(t), Dial: l.dial})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	must(t, remember(t.Context(), s, "h1", 1, job.TaskStatus{Job: j, State: job.Creating}))
	l.loseAnswer(opMulti, nil)
	must(t, remember(t.Context(), s, "h1", 2, job.TaskStatus{Job: j, State: job.Running}))
	if events, err := s.History(t.Context(), j.ID); err != nil || len(events) != 2 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

func TestEventOfANamelessHostIsRefused(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	if err := remember(t.Context(), s, "a/b", 1, job.TaskStatus{Job: sample("web")}); !errors.Is(err, ErrName) {
		t.Errorf("got %v", err)
	}
}

func TestHistoryGoesWithItsJob(t *testing.T) {
	s := open(t, Options{Servers: storetest.Start(t)})
	j := sample("web")
	must(t, s.CreateJob(t.Context(), j))
	for i := range int64(3) {
		must(t, remember(t.Context(), s, "h1", i, job.TaskStatus{Job: j, State: job.Running}))
	}
	must(t, s.RemoveJob(t.Context(), j.ID, ""))
	if exists, err := s.session.exists(t.Context(), historyJob(j.ID)); exists || err != nil {
		t.Errorf("history is left: %v, %v", exists, err)
	}
}
