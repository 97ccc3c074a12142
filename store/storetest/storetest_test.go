package storetest_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/storetest"
)

func TestStartedServerTakesWritesAndAnswersReads(t *testing.T) {
	conn, _, err := zk.Connect([]string{storetest.Start(t)}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Create("/a", []byte("x"), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	data, stat, err := conn.Get("/a")
	if err != nil || !bytes.Equal(data, []byte("x")) || stat.Version != 0 {
		t.Fatalf("read %q, version %d, %v", data, stat.Version, err)
	}
}
