package zkserver

import (
	"errors"
	"fmt"
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

// errDamaged is in the chain of every error about the content of the state directory.
var errDamaged = errors.New("the state is damaged")

// contents is what a state directory holds, each list in order.
type contents struct {
	snapshots []int64 // by the zxid they begin at
	segments  []types.SegmentInfo
}

func segmentPath(dir string, info types.SegmentInfo) string {
	return filepath.Join(dir, segment.FileName(info))
}

// listDir tells the files of a state directory apart. Left-overs of an interrupted snapshot are listed with no list; a
// file that is none of ours is an error.
func listDir(dir string) (c contents, temporary []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return c, nil, err
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
			temporary = append(temporary, name)
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
		return c, nil, fmt.Errorf("%w: %s is not a file of this server", errDamaged, filepath.Join(dir, name))
	}
	slices.Sort(c.snapshots)
	slices.SortFunc(c.segments, func(a, b types.SegmentInfo) int {
		return int(min(max(int64(a.BaseIndex-b.BaseIndex), -1), 1))
	})
	return c, temporary, nil
}

func scan(name, pattern string, values ...any) bool {
	n, err := fmt.Sscanf(name, pattern, values...)
	return err == nil && n == len(values)
}

// openJournal reads the state of a directory and opens its log for writing. It changes nothing before all of it has been
// read and found whole.
func openJournal(dir string, d *disk, log zerolog.Logger) (*journal, *tree, error) {
	if err := errors.Join(os.MkdirAll(dir, 0o700), d.syncDir(filepath.Dir(dir))); err != nil {
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

func (j *journal) load(log zerolog.Logger) (*tree, error) {
	found, temporary, err := listDir(j.dir)
	if err != nil {
		return nil, err
	}
	t, end, err := j.newestSnapshot(found.snapshots, log)
	if err != nil {
		return nil, err
	}
	begin := t.zxid
	segments := found.segments
	for len(segments) > 1 && int64(segments[1].BaseIndex) <= begin+1 {
		segments = segments[1:]
	}
	switch {
	case len(segments) == 0 && begin > 0:
		return nil, fmt.Errorf("%w: the log behind %s is missing", errDamaged, snapshotName(begin))
	case len(segments) > 0 && int64(segments[0].BaseIndex) > begin+1:
		return nil, fmt.Errorf("%w: the log begins at zxid 0x%x, but the state before it ends at 0x%x", errDamaged, segments[0].BaseIndex, begin)
	}
	for i, info := range segments {
		if i+1 < len(segments) {
			err = j.replay(t, info, int64(segments[i+1].BaseIndex)-1)
		} else {
			err = j.replayLast(t, info)
		}
		if err != nil {
			return nil, err
		}
	}
	if t.zxid < end {
		return nil, fmt.Errorf("%w: the log ends at zxid 0x%x, but %s goes up to 0x%x", errDamaged, t.zxid, snapshotName(begin), end)
	}
	j.last = t.zxid
	for _, name := range temporary {
		if err := os.Remove(filepath.Join(j.dir, name)); err != nil {
			return nil, err
		}
	}
	if j.writer == nil {
		return t, j.rotate()
	}
	return t, j.unseal()
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
func (j *journal) replayLast(t *tree, info types.SegmentInfo) error {
	path := segmentPath(j.dir, info)
	writer, err := j.filer.RecoverTail(info)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errDamaged, path, err)
	}
	j.writer, j.file, j.info = writer, j.disk.last, info
	last := lastOf(writer, info)
	if zxid, found := laterBatch(info.ID, j.file.content, last); found {
		return fmt.Errorf("%w: %s cannot be read behind zxid 0x%x, though it goes on to 0x%x", errDamaged, path, last, zxid)
	}
	j.logged = j.file.size
	j.file.content = nil
	return j.replay(t, info, last)
}

// replay applies the transactions of a segment up to last, as far as they are newer than the tree.
func (j *journal) replay(t *tree, info types.SegmentInfo, last int64) error {
	path := segmentPath(j.dir, info)
	next := int64(info.BaseIndex)
	if last < next {
		return nil
	}
	err := j.filer.DumpSegment(info.BaseIndex, info.ID, 0, uint64(last)+1, func(_ types.SegmentInfo, e types.LogEntry) (bool, error) {
		payload, _, ok := openEntry(info.ID, e.Data)
		x, decoded := decodeTxn(payload)
		if !ok || !decoded || x.zxid != next {
			return false, fmt.Errorf("the transaction 0x%x has a bad checksum", next)
		}
		next++
		if x.zxid > t.zxid {
			t.apply(x)
		}
		return next <= last, nil
	})
	if err == nil && next <= last {
		err = fmt.Errorf("the transaction 0x%x cannot be read, though later ones were written", next)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", errDamaged, path, err)
	}
	return nil
}
