package zkserver

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"github.com/rs/zerolog"
)

const (
	lockName        = "lock"
	temporarySuffix = ".tmp"
)

// contents is what a state directory holds, each list in order.
type contents struct {
	snapshots []int64 // by the zxid they begin at
	segments  []types.SegmentInfo
	temporary []string // left-overs of an interrupted snapshot
}

func segmentPath(dir string, info types.SegmentInfo) string {
	return filepath.Join(dir, segment.FileName(info))
}

// listDir tells the files of a state directory apart. A file that is none of ours is an error.
func listDir(dir string) (c contents, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return c, err
	}
	for _, e := range entries {
		name := e.Name()
		var zxid int64
		var first, id uint64
		switch {
		case !e.Type().IsRegular():
		case name == lockName:
			continue
		case strings.HasPrefix(name, snapshotPrefix) && strings.HasSuffix(name, temporarySuffix):
			c.temporary = append(c.temporary, name)
			continue
		case scan(name, snapshotPattern, &zxid) && name == snapshotName(zxid):
			c.snapshots = append(c.snapshots, zxid)
			continue
		case scan(name, "%020d-%016x"+segmentSuffix, &first, &id):
			if info := segmentInfo(int64(first), id); name == segment.FileName(info) && first > 0 && int64(first) > 0 {
				c.segments = append(c.segments, info)
				continue
			}
		}
		return c, &Damage{File: filepath.Join(dir, name), Reason: "not a file of this server"}
	}
	slices.Sort(c.snapshots)
	slices.SortFunc(c.segments, func(a, b types.SegmentInfo) int { return cmp.Compare(a.BaseIndex, b.BaseIndex) })
	return c, nil
}

func scan(name, pattern string, values ...any) bool {
	n, err := fmt.Sscanf(name, pattern, values...)
	return err == nil && n == len(values)
}

// openJournal reads the state of a directory and opens its log for writing. It changes nothing before all of it has been
// read and found whole.
func openJournal(dir string, d *disk, log zerolog.Logger) (*journal, *tree, error) {
	if err := d.makeDir(dir); err != nil {
		return nil, nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, nil, err
	}
	j := &journal{dir: dir, disk: d, filer: segment.NewFiler(dir, d), lock: lock}
	t, err := j.load(log)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read the state in %s: %w", dir, err), j.abandon())
	}
	return j, t, nil
}

// abandon lets go of a directory that could not be read.
func (j *journal) abandon() error {
	if j.writer != nil {
		j.writer.Close()
	}
	return unlockDir(j.lock)
}

// load reads the state and makes the directory ready for writing.
func (j *journal) load(log zerolog.Logger) (*tree, error) {
	found, err := j.read()
	if err != nil {
		return nil, err
	}
	for _, note := range found.notes {
		log.Warn().Msg(note)
	}
	for _, name := range found.temporary {
		if err := os.Remove(filepath.Join(j.dir, name)); err != nil {
			return nil, err
		}
	}
	if j.writer == nil {
		return found.tree, j.rotate()
	}
	return found.tree, j.unseal()
}

// reading is what the files of a state directory say.
type reading struct {
	contents
	tree  *tree
	notes []string // what is wrong with them and costs nothing
}

// read builds the tree from the newest good snapshot and the log behind it. It changes nothing; the error is a *Damage
// where the content is at fault.
func (j *journal) read() (r reading, err error) {
	if r.contents, err = listDir(j.dir); err != nil {
		return r, err
	}
	end, err := j.readSnapshots(&r)
	if err != nil {
		return r, err
	}
	begin := r.tree.zxid
	segments := r.segments
	for len(segments) > 1 && int64(segments[1].BaseIndex) <= begin+1 {
		segments = segments[1:]
	}
	switch {
	case len(segments) == 0 && begin > 0:
		return r, &Damage{File: filepath.Join(j.dir, snapshotName(begin)), Zxid: begin + 1, Reason: "the log behind it is missing"}
	case len(segments) > 0 && int64(segments[0].BaseIndex) > begin+1:
		return r, &Damage{
			File: segmentPath(j.dir, segments[0]), Zxid: begin + 1,
			Reason: fmt.Sprintf("the log begins at zxid 0x%x, but the state before it ends at 0x%x", segments[0].BaseIndex, begin),
		}
	}
	for i, info := range segments {
		if i+1 < len(segments) {
			err = j.replay(r.tree, info, int64(segments[i+1].BaseIndex)-1)
		} else {
			err = j.replayLast(&r, info)
		}
		if err != nil {
			return r, err
		}
	}
	if r.tree.zxid < end {
		last := segments[len(segments)-1]
		return r, &Damage{
			File: segmentPath(j.dir, last), Zxid: r.tree.zxid + 1,
			Reason: fmt.Sprintf("the log ends at zxid 0x%x, but %s goes up to 0x%x", r.tree.zxid, snapshotName(begin), end),
		}
	}
	j.last = r.tree.zxid
	return r, nil
}

// unseal goes on in a new segment where the torn end of the last one happens to look like the library's end of a segment.
func (j *journal) unseal() error {
	sealed, _, err := j.writer.Sealed()
	if err != nil || !sealed {
		return err
	}
	torn := j.info
	if err := j.rotate(); err != nil {
		return err
	}
	if torn.BaseIndex == j.info.BaseIndex {
		return os.Remove(segmentPath(j.dir, torn)) // nothing in it ever became durable
	}
	return nil
}

// replayLast opens the last segment for writing, which drops a torn end, and applies what it holds.
func (j *journal) replayLast(r *reading, info types.SegmentInfo) error {
	path := segmentPath(j.dir, info)
	writer, err := j.filer.RecoverTail(info)
	if err != nil {
		return asDamage(err, func(reason string) error { return &Damage{File: path, Zxid: int64(info.BaseIndex), Reason: reason} })
	}
	j.writer, j.file, j.info = writer, j.disk.last, info
	last, content := lastOf(writer, info), j.file.content
	j.file.content = nil
	if zxid, found := laterBatch(info.ID, content, last); found {
		return &Damage{File: path, Zxid: last + 1, Reason: fmt.Sprintf("it cannot be read, though the log goes on to zxid 0x%x", zxid)}
	}
	end, _ := endOf(info, content, last)
	j.logged = end
	if err := j.replay(r.tree, info, last); err != nil {
		return err
	}
	if torn := written(content) - end; torn > 0 {
		r.notes = append(r.notes, fmt.Sprintf("%s ends with %d bytes that are no whole record: a write that was cut off and never acknowledged", path, torn))
	}
	return nil
}

// replay applies the transactions of a segment up to last, as far as they are newer than the tree.
func (j *journal) replay(t *tree, info types.SegmentInfo, last int64) error {
	path := segmentPath(j.dir, info)
	next := int64(info.BaseIndex)
	if last < next {
		return nil
	}
	bad := func(reason string) error { return &Damage{File: path, Zxid: next, Reason: reason} }
	err := j.filer.DumpSegment(info.BaseIndex, info.ID, 0, uint64(last)+1, func(_ types.SegmentInfo, e types.LogEntry) (bool, error) {
		payload, _, ok := openEntry(info.ID, e.Data)
		x, decoded := decodeTxn(payload)
		if !ok || !decoded || x.zxid != next {
			return false, bad("its checksum is wrong")
		}
		next++
		if x.zxid > t.zxid {
			t.apply(x)
		}
		return next <= last, nil
	})
	if err == nil && next <= last {
		err = bad("it cannot be read, though later ones were written")
	}
	return asDamage(err, bad)
}

// asDamage makes damage of an error that the log's content has caused, not the file system.
func asDamage(err error, bad func(reason string) error) error {
	_, damaged := errors.AsType[*Damage](err)
	_, failed := errors.AsType[*fs.PathError](err)
	if err == nil || damaged || failed {
		return err
	}
	return bad(err.Error())
}

// Sizes in the format of a segment.
const (
	segmentHeader = 32
	frameHeader   = 8 // before each entry, and all of a commit; frames are aligned to it too
)

// written is where in a segment the zeros begin that it was grown ahead with. It may be a few bytes before the end of the
// last record, if that ends with zeros.
func written(content []byte) int64 { return int64(len(bytes.TrimRight(content, "\x00"))) }

// endOf is where in a segment the batch ends that last is in, or the last whole one before it, and the last transaction of
// that.
func endOf(info types.SegmentInfo, content []byte, last int64) (size, whole int64) {
	next := int64(info.BaseIndex)
	whole = next - 1
	for at := int64(segmentHeader); at+frameHeader <= int64(len(content)); {
		switch content[at] {
		case segment.FrameEntry:
			n := int64(binary.LittleEndian.Uint32(content[at+4:]))
			start := at + frameHeader
			if next > last || n > int64(len(content))-start {
				return size, whole
			}
			if _, _, ok := openEntry(info.ID, content[start:start+n]); !ok {
				return size, whole
			}
			next++
			at = start + (n+frameHeader-1)/frameHeader*frameHeader
		case segment.FrameCommit:
			at += frameHeader
			size, whole = at, next-1
		default:
			return size, whole
		}
	}
	return size, whole
}
