package zkserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/rs/zerolog"
)

const crashDir = "ZKSERVER_CRASH_DIR"

// crashChild is the server process of the crash test. It is false in the test process itself.
func crashChild() bool {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return false
	}
	srv, err := New(Options{Addr: "127.0.0.1:0", Dir: dir, Logger: zerolog.New(os.Stderr).Level(zerolog.WarnLevel)})
	if err != nil {
		fmt.Println("error", err)
		return true
	}
	srv.pipeline.snapshotLog = 64 << 10
	fmt.Println("listening", srv.Addr())
	if err := srv.Run(context.Background()); err != nil {
		fmt.Println("error", err)
	}
	return true
}

// startChild starts the server process and returns it with its address.
func startChild(t *testing.T, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening ")
	if err != nil || !ok {
		t.Fatalf("child says %q, %v", line, err)
	}
	return cmd, addr
}

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
		cmd, addr := startChild(t, dir)
		conns := make([]*zk.Conn, writers)
		for i := range conns {
			c, _, err := zk.Connect([]string{addr}, 20*time.Second, zk.WithLogger(quiet{}), zk.WithLogInfo(false))
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
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
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
