package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// ErrEndpoint is the refusal of a master's address that is not of the form http://HOST:PORT or https://HOST:PORT.
//
//lint:ignore ST1005 the original's text
var ErrEndpoint = errors.New(`Master endpoints must be of the form "[http|https]://<hostname>:<port>"`)

// ErrNoMasters is the failure of a client none of whose masters has an address that resolves.
var ErrNoMasters = errors.New("no endpoints found to connect to, check your configuration")

// endpoint is a master as configured. A path is kept as prefix of every request's path (http §12.1, §12.3).
type endpoint struct {
	scheme string // http or https
	host   string // name or address, as configured
	port   string
	prefix string // "" or "/some/path", without trailing slash
}

// place is one address of one endpoint: what an attempt connects to.
type place struct {
	endpoint
	address string // IP address and port
}

func parseEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Port() == "" {
		return endpoint{}, ErrEndpoint
	}
	if u.Scheme != "http" && u.Scheme != "https" { // url.Parse has lowered its case
		return endpoint{}, ErrEndpoint
	}
	return endpoint{scheme: u.Scheme, host: u.Hostname(), port: u.Port(), prefix: strings.TrimRight(u.EscapedPath(), "/")}, nil
}

func parseEndpoints(texts []string) ([]endpoint, error) {
	var endpoints []endpoint
	for _, text := range texts {
		e, err := parseEndpoint(text)
		if err != nil {
			return nil, err
		}
		endpoints = append(endpoints, e)
	}
	return endpoints, nil
}

// serverName is the name that the master's certificate is verified against.
func (e endpoint) serverName() string { return strings.TrimSuffix(e.host, ".") }

// resolve lists the addresses of the endpoints, in order. Names that do not resolve are skipped and reported in the
// error, beside what could be resolved.
func resolve(ctx context.Context, resolver *net.Resolver, endpoints []endpoint) ([]place, error) {
	var places []place
	var problems []error
	for _, e := range endpoints {
		addresses, err := resolver.LookupNetIP(ctx, "ip", e.host)
		if err != nil {
			problems = append(problems, fmt.Errorf("resolve %s: %w", e.host, err))
			continue
		}
		for _, a := range addresses {
			places = append(places, place{e, net.JoinHostPort(a.Unmap().String(), e.port)})
		}
	}
	return places, errors.Join(problems...)
}

// Domain is where masters are found by DNS: SRV records of _SERVICE._https.NAME or, when there are none, of
// _SERVICE._http.NAME (http §12.1).
type Domain struct {
	Name    string
	Service string // "" means helios
	// HTTPSFormat and HTTPFormat replace "_%s._https.%s" and "_%s._http.%s"; the first %s is the service, the second
	// the domain.
	HTTPSFormat, HTTPFormat string
	Resolver                *net.Resolver // nil: the system's
}

// dnsTimeout bounds one query.
const dnsTimeout = 5 * time.Second

// Masters looks the domain's masters up, as endpoints with the target's name as recorded, trailing dot included, the
// preferred ones first by their records' priority and weight. A domain without records has no masters, which is no
// error; a DNS server that fails or is silent is one, and does not lead to the second query.
func (d Domain) Masters(ctx context.Context) ([]string, error) {
	service := d.Service
	if service == "" {
		service = "helios"
	}
	for _, q := range []struct{ scheme, format, fallback string }{
		{"https", d.HTTPSFormat, "_%s._https.%s"},
		{"http", d.HTTPFormat, "_%s._http.%s"},
	} {
		format := q.format
		if format == "" {
			format = q.fallback
		}
		records, err := d.lookup(ctx, fill(format, service, d.Name))
		if err != nil {
			return nil, err
		}
		var masters []string
		for _, r := range records {
			masters = append(masters, fmt.Sprintf("%s://%s:%d", q.scheme, r.Target, r.Port))
		}
		if len(masters) > 0 {
			return masters, nil
		}
	}
	return nil, nil
}

func (d Domain) lookup(ctx context.Context, name string) ([]*net.SRV, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dnsTimeout, fmt.Errorf("look up %s: no answer in %s", name, dnsTimeout))
	defer cancel()
	_, records, err := d.Resolver.LookupSRV(ctx, "", "", name)
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return nil, nil
	}
	if err != nil && len(records) == 0 { // unusable records beside usable ones are left out
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	return records, nil
}

// fill puts the two values into the first two %s of a format. The format is a user's text, so it is not given to fmt.
func fill(format, service, domain string) string {
	format = strings.Replace(format, "%s", service, 1)
	return strings.Replace(format, "%s", domain, 1)
}
