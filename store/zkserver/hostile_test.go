package zkserver

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// lineTo opens a connection with a session to a server that listens.
func lineTo(t *testing.T, r running) *line {
	t.Helper()
	l := must(dialLine(r.Addr()))
	t.Cleanup(func() { l.nc.Close() })
	return l
}

func TestConnectionsWithoutASessionKeepNobodyOut(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0", MaxConnections: 20, MaxConnectionsPerAddress: 20})
	var silent []net.Conn
	for range 200 {
		nc := must(net.Dial("tcp", r.Addr()))
		defer nc.Close()
		silent = append(silent, nc)
	}
	for range 18 { // and a tenth is kept
		l := lineTo(t, r)
		if _, _, err := l.ask(opExists, appendBool(appendString(nil, "/"), false)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dialLine(r.Addr()); err == nil {
		t.Error("one connection more than the limit has a session")
	}
	if n := r.connections(); n > 20 {
		t.Errorf("%d connections", n)
	}
	if _, err := silent[0].Read(make([]byte, 1)); !isClosed(err) {
		t.Errorf("the oldest silent connection: %v", err)
	}
}

// isClosed tells whether the other side has closed, in order or not.
func isClosed(err error) bool {
	return isEnd(err) || err != nil && strings.Contains(err.Error(), "connection reset")
}

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0", MaxConnectionsPerAddress: 3})
	lines := []*line{lineTo(t, r), lineTo(t, r), lineTo(t, r)}
	if _, err := dialLine(r.Addr()); !isClosed(err) && !errors.Is(err, io.EOF) {
		t.Errorf("the fourth connection: %v", err)
	}
	must(client(t, r).Create("/a", nil, 0, everyone)) // from another address
	lines[0].nc.Close()
	eventually(t, func() error { l, err := dialLine(r.Addr()); return errors.Join(err, closeLine(l)) })
}

func closeLine(l *line) error {
	if l == nil {
		return nil
	}
	return l.nc.Close()
}

// dialFrom is dialLine from one of this machine's addresses.
func dialFrom(source, addr string) (*line, error) {
	nc, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return greet(nc, 0, make([]byte, passwordSize))
}

func TestAddressThatTakesAllSessionsItCanGetKeepsNobodyElseOut(t *testing.T) {
	t.Parallel()
	const limit = 40
	r := start(t, Options{Addr: "127.0.0.1:0", MaxConnections: limit})
	var flood []*line
	for range 2 * limit {
		if l, err := dialLine(r.Addr()); err == nil {
			defer l.nc.Close()
			flood = append(flood, l)
		}
	}
	if len(flood) != limit*3/4 {
		t.Errorf("one address has %d sessions of %d", len(flood), limit)
	}
	for range 5 * limit { // and it goes on opening connections
		nc := must(net.Dial("tcp", r.Addr()))
		defer nc.Close()
	}
	// One of its own clients has lost its connection, or the server does not know yet that it has.
	for _, l := range flood[:4] {
		eventually(t, func() error {
			nc := must(net.Dial("tcp", r.Addr()))
			t.Cleanup(func() { nc.Close() })
			_, err := greet(nc, l.id, l.password)
			return err
		})
	}
	for range limit*9/10 - limit*3/4 {
		other, err := dialFrom("127.0.0.2", r.Addr())
		if err != nil {
			t.Fatalf("a client of another address: %v", err)
		}
		defer other.nc.Close()
		if _, _, err := other.ask(opExists, appendBool(appendString(nil, "/"), false)); err != nil {
			t.Error(err)
		}
	}
	if l, err := dialFrom("127.0.0.3", r.Addr()); err == nil {
		defer l.nc.Close()
		t.Error("a new session in the place that is kept for clients that come back")
	}
	eventually(t, func() error {
		nc := must(net.Dial("tcp", r.Addr()))
		defer nc.Close()
		_, err := nc.Write([]byte("ruok"))
		if answer, readErr := io.ReadAll(nc); string(answer) != "imok" {
			return fmt.Errorf("the answer to ruok is %q: %w", answer, cmp.Or(err, readErr, io.EOF))
		}
		return nil
	})
}

// Clients that come back may not take all places either.
func TestSessionsOfOneAddressThatComeBackAreLimited(t *testing.T) {
	t.Parallel()
	const limit = 40
	r := start(t, Options{Addr: "127.0.0.1:0", MaxConnections: limit})
	var away []*line
	for range limit + 10 {
		l := must(dialLine(r.Addr()))
		away = append(away, l)
		l.nc.Close()
		eventually(t, func() error {
			if n := r.connections(); n > 0 {
				return fmt.Errorf("%d connections", n)
			}
			return nil
		})
	}
	back := 0
	for _, l := range away {
		nc := must(net.Dial("tcp", r.Addr()))
		defer nc.Close()
		if _, err := greet(nc, l.id, l.password); err == nil {
			back++
		}
	}
	if back != limit*3/4+limit/10 {
		t.Errorf("%d of %d are back", back, len(away))
	}
	other := must(dialFrom("127.0.0.2", r.Addr()))
	other.nc.Close()
}

func TestIdentitiesOfAConnectionAreLimited(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0"})
	l := lineTo(t, r)
	proved := 0
	for ; proved < 10000; proved++ {
		if _, _, err := l.ask(opAuth, appendBuffer(appendString(appendInt32(nil, 0), "digest"), fmt.Append(nil, "user", proved, ":x"))); err != nil {
			break
		}
	}
	if proved < 100 || proved > 1000 {
		t.Errorf("a connection has proved %d identities", proved)
	}
	if _, _, err := l.ask(opWhoAmI, nil); err == nil {
		t.Error("the connection goes on")
	}
}

// A client with many identities whose list of the scheme auth stands for all of them, many times.
func TestListsOfTheSchemeAuthAreLimited(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0"})
	l := lineTo(t, r)
	for i := range 300 {
		if _, _, err := l.ask(opAuth, appendBuffer(appendString(appendInt32(nil, 0), "digest"), fmt.Append(nil, "user", i, ":x"))); err != nil {
			t.Fatal(err)
		}
	}
	list := func(n int) []ACL {
		acl := make([]ACL, n)
		for i := range acl {
			acl[i] = ACL{Perms: int32(i), Scheme: "auth"}
		}
		return acl
	}
	body := func(path string, acl []ACL) []byte {
		return appendInt32(appendACLs(appendBuffer(appendString(nil, path), nil), acl), 0)
	}
	if _, _, err := l.ask(opCreate, body("/a", list(40000))); err == nil {
		t.Error("a list of 12,000,000 entries is taken")
	}
	var multi []byte
	for i := range 6000 {
		multi = append(appendInt32(appendBool(appendInt32(multi, opCreate), false), -1), body(fmt.Sprint("/m", i), list(5))...)
	}
	if _, d, err := l.ask(opMulti, endMulti(multi)); err != nil || d.int32() != opError {
		t.Errorf("a multi that takes hundreds of megabytes is taken: %v", err)
	}
	if _, _, err := l.ask(opCreate, body("/b", list(5))); err != nil {
		t.Error(err)
	}
}

func TestSessionWithMoreEphemeralNodesThanARecordHoldsEndsWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Addr: "127.0.0.1:0", Dir: dir, NoSync: true})
	l := lineTo(t, r)
	long := strings.Repeat("x", 1_000_000)
	for i := range 36 {
		if _, _, err := l.ask(opCreate, createBody(fmt.Sprint("/", i, long), nil, modeEphemeral)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := l.ask(opCloseSession, nil); err != nil {
		t.Fatal(err)
	}
	r.stop()
	tr, err := reopen(dir)
	if err != nil {
		t.Fatal(err)
	}
	if tr.nodes != 4 || len(tr.sessions) != 0 || tr.zxid != r.pipeline.tree.zxid {
		t.Errorf("%d nodes, %d sessions, up to 0x%x of 0x%x", tr.nodes, len(tr.sessions), tr.zxid, r.pipeline.tree.zxid)
	}
}

func TestTreeOfManyLevels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := start(t, Options{Addr: "127.0.0.1:0", Dir: dir, NoSync: true})
	l := lineTo(t, r)
	path := ""
	for range 1500 {
		path += "/d"
		if _, _, err := l.ask(opCreate, createBody(path, nil, 0)); err != nil {
			t.Fatal(err)
		}
	}
	deep := strings.Repeat("/d", 10000)
	for _, kind := range []int32{opGetData, opExists} {
		if _, _, err := l.ask(kind, appendBool(appendString(nil, deep), false)); err == nil || err.Error() != "refused with -101" {
			t.Errorf("a path of 10,000 levels: %v", err)
		}
	}
	if _, _, err := l.ask(opCreate, createBody(deep, nil, 0)); err == nil || err.Error() != "refused with -101" {
		t.Errorf("a path of 10,000 levels: %v", err)
	}
	for _, try := range []struct {
		kind int32
		body []byte
	}{
		{opGetData, appendBool(appendString(nil, path), true)},
		{opAddWatch, appendInt32(appendString(nil, "/d"), 1)},
		{opSetData, appendInt32(appendBuffer(appendString(nil, path), []byte("x")), -1)},
		{opCountChildren, appendString(nil, "/")},
	} {
		if _, err := l.nc.Write(request32(1, try.kind, try.body)); err != nil {
			t.Fatal(err)
		}
		for {
			d := &decoder{rest: must(readFrame(l.nc))}
			if d.int32() == xidEvent {
				continue
			}
			d.int64()
			if c := d.int32(); c != 0 {
				t.Errorf("operation %d: error %d", try.kind, c)
			}
			break
		}
	}
	r.stop()
	snapshot, _, err := readSnapshot(snapshotOf(t, r.pipeline))
	if err != nil || snapshot.nodes != r.pipeline.tree.nodes {
		t.Errorf("the snapshot: %v", err)
	}
	if tr, err := reopen(dir); err != nil || tr.lookup(path) == nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestHalfAFrameKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Addr: "127.0.0.1:0"})
	l, other := lineTo(t, r), lineTo(t, r)
	exists := request32(7, opExists, appendBool(appendString(nil, "/"), false))
	must(l.nc.Write(append(exists[:len(exists):len(exists)], exists[:6]...))) // a whole one, and the beginning of another
	if err := l.nc.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := readFrame(l.nc); err != nil {
		t.Errorf("the answer to the first: %v", err)
	}
	if _, _, err := other.ask(opExists, appendBool(appendString(nil, "/"), false)); err != nil {
		t.Error(err)
	}
}
