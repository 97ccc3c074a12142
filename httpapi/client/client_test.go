package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var id = job.ID{Name: "foo", Version: "1", Hash: "217aba3a8575297f71945c25980577ddba9de2fd"}

// master answers every request alike and counts them.
type master struct {
	*httptest.Server
	mu       sync.Mutex // guards requests
	requests []*http.Request
	bodies   []string
}

func newMaster(t *testing.T, answer http.HandlerFunc) *master {
	m := &master{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.mu.Lock()
		m.requests = append(m.requests, r)
		m.bodies = append(m.bodies, string(body))
		m.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *master) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.requests)
}

func says(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// refusing is the address of a port where nobody listens.
func refusing(t *testing.T) string { return "http://" + storetest.FreeAddr(t) }

// silent accepts connections and never answers.
func silent(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range conns {
			c.Close()
		}
	})
	return "http://" + l.Addr().String()
}

func newClient(t *testing.T, opts Options) *Client {
	if opts.Version == "" {
		opts.Version = "0.10.0"
	}
	opts.User = "alice"
	if opts.RetryDelay == 0 {
		opts.RetryDelay = time.Millisecond
	}
	c, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestEndpointsAreAcceptedWithSchemeHostAndPortOnly(t *testing.T) {
	for text, want := range map[string]endpoint{
		"http://h:5801":              {"http", "h", "5801", ""},
		"HTTPS://h.example.com.:443": {"https", "h.example.com.", "443", ""},
		"http://h:5801/":             {"http", "h", "5801", ""},
		"http://h:5801/pre/fix/":     {"http", "h", "5801", "/pre/fix"},
		"http://u:p@[::1]:5801/?a#b": {"http", "::1", "5801", ""},
	} {
		if got, err := parseEndpoint(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "h:5801", "http://h", "ftp://h:1", "//h:1", "http://:5801", "http://h:x", "http://h:1\n"} {
		if _, err := parseEndpoint(text); !errors.Is(err, ErrEndpoint) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRequestsAreThoseOfTheOriginalsClient(t *testing.T) {
	m := newMaster(t, says(404, ""))
	c := newClient(t, Options{Masters: []string{m.URL + "/pre/"}})
	ctx := t.Context()
	j := job.Job{ID: job.ID{Name: "foo", Version: "1"}, Image: new("busybox")}
	_, _ = c.CreateJob(ctx, j)
	_, _ = c.Jobs(ctx, "", "")
	_, _ = c.Jobs(ctx, "foo:1", "web")
	_, _ = c.Job(ctx, id)
	_, _ = c.JobStatus(ctx, id)
	_, _ = c.JobStatuses(ctx, []job.ID{id})
	_, _ = c.History(ctx, id)
	_, _ = c.RemoveJob(ctx, id, "a+b c&d")
	_, _ = c.Deploy(ctx, "host1", id, job.Start, "")
	_, _ = c.SetGoal(ctx, "host1", id, job.Stop, "")
	_, _ = c.Undeploy(ctx, "ho st/1", id, "")
	_, _ = c.Deployment(ctx, "host1", id)
	_, _ = c.HostStatus(ctx, "host1")
	_, _ = c.HostStatuses(ctx, []string{"host1"}, host.Up)
	_, _ = c.Hosts(ctx, "ho[a-z]+", "site=foo", "role in (a, b)")
	_, _ = c.RegisterHost(ctx, "host1", "abc")
	_, _ = c.DeregisterHost(ctx, "host1")
	_, _ = c.Masters(ctx)
	c.Version(ctx)

	const jobs = "/pre/jobs"
	want := []string{
		"POST " + jobs + "/?user=alice",
		"GET " + jobs + "?user=alice",
		"GET " + jobs + "?hostPattern=web&q=foo%3A1&user=alice",
		"GET " + jobs + "/" + id.String() + "?user=alice",
		"GET " + jobs + "/" + id.String() + "/status?user=alice",
		"POST " + jobs + `/statuses?user=alice ["` + id.String() + `"]`,
		"GET /pre/history/jobs/" + id.String() + "?user=alice",
		"DELETE " + jobs + "/" + id.String() + "?token=a%2Bb+c%26d&user=alice",
		"PUT /pre/hosts/host1/jobs/" + id.String() + `?token=&user=alice {"deployerUser":null,"goal":"START","jobId":"` + id.String() + `"}`,
		"PATCH /pre/hosts/host1/jobs/" + id.String() + `?token=&user=alice {"deployerUser":null,"goal":"STOP","jobId":"` + id.String() + `"}`,
		"DELETE /pre/hosts/ho%20st%2F1/jobs/" + id.String() + "?token=&user=alice",
		"GET /pre/hosts/host1/jobs/" + id.String() + "?user=alice",
		"GET /pre/hosts/host1/status?user=alice",
		`POST /pre/hosts/statuses?status=UP&user=alice ["host1"]`,
		"GET /pre/hosts/?namePattern=ho%5Ba-z%5D%2B&selector=site%3Dfoo&selector=role+in+%28a%2C+b%29&user=alice",
		"PUT /pre/hosts/host1?id=abc&user=alice",
		"DELETE /pre/hosts/host1?user=alice",
		"GET /pre/masters/?user=alice",
		"GET /pre/version/?user=alice",
	}
	for i, r := range m.requests {
		line := strings.TrimSpace(r.Method + " " + r.RequestURI + " " + m.bodies[i])
		if i == 0 {
			line = strings.TrimSpace(r.Method + " " + r.RequestURI)
			if !strings.HasPrefix(m.bodies[0], `{"addCapabilities":[],"command":[],"created":null,`) {
				t.Errorf("the job was sent as %s", m.bodies[0])
			}
		}
		if i >= len(want) || line != want[i] {
			t.Errorf("request %d was %s", i, line)
		}
		if v := r.Header.Get(httpapi.HeaderVersion); v != "0.10.0" {
			t.Errorf("version %q in %s", v, line)
		}
		if got := r.Header.Get("Content-Type"); (got == "application/json") != (m.bodies[i] != "") {
			t.Errorf("content type %q in %s", got, line)
		}
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("no gzip is asked for in %s", line)
		}
	}
	if len(m.requests) != len(want) {
		t.Errorf("%d requests, want %d", len(m.requests), len(want))
	}
}

func TestEveryMasterIsTriedOnceWithoutWaiting(t *testing.T) {
	live := newMaster(t, says(200, `["m"]`))
	down := newMaster(t, says(502, "bad gateway"))
	c := newClient(t, Options{
		Masters:      []string{refusing(t), down.URL, silent(t), live.URL},
		Timeout:      5 * time.Second, // what a master on a busy machine may take
		RetryTimeout: time.Hour,
		RetryDelay:   time.Hour,
	})
	const rounds = 4 // from wherever each begins
	for range rounds {
		if got, err := c.Masters(t.Context()); err != nil || !slices.Equal(got, []string{"m"}) {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if live.count() != rounds {
		t.Errorf("the live master was asked %d times", live.count())
	}
	if down.count() > rounds {
		t.Errorf("a dead master was asked %d times", down.count())
	}
}

func TestRoundRobinVisitsMastersEvenly(t *testing.T) {
	masters := []*master{newMaster(t, says(200, `[]`)), newMaster(t, says(200, `[]`)), newMaster(t, says(200, `[]`))}
	c := newClient(t, Options{Masters: []string{masters[0].URL, masters[1].URL, masters[2].URL}})
	for range 6 {
		if _, err := c.Masters(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range masters {
		if m.count() != 2 {
			t.Errorf("master %d was asked %d times", i, m.count())
		}
	}
}

func TestRequestsAtTheSameTimeEachTryEveryMaster(t *testing.T) {
	live := newMaster(t, says(200, `[]`))
	c := newClient(t, Options{Masters: []string{refusing(t), live.URL, refusing(t)}})
	var requests sync.WaitGroup
	for range 20 {
		requests.Go(func() {
			if _, err := c.Masters(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	requests.Wait()
}

func TestDeadMastersAreTriedAgainUntilTheRetryTimeoutAndReportedWithoutSecrets(t *testing.T) {
	var warnings []string
	c := newClient(t, Options{
		Masters:      []string{refusing(t), refusing(t)},
		RetryTimeout: 2 * time.Second,
		RetryDelay:   1200 * time.Millisecond,
		Warn:         func(text string) { warnings = append(warnings, text) },
	})
	r, err := c.RemoveJob(t.Context(), id, "sekret")
	if !errors.Is(err, ErrUnreachable) || !strings.HasPrefix(err.Error(), "Unable to connect to master: http://127.0.0.1:") {
		t.Errorf("failed with %v", err)
	}
	if r.Status != "" {
		t.Errorf("status %s without an answer", r.Status)
	}
	if len(warnings) < 1 || len(warnings) > 2 {
		t.Errorf("warned %q", warnings)
	}
	for _, text := range append(warnings, err.Error()) {
		if strings.Contains(text, "sekret") {
			t.Errorf("the token is in %q", text)
		}
		if strings.Contains(text, "\n") {
			t.Errorf("more than one line: %q", text)
		}
	}
}

func TestWithoutRetryTimeoutEachMasterIsTriedOnce(t *testing.T) {
	down := newMaster(t, says(502, ""))
	c := newClient(t, Options{Masters: []string{down.URL}, Warn: func(text string) { t.Errorf("warned %q", text) }})
	_, err := c.Masters(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "/masters/?user=alice returned 502, master is down") {
		t.Errorf("failed with %v", err)
	}
	if down.count() != 1 {
		t.Errorf("asked %d times", down.count())
	}
}

func TestAMasterWithoutStoreIsAnAnswerUnlessAnotherHasOne(t *testing.T) {
	lost := newMaster(t, says(503, `{"message":"ZooKeeper cannot be reached."}`))
	live := newMaster(t, says(200, `["m"]`))
	c := newClient(t, Options{Masters: []string{lost.URL, live.URL}})
	for range 4 {
		if _, err := c.Masters(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	alone := newClient(t, Options{Masters: []string{lost.URL, refusing(t)}, RetryTimeout: time.Hour, RetryDelay: time.Hour})
	_, err := alone.Masters(t.Context())
	if e, ok := errors.AsType[*StatusError](err); !ok || e.Code != 503 || e.Message != "ZooKeeper cannot be reached." {
		t.Errorf("failed with %v", err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	c := newClient(t, Options{Masters: []string{refusing(t)}, RetryTimeout: time.Hour, RetryDelay: time.Hour})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	go cancel(cause)
	if _, err := c.Masters(ctx); !errors.Is(err, cause) {
		t.Errorf("ended with %v", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := newClient(t, Options{Masters: []string{silent(t)}}).Masters(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}

func TestASilentMasterTimesOutWhereverItFallsSilent(t *testing.T) {
	release := make(chan struct{})
	halting := newMaster(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `["m",`)
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) })
	for _, url := range []string{silent(t), halting.URL} {
		c := newClient(t, Options{Masters: []string{url}, Timeout: 30 * time.Millisecond})
		start := time.Now()
		_, err := c.Masters(t.Context())
		if !errors.Is(err, ErrUnreachable) || !strings.HasPrefix(err.Error(), "Unable to connect to master: ") {
			t.Errorf("failed with %v", err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %s", took)
		}
	}
}

func TestUnknownNamesAreSkippedAndNothingElseIsAnError(t *testing.T) {
	live := newMaster(t, says(200, `[]`))
	var warnings []string
	opts := Options{
		Masters:  []string{"http://nosuchhost.invalid:5801"},
		Resolver: resolver(t, nil),
		Warn:     func(text string) { warnings = append(warnings, text) },
	}
	if _, err := newClient(t, opts).Masters(t.Context()); !errors.Is(err, ErrNoMasters) {
		t.Errorf("failed with %v", err)
	}
	opts.Masters = append(opts.Masters, live.URL)
	if _, err := newClient(t, opts).Masters(t.Context()); err != nil {
		t.Error(err)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "nosuchhost.invalid") {
		t.Errorf("warned %q", warnings)
	}
}

func TestMastersAreLookedUpAnewAfterAllHaveFailed(t *testing.T) {
	live := newMaster(t, says(200, `[]`))
	asked := 0
	c := newClient(t, Options{
		Masters:      []string{refusing(t)},
		RetryTimeout: time.Minute,
		Refresh: func(context.Context) ([]string, error) {
			asked++
			if asked == 1 {
				return nil, errors.New("no such domain")
			}
			return []string{live.URL}, nil
		},
	})
	for range 2 {
		if _, err := c.Masters(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times for the masters", asked)
	}
}

func TestPackedAnswersAreReadAndEmptyOnesAreTolerated(t *testing.T) {
	m := newMaster(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-encoding", "gzip")
		w.WriteHeader(404)
	})
	_, err := newClient(t, Options{Masters: []string{m.URL}}).Job(t.Context(), id)
	if !errors.Is(err, job.ErrNotFound) {
		t.Errorf("failed with %v", err)
	}
}

func TestRedirectsAreAnswers(t *testing.T) {
	elsewhere := newMaster(t, says(200, "[]"))
	m := newMaster(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	})
	_, err := newClient(t, Options{Masters: []string{m.URL}}).Masters(t.Context())
	if e, ok := errors.AsType[*StatusError](err); !ok || e.Code != 302 || elsewhere.count() != 0 {
		t.Errorf("failed with %v, elsewhere %d", err, elsewhere.count())
	}
}

func TestTheNameOfTheMasterConnectedToIsVerified(t *testing.T) {
	srv := httptest.NewUnstartedServer(says(200, `["m"]`))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	roots := srv.Client().Transport.(*http.Transport).TLSClientConfig
	names := resolver(t, map[string]string{"example.com.": "127.0.0.1", "example.net.": "127.0.0.1"})
	good := newClient(t, Options{Masters: []string{"https://example.com:" + port}, TLS: roots, Resolver: names})
	if got, err := good.Masters(t.Context()); err != nil || !slices.Equal(got, []string{"m"}) {
		t.Errorf("%v, %v", got, err)
	}
	other := newClient(t, Options{Masters: []string{"https://example.net:" + port}, TLS: roots, Resolver: names})
	if _, err := other.Masters(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "Unexpected error connecting to https://127.0.0.1:") {
		t.Errorf("a certificate of another name: %v", err)
	}
}

func ExampleClient_Deploy() {
	c, err := New(Options{Masters: []string{"http://127.0.0.1:1"}, User: "alice", Version: "0.10.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := c.Deploy(context.Background(), "web1", id, job.Start, "")
	switch {
	case err == nil:
		fmt.Println("web1: done")
	case r.Status != "": // the master refused
		fmt.Printf("web1: failed: %s\n", &r)
	case errors.Is(err, ErrUnreachable):
		fmt.Println("no master answered")
	}
	// Output: no master answered
}
