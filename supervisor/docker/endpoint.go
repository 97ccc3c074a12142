package docker

import (
	"fmt"
	"net"
	"strings"
)

// Endpoint is where a Docker daemon listens.
type Endpoint struct {
	// URL is the endpoint as host information shows it: "unix://…" as given, or "tcp://<host>:<port>".
	URL string
	// Address is the host to find published ports on: "localhost" for a unix socket.
	Address string
	// Socket tells that it is a unix socket: certificates do not apply.
	Socket bool
}

// DefaultEndpoint is used when none is given.
const DefaultEndpoint = "unix:///var/run/docker.sock"

// ParseEndpoint reads an endpoint: "unix://<path>", or "[<scheme>://]<host>[:<port>]" with port 2375 and host localhost
// where they are missing (testdata/spec/4-agent.md §9.1). Empty means [DefaultEndpoint].
func ParseEndpoint(s string) (Endpoint, error) {
	if s == "" {
		s = DefaultEndpoint
	}
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if path == "" {
			return Endpoint{}, fmt.Errorf("docker endpoint %q: no path", s)
		}
		return Endpoint{URL: s, Address: "localhost", Socket: true}, nil
	}
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		if scheme != "tcp" && scheme != "http" && scheme != "https" {
			return Endpoint{}, fmt.Errorf("docker endpoint %q: the scheme must be unix, tcp, http or https", s)
		}
		rest = after
	}
	rest = strings.TrimSuffix(rest, "/")
	host, port, err := net.SplitHostPort(rest)
	if err != nil {
		host, port = strings.Trim(rest, "[]"), ""
	}
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "2375"
	}
	if _, err := net.LookupPort("tcp", port); err != nil || strings.ContainsAny(host, "/ @?#") {
		return Endpoint{}, fmt.Errorf("docker endpoint %q: not a unix:// path or host:port", s)
	}
	return Endpoint{URL: "tcp://" + net.JoinHostPort(host, port), Address: host}, nil
}
