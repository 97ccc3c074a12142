package cliui

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/httpapi/client"
)

// target is one cluster to talk to: an endpoint as typed, or a domain whose
// masters DNS knows.
type target struct {
	name   string
	domain bool
	srv    string // the service name, of a domain
}

// String describes the target in messages.
func (t target) String() string {
	if t.domain {
		return fmt.Sprintf("%s (srv: %s)", t.name, t.srv)
	}
	return t.name
}

// resolve finds the endpoints of the target's masters.
func (t target) resolve(ctx context.Context, s *session) ([]string, error) {
	if !t.domain {
		return []string{t.name}, nil
	}
	return t.lookup(s).Masters(ctx)
}

// refresh is how a client finds the masters anew; nil for an endpoint.
func (t target) refresh(s *session) func(context.Context) ([]string, error) {
	if !t.domain {
		return nil
	}
	return t.lookup(s).Masters
}

func (t target) lookup(s *session) client.Domain {
	https, _ := s.opts.LookupEnv("HELIOS_HTTPS_SRV_FORMAT")
	http, _ := s.opts.LookupEnv("HELIOS_HTTP_SRV_FORMAT")
	return client.Domain{Name: t.name, Service: t.srv, HTTPSFormat: https, HTTPFormat: http, Resolver: s.opts.Resolver}
}

// targets decides which clusters a command is for. The first of these that
// names any counts alone: -z, -d, HELIOS_MASTER or the file's endpoints, its
// domains, a live solo (testdata/spec/5-cli.md §4.3, 0-decisions 17). Naming
// none is an error.
func (s *session) targets(flags *cli.Context) ([]target, error) {
	c := s.configuration()
	if endpoints := flags.StringSlice("master"); len(endpoints) > 0 {
		c.warn(s)
		return endpointTargets(endpoints)
	}
	if flags.IsSet("domains") {
		return s.domainTargets(flags, c, flags.StringSlice("domains"))
	}
	if c.fromEnv {
		if c.envErr != nil {
			return nil, c.envErr
		}
		if len(c.env.domains) > 0 {
			return s.domainTargets(flags, c, c.env.domains)
		}
		c.warn(s)
		return endpointTargets(c.env.endpoints)
	}
	if c.fileErr != nil {
		return nil, c.fileErr
	}
	if len(c.file.endpoints) > 0 {
		return endpointTargets(c.file.endpoints)
	}
	if len(c.file.domains) > 0 {
		return s.domainTargets(flags, c, c.file.domains)
	}
	if endpoints := liveSolo(s.soloFile()); len(endpoints) > 0 {
		return endpointTargets(endpoints)
	}
	return nil, errNoMasters
}

var errNoMasters = &SyntaxError{
	Message: "no masters specified.  Use the -z or -d option to specify which helios cluster/master to connect to",
	Hint:    "start a cluster on this machine with 'helios solo', or name a master with -z",
}

func endpointTargets(endpoints []string) ([]target, error) {
	var targets []target
	for _, endpoint := range endpoints {
		if !isURI(endpoint) {
			return nil, fmt.Errorf("master endpoint %q is not a valid URI", endpoint)
		}
		targets = append(targets, target{name: endpoint})
	}
	return targets, nil
}

// domainTargets splits lists of domains at commas; each domain counts once.
// The service name comes from --srv-name, else from the file, which is then
// needed.
func (s *session) domainTargets(flags *cli.Context, c configuration, lists []string) ([]target, error) {
	srv := flags.String("srv-name")
	if !flags.IsSet("srv-name") {
		if c.fileErr != nil {
			return nil, c.fileErr
		}
		srv = cmp.Or(c.file.srvName, "helios")
	}
	c.warn(s)
	var targets []target
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			t := target{name: name, domain: true, srv: srv}
			if name != "" && !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	if len(targets) == 0 {
		return nil, errNoMasters
	}
	return targets, nil
}

var (
	schemeSyntax = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`)
	notInURI     = regexp.MustCompile("[\\x00-\\x20\\x7f\"<>\\\\^`{|}]|%(?:[^0-9A-Fa-f]|[0-9A-Fa-f][^0-9A-Fa-f]|.?$)")
)

// isURI says whether a text is a URI at all. What kind of one a master's
// endpoint must be is for the HTTP client to say.
func isURI(text string) bool {
	head, _, _ := strings.Cut(text, "/")
	scheme, _, colon := strings.Cut(head, ":")
	return text != "" && !notInURI.MatchString(text) && (!colon || schemeSyntax.MatchString(scheme))
}
