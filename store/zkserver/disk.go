package zkserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft-wal/types"
	"golang.org/x/sys/unix"
)

// disk is the file system below the log: what the log library needs, with fsync of file and directory where durability
// takes it. write and sync can be replaced to script full and failing disks.
type disk struct {
	write func(f *os.File, b []byte, off int64) (int, error)
	sync  func(f *os.File) error
	last  *logFile // the file that was opened or created last for writing

	readOnly bool // files are opened for reading alone
}

var _ types.VFS = (*disk)(nil)

func newDisk(noSync bool) *disk {
	d := &disk{
		write: (*os.File).WriteAt,
		sync:  func(f *os.File) error { return unix.Fdatasync(int(f.Fd())) },
	}
	if noSync {
		d.sync = func(*os.File) error { return nil }
	}
	return d
}

// logFile is a segment of the log that is written. While it is being recovered it is read from memory.
//
// The file is grown ahead with zeros, in steps, since an fsync of bytes that take the place of others is much cheaper than
// one of a file that gets longer. The library reads zeros as the end of the log. They are cut off when the segment is left
// in order.
type logFile struct {
	disk    *disk
	file    *os.File
	dir     string
	content []byte // as found when opened, until the recovery is done
	size    int64  // up to the last byte written; of all that was found until something is
	length  int64  // of the file, with the zeros
	exact   bool   // there was no room for zeros
	durable int64  // bytes that survived an fsync
	fresh   bool   // the directory entry is not durable yet
}

// The file gets as much longer as it is, within these bounds.
const (
	growLeast = 64 << 10
	growMost  = 1 << 20
)

var zeros [growLeast]byte

func (f *logFile) ReadAt(b []byte, off int64) (int, error) {
	if f.content != nil {
		return bytes.NewReader(f.content).ReadAt(b, off)
	}
	return f.file.ReadAt(b, off)
}

// WriteAt writes at off and cuts off whatever was behind it: the torn end of a crash, which would otherwise be taken for
// a continuation of what is written now.
func (f *logFile) WriteAt(b []byte, off int64) (int, error) {
	if off < f.size {
		if err := f.truncate(off); err != nil {
			return 0, err
		}
	}
	end := off + int64(len(b))
	if end > f.length && !f.exact {
		f.grow(end)
	}
	n, err := f.disk.write(f.file, b, off)
	f.size = max(f.size, off+int64(n))
	f.length = max(f.length, f.size)
	return n, err
}

// grow writes zeros up to end and beyond. Where there is no room for them the file stays as it was, for good.
func (f *logFile) grow(end int64) {
	for target := end + min(max(end, growLeast), growMost); f.length < target; {
		n, err := f.disk.write(f.file, zeros[:min(target-f.length, growLeast)], f.length)
		f.length += int64(n)
		if err != nil {
			f.exact = true
			_ = f.trim() // what stays of them is no harm
			return
		}
	}
}

// trim cuts off the zeros.
func (f *logFile) trim() error {
	if f.length == f.size {
		return nil
	}
	return f.truncate(f.size)
}

func (f *logFile) truncate(size int64) error {
	if err := f.file.Truncate(size); err != nil {
		return err
	}
	f.size, f.length = size, size
	return nil
}

func (f *logFile) Sync() error {
	if err := f.disk.sync(f.file); err != nil {
		return err
	}
	if f.fresh {
		if err := f.disk.syncDir(f.dir); err != nil {
			return err
		}
		f.fresh = false
	}
	f.durable = f.size
	return nil
}

func (f *logFile) Close() error { return f.file.Close() }

func (d *disk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return d.sync(f)
}

// makeDir makes a directory and those above it that are missing, durable like what will be in it.
func (d *disk) makeDir(dir string) error {
	above := filepath.Dir(dir)
	if err := errors.Join(os.MkdirAll(dir, 0o700), d.syncDir(above)); err != nil {
		return err
	}
	for next := filepath.Dir(above); next != above; next = filepath.Dir(above) {
		above = next
		_ = d.syncDir(above) // one that cannot be opened is not ours, and was there before
	}
	return nil
}

// ListDir implements types.VFS.
func (d *disk) ListDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Create implements types.VFS; the size is ignored.
func (d *disk) Create(dir, name string, _ uint64) (types.WritableFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	d.last = &logFile{disk: d, file: f, dir: dir, fresh: true}
	return d.last, nil
}

// OpenWriter implements types.VFS.
func (d *disk) OpenWriter(dir, name string) (types.WritableFile, error) {
	path := filepath.Join(dir, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	mode := os.O_RDWR
	if d.readOnly {
		mode = os.O_RDONLY
	}
	f, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, err
	}
	size := int64(len(content))
	d.last = &logFile{disk: d, file: f, dir: dir, content: content, size: size, length: size, durable: size, fresh: true}
	return d.last, nil
}

// memoryFile is a segment that is only read, wholly in memory.
type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error { return nil }

// OpenReader implements types.VFS.
func (d *disk) OpenReader(dir, name string) (types.ReadableFile, error) {
	content, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	return memoryFile{bytes.NewReader(content)}, nil
}

// Delete implements types.VFS.
func (d *disk) Delete(dir, name string) error { return os.Remove(filepath.Join(dir, name)) }

// writeFile writes a file so that it is there wholly or not at all, whatever happens: under a name first that nobody has.
// It is its owner's alone.
func (d *disk) writeFile(dir, name string, fill func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(dir, name+".*"+temporarySuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = errors.Join(fill(&offsetWriter{d, f, 0}), d.sync(f), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return d.syncDir(dir)
}

// offsetWriter writes one piece after the other through the disk.
type offsetWriter struct {
	disk *disk
	file *os.File
	off  int64
}

func (w *offsetWriter) Write(b []byte) (int, error) {
	n, err := w.disk.write(w.file, b, w.off)
	w.off += int64(n)
	return n, err
}

// lockDir makes sure that no other server, in this process or another, uses the directory.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		f.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("directory %s is in use by another server", dir)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// unlockDir gives the directory free. Closing alone would not do while a process that is just being started has a copy
// of the descriptor.
func unlockDir(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
	return errors.Join(err, f.Close())
}
