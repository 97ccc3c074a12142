package zkserver

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// The log is a row of segment files, <first zxid, decimal>-<id, hexadecimal>.wal, in the format of hashicorp's raft-wal:
// batches of entries, each batch ended by a checksum and one fsync. One entry is one transaction, its index the zxid.
// Of the library the segment package is used alone: its metadata store would add a second database file and two fsyncs
// to every new segment.
//
// The library finds the torn end that a crash leaves and drops it. By itself it would also drop everything behind damage
// in the middle of the last segment. So each entry carries a header of our own: the segment's random id, which no client
// can forge, the length, a checksum, and the zxid that its batch began with. An intact entry of a batch that began behind
// the cut proves that the cut is no torn end, since a batch is written only after the one before it is durable.
const (
	entryHeader   = 24
	repairPause   = time.Second
	segmentSuffix = ".wal"
	segmentLimit  = 1 << 30 // bytes of log in one file, about; the library's format ends at 4 GB
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errLost says that an append failed and that it is not known whether the disk has it.
var errLost = errors.New("the outcome of the write is unknown")

// journal makes transactions durable. All methods but prune are for the pipeline's goroutine.
type journal struct {
	dir    string
	disk   *disk
	filer  *segment.Filer
	lock   *os.File
	writer types.SegmentWriter
	file   *logFile // of the writer
	info   types.SegmentInfo
	last   int64 // the last durable zxid
	logged int64 // bytes since the last snapshot was begun, about

	snapshotSize int64 // of the last one

	broken  error // why nothing can be written
	retried time.Time

	encoded []byte
	entries []types.LogEntry
}

// append makes the transactions durable, all with one fsync. After an error none of them is, unless it is errLost.
func (j *journal) append(txns []txn) error {
	if j.broken != nil {
		if time.Since(j.retried) < repairPause {
			return j.broken
		}
		if err := j.repair(); err != nil {
			return err
		}
	}
	j.encode(txns)
	defer j.release()
	if err := j.writer.Append(j.entries); err != nil {
		j.broken = fmt.Errorf("write to %s: %w", j.file.file.Name(), err)
		if j.repair() != nil {
			return fmt.Errorf("%w: %w", errLost, j.broken)
		}
		return err
	}
	j.last = txns[len(txns)-1].zxid
	j.logged += int64(len(j.encoded))
	return nil
}

func (j *journal) encode(txns []txn) {
	first := uint64(txns[0].zxid)
	j.encoded, j.entries = j.encoded[:0], j.entries[:0]
	var ends []int
	for _, x := range txns {
		start := len(j.encoded)
		j.encoded = binary.LittleEndian.AppendUint64(j.encoded, j.info.ID)
		j.encoded = append(j.encoded, 0, 0, 0, 0, 0, 0, 0, 0)
		j.encoded = binary.LittleEndian.AppendUint64(j.encoded, first)
		j.encoded = appendTxn(j.encoded, x)
		entry := j.encoded[start:]
		binary.LittleEndian.PutUint32(entry[8:], uint32(len(entry)))
		binary.LittleEndian.PutUint32(entry[12:], crc32.Checksum(entry[16:], castagnoli))
		ends = append(ends, len(j.encoded))
	}
	start := 0
	for i, end := range ends {
		j.entries = append(j.entries, types.LogEntry{Index: first + uint64(i), Data: j.encoded[start:end]})
		start = end
	}
}

// release lets go of the memory of an unusually large batch.
func (j *journal) release() {
	if cap(j.encoded) > 1<<20 {
		j.encoded, j.entries = nil, nil
	}
}

// openEntry checks an entry and returns the transaction's bytes and the first zxid of its batch.
func openEntry(id uint64, b []byte) (payload []byte, first int64, ok bool) {
	if len(b) < entryHeader || binary.LittleEndian.Uint64(b) != id {
		return nil, 0, false
	}
	n := int(binary.LittleEndian.Uint32(b[8:]))
	if n < entryHeader || n > len(b) || crc32.Checksum(b[16:n], castagnoli) != binary.LittleEndian.Uint32(b[12:]) {
		return nil, 0, false
	}
	return b[entryHeader:n], int64(binary.LittleEndian.Uint64(b[16:])), true
}

// entryMark is what every entry of a segment begins with.
func entryMark(id uint64) []byte { return binary.LittleEndian.AppendUint64(nil, id) }

// laterBatch finds an intact entry of a batch that began behind last.
func laterBatch(id uint64, content []byte, last int64) (zxid int64, found bool) {
	mark := entryMark(id)
	for {
		i := bytes.Index(content, mark)
		if i < 0 || len(content)-i < entryHeader {
			return 0, false
		}
		content = content[i:]
		if first := int64(binary.LittleEndian.Uint64(content[16:])); first > last+1 {
			if _, _, ok := openEntry(id, content); ok {
				return first, true
			}
		}
		content = content[len(mark):]
	}
}

// repair makes the log writable again after a failed write: it cuts the file back to what is known to be durable and
// opens it anew. Nothing that was acknowledged is touched.
func (j *journal) repair() error {
	j.retried = time.Now()
	if err := errors.Join(j.file.truncate(j.file.durable), j.disk.sync(j.file.file)); err != nil {
		return fmt.Errorf("cut back %s: %w", j.file.file.Name(), err)
	}
	writer, err := j.filer.RecoverTail(j.info)
	if err != nil {
		return fmt.Errorf("reopen %s: %w", j.file.file.Name(), err)
	}
	file := j.disk.last
	file.content = nil
	if last := lastOf(writer, j.info); last != j.last {
		writer.Close()
		return fmt.Errorf("reopen %s: it ends at zxid 0x%x, not at 0x%x", j.file.file.Name(), last, j.last)
	}
	j.writer.Close()
	j.writer, j.file, j.broken = writer, file, nil
	return nil
}

// lastOf is the zxid of the last transaction in the log up to a segment.
func lastOf(w types.SegmentWriter, info types.SegmentInfo) int64 {
	return max(int64(w.LastIndex()), int64(info.BaseIndex)-1)
}

// rotate goes on in a new segment. One that holds nothing yet is new already.
func (j *journal) rotate() error {
	if j.writer != nil && lastOf(j.writer, j.info) < int64(j.info.BaseIndex) && j.file.size == 0 {
		return nil
	}
	info := newSegmentInfo(j.last + 1)
	writer, err := j.filer.Create(info)
	if err != nil {
		return fmt.Errorf("begin a segment of the log: %w", err)
	}
	file := j.disk.last
	if j.writer != nil {
		_ = j.file.trim() // zeros are no harm
		j.writer.Close()
	}
	j.writer, j.file, j.info = writer, file, info
	return nil
}

func newSegmentInfo(first int64) types.SegmentInfo {
	var id [8]byte
	rand.Read(id[:])
	return segmentInfo(first, binary.LittleEndian.Uint64(id[:]))
}

func segmentInfo(first int64, id uint64) types.SegmentInfo {
	return types.SegmentInfo{ID: id, BaseIndex: uint64(first), MinIndex: uint64(first), SizeLimit: math.MaxUint32}
}

func (j *journal) close() error {
	if j.broken == nil {
		_ = j.file.trim() // zeros are no harm
	}
	return errors.Join(j.writer.Close(), unlockDir(j.lock))
}
