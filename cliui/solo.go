package cliui

import (
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// soloFile is where a solo of this user says how to reach it: client.json in
// the default state directory (testdata/spec/0-decisions.md 16, 17). It has the
// form of a configuration file.
func (s *session) soloFile() string {
	state, _ := s.opts.LookupEnv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home := s.home()
		if home == "" {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "helios", "solo", "client.json")
}

// liveSolo returns the endpoints in a file that a live solo holds locked. A
// file that nobody has locked is what a dead one left behind.
func liveSolo(path string) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return nil
	}
	found, err := readMasterFile(path)
	if err != nil {
		return nil
	}
	return found.endpoints
}
