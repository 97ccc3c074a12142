package roles_test

import (
	"encoding/json"
	"errors"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi/servertest"
	agentrole "github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/roles/master"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestRecordedLiveAgent sends what the original was asked while an agent ran containers, to a master and an agent of ours
// with real Docker.
func TestRecordedLiveAgent(t *testing.T) {
	lines, err := servertest.Scenario("../testdata/golden/http/live-agent.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	recordedImages(t)
	docker := dockertest.New(t)
	docker.Own("helios.agent=goldenid")
	zookeeper := storetest.Start(t)
	m, err := master.New(master.Options{
		Name: "goldenmaster", Store: store.Options{Servers: zookeeper}, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Version: "0.9.283", Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := agentrole.New(agentrole.Options{
		Name: "goldenhost", ID: "goldenid", StateDir: t.TempDir(), Store: store.Options{Servers: zookeeper},
		Labels: map[string]string{"role": "web", "zone": "b"}, Env: map[string]string{"REGION": "x"}, FirstPort: 23000, EndPort: 23100,
		Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Version: "0.9.283", Logger: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	runRole(t, m.Run)
	stopAgent := runRole(t, a.Run)
	targets := map[string]net.Addr{"": m.Addr(), "admin": m.AdminAddr(), "agent": a.Addr(), "agent-admin": a.AdminAddr()}

	var count tally
	for _, l := range lines {
		if l.Request == nil {
			continue
		}
		if l.Before == "agent stop" {
			stopAgent()
		}
		try := func() error {
			got, err := l.Request.Send(targets[l.Target])
			if err != nil {
				return err
			}
			if diff := fixed(l).Compare(recordable(t, l, got)); diff != "" {
				return errors.New(diff)
			}
			return nil
		}
		const ready = 4 // steps, until which the agent is waited for
		var problem error
		if l.Poll || l.Step <= ready {
			storetest.Eventually(t, inTime, try)
		} else {
			problem = try()
		}
		switch {
		case problem != nil:
			count.failed++
			t.Errorf("step %d %v: %s %.120s: %v", l.Step, l.Quirks, l.Request.Method, l.Request.Path, problem)
		case l.Has("agent-Q14"), l.Has("agent-Q17"):
			count.byQuirk++
		default:
			count.asRecorded++
		}
	}
	t.Logf("live-agent: %d as recorded, %d by quirk, %d failed", count.asRecorded, count.byQuirk, count.failed)
}

// fixed is the exchange as the verdicts on quirks want it.
func fixed(l servertest.Line) servertest.Line {
	if l.Has("agent-Q14") {
		l.Response.Body = strings.ReplaceAll(l.Response.Body, `"IMAGE_MISSING"`, `"IMAGE_PULL_FAILED"`)
	}
	return l
}

// recordable is an answer without what the original could not have said, or did not happen to.
func recordable(t *testing.T, l servertest.Line, got servertest.Response) servertest.Response {
	const early = 15 // the step that reads a history of which the original had written the first event so far
	switch {
	case l.Has("agent-Q17"):
		got.Body = failure.ReplaceAllString(got.Body, `"state":"FAILED"$1"containerError":""`)
	case l.Step == early:
		var history struct {
			Events []json.RawMessage `json:"events"`
			Status string            `json:"status"`
		}
		if err := json.Unmarshal([]byte(got.Body), &history); err != nil || len(history.Events) == 0 {
			return got
		}
		history.Events = history.Events[:1]
		first, err := json.Marshal(history)
		if err != nil {
			t.Fatal(err)
		}
		got.Body = string(first)
	}
	return got
}

// failure is a failed status, with the reason that ours gives.
var failure = regexp.MustCompile(`"state":"FAILED"([^{}]*(?:\{[^{}]*\}[^{}]*)*)"containerError":"(?:[^"\\]|\\.)+"`)
