package zkserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// Damage is the first record of a state directory that cannot be read. As an error it is one sentence.
type Damage struct {
	// File holds the record, or should hold it.
	File string
	// Zxid numbers the first transaction that cannot be read; 0 where the file itself does not belong there.
	Zxid int64
	// Reason says what is wrong with it.
	Reason string
}

func (d *Damage) Error() string {
	if d.Zxid == 0 {
		return fmt.Sprintf("the state is damaged: %s: %s", d.File, d.Reason)
	}
	return fmt.Sprintf("the state is damaged: %s: record 0x%x: %s", d.File, d.Zxid, d.Reason)
}

// Report is what Check finds out about a state directory.
type Report struct {
	// Zxid numbers the last transaction that can be read in its turn, which left so many Nodes.
	Zxid  int64
	Nodes int
	// Notes are sentences about what is wrong and costs nothing.
	Notes []string
	// Damage is what a server does not start with; nil: it would start.
	Damage *Damage
	// Cut is what it would take to go on without the damaged record and all that come behind it; nil where that cannot
	// be done. Nothing here ever does it.
	Cut *Cut
}

// Cut is how to go on with the transactions before a damaged one, and what that costs.
type Cut struct {
	// File is to be truncated to Size bytes; empty: none is. The files in Remove are to be removed.
	File   string
	Size   int64
	Remove []string
	// Lost is how many transactions behind the damage are intact and would be lost too, up to the one numbered Until,
	// which was made at Last. 0: nothing behind it can be read.
	Lost  int
	Until int64
	Last  time.Time
}

// A running server removes old files and makes new ones while a directory is read, which is then read anew: so often at
// most where a file is gone, and so often where its list of files is of two moments and looks like damage.
const (
	readAttempts   = 20
	damageAttempts = 3
)

// readOnly reads a state directory without changing or locking anything; a server may be running on it. What that server
// acknowledged before is read in any case, what it is writing may look like a torn end.
func readOnly(dir string) (*journal, reading, error) {
	for attempt := 1; ; attempt++ {
		d := &disk{readOnly: true}
		j := &journal{dir: dir, disk: d, filer: segment.NewFiler(dir, d)}
		found, err := j.read()
		if j.writer != nil {
			j.writer.Close()
		}
		_, damaged := errors.AsType[*Damage](err)
		again := errors.Is(err, fs.ErrNotExist) || damaged && attempt < damageAttempts
		if !again || attempt == readAttempts {
			if err == nil && len(found.snapshots)+len(found.segments) == 0 {
				err = fmt.Errorf("%s holds no state", dir)
			}
			return j, found, err
		}
		if _, missing := os.Stat(dir); missing != nil {
			return j, found, missing
		}
	}
}

// Check reads all of a state directory that a start would read, and the snapshots kept beside. The error tells why it
// could not; damage is no error but in the report. A server may be running on the directory.
func Check(dir string) (Report, error) {
	j, found, err := readOnly(dir)
	damage, damaged := errors.AsType[*Damage](err)
	if err != nil && !damaged {
		return Report{}, fmt.Errorf("check %s: %w", dir, err)
	}
	report := Report{Notes: found.notes, Damage: damage}
	if found.tree != nil {
		report.Zxid, report.Nodes = found.tree.zxid, found.tree.nodes
	}
	if !damaged {
		return report, j.checkOlder(found, &report)
	}
	if damage.Zxid == 0 || found.tree == nil {
		return report, nil
	}
	report.Cut, err = j.cutAt(found, damage.Zxid)
	return report, err
}

// checkOlder notes damaged snapshots that are older than the one a start would read.
func (j *journal) checkOlder(found reading, report *Report) error {
	for _, zxid := range found.snapshots[:max(len(found.snapshots)-1, 0)] {
		path := filepath.Join(j.dir, snapshotName(zxid))
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a running server has removed it
		}
		if err != nil {
			return err
		}
		if _, _, err := readSnapshot(b); err != nil && !slices.ContainsFunc(report.Notes, func(note string) bool { return strings.Contains(note, path) }) {
			report.Notes = append(report.Notes, fmt.Sprintf("%s is kept in reserve and damaged: %v", path, err))
		}
	}
	return nil
}

// cutAt works out the cut before the transaction zxid.
func (j *journal) cutAt(found reading, zxid int64) (*Cut, error) {
	c := &Cut{}
	base := int64(-1) // the newest snapshot that is of the time before
	for _, begin := range slices.Backward(found.snapshots) {
		path := filepath.Join(j.dir, snapshotName(begin))
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		_, end, err := readSnapshot(b)
		if err != nil || end >= zxid {
			c.Remove = append(c.Remove, path)
		} else if base < 0 {
			base = begin
		}
	}
	base = max(base, 0)
	first := slices.IndexFunc(found.segments, func(info types.SegmentInfo) bool { return int64(info.BaseIndex) >= zxid })
	if first < 0 {
		first = len(found.segments)
	}
	if first == 0 || int64(found.segments[0].BaseIndex) > base+1 {
		return nil, nil // the log before it is not there
	}
	last := found.segments[first-1]
	whole := zxid - 1
	for i, info := range found.segments[first-1:] {
		path := segmentPath(j.dir, info)
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			c.Remove = append(c.Remove, path)
		} else {
			var size int64
			size, whole = endOf(last, content, zxid-1)
			if size < written(content) {
				c.File, c.Size = path, size
			}
		}
		c.count(info.ID, content, whole)
	}
	return c, nil
}

// count adds the intact transactions of a segment behind the one that stays the last.
func (c *Cut) count(id uint64, content []byte, last int64) {
	for x := range intact(id, content) {
		if x.zxid <= last {
			continue
		}
		c.Lost++
		if x.zxid > c.Until {
			c.Until, c.Last = x.zxid, time.UnixMilli(x.time)
		}
	}
}

// intact yields all transactions of a segment whose checksum is right, wherever they are.
func intact(id uint64, content []byte) func(func(txn) bool) {
	return func(yield func(txn) bool) {
		mark := entryMark(id)
		for {
			i := bytes.Index(content, mark)
			if i < 0 {
				return
			}
			content = content[i:]
			step := len(mark)
			if payload, _, ok := openEntry(id, content); ok {
				if x, ok := decodeTxn(payload); ok {
					if !yield(x) {
						return
					}
					step = entryHeader + len(payload)
				}
			}
			content = content[step:]
		}
	}
}
