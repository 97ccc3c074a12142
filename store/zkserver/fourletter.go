package zkserver

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// version is what the server calls itself where clients look for ZooKeeper's version.
const version = "3.8.0-helios"

// builtOn is in the format that clients parse; it says nothing.
const builtOn = "01/01/2026 00:00 GMT"

// packets counts the frames of connections that have ended.
type packets struct{ received, sent int64 }

// latency is how long changes have taken, from the request to its answer. Reads wait for no disk and are not measured.
type latency struct {
	count              int64
	total, least, most time.Duration
}

func (l *latency) add(took time.Duration) {
	if l.count == 0 || took < l.least {
		l.least = took
	}
	l.count, l.total, l.most = l.count+1, l.total+took, max(l.most, took)
}

// average is in milliseconds, as clients parse it.
func (l *latency) average() float64 {
	return float64(l.total.Microseconds()) / 1000 / float64(max(l.count, 1))
}

// fourLetterWord answers the commands that ZooKeeper takes in place of a connect request. ok is false for anything else.
func (s *Server) fourLetterWord(word string) (answer string, ok bool) {
	switch word {
	case "ruok":
		return "imok", true
	case "isro":
		return "rw", true
	case "srvr":
		return s.srvr(""), true
	case "stat":
		return s.srvr(s.clients()), true
	case "mntr":
		return s.mntr(), true
	case "envi":
		return envi(), true
	}
	for _, other := range []string{"conf", "cons", "crst", "dirs", "dump", "gtmk", "hash", "lead", "orst", "reqs", "srst", "stmk", "wchc", "wchp", "wchs"} {
		if word == other {
			return word + " is not executed because it is not in the whitelist.\n", true
		}
	}
	return "", false
}

func (s *Server) srvr(clients string) string {
	p := s.pipeline
	p.mu.RLock()
	zxid, nodes, took := p.tree.zxid, p.tree.nodes, p.latency
	p.mu.RUnlock()
	count := s.packets()
	var b strings.Builder
	fmt.Fprintf(&b, "Zookeeper version: %s, built on %s\n", version, builtOn)
	if clients != "" {
		fmt.Fprintf(&b, "Clients:\n%s\n", clients)
	}
	fmt.Fprintf(&b, "Latency min/avg/max: %d/%.4f/%d\nReceived: %d\nSent: %d\nConnections: %d\nOutstanding: %d\nZxid: 0x%x\nMode: standalone\nNode count: %d\n",
		took.least.Milliseconds(), took.average(), took.most.Milliseconds(), count.received, count.sent, s.connections(), p.outstanding(), zxid, nodes)
	return b.String()
}

func (s *Server) clients() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for c := range s.conns {
		fmt.Fprintf(&b, " /%s[1](queued=%d,recved=%d,sent=%d)\n", c.nc.RemoteAddr(), c.out.outstanding(), c.received.Load(), c.sent.Load())
	}
	return b.String()
}

// packets are the frames of all connections since the start.
func (s *Server) packets() packets {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := s.gone
	for c := range s.conns {
		total.received, total.sent = total.received+c.received.Load(), total.sent+c.sent.Load()
	}
	return total
}

func (s *Server) mntr() string {
	count := s.packets()
	p := s.pipeline
	p.mu.RLock()
	nodes, bytes, ephemerals, took := p.tree.nodes, p.tree.bytes, 0, p.latency
	for _, paths := range p.tree.ephemerals {
		ephemerals += len(paths)
	}
	p.mu.RUnlock()
	watches := p.watches.count()
	var b strings.Builder
	for _, line := range []struct {
		key   string
		value any
	}{
		{"version", version},
		{"server_state", "standalone"},
		{"avg_latency", fmt.Sprintf("%.4f", took.average())},
		{"max_latency", took.most.Milliseconds()},
		{"min_latency", took.least.Milliseconds()},
		{"packets_received", count.received},
		{"packets_sent", count.sent},
		{"num_alive_connections", s.connections()},
		{"outstanding_requests", p.outstanding()},
		{"znode_count", nodes},
		{"watch_count", watches},
		{"ephemerals_count", ephemerals},
		{"approximate_data_size", bytes},
		{"global_sessions", s.sessions.count()},
		{"uptime", time.Since(s.started).Milliseconds()},
	} {
		fmt.Fprintf(&b, "zk_%s\t%v\n", line.key, line.value)
	}
	return b.String()
}

func envi() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return fmt.Sprintf("Environment:\nzookeeper.version=%s\nhost.name=%s\njava.version=%s\nos.name=%s\nos.arch=%s\n",
		version, host, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
