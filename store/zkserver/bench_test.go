package zkserver

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/go-zookeeper/zk"
)

// 64 connections create nodes of 100 bytes, each durable before it is answered.
func BenchmarkDurableCreatesOf64Connections(b *testing.B) {
	r := start(b, Options{Dir: b.TempDir()})
	conns := make(chan *zk.Conn, 64)
	for range cap(conns) {
		conns <- client(b, r)
	}
	var n atomic.Int64
	data := make([]byte, 100)
	b.SetParallelism(cap(conns))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c := <-conns
		defer func() { conns <- c }()
		for pb.Next() {
			must(c.Create(fmt.Sprintf("/n%d", n.Add(1)), data, 0, everyone))
		}
	})
}

func BenchmarkRead(b *testing.B) {
	r := start(b, Options{})
	c := client(b, r)
	must(c.Create("/a", make([]byte, 100), 0, everyone))
	for b.Loop() {
		if _, _, err := c.Get("/a"); err != nil {
			b.Fatal(err)
		}
	}
}

// One change of a node that 1,000 connections watch, and their reads that watch it again.
func BenchmarkWatchFanOut(b *testing.B) {
	r := start(b, Options{})
	c := client(b, r)
	must(c.Create("/a", nil, 0, everyone))
	watchers := make([]*zk.Conn, 1000)
	for i := range watchers {
		watchers[i] = client(b, r)
	}
	for b.Loop() {
		events := make([]<-chan zk.Event, len(watchers))
		for i, w := range watchers {
			_, _, ch, err := w.GetW("/a")
			if err != nil {
				b.Fatal(err)
			}
			events[i] = ch
		}
		must(c.Set("/a", nil, -1))
		for _, ch := range events {
			<-ch
		}
	}
}

// The state of 100,000 nodes of 100 bytes is read from a snapshot.
func BenchmarkStartWith100000Nodes(b *testing.B) {
	tr := newTree()
	for i := range 100 {
		tr.insert(fmt.Sprintf("/d%d", i), record{acl: openACL})
		for j := range 1000 {
			tr.insert(fmt.Sprintf("/d%d/node-%d", i, j), record{acl: openACL, data: make([]byte, 100)})
		}
	}
	snapshot := snapshotOf(b, newPipeline(tr, nil, Options{}.Logger))
	b.SetBytes(int64(len(snapshot)))
	for b.Loop() {
		if _, _, err := readSnapshot(snapshot); err != nil {
			b.Fatal(err)
		}
	}
}
