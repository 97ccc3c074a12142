package roles_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/cliui"
	"github.com/helios-go/helios/cliui/clitest"
	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/httpapi/client"
	agentrole "github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/roles/master"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// recorded is the version of the original that was recorded.
const recordedVersion = "0.9.283"

// tally counts the steps of a scenario by their outcome.
type tally struct {
	asRecorded int
	byQuirk    int // ours is asserted where it differs on purpose
	waiting    int // for deployment groups, or the other notation of the configuration
	failed     int
	requests   int // steps of which the requests are as recorded, or as their quirks want them
}

// TestRecordedTranscripts runs the commands that the original was recorded with against masters and agents of ours, and
// compares what they print and send (testdata/golden/cli).
func TestRecordedTranscripts(t *testing.T) {
	t.Parallel()
	golden, err := filepath.Abs("../testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	scenarios := []struct {
		name string
		want tally
	}{
		{"01-args", tally{68, 8, 5, 0, 22}},
		{"02-targets", tally{20, 32, 3, 0, 16}},
		{"03-create", tally{121, 23, 0, 0, 79}},
		{"04-create-file", tally{31, 16, 0, 0, 29}},
		{"05-jobs", tally{65, 7, 0, 0, 59}},
		{"06-deploy", tally{79, 10, 0, 0, 78}},
		{"07-ports", tally{38, 2, 0, 0, 36}},
		{"08-hosts", tally{64, 16, 0, 0, 64}},
		{"12-watch", tally{22, 2, 0, 0, 24}},
		{"13-two-masters", tally{37, 6, 12, 0, 34}},
		{"15-misc", tally{24, 14, 5, 0, 35}},
	}
	results := make([]tally, len(scenarios))
	t.Cleanup(func() {
		table := term.NewTable(term.Column{Name: "SCENARIO"}, term.Column{Name: "AS RECORDED"}, term.Column{Name: "BY QUIRK"}, term.Column{Name: "WAITING"}, term.Column{Name: "FAILED"}, term.Column{Name: "REQUESTS"})
		for i, s := range scenarios {
			r := results[i]
			table.Row(s.name, fmt.Sprint(r.asRecorded), fmt.Sprint(r.byQuirk), fmt.Sprint(r.waiting), fmt.Sprint(r.failed), fmt.Sprint(r.requests))
		}
		var text strings.Builder
		_ = table.Print(term.Streams{Out: &text})
		t.Log("\n" + text.String())
	})
	for i, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			steps, err := clitest.Load(golden, s.name)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := clitest.LoadRequests(golden, s.name)
			if err != nil {
				t.Fatal(err)
			}
			stage := newStage(t, *steps[0].Cluster)
			for _, step := range steps[1:] {
				stage.play(step, sent, &results[i])
			}
			if results[i] != s.want {
				t.Errorf("%+v, want %+v", results[i], s.want)
			}
		})
	}
}

// stage is the cluster of a scenario, or two, and where its commands run.
type stage struct {
	t         *testing.T
	cluster   clitest.Cluster
	home, dir string
	endpoints *strings.Replacer // ours for the recorded ones
	masters   []*recordedMaster
	stops     map[string]func() // of agents, by host
}

// recordedMaster is a master behind a proxy that records what it is asked.
type recordedMaster struct {
	proxy  *httptest.Server
	store  string
	client *client.Client

	mu       sync.Mutex // guards requests
	requests []clitest.Request
}

func newStage(t *testing.T, cluster clitest.Cluster) *stage {
	t.Helper()
	s := &stage{t: t, cluster: cluster, home: t.TempDir(), dir: t.TempDir(), stops: map[string]func(){}}
	var docker *dockertest.Daemon
	if len(cluster.Agents) > 0 {
		docker = dockertest.New(t)
		recordedImages(t)
	}
	var ports []string
	for _, node := range cluster.Masters {
		m := s.startMaster(node)
		s.masters = append(s.masters, m)
		ports = append(ports, node.Endpoint[strings.LastIndex(node.Endpoint, ":"):], m.proxy.URL[strings.LastIndex(m.proxy.URL, ":"):])
	}
	s.endpoints = strings.NewReplacer(ports...)
	for i, node := range cluster.Agents {
		s.startAgent(node, s.masters[min(i, len(s.masters)-1)], docker, 25000+100*i)
	}
	if err := os.Mkdir(filepath.Join(s.home, ".helios"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write(s.config(), s.endpoints.Replace(cluster.Config))
	return s
}

func (s *stage) config() string { return filepath.Join(s.home, ".helios", "config") }

func (s *stage) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// startMaster starts a master over a store of its own.
func (s *stage) startMaster(node clitest.Node) *recordedMaster {
	s.t.Helper()
	zk := storetest.Start(s.t)
	opts := master.Options{
		Name: node.Name, Store: store.Options{Servers: zk}, Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Version: recordedVersion, Logger: zerolog.Nop(),
	}
	for i := 1; i < len(node.Options); i += 2 {
		opts.Capabilities = append(opts.Capabilities, node.Options[i]) // --whitelisted-capability is the only option
	}
	role, err := master.New(opts)
	if err != nil {
		s.t.Fatal(err)
	}
	runRole(s.t, role.Run)
	m := &recordedMaster{store: zk}
	target := &url.URL{Scheme: "http", Host: role.Addr().String()}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.RawQuery = r.In.URL.RawQuery
	}}
	m.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen := clitest.Request{Method: r.Method, Path: r.RequestURI, Target: slices.Index(s.masters, m) + 1}
		_ = json.Unmarshal(body, &seen.Body)
		m.mu.Lock()
		m.requests = append(m.requests, seen)
		m.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, r)
	}))
	s.t.Cleanup(m.proxy.Close)
	m.client, err = client.New(client.Options{
		Masters: []string{target.String()}, User: "root", Version: recordedVersion, RetryTimeout: inTime, RetryDelay: 50 * time.Millisecond,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(m.client.Close)
	storetest.Eventually(s.t, inTime, func() error {
		names, err := m.client.Masters(s.t.Context())
		if err == nil && len(names) == 0 {
			err = fmt.Errorf("%s is not registered", node.Name)
		}
		return err
	})
	return m
}

// startAgent starts an agent in the cluster of a master and waits until all is known of its host.
func (s *stage) startAgent(node clitest.Node, m *recordedMaster, docker *dockertest.Daemon, firstPort int) {
	s.t.Helper()
	id := unique("recorded")
	docker.Own("helios.agent=" + id)
	pairs := map[string]map[string]string{"--labels": {}, "--env": {}}
	var option string
	for _, word := range node.Options {
		if key, value, ok := strings.Cut(word, "="); ok {
			pairs[option][key] = value
		} else {
			option = word
		}
	}
	role, err := agentrole.New(agentrole.Options{
		Name: node.Name, ID: id, StateDir: s.t.TempDir(), Store: store.Options{Servers: m.store}, FirstPort: firstPort, EndPort: firstPort + 100,
		Labels: pairs["--labels"], Env: pairs["--env"], Version: recordedVersion, Logger: zerolog.Nop(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.stops[node.Name] = runRole(s.t, role.Run)
	s.await(m, node.Name, func(status host.Status) bool {
		return status.Status == host.Up && status.AgentInfo != nil && status.HostInfo != nil && status.HostInfo.DockerVersion != nil
	})
}

// runRole runs a role until the test ends or the function it returns is called.
func runRole(t *testing.T, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// await waits until the master says of the host what is asked for.
func (s *stage) await(m *recordedMaster, name string, is func(host.Status) bool) {
	s.t.Helper()
	storetest.Eventually(s.t, inTime, func() error {
		status, err := m.client.HostStatus(s.t.Context(), name)
		if err == nil && !is(status) {
			err = fmt.Errorf("%s: %+v", name, status)
		}
		return err
	})
}

// play does what a step says and counts its outcome.
func (s *stage) play(step clitest.Step, sent map[int][]clitest.Request, count *tally) {
	s.t.Helper()
	step.Substitute(s.endpoints)
	switch {
	case len(step.Config) == 0:
	case string(step.Config) == "null":
		_ = os.Remove(s.config())
	default:
		var text string
		if err := json.Unmarshal(step.Config, &text); err != nil {
			s.t.Fatal(err)
		}
		s.write(s.config(), text)
	}
	for name, text := range step.Files {
		s.write(filepath.Join(s.dir, name), text)
	}
	if step.Action != nil {
		s.act(*step.Action)
	}
	if !step.Runs() {
		return
	}
	got := s.run(step)
	requests := s.requests()
	if slices.Contains(step.Args, "history") && step.Judge(got) != "" { // an agent writes it a moment later
		storetest.Eventually(s.t, inTime, func() error {
			if got = s.run(step); step.Judge(got) != "" {
				return errors.New(step.Judge(got))
			}
			return nil
		})
		s.requests() // those of the first time count
	}
	if step.Waits(got) {
		count.waiting++
		return
	}
	problem := step.Judge(got)
	if recorded, ok := sent[step.Step]; ok && problem == "" {
		if problem = step.JudgeRequests(recorded, requests); problem == "" {
			count.requests++
		}
	}
	switch {
	case problem != "":
		count.failed++
		s.t.Errorf("step %d: %q %v:\n%s", step.Step, step.Args, step.Quirks, problem)
	case step.ByQuirk():
		count.byQuirk++
	default:
		count.asRecorded++
	}
}

// act lets happen what happened between two commands. Pauses need none: what they were for is waited for.
func (s *stage) act(a clitest.Action) {
	s.t.Helper()
	on := s.masters[0]
	for _, m := range s.masters {
		if _, err := m.client.HostStatus(s.t.Context(), a.Host); a.Host != "" && err == nil {
			on = m
		}
	}
	switch {
	case a.Master == "stop":
		s.masters[a.MasterNo-1].proxy.Close()
	case a.Agent == "stop":
		s.stops[a.Host]()
		s.await(on, a.Host, func(status host.Status) bool { return status.Status == host.Down })
	case a.Wait == "task":
		s.await(on, a.Host, func(status host.Status) bool {
			deployed := slices.ContainsFunc(slices.Collect(maps.Keys(status.Jobs)), func(id job.ID) bool { return id.Matches(a.Job) })
			for id, task := range status.Statuses {
				if id.Matches(a.Job) && task != nil {
					return a.State != nil && string(task.State) == *a.State && (a.Throttled == "" || string(task.Throttled) == a.Throttled)
				}
			}
			return a.State == nil && !deployed
		})
		s.awaitHistory(on, a)
	}
}

// awaitHistory waits until the history has the event that was waited for, too: an agent writes it after the status.
func (s *stage) awaitHistory(m *recordedMaster, a clitest.Action) {
	s.t.Helper()
	storetest.Eventually(s.t, inTime, func() error {
		jobs, err := m.client.Jobs(s.t.Context(), a.Job, "")
		if err != nil {
			return err
		}
		for id := range jobs {
			history, err := m.client.History(s.t.Context(), id)
			if err != nil {
				return err
			}
			last := job.State("")
			for _, event := range history.Events {
				if event.Host != nil && *event.Host == a.Host && event.Status != nil {
					last = event.Status.State
				}
			}
			ended := last == "" || last == job.Stopped || last == job.Exited || last == job.Failed
			if a.State != nil && string(last) != *a.State || a.State == nil && !ended {
				return fmt.Errorf("the last event of %s on %s is %s", id, a.Host, last)
			}
		}
		return nil
	})
}

// requests are those that the masters got since it was last asked.
func (s *stage) requests() []clitest.Request {
	var all []clitest.Request
	for _, m := range s.masters {
		m.mu.Lock()
		all = append(all, m.requests...)
		m.requests = nil
		m.mu.Unlock()
	}
	return all
}

// run runs the command of a step. One that goes on for ever is interrupted when it has shown what it was recorded to
// show at last.
func (s *stage) run(step clitest.Step) clitest.Result {
	s.t.Helper()
	env := maps.Clone(s.cluster.Env)
	maps.Copy(env, step.Env)
	env["HOME"] = s.home
	location, err := time.LoadLocation(env["TZ"])
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), inTime)
	defer cancel()
	var errs bytes.Buffer
	out := &watchedOutput{seen: func(text string) {
		if !step.Ends() && step.Shown(text) {
			cancel()
		}
	}}
	exit := cliui.Run(ctx, step.Args, cliui.Options{
		Version: recordedVersion,
		Streams: term.Streams{In: strings.NewReader(step.Stdin), Out: out, Err: &errs},
		LookupEnv: func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		},
		User: s.cluster.User, ResolvConf: "/nonexistent", Location: location, Dir: s.dir, RetryDelay: time.Millisecond,
	})
	if !step.Ends() && exit == 130 {
		exit = clitest.Killed
	}
	return clitest.Result{Exit: exit, Stdout: out.text.String(), Stderr: errs.String()}
}

// watchedOutput shows each time what was written so far.
type watchedOutput struct {
	text bytes.Buffer
	seen func(string)
}

func (w *watchedOutput) Write(b []byte) (int, error) {
	n, err := w.text.Write(b)
	w.seen(w.text.String())
	return n, err
}
