package roles_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// recordedImages starts the registry that the recordings name, with the images that they say exist, and waits until the
// port is free: another run of the tests may hold it. All tests of the process share it; it ends with the process.
func recordedImages(t testing.TB) {
	t.Helper()
	dockertest.New(t) // skips here, where there is no daemon
	recordedOnce.Do(func() {
		storetest.Eventually(t, 10*time.Minute, func() error {
			l, err := net.Listen("tcp", recordedRegistry)
			if err == nil {
				err = l.Close()
			}
			return err
		})
		docker := dockertest.New(&lasting{TB: t})
		docker.Load("busybox", dockertest.Busybox(t)) // one command names it so
		registry := docker.Registry(recordedRegistry)
		for _, image := range []string{"probe:1", "probe:2"} {
			registry.Push(image, dockertest.Probe(t))
		}
	})
}

const recordedRegistry = "127.0.0.1:5000"

var recordedOnce sync.Once

// lasting is the test of something that lasts until the process ends: TestMain runs its clean-ups.
type lasting struct{ testing.TB }

var lastingCleanups []func()

func (l *lasting) Cleanup(f func())         { lastingCleanups = append(lastingCleanups, f) }
func (l *lasting) Context() context.Context { return context.Background() }
func (l *lasting) Helper()                  {}
func (l *lasting) Error(args ...any)        { fmt.Fprintln(os.Stderr, args...) }

// cleanUpLasting undoes what lasted, the newest first.
func cleanUpLasting() {
	for i := len(lastingCleanups) - 1; i >= 0; i-- {
		lastingCleanups[i]()
	}
}
