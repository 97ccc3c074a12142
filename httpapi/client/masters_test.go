package client

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// resolver asks a name server that knows the given names: addresses by name with a dot at the end, SRV records by name
// as "PRIORITY WEIGHT PORT TARGET", several separated by commas; "!" is a failure of the server.
func resolver(t *testing.T, records map[string]string) *net.Resolver {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		var m dns.Msg
		m.SetReply(q)
		question := q.Question[0]
		value, known := records[strings.ToLower(question.Name)]
		switch {
		case !known:
			m.Rcode = dns.RcodeNameError
		case value == "!":
			m.Rcode = dns.RcodeServerFailure
		case question.Qtype == dns.TypeSRV:
			for record := range strings.SplitSeq(value, ",") {
				rr, err := dns.NewRR(question.Name + " 1 IN SRV " + record)
				if err != nil {
					panic(err)
				}
				m.Answer = append(m.Answer, rr)
			}
		case question.Qtype == dns.TypeA:
			rr, _ := dns.NewRR(question.Name + " 1 IN A " + value)
			m.Answer = append(m.Answer, rr)
		}
		_ = w.WriteMsg(&m)
	})}
	started := make(chan struct{})
	srv.NotifyStartedFunc = func() { close(started) }
	done := make(chan error, 1)
	go func() { done <- srv.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		_ = srv.Shutdown()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", socket.LocalAddr().String())
	}}
}

func TestMastersOfADomain(t *testing.T) {
	names := resolver(t, map[string]string{
		"_helios._https.example.com.": "20 0 443 master3.example.com.,10 0 443 master1.example.com.",
		"_helios._http.example.com.":  "0 0 80 never.example.com.",
		"_helios._http.plain.net.":    "0 0 80 master1.plain.net.",
		"_other._http.plain.net.":     "0 0 81 m.plain.net.",
		"_helios._https.broken.net.":  "!",
		"_helios._http.broken.net.":   "0 0 80 never.broken.net.",
		"https-other-plain.net.":      "0 0 82 m.plain.net.",
	})
	for _, c := range []struct {
		name   string
		domain Domain
		want   []string
		fails  bool
	}{
		{"the https records by priority", Domain{Name: "example.com"}, []string{"https://master1.example.com.:443", "https://master3.example.com.:443"}, false},
		{"http only if there are none", Domain{Name: "plain.net"}, []string{"http://master1.plain.net.:80"}, false},
		{"another service", Domain{Name: "plain.net", Service: "other"}, []string{"http://m.plain.net.:81"}, false},
		{"another format", Domain{Name: "plain.net", Service: "other", HTTPSFormat: "https-%s-%s"}, []string{"https://m.plain.net.:82"}, false},
		{"no records are no masters", Domain{Name: "nothing.net"}, nil, false},
		{"a failing server is no absence", Domain{Name: "broken.net"}, nil, true},
	} {
		c.domain.Resolver = names
		got, err := c.domain.Masters(t.Context())
		if !slices.Equal(got, c.want) || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}
