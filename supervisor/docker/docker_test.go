package docker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor"
)

// serve makes an engine whose daemon is the handler, on a unix socket.
func serve(t testing.TB, handler http.HandlerFunc) *Engine {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	e, err := New(Options{Endpoint: "unix://" + socket, Poll: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.forget)
	return e
}

// daemon answers pings with an API version, and the paths given, without their version, with a status and a body.
func daemon(version string, answers map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", version)
		path := r.URL.Path
		if path == "/_ping" {
			return
		}
		_, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		w.Header().Set("Content-Type", "application/json")
		answer, ok := answers[path]
		if !ok {
			answer = `404 {"message":"no such thing"}`
		}
		var status int
		fmt.Sscan(answer, &status)
		w.WriteHeader(status)
		fmt.Fprint(w, answer[4:])
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Endpoint{
		"":                         {URL: "unix:///var/run/docker.sock", Address: "localhost", Socket: true},
		"unix:///run/other.sock":   {URL: "unix:///run/other.sock", Address: "localhost", Socket: true},
		"tcp://10.0.0.1:4243":      {URL: "tcp://10.0.0.1:4243", Address: "10.0.0.1"},
		"http://docker.local":      {URL: "tcp://docker.local:2375", Address: "docker.local"},
		"https://docker.local:1/":  {URL: "tcp://docker.local:1", Address: "docker.local"},
		"docker.local":             {URL: "tcp://docker.local:2375", Address: "docker.local"},
		":4243":                    {URL: "tcp://localhost:4243", Address: "localhost"},
		"tcp://":                   {URL: "tcp://localhost:2375", Address: "localhost"},
		"tcp://[::1]:2376":         {URL: "tcp://[::1]:2376", Address: "::1"},
		"tcp://[::1]":              {URL: "tcp://[::1]:2375", Address: "::1"},
		"unix://":                  {},
		"tcp://host:port":          {},
		"ftp://host:1":             {},
		"tcp://host:1/path":        {},
		"tcp://user@host:2375/x y": {},
	} {
		got, err := ParseEndpoint(in)
		if (err != nil) != (want == Endpoint{}) || got != want {
			t.Errorf("%q: %+v, %v; want %+v", in, got, err, want)
		}
	}
	if _, err := New(Options{CertPath: t.TempDir()}); err != nil {
		t.Errorf("certificates for a unix socket: %v, want that they do not matter", err)
	}
	if _, err := New(Options{Endpoint: "tcp://localhost:2376", CertPath: t.TempDir()}); err == nil {
		t.Error("certificates that are not there are accepted")
	}
}

func TestAnEngineThatIsTooOldIsRefusedInOneSentence(t *testing.T) {
	t.Parallel()
	e := serve(t, daemon("1.39", nil))
	err := e.Ping(t.Context())
	if !errors.Is(err, supervisor.ErrUnsupported) || err.Error() != "docker is too old: it speaks API 1.39, and at least 1.40 is needed" {
		t.Errorf("error %v", err)
	}
	if _, err := e.Find(t.Context(), supervisor.Ref{}); !errors.Is(err, supervisor.ErrUnsupported) {
		t.Errorf("find: %v", err)
	}
	for _, version := range []string{"1.40", "1.41", "1.99"} {
		if err := serve(t, daemon(version, nil)).Ping(t.Context()); err != nil {
			t.Errorf("API %s: %v", version, err)
		}
	}
}

func TestPulls(t *testing.T) {
	t.Parallel()
	const noTag = `404 {"message":"manifest for x not found: manifest unknown"}`
	for name, c := range map[string]struct {
		create, inspect string
		want            error
	}{
		"pulled":                                 {`200 {"status":"Pulling from x"}{"status":"done"}`, "404 {}", nil},
		"not in the registry":                    {noTag, "404 {}", supervisor.ErrImageMissing},
		"not in the registry but here":           {noTag, "200 {}", nil},
		"told missing in the stream":             {`200 {"errorDetail":{"message":"x not found"},"error":"x not found"}`, "404 {}", supervisor.ErrImageMissing},
		"told missing by code":                   {`200 {"errorDetail":{"code":404,"message":"gone"}}`, "404 {}", supervisor.ErrImageMissing},
		"password wrong":                         {`500 {"message":"unauthorized: authentication required"}`, "404 {}", supervisor.ErrPullFailed},
		"password wrong but here":                {`500 {"message":"unauthorized"}`, "200 {}", nil},
		"registry away, on a port that ends 404": {`500 {"message":"dial tcp 127.0.0.1:1404: connection refused"}`, "404 {}", supervisor.ErrPullFailed},
		"broken in the middle":                   {`200 {"status":"Pulling`, "404 {}", supervisor.ErrPullFailed},
		"garbage":                                {`200 <html>`, "404 {}", supervisor.ErrPullFailed},
		"broken, and no answer to the look":      {`500 {"message":"x"}`, `503 {"message":"shutting down"}`, supervisor.ErrUnavailable},
	} {
		e := serve(t, daemon("1.41", map[string]string{"images/create": c.create, "images/img:1/json": c.inspect}))
		if err := e.Pull(t.Context(), "img:1"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := serve(t, daemon("1.41", nil)).Pull(t.Context(), "No Image"); !errors.Is(err, supervisor.ErrPullFailed) {
		t.Errorf("a name that is none: %v", err)
	}
}

func TestAnImageWithoutATagIsTheLatest(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if r.Method == http.MethodPost {
			asked <- r.URL.Query().Get("fromImage") + " " + r.URL.Query().Get("tag")
		}
	})
	digest := "sha256:" + strings.Repeat("ab", 32)
	for image, want := range map[string]string{
		"127.0.0.1:1/probe":             "127.0.0.1:1/probe latest",
		"127.0.0.1:1/probe:1":           "127.0.0.1:1/probe 1",
		"127.0.0.1:1/probe@" + digest:   "127.0.0.1:1/probe " + digest,
		"127.0.0.1:1/probe:1@" + digest: "127.0.0.1:1/probe " + digest,
	} {
		if err := e.Pull(t.Context(), image); err != nil {
			t.Errorf("%s: %v", image, err)
		}
		if got := <-asked; got != want {
			t.Errorf("%s: asked for %s, want %s", image, got, want)
		}
	}
}

func TestASilentPullTimesOut(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/images/create"):
			fmt.Fprint(w, `{"status":"Pulling"}`)
			w.(http.Flusher).Flush()
			<-release
		case strings.HasSuffix(r.URL.Path, "/json"):
			w.WriteHeader(http.StatusNotFound)
		}
	})
	t.Cleanup(func() { close(release) })
	e.silence = 20 * time.Millisecond
	err := e.Pull(t.Context(), "img:1")
	if !errors.Is(err, supervisor.ErrPullFailed) || !strings.Contains(err.Error(), "no word from docker") {
		t.Errorf("error %v", err)
	}
}

func TestWhatIsFound(t *testing.T) {
	t.Parallel()
	id := job.ID{Name: "foo.bar", Version: "1", Hash: strings.Repeat("0123456789", 4)}
	ref := supervisor.Ref{Container: "rec", Job: id, Host: "h", Agents: []string{"a"}}
	state := func(id, state string) string {
		running := state == "running"
		return fmt.Sprintf(`200 {"Id":%q,"Name":"/n","State":{"Status":%q,"Running":%v,"ExitCode":3,"FinishedAt":"2026-01-02T03:04:05Z"},
			"NetworkSettings":{"Networks":{"bridge":{"IPAddress":"172.17.0.2","Gateway":"172.17.0.1"}}}}`, id, state, running)
	}
	labelled := fmt.Sprintf(`{"Id":"lab","Names":["/x"],"State":"running","Labels":{"helios.host":"h","helios.agent":"a","helios.job":%q}}`, id)
	foreign := fmt.Sprintf(`{"Id":"for","Names":["/x"],"State":"running","Labels":{"helios.host":"h","helios.agent":"b","helios.job":%q}}`, id)
	made := func(at time.Time) string {
		return fmt.Sprintf(`{"Id":"new","Names":["/x"],"State":"created","Created":%d,"Labels":{"helios.host":"h","helios.agent":"a","helios.job":%q}}`, at.Unix(), id)
	}
	named := `{"Id":"nam","Names":["/other/alias","/helios-a-foo_bar_1_0123456_9f03c1aa"],"State":"running"}`
	for _, c := range []struct {
		name    string
		answers map[string]string
		want    supervisor.Container
		fails   bool
	}{
		{name: "the recorded one runs", answers: map[string]string{"containers/rec/json": state("rec", "running")}, want: supervisor.Container{ID: "rec", Running: true}},
		{name: "the recorded one lies there", answers: map[string]string{"containers/rec/json": state("rec", "exited"), "containers/json": "200 []"}, want: supervisor.Container{ID: "rec"}},
		{name: "the recorded one was never started", answers: map[string]string{
			"containers/rec/json": `200 {"Id":"rec","State":{"Status":"created"}}`, "containers/json": "200 []",
		}, want: supervisor.Container{ID: "rec", Unstarted: true}},
		{name: "the start of the recorded one failed", answers: map[string]string{
			"containers/rec/json": `200 {"Id":"rec","State":{"Status":"created","ExitCode":127,"Error":"no such file"}}`, "containers/json": "200 []",
		}, want: supervisor.Container{ID: "rec"}},
		{name: "another one runs with its labels", answers: map[string]string{
			"containers/rec/json": state("rec", "exited"), "containers/json": "200 [" + foreign + "," + labelled + "]", "containers/lab/json": state("lab", "running"),
		}, want: supervisor.Container{ID: "lab", Running: true}},
		{name: "another one runs with its name", answers: map[string]string{
			"containers/json": "200 [" + named + "]", "containers/nam/json": state("nam", "running"),
		}, want: supervisor.Container{ID: "nam", Running: true}},
		{name: "another one was made just now", answers: map[string]string{
			"containers/json": "200 [" + made(time.Now()) + "]", "containers/new/json": `200 {"Id":"new","State":{"Status":"created"}}`,
		}, want: supervisor.Container{ID: "new", Unstarted: true}},
		{name: "another one was made just now, and one is recorded", answers: map[string]string{
			"containers/rec/json": state("rec", "exited"), "containers/json": "200 [" + made(time.Now()) + "]",
		}, want: supervisor.Container{ID: "rec"}},
		{name: "another one was made just now, and runs by now", answers: map[string]string{
			"containers/json": "200 [" + made(time.Now()) + "]", "containers/new/json": state("new", "running"),
		}, want: supervisor.Container{ID: "new", Running: true}},
		{name: "one was made just now beside one that runs", answers: map[string]string{
			"containers/json": "200 [" + made(time.Now()) + "," + labelled + "]", "containers/lab/json": state("lab", "running"),
		}, want: supervisor.Container{ID: "lab", Running: true}},
		{name: "another one was made long ago", answers: map[string]string{
			"containers/json": "200 [" + made(time.Now().Add(-time.Hour)) + "]", "info": `200 {"ContainersRunning":0}`,
		}},
		{name: "the other one has ended meanwhile", answers: map[string]string{
			"containers/json": "200 [" + labelled + "]", "containers/lab/json": state("lab", "exited"),
		}},
		{name: "only that of another agent runs", answers: map[string]string{"containers/json": "200 [" + foreign + "]"}},
		{name: "nothing is there", answers: map[string]string{"containers/json": "200 []", "info": `200 {"Containers":2,"ContainersRunning":0}`}},
		{name: "nothing is listed, but something runs", answers: map[string]string{"containers/json": "200 []", "info": `200 {"ContainersRunning":1}`}, fails: true},
		{name: "nothing is listed, and nothing counted", answers: map[string]string{"containers/json": "200 []"}, fails: true},
		{name: "no daemon is there, but some other server", fails: true},
		{name: "a state is missing", answers: map[string]string{"containers/rec/json": `200 {"Id":"rec"}`}, fails: true},
		{name: "an id is missing", answers: map[string]string{"containers/rec/json": `200 {"State":{"Running":true}}`}, fails: true},
		{name: "a list is null", answers: map[string]string{"containers/json": "200 null"}, fails: true},
		{name: "a list breaks off", answers: map[string]string{"containers/json": "200 [" + labelled}, fails: true},
		{name: "the daemon ends", answers: map[string]string{"containers/rec/json": `503 {"message":"shutting down"}`}, fails: true},
	} {
		got, err := serve(t, daemon("1.41", c.answers)).Find(t.Context(), ref)
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		if got.Running && (got.Address != "172.17.0.2" || got.Gateway != "172.17.0.1") {
			t.Errorf("%s: at %s, %s", c.name, got.Address, got.Gateway)
		}
		got = supervisor.Container{ID: got.ID, Running: got.Running, Unstarted: got.Unstarted}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestEmptyListsAreCompared has Docker list none of a task's containers, of which none is recorded: then its whole list
// is compared with its count, of what may start or end between the two.
func TestEmptyListsAreCompared(t *testing.T) {
	t.Parallel()
	const none, other = "[]", `[{"Id":"other","State":"running"}]`
	for _, c := range []struct {
		name   string
		lists  []string // one answer after the other, the last for ever
		counts []int
		fails  bool
		asked  int // lists
	}{
		{"nothing runs", []string{none}, []int{0}, false, 1},
		{"others run", []string{other}, nil, false, 1},
		{"one starts between the list and the count", []string{none, other}, []int{1}, false, 2},
		{"one starts between them, and ends before the next list", []string{none, none}, []int{1, 0}, false, 2},
		{"that happens twice", []string{none, none, other}, []int{1, 1}, false, 3},
		{"the lists are wrong", []string{none}, []int{1}, true, 3},
	} {
		var mu sync.Mutex
		lists, counts := 0, 0
		e := serve(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			w.Header().Set("Api-Version", "1.41")
			w.Header().Set("Content-Type", "application/json")
			switch {
			case strings.HasSuffix(r.URL.Path, "/info"):
				fmt.Fprintf(w, `{"ContainersRunning":%d}`, c.counts[min(counts, len(c.counts)-1)])
				counts++
			case !strings.HasSuffix(r.URL.Path, "/containers/json"):
			case r.URL.Query().Has("filters"):
				fmt.Fprint(w, none)
			default:
				fmt.Fprint(w, c.lists[min(lists, len(c.lists)-1)])
				lists++
			}
		})
		found, err := e.Find(t.Context(), supervisor.Ref{Job: job.ID{Name: "a", Version: "1", Hash: "1"}, Host: "h", Agents: []string{"a"}})
		if c.fails != errors.Is(err, supervisor.ErrUnavailable) || !c.fails && err != nil || found.ID != "" {
			t.Errorf("%s: %+v, %v", c.name, found, err)
		}
		if lists != c.asked {
			t.Errorf("%s: %d lists were asked for, want %d", c.name, lists, c.asked)
		}
	}
}

// TestManyTasksCompareAnEmptyListOnce has many tasks ask at once on a host where nothing runs.
func TestManyTasksCompareAnEmptyListOnce(t *testing.T) {
	t.Parallel()
	const many = 40
	var counts atomic.Int32
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/info") {
			counts.Add(1)
			fmt.Fprint(w, `{"ContainersRunning":0}`)
			return
		}
		fmt.Fprint(w, "[]")
	})
	var tasks sync.WaitGroup
	for i := range many {
		tasks.Go(func() {
			ref := supervisor.Ref{Job: job.ID{Name: fmt.Sprint("job", i), Version: "1", Hash: "1"}, Host: "h", Agents: []string{"a"}}
			if _, err := e.Find(t.Context(), ref); err != nil {
				t.Error(err)
			}
		})
	}
	tasks.Wait()
	if n := counts.Load(); n > many/4 { // two, unless the machine is so busy that some come late
		t.Errorf("the daemon counted %d times for %d tasks", n, many)
	}
}

func TestPublishedPortsAreSeen(t *testing.T) {
	t.Parallel()
	e := serve(t, daemon("1.41", map[string]string{
		"containers/c/json": `200 {"Id":"c","State":{"Status":"created"},"HostConfig":{"PortBindings":{
			"8080/tcp":[{"HostIp":"","HostPort":"20017"},{"HostIp":"127.0.0.1","HostPort":"20018"}],
			"53/udp":[{"HostIp":"","HostPort":""},{"HostIp":"","HostPort":"0"},{"HostIp":"","HostPort":"8000-8010"},{"HostIp":"","HostPort":"99999"}]}}}`,
		"containers/json": `200 [{"Id":"c","State":"running","Ports":[
			{"IP":"0.0.0.0","PrivatePort":8080,"PublicPort":20017,"Type":"tcp"},{"IP":"::","PrivatePort":8080,"PublicPort":20017,"Type":"tcp"},
			{"IP":"127.0.0.1","PrivatePort":8080,"PublicPort":20018,"Type":"tcp"},{"PrivatePort":53,"Type":"udp"}]}]`,
	}))
	want := []supervisor.PublishedPort{{Protocol: "tcp", Container: 8080, Host: 20017}, {Protocol: "tcp", Container: 8080, Host: 20018}}
	c, err := e.inspect(t.Context(), "c")
	if diff := cmp.Diff(want, c.Ports); err != nil || diff != "" {
		t.Errorf("of one container: %v (-want +got):\n%s", err, diff)
	}
	list, err := e.Running(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if diff := cmp.Diff(want, list[0].Ports); diff != "" {
		t.Errorf("in a list (-want +got):\n%s", diff)
	}
}

// TestGarbageNeitherPanicsNorSpeaksOfContainers sends what no daemon would.
func TestGarbageNeitherPanicsNorSpeaksOfContainers(t *testing.T) {
	t.Parallel()
	pieces := []string{
		`{`, `}`, `[`, `]`, `null`, `"`, `,`, `:`, `"Id"`, `"State"`, `"Running"`, `true`, `1e999`, `"Networks"`, `{"NetworkSettings":{"Networks":{"a":null}}}`,
		`[null]`, `[{}]`, `{}`, "\x00", "\xff", `{"errorDetail":null}`, `{"Components":[{"Details":null}]}`, `{"State":null}`, `{"message":1}`,
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	type answer struct {
		status int
		text   string
	}
	var next atomic.Pointer[answer] // a request that was given up may still be read
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if r.URL.Path == "/_ping" {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(next.Load().status)
		fmt.Fprint(w, next.Load().text)
	})
	ref := supervisor.Ref{Container: "rec", Job: job.ID{Name: "a", Version: "1", Hash: "1"}, Host: "h", Agents: []string{"a"}}
	for range 300 {
		text, status := "", []int{200, 204, 302, 400, 404, 409, 500, 503}[rnd.IntN(8)]
		for range rnd.IntN(6) {
			text += pieces[rnd.IntN(len(pieces))]
		}
		next.Store(&answer{status, text})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if c, err := e.Find(ctx, ref); err == nil && c.Running {
			t.Errorf("%d %q: found %+v", status, text, c)
		} else if err == nil && status != 200 {
			t.Errorf("%d %q: said that there is no container", status, text)
		}
		if id, err := e.Create(ctx, supervisor.Spec{Job: &job.Job{Image: new("x")}}); err == nil && id != "" {
			t.Errorf("%d %q: created %q", status, text, id)
		}
		_ = e.Pull(ctx, "img:1")
		_ = e.Start(ctx, "x")
		_ = e.Stop(ctx, "x", 0)
		_ = e.Kill(ctx, "x")
		_, _ = e.Running(ctx)
		_, _ = e.Version(ctx)
		_, _ = e.Exec(ctx, "x", []string{"y"})
		_ = e.listen(ctx, func() {})
		cancel()
	}
}

func TestADaemonThatComesBackIsHeardAgain(t *testing.T) {
	t.Parallel()
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if strings.HasSuffix(r.URL.Path, "/events") {
			fmt.Fprint(w, `{"Type":"container","Action":"die","Actor":{"ID":"c1"}}`) // and the stream ends
		}
	})
	one, leave := e.waiter("c1")
	defer leave()
	other, leaveOther := e.waiter("c2")
	defer leaveOther()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	for range 3 { // each subscription makes all look
		for _, w := range []*waiter{one, other} {
			select {
			case <-w.word:
			case <-time.After(20 * time.Second):
				t.Fatal("nothing is heard")
			}
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run: %v", err)
	}
}

func TestWaitNoticesTheEndWithoutEvents(t *testing.T) {
	t.Parallel()
	looks := 0
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if strings.HasSuffix(r.URL.Path, "/json") {
			looks++
			fmt.Fprintf(w, `{"Id":"c1","State":{"Status":"running","Running":%v}}`, looks < 3)
		}
	})
	if ended, err := e.Wait(t.Context(), "c1"); err != nil || ended.ID != "c1" || looks != 3 {
		t.Errorf("%+v, %v after %d looks", ended, err, looks)
	}
	if len(e.waiters) > 0 {
		t.Errorf("still waiting: %v", e.waiters)
	}
	away, err := New(Options{Endpoint: "unix://" + filepath.Join(t.TempDir(), "none.sock")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := away.Wait(t.Context(), "c1"); !errors.Is(err, supervisor.ErrUnavailable) {
		t.Errorf("no daemon: %v", err)
	}
}

func TestOfConnectionsThatAllDiedOnlyOneIsWaitedFor(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	var together atomic.Bool
	behind := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		if together.Load() { // so that requests need a connection each
			all.Done()
			all.Wait()
		}
	})
	link := storetest.StartProxy(t, strings.TrimPrefix(behind.endpoint.URL, "unix://"))
	e, err := New(Options{Endpoint: "unix://" + link.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.forget)
	if err := e.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	var requests sync.WaitGroup
	all.Add(4)
	together.Store(true)
	for range 4 {
		requests.Go(func() {
			if err := e.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	requests.Wait()
	together.Store(false)
	link.Forsake()
	ping := func(ctx context.Context, cli *client.Client) error {
		_, err := cli.Ping(ctx, client.PingOptions{})
		return err
	}
	if err := e.ask(t.Context(), 200*time.Millisecond, ping); !errors.Is(err, supervisor.ErrUnavailable) {
		t.Errorf("a dead connection answers: %v", err)
	}
	if err := e.ask(t.Context(), 10*time.Second, ping); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// TestWhatDockerRefusedToStartIsRemovedIfAskedTo scripts what a daemon may say of a container that is recorded.
func TestWhatDockerRefusedToStartIsRemovedIfAskedTo(t *testing.T) {
	t.Parallel()
	const never = `200 {"Id":"c","State":{"Status":"created","ExitCode":127,"Error":"no such file","StartedAt":"0001-01-01T00:00:00Z","FinishedAt":"0001-01-01T00:00:00Z"}}`
	for _, c := range []struct {
		name, inspect string
		refuses       int // status of the answer to the removal, if not 204
		keep, removed bool
		fails         bool
	}{
		{name: "it never ran", inspect: never, removed: true},
		{name: "nobody asked for it", inspect: never, keep: true},
		{name: "it was not started yet", inspect: `200 {"Id":"c","State":{"Status":"created","StartedAt":"0001-01-01T00:00:00Z"}}`},
		{name: "it runs", inspect: `200 {"Id":"c","State":{"Status":"running","Running":true,"StartedAt":"0001-01-01T00:00:00Z"}}`},
		{name: "it has run", inspect: `200 {"Id":"c","State":{"Status":"exited","StartedAt":"2026-01-02T03:04:05Z","FinishedAt":"2026-01-02T03:04:06Z"}}`},
		{name: "it has run, and no end is told", inspect: `200 {"Id":"c","State":{"Status":"exited","ExitCode":1,"StartedAt":"2026-01-02T03:04:05Z"}}`},
		{name: "it is not told whether it ran", inspect: `200 {"Id":"c","State":{"Status":"created","ExitCode":1}}`},
		{name: "it is restarting", inspect: strings.Replace(never, `"Error"`, `"Restarting":true,"Error"`, 1)},
		{name: "another one is shown", inspect: strings.Replace(never, `"c"`, `"d"`, 1)},
		{name: "it is gone", inspect: `404 {"message":"no such container"}`},
		{name: "it began to run at the last moment", inspect: never, refuses: http.StatusConflict, removed: true},
		{name: "the daemon is about to end", inspect: never, refuses: http.StatusServiceUnavailable, removed: true, fails: true},
	} {
		var removals atomic.Int64
		e := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				if q := r.URL.Query(); !strings.HasSuffix(r.URL.Path, "/containers/c") || q.Get("v") != "1" || q.Has("force") {
					t.Errorf("%s: removed with %s", c.name, r.URL)
				}
				removals.Add(1)
				w.WriteHeader(max(c.refuses, http.StatusNoContent))
				return
			}
			daemon("1.41", map[string]string{
				"containers/c/json": c.inspect, "containers/json": "200 []", "info": `200 {"ContainersRunning":0}`,
			})(w, r)
		})
		e.opts.RemoveRefused = !c.keep
		if _, err := e.Find(t.Context(), supervisor.Ref{Container: "c"}); (err != nil) != c.fails || c.fails && !errors.Is(err, supervisor.ErrUnavailable) {
			t.Errorf("%s: %v", c.name, err)
		}
		if (removals.Load() > 0) != c.removed {
			t.Errorf("%s: removed %d times", c.name, removals.Load())
		}
	}
}
