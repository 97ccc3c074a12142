package storetest

import (
	"errors"
	"os"
	"path/filepath"
)

// Backup copies the data of a member, which is killed for it and started again, and returns where the copy is.
func (e *Ensemble) Backup(i int) (dir string) {
	e.t.Helper()
	e.Kill(i)
	dir = e.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(e.data(i))); err != nil {
		e.t.Fatalf("back ZooKeeper up: %v", err)
	}
	e.Restart(i)
	e.AwaitServing(i)
	return dir
}

// Restore replaces the data of a killed member by a backup's.
func (e *Ensemble) Restore(i int, backup string) {
	e.t.Helper()
	e.Wipe(i)
	if err := errors.Join(os.Mkdir(e.data(i), 0o700), os.CopyFS(e.data(i), os.DirFS(backup))); err != nil {
		e.t.Fatalf("restore ZooKeeper: %v", err)
	}
}

func (e *Ensemble) data(i int) string { return filepath.Join(e.members[i].dir, "data", "version-2") }
