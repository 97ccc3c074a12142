package zkserver_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Operation codes, error names and record formats as the protocol's public description has them: the conformance cases
// share nothing with the server's own wire code.
const (
	create, del, exists, getData, setData, getACL, setACL, getChildren = 1, 2, 3, 4, 5, 6, 7, 8
	sync, ping, getChildren2, check, multi, create2, reconfig          = 9, 11, 12, 13, 14, 15, 16
	checkWatches, removeWatches, createContainer, createTTL, multiRead = 17, 18, 19, 21, 22
	auth, setWatches, getEphemerals, countChildren, setWatches2        = 100, 101, 103, 104, 105
	addWatch, whoAmI, closeSession, sasl                               = 106, 107, -11, 102
)

var opNames = map[int]string{
	create: "create", del: "delete", exists: "exists", getData: "getData", setData: "setData", getACL: "getACL",
	setACL: "setACL", getChildren: "getChildren", sync: "sync", ping: "ping", getChildren2: "getChildren2", check: "check",
	multi: "multi", create2: "create2", reconfig: "reconfig", checkWatches: "checkWatches", removeWatches: "removeWatches",
	createContainer: "createContainer", createTTL: "createTTL", multiRead: "multiRead", auth: "auth",
	setWatches: "setWatches", getEphemerals: "getEphemerals", countChildren: "countChildren", setWatches2: "setWatches2",
	addWatch: "addWatch", whoAmI: "whoAmI", closeSession: "closeSession",
	sasl: "sasl",
}

// acl is one entry of an ACL list.
type acl struct {
	perms      int
	scheme, id string
}

var (
	open = []acl{{31, "world", "anyone"}}
	null = []byte(nil)
)

// bytes that are sent as they are.
type raw []byte

// part is one operation of a multi.
type part struct {
	op   int
	args []any
}

// script runs one conformance case on one server and keeps a transcript in which everything that may differ between two
// servers is replaced: zxids by their rank, sessions by their number, the case's root path by nothing.
type script struct {
	*testing.T
	addr     string
	root     string
	lines    []string
	sessions []*session
	conns    []net.Conn
}

// session is one connection with its session.
type session struct {
	s        *script
	number   int
	conn     net.Conn
	xid      int32
	id       int64
	password []byte
	timeout  int32
	zxid     int64 // the last one seen
}

func (s *script) log(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	s.lines = append(s.lines, strings.ReplaceAll(line, s.root, ""))
}

func (s *script) dialTCP() net.Conn {
	s.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.Fatal(err)
	}
	s.conns = append(s.conns, c)
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		s.Fatal(err)
	}
	return c
}

// connect opens a connection and asks for a session.
func (s *script) connect() *session { return s.connectAs(0, 0, 10000, make([]byte, 16)) }

// connectAs sends any connect request and logs a refusal. The session is nil then.
func (s *script) connectAs(id, zxid int64, timeout int32, password []byte, more ...byte) *session {
	s.Helper()
	c := &session{s: s, conn: s.dialTCP(), id: id, zxid: zxid}
	frame := encode(int32(0), zxid, timeout, id, password)
	c.write(append(frame, more...))
	b, err := c.readFrame()
	if err != nil {
		s.log("connect: closed")
		return nil
	}
	d := &reader{b}
	d.int32()
	c.timeout, c.id, c.password = d.int32(), d.int64(), d.buffer()
	if c.id == 0 {
		s.log("connect: refused, timeout %d, password %x, %d bytes, then %s", c.timeout, c.password, len(b), c.atEnd())
		return nil
	}
	if i := slices.IndexFunc(s.sessions, func(o *session) bool { return o.id == c.id }); i >= 0 {
		c.number = i
	} else {
		c.number = len(s.sessions)
		s.sessions = append(s.sessions, c)
	}
	return c
}

// atEnd tells whether the server closes the connection.
func (c *session) atEnd() string {
	if b, err := c.readFrame(); err == nil {
		return fmt.Sprintf("%d more bytes", len(b))
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		return "open"
	}
	return "closed"
}

func (c *session) write(frame []byte) {
	_, _ = c.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...)) // reading tells whether the connection is closed
}

func (c *session) readFrame() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(c.conn, b)
	return b, err
}

// path puts absolute paths below the case's root; "=/x" means /x itself.
func (c *session) path(p string) string {
	if rest, ok := strings.CutPrefix(p, "="); ok {
		return rest
	}
	if p == "/" {
		return c.s.root
	}
	return c.s.root + p
}

// call sends a request, waits for its answer and logs it, with the events that come before.
func (c *session) call(op int, args ...any) {
	c.s.Helper()
	c.send(op, args...)
	c.await(op)
}

// send sends a request without waiting.
func (c *session) send(op int, args ...any) {
	c.s.Helper()
	xid := c.nextXid(op)
	c.write(append(encode(xid, int32(op)), c.encode(op, args)...))
}

func (c *session) nextXid(op int) int32 {
	switch op {
	case ping:
		return -2
	case auth:
		return -4
	case setWatches, setWatches2:
		return -8
	}
	c.xid++
	return c.xid
}

func (c *session) encode(op int, args []any) []byte {
	var b []byte
	for i, a := range args {
		switch a := a.(type) {
		case []part:
			for _, p := range a {
				b = append(b, encode(int32(p.op), false, int32(-1))...)
				b = append(b, c.encode(p.op, p.args)...)
			}
			b = append(b, encode(int32(-1), true, int32(-1))...)
		case string:
			if i == 0 && op != auth {
				a = c.path(a)
			}
			b = append(b, encode(a)...)
		case []string:
			b = append(b, encode(int32(len(a)))...)
			for _, p := range a {
				b = append(b, encode(c.path(p))...)
			}
		default:
			b = append(b, encode(a)...)
		}
	}
	return b
}

// await logs the next answer, which is to a request of kind op, and the events before it.
func (c *session) await(op int) {
	c.s.Helper()
	for {
		b, err := c.readFrame()
		if err != nil {
			c.s.log("%s%s: closed", c.prefix(), opNames[op])
			return
		}
		d := &reader{b}
		xid, zxid, code := d.int32(), d.int64(), d.int32()
		if xid == -1 {
			c.logEvent(d)
			continue
		}
		if zxid > 0 {
			c.zxid = zxid
		}
		if code != 0 {
			c.s.log("%s%s: error %d%s", c.prefix(), opNames[op], code, d.leftOver())
			return
		}
		at := ""
		switch op {
		case create, create2, createContainer, setData, del, setACL, closeSession:
			at = fmt.Sprintf(" at <%d>", zxid)
		case auth:
			at = fmt.Sprintf(" at %d", zxid)
		}
		c.s.log("%s%s: ok%s%s%s", c.prefix(), opNames[op], at, c.body(op, d), d.leftOver())
		return
	}
}

func (c *session) prefix() string {
	if c.number == 0 {
		return ""
	}
	return fmt.Sprintf("[%d] ", c.number)
}

func (c *session) logEvent(d *reader) {
	kind, state, path := d.int32(), d.int32(), d.string()
	names := map[int32]string{1: "created", 2: "deleted", 3: "changed", 4: "children"}
	c.s.log("%sevent %s %s state %d", c.prefix(), names[kind], path, state)
}

// events logs what arrives until n events have come.
func (c *session) events(n int) {
	c.s.Helper()
	for range n {
		b, err := c.readFrame()
		if err != nil {
			c.s.log("%sevent: closed", c.prefix())
			return
		}
		d := &reader{b}
		if xid := d.int32(); xid != -1 {
			c.s.Fatalf("an answer with xid %d in place of an event", xid)
		}
		d.int64()
		d.int32()
		c.logEvent(d)
	}
}

// quiet logs that nothing more has arrived: a ping is answered by nothing but the pong.
func (c *session) quiet() { c.call(ping) }

// body decodes the answer to op.
func (c *session) body(op int, d *reader) string {
	switch op {
	case create, sync:
		return " " + d.string()
	case create2, createContainer:
		return " " + d.string() + c.stat(d)
	case exists, setData, setACL:
		return c.stat(d)
	case getData:
		return fmt.Sprintf(" %s%s", d.data(), c.stat(d))
	case sasl:
		return " " + d.data()
	case getACL:
		var list []string
		for range d.int32() {
			list = append(list, fmt.Sprintf("%d:%s:%s", d.int32(), d.string(), d.string()))
		}
		return " " + strings.Join(list, " ") + c.stat(d)
	case getChildren, getEphemerals:
		return " " + d.list()
	case getChildren2:
		return " " + d.list() + c.stat(d)
	case countChildren:
		return fmt.Sprint(" ", d.int32())
	case whoAmI:
		var list []string
		for range d.int32() {
			list = append(list, d.string()+":"+d.string())
		}
		slices.Sort(list)
		return " " + strings.Join(list, " ")
	case multi, multiRead:
		var results []string
		for {
			kind, done, code := d.int32(), d.bool(), d.int32()
			if done || d.bad() {
				return fmt.Sprintf(" [%s] end %d %d", strings.Join(results, "; "), kind, code)
			}
			if kind == -1 {
				results = append(results, fmt.Sprintf("error %d %d", code, d.int32()))
				continue
			}
			results = append(results, fmt.Sprintf("%s%s", opNames[int(kind)], c.body(int(kind), d)))
		}
	}
	return ""
}

func (c *session) stat(d *reader) string {
	czxid, mzxid, ctime, mtime := d.int64(), d.int64(), d.int64(), d.int64()
	version, cversion, aversion, owner := d.int32(), d.int32(), d.int32(), d.int64()
	length, children, pzxid := d.int32(), d.int32(), d.int64()
	who := fmt.Sprint(owner)
	for _, o := range c.s.sessions {
		if o.id == owner {
			who = fmt.Sprintf("session%d", o.number)
		}
	}
	times := "timed"
	if ctime == 0 || mtime == 0 || mtime < ctime {
		times = fmt.Sprintf("times %d %d", ctime, mtime)
	}
	return fmt.Sprintf(" {c<%d> m<%d> p<%d> v%d cv%d av%d owner %s length %d children %d %s}",
		czxid, mzxid, pzxid, version, cversion, aversion, who, length, children, times)
}

var zxidMark = regexp.MustCompile(`<(-?\d+)>`)

// transcript is the log with the zxids replaced by their rank.
func (s *script) transcript() string {
	text := strings.Join(s.lines, "\n") + "\n"
	var seen []int64
	for _, m := range zxidMark.FindAllStringSubmatch(text, -1) {
		v, _ := strconv.ParseInt(m[1], 10, 64)
		if v > 0 {
			seen = append(seen, v)
		}
	}
	slices.Sort(seen)
	seen = slices.Compact(seen)
	return zxidMark.ReplaceAllStringFunc(text, func(m string) string {
		v, _ := strconv.ParseInt(m[1:len(m)-1], 10, 64)
		if v <= 0 {
			return m
		}
		return fmt.Sprintf("z%d", slices.Index(seen, v)+1)
	})
}

// encode writes values in the protocol's format.
func encode(values ...any) (b []byte) {
	for _, v := range values {
		switch v := v.(type) {
		case bool:
			if v {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		case int32:
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		case int64:
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
		case []byte:
			if v == nil {
				b = append(b, 0xff, 0xff, 0xff, 0xff)
			} else {
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
			}
		case []acl:
			b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
			for _, a := range v {
				b = append(b, encode(a.perms, a.scheme, a.id)...)
			}
		case raw:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("cannot encode %T", v))
		}
	}
	return b
}

// reader decodes values; what is missing reads as zero.
type reader struct{ rest []byte }

func (d *reader) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.rest = nil
		return make([]byte, 8)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *reader) bad() bool    { return d.rest == nil }
func (d *reader) bool() bool   { return d.take(1)[0] != 0 }
func (d *reader) int32() int32 { return int32(binary.BigEndian.Uint32(d.take(4))) }
func (d *reader) int64() int64 { return int64(binary.BigEndian.Uint64(d.take(8))) }

func (d *reader) buffer() []byte {
	n := d.int32()
	if n < 0 {
		return nil
	}
	return d.take(int(n))
}

func (d *reader) string() string { return string(d.buffer()) }

func (d *reader) data() string {
	b := d.buffer()
	switch {
	case b == nil:
		return "null"
	case len(b) > 100:
		return fmt.Sprintf("%d bytes", len(b))
	}
	return strconv.Quote(string(b))
}

func (d *reader) list() string {
	var list []string
	for range d.int32() {
		list = append(list, d.string())
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}

func (d *reader) leftOver() string {
	if len(d.rest) == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d bytes", len(d.rest))
}
