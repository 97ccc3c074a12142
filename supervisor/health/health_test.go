package health

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/helios-go/helios/store/job"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mapping(internal, external int) map[string]job.PortMapping {
	return map[string]job.PortMapping{"p": {InternalPort: int32(internal), ExternalPort: new(int32(external)), Protocol: "tcp"}}
}

func port(t *testing.T, address net.Addr) int {
	t.Helper()
	return address.(*net.TCPAddr).Port
}

func TestHTTPChecks(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for _, status := range []int{200, 204, 304, 399, 400, 404, 500, 503} {
		mux.HandleFunc("/"+strconv.Itoa(status), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	redirect := func(path, to string) { mux.Handle(path, http.RedirectHandler(to, http.StatusFound)) }
	redirect("/good", "/200")
	redirect("/bad", "/500")
	redirect("/round", "/round")
	redirect("/secure", "https://127.0.0.1:1/")
	mux.HandleFunc("/breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "a=b" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	p := Prober{Host: "localhost"}
	target := Target{Ports: mapping(80, port(t, server.Listener.Addr()))}
	for path, healthy := range map[string]bool{
		"/200": true, "/204": true, "/304": true, "/399": true, "/400": false, "/404": false, "/500": false, "/503": false,
		"/good": true, "/bad": false, "/round": false, "/secure": true, "/breaks": false, "/query?a=b": true, "/%zz": false,
	} {
		err := p.Probe(t.Context(), job.HealthCheck{Type: job.CheckHTTP, Path: &path, Port: new("p")}, target)
		if (err == nil) != healthy {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestWherePortsAreFound(t *testing.T) {
	t.Parallel()
	gateway := Target{Ports: mapping(80, 20000), Address: "172.17.0.2", Gateway: "172.17.0.1"}
	noGateway := Target{Ports: mapping(80, 20000), Address: "172.17.0.2"}
	hostNetwork := Target{Ports: mapping(80, 20000)}
	for name, c := range map[string]struct {
		host   string
		inside bool
		check  job.CheckType
		target Target
		want   string
	}{
		"http through the published port":              {"localhost", false, job.CheckHTTP, gateway, "localhost:20000"},
		"http from within a container":                 {"localhost", true, job.CheckHTTP, gateway, "172.17.0.1:20000"},
		"http of a remote Docker, from a container":    {"192.0.2.1", true, job.CheckHTTP, gateway, "192.0.2.1:20000"},
		"tcp never through loopback":                   {"localhost", false, job.CheckTCP, gateway, "172.17.0.1:20000"},
		"tcp of a remote Docker":                       {"192.0.2.1", false, job.CheckTCP, gateway, "192.0.2.1:20000"},
		"tcp on IPv6 loopback":                         {"::1", false, job.CheckTCP, gateway, "172.17.0.1:20000"},
		"tcp without a gateway: the container itself":  {"localhost", false, job.CheckTCP, noGateway, "172.17.0.2:80"},
		"tcp in the network of the host: its own port": {"localhost", false, job.CheckTCP, hostNetwork, "localhost:80"},
	} {
		p := Prober{Host: c.host, Inside: c.inside}
		got, err := p.address(t.Context(), job.HealthCheck{Type: c.check, Port: new("p")}, c.target, c.inside || c.check == job.CheckTCP)
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, c.want)
		}
	}
}

func TestTCPChecks(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := port(t, l.Addr())
	p := Prober{Host: "localhost"}
	check := job.HealthCheck{Type: job.CheckTCP, Port: new("p")}
	target := Target{Ports: mapping(open, open), Gateway: "127.0.0.1"}
	if err := p.Probe(t.Context(), check, target); err != nil {
		t.Errorf("an open port: %v", err)
	}
	l.Close()
	if err := p.Probe(t.Context(), check, target); err == nil {
		t.Error("a closed port is healthy")
	}
	p.Host = "no such host.invalid"
	if err := p.Probe(t.Context(), check, target); err == nil {
		t.Error("a host that cannot be resolved is healthy")
	}
}

func TestExecChecks(t *testing.T) {
	t.Parallel()
	check := job.HealthCheck{Type: job.CheckExec, Command: []string{"test", "-e", "file"}}
	for name, c := range map[string]struct {
		code    int
		err     error
		healthy bool
	}{
		"status 0": {healthy: true}, "status 2": {code: 2}, "docker fails": {err: errors.New("not running")},
	} {
		p := Prober{Exec: func(_ context.Context, container string, command []string) (int, error) {
			if container != "c1" || strings.Join(command, " ") != "test -e file" {
				t.Errorf("%s in %s", command, container)
			}
			return c.code, c.err
		}}
		if err := p.Probe(t.Context(), check, Target{Container: "c1"}); (err == nil) != c.healthy {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChecksThatMakeNoSenseAreNotHealthy(t *testing.T) {
	t.Parallel()
	p := Prober{Host: "localhost"}
	for name, check := range map[string]job.HealthCheck{
		"no type":        {},
		"no command":     {Type: job.CheckExec},
		"no path":        {Type: job.CheckHTTP, Port: new("p")},
		"no port":        {Type: job.CheckTCP},
		"no http port":   {Type: job.CheckHTTP, Path: new("/")},
		"another port":   {Type: job.CheckTCP, Port: new("q")},
		"another's path": {Type: job.CheckHTTP, Port: new("p"), Path: new("://")},
	} {
		if err := p.Probe(t.Context(), check, Target{Ports: mapping(1, 1)}); err == nil {
			t.Errorf("%s is healthy", name)
		}
	}
}
