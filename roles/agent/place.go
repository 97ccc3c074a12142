package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/helios-go/helios/store/document"
)

// place is where a state directory is: a copy of one that is in use must not become a second agent of the same id. Its
// lock cannot tell, for it is another file.
type place struct {
	Machine string // its id; "" where it has none
	Path    string
	Inode   int64 // of the id file, which is never rewritten
}

// JSON describes a place.
func (p *place) JSON() document.Value {
	return document.Object(
		document.Member{Name: "machine", Value: document.Text(&p.Machine)},
		document.Member{Name: "path", Value: document.Text(&p.Path)},
		document.Member{Name: "inode", Value: document.Long(&p.Inode)},
	)
}

// place is that of the directory, which has its agent's id.
func (d *stateDir) place() (place, error) {
	path, err := filepath.EvalSymlinks(d.path)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	var stat unix.Stat_t
	if err == nil {
		err = unix.Stat(filepath.Join(path, idFile), &stat)
	}
	if err != nil {
		return place{}, fmt.Errorf("find state directory: %w", err)
	}
	machine, _ := os.ReadFile("/etc/machine-id") // not every machine has one
	return place{Machine: strings.TrimSpace(string(machine)), Path: path, Inode: int64(stat.Ino)}, nil
}

// copied reports whether a directory that was in a place before is a copy of it. One that was moved as it is has the same
// files, and some file systems have other inodes at every mount.
func (p place) copied(before place) bool {
	return p.Inode != before.Inode && (p.Machine != before.Machine || p.Path != before.Path)
}
