package zkserver

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// acknowledged is what one writer was told.
type acknowledged struct {
	paths []string
	stat  *zk.Stat // of its counter node, after the last set
	value string
}

func TestKilledServerKeepsEverythingItAcknowledged(t *testing.T) {
	t.Parallel()
	const writers, rounds = 4, 4
	dir := t.TempDir()
	told := make([]acknowledged, writers)
	var highest int64
	var lastSequence string
	var acknowledgements atomic.Int64
	for round := range rounds {
		child := StartChild(t, dir, 64<<10)
		conns := make([]*zk.Conn, writers)
		for i := range conns {
			c, _, err := zk.Connect([]string{child.Addr}, 20*time.Second, zk.WithLogger(quiet{}), zk.WithLogInfo(false))
			if err != nil {
				t.Fatal(err)
			}
			conns[i] = c
		}
		if round == 0 {
			must(conns[0].Create("/seq", nil, 0, everyone))
			for i := range writers {
				must(conns[0].Create(fmt.Sprintf("/w%d", i), nil, 0, everyone))
			}
		}
		first := must(conns[0].Create("/seq/n-", nil, zk.FlagSequence, everyone))
		if first <= lastSequence {
			t.Errorf("sequential node %s after %s", first, lastSequence)
		}
		_, stat, err := conns[0].Exists(first)
		if err != nil || stat.Czxid <= highest {
			t.Errorf("zxid 0x%x after 0x%x, %v", stat.Czxid, highest, err)
		}
		for i, was := range told {
			for _, path := range was.paths {
				if ok, _, err := conns[0].Exists(path); err != nil || !ok {
					t.Fatalf("round %d: %s is gone, %v", round, path, err)
				}
			}
			data, stat, err := conns[0].Get(fmt.Sprintf("/w%d", i))
			if err != nil || was.stat != nil && (stat.Version < was.stat.Version || stat.Version == was.stat.Version && string(data) != was.value) {
				t.Fatalf("round %d: counter %d is %q, version %d, after %q, version %d, %v", round, i, data, stat.Version, was.value, was.stat.Version, err)
			}
		}

		var writing sync.WaitGroup
		for i, c := range conns {
			writing.Go(func() {
				for n := 0; ; n++ {
					path, err := c.Create("/seq/n-", []byte(strings.Repeat("x", 100)), zk.FlagSequence, everyone)
					if err != nil {
						return
					}
					told[i].paths = append(told[i].paths, path)
					value := fmt.Sprintf("%d.%d", round, n)
					stat, err := c.Set(fmt.Sprintf("/w%d", i), []byte(value), -1)
					if err != nil {
						return
					}
					told[i].stat, told[i].value = stat, value
					acknowledgements.Add(2)
				}
			})
		}
		before := acknowledgements.Load()
		eventually(t, func() error {
			if n := acknowledgements.Load() - before; n < int64(150+77*round) {
				return fmt.Errorf("only %d writes are acknowledged", n)
			}
			return nil
		})
		child.Kill()
		for _, c := range conns {
			c.Close()
		}
		writing.Wait()
		for _, was := range told {
			if was.stat != nil {
				highest = max(highest, was.stat.Mzxid)
			}
			for _, path := range was.paths {
				lastSequence = max(lastSequence, path)
			}
		}
	}
	t.Logf("%d acknowledged writes in %d rounds", acknowledgements.Load(), rounds)
}
