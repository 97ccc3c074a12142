package zkserver

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var crashRounds = flag.Int("zk.rounds", 20, "how often the server is killed under load")

// line is a connection that asks one thing at a time.
type line struct {
	nc       net.Conn
	xid      int32
	id       int64
	password []byte
}

func dialLine(addr string) (*line, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return greet(nc, 0, make([]byte, passwordSize))
}

// greet asks for a new session, or for one that is there. A refusal is an error.
func greet(nc net.Conn, id int64, password []byte) (*line, error) {
	l := &line{nc: nc}
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return nil, err
	}
	if _, err := nc.Write(helloAs(20*time.Second, id, password)); err != nil {
		return nil, err
	}
	b, err := readFrame(nc)
	if err != nil {
		return nil, err
	}
	d := &decoder{rest: b}
	d.int64()
	if l.id, l.password = d.int64(), d.buffer(); l.id == 0 {
		return nil, errors.New("refused")
	}
	return l, nil
}

// ask sends a request and returns the zxid and the body of its answer. A refusal is an error.
func (l *line) ask(kind int32, body []byte) (zxid int64, answer *decoder, err error) {
	l.xid++
	if _, err := l.nc.Write(request32(l.xid, kind, body)); err != nil {
		return 0, nil, err
	}
	b, err := readFrame(l.nc)
	if err != nil {
		return 0, nil, err
	}
	d := &decoder{rest: b}
	d.int32()
	zxid = d.int64()
	if c := code(d.int32()); c != codeOK {
		return zxid, d, fmt.Errorf("refused with %d", c)
	}
	return zxid, d, nil
}

func createBody(path string, data []byte, flags int32) []byte {
	return appendInt32(appendACLs(appendBuffer(appendString(nil, path), data), openACL), flags)
}

func multiCreate(paths ...string) (b []byte) {
	for _, path := range paths {
		b = append(appendInt32(appendBool(appendInt32(b, opCreate), false), -1), createBody(path, []byte("pair"), modePersistent)...)
	}
	return endMulti(b)
}

// writer writes through one connection after the other and remembers what was acknowledged.
type writer struct {
	name    string
	zxid    int64    // the last one acknowledged
	there   []string // nodes
	gone    []string // nodes that were deleted, or whose session was closed
	sets    int32    // acknowledged versions of its counter
	lastSet string
	tried   []string // pairs of a multi, acknowledged or not
	steps   int
}

// work does one thing after the other until the connection fails, which is the only thing that may.
func (w *writer) work(addr string, acknowledged *atomic.Int64) error {
	l, err := dialLine(addr)
	if err != nil {
		return nil
	}
	defer func() { l.nc.Close() }()
	for {
		w.steps++
		zxid, err := w.step(&l, addr)
		if err != nil {
			if _, network := errors.AsType[net.Error](err); !network && !isEnd(err) {
				return fmt.Errorf("%s, step %d: %w", w.name, w.steps, err)
			}
			return nil
		}
		if zxid <= w.zxid {
			return fmt.Errorf("%s: zxid 0x%x after 0x%x", w.name, zxid, w.zxid)
		}
		w.zxid = zxid
		acknowledged.Add(1)
	}
}

func (w *writer) step(l **line, addr string) (zxid int64, err error) {
	var d *decoder
	path := fmt.Sprintf("/x/%s-%d", w.name, w.steps)
	switch w.steps % 6 {
	case 0, 1:
		if zxid, d, err = (*l).ask(opCreate, createBody("/seq/n-", make([]byte, 100), modeSequential)); err == nil {
			w.there = append(w.there, d.string())
		}
	case 2:
		value := path
		if zxid, d, err = (*l).ask(opSetData, appendInt32(appendBuffer(appendString(nil, "/"+w.name), []byte(value)), -1)); err == nil {
			s := decodeStat(d)
			if s.version <= w.sets {
				return 0, fmt.Errorf("version %d after %d", s.version, w.sets)
			}
			w.sets, w.lastSet = s.version, value
		}
	case 3:
		w.tried = append(w.tried, path)
		if zxid, _, err = (*l).ask(opMulti, multiCreate(path+"a", path+"b")); err == nil {
			w.there = append(w.there, path+"a", path+"b")
		}
	case 4:
		if _, _, err = (*l).ask(opCreate, createBody(path, nil, modeEphemeral)); err == nil {
			if zxid, _, err = (*l).ask(opDelete, appendInt32(appendString(nil, path), -1)); err == nil {
				w.gone = append(w.gone, path)
			}
		}
	case 5:
		if _, _, err = (*l).ask(opCreate, createBody(path, nil, modeEphemeral)); err == nil {
			if zxid, _, err = (*l).ask(opCloseSession, nil); err == nil {
				w.gone = append(w.gone, path)
				(*l).nc.Close()
				var next *line
				if next, err = dialLine(addr); err == nil {
					*l = next
				}
			}
		}
	}
	return zxid, err
}

// survived compares what a writer was told with the state after a crash.
func (w *writer) survived(tr *tree) error {
	for _, path := range w.there {
		if tr.lookup(path) == nil {
			return fmt.Errorf("%s is gone", path)
		}
	}
	for _, path := range w.gone {
		if tr.lookup(path) != nil {
			return fmt.Errorf("%s is there again", path)
		}
	}
	for _, path := range w.tried {
		if (tr.lookup(path+"a") == nil) != (tr.lookup(path+"b") == nil) {
			return fmt.Errorf("half of the multi %s is there", path)
		}
	}
	counter := tr.lookup("/" + w.name)
	if counter == nil || counter.version < w.sets || counter.version == w.sets && w.sets > 0 && string(counter.data) != w.lastSet {
		return fmt.Errorf("the counter is %+v after %d, %s", counter, w.sets, w.lastSet)
	}
	if tr.zxid < w.zxid {
		return fmt.Errorf("zxid 0x%x after 0x%x", tr.zxid, w.zxid)
	}
	return nil
}

func TestKilledServerKeepsEverythingItAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writers := make([]*writer, 6)
	var acknowledged atomic.Int64
	var lastSequence string
	for round := range *crashRounds {
		child := StartChild(t, dir, 64<<10)
		l := must(dialLine(child.Addr))
		if round == 0 {
			for _, path := range []string{"/seq", "/x", "/w0", "/w1", "/w2", "/w3", "/w4", "/w5"} {
				must(must2(l.ask(opCreate, createBody(path, nil, modePersistent))))
			}
			for i := range writers {
				writers[i] = &writer{name: fmt.Sprint("w", i)}
			}
		}
		_, d, err := l.ask(opCreate, createBody("/seq/n-", nil, modeSequential))
		if name := d.string(); err != nil || name <= lastSequence {
			t.Fatalf("sequential node %s after %s, %v", name, lastSequence, err)
		}
		l.nc.Close()

		var writing sync.WaitGroup
		for _, w := range writers {
			writing.Go(func() {
				if err := w.work(child.Addr, &acknowledged); err != nil {
					t.Error(err)
				}
			})
		}
		wanted := acknowledged.Load() + 50 + rand.Int64N(400)
		eventually(t, func() error {
			if n := acknowledged.Load(); n < wanted && !t.Failed() {
				return fmt.Errorf("%d of %d writes are acknowledged", n, wanted)
			}
			return nil
		})
		child.Kill()
		writing.Wait()

		tr, err := reopen(dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, w := range writers {
			if err := w.survived(tr); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			for _, path := range w.there {
				if path < "/t" { // of /seq
					lastSequence = max(lastSequence, path)
				}
			}
		}
		for id, paths := range tr.ephemerals {
			if _, open := tr.sessions[id]; !open {
				t.Fatalf("round %d: %d ephemeral nodes of a session that is closed", round, len(paths))
			}
		}
	}
	there := 0
	for _, w := range writers {
		there += len(slices.Concat(w.there, w.gone)) + int(w.sets)
	}
	t.Logf("%d rounds, %d acknowledged writes, %d nodes and versions compared", *crashRounds, acknowledged.Load(), there)
}

// must2 is for functions that return two values beside the error.
func must2[A, B any](a A, _ B, err error) (A, error) { return a, err }

// isEnd tells whether a connection was closed by the other side.
func isEnd(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
