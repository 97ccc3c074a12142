package announce

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/job"
)

// TestDomains holds the vectors of 4-agent.md §13 and 6-operations.md §6.4.
func TestDomains(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ agent, job, want string }{
		{"example.com", "", "example.com"},
		{"example.com", "sub", "sub.example.com"},
		{"example.com", "abs.org.", "abs.org."},
		{"example.com", "foo.bar.", "foo.bar."},
		{"", "sub", "sub."},
		{"", "", ""},
	} {
		if got := Domain(c.agent, c.job); got != c.want {
			t.Errorf("%q below %q: %q, want %q", c.job, c.agent, got, c.want)
		}
	}
}

func service(name, protocol string) job.Endpoint {
	return job.Endpoint{Service: name, Protocol: protocol}
}

func ports(names ...string) job.ServicePorts {
	s := job.ServicePorts{Ports: map[string]*job.ServicePortParameters{}}
	for _, name := range names {
		s.Ports[name] = nil
	}
	return s
}

func mapped(external int32) job.PortMapping {
	return job.PortMapping{InternalPort: 8080, ExternalPort: &external, Protocol: "tcp"}
}

// TestHealthChecksOfEndpoints holds the vectors of both documents.
func TestHealthChecksOfEndpoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		check *job.HealthCheck
		want  *Check
	}{
		{"http on this port", &job.HealthCheck{Type: job.CheckHTTP, Path: new("/health"), Port: new("default-port")}, &Check{job.CheckHTTP, "/health"}},
		{"tcp on this port", &job.HealthCheck{Type: job.CheckTCP, Port: new("default-port")}, &Check{Type: job.CheckTCP}},
		{"tcp on another port", &job.HealthCheck{Type: job.CheckTCP, Port: new("other")}, nil},
		{"a command", &job.HealthCheck{Type: job.CheckExec, Command: []string{"true"}}, nil},
		{"http without a path", &job.HealthCheck{Type: job.CheckHTTP, Port: new("default-port")}, nil},
		{"none", nil, nil},
	} {
		got, errs := Container(job.TaskStatus{
			Job: job.Job{
				Registration: map[job.Endpoint]job.ServicePorts{service("service", "http"): ports("default-port")},
				HealthCheck:  c.check,
			},
			Ports: map[string]job.PortMapping{"default-port": mapped(20000)},
		}, "host1", "")
		want := Registration{[]Endpoint{{Name: "service", Protocol: "http", Port: 20000, Host: "host1", Check: c.want}}}
		if diff := cmp.Diff(want, got); diff != "" || errs != nil {
			t.Errorf("%s: %v %s", c.name, errs, diff)
		}
	}
}

func TestEachPortOfEachServiceIsAnEndpoint(t *testing.T) {
	t.Parallel()
	tagged := ports("a")
	tagged.Ports["a"] = &job.ServicePortParameters{Tags: []string{"x", "y"}}
	got, errs := Container(job.TaskStatus{
		Job: job.Job{
			Registration: map[job.Endpoint]job.ServicePorts{
				service("web", "http"): ports("a", "b", "unmapped"), service("web", "hm"): tagged, service("db", "tcp"): ports("waiting"),
			},
			RegistrationDomain: "sub",
		},
		Ports: map[string]job.PortMapping{"a": mapped(1), "b": mapped(2), "waiting": {InternalPort: 8080}},
	}, "host1", "example.com")
	endpoint := func(protocol string, port int, tags []string) Endpoint {
		return Endpoint{Name: "web", Protocol: protocol, Port: port, Domain: "sub.example.com", Host: "host1", Tags: tags}
	}
	want := Registration{[]Endpoint{endpoint("hm", 1, []string{"x", "y"}), endpoint("http", 1, nil), endpoint("http", 2, nil)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(errs) != 2 || errs[0].Error() != `service db/tcp: port "waiting" has no port of the host` {
		t.Errorf("errors %v", errs)
	}
	if got, errs := Container(job.TaskStatus{}, "host1", ""); len(got.Endpoints) != 0 || errs != nil {
		t.Errorf("a job without services: %+v, %v", got, errs)
	}
}
