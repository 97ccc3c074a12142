package zkserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/rs/zerolog"
)

// A backup is a snapshot of one moment, in the format of those in the state directory.

// ErrOccupied is in the chain where a backup or a restore would have to overwrite something.
var ErrOccupied = errors.New("is there already and not overwritten")

// Backup writes the state of a directory to a file and returns what it holds. A server may be running on the directory:
// everything it acknowledged before is in the backup. The file is there wholly, and durable, or not at all; one that is
// there is replaced only if it is a backup. The state directory itself takes none: a server would not start with it there.
func Backup(dir, file string) (Report, error) {
	if err := cmp.Or(outside(dir, file), replaceable(file)); err != nil {
		return Report{}, fmt.Errorf("back up to %s: %w", file, err)
	}
	_, found, err := readOnly(dir)
	if err != nil {
		return Report{}, fmt.Errorf("back up %s: %w", dir, err)
	}
	p := newPipeline(found.tree, nil, zerolog.Nop())
	err = newDisk(false).writeFile(filepath.Dir(file), filepath.Base(file), func(out io.Writer) error {
		_, err := p.writeSnapshot(context.Background(), found.tree.zxid, out)
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("back up to %s: %w", file, err)
	}
	return Report{Zxid: found.tree.zxid, Nodes: found.tree.nodes, Notes: found.notes}, nil
}

// outside refuses a file in the state directory.
func outside(dir, file string) error {
	state, err := os.Stat(dir)
	if err != nil {
		return nil // which reading it tells
	}
	if place, err := os.Stat(filepath.Dir(file)); err == nil && os.SameFile(state, place) {
		return errors.New("the directory of the state itself takes no backup")
	}
	return nil
}

// replaceable refuses to overwrite what is no backup.
func replaceable(file string) error {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // not even opened: a pipe would wait for its other end
		return fmt.Errorf("what is no regular file %w", ErrOccupied)
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(f, head); err != nil || string(head) != snapshotMagic {
		return fmt.Errorf("a file that is no backup %w", ErrOccupied)
	}
	return nil
}

// Restore makes a state directory from a backup: the nodes as they were, but no sessions, and none of their ephemeral
// nodes, so that every client reads everything anew. The zxids go on above all that can have been given. The directory
// must hold no state yet; it is there wholly, and durable, or not at all.
func Restore(file, dir string) (Report, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return Report{}, fmt.Errorf("restore: %w", err)
	}
	t, end, err := readSnapshot(content)
	if err == nil && end != t.zxid {
		err = errors.New("a snapshot of a running server, no backup")
	}
	if err != nil {
		return Report{}, fmt.Errorf("restore %s: %w", file, err)
	}
	renew(t, time.Now())
	if err := install(t, filepath.Clean(dir)); err != nil {
		return Report{}, fmt.Errorf("restore to %s: %w", dir, err)
	}
	return Report{Zxid: t.zxid, Nodes: t.nodes}, nil
}

// renew ends all sessions and begins an epoch, the upper half of the zxids. It is numbered by the time in minutes, so that
// no backup is restored to zxids that clients have seen in another life of it.
func renew(t *tree, now time.Time) {
	t.zxid = max(t.zxid>>32+1, now.Unix()/60) << 32
	for id := range t.sessions {
		v := newView(t, now.UnixMilli())
		t.apply(v.commit(v.closeSession(id)))
	}
}

// install writes a state to a directory beside, which then takes the place of dir.
func install(t *tree, dir string) error {
	if err := vacate(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	beside, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".restore-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(beside)
	d := newDisk(false)
	p := newPipeline(t, nil, zerolog.Nop())
	err = d.writeFile(beside, snapshotName(t.zxid), func(out io.Writer) error {
		_, err := p.writeSnapshot(context.Background(), t.zxid, out)
		return err
	})
	if err != nil {
		return err
	}
	// The log behind it, still empty.
	j := &journal{dir: beside, disk: d, filer: segment.NewFiler(beside, d), last: t.zxid}
	if err := j.rotate(); err != nil {
		return err
	}
	if err := errors.Join(j.writer.Close(), d.syncDir(beside)); err != nil {
		return err
	}
	if err := os.Rename(beside, dir); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(dir))
}

// vacate makes sure that dir holds no state and that no server is on it. An empty directory may stay.
func vacate(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != lockName }) {
		return fmt.Errorf("a state %w: move it away first", ErrOccupied)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(os.Remove(lock.Name()), unlockDir(lock))
}
