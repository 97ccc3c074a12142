package roles_test

import (
	wire "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/helios-go/helios/store/storetest"
)

// What an agent does to the world: requests to Docker that change something, writes to ZooKeeper, files. The first two
// pass through proxies, which tell each effect twice, before it and after it, when the agent does not know of it yet.
// Files are told of when they are there. So an agent is killed between any two of its effects, without a part in it.

// effects counts those of one agent, and kills it at one of them.
type effects struct {
	*agent
	mu     sync.Mutex // guards what follows
	left   int        // to the deadly one; 0: none is
	told   []string   // since they are counted
	newest time.Time
	victim *os.Process // killed, or to be
	dead   bool
}

// countEffects has the agent go on through proxies, counting.
func countEffects(tr *trial, a *agent, zookeeper string) *effects {
	tr.Helper()
	e := &effects{agent: a}
	endpoint := dockerProxy(tr, e.between, nil)
	a.stop()
	a.args = append(a.args, "--docker", endpoint, "--zk", e.zookeeper(tr, zookeeper))
	e.files(tr)
	a.restart()
	return e
}

// arm has the agent killed at the nth effect from now on; 0 only counts.
func (e *effects) arm(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.left, e.told, e.newest, e.dead, e.victim = n, nil, time.Now(), false, e.cmd.Process
}

// comeBack starts the agent, which has ended, and lets it be the one to be killed.
func (e *effects) comeBack() {
	e.restart()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.victim = e.cmd.Process
}

// fired tells whether the agent was killed, and at which effect.
func (e *effects) fired() (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.dead {
		return "", false
	}
	return e.told[len(e.told)-1], true
}

// calm tells whether there was no effect for a while.
func (e *effects) calm() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.newest) < 500*time.Millisecond {
		return errors.New("the agent still does something")
	}
	return nil
}

// tell notes an effect. It returns whether the agent is dead, so that nothing of it may go on.
func (e *effects) tell(format string, args ...any) (dead bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.dead {
		return true
	}
	e.told, e.newest = append(e.told, fmt.Sprintf(format, args...)), time.Now()
	if e.left > 0 {
		if e.left--; e.left == 0 {
			e.dead = true
			_ = e.victim.Kill() // whether it is waited for already does not matter
		}
	}
	return e.dead
}

// longID is an id of a container or image.
var longID = regexp.MustCompile(`[0-9a-f]{64}`)

// between passes requests on to Docker.
func (e *effects) between(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
	_, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // without the version
	what = longID.ReplaceAllStringFunc(what, func(id string) string { return id[:7] })
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		daemon.ServeHTTP(w, r)
		return
	case e.tell("before %s %s", r.Method, what):
		panic(http.ErrAbortHandler)
	case strings.HasPrefix(what, "images"): // a stream
		daemon.ServeHTTP(w, r)
		e.tell("after %s %s", r.Method, what)
		return
	}
	answer := httptest.NewRecorder()
	daemon.ServeHTTP(answer, r)
	if e.tell("after %s %s", r.Method, what) {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// writes are the operations of the ZooKeeper protocol that change something (testdata/spec/7-zookeeper-protocol.md).
var writes = map[int32]string{1: "create", 2: "delete", 5: "set", 14: "multi", 15: "create"}

// zookeeper listens for the agent's connections to the server, and returns where.
func (e *effects) zookeeper(tr *trial, server string) string {
	tr.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tr.Fatal(err)
	}
	var links sync.WaitGroup
	links.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			links.Go(func() { e.link(client, server) })
		}
	})
	tr.Cleanup(func() {
		e.kill() // ends its connections
		listener.Close()
		links.Wait()
	})
	return listener.Addr().String()
}

// link passes one connection on, request by request and answer by answer.
func (e *effects) link(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var (
		both    sync.WaitGroup
		mu      sync.Mutex // guards pending
		pending = make(map[int32]string)
	)
	both.Go(func() {
		defer client.Close()
		frames(server, client, func(frame []byte) (dead bool) {
			mu.Lock()
			defer mu.Unlock()
			xid := int32(wire.BigEndian.Uint32(frame))
			what, known := pending[xid]
			delete(pending, xid)
			return known && e.tell("after %s", what)
		})
	})
	first := true
	frames(client, server, func(frame []byte) (dead bool) {
		if first || len(frame) < 8 { // the first one asks for a session
			first = false
			return false
		}
		name, changes := writes[int32(wire.BigEndian.Uint32(frame[4:]))]
		if !changes {
			return false
		}
		if name != "multi" && len(frame) > 12 {
			if n := int(wire.BigEndian.Uint32(frame[8:])); n <= len(frame)-12 {
				name += " " + string(frame[12:12+n])
			}
		}
		mu.Lock()
		pending[int32(wire.BigEndian.Uint32(frame))] = name
		mu.Unlock()
		return e.tell("before %s", name)
	})
	server.Close()
	both.Wait()
}

// frames copies frames until one of the connections ends, or see says that it shall.
func frames(from io.Reader, to io.Writer, see func(frame []byte) (end bool)) {
	for {
		var size [4]byte
		if _, err := io.ReadFull(from, size[:]); err != nil {
			return
		}
		n := wire.BigEndian.Uint32(size[:])
		if n < 4 || n > 16<<20 {
			return
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(from, frame); err != nil || see(frame) {
			return
		}
		if _, err := to.Write(append(size[:], frame...)); err != nil {
			return
		}
	}
}

// files tells of files that take their place in the state directory.
func (e *effects) files(tr *trial) {
	tr.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		tr.Fatal(err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, e.dir, unix.IN_MOVED_TO); err != nil {
		tr.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := events.Read(buf)
			if err != nil {
				return
			}
			for rest := buf[:n]; len(rest) >= unix.SizeofInotifyEvent; {
				size := wire.NativeEndian.Uint32(rest[unix.SizeofInotifyEvent-4:])
				name := rest[unix.SizeofInotifyEvent:][:size]
				e.tell("after the file %s", strings.TrimRight(string(name), "\x00"))
				rest = rest[unix.SizeofInotifyEvent+int(size):]
			}
		}
	})
	tr.Cleanup(func() {
		events.Close()
		reading.Wait()
	})
}

// atEach begins the same again and again, and kills the agent at the first, second, third effect of it and so on, until it
// comes to its end alive; in the brief form of the suite, only at some. Each time the agent is started again, and what is
// wished has to be reached. prepare, whose effects do not count, returns what is begun and what is then wished.
func (e *effects) atEach(tr *trial, least int, prepare func() (begin func(), wished func() error)) {
	tr.Helper()
	stride := 1
	if os.Getenv("FAULTS") != "1" {
		stride = 11
	}
	var points []string
	for n := 1; ; n += stride {
		begin, wished := prepare()
		e.arm(n)
		begin()
		alive := false
		storetest.Eventually(tr, inTime, func() error {
			if _, dead := e.fired(); dead {
				return nil
			}
			if err := errors.Join(e.calm(), wished()); err != nil {
				return err
			}
			alive = true
			return nil
		})
		point, dead := e.fired()
		if alive && !dead {
			break
		}
		e.process.kill()
		e.arm(0)
		points = append(points, point)
		tr.ends()
		e.process.restart()
		tr.reaches(wished)
		if tr.lost+tr.doubled > 0 {
			tr.Fatalf("after the agent was killed at effect %d: %s", n, point)
		}
	}
	e.arm(0)
	tr.Logf("the agent was killed at %d effects:\n\t%s", len(points), strings.Join(points, "\n\t"))
	if len(points)*stride < least {
		tr.Errorf("killed at %d effects, want %d at least", len(points), least/stride)
	}
}
