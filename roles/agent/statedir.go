package agent

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"
)

// The files of a state directory (zookeeper §11). A Java agent and this one read each other's.
const (
	lockFile       = "lock"
	idFile         = "id"
	executionsFile = "executions.json"
	tasksFile      = "task-config.json"
	statusesFile   = "task-status.json"
	historyFile    = "task-history.json"
)

// stateDir is the directory an agent holds locked while it lives, so that no other agent, Java or Go, shares it.
type stateDir struct {
	path string
	lock *os.File
	log  zerolog.Logger
}

// openStateDir creates the directory with its parents where it is missing, and takes its lock without waiting.
func openStateDir(path string, log zerolog.Logger) (*stateDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	name := filepath.Join(path, lockFile)
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open state lock file: %w", err)
	}
	// fcntl, not flock: only a record lock excludes a Java agent. It ends with the process, or when any
	// descriptor of the file is closed: nothing else here may open it.
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: 0}
	if err := unix.FcntlFlock(lock.Fd(), unix.F_SETLK, &whole); err != nil {
		lock.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			//lint:ignore ST1005 the original's words
			return nil, fmt.Errorf("State lock file already locked: %s", name)
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return &stateDir{path: path, lock: lock, log: log}, nil
}

// close gives the lock back; the file stays.
func (d *stateDir) close() error { return d.lock.Close() }

// legalID is what may stand in a container name.
var legalID = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// agentID returns the id that the directory holds. The first time it is the wanted one or, where that is empty,
// 20 random bytes in hex, and is written down.
func (d *stateDir) agentID(wanted string) (string, error) {
	name := filepath.Join(d.path, idFile)
	data, err := os.ReadFile(name)
	switch {
	case err == nil:
		id := strings.TrimSpace(string(data))
		if err := checkID(id, name); err != nil {
			return "", err
		}
		if wanted != "" && id != wanted {
			d.log.Warn().Str("id", id).Str("wanted", wanted).Msg("the state directory holds another agent id: --id is ignored")
		}
		return id, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read agent id: %w", err)
	}
	id := wanted
	if id == "" {
		var random [20]byte
		rand.Read(random[:])
		id = strings.ToUpper(hex.EncodeToString(random[:]))
	}
	if err := checkID(id, "--id"); err != nil {
		return "", err
	}
	return id, d.write(idFile, []byte(id))
}

// longestID is how long an id may be: it stands in each container's name.
const longestID = 1000

func checkID(id, source string) error {
	switch {
	case len(id) > longestID:
		return fmt.Errorf("agent id of %s: it has %d characters, and at most %d are possible", source, len(id), longestID)
	case !legalID.MatchString(id):
		return fmt.Errorf("agent id %q of %s: only letters, digits and _.- may stand in it, for it becomes part of container names", id, source)
	}
	return nil
}

// write replaces a file as a whole, for its owner's eyes only, since environments and tokens stand in it: after a crash it holds the old text or the new one, and both are on disk.
func (d *stateDir) write(name string, data []byte) error {
	path := filepath.Join(d.path, name)
	// The temporary file is renamed after its fsync; a leftover one is never read.
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(d.path), renameio.WithPermissions(0o600))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer file.Cleanup()
	if _, err := file.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(d.path)
}

// syncDir makes a rename in the directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync state directory: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync state directory: %w", err)
	}
	return nil
}

// read hands the content of a file to parse. A missing or empty file is no content. A file that parse refuses is
// set aside under another name, so that nothing of it is lost, and counts as missing.
func (d *stateDir) read(name string, parse func([]byte) error) error {
	path := filepath.Join(d.path, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(data) == 0 {
		d.log.Warn().Str("file", path).Msg("a state file is empty: going on without it")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	fault := parse(data)
	if fault == nil {
		return nil
	}
	aside := fmt.Sprintf("%s.damaged-%s", path, time.Now().UTC().Format("20060102T150405.000"))
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("set damaged state file aside: %w", err)
	}
	d.log.Error().Err(fault).Str("file", path).Str("kept", aside).Msg("a state file cannot be read: set aside, going on without it")
	return nil
}
