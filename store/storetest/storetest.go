// Package storetest gives tests a coordination service: the embedded server (Start), a real Apache ZooKeeper (ZooKeeper,
// StartEnsemble), a proxy that cuts and stalls links (Proxy), one way to wait for effects (Eventually), and trees to
// compare with recorded ones (Tree). It is for tests only. Of Helios' nodes it knows what is volatile in a recording.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/helios-go/helios/store/zkserver"
)

// Start runs an embedded server in memory for the duration of the test and returns its address.
func Start(t testing.TB) string {
	t.Helper()
	return Serve(t, zkserver.Options{Addr: "127.0.0.1:0", SuperDigest: superDigest}).Addr()
}

// Serve runs an embedded server with the options for the duration of the test. Without an address it is reached by its
// Dial, in virtual time too (zk.WithDialer(srv.Dial)).
func Serve(t testing.TB, opts zkserver.Options) *zkserver.Server {
	t.Helper()
	srv, err := zkserver.New(opts)
	if err != nil {
		t.Fatalf("start the embedded server: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("embedded server: %v", err)
		}
	})
	return srv
}

// Eventually calls check until it returns nil, quickly at first and then every 50 ms, and fails the test with its last
// error when limit has passed.
func Eventually(t testing.TB, limit time.Duration, check func() error) {
	t.Helper()
	start := time.Now()
	pause := time.Millisecond
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Since(start) >= limit {
			t.Fatalf("not within %s: %v", limit, err)
		}
		timer.Reset(pause)
		<-timer.C
		pause = min(2*pause, 50*time.Millisecond)
	}
}
