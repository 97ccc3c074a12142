package storetest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"github.com/helios-go/helios/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStartedServerTakesWritesAndAnswersReads(t *testing.T) {
	t.Parallel()
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

func TestProxyCutsStallsAndHeals(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]func() (net.Listener, error){
		"tcp":  func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
		"unix": func() (net.Listener, error) { return net.Listen("unix", filepath.Join(t.TempDir(), "s")) },
	} {
		t.Run(name, func(t *testing.T) {
			echo, err := listen()
			if err != nil {
				t.Fatal(err)
			}
			defer echo.Close()
			go func() {
				for {
					c, err := echo.Accept()
					if err != nil {
						return
					}
					go func() { io.Copy(c, c); c.Close() }()
				}
			}()
			proxy := storetest.StartProxy(t, echo.Addr().String())
			dial := func() net.Conn {
				c, err := net.Dial(name, proxy.Addr())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { c.Close() })
				return c
			}
			answers := func(c net.Conn, limit time.Duration) error {
				buf := make([]byte, 4)
				if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
					return err
				}
				if _, err := c.Write([]byte("ping")); err != nil {
					return err
				}
				_, err := io.ReadFull(c, buf)
				return err
			}
			c := dial()
			if err := answers(c, 10*time.Second); err != nil {
				t.Fatal("whole:", err)
			}
			proxy.Stall()
			if err := answers(c, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("stalled:", err)
			}
			proxy.Heal()
			buf := make([]byte, 4)
			if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				t.Fatal("what was stalled did not arrive:", err)
			}
			proxy.Mute()
			if err := answers(c, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("muted:", err)
			}
			proxy.Heal()
			if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				t.Fatal("what was muted did not arrive:", err)
			}
			proxy.Forsake()
			if err := answers(c, 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("forsaken:", err)
			}
			if c = dial(); answers(c, 10*time.Second) != nil {
				t.Fatal("new connection beside a forsaken one")
			}
			proxy.Cut()
			if err := answers(c, 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("cut:", err)
			}
			if err := answers(dial(), 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("new connection while cut:", err)
			}
			proxy.Heal()
			if err := answers(dial(), 10*time.Second); err != nil {
				t.Fatal("healed:", err)
			}
			proxy.Close()
			if _, err := net.Dial(name, proxy.Addr()); err == nil {
				t.Fatal("closed proxy takes connections")
			}
		})
	}
}

func TestEnsembleElectsAnotherLeaderWhenItsLeaderIsKilled(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("three Java processes")
	}
	e := storetest.StartEnsemble(t, 3)
	first := e.AwaitLeader()
	e.Kill(first)
	storetest.Eventually(t, time.Minute, func() error {
		if now := e.Leader(); now < 0 || now == first {
			return fmt.Errorf("leader %d", now)
		}
		return nil
	})
	e.Restart(first)
	storetest.Eventually(t, time.Minute, func() error {
		answer, err := storetest.FourLetterWord(e.Addr(first), "srvr")
		if err == nil && !strings.Contains(answer, "Mode: follower") {
			err = errors.New(answer)
		}
		return err
	})
	if n := len(strings.Split(e.Servers(), ",")); n != 3 {
		t.Errorf("%d servers in %s", n, e.Servers())
	}
}

func TestZooKeeperIsSharedByTheTestsOfABinary(t *testing.T) {
	t.Parallel()
	first, second := storetest.ZooKeeper(t), storetest.ZooKeeper(t)
	answer, err := storetest.FourLetterWord(first, "ruok")
	if first != second || answer != "imok" || err != nil {
		t.Errorf("%s and %s answer %q, %v", first, second, answer, err)
	}
}
