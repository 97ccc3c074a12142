package cliui

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/cliui/clitest"
)

var clock = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\d\d:\d\d:\d\d`)

// until is an output that interrupts the command when it has got a text so
// many times.
type until struct {
	text   bytes.Buffer
	mark   string
	times  int
	enough context.CancelFunc
}

func (u *until) Write(b []byte) (int, error) {
	n, err := u.text.Write(b)
	if strings.Count(u.text.String(), u.mark) >= u.times {
		u.enough()
	}
	return n, err
}

// watchUntil runs a command until its output holds a mark so many times.
func watchUntil(t *testing.T, mark string, times int, args []string, change ...func(*Options)) clitest.Result {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &until{mark: mark, times: times, enough: cancel}
	var errs bytes.Buffer
	opts := Options{
		Version: "0.9.283", User: "root", ResolvConf: "/nonexistent", RetryDelay: time.Millisecond, Location: time.UTC,
		LookupEnv: func(string) (string, bool) { return "", false },
	}
	opts.Streams.Out, opts.Streams.Err = out, &errs
	for _, c := range change {
		c(&opts)
	}
	exit := Run(ctx, args, opts)
	return clitest.Result{Exit: exit, Stdout: clock.ReplaceAllString(out.text.String(), "<time>"), Stderr: errs.String()}
}

const (
	watchHead  = "Control-C to stop\nJOB                  HOST                           STATE    THROTTLED?\n"
	watchRuler = "-------------------- ------------------------------ -------- ---------- [<time> UTC]\n"
)

func taskOn(hosts ...string) string {
	var tasks []string
	for _, host := range hosts {
		name, state, _ := strings.Cut(host, " ")
		tasks = append(tasks, `"`+name+`":`+task(state, `,"throttled":"NO"`))
	}
	return `{"job":null,"deployments":{},"taskStatuses":{` + strings.Join(tasks, ",") + `}}`
}

func TestWatchAppendsAReportForEachLook(t *testing.T) {
	both := exchange{request: "GET /jobs?q=testjob", answer: twoJobs}
	ids := `["` + testjob + `","` + testjob2 + `"]`
	endpoint := scripted(t, both,
		exchange{request: "POST /jobs/statuses", body: ids, answer: `{"` + testjob2 + `":` + taskOn("h2 EXITED") + `,"` + testjob + `":` + taskOn("h2 PULLING_IMAGE", "h1.a-very-long-name-of-a-host.example.com RUNNING", "other RUNNING") + `}`},
		exchange{request: "POST /jobs/statuses", body: ids, answer: `{"` + testjob + `":` + taskOn("h2 RUNNING") + `}`})
	got := watchUntil(t, "UTC]", 2, []string{"watch", "--interval", "0", "-z", endpoint, "testjob", "h1", "h2"})
	want := clitest.Result{
		Exit: 130,
		Stdout: watchHead + watchRuler +
			"testjob:1:4f7125b    h1.a-very-long-name-of-a-host. RUNNING  NO\n" +
			"testjob:1:4f7125b    h2                             PULLING_IMAGE NO\n" +
			"testjob:2:aaaa25b    h2                             EXITED   NO\n" + watchRuler +
			"testjob:1:4f7125b    h2                             RUNNING  NO\n",
		Stderr: "helios: no longer watching; the jobs go on in the cluster: 1 RUNNING\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWatchExactShowsEachHostInTheGivenOrder(t *testing.T) {
	endpoint := scripted(t, exchange{request: "GET /jobs?q=testjob", answer: oneJob},
		exchange{request: "POST /jobs/statuses", answer: `{"` + testjob + `":` + taskOn("a RUNNING", "b RUNNING") + `}`})
	got := watchUntil(t, "UTC]", 1, []string{"watch", "--exact", "-z", endpoint, "testjob", "nohost", "a"})
	want := watchHead + watchRuler +
		"testjob:1:4f7125b    nohost                         UNKNOWN  UNKNOWN\n" +
		"testjob:1:4f7125b    a                              RUNNING  NO\n"
	if got.Stdout != want || got.Stderr != "helios: no longer watching; the jobs go on in the cluster: 1 RUNNING, 1 UNKNOWN\n" {
		t.Errorf("%+v", got)
	}
}

func TestWatchAsksAllTargetsForTheJobsOfAll(t *testing.T) {
	ids := `["` + testjob + `","` + testjob2 + `"]`
	first := scripted(t, exchange{request: "GET /jobs?q=testjob", answer: oneJob},
		exchange{request: "POST /jobs/statuses", body: ids, answer: `{"` + testjob + `":` + taskOn("a RUNNING") + `}`})
	second := scripted(t, exchange{request: "GET /jobs?q=testjob", answer: `{"` + testjob2 + `":{"id":"` + testjob2 + `","image":"i"}}`},
		exchange{request: "POST /jobs/statuses", body: ids, answer: `{"` + testjob2 + `":` + taskOn("b STOPPED") + `}`})
	got := watchUntil(t, "b  ", 1, []string{"watch", "-z", first, "-z", second, "testjob"})
	want := watchHead + watchRuler +
		"--- " + first + " ([" + first + "])\ntestjob:1:4f7125b    a                              RUNNING  NO\n" +
		"--- " + second + " ([" + second + "])\ntestjob:2:aaaa25b    b                              STOPPED  NO\n"
	if got.Stdout != want {
		t.Errorf("got\n%swant\n%s", got.Stdout, want)
	}
}

func TestWatchEnds(t *testing.T) {
	find := exchange{request: "GET /jobs?q=testjob", answer: oneJob}
	look := exchange{request: "POST /jobs/statuses", answer: `{"` + testjob + `":` + taskOn("a RUNNING") + `}`}
	t.Run("when no job is known", func(t *testing.T) {
		endpoint := scripted(t, exchange{request: "GET /jobs?q=nope", answer: `{}`})
		got := run(t, []string{"watch", "nope", "-z", endpoint}, nil, "")
		if want := (clitest.Result{Exit: 1, Stdout: "Unknown job: nope\n"}); got != want {
			t.Errorf("%+v", got)
		}
	})
	t.Run("when a target cannot be resolved", func(t *testing.T) {
		resolver := nameServer(t)
		got := run(t, []string{"watch", "x", "-d", "none.example.net"}, nil, "", func(o *Options) { o.Resolver = resolver })
		if want := (clitest.Result{Exit: 1, Stderr: "Failed to resolve helios master in none.example.net (srv: helios)\n"}); got != want {
			t.Errorf("%+v", got)
		}
	})
	t.Run("when the interval is negative, after one report", func(t *testing.T) {
		got := run(t, []string{"watch", "testjob", "--interval", "-1", "-z", scripted(t, find, look)}, nil, "")
		if got.Exit != 1 || strings.Count(got.Stdout, "RUNNING") != 1 || got.Stderr != "timeout value is negative\n" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("when a master fails", func(t *testing.T) {
		got := run(t, []string{"watch", "testjob", "-z", scripted(t, find, exchange{request: "POST /jobs/statuses", answer: "500 "})}, nil, "")
		if got.Exit != 1 || got.Stdout != watchHead || !strings.HasPrefix(got.Stderr, "request failed: ") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("well, when nobody reads any more", func(t *testing.T) {
		endpoint := scripted(t, find, look)
		got := run(t, []string{"watch", "testjob", "-z", endpoint}, nil, "", func(o *Options) { o.Streams.Out = closedPipe{} })
		if got.Exit != 0 || got.Stderr != "" {
			t.Errorf("%+v", got)
		}
	})
}

// closedPipe is an output that nobody reads any more.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestAReaderThatHasSeenEnoughIsNoFailure(t *testing.T) {
	endpoint := scripted(t, exchange{request: "GET /jobs", answer: `{}`}, exchange{request: "POST /jobs/statuses", answer: `{}`})
	got := run(t, []string{"jobs", "-z", endpoint}, nil, "", func(o *Options) { o.Streams.Out = closedPipe{} })
	if got.Exit != 0 || got.Stderr != "" {
		t.Errorf("%+v", got)
	}
}

func TestDeployWatchShowsTheHostsOnceAllAreDone(t *testing.T) {
	find := exchange{request: "GET /jobs?q=testjob", answer: oneJob}
	known := exchange{request: "GET /hosts/", answer: `["h1.example.com","h2"]`}
	put := func(host, status string) exchange {
		return exchange{request: "PUT /hosts/" + host + "/jobs/" + testjob + "?token=", answer: `{"status":"` + status + `","job":"` + testjob + `","host":"` + host + `"}`}
	}
	look := exchange{request: "POST /jobs/statuses", answer: `{"` + testjob + `":` + taskOn("h2 CREATING") + `}`}
	endpoint := scripted(t, find, known, put("h1.example.com", "OK"), put("h2", "OK"), look, look)
	got := watchUntil(t, "UTC]", 2, []string{"deploy", "--watch", "--interval", "0", "testjob", "h1", "h2", "-z", endpoint})
	report := watchRuler + "testjob:1:4f7125b    h1.example.com                 UNKNOWN  UNKNOWN\n" +
		"testjob:1:4f7125b    h2                             CREATING NO\n"
	want := "Deploying Deployment{jobId=" + testjob + ", goal=START, deployerUser='null', deployerMaster='null', deploymentGroupName='null'} on [h1, h2]\n" +
		"h1.example.com: done\nh2: done\n" + watchHead + report + report
	if got.Exit != 130 || got.Stdout != want || got.Stderr != "helios: no longer watching; the jobs go on in the cluster: 1 CREATING, 1 UNKNOWN\n" {
		t.Errorf("%+v", got)
	}

	endpoint = scripted(t, find, known, put("h1.example.com", "OK"), put("nope", "HOST_NOT_FOUND"))
	if got := run(t, []string{"deploy", "--watch", "testjob", "h1", "nope", "-z", endpoint}, nil, ""); got.Exit != 1 || strings.Contains(got.Stdout, "Control-C") {
		t.Errorf("a failed deployment is watched: %+v", got)
	}
}

func TestAnInterruptedCommandNamesTheTargetsThatItDidNotReach(t *testing.T) {
	first := scripted(t, exchange{request: "GET /jobs?q=testjob", answer: oneJob}, exchange{request: "GET /hosts/", answer: `["h"]`},
		exchange{request: "PUT /hosts/h/jobs/" + testjob + "?token=", answer: `{"status":"OK","job":"` + testjob + `","host":"h"}`},
		exchange{request: "POST /jobs/statuses", answer: `{}`})
	second := scripted(t)
	got := watchUntil(t, "UTC]", 1, []string{"deploy", "--watch", "testjob", "h", "-z", first, "-z", second})
	if !strings.HasSuffix(got.Stderr, "\nhelios: interrupted; not done: ["+second+"]\n") {
		t.Errorf("%+v", got)
	}
}

func TestWatchOnATerminalPaintsInPlace(t *testing.T) {
	find := exchange{request: "GET /jobs?q=testjob", answer: oneJob}
	looks := []exchange{
		{request: "POST /jobs/statuses", answer: `{"` + testjob + `":` + taskOn("a PULLING_IMAGE", "b FAILED") + `}`},
		{request: "POST /jobs/statuses", answer: `{"` + testjob + `":` + taskOn("a RUNNING") + `}`},
	}
	terminal := func(color, cursor bool) func(*Options) {
		return func(o *Options) {
			o.Streams.TTY, o.Streams.Color, o.Streams.Cursor = true, color, cursor
			o.Streams.Size = func() (int, int) { return 80, 24 }
		}
	}
	args := []string{"watch", "--interval", "0", "testjob", "-z"}
	got := watchUntil(t, "stop\n", 2, append(args, scripted(t, append([]exchange{find}, looks...)...)), terminal(true, true))
	bold := func(words ...string) string {
		var b strings.Builder
		for i, word := range words {
			b.WriteString("\x1b[1m" + strings.TrimRight(word, " ") + "\x1b[0m" + word[len(strings.TrimRight(word, " ")):])
			if i < len(words)-1 {
				b.WriteString("  ")
			}
		}
		return b.String() + "\n"
	}
	want := "\r\x1b[J" + bold("JOB              ", "HOST", "STATE        ", "THROTTLED", "ERROR") +
		"testjob:1:4f7125b  a     \x1b[33mPULLING_IMAGE\x1b[0m  NO\n" +
		"testjob:1:4f7125b  b     \x1b[31mFAILED\x1b[0m         NO\n" +
		"<time>, every 0 seconds; Control-C to stop\n" +
		"\x1b[4A\r\x1b[J" + bold("JOB              ", "HOST", "STATE  ", "THROTTLED", "ERROR") +
		"testjob:1:4f7125b  a     \x1b[32mRUNNING\x1b[0m  NO\n" +
		"<time>, every 0 seconds; Control-C to stop\n"
	if diff := cmp.Diff(want, got.Stdout); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got.Stderr != "\nhelios: no longer watching; the jobs go on in the cluster: 1 RUNNING\n" {
		t.Errorf("said %q", got.Stderr)
	}

	got = watchUntil(t, "stop\n", 2, append(args, scripted(t, append([]exchange{find}, looks...)...)), terminal(false, true))
	if strings.Contains(regexp.MustCompile(`\x1b\[(\d+A|J)`).ReplaceAllString(got.Stdout, ""), "\x1b") {
		t.Errorf("colour without leave: %q", got.Stdout)
	}
	got = watchUntil(t, "UTC]", 2, append(args, scripted(t, append([]exchange{find}, looks...)...)), terminal(false, false))
	if strings.Contains(got.Stdout, "\x1b") || !strings.HasPrefix(got.Stdout, watchHead) {
		t.Errorf("a dumb terminal got %q", got.Stdout)
	}
}

func TestWatchIsPaintedAnewWhenTheTerminalIsResized(t *testing.T) {
	endpoint := scripted(t, exchange{request: "GET /jobs?q=testjob", answer: oneJob},
		exchange{request: "POST /jobs/statuses", answer: `{"` + testjob + `":` + taskOn("a-host-of-a-long-name RUNNING") + `}`}) // only one look
	width := 100
	got := watchUntil(t, "every 1 hour", 2, []string{"watch", "--interval", "3600", "testjob", "-z", endpoint}, func(o *Options) {
		o.Streams.TTY, o.Streams.Cursor = true, true
		o.Streams.Size = func() (int, int) {
			width -= 30
			if width == 70 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGWINCH)
			}
			return width, 24
		}
	})
	wide, narrow, twice := strings.Cut(strings.TrimPrefix(got.Stdout, "\r\x1b[J"), "\x1b[J")
	if !twice || !strings.Contains(wide, "  a-host-of-a-long-name  RUNNING") || !strings.Contains(narrow, "…  RUNNING") {
		t.Errorf("%q", got.Stdout)
	}
}

func TestWatchOnATerminalLeavesWarningsToBeRead(t *testing.T) {
	requests := 0
	master := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		switch {
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, oneJob)
		case requests == 4:
			w.WriteHeader(http.StatusBadGateway)
		default:
			_, _ = io.WriteString(w, `{"`+testjob+`":`+taskOn("a RUNNING")+`}`)
		}
	}))
	defer master.Close()
	got := watchUntil(t, "stop\n", 3, []string{"watch", "--interval", "0", "testjob", "-z", master.URL}, func(o *Options) {
		o.Streams.TTY, o.Streams.Cursor = true, true
	})
	ups := regexp.MustCompile(`\x1b\[\d+A`).FindAllString(got.Stdout, -1)
	if len(ups) != 1 || !strings.HasPrefix(got.Stderr, "helios: warning: ") {
		t.Errorf("%+v", got)
	}
}

func TestRegisterAndDeregister(t *testing.T) {
	put := exchange{request: "PUT /hosts/h1?id=id1", answer: `"OK"`}
	refused := put
	refused.answer = `409 {"message":"taken"}`
	del := exchange{request: "DELETE /hosts/h1", answer: `{"status":"OK","host":"h1"}`}
	unknown := exchange{request: "DELETE /hosts/h1", answer: `404 {"status":"NOT_FOUND","host":"h1"}`}
	others := exchange{request: "GET /hosts/", answer: `["h12.foo.com","other","h1.example.com","h1.a.com"]`}
	asked := "This will deregister the host h1\nDo you want to continue? [y/N]\n"
	for _, c := range []struct {
		name      string
		args      []string
		stdin     string
		exchanges []exchange
		want      clitest.Result
	}{
		{"a host is registered", []string{"register", "h1", "id1"}, "", []exchange{put}, clitest.Result{Stdout: "Registering host h1 with id id1\nh1: done\n"}},
		{"a refusal shows the number", []string{"register", "h1", "id1"}, "", []exchange{refused}, clitest.Result{Exit: 1, Stdout: "Registering host h1 with id id1\nh1: failed: 409\n"}},
		{"register --json", []string{"register", "h1", "id1", "--json"}, "", []exchange{put}, clitest.Result{Stdout: `{"host":"h1","status":"OK"}`}},
		{"register --json refused", []string{"register", "h1", "id1", "--json"}, "", []exchange{refused}, clitest.Result{Exit: 1, Stdout: `{"host":"h1","status":"409"}`}},
		{"without an id nothing is sent", []string{"register", "h1", ""}, "", nil, clitest.Result{Exit: 1, Stdout: "You must specify the hostname and id."}},
		{"deregister asks first", []string{"deregister", "h1"}, "n\n", nil, clitest.Result{Exit: 1, Stdout: asked}},
		{"and goes on when told so", []string{"deregister", "h1"}, "y\n", []exchange{del}, clitest.Result{Stdout: asked + "Deregistering host h1\nh1: done\n"}},
		{
			"similar names are shown, those of the search list first",
			[]string{"deregister", "h1", "--yes"},
			"",
			[]exchange{unknown, others},
			clitest.Result{Exit: 1, Stdout: "Deregistering host h1\nh1: failed: HostDeregisterResponse{status=NOT_FOUND, host='h1'}\n" +
				"We didn't find your hostname, but we did find some possible matches for you:\n    h12.foo.com\n    h1.a.com\n    h1.example.com\n\n"},
		},
		{"deregister --json", []string{"deregister", "h1", "--yes", "--json"}, "", []exchange{unknown}, clitest.Result{Exit: 1, Stdout: `{"host":"h1","status":"NOT_FOUND"}`}},
		{
			"what is not decoded is a failed request",
			[]string{"deregister", "h1", "--yes"},
			"",
			[]exchange{{request: "DELETE /hosts/h1", answer: `400 {"status":"JOBS_STILL_DEPLOYED","host":"h1"}`}},
			clitest.Result{Exit: 1, Stdout: "Deregistering host h1\n", Stderr: "request failed: "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := filepath.Join(t.TempDir(), "resolv.conf")
			write(t, conf, "search foo.com\n")
			got := run(t, append(c.args, "-z", scripted(t, c.exchanges...)), nil, c.stdin, func(o *Options) { o.ResolvConf = conf })
			got.Stderr = got.Stderr[:min(len(got.Stderr), len(c.want.Stderr))]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
