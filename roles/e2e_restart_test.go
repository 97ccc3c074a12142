package roles_test

import (
	"context"
	wire "encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	agentrole "github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// counting is an agent in this process whose writes to ZooKeeper are counted.
type counting struct {
	name    string
	docker  *dockertest.Daemon
	granted atomic.Int64 // connections that ZooKeeper answered on
	writes  atomic.Int64
	away    atomic.Bool // ZooKeeper cannot be reached
}

func (c *counting) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.away.Load() {
		return nil, errors.New("network is unreachable")
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: conn, count: c}, nil
}

// countedConn reads what its client says to ZooKeeper: frames of a length, a number and an operation, after the first
// one, which asks for a session.
type countedConn struct {
	net.Conn
	count *counting

	mu     sync.Mutex // guards said and frames
	said   []byte
	frames int
	heard  sync.Once
}

// writing are the operations that change the tree: create, delete, setData, multi and the newer kinds of create.
var writing = []uint32{1, 2, 5, 14, 15, 19, 20, 21}

func (c *countedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.said = append(c.said, p...)
	for len(c.said) >= 4 {
		length := int(wire.BigEndian.Uint32(c.said)) + 4
		if len(c.said) < length {
			break
		}
		if c.frames > 0 && length >= 12 && slices.Contains(writing, wire.BigEndian.Uint32(c.said[8:])) {
			c.count.writes.Add(1)
		}
		c.frames++
		c.said = c.said[length:]
	}
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Do(func() { c.count.granted.Add(1) })
	}
	return n, err
}

// TestEveryAgentIsBackAfterTheEnsembleRestarted kills all of ZooKeeper at once and starts it again. Half of the agents
// reach it again only when their sessions are over.
func TestEveryAgentIsBackAfterTheEnsembleRestarted(t *testing.T) {
	t.Parallel()
	const (
		many      = 24
		withTask  = 3
		mostTime  = 30 * time.Second
		maxWrites = 5
		short     = 2 * time.Second // sessions of those that come late
	)
	e := storetest.StartEnsemble(t, 3)
	c, _ := startMaster(t, e.Servers())
	docker := dockertest.New(t)
	image := *shell(t, docker)
	var agents []*counting
	for i := range many {
		a := &counting{name: unique("host"), docker: docker}
		id := unique("id")
		docker.Own("helios.agent=" + id)
		timeout := time.Minute
		if i%2 == 1 {
			timeout = short
		}
		role, err := agentrole.New(agentrole.Options{
			Name: a.name, ID: id, StateDir: t.TempDir(), Labels: map[string]string{"num": fmt.Sprint(i)},
			Store:     store.Options{Servers: e.Servers(), SessionTimeout: timeout, Dial: a.dial},
			FirstPort: 24100 + 20*i, EndPort: 24120 + 20*i, Version: "0.10.0", Logger: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		runRole(t, role.Run)
		agents = append(agents, a)
	}
	tasks := make(map[*counting]job.ID)
	containers := make(map[*counting]string)
	for i, a := range agents {
		c.awaitFacts(a.name)
		if i < withTask {
			id := c.create(job.Job{Image: &image, Command: idle})
			c.deploy(id, a.name)
			tasks[a], containers[a] = id, *c.awaitState(id, a.name, job.Running).ContainerID
		}
	}
	unharmed := func() error {
		var errs []error
		for a, id := range tasks {
			errs = append(errs, runsOnly(docker, id, containers[a]), c.runs(id, a.name, containers[a]))
		}
		return errors.Join(errs...)
	}
	// settled waits until no agent has anything left to write.
	settled := func() {
		t.Helper()
		last, since := int64(-1), time.Now()
		storetest.Eventually(t, inTime, func() error {
			var sum int64
			for _, a := range agents {
				sum += a.writes.Load()
			}
			if sum != last {
				last, since = sum, time.Now()
			}
			if time.Since(since) < 3*time.Second {
				return errors.New("they still write")
			}
			return nil
		})
	}
	settled()
	var first int64
	for _, a := range agents[withTask:] {
		first = max(first, a.writes.Load())
	}
	if first < maxWrites {
		t.Errorf("only %d writes are counted at a registration", first)
	}

	granted, writes := make(map[*counting]int64), make(map[*counting]int64)
	for i := range 3 {
		e.Kill(i)
	}
	for i, a := range agents {
		granted[a], writes[a] = a.granted.Load(), a.writes.Load()
		a.away.Store(i%2 == 1)
	}
	for i := range 3 {
		e.Restart(i)
	}
	e.AwaitLeader()
	begin := time.Now()
	storetest.Eventually(t, mostTime, func() error {
		for i, a := range agents {
			if i%2 == 0 {
				continue
			}
			if status, err := c.HostStatus(t.Context(), a.name); err != nil || status.Status != host.Down {
				return fmt.Errorf("%s is %s, %v", a.name, status.Status, err)
			}
		}
		return nil
	})
	for _, a := range agents {
		a.away.Store(false)
	}
	back := make(map[*counting]time.Duration)
	storetest.Eventually(t, mostTime, func() error {
		for _, a := range agents {
			if back[a] > 0 || a.granted.Load() == granted[a] {
				continue
			}
			if status, err := c.HostStatus(t.Context(), a.name); err == nil && status.Status == host.Up {
				back[a] = time.Since(begin)
			}
		}
		if len(back) < many {
			return fmt.Errorf("%d of %d agents are back", len(back), many)
		}
		return nil
	})
	settled()
	for _, a := range agents {
		c.await(a.name, host.Up)
	}
	if err := unharmed(); err != nil {
		t.Error(err)
	}
	var all, most int64
	var latest time.Duration
	for _, a := range agents {
		n := a.writes.Load() - writes[a]
		all, most, latest = all+n, max(most, n), max(latest, back[a])
		if n > maxWrites {
			t.Errorf("%s wrote %d times", a.name, n)
		}
	}
	if all < many/2 {
		t.Errorf("only %d writes are counted, though %d agents had to come up again", all, many/2)
	}
	t.Logf("%d agents, %d of them with new sessions: the last is back %.1f s after a leader is; %d writes, at most %d of one agent (and %d at its registration)",
		many, many/2, latest.Seconds(), all, most, first)
}
