package cliui

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/helios-go/helios/cliui/clitest"
)

// home is a home directory with a configuration.
func home(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".helios"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".helios", "config"), config)
	return dir
}

func TestTargets(t *testing.T) {
	const three = `{"masterEndpoints":["http://e1:1","http://e2:2","http://e2:2"],"domains":["foo"],"srvName":"bar"}`
	for _, c := range []struct {
		name, line, config string
		env                map[string]string
		want               []string
	}{
		{"-z", "jobs --master http://e1:1", "", nil, []string{"http://e1:1"}},
		{"-z wins over -d and keeps duplicates", "-d foo,bar -z http://e1:1 jobs -z http://e2:2 -z http://e1:1", three, nil, []string{"http://e1:1", "http://e2:2", "http://e1:1"}},
		{"-d wins over the file", "-d foo jobs", `{"masterEndpoints":["http://e1:1"]}`, nil, []string{"foo (srv: helios)"}},
		{"-d is split, without empty parts and duplicates", "-d foo,,bar jobs -d baz,foo", "", nil, []string{"foo (srv: helios)", "bar (srv: helios)", "baz (srv: helios)"}},
		{"the file names the service", "-d foo jobs", three, nil, []string{"foo (srv: bar)"}},
		{"--srv-name wins over it", "-d foo jobs --srv-name x", three, nil, []string{"foo (srv: x)"}},
		{"endpoints of the file", "jobs", three, nil, []string{"http://e1:1", "http://e2:2", "http://e2:2"}},
		{"domains of the file, deduplicated and split", "jobs", `{"masterEndpoints":[],"domains":["a,b","a"],"other":{"x":1}}`, nil, []string{"a (srv: helios)", "b (srv: helios)"}},
		{"HELIOS_MASTER as endpoint", "jobs", three, map[string]string{"HELIOS_MASTER": "http://localhost:5801"}, []string{"http://localhost:5801"}},
		{"HELIOS_MASTER as domain, with the file's service", "jobs", three, map[string]string{"HELIOS_MASTER": "domain://foo"}, []string{"foo (srv: bar)"}},
		{"-z wins over HELIOS_MASTER", "-z http://e1:1 jobs", "", map[string]string{"HELIOS_MASTER": "http://x:1"}, []string{"http://e1:1"}},
		{"null is as good as absent", "jobs", `{"masterEndpoints":null,"domains":["a"],"srvName":null}`, nil, []string{"a (srv: helios)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{"HOME": home(t, c.config)}
			for name, value := range c.env {
				env[name] = value
			}
			s := newSession(Options{LookupEnv: func(name string) (string, bool) { value, ok := env[name]; return value, ok }})
			var got []string
			app := s.app()
			words, err := s.syntax.Normalize(strings.Fields(c.line))
			if err != nil {
				t.Fatal(err)
			}
			for _, command := range app.Commands {
				command.Action = func(flags *cli.Context) error {
					targets, err := s.targets(flags)
					for _, target := range targets {
						got = append(got, target.String())
					}
					return err
				}
			}
			if err := app.RunContext(t.Context(), append([]string{"helios"}, words...)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestABrokenConfigurationIsAWarningWhereItIsNotNeeded(t *testing.T) {
	endpoint := scripted(t, exchange{request: "GET /masters/", answer: `["m"]`})
	env := map[string]string{"HOME": home(t, "{"), "HELIOS_MASTER": "foo"}
	got := run(t, []string{"masters", "-z", endpoint}, env, "")
	if got.Exit != 0 || got.Stdout != "m.\n" || strings.Count(got.Stderr, "helios: warning: ") != 2 {
		t.Errorf("-z: %+v", got)
	}
	got = run(t, []string{"--version"}, env, "")
	if got.Exit != 0 || got.Stdout != "Spotify Helios CLI 0.9.283\nTested on Docker 17.05.0-ce\n" || strings.Count(got.Stderr, "helios: warning: ") != 2 {
		t.Errorf("--version: %+v", got)
	}
}

func TestALiveSoloIsUsedWhereNothingElseNamesAMaster(t *testing.T) {
	state := t.TempDir()
	file := filepath.Join(state, "helios", "solo", "client.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	endpoint := scripted(t, exchange{request: "GET /masters/", answer: `["solo"]`})
	write(t, file, `{"masterEndpoints":["`+endpoint+`"]}`)
	env := map[string]string{"HOME": home(t, ""), "XDG_STATE_HOME": state}

	if got := run(t, []string{"masters"}, env, ""); got.Exit != 1 || !strings.Contains(got.Stderr, "no masters specified") {
		t.Errorf("a dead solo's file was used: %+v", got)
	}

	holder := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldLock$")
	holder.Env = append(os.Environ(), "HELIOS_TEST_LOCK="+file)
	ready, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	release, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"HOME": home(t, `{"masterEndpoints":["http://127.0.0.1"]}`), "XDG_STATE_HOME": state}
	if got := run(t, []string{"masters"}, other, ""); !strings.HasPrefix(got.Stderr, "Master endpoints must be") {
		t.Errorf("the configuration does not win over the solo: %+v", got)
	}
	if got := run(t, []string{"masters"}, env, ""); got.Exit != 0 || got.Stdout != "solo.\n" {
		t.Errorf("the live solo was not used: %+v", got)
	}
	_ = release.Close()
	_ = holder.Wait()
}

// TestHoldLock is the process of a solo for the test above: locks of a process
// do not exclude itself.
func TestHoldLock(t *testing.T) {
	path := os.Getenv("HELIOS_TEST_LOCK")
	if path == "" {
		t.Skip("only runs as a child process")
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.FcntlFlock(file.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString("!")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// nameServer answers with these records ("name type data") and knows no other
// names; servfail.* fails. It returns a resolver that asks it.
func nameServer(t *testing.T, records ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	zone := map[dns.Question][]dns.RR{}
	for _, record := range records {
		rr, err := dns.NewRR(record)
		if err != nil {
			t.Fatal(err)
		}
		question := dns.Question{Name: rr.Header().Name, Qtype: rr.Header().Rrtype, Qclass: dns.ClassINET}
		zone[question] = append(zone[question], rr)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		answer := new(dns.Msg).SetReply(r)
		answer.Answer = zone[r.Question[0]]
		switch {
		case strings.Contains(r.Question[0].Name, "servfail"):
			answer.Rcode = dns.RcodeServerFailure
		case len(answer.Answer) == 0:
			answer.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(answer)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ActivateAndServe()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func TestDomains(t *testing.T) {
	newDomain := func(t *testing.T, exchanges ...exchange) (port string, resolver func(*Options)) {
		endpoint := scripted(t, exchanges...)
		port = endpoint[strings.LastIndex(endpoint, ":")+1:]
		r := nameServer(t,
			"_helios._http.a.example.net. IN SRV 0 0 "+port+" m1.a.example.net.",
			"_other._http.a.example.net. IN SRV 0 0 "+port+" m1.a.example.net.",
			"x-helios.a.example.net. IN SRV 0 0 "+port+" m1.a.example.net.",
			"m1.a.example.net. IN A 127.0.0.1",
			"_helios._http.gone.example.net. IN SRV 0 0 1 nowhere.example.net.",
		)
		return port, func(o *Options) { o.Resolver = r }
	}
	masters := exchange{request: "GET /masters/", answer: `["m1.example.com"]`}
	for _, c := range []struct {
		name      string
		args      []string
		env       map[string]string
		exchanges []exchange
		want      clitest.Result
	}{
		{
			name: "one", args: []string{"masters", "-d", "a.example.net"}, exchanges: []exchange{masters},
			want: clitest.Result{Stdout: "m1.example.com.\n"},
		},
		{
			name: "another service", args: []string{"masters", "-d", "a.example.net", "--srv-name=other"}, exchanges: []exchange{masters},
			want: clitest.Result{Stdout: "m1.example.com.\n"},
		},
		{
			name: "another form of the query", args: []string{"masters", "-d", "a.example.net"}, exchanges: []exchange{masters},
			env:  map[string]string{"HELIOS_HTTP_SRV_FORMAT": "x-%s.%s"},
			want: clitest.Result{Stdout: "m1.example.com.\n"},
		},
		{
			name: "SYS-079 one without masters", args: []string{"jobs", "--no-log-setup", "-d", "bogusdomain"},
			want: clitest.Result{Exit: 1, Stderr: "Failed to resolve helios master in bogusdomain (srv: helios)\n"},
		},
		{
			name: "one whose name server fails", args: []string{"jobs", "-d", "servfail.example.net"},
			want: clitest.Result{Exit: 1, Stderr: "Failed to resolve helios master in servfail.example.net (srv: helios)\n"},
		},
		{
			name: "one whose masters have no address", args: []string{"masters", "-d", "gone.example.net", "--retry-timeout", "0"},
			want: clitest.Result{Exit: 1, Stderr: "no endpoints found to connect to, check your configuration\n"},
		},
		{
			name: "several", args: []string{"masters", "-d", "nores.example.net,a.example.net"}, exchanges: []exchange{masters},
			want: clitest.Result{
				Exit: 1, Stderr: "Failed to resolve helios master in nores.example.net (srv: helios)\n",
				Stdout: "nores.example.net ([])\n----------------------\n\na.example.net ([http://m1.a.example.net.:PORT])\n-----------------------------------------------\nm1.example.com.\n\n",
			},
		},
		{
			name: "several as JSON", args: []string{"masters", "-d", "nores.example.net,a.example.net", "--json"}, exchanges: []exchange{masters},
			want: clitest.Result{
				Exit: 1, Stderr: "Failed to resolve helios master in nores.example.net (srv: helios)\n",
				Stdout: "{\n\"nores.example.net\": \nnull\n,\n\n\"a.example.net\": \n[ \"m1.example.com.\" ]\n}\n",
			},
		},
		{
			name: "status names the domains", args: []string{"status", "--host", "nomatch", "-d", "a.example.net"},
			exchanges: []exchange{{request: "GET /jobs?hostPattern=nomatch", answer: `{}`}, {request: "POST /jobs/statuses", answer: `{}`}},
			want: clitest.Result{Exit: 1, Stdout: "There are no jobs deployed to hosts with the host pattern 'nomatch'\n" +
				"Run 'helios -d a.example.net hosts nomatch' to check your host exists and is up.\n"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			port, resolver := newDomain(t, c.exchanges...)
			got := run(t, c.args, c.env, "", resolver)
			ruler := strings.Repeat("-", len("a.example.net ([http://m1.a.example.net.:])")+len(port)) + "\n"
			c.want.Stdout = strings.ReplaceAll(strings.ReplaceAll(c.want.Stdout, "PORT", port), strings.Repeat("-", 47)+"\n", ruler)
			if c.name == "one whose masters have no address" { // a warning says which name
				got.Stderr = got.Stderr[strings.Index(got.Stderr, "\n")+1:]
			}
			if got != c.want {
				t.Errorf("got\n%+v\nwant\n%+v", got, c.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	roles := func(o *Options) { o.Roles = []Command{{Name: "solo", Summary: "a whole cluster in one process"}} }
	got := run(t, nil, nil, "", roles)
	if got.Exit != 1 || got.Stderr != "" || !strings.HasPrefix(got.Stdout, "usage: helios ") {
		t.Errorf("without arguments: %+v", got)
	}
	if again := run(t, []string{"--help"}, nil, "", roles); again.Exit != 0 || again.Stderr != "" || again.Stdout != got.Stdout {
		t.Errorf("--help: %+v", again)
	}
	for _, c := range clientSyntax(nil).Commands {
		if shown := strings.Contains(got.Stdout, "\n  "+c.Name+" "); shown != c.known() {
			t.Errorf("%s is shown: %t", c.Name, shown)
		}
		help := run(t, []string{c.Name, "-h"}, nil, "")
		if help.Exit != 0 || help.Stderr != "" || !strings.HasPrefix(help.Stdout, "usage: helios "+c.Name+" ") {
			t.Errorf("%s -h: %+v", c.Name, help)
		}
		for line := range strings.Lines(help.Stdout) {
			if len(line) > helpWidth+1 {
				t.Errorf("%s -h: too long: %s", c.Name, line)
			}
		}
	}
	if !strings.Contains(got.Stdout, "\n  solo                  a whole cluster in one process\n") {
		t.Errorf("the role is not shown:\n%s", got.Stdout)
	}
}

func TestCompletionNamesCommands(t *testing.T) {
	defer func(args []string) { os.Args = args }(os.Args)
	os.Args = []string{"helios", completionFlag} // urfave/cli looks at it itself
	got := run(t, []string{completionFlag}, nil, "")
	if got.Exit != 0 || !strings.Contains(got.Stdout, "hosts\n") || strings.Contains(got.Stdout, "rolling-update\n") {
		t.Errorf("%+v", got)
	}
}

func TestAnInterruptedCommandEndsWith130(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := Options{Version: "0.9.283", LookupEnv: func(string) (string, bool) { return "", false }, User: "root"}
	s.Streams.Out, s.Streams.Err = &strings.Builder{}, &strings.Builder{}
	if exit := Run(ctx, []string{"masters", "-z", "http://127.0.0.1:1"}, s); exit != 130 {
		t.Errorf("exit %d", exit)
	}
}
