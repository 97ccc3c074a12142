package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/httpapi/servertest"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a master's server over an embedded ZooKeeper.
type cluster struct {
	*server.Server
	zk *zk.Conn // plays the agents; nil when ZooKeeper is down
}

// send sends a request, which has to be answered.
func send(t *testing.T, r *servertest.Request, addr net.Addr) servertest.Response {
	t.Helper()
	got, err := r.Send(addr)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// start runs a server whose ZooKeeper is at addr for the duration of the test.
func start(t *testing.T, zookeeper string, opts server.Options) *server.Server {
	t.Helper()
	st := openStore(t, zookeeper)
	opts.Store, opts.Addr, opts.AdminAddr = st, "127.0.0.1:0", "127.0.0.1:0"
	if opts.Version == "" {
		opts.Version = "0.9.283"
	}
	srv, err := server.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- srv.Run(ctx) }()
	go func() { done <- st.KeepMaster(ctx, "goldenmaster") }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		}
	})
	return srv
}

func openStore(t *testing.T, zookeeper string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Options{Servers: zookeeper, FailFast: time.Second, ConnectTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.Close)
	return st
}

func newCluster(t *testing.T, opts server.Options) *cluster {
	t.Helper()
	addr := storetest.Start(t)
	conn, events, err := zk.Connect([]string{addr}, 20*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		for range events { // until the connection's goroutines are done
		}
	})
	c := &cluster{Server: start(t, addr, opts), zk: conn}
	masters := &servertest.Request{Method: "GET", Path: "/masters"}
	storetest.Eventually(t, time.Minute, func() error {
		if got := send(t, masters, c.Addr()); got.Body != `["goldenmaster"]` {
			return fmt.Errorf("masters: %d %s", got.Status, got.Body)
		}
		return nil
	})
	return c
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// act does what a scenario does in ZooKeeper.
func (c *cluster) act(t *testing.T, l servertest.Line) {
	t.Helper()
	for _, op := range l.ZooKeeper {
		if strings.HasPrefix(op.Path, "/config/deployment-groups/") {
			continue // of a group that this version did not create
		}
		var data []byte
		if op.Data != nil {
			data = []byte(*op.Data)
		}
		var err error
		switch op.Op {
		case "create":
			flags := int32(0)
			if op.Ephemeral {
				flags = zk.FlagEphemeral
			}
			_, err = c.zk.Create(op.Path, data, flags, zk.WorldACL(zk.PermAll))
		case "set":
			_, err = c.zk.Set(op.Path, data, -1)
		case "delete":
			err = c.zk.Delete(op.Path, -1)
		}
		if err != nil {
			t.Fatalf("step %d: %s %s: %v", l.Step, op.Op, op.Path, err)
		}
	}
}

// later says why an exchange needs what this version does not have.
func later(l servertest.Line) bool {
	path := l.Request.Path
	return strings.HasPrefix(path, "/deployment-group") || l.Target == "admin" && strings.HasPrefix(path, "/metrics")
}

// counts are how the exchanges of a scenario went.
type counts struct{ passed, byQuirk, later, skipped int }

func (n counts) String() string {
	return fmt.Sprintf("%d as recorded, %d as their quirk's verdict, %d need what is not there yet, %d not to be sent",
		n.passed, n.byQuirk, n.later, n.skipped)
}

func replay(t *testing.T, name string, opts server.Options, expect func(servertest.Line) (servertest.Response, bool)) {
	lines, err := servertest.Scenario(filepath.Join("../../testdata/golden/http", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		for i, option := range l.MasterOptions {
			if option == "--whitelisted-capability" {
				opts.Capabilities = append(opts.Capabilities, l.MasterOptions[i+1])
			}
		}
	}
	var c *cluster
	if slices.ContainsFunc(lines, func(l servertest.Line) bool { return l.ZooKeeperDown }) {
		opts.StoreTimeout = 2 * time.Second
		c = &cluster{Server: start(t, storetest.FreeAddr(t), opts)}
	} else {
		c = newCluster(t, opts)
	}
	var n counts
	for _, l := range lines {
		c.act(t, l)
		switch {
		case l.Request == nil:
			continue
		case l.Has("skip"):
			n.skipped++
			continue
		case later(l):
			n.later++
			continue
		}
		want, changed := expect(l)
		l.Response = want
		addr := c.Addr()
		if l.Target == "admin" {
			addr = c.AdminAddr()
		}
		got := send(t, l.Request, addr)
		switch diff := l.Compare(got); {
		case diff != "":
			t.Errorf("step %d %v: %s %.120s: %s", l.Step, l.Quirks, l.Request.Method, l.Request.Path, diff)
		case changed:
			n.byQuirk++
		default:
			n.passed++
		}
	}
	t.Logf("%s: %s", name, n)
}

var scenarios = []string{
	"admin", "bodies", "capabilities", "damaged-store", "deployments", "hosts", "jobs", "masters", "no-zookeeper",
	"routing", "spec-vectors", "statuses-history", "tokens", "version", "walk-1",
}

func TestRecordedScenariosAreAnsweredAsTheOriginalDidOrAsTheQuirksDemand(t *testing.T) {
	for _, name := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replay(t, name, server.Options{}, asDemanded)
		})
	}
}

func TestOriginsAreAllowedAsRecordedOnlyWhenTheMasterSaysSo(t *testing.T) {
	replay(t, "cors-compression", server.Options{CORSOrigins: []string{"*"}}, func(l servertest.Line) (servertest.Response, bool) {
		if l.Has("http-29") {
			l.Quirks = nil
		}
		return asDemanded(l)
	})
	replay(t, "cors-compression", server.Options{}, asDemanded)
}

// asDemanded is the answer to expect: the recorded one, or what the quirk's verdict makes of it.
func asDemanded(l servertest.Line) (servertest.Response, bool) {
	want := l.Response
	if len(l.Quirks) == 0 {
		return want, false
	}
	headers := map[string]string{}
	for name, value := range want.Headers {
		headers[name] = value
	}
	want.Headers = headers
	says := func(status int, body string) (servertest.Response, bool) {
		want.Status, want.Body = status, body
		delete(headers, "content-type")
		if body != "" {
			headers["content-type"] = "application/json"
		}
		return want, true
	}
	const anyMessage = `{"message":""}`
	r := l.Request
	switch l.Quirks[0] {
	case "http-2":
		return says(want.Status, anyMessage)
	case "http-4":
		if r.Method == http.MethodPost && r.Path == "/jobs?user=alice" {
			return says(http.StatusBadRequest, nullsInJobs[l.Step])
		}
		return says(http.StatusBadRequest, anyMessage)
	case "http-7", "regex-dialect":
		return says(http.StatusBadRequest, anyMessage)
	case "http-12":
		if strings.HasSuffix(r.Path, "?id=def") {
			return says(http.StatusConflict, `{"message":"Host host2.dc1.example.com is already registered with another id."}`)
		}
		return says(http.StatusOK, `"OK"`)
	case "http-16":
		switch r.Method {
		case http.MethodPut:
			return says(http.StatusBadRequest, anyMessage)
		case http.MethodDelete:
			name, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/hosts/"), "?")
			name = strings.NewReplacer("%2F", "/", "%2E", ".", "%00", `\u0000`).Replace(name)
			return says(http.StatusNotFound, `{"status":"NOT_FOUND","host":"`+name+`"}`)
		}
		return says(http.StatusNotFound, "")
	case "http-17":
		return says(http.StatusOK, "{}")
	case "http-27":
		if strings.HasPrefix(r.Path, "/hosts?selector=bad") {
			return says(http.StatusBadRequest, anyMessage)
		}
		return says(http.StatusServiceUnavailable, `{"message":"ZooKeeper cannot be reached. It has been logged (ID 0123456789abcdef)."}`)
	case "http-29":
		for name := range headers {
			if strings.HasPrefix(name, "access-control-") {
				delete(headers, name)
			}
		}
		return want, true
	case "http-37":
		delete(headers, "content-type")
		switch {
		case strings.Contains(r.Path, ":aaaa"):
			want.Status = http.StatusNotFound
		case strings.HasSuffix(r.Path, "foo:1"):
			want.Status = http.StatusBadRequest
		default:
			want.Status = http.StatusOK
		}
		return want, true
	case "model-29":
		want.Body = strings.Replace(want.Body, `"foo:null"`, "null", 1)
		return want, true
	case "encoding":
		if l.Scenario == "cors-compression" && l.Step == 34 || l.Scenario == "bodies" && l.Step == 45 { // not gzip; UTF-16
			return says(http.StatusBadRequest, anyMessage)
		}
	case "zk-list":
		return says(http.StatusOK, "{}")
	case "zk-Q10":
		return says(http.StatusOK, `{"status":"OK","host":"half"}`)
	case "damaged":
		node := "/config/jobs/web:1:d3e95ce020d1399264f8e8043ecd26f824d21e1b"
		if strings.HasPrefix(r.Path, "/hosts") {
			node = "/status/hosts/host2.dc1.example.com/hostinfo"
		}
		return says(http.StatusInternalServerError, `{"message":"Node `+node+` is damaged. It has been logged (ID 0123456789abcdef)."}`)
	}
	return want, false
}

// nullsInJobs are the answers to the jobs of the scenario jobs that have null where nothing may be.
var nullsInJobs = map[int]string{
	39: `{"status":"INVALID_JOB_DEFINITION","errors":["Job id was not specified."],"id":null}`,
	40: `{"status":"INVALID_JOB_DEFINITION","errors":["Job id was not specified."],"id":null}`,
	41: `{"status":"INVALID_JOB_DEFINITION","errors":["Null is not allowed in command."],"id":"n:1:035cbea3b40c7da4d0538a632c8a9d96c1d7b2e6"}`,
	42: `{"status":"INVALID_JOB_DEFINITION","errors":["Null is not allowed as the value of 'A' in env."],"id":"n:1:015b468ed6a51e404021752e94f2a30d6e5ecf3b"}`,
	43: `{"status":"INVALID_JOB_DEFINITION","errors":["Null is not allowed as the value of 'p' in ports."],"id":"n:1:9601ea00c2d4f7c2676a93a91142ca8f9a0eebc7"}`,
}
