package agent

import (
	"encoding/base64"
	"fmt"
	"maps"
	"sync"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// statuses is what this agent says of its tasks. The local state is the truth, and ZooKeeper is made equal to it, never
// the other way round (zookeeper §10.2).
type statuses struct {
	dir  *stateDir
	file *saver
	// events, if set, has the events of the statuses on disk before the file: a status that is known is not reported
	// again after a crash.
	events func()
	log    zerolog.Logger

	mu      sync.Mutex // guards local
	local   map[job.ID][]byte
	writing sync.WaitGroup // what put does not wait for

	bell chan struct{} // rings when local has changed
}

// base64Texts describes task-status.json: job id → base64 of the canonical TaskStatus.
func base64Texts(p *map[string]string) document.Value { return document.TextMap(p) }

func openStatuses(dir *stateDir, log zerolog.Logger) (*statuses, error) {
	s := &statuses{dir: dir, log: log, local: make(map[job.ID][]byte), bell: make(chan struct{}, 1)}
	s.file = newSaver(s.save)
	return s, dir.read(statusesFile, s.parse)
}

func (s *statuses) parse(data []byte) error {
	var texts map[string]string
	if err := document.Read(data, base64Texts(&texts)); err != nil {
		return err
	}
	local := make(map[job.ID][]byte, len(texts))
	for name, text := range texts {
		id, err := job.ReadID(name)
		if err != nil {
			return err
		}
		status, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var readable job.TaskStatus
		if err := document.Read(status, readable.JSON()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		local[id] = status
	}
	s.local = local
	return nil
}

// save writes the file.
func (s *statuses) save() error {
	local := s.snapshot()
	if s.events != nil {
		s.events()
	}
	texts := make(map[string]string, len(local))
	for id, status := range local {
		texts[id.String()] = base64.StdEncoding.EncodeToString(status)
	}
	return s.dir.write(statusesFile, pretty(base64Texts(&texts)))
}

// sameStatus tells whether two statuses of a task say the same of it.
func sameStatus(a, b job.TaskStatus) bool {
	return a.State == b.State && a.Goal == b.Goal && a.Throttled == b.Throttled &&
		(a.ContainerID == nil) == (b.ContainerID == nil) && (a.ContainerID == nil || *a.ContainerID == *b.ContainerID)
}

// put records the newest status of a task. One that names another container than before is on disk when put returns:
// that container is started next. The others follow soon, many at a time.
func (s *statuses) put(status job.TaskStatus) {
	last, known := s.last(status.Job.ID)
	text := document.Canonical(status.JSON())
	s.mu.Lock()
	s.local[status.Job.ID] = text
	s.mu.Unlock()
	keep := func(save func() error) {
		if err := save(); err != nil {
			s.log.Error().Err(err).Stringer("job", status.Job.ID).Msg("status is only in memory")
		}
		ring(s.bell)
	}
	if status.ContainerID == nil || known && last.ContainerID != nil && *last.ContainerID == *status.ContainerID {
		s.writing.Go(func() { keep(s.file.soon) })
		return
	}
	keep(s.file.save)
}

// remove forgets a task.
func (s *statuses) remove(id job.ID) error {
	s.mu.Lock()
	_, known := s.local[id]
	delete(s.local, id)
	s.mu.Unlock()
	if !known {
		return nil
	}
	err := s.file.save()
	ring(s.bell)
	return err
}

// last is the newest status of a task.
func (s *statuses) last(id job.ID) (job.TaskStatus, bool) {
	s.mu.Lock()
	data, known := s.local[id]
	s.mu.Unlock()
	var status job.TaskStatus
	if !known || document.Read(data, status.JSON()) != nil {
		return job.TaskStatus{}, false
	}
	return status, true
}

// all are the newest statuses of all tasks.
func (s *statuses) all() (map[job.ID]job.TaskStatus, error) {
	all := make(map[job.ID]job.TaskStatus)
	for id, data := range s.snapshot() {
		var status job.TaskStatus
		if err := document.Read(data, status.JSON()); err != nil {
			return nil, fmt.Errorf("status of %s: %w", id, err)
		}
		all[id] = status
	}
	return all, nil
}

// snapshot is the whole local state.
func (s *statuses) snapshot() map[job.ID][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.local)
}
