package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onEachServer runs a test on the embedded server and on a real ZooKeeper, each time in a tree of its own.
func onEachServer(t *testing.T, test func(t *testing.T, address string)) {
	t.Helper()
	for name, address := range map[string]func(testing.TB) string{"zkserver": storetest.Start, "zookeeper": storetest.ZooKeeper} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, ownTree(t, address(t)))
		})
	}
}

// ownTree makes a node that stands for the root.
func ownTree(t *testing.T, address string) string {
	t.Helper()
	s := open(t, Options{Servers: address})
	chroot := fmt.Sprintf("/%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), time.Now().UnixNano())
	must(t, s.session.create(t.Context(), chroot, nil, 0))
	return address + chroot
}

// open opens a store and closes it when the test ends. A test that fails shows the store's log.
func open(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.SessionTimeout == 0 {
		opts.SessionTimeout = 10 * time.Second
	}
	log := new(buffer)
	if opts.Logger.GetLevel() == zerolog.DebugLevel {
		opts.Logger = zerolog.New(log).With().Timestamp().Logger()
	}
	s, err := Open(opts)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		s.Close()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return s
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// background runs f until the test, or the returned function, ends it.
func background(t testing.TB, f func(ctx context.Context) error) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var err error
	go func() {
		defer close(done)
		err = f(ctx)
	}()
	stop = func() error {
		cancel()
		<-done
		return err
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

// fatal is a test, or one example of a property.
type fatal interface {
	Helper()
	Fatal(args ...any)
}

// must fails the test on an error.
func must(t fatal, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample is a job with a static port for each of ports.
func sample(name string, ports ...int32) job.Job {
	j := job.Job{
		ID:    job.ID{Name: name, Version: "1", Hash: "0123456789012345678901234567890123456789"},
		Image: new("127.0.0.1:1/probe:1"),
		Ports: make(map[string]job.PortMapping),
	}
	for i, port := range ports {
		j.Ports[string(rune('a'+i))] = job.PortMapping{InternalPort: 80, ExternalPort: &port, Protocol: "tcp"}
	}
	return j
}

// deployed is a cluster with the host h1 and the job, deployed there.
func deployed(t testing.TB, s *Store, j job.Job) {
	t.Helper()
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	must(t, s.CreateJob(t.Context(), j))
	must(t, s.Deploy(t.Context(), "h1", start(j), j.Token))
}

func start(j job.Job) job.Deployment { return job.Deployment{JobID: j.ID, Goal: job.Start} }
