package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/httpapi/client"
	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/httpapi/servertest"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

const unknown = "foo:1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// logs collects what a server logs.
type logs struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newClient(t *testing.T, srv *server.Server) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Masters: []string{"http://" + srv.Addr().String()}, User: "alice", Version: "0.9.283"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Client, server and store together: every operation, and every refusal that a client can bring about.
func TestOutcomesReachTheClientAsTheSentinelsOfTheStore(t *testing.T) {
	cluster := newCluster(t, server.Options{})
	c, ctx := newClient(t, cluster.Server), t.Context()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	j := job.Job{
		ID:    job.ID{Name: "web", Version: "1"},
		Image: new("busybox"),
		Token: "sekret",
		Env:   map[string]string{"ключ": "a<b>&\"c\""},
		Ports: map[string]job.PortMapping{"http": {InternalPort: 80, ExternalPort: new(int32(8080)), Protocol: "tcp"}},
	}
	created, err := c.CreateJob(ctx, j)
	must("create", err)
	web, err := job.ParseID(*created.ID)
	must("created id", err)
	other := j
	other.ID = job.ID{Name: "other", Version: "1"}
	createdOther, err := c.CreateJob(ctx, other)
	must("create other", err)
	otherID, _ := job.ParseID(*createdOther.ID)
	nobody, _ := job.ParseID(unknown)

	code, err := c.RegisterHost(ctx, "h 1+ü", "id1")
	must("register", err)
	if code != http.StatusOK {
		t.Errorf("register: %d", code)
	}
	read, err := c.Job(ctx, web)
	must("read", err)
	j.ID, j.Created, j.CreatingUser = web, read.Created, new("alice")
	if diff := cmp.Diff(j.Env, read.Env); diff != "" || read.Token != "sekret" || *read.CreatingUser != "alice" {
		t.Errorf("read back %+v", read)
	}
	_, err = c.Deploy(ctx, "h 1+ü", web, job.Start, "sekret")
	must("deploy", err)
	_, err = c.SetGoal(ctx, "h 1+ü", web, job.Stop, "sekret")
	must("set goal", err)
	d, err := c.Deployment(ctx, "h 1+ü", web)
	must("deployment", err)
	if d.Goal != job.Stop || *d.DeployerUser != "alice" {
		t.Errorf("deployment %+v", d)
	}
	statuses, err := c.JobStatuses(ctx, []job.ID{web, nobody})
	must("statuses", err)
	if len(statuses) != 1 || statuses[web].Deployments["h 1+ü"] == nil {
		t.Errorf("statuses %+v", statuses)
	}
	hosts, err := c.HostStatuses(ctx, []string{"h 1+ü", "zz"}, host.Down)
	must("host statuses", err)
	if len(hosts) != 1 || hosts["h 1+ü"].Jobs[web] == nil {
		t.Errorf("host statuses %+v", hosts)
	}
	listed, err := c.Jobs(ctx, "web", `^h \d`)
	must("jobs on hosts", err)
	if len(listed) != 1 {
		t.Errorf("jobs %v", listed)
	}
	history, err := c.History(ctx, web)
	must("history", err)
	if history.Status != httpapi.OK {
		t.Errorf("history %+v", history)
	}

	for _, refused := range []struct {
		what string
		call func() error
		want error
	}{
		{"a job again", func() error { _, err := c.CreateJob(ctx, j); return err }, job.ErrExists},
		{"a job without image", func() error {
			_, err := c.CreateJob(ctx, job.Job{ID: job.ID{Name: "x", Version: "1"}})
			return err
		}, httpapi.ErrInvalidJob},
		{"an unknown job", func() error { _, err := c.Job(ctx, nobody); return err }, job.ErrNotFound},
		{"the status of one", func() error { _, err := c.JobStatus(ctx, nobody); return err }, job.ErrNotFound},
		{"the history of one", func() error { _, err := c.History(ctx, nobody); return err }, job.ErrNotFound},
		{"removal of one", func() error { _, err := c.RemoveJob(ctx, nobody, ""); return err }, job.ErrNotFound},
		{"removal with a wrong token", func() error { _, err := c.RemoveJob(ctx, web, "x"); return err }, job.ErrForbidden},
		{"removal while deployed", func() error { _, err := c.RemoveJob(ctx, web, "sekret"); return err }, job.ErrInUse},
		{"deployment of an unknown job", func() error { _, err := c.Deploy(ctx, "h 1+ü", nobody, job.Start, ""); return err }, job.ErrNotFound},
		{"deployment of a partial id", func() error { _, err := c.Deploy(ctx, "h 1+ü", web.Short(), job.Start, ""); return err }, httpapi.ErrInvalidID},
		{"deployment with a wrong token", func() error { _, err := c.Deploy(ctx, "h 1+ü", web, job.Start, ""); return err }, job.ErrForbidden},
		{"deployment again", func() error { _, err := c.Deploy(ctx, "h 1+ü", web, job.Start, "sekret"); return err }, job.ErrAlreadyDeployed},
		{"deployment on no host", func() error { _, err := c.Deploy(ctx, "zz", web, job.Start, "sekret"); return err }, host.ErrNotFound},
		{"deployment on no possible host", func() error { _, err := c.Deploy(ctx, "a/b", web, job.Start, "sekret"); return err }, host.ErrNotFound},
		{"deployment on a taken port", func() error { _, err := c.Deploy(ctx, "h 1+ü", otherID, job.Start, "sekret"); return err }, job.ErrPortConflict},
		{"a goal on no host", func() error { _, err := c.SetGoal(ctx, "zz", web, job.Start, "sekret"); return err }, host.ErrNotFound},
		{"a goal of nothing", func() error { _, err := c.SetGoal(ctx, "h 1+ü", otherID, job.Start, "sekret"); return err }, job.ErrNotDeployed},
		{"a goal with a wrong token", func() error { _, err := c.SetGoal(ctx, "h 1+ü", web, job.Start, "x"); return err }, job.ErrForbidden},
		{"undeployment from no host", func() error { _, err := c.Undeploy(ctx, "zz", web, "sekret"); return err }, host.ErrNotFound},
		{"undeployment of nothing", func() error { _, err := c.Undeploy(ctx, "h 1+ü", otherID, "sekret"); return err }, job.ErrNotDeployed},
		{"undeployment with a wrong token", func() error { _, err := c.Undeploy(ctx, "h 1+ü", web, "x"); return err }, job.ErrForbidden},
		{"undeployment of a partial id", func() error { _, err := c.Undeploy(ctx, "h 1+ü", web.Short(), ""); return err }, httpapi.ErrInvalidID},
		{"the deployment of nothing", func() error { _, err := c.Deployment(ctx, "h 1+ü", otherID); return err }, job.ErrNotDeployed},
		{"the status of no host", func() error { _, err := c.HostStatus(ctx, "zz"); return err }, host.ErrNotFound},
		{"registration with another id", func() error { _, err := c.RegisterHost(ctx, "h 1+ü", "id2"); return err }, host.ErrConflict},
		{"registration without id", func() error { _, err := c.RegisterHost(ctx, "zz", ""); return err }, httpapi.ErrInvalidID},
		{"deregistration of no host", func() error { _, err := c.DeregisterHost(ctx, "zz"); return err }, host.ErrNotFound},
	} {
		if err := refused.call(); !errors.Is(err, refused.want) {
			t.Errorf("%s: %v, want %v", refused.what, err, refused.want)
		}
	}

	_, err = c.Undeploy(ctx, "h 1+ü", web, "sekret")
	must("undeploy", err)
	_, err = c.RemoveJob(ctx, web, "sekret")
	must("remove", err)
	_, err = c.DeregisterHost(ctx, "h 1+ü")
	must("deregister", err)
	if masters, err := c.Masters(ctx); err != nil || len(masters) != 1 {
		t.Errorf("masters %v, %v", masters, err)
	}
	if v := c.Version(ctx); v.MasterVersion != "0.9.283" {
		t.Errorf("version %+v", v)
	}
}

func TestBodiesAreBounded(t *testing.T) {
	srv := start(t, storetest.FreeAddr(t), server.Options{})
	post := func(body io.Reader, header ...string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/jobs/statuses", body)
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		srv.Handler().ServeHTTP(w, r)
		return w.Result()
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.CopyN(z, endless{}, 64<<20)
	_ = z.Close()
	for _, c := range []struct {
		name   string
		resp   *http.Response
		status int
	}{
		{"a body of more than 16 MiB", post(io.LimitReader(endless{}, 64<<20)), http.StatusRequestEntityTooLarge},
		{"a small body that unpacks to more", post(&bomb, "Content-Encoding", "gzip"), http.StatusRequestEntityTooLarge},
		{"a body that is cut off", post(strings.NewReader("\x1f\x8b\x08"), "Content-Encoding", "gzip"), http.StatusBadRequest},
		{"a packing that is not understood", post(strings.NewReader("[]"), "Content-Encoding", "deflate"), http.StatusUnsupportedMediaType},
		{"deep nesting", post(strings.NewReader(strings.Repeat("[", 1<<20))), http.StatusBadRequest},
	} {
		if c.resp.StatusCode != c.status {
			t.Errorf("%s: %d", c.name, c.resp.StatusCode)
		}
	}
}

// endless is white space without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

func TestABodyMustArriveInTimeAndAnAnswerLeaveInTime(t *testing.T) {
	srv := start(t, storetest.FreeAddr(t), server.Options{StoreTimeout: time.Millisecond})
	for _, path := range []string{"/jobs/statuses", "/nope", "/hosts/h/status"} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, iotest.ErrReader(os.ErrDeadlineExceeded))
		r.Header.Set("Content-Type", "application/json")
		srv.Handler().ServeHTTP(w, r)
		if w.read.IsZero() || time.Until(w.read) > 30*time.Second {
			t.Errorf("%s: a body may arrive until %s", path, w.read)
		}
		if w.write.IsZero() || time.Until(w.write) > 2*time.Minute {
			t.Errorf("%s: an answer may leave until %s", path, w.write)
		}
		if w.Code < 400 || w.Code > 499 {
			t.Errorf("%s: a body that does not come is answered with %d", path, w.Code)
		}
	}
}

// deadlines notes the last deadlines of a connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error  { d.read = at; return nil }
func (d *deadlines) SetWriteDeadline(at time.Time) error { d.write = at; return nil }

// Whatever is sent, the answer is one of HTTP's and no panic is behind it.
func FuzzAnyRequestIsAnswered(f *testing.F) {
	for _, seed := range []string{
		"GET /jobs?hostPattern=[&q=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /hosts/a%2Fb/jobs/" + unknown + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"job\":1,\"goal\":[]}",
		"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: a/b+json;;\r\nAccept: ,;q\r\nContent-Length: 2\r\n\r\n{}",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nHelios-Version: -0.+9.1-SNAPSHOT\r\n\r\n",
		"DELETE http://x/jobs/;a/;/#?token=a;b HTTP/1.1\r\nHost: x\r\nOrigin: null\r\nAccept-Encoding: ;,gzip;q=0.0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	var log logs
	st, err := store.Open(store.Options{Servers: "127.0.0.1:1", FailFast: time.Millisecond})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(st.Close)
	srv, err := server.New(server.Options{
		Store: st, Version: "0.10.0", StoreTimeout: time.Millisecond, CORSOrigins: []string{"*"}, Logger: zerolog.New(&log),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			t.Skip()
		}
		for _, h := range []http.Handler{srv.Handler(), srv.AdminHandler()} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r.WithContext(t.Context()))
			if w.Code < 200 || w.Code > 599 || strings.Contains(log.String(), "panic") {
				t.Errorf("%d %s, logged %s", w.Code, w.Body, log.String())
			}
		}
		log.text.Reset()
	})
}

func TestAPanicIsAnErrorWhoseStackIsOnlyInTheLog(t *testing.T) {
	var log logs
	srv := start(t, storetest.FreeAddr(t), server.Options{Logger: zerolog.New(&log)})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/jobs", panicking{})
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	srv.Handler().ServeHTTP(w, r)
	body := w.Body.String()
	if w.Code != http.StatusInternalServerError || !strings.Contains(body, "It has been logged (ID ") || strings.Contains(body, "boom") || strings.Contains(body, "goroutine") {
		t.Errorf("%d %s", w.Code, body)
	}
	if text := log.String(); !strings.Contains(text, "boom") || !strings.Contains(text, "server_test.go") {
		t.Errorf("logged %s", text)
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("boom") }

func TestTokensAreNotInTheLog(t *testing.T) {
	var log logs
	srv := start(t, storetest.FreeAddr(t), server.Options{Logger: zerolog.New(&log), StoreTimeout: 10 * time.Millisecond})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/jobs/"+unknown+"?token=sekret", nil)
	w := httptest.NewRecorder()
	srv.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if text := log.String(); strings.Contains(text, "sekret") || !strings.Contains(text, unknown) {
		t.Errorf("logged %s", text)
	}
}

func TestRequestsFailWithinSecondsWhileZooKeeperIsAway(t *testing.T) {
	link := storetest.StartProxy(t, storetest.Start(t))
	srv := start(t, link.Addr(), server.Options{StoreTimeout: 2 * time.Second})
	masters := &servertest.Request{Method: "GET", Path: "/masters"}
	health := &servertest.Request{Method: "GET", Path: "/healthcheck"}
	answers := func(want, healthy int) func() error {
		return func() error {
			got, state := send(t, masters, srv.Addr()), send(t, health, srv.AdminAddr())
			if got.Status != want || state.Status != healthy {
				return fmt.Errorf("answered %d %s, health %d %s", got.Status, got.Body, state.Status, state.Body)
			}
			return nil
		}
	}
	storetest.Eventually(t, time.Minute, answers(http.StatusOK, http.StatusOK))
	for name, begin := range map[string]func(){"cut": link.Cut, "stalled": link.Stall} {
		begin()
		begun := time.Now()
		if got := send(t, masters, srv.Addr()); got.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s: answered after %s", name, took)
		}
		link.Heal()
		storetest.Eventually(t, time.Minute, answers(http.StatusOK, http.StatusOK))
	}
}

func TestAtTheEndRequestsInFlightAreAnsweredAndPortsAreFree(t *testing.T) {
	zookeeper := storetest.Start(t)
	srv := newRunning(t, zookeeper)
	conn, err := net.Dial("tcp", srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `["` + unknown + `"]`
	fmt.Fprintf(conn, "POST /jobs/statuses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:5])
	// Until the server has the first half of the request in its hands, it could take the connection for an idle one.
	storetest.Eventually(t, time.Minute, func() error {
		if !strings.Contains(threads(t, srv), "readBody") {
			return errors.New("the request is not there yet")
		}
		return nil
	})
	srv.stop()
	if _, err := io.WriteString(conn, body[5:]); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") {
		t.Errorf("%s, %v", answer, err)
	}
	if err := <-srv.ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	l, err := net.Listen("tcp", srv.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func threads(t *testing.T, srv *running) string {
	return send(t, &servertest.Request{Method: "GET", Path: "/threads"}, srv.AdminAddr()).Body
}

func TestAPortThatIsTakenIsAnErrorAndLeavesNoOther(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	free := storetest.FreeAddr(t)
	opts := server.Options{Store: openStore(t, storetest.FreeAddr(t)), Version: "0.10.0", Addr: free, AdminAddr: l.Addr().String()}
	if _, err := server.New(opts); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("failed with %v", err)
	}
	again, err := net.Listen("tcp", free)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	for _, version := range []string{"", "1.2", "dev"} {
		if _, err := server.New(server.Options{Store: opts.Store, Version: version}); err == nil {
			t.Errorf("version %q was taken", version)
		}
	}
	if _, err := server.New(server.Options{Version: "0.10.0"}); err == nil {
		t.Error("no store was needed")
	}
}

// running is a server whose end the test awaits itself.
type running struct {
	*server.Server
	stop  context.CancelFunc
	ended chan error
}

func newRunning(t *testing.T, zookeeper string) *running {
	t.Helper()
	opts := server.Options{Store: openStore(t, zookeeper), Version: "0.10.0", Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0"}
	srv, err := server.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{srv, cancel, make(chan error, 1)}
	go func() { r.ended <- srv.Run(ctx) }()
	t.Cleanup(cancel)
	return r
}
