package zkserver

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft-wal/types"
)

// The model test lets clients do random things to few nodes, with several requests at a time and connections that are cut,
// and then compares everything that they were told with a plain map, which the transactions of the log are applied to.
// Every answer carries the zxid of the state that it is about, so each has exactly one state to agree with.

// asked is one request of a client and what it was answered.
type asked struct {
	kind      int32
	path      string
	tag       string // the data written; each is written once
	second    string // the other node that a multi sets
	version   int32
	watch     bool
	ephemeral bool

	began, ended int64 // on a clock of all clients; ended is 0 if there was no answer
	zxid         int64
	code         code
	data         string   // read
	names        []string // read
	seen         stat     // read, version and owner alone
}

// heard is a frame that a connection received: an answer, or an event.
type heard struct {
	answer *asked
	event  eventType
	path   string
}

// player is one client.
type player struct {
	t        *testing.T
	r        running
	random   *rand.Rand
	clock    *atomic.Int64
	name     string
	id       int64
	password []byte
	all      []*asked
	conns    [][]heard
}

var modelPaths = []string{"/a/1", "/a/2", "/a/3", "/b/1", "/b/2"}

// connect opens a connection, with the session if there is one.
func (p *player) connect() net.Conn {
	nc := must(p.r.Dial("", "", time.Minute))
	frame := appendFrame(nil, func(b []byte) []byte {
		b = appendInt64(appendInt32(b, 0), 0)
		return appendBuffer(appendInt64(appendInt32(b, 20000), p.id), append(make([]byte, 0, 16), p.password...))
	})
	must(nc.Write(frame))
	d := &decoder{rest: must(readFrame(nc))}
	d.int32()
	d.int32()
	if p.id, p.password = d.int64(), d.buffer(); p.id == 0 {
		p.t.Error("the session is gone")
	}
	p.conns = append(p.conns, nil)
	return nc
}

func readFrame(nc net.Conn) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(nc, b)
	return b, err
}

// invent makes a random request.
func (p *player) invent() *asked {
	a := &asked{path: modelPaths[p.random.IntN(len(modelPaths))], version: -1, watch: p.random.IntN(2) == 0}
	a.kind = []int32{opCreate, opCreate, opDelete, opSetData, opSetData, opGetData, opGetData, opExists, opGetChildren2, opMulti}[p.random.IntN(10)]
	a.tag = fmt.Sprintf("%s-%d", p.name, len(p.all))
	a.ephemeral = p.random.IntN(3) == 0
	if a.kind == opGetChildren2 {
		a.path = a.path[:2]
	}
	if p.random.IntN(3) == 0 {
		a.version = int32(p.random.IntN(4))
	}
	if a.kind == opMulti {
		a.second = modelPaths[p.random.IntN(len(modelPaths))]
	}
	return a
}

func (a *asked) encode(xid int32) []byte {
	path := appendString(nil, a.path)
	switch a.kind {
	case opCreate:
		flags := modePersistent
		if a.ephemeral {
			flags = modeEphemeral
		}
		return request32(xid, a.kind, appendInt32(appendACLs(appendBuffer(path, []byte(a.tag)), openACL), flags))
	case opDelete:
		return request32(xid, a.kind, appendInt32(path, a.version))
	case opSetData:
		return request32(xid, a.kind, appendInt32(appendBuffer(path, []byte(a.tag)), a.version))
	case opMulti:
		var b []byte
		for _, path := range []string{a.path, a.second} {
			b = appendInt32(appendBool(appendInt32(b, opSetData), false), -1)
			b = appendInt32(appendBuffer(appendString(b, path), []byte(a.tag)), -1)
		}
		return request32(xid, a.kind, endMulti(b))
	}
	return request32(xid, a.kind, appendBool(path, a.watch))
}

// decode reads the answer's body.
func (a *asked) decode(d *decoder) {
	switch {
	case a.kind == opMulti:
		if kind, _, err := d.int32(), d.bool(), d.int32(); kind == opError {
			a.code = code(err)
			if a.code == codeOK { // the second one is the culprit
				d.int32()
				d.int32()
				d.bool()
				a.code = code(d.int32())
			}
		}
	case a.code != codeOK:
	case a.kind == opGetData:
		a.data = string(d.buffer())
		a.seen = decodeStat(d)
	case a.kind == opExists:
		a.seen = decodeStat(d)
	case a.kind == opGetChildren2:
		a.names = d.strings()
		slices.Sort(a.names)
	}
}

func decodeStat(d *decoder) (s stat) {
	for _, v := range []*int64{&s.czxid, &s.mzxid, &s.ctime, &s.mtime} {
		*v = d.int64()
	}
	s.version, s.cversion, s.aversion, s.owner = d.int32(), d.int32(), d.int32(), d.int64()
	return s
}

// play sends bursts of requests and reads the answers, but for those of connections that it cuts.
func (p *player) play(bursts int) {
	nc := p.connect()
	defer func() { nc.Close() }()
	for range bursts {
		var burst []*asked
		var frames []byte
		for range 1 + p.random.IntN(8) {
			a := p.invent()
			a.began = p.clock.Add(1)
			frames = append(frames, a.encode(int32(len(burst)))...)
			burst, p.all = append(burst, a), append(p.all, a)
		}
		must(nc.Write(frames))
		answers := len(burst)
		if cut := p.random.IntN(12) == 0; cut {
			answers = p.random.IntN(len(burst))
		}
		for _, a := range burst[:answers] {
			if !p.listen(nc, a) {
				return
			}
		}
		if answers < len(burst) {
			nc.Close()
			nc = p.connect()
		}
	}
}

// listen reads frames up to the answer to a.
func (p *player) listen(nc net.Conn, a *asked) bool {
	conn := &p.conns[len(p.conns)-1]
	for {
		b, err := readFrame(nc)
		if err != nil {
			p.t.Error(err)
			return false
		}
		d := &decoder{rest: b}
		if d.int32() == xidEvent {
			d.int64()
			d.int32()
			kind := eventType(d.int32())
			d.int32()
			*conn = append(*conn, heard{event: kind, path: d.string()})
			continue
		}
		a.zxid, a.code = d.int64(), code(d.int32())
		a.decode(d)
		a.ended = p.clock.Add(1)
		*conn = append(*conn, heard{answer: a})
		return true
	}
}

// plain is a node of the model.
type plain struct {
	data    string
	version int32
	owner   int64
	czxid   int64
	mzxid   int64
}

func TestAnswersAndEventsAgreeWithAModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := start(t, Options{Dir: t.TempDir(), NoSync: true})
	c := client(t, r)
	must(c.Create("/a", nil, 0, everyone))
	must(c.Create("/b", nil, 0, everyone))
	var clock atomic.Int64
	players := make([]*player, 5)
	var playing sync.WaitGroup
	for i := range players {
		players[i] = &player{t: t, r: r, clock: &clock, name: fmt.Sprint("p", i), random: rand.New(rand.NewPCG(seed, uint64(i)))}
		playing.Go(func() { players[i].play(1000) })
	}
	playing.Wait()
	r.stop()
	if t.Failed() {
		return
	}
	txns := logged(t, r)
	var all []*asked
	for _, p := range players {
		all = append(all, p.all...)
	}
	checkOrder(t, all)
	happened := checkStates(t, txns, all)
	for _, p := range players {
		for _, conn := range p.conns {
			checkEvents(t, conn, happened)
		}
	}
	answered := len(slices.DeleteFunc(slices.Clone(all), func(a *asked) bool { return a.ended == 0 }))
	t.Logf("%d transactions, %d requests, %d answered", len(txns), len(all), answered)
}

// logged reads the transactions of a server that has ended.
func logged(t *testing.T, r running) (all []txn) {
	t.Helper()
	j := r.pipeline.journal
	err := j.filer.DumpSegment(j.info.BaseIndex, j.info.ID, 0, 0, func(_ types.SegmentInfo, e types.LogEntry) (bool, error) {
		payload, _, _ := openEntry(j.info.ID, slices.Clone(e.Data))
		x, ok := decodeTxn(payload)
		all = append(all, x)
		return ok, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkOrder holds the zxids of the answers against the clock: what was answered before something was asked has come
// before it.
func checkOrder(t *testing.T, all []*asked) {
	t.Helper()
	byEnd := slices.DeleteFunc(slices.Clone(all), func(a *asked) bool { return a.ended == 0 })
	byBegin := slices.Clone(byEnd)
	slices.SortFunc(byEnd, func(a, b *asked) int { return int(a.ended - b.ended) })
	slices.SortFunc(byBegin, func(a, b *asked) int { return int(a.began - b.began) })
	var highest int64
	for _, a := range byBegin {
		for len(byEnd) > 0 && byEnd[0].ended < a.began {
			highest = max(highest, byEnd[0].zxid)
			byEnd = byEnd[1:]
		}
		if a.zxid < highest || a.zxid == highest && a.writes() && a.code == codeOK {
			t.Fatalf("%+v is answered at 0x%x, after 0x%x was", a, a.zxid, highest)
		}
	}
}

func (a *asked) writes() bool {
	return a.kind == opCreate || a.kind == opDelete || a.kind == opSetData || a.kind == opMulti
}

// change is what happened to a node.
type change struct {
	zxid int64
	kind eventType
}

// checkStates applies the transactions to a map and compares each answer with the state of its zxid. It returns what
// happened to each path.
func checkStates(t *testing.T, txns []txn, all []*asked) map[string][]change {
	t.Helper()
	answers, tags := map[int64][]*asked{}, map[string]*asked{}
	for _, a := range all {
		tags[a.tag] = a
		if a.ended != 0 {
			answers[a.zxid] = append(answers[a.zxid], a)
		}
	}
	nodes, happened := map[string]plain{}, map[string][]change{}
	for _, x := range txns {
		for _, e := range x.effects {
			n := nodes[e.path]
			var kind eventType
			switch e.kind {
			case effectCreate:
				n, kind = plain{data: string(e.data), owner: e.owner, czxid: x.zxid, mzxid: x.zxid}, eventCreated
			case effectSetData:
				n.data, n.version, n.mzxid, kind = string(e.data), n.version+1, x.zxid, eventDataChanged
			case effectDelete:
				kind = eventDeleted
			default:
				continue
			}
			if tag := tags[string(e.data)]; len(e.path) > 2 && kind != eventDeleted && (tag == nil || tag.ended != 0 && (tag.code != codeOK || tag.zxid != x.zxid)) {
				t.Fatalf("0x%x writes %q, which was answered %+v", x.zxid, e.data, tag)
			}
			nodes[e.path] = n
			if kind == eventDeleted {
				delete(nodes, e.path)
			}
			happened[e.path] = append(happened[e.path], change{x.zxid, kind})
			if kind != eventDataChanged {
				parent, _, _ := splitPath(e.path)
				happened[parent] = append(happened[parent], change{x.zxid, eventChildrenChanged})
			}
		}
		for _, a := range answers[x.zxid] {
			if problem := a.disagrees(nodes, x); problem != "" {
				t.Fatalf("at 0x%x: %s: %+v", x.zxid, problem, a)
			}
		}
		delete(answers, x.zxid)
	}
	if len(answers) > 0 {
		t.Fatalf("answers of states that never were: %v", slices.Collect(maps.Keys(answers)))
	}
	return happened
}

// disagrees says what is wrong with an answer about a state.
func (a *asked) disagrees(nodes map[string]plain, x txn) string {
	n, there := nodes[a.path]
	if a.writes() && a.code == codeOK {
		want := 1
		if a.kind == opMulti {
			want = 2
		}
		if len(x.effects) != want || x.effects[0].path != a.path || a.kind != opDelete && string(x.effects[want-1].data) != a.tag {
			return fmt.Sprintf("the transaction is another one's: %+v", x)
		}
		return ""
	}
	missing := !there && a.kind != opGetChildren2
	switch {
	case a.kind == opMulti:
		_, second := nodes[a.second]
		if a.code != codeNoNode || there && second {
			return "wrong refusal"
		}
	case a.kind == opCreate:
		if a.code != codeNodeExists || !there {
			return "wrong refusal"
		}
	case missing != (a.code == codeNoNode):
		return "there, or not there"
	case a.writes():
		if !missing && (a.code != codeBadVersion || a.version == n.version || a.version == -1) {
			return "wrong refusal"
		}
	case a.kind == opGetChildren2:
		var names []string
		for path := range nodes {
			if name, ok := strings.CutPrefix(path, a.path+"/"); ok {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, a.names) {
			return fmt.Sprintf("the children are %v", names)
		}
	case !missing:
		if a.kind == opGetData && a.data != n.data || a.seen.version != n.version || a.seen.owner != n.owner || a.seen.czxid != n.czxid || a.seen.mzxid != n.mzxid {
			return fmt.Sprintf("the node is %+v", n)
		}
	}
	return ""
}

// checkEvents follows what one connection heard: each change that it watched for is told once, before the first answer
// about a state that has it, and nothing else is told.
func checkEvents(t *testing.T, frames []heard, happened map[string][]change) {
	t.Helper()
	armed := map[watchKey]int64{} // since which zxid
	next := func(key watchKey, since int64) change {
		for _, c := range happened[key.path] {
			if c.zxid > since && (key.kind == watchChildren) == (c.kind == eventChildrenChanged) {
				return c
			}
		}
		return change{zxid: 1 << 62}
	}
	var last int64
	for _, f := range frames {
		if f.answer == nil {
			key := watchKey{f.path, watchData}
			if f.event == eventChildrenChanged {
				key.kind = watchChildren
			}
			since, ok := armed[key]
			if c := next(key, since); !ok || c.kind != f.event || c.zxid <= last {
				t.Fatalf("event %d %s after 0x%x: watched %v since 0x%x, then %+v", f.event, f.path, last, ok, since, c)
			}
			delete(armed, key)
			continue
		}
		a := f.answer
		for key, since := range armed {
			if c := next(key, since); c.zxid <= a.zxid {
				t.Fatalf("no event of %+v at %s, watched since 0x%x, before %+v", c, key.path, since, a)
			}
		}
		if last > a.zxid {
			t.Fatalf("an answer at 0x%x after one at 0x%x", a.zxid, last)
		}
		last = a.zxid
		key := watchKey{a.path, watchData}
		if a.kind == opGetChildren2 {
			key.kind = watchChildren
		}
		if _, already := armed[key]; a.watch && !a.writes() && !already && (a.code == codeOK || a.kind == opExists) {
			armed[key] = a.zxid
		}
	}
}
