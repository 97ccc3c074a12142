package zkserver

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
)

// version is what the server calls itself where clients look for ZooKeeper's version.
const version = "3.8.0-helios"

// builtOn is in the format that clients parse; it says nothing.
const builtOn = "01/01/2026 00:00 GMT"

// stats are the counters of the four-letter words.
type stats struct{ received, sent atomic.Int64 }

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
	zxid, nodes := p.tree.zxid, p.tree.nodes
	p.mu.RUnlock()
	var b strings.Builder
	fmt.Fprintf(&b, "Zookeeper version: %s, built on %s\n", version, builtOn)
	if clients != "" {
		fmt.Fprintf(&b, "Clients:\n%s\n", clients)
	}
	fmt.Fprintf(&b, "Latency min/avg/max: 0/0.0/0\nReceived: %d\nSent: %d\nConnections: %d\nOutstanding: %d\nZxid: 0x%x\nMode: standalone\nNode count: %d\n",
		s.stats.received.Load(), s.stats.sent.Load(), s.connections(), len(p.queue), zxid, nodes)
	return b.String()
}

func (s *Server) clients() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for c := range s.conns {
		fmt.Fprintf(&b, " /%s[1](queued=0,recved=0,sent=0)\n", c.nc.RemoteAddr())
	}
	return b.String()
}

func (s *Server) mntr() string {
	p := s.pipeline
	p.mu.RLock()
	nodes, bytes, ephemerals := p.tree.nodes, p.tree.bytes, 0
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
		{"packets_received", s.stats.received.Load()},
		{"packets_sent", s.stats.sent.Load()},
		{"num_alive_connections", s.connections()},
		{"outstanding_requests", len(p.queue)},
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
