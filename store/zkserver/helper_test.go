package zkserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if serveAsChild() {
		return
	}
	code := m.Run()
	// A client of the library ends a second after its server: it is just waiting to connect again.
	err := goleak.Find()
	for attempt := 0; err != nil && attempt < 10; attempt++ {
		err = goleak.Find()
	}
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var everyone = zk.WorldACL(zk.PermAll)

// running is a server under test that can be stopped before the test ends.
type running struct {
	*Server
	stop func()
}

// start runs a server until stop or the end of the test.
func start(t testing.TB, opts Options) running {
	t.Helper()
	srv, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, srv)
}

func run(t testing.TB, srv *Server) running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return running{srv, stop}
}

// client connects with the client library, by a pipe.
func client(t testing.TB, r running) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{"127.0.0.1:1"}, 10*time.Second, zk.WithDialer(r.Dial), zk.WithLogInfo(false), zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				return c
			}
		case <-time.After(time.Minute):
			t.Fatal("no session within a minute")
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// wants fails unless err is the one expected.
func wants(t testing.TB, err, expected error) {
	t.Helper()
	if !errors.Is(err, expected) {
		t.Fatalf("got %v, want %v", err, expected)
	}
}

func eventually(t testing.TB, check func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err = check(); err == nil {
			return
		}
		<-time.After(2 * time.Millisecond)
	}
	t.Fatal(err)
}

// state is everything a tree holds, for comparing.
func state(tr *tree) map[string]string {
	all := map[string]string{"zxid": fmt.Sprint(tr.zxid), "nodes": fmt.Sprint(tr.nodes), "bytes": fmt.Sprint(tr.bytes)}
	for id, s := range tr.sessions {
		all[fmt.Sprintf("session %x", id)] = fmt.Sprintf("%v", s)
	}
	for id, paths := range tr.ephemerals {
		all[fmt.Sprintf("ephemerals of %x", id)] = fmt.Sprint(len(paths))
	}
	for path := range tr.containers {
		all["container "+path] = ""
	}
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		all["node "+path] = fmt.Sprintf("%v %d nil=%v", n.record, len(n.children), n.data == nil)
		for name, child := range n.children {
			walk(path+"/"+name, child)
		}
	}
	walk("", tr.root)
	return all
}
