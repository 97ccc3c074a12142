package zkserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-zookeeper/zk"
)

// hello is the frame that asks for a session.
func hello(timeout time.Duration) []byte { return helloAs(timeout, 0, make([]byte, passwordSize)) }

// helloAs is the frame that asks for the session that has an id.
func helloAs(timeout time.Duration, id int64, password []byte) []byte {
	return appendFrame(nil, func(b []byte) []byte {
		b = appendInt64(appendInt32(b, 0), 0)
		return appendBuffer(appendInt64(appendInt32(b, int32(timeout/time.Millisecond)), id), password)
	})
}

func request32(xid, kind int32, body []byte) []byte {
	return appendFrame(nil, func(b []byte) []byte { return append(appendInt32(appendInt32(b, xid), kind), body...) })
}

// bubble runs a test against a server in virtual time.
func bubble(t *testing.T, opts Options, test func(t *testing.T, srv *Server)) {
	t.Helper()
	bubbleOf(t, func() *Server { return must(New(opts)) }, test)
}

func bubbleOf(t *testing.T, server func() *Server, test func(t *testing.T, srv *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		srv := server()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- srv.Run(ctx) }()
		test(t, srv)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// ends waits for the server to close the connection and returns when that was.
func ends(nc net.Conn) time.Duration {
	start := time.Now()
	_, _ = io.Copy(io.Discard, nc) // any error is an end
	return time.Since(start)
}

func TestConnectionThatNeverSpeaksIsClosed(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(t *testing.T, srv *Server) {
		if took := ends(must(srv.Dial("", "", time.Second))); took != silenceLimit {
			t.Errorf("closed after %s", took)
		}
	})
}

func TestConnectionThatDripsIsClosed(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(t *testing.T, srv *Server) {
		nc := must(srv.Dial("", "", time.Second))
		var dripping sync.WaitGroup
		defer dripping.Wait()
		dripping.Go(func() {
			for _, b := range hello(10 * time.Second) {
				if _, err := nc.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		})
		if took := ends(nc); took != silenceLimit {
			t.Errorf("closed after %s", took)
		}
	})
}

func TestSilentSessionExpiresInVirtualTime(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(t *testing.T, srv *Server) {
		nc := must(srv.Dial("", "", time.Second))
		var asking sync.WaitGroup
		defer asking.Wait()
		asking.Go(func() {
			must(nc.Write(hello(10 * time.Second)))
			must(nc.Write(request32(1, opCreate, appendInt32(appendACLs(appendBuffer(appendString(nil, "/e"), nil), openACL), modeEphemeral))))
		})
		took := ends(nc)
		if took < 10*time.Second || took > 11*time.Second {
			t.Errorf("expired after %s", took)
		}
		if srv.sessions.count() != 0 || srv.pipeline.tree.lookup("/e") != nil {
			t.Error("the session or its node is still there")
		}
	})
}

func TestClientLibraryKeepsItsSessionForHoursOfVirtualTime(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(t *testing.T, srv *Server) {
		c, _, err := zk.Connect([]string{"127.0.0.1:1"}, 10*time.Second, zk.WithDialer(srv.Dial), zk.WithLogger(quiet{}), zk.WithLogInfo(false))
		if err != nil {
			t.Fatal(err)
		}
		must(c.Create("/e", nil, zk.FlagEphemeral, everyone))
		id := c.SessionID()
		time.Sleep(3 * time.Hour)
		if ok, _, err := c.Exists("/e"); err != nil || !ok || c.SessionID() != id {
			t.Errorf("%v, %v, session %x, then %x", ok, err, id, c.SessionID())
		}
		c.Close()
	})
}

func TestEmptyContainerIsDeletedAndAnUnusedOneIsNot(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(t *testing.T, srv *Server) {
		c, _, err := zk.Connect([]string{"127.0.0.1:1"}, 10*time.Second, zk.WithDialer(srv.Dial), zk.WithLogger(quiet{}), zk.WithLogInfo(false))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/used", "/unused", "/full"} {
			must(c.CreateContainer(path, nil, zk.FlagContainer, everyone))
		}
		must(c.Create("/used/x", nil, 0, everyone))
		must(c.Create("/full/x", nil, 0, everyone))
		if err := c.Delete("/used/x", -1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		for path, want := range map[string]bool{"/used": false, "/unused": true, "/full": true} {
			if ok, _, err := c.Exists(path); err != nil || ok != want {
				t.Errorf("%s: %v, %v", path, ok, err)
			}
		}
		c.Close()
	})
}

func TestClientThatNeverReadsHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(t *testing.T, srv *Server) {
		c, _, err := zk.Connect([]string{"127.0.0.1:1"}, 10*time.Second, zk.WithDialer(srv.Dial), zk.WithLogger(quiet{}), zk.WithLogInfo(false))
		if err != nil {
			t.Fatal(err)
		}
		must(c.Create("/big", make([]byte, 500000), 0, everyone))
		nc := must(srv.Dial("", "", time.Second))
		must(nc.Write(hello(10 * time.Second)))
		sent := 0
		for ; sent < 1000; sent++ {
			if err := nc.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := nc.Write(request32(1, opGetData, appendBool(appendString(nil, "/big"), true))); err != nil {
				break
			}
		}
		if sent > 20 {
			t.Errorf("%d answers of 500 kB are waiting for a client that does not read", sent)
		}
		for range 20 {
			must(c.Set("/big", make([]byte, 500000), -1))
		}
		time.Sleep(time.Minute)
		if n := srv.connections(); n != 1 {
			t.Errorf("%d connections after a minute", n)
		}
		c.Close()
	})
}

func TestClientThatLetsEventsPileUpIsGivenUp(t *testing.T) {
	t.Parallel()
	server, peer := net.Pipe()
	defer peer.Close()
	o := newOutbox(&stream{Conn: server, fd: -1}, new(atomic.Int64))
	frame := make([]byte, 1<<20)
	for range outboxLimit/len(frame) + 1 {
		o.event(frame)
	}
	if o.ready(false) {
		t.Errorf("%d MB wait for a client that does not read", len(o.buf)>>20)
	}
	if _, err := peer.Read(frame); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is open: %v", err)
	}
}

func TestWritesOfOneConnectionOnTheirWayAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, peer := net.Pipe()
		defer peer.Close()
		o := newOutbox(&stream{Conn: server, fd: -1}, new(atomic.Int64))
		for range writesLimit - 1 {
			o.startWrite()
		}
		if !o.ready(false) {
			t.Fatal("the connection has ended")
		}
		o.startWrite()
		taken := make(chan bool)
		go func() { taken <- o.ready(false) }()
		synctest.Wait()
		select {
		case <-taken:
			t.Errorf("a further request is read with %d writes on their way", o.outstanding())
		default:
		}
		o.endWrite()
		if !<-taken {
			t.Error("the connection has ended")
		}
	})
}

func TestAnnouncedFrameTakesNoMemoryBeforeItArrives(t *testing.T) {
	t.Parallel()
	server, peer := net.Pipe()
	c := &conn{nc: &stream{Conn: server, fd: -1}, in: bufio.NewReader(server), out: newOutbox(&stream{Conn: server, fd: -1}, new(atomic.Int64))}
	go func() {
		must(peer.Write(binary.BigEndian.AppendUint32(nil, frameLimit)))
		must(peer.Write(bytes.Repeat([]byte("x"), 10000)))
		peer.Close()
	}()
	if err := c.readFrame(frameLimit); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if cap(c.frame) > 64<<10 {
		t.Errorf("%d bytes are held for 10 kB", cap(c.frame))
	}
}

func TestThousandsOfConnectionsAreServedAndTooManyAreRefused(t *testing.T) {
	t.Parallel()
	const limit = 2000 // of which new sessions get nine tenths
	r := start(t, Options{MaxConnections: limit})
	c := client(t, r)
	must(c.Create("/a", nil, 0, everyone))
	for range limit*9/10 - 1 {
		nc := must(r.Dial("", "", time.Minute))
		defer nc.Close()
		must(nc.Write(hello(20 * time.Second)))
		if _, err := io.ReadFull(nc, make([]byte, 41-1)); err != nil {
			t.Fatal(err)
		}
	}
	extra := must(r.Dial("", "", time.Minute))
	must(extra.Write(hello(20 * time.Second)))
	if _, err := extra.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("one too many: %v", err)
	}
	must(c.Set("/a", []byte(strings.Repeat("x", 1000)), -1))
	if n := r.connections(); n != limit*9/10 {
		t.Errorf("%d connections", n)
	}
}

func TestPersistentWatchOutlivesAPlainOneOnTheSamePath(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	nc := must(r.Dial("", "", time.Second))
	defer nc.Close()
	path := appendString(nil, "/a")
	var sent []byte
	sent = append(sent, hello(10*time.Second)...)
	sent = append(sent, request32(1, opCreate, appendInt32(appendACLs(appendBuffer(bytes.Clone(path), nil), openACL), 0))...)
	sent = append(sent, request32(2, opAddWatch, appendInt32(bytes.Clone(path), 0))...)
	sent = append(sent, request32(3, opGetData, appendBool(bytes.Clone(path), true))...)
	for xid := int32(4); xid < 7; xid++ {
		sent = append(sent, request32(xid, opSetData, appendInt32(appendBuffer(bytes.Clone(path), nil), -1))...)
	}
	sent = append(sent, request32(7, opCloseSession, nil)...)
	go func() { _, _ = nc.Write(sent) }() // a failure shows below
	all := must(io.ReadAll(nc))
	event := eventFrame(event{eventDataChanged, "/a"})
	if n := bytes.Count(all, event); n != 3 {
		t.Errorf("%d events of 3 changes", n)
	}
}

func TestClientLibraryUnderstandsTheFourLetterWords(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0"})
	must(client(t, r).Create("/a", nil, 0, everyone))
	all, ok := zk.FLWSrvr([]string{r.Addr()}, 5*time.Second)
	s := all[0]
	if !ok || s.Error != nil || s.Mode != zk.ModeStandalone || s.NodeCount != 5 || s.Version != version || s.Counter != 2 {
		t.Errorf("%+v", s)
	}
	if !zk.FLWRuok([]string{r.Addr()}, 5*time.Second)[0] {
		t.Error("not ok")
	}
}

func TestFourLetterWordsPrintWhatHasHappened(t *testing.T) {
	t.Parallel()
	var slow atomic.Bool
	d := newDisk(true)
	d.sync = func(*os.File) error {
		if slow.Load() {
			time.Sleep(3 * time.Second)
		}
		return nil
	}
	dir := t.TempDir()
	server := func() *Server {
		srv := must(New(Options{}))
		if err := srv.open(dir, d); err != nil {
			t.Fatal(err)
		}
		return srv
	}
	bubbleOf(t, server, func(t *testing.T, srv *Server) {
		ask := func(word string) string {
			nc := must(srv.Dial("", "", time.Second))
			must(nc.Write([]byte(word)))
			answer := must(io.ReadAll(nc))
			return string(answer)
		}
		holds := func(answer string, lines ...string) {
			t.Helper()
			for _, line := range lines {
				if !strings.Contains(answer, line) {
					t.Errorf("%q is not in %q", line, answer)
				}
			}
		}
		holds(ask("srvr"), "\nLatency min/avg/max: 0/0.0000/0\n", "\nReceived: 0\nSent: 0\nConnections: 1\n")
		first, second := must(srv.Dial("", "", time.Second)), must(srv.Dial("", "", time.Second))
		talk := func(nc net.Conn, frame []byte, answers int) {
			t.Helper()
			must(nc.Write(frame))
			for range answers {
				must(readFrame(nc))
			}
		}
		talk(first, hello(40*time.Second), 1)
		talk(second, hello(40*time.Second), 1)
		talk(first, request32(1, opExists, appendBool(appendString(nil, "/a"), true)), 1)
		slow.Store(true)
		must(second.Write(request32(1, opCreate, createBody("/a", nil, 0))))
		synctest.Wait()
		holds(srv.clients(), "(queued=0,recved=2,sent=2)\n", "(queued=1,recved=2,sent=1)\n")
		must(readFrame(second))
		slow.Store(false)
		must(readFrame(first)) // the event
		holds(ask("stat"), "\nLatency min/avg/max: 0/1000.0000/3000\n", "(queued=0,recved=2,sent=3)\n", "(queued=0,recved=2,sent=2)\n")
		first.Close()
		synctest.Wait()
		holds(ask("mntr"), "zk_min_latency\t0\n", "zk_avg_latency\t1000.0000\n", "zk_max_latency\t3000\n", "zk_packets_received\t4\n", "zk_packets_sent\t5\n")
		second.Close()
	})
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, opts := range []Options{
		{SessionTimeoutMin: time.Minute},
		{SessionTimeoutMin: -1},
		{Addr: "nonsense"},
		{Addr: "127.0.0.1:99999"},
		{Dir: "/dev/null/x"},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%+v is accepted", fmt.Sprint(opts.Addr, opts.Dir, opts.SessionTimeoutMin))
		}
	}
}

func TestClientWithTooManyWatchesIsGivenUp(t *testing.T) {
	t.Parallel()
	server, peer := net.Pipe()
	defer peer.Close()
	w := newWatches()
	c := &conn{nc: &stream{Conn: server, fd: -1}, out: newOutbox(&stream{Conn: server, fd: -1}, new(atomic.Int64))}
	long := "/" + strings.Repeat("x", 1<<20)
	for i := range watchLimit>>20 + 1 {
		w.add(c, fmt.Sprint(long, i), watchData)
	}
	if c.out.ready(false) {
		t.Error("the connection is open")
	}
	if w.count() > watchLimit>>20 {
		t.Errorf("%d watches of 1 MB", w.count())
	}
	w.forget(c)
	if w.count() != 0 || c.watched != 0 {
		t.Errorf("%d watches, %d bytes are left", w.count(), c.watched)
	}
}
