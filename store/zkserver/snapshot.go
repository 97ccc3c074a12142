package zkserver

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// A snapshot is written while the tree goes on changing: its nodes are those of some moment between the zxid it begins
// at, which names it, and the one it ends at. The log from the beginning on is applied over it; since transactions carry
// results and not differences, and all of them up to the end are in the log, the outcome is exact.
const (
	snapshotPrefix  = "snapshot."
	snapshotPattern = snapshotPrefix + "%016x"
	snapshotMagic   = "helios-zk-snapshot-1\n"
	// snapshotLog is how much log makes a snapshot worth while; with a large tree it is the size of the last snapshot.
	snapshotLog = 2 << 20
	// snapshotKept is how many snapshots are kept, each with the log behind it, in case the newest is damaged.
	snapshotKept = 2
	// snapshotStep is how many nodes are written before writers get their turn.
	snapshotStep = 128
)

// Kinds of snapshot records.
const (
	recordNode    = 1
	recordSession = 2
	recordEnd     = 3
)

func snapshotName(zxid int64) string { return fmt.Sprintf(snapshotPattern, zxid) }

// snapshotWriter encodes a tree that others change.
type snapshotWriter struct {
	p    *pipeline
	out  io.Writer
	sum  hash.Hash32
	buf  []byte
	size int64
	step int
}

// writeSnapshot writes the state of the tree, which is at zxid begin or later, and returns the bytes written.
func (p *pipeline) writeSnapshot(ctx context.Context, begin int64, out io.Writer) (int64, error) {
	w := &snapshotWriter{p: p, out: out, sum: crc32.New(castagnoli)}
	w.buf = appendInt64(append(w.buf, snapshotMagic...), begin)

	p.mu.RLock()
	for id, s := range p.tree.sessions {
		w.buf = append(w.buf, recordSession)
		w.buf = append(appendInt64(appendInt64(w.buf, id), s.timeout), s.password[:]...)
	}
	err := w.walk(ctx, "", p.tree.root)
	end := p.tree.zxid
	p.mu.RUnlock()

	w.buf = appendInt64(append(w.buf, recordEnd), end)
	if err := errors.Join(err, w.flush()); err != nil {
		return 0, err
	}
	_, err = out.Write(w.sum.Sum(nil))
	return w.size + crc32.Size, err
}

// walk writes a node and those below it. The lock is released now and then, so the tree may change during the walk; a
// map may be changed while it is ranged over.
func (w *snapshotWriter) walk(ctx context.Context, path string, n *node) error {
	w.buf = append(w.buf, recordNode)
	w.buf = appendRecord(appendString(w.buf, max(path, "/")), n.record)
	if w.step++; w.step%snapshotStep == 0 || len(w.buf) > 1<<20 {
		w.p.mu.RUnlock()
		err := errors.Join(w.flush(), ctx.Err())
		w.p.mu.RLock()
		if err != nil {
			return err
		}
	}
	for name, child := range n.children {
		if err := w.walk(ctx, path+"/"+name, child); err != nil {
			return err
		}
	}
	return nil
}

func (w *snapshotWriter) flush() error {
	w.sum.Write(w.buf)
	n, err := w.out.Write(w.buf)
	w.size += int64(n)
	w.buf = w.buf[:0]
	return err
}

func appendRecord(b []byte, r record) []byte {
	b = appendACLs(appendBuffer(b, r.data), r.acl)
	for _, v := range []int64{r.owner, r.czxid, r.mzxid, r.pzxid, r.ctime, r.mtime} {
		b = appendInt64(b, v)
	}
	return appendInt32(appendInt32(appendInt32(b, r.version), r.aversion), r.created)
}

func decodeRecord(d *decoder) record {
	r := record{data: d.buffer(), acl: decodeACLs(d)}
	for _, v := range []*int64{&r.owner, &r.czxid, &r.mzxid, &r.pzxid, &r.ctime, &r.mtime} {
		*v = d.int64()
	}
	r.version, r.aversion, r.created = d.int32(), d.int32(), d.int32()
	return r
}

// readSnapshot builds the tree of a snapshot's bytes, at the zxid the snapshot begins at, and tells where it ends. The
// error says only what is wrong with them.
func readSnapshot(b []byte) (t *tree, end int64, err error) {
	bad := errors.New("not a whole snapshot")
	if len(b) < len(snapshotMagic)+4 || string(b[:len(snapshotMagic)]) != snapshotMagic {
		return nil, 0, bad
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, 0, errors.New("its checksum is wrong")
	}
	d := &decoder{rest: body[len(snapshotMagic):]}
	t = emptyTree()
	t.zxid = d.int64()
	for !d.bad && len(d.rest) > 0 {
		switch d.take(1)[0] {
		case recordSession:
			id, s := d.int64(), session{timeout: d.int64()}
			copy(s.password[:], d.take(passwordSize))
			t.sessions[id] = s
		case recordNode:
			path, r := d.string(), decodeRecord(d)
			if d.bad || !validPath(path) {
				return nil, 0, bad
			}
			t.load(path, r)
		case recordEnd:
			end = d.int64()
			if d.bad || len(d.rest) > 0 || end < t.zxid {
				return nil, 0, bad
			}
			return t, end, nil
		default:
			return nil, 0, bad
		}
	}
	return nil, 0, bad
}

// readSnapshots reads the newest snapshot that is whole, or makes the tree of a new server if there is none, and returns
// the zxid that the snapshot goes up to.
func (j *journal) readSnapshots(r *reading) (end int64, err error) {
	if len(r.snapshots) == 0 {
		r.tree = newTree()
		return 0, nil
	}
	for i, zxid := range slices.Backward(r.snapshots) {
		path := filepath.Join(j.dir, snapshotName(zxid))
		b, readErr := os.ReadFile(path)
		if readErr == nil {
			if r.tree, end, readErr = readSnapshot(b); readErr == nil {
				j.snapshotSize = int64(len(b))
				return end, nil
			}
			readErr = &Damage{File: path, Zxid: zxid, Reason: readErr.Error()}
		}
		err = cmp.Or(err, readErr) // the newest one's
		if i > 0 {
			r.notes = append(r.notes, fmt.Sprintf("%v; the snapshot before it is read instead", readErr))
		}
	}
	return 0, err
}

// prune removes all but the newest snapshots, and the log that none of those needs.
func (j *journal) prune() error {
	found, err := listDir(j.dir)
	if err != nil || len(found.snapshots) == 0 {
		return err
	}
	keep := max(len(found.snapshots)-snapshotKept, 0)
	for _, zxid := range found.snapshots[:keep] {
		err = errors.Join(err, os.Remove(filepath.Join(j.dir, snapshotName(zxid))))
	}
	oldest := found.snapshots[keep]
	for len(found.segments) > 1 && int64(found.segments[1].BaseIndex) <= oldest+1 {
		err = errors.Join(err, os.Remove(segmentPath(j.dir, found.segments[0])))
		found.segments = found.segments[1:]
	}
	return err
}
