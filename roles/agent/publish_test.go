package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

func TestAStatusTooLargeForTheStoreKeepsNoOtherBack(t *testing.T) {
	st, err := store.Open(store.Options{Servers: storetest.Start(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	if err := st.RegisterHost(t.Context(), "h", "id"); err != nil {
		t.Fatal(err)
	}
	s, err := openStatuses(open(t, t.TempDir()), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "big", "c"} {
		status := job.TaskStatus{Job: job.Job{ID: testID(name)}, State: job.Running}
		if name == "big" {
			status.Env = map[string]string{"X": strings.Repeat("x", 2_000_000)}
		}
		s.put(status)
	}
	s.writing.Wait()
	p := &publisher{store: st, host: "h", statuses: s, log: zerolog.Nop()}
	if err := p.push(t.Context(), map[string][]byte{}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
	there, err := st.TaskStatuses(t.Context(), "h")
	if err != nil || len(there) != 2 || there[testID("a").String()] == nil || there[testID("c").String()] == nil {
		t.Errorf("%v; %d statuses are there, want those of a and c", err, len(there))
	}
}

func TestAnEventTooLargeForTheStoreIsDropped(t *testing.T) {
	h, err := openHistory(open(t, t.TempDir()), "h", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_000_000)
	add := func(name string, state job.State) {
		h.add(job.TaskStatus{Job: job.Job{ID: testID(name)}, State: state}, at)
		at = at.Add(time.Second)
	}
	add("big", job.Starting)
	add("big", job.Running)
	add("a", job.Running)
	add("big", job.Exited)
	var written []string
	err = h.drain(t.Context(), func(_ context.Context, id job.ID, events []job.TaskStatusEvent) (int, error) {
		for i, e := range events {
			if id.Name == "big" && e.Status.State == job.Running {
				return i, store.ErrTooLarge
			}
			written = append(written, id.Name, string(e.Status.State))
		}
		return len(events), nil
	})
	h.writing.Wait()
	if got := strings.Join(written, " "); err != nil || got != "big STARTING a RUNNING big EXITED" {
		t.Errorf("%v, written %v", err, got)
	}
	if len(h.queues) > 0 {
		t.Errorf("%v is left", h.queues)
	}
}

func TestFactsThatCannotBePublishedAreTriedMoreAndMoreRarely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, err := store.Open(store.Options{Servers: "a:1", Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }})
		if err != nil {
			t.Fatal(err)
		}
		st.Close() // each request fails at once
		asked := 0
		p := publisher{
			store: st, host: "h1", log: zerolog.Nop(),
			hostInfo:  func(context.Context) host.Info { asked++; return host.Info{} },
			agentInfo: func() host.AgentInfo { return host.AgentInfo{} },
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := p.publishFacts(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if asked < 10 || asked > 20 {
			t.Errorf("the facts were read %d times in five minutes", asked)
		}
	})
}
