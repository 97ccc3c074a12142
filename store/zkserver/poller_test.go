package zkserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sendAll sends frames while nothing is read.
func sendAll(t *testing.T, l *line, frames []byte) (sent func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() { _, err := l.nc.Write(frames); done <- err }()
	return func() {
		t.Helper()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// answerTo reads the next answer, which must be that to xid.
func answerTo(t *testing.T, l *line, xid int32) (*decoder, code) {
	t.Helper()
	b, err := readFrame(l.nc)
	if err != nil {
		t.Fatalf("answer to %d: %v", xid, err)
	}
	d := &decoder{rest: b}
	if got := d.int32(); got != xid {
		t.Fatalf("answer to %d, not to %d", got, xid)
	}
	d.int64()
	return d, code(d.int32())
}

func existsBody(path string) []byte { return appendBool(appendString(nil, path), false) }

// Writes, reads, refused and malformed requests of one connection, all sent before the first answer is read.
func TestRequestsSentAtOnceAreAnsweredInTheirOrder(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0", Dir: t.TempDir()})
	l := lineTo(t, r)
	var frames []byte
	var want []code
	ask := func(answer code, kind int32, body []byte) {
		want = append(want, answer)
		frames = append(frames, request32(int32(len(want)), kind, body)...)
	}
	for i := range 400 {
		path := fmt.Sprint("/n", i)
		ask(codeNoNode, opExists, existsBody(path))
		for j := range i % 5 {
			ask(codeOK, opCreate, createBody(path+"-"+fmt.Sprint(j), nil, modePersistent))
		}
		ask(codeOK, opCreate, createBody(path, make([]byte, i), modePersistent))
		ask(codeOK, opExists, existsBody(path))
		ask(codeNodeExists, opCreate, createBody(path, nil, modePersistent))
		ask(codeMarshalling, opCreate, []byte{0, 0, 0, 9})
	}
	sent := sendAll(t, l, frames)
	for i, answer := range want {
		if _, got := answerTo(t, l, int32(i+1)); got != answer {
			t.Fatalf("request %d: code %d, not %d", i+1, got, answer)
		}
	}
	sent()
}

func TestRequestThatArrivesByteByByteIsAnswered(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0"})
	l, other := lineTo(t, r), lineTo(t, r)
	big := bytes.Repeat([]byte("x"), 900<<10)
	frame := request32(1, opCreate, createBody("/big", big, modePersistent))
	for i := range 40 {
		must(l.nc.Write(frame[i : i+1]))
		must(must2(other.ask(opExists, existsBody("/"))))
	}
	must(l.nc.Write(frame[40:]))
	if _, got := answerTo(t, l, 1); got != codeOK {
		t.Fatalf("code %d", got)
	}
	_, d, err := other.ask(opGetData, existsBody("/big"))
	if err != nil || !bytes.Equal(d.buffer(), big) {
		t.Errorf("the node has other data, %v", err)
	}
}

// A client that asks for far more than the socket takes, and reads it later.
func TestClientThatReadsLateGetsEverything(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0"})
	l, other := lineTo(t, r), lineTo(t, r)
	data := bytes.Repeat([]byte("x"), 100<<10)
	must(must2(other.ask(opCreate, createBody("/big", data, modePersistent))))
	var frames []byte
	const requests = 300
	for i := range requests {
		frames = append(frames, request32(int32(i+1), opGetData, existsBody("/big"))...)
	}
	sent := sendAll(t, l, frames)
	eventually(t, func() error { // its answers have filled the socket
		if r.waiting.Load() < outboxRoom {
			return errors.New("nothing waits to be sent")
		}
		return nil
	})
	for range 100 {
		must(must2(other.ask(opExists, existsBody("/big"))))
	}
	for i := range requests {
		if d, got := answerTo(t, l, int32(i+1)); got != codeOK || !bytes.Equal(d.buffer(), data) {
			t.Fatalf("answer %d: code %d", i+1, got)
		}
	}
	sent()
	must(must2(l.ask(opExists, existsBody("/big"))))
}

// The disk takes for ever to sync, while one client writes more than the pipeline takes: everybody can read.
func TestReadsAndPingsDoNotWaitForTheDisk(t *testing.T) {
	t.Parallel()
	var stuck atomic.Bool
	free := make(chan struct{})
	d := newDisk(true)
	d.sync = func(*os.File) error {
		if stuck.Load() {
			<-free
		}
		return nil
	}
	srv := must(New(Options{Addr: "127.0.0.1:0"}))
	if err := srv.open(t.TempDir(), d); err != nil {
		t.Fatal(err)
	}
	r := run(t, srv)
	release := sync.OnceFunc(func() { stuck.Store(false); close(free) })
	defer release()
	reader := lineTo(t, r)
	must(must2(reader.ask(opCreate, createBody("/a", nil, modePersistent))))
	writers := make([]*line, 10)
	for i := range writers {
		writers[i] = lineTo(t, r)
	}
	stuck.Store(true)
	var sending []func()
	for i, l := range writers {
		var frames []byte
		for n := range 900 {
			frames = append(frames, request32(int32(n+1), opCreate, createBody(fmt.Sprintf("/w%d-%d", i, n), nil, modePersistent))...)
		}
		sending = append(sending, sendAll(t, l, frames))
	}
	eventually(t, func() error {
		if r.pipeline.hasRoom() {
			return errors.New("the pipeline has room")
		}
		return nil
	})
	for range 50 {
		must(must2(reader.ask(opExists, existsBody("/a"))))
		must(must2(reader.ask(opPing, nil)))
	}
	if _, _, err := reader.ask(opExists, existsBody("/w0-0")); err == nil {
		t.Error("a write that is not durable is visible")
	}
	release()
	for i, l := range writers {
		for n := range 900 {
			if _, got := answerTo(t, l, int32(n+1)); got != codeOK {
				t.Fatalf("write %d of %d: code %d", n, i, got)
			}
		}
		sending[i]()
	}
}

func TestConnectionsThatEndLeaveNothing(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0"})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := range 30 {
				l, err := dialLine(r.Addr())
				if err != nil {
					t.Error(err)
					return
				}
				path := fmt.Sprintf("/c%d-%d", i, n)
				if _, _, err := l.ask(opCreate, createBody(path, nil, modePersistent)); err != nil {
					t.Error(err)
				}
				switch n % 3 { // ends in order, with requests under way, or in the middle of one
				case 0:
					if _, _, err := l.ask(opCloseSession, nil); err != nil {
						t.Error(err)
					}
					if _, err := l.nc.Read(make([]byte, 1)); !isClosed(err) {
						t.Errorf("after the end of the session: %v", err)
					}
				case 1:
					must(l.nc.Write(slices.Concat(request32(9, opDelete, appendInt32(appendString(nil, path), -1)), request32(10, opExists, existsBody(path)))))
				case 2:
					must(l.nc.Write(request32(9, opExists, existsBody(path))[:7]))
				}
				l.nc.Close()
			}
		})
	}
	clients.Wait()
	eventually(t, func() error {
		r.poller.mu.Lock()
		defer r.poller.mu.Unlock()
		if n := r.connections(); n+len(r.poller.conns) > 0 {
			return fmt.Errorf("%d connections, %d of them polled", n, len(r.poller.conns))
		}
		return nil
	})
}

func TestClientThatSendsNoMoreIsLetGo(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0", SessionTimeoutMin: 200 * time.Millisecond})
	half, silent := lineTo(t, r), must(net.Dial("tcp", r.Addr()))
	defer silent.Close()
	must(half.nc.Write(request32(1, opExists, existsBody("/"))))
	if err := half.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answerTo(t, half, 1)
	if _, err := half.nc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a client that has closed its half: %v", err)
	}
	must(silent.Write(hello(200 * time.Millisecond)))
	must(readFrame(silent))
	if _, err := silent.Read(make([]byte, 1)); !isClosed(err) {
		t.Errorf("a client whose session has expired: %v", err)
	}
}
