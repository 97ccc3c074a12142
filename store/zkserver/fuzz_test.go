package zkserver

import (
	"io"
	"os"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// Bytes of memory that decoding may take beside a factor of what is decoded.
const (
	decodingBase   = 4 << 20
	decodingFactor = 200
)

// within fails if f makes a figure of the runtime grow by more than limit.
func within(t *testing.T, figure string, limit int, f func()) {
	t.Helper()
	sample := []metrics.Sample{{Name: figure}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	if grown := int64(sample[0].Value.Uint64() - before); grown > int64(limit) {
		t.Fatalf("%s has grown by %d bytes, limit %d", figure, grown, limit)
	}
}

const (
	allocated = "/gc/heap/allocs:bytes"
	inUse     = "/memory/classes/heap/objects:bytes"
)

// FuzzFrames sends arbitrary bytes after a connect request. Whatever they are, the server goes on serving.
func FuzzFrames(f *testing.F) {
	path := appendString(nil, "/a")
	open := func(b []byte) []byte { return appendInt32(appendACLs(appendBuffer(b, []byte("x")), openACL), 2) }
	for kind, body := range map[int32][]byte{
		opCreate: open(path), opDelete: appendInt32(path, -1), opGetData: appendBool(path, true), opGetChildren2: appendBool(path, true),
		opMulti:      endMulti(append(append(appendInt32(appendBool(appendInt32(nil, opCreate), false), -1), open(path)...), endMulti(nil)...)),
		opSetWatches: appendStrings(appendStrings(appendStrings(appendInt64(nil, 0), []string{"/a"}), nil), []string{"/"}),
		opAuth:       appendBuffer(appendString(appendInt32(nil, 0), "digest"), []byte("a:b")), opAddWatch: appendInt32(path, 1),
		opMultiRead: endMulti(nil), opCloseSession: nil, opPing: nil, opReconfig: nil, 77: path,
	} {
		f.Add(append(request32(1, kind, body), request32(2, opExists, appendBool(path, false))...))
	}
	f.Add([]byte("\xff\xff\xff\xff"))
	r := start(f, Options{})
	other := client(f, r)
	f.Fuzz(func(t *testing.T, b []byte) {
		nc := must(r.Dial("", "", time.Minute))
		defer nc.Close()
		drained := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, nc); close(drained) }() // until the end, whatever that is
		within(t, inUse, 2*outboxLimit+decodingFactor*len(b), func() {
			must(nc.Write(hello(10 * time.Second)))
			_, _ = nc.Write(b) // the server may close at any byte
			nc.Close()
			<-drained
		})
		if _, _, err := other.Exists("/"); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzConnect sends arbitrary bytes as the first of a connection.
func FuzzConnect(f *testing.F) {
	f.Add(hello(10 * time.Second))
	f.Add(append(hello(0), request32(1, opPing, nil)...))
	for _, word := range []string{"ruok", "srvr", "stat", "mntr", "envi", "isro", "dump", "GET / HTTP/1.1\r\n"} {
		f.Add([]byte(word))
	}
	r := start(f, Options{})
	other := client(f, r)
	f.Fuzz(func(t *testing.T, b []byte) {
		nc := must(r.Dial("", "", time.Minute))
		defer nc.Close()
		drained := make(chan struct{})
		go func() { _, _ = io.Copy(io.Discard, nc); close(drained) }() // until the end, whatever that is
		within(t, inUse, 2*outboxLimit+decodingFactor*len(b), func() {
			_, _ = nc.Write(b) // the server may close at any byte
			nc.Close()
			<-drained
		})
		if _, _, err := other.Exists("/"); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzTransaction decodes arbitrary log content and applies it.
func FuzzTransaction(f *testing.F) {
	f.Add(appendTxn(nil, txn{zxid: 1, time: 2, effects: []effect{
		{kind: effectCreate, path: "/a", data: []byte("x"), acl: openACL, count: 1},
		{kind: effectCreate, path: "/a/b", owner: 7, acl: []ACL{{1, "ip", "127.0.0.1"}}, count: 1},
		{kind: effectSetData, path: "/a", count: 1},
		{kind: effectSetACL, path: "/", acl: readOnlyACL, count: 1},
		{kind: effectDelete, path: "/a"},
		{kind: effectOpenSession, owner: 7, count: 4000},
		{kind: effectCloseSession, owner: 7},
	}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var x txn
		var ok bool
		within(t, allocated, decodingBase+decodingFactor*len(b), func() { x, ok = decodeTxn(b) })
		if !ok {
			return
		}
		again, ok := decodeTxn(appendTxn(nil, x))
		if diff := cmp.Diff(x, again, cmp.AllowUnexported(txn{}, effect{})); !ok || diff != "" {
			t.Fatal(diff)
		}
		tr := newTree()
		tr.apply(x)
		once := state(tr)
		tr.apply(x)
		if diff := cmp.Diff(once, state(tr)); diff != "" && len(x.effects) == 1 {
			t.Fatalf("applied twice: %s", diff)
		}
	})
}

// FuzzSnapshot decodes arbitrary snapshots with a good checksum.
func FuzzSnapshot(f *testing.F) {
	p := newPipeline(newTree(), nil, zerolog.Nop())
	p.tree.apply(txn{zxid: 1, effects: []effect{
		{kind: effectCreate, path: "/a", data: []byte("x"), acl: openACL, count: 1, owner: containerOwner},
		{kind: effectOpenSession, owner: 7, count: 4000},
	}})
	f.Add(snapshotOf(f, p))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4 {
			b = seal(b[:len(b)-4])
		}
		var tr *tree
		var end int64
		var err error
		within(t, allocated, decodingBase+decodingFactor*len(b), func() { tr, end, err = readSnapshot(b) })
		if err != nil {
			return
		}
		if end < tr.zxid {
			t.Fatalf("ends at %d, begins at %d", end, tr.zxid)
		}
		state(tr)
	})
}

// FuzzLog reads arbitrary content as the only segment of a log.
func FuzzLog(f *testing.F) {
	dir := f.TempDir()
	r := start(f, Options{Dir: dir, NoSync: true})
	fill(f, r)
	r.stop()
	path := onlySegment(f, dir)
	f.Add(must(os.ReadFile(path)))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := copyDir(t, dir, path, b)
		report, checkErr := Check(d)
		tr, err := reopen(d)
		if (err != nil) != (checkErr != nil || report.Damage != nil) {
			t.Fatalf("a start says %v, the check %v, %v", err, checkErr, report.Damage)
		}
		if err != nil && report.Cut != nil {
			report.Cut.perform(t)
			if _, err := reopen(d); err != nil {
				t.Fatalf("after the cut %+v: %v", report.Cut, err)
			}
		}
		if err != nil {
			return
		}
		again, err := reopen(d)
		if err != nil {
			t.Fatalf("read once, but not twice: %v", err)
		}
		if diff := cmp.Diff(state(tr), state(again)); diff != "" {
			t.Fatal(diff)
		}
	})
}
