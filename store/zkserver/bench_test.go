package zkserver

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

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

// Sets, one after the other, while snapshots of 100,000 nodes are written one after the other, and without.
func BenchmarkSetBesideSnapshots(b *testing.B) {
	for name, snapshots := range map[string]bool{"with": true, "without": false} {
		b.Run(name, func(b *testing.B) {
			srv := must(New(Options{Dir: b.TempDir()}))
			for i := range 100 {
				srv.pipeline.tree.insert(fmt.Sprintf("/d%d", i), record{acl: openACL})
				for j := range 1000 {
					srv.pipeline.tree.insert(fmt.Sprintf("/d%d/node-%d", i, j), record{acl: openACL, data: make([]byte, 100)})
				}
			}
			srv.pipeline.snapshotLog = 1 << 40
			c := client(b, run(b, srv))
			if snapshots {
				srv.pipeline.snapshotLog = 1
			}
			var times []time.Duration
			for b.Loop() {
				if snapshots {
					srv.pipeline.snapshotSize.Store(0) // so that the next one begins at once
				}
				start := time.Now()
				must(c.Set("/d0", make([]byte, 100), -1))
				times = append(times, time.Since(start))
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "µs-p99")
			b.ReportMetric(float64(times[len(times)-1].Microseconds()), "µs-max")
		})
	}
}
