package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/storetest"
)

// registered is a registrar with a publisher, behind a link that can be cut, over a server that others reach.
type registered struct {
	*registrar
	t     *testing.T
	link  *storetest.Proxy
	store *store.Store // not the agent's
	conn  *zk.Conn
}

func startRegistered(t *testing.T) *registered { return startRegisteredWith(t, t.TempDir()) }

// startRegisteredWith is startRegistered with a state directory that may have files in it.
func startRegisteredWith(t *testing.T, path string) *registered {
	t.Helper()
	address := storetest.Start(t)
	link := storetest.StartProxy(t, address)
	reach := func(address string) *store.Store {
		st, err := store.Open(store.Options{Servers: address})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(st.Close)
		return st
	}
	conn, _, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	dir := open(t, path)
	memory, err := openMemory(dir, place{})
	if err != nil {
		t.Fatal(err)
	}
	own := reach(link.Addr())
	p := &publisher{
		store: own, host: "h", log: zerolog.Nop(), labels: map[string]string{"role": "web"},
		hostInfo:  func(context.Context) host.Info { return host.Info{Hostname: new("machine")} },
		agentInfo: func() host.AgentInfo { return host.AgentInfo{Name: new("agent")} },
	}
	r := &registered{
		registrar: &registrar{
			store: own, memory: memory, host: "h", id: "1234", ttl: time.Hour, log: zerolog.Nop(),
			duties: []func(context.Context) error{p.publishFacts}, readmitted: func() {}, registered: func() {},
		},
		t: t, link: link, store: reach(address), conn: conn,
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

// factNodes are what the agent reports.
var factNodes = []string{"labels", "environment", "agentinfo", "hostinfo"}

// writes are how often each fact was written into its node; none for one that is not there.
func (r *registered) writes() map[string]int32 {
	r.t.Helper()
	writes := make(map[string]int32)
	for _, name := range factNodes {
		exists, stat, err := r.conn.Exists("/status/hosts/h/" + name)
		if err != nil {
			r.t.Fatal(err)
		}
		if exists {
			writes[name] = stat.Version + 1
		}
	}
	return writes
}

// reported waits until the host is up, and each fact was written once into the node that there is now.
func (r *registered) reported() {
	r.t.Helper()
	storetest.Eventually(r.t, time.Minute, func() error {
		up, err := r.store.HostUp(r.t.Context(), "h")
		if err != nil || !up {
			return fmt.Errorf("up: %t, %w", up, err)
		}
		for _, name := range factNodes {
			if got := r.writes()[name]; got != 1 {
				return fmt.Errorf("%s was written %d times", name, got)
			}
		}
		return nil
	})
}

// reconnects waits until the agent has lost its connection, and until it has one again.
func (r *registered) reconnects(meanwhile func()) {
	r.t.Helper()
	own := r.registrar.store
	connected := func(want bool) func() error {
		return func() error {
			if own.Connected() != want {
				return fmt.Errorf("connected: %t", !want)
			}
			return nil
		}
	}
	r.link.Cut()
	storetest.Eventually(r.t, time.Minute, connected(false))
	meanwhile()
	r.link.Heal()
	storetest.Eventually(r.t, time.Minute, connected(true))
}

// TestFactsAreWrittenOnlyWhereTheStoreLacksThem: a thousand agents that come back at once must not write all they know.
func TestFactsAreWrittenOnlyWhereTheStoreLacksThem(t *testing.T) {
	t.Parallel()
	r := startRegistered(t)
	r.reported()
	r.reconnects(func() {})
	r.reconnects(func() {
		for _, name := range []string{"labels", "hostinfo"} {
			if err := r.conn.Delete("/status/hosts/h/"+name, -1); err != nil {
				t.Fatal(err)
			}
		}
	})
	r.reported()
	r.reconnects(func() {
		if _, err := r.conn.Set("/status/hosts/h/labels", []byte("{}"), -1); err != nil {
			t.Fatal(err)
		}
	})
	storetest.Eventually(t, time.Minute, func() error {
		if got := r.writes(); got["labels"] != 3 || got["environment"] != 1 || got["agentinfo"] != 1 || got["hostinfo"] != 1 {
			return fmt.Errorf("written %v times", got)
		}
		return nil
	})
}

// TestDeregisteredAgentComesBackWhenItsIdIsRegistered: at once, with all it has to say, and never by itself.
func TestDeregisteredAgentComesBackWhenItsIdIsRegistered(t *testing.T) {
	t.Parallel()
	r := startRegistered(t)
	for range 2 {
		r.reported()
		if err := r.store.DeregisterHost(t.Context(), "h"); err != nil {
			t.Fatal(err)
		}
		storetest.Eventually(t, time.Minute, func() error {
			if r.refused() == "" {
				return errors.New("the agent does not know it")
			}
			return nil
		})
		r.reconnects(func() {}) // is no reason to register
		if err := r.store.RegisterHost(t.Context(), "h", "1234"); err != nil {
			t.Fatal(err)
		}
	}
	r.reported()
	if text := r.refused(); text != "" {
		t.Errorf("it still says that %s", text)
	}
}

// TestWhatANewerVersionRemembersIsLeftAlone: of a file in a form that this version does not know it neither guesses that the
// host never was registered, nor writes over it.
func TestWhatANewerVersionRemembersIsLeftAlone(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	file := filepath.Join(path, memoryFile)
	newer := []byte(`{"version": 2, "places": []}`)
	if err := os.WriteFile(file, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	r := startRegisteredWith(t, path)
	storetest.Eventually(t, time.Minute, func() error {
		if text := r.refused(); !strings.Contains(text, "newer version") || !strings.Contains(text, "helios register h 1234") {
			return fmt.Errorf("it says %q", text)
		}
		return nil
	})
	if err := r.store.RegisterHost(t.Context(), "h", "1234"); err != nil {
		t.Fatal(err)
	}
	r.reported()
	if err := r.memory.takeOver("other"); err == nil {
		t.Error("a name would be taken over, and its former agent forgotten")
	}
	if data, err := os.ReadFile(file); err != nil || !bytes.Equal(data, newer) {
		t.Errorf("the file holds %q: %v", data, err)
	}
}
