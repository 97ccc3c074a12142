package server_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestAgentAnswers asks for everything that an agent says, without any agent.
func TestAgentAnswers(t *testing.T) {
	t.Parallel()
	id, err := job.ReadID("foo:1:217aba3a8575297f71945c25980577ddba9de2fd")
	if err != nil {
		t.Fatal(err)
	}
	j := job.Job{ID: id, Image: new("busybox")}
	var statusErr error
	health := map[string]error{}
	var log logs
	srv, err := server.NewAgent(server.AgentOptions{
		Tasks: func() map[job.ID]job.Task { return map[job.ID]job.Task{id: {Job: j, Goal: job.Start}} },
		Statuses: func() (map[job.ID]job.TaskStatus, error) {
			return map[job.ID]job.TaskStatus{id: {Job: j, Goal: job.Start, State: job.Running, Throttled: job.NotThrottled}}, statusErr
		},
		Health: func(context.Context) map[string]error { return health },
		Logger: zerolog.New(&log),
	})
	if err != nil {
		t.Fatal(err)
	}
	if srv.Addr() != nil || srv.AdminAddr() != nil {
		t.Errorf("it listens on %v and %v, and nobody said where", srv.Addr(), srv.AdminAddr())
	}
	ask := func(h http.Handler, method, path string) (int, string) {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return w.Code, w.Body.String()
	}
	const text = `{"id":"foo:1:217aba3a8575297f71945c25980577ddba9de2fd","image":"busybox","hostname":null,"created":null,"command":[],"env":{},"resources":null,"ports":{},"registration":{},"gracePeriod":null,"volumes":{},"expires":null,"registrationDomain":"","creatingUser":null,"token":"","healthCheck":null,"securityOpt":[],"networkMode":null,"metadata":{},"addCapabilities":[],"dropCapabilities":[],"labels":{},"secondsToWaitBeforeKill":null,"ramdisks":{},"rolloutOptions":null,"runtime":null}`
	for _, c := range []struct {
		name, path string
		handler    http.Handler
		before     func()
		status     int
		want       string
	}{
		{"tasks", "/helios/tasks", srv.Handler(), nil, 200, `{"` + id.String() + `":{"job":` + text + `,"goal":"START","deployerUser":null,"deployerMaster":null,"deploymentGroupName":null}}`},
		{"statuses", "/helios/taskstatus/", srv.Handler(), nil, 200, `{"` + id.String() + `":{"job":` + text + `,"goal":"START","state":"RUNNING","containerId":null,"throttled":"NO","ports":{},"env":{},"containerError":""}}`},
		{"the endpoints of a master", "/jobs", srv.Handler(), nil, 404, ""},
		{"nothing at the top", "/", srv.Handler(), nil, 404, ""},
		{"health of nothing", "/healthcheck", srv.AdminHandler(), nil, 200, `{"deadlocks":{"healthy":true}}`},
		{"all well", "/healthcheck", srv.AdminHandler(), func() { health = map[string]error{"docker": nil, "zookeeper": nil} }, 200, `{"deadlocks":{"healthy":true},"docker":{"healthy":true},"zookeeper":{"healthy":true}}`},
		{"an error", "/healthcheck", srv.AdminHandler(), func() { health["dockerd"] = errors.New("no answer") }, 500, `{"deadlocks":{"healthy":true},"docker":{"healthy":true},"dockerd":{"healthy":false,"message":"no answer","error":{"message":"no answer","stack":[]}},"zookeeper":{"healthy":true}}`},
		{"a verdict", "/healthcheck", srv.AdminHandler(), func() { health = map[string]error{"docker": server.Unwell("too slow")} }, 500, `{"deadlocks":{"healthy":true},"docker":{"healthy":false,"message":"too slow"}}`},
		{"ping", "/ping", srv.AdminHandler(), nil, 200, "pong\n"},
	} {
		if c.before != nil {
			c.before()
		}
		if status, body := ask(c.handler, http.MethodGet, c.path); status != c.status || body != c.want {
			t.Errorf("%s: %d %s\nwant %d %s", c.name, status, body, c.status, c.want)
		}
	}
	statusErr = errors.New("unreadable")
	if status, body := ask(srv.Handler(), http.MethodGet, "/helios/taskstatus"); status != 500 || log.String() == "" {
		t.Errorf("an unreadable status: %d %s, logged %s", status, body, log.String())
	}
}

// TestTakenPortLeavesNothingOpen wants the first port back when the second one cannot be had.
func TestTakenPortLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	addr := storetest.FreeAddr(t)
	taken := httptest.NewServer(nil)
	defer taken.Close()
	for range 2 { // the second time, addr must be free still
		_, err := server.NewAgent(server.AgentOptions{Addr: addr, AdminAddr: taken.Listener.Addr().String()})
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("error %v, want one that says the port is in use", err)
		}
	}
	srv, err := server.NewAgent(server.AgentOptions{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Run(ended); err != nil {
		t.Error(err)
	}
}
