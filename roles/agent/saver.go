package agent

import (
	"sync"
	"time"
)

// gather is how long after the beginning of a write those who are in no hurry wait for others to come.
const gather = 100 * time.Millisecond

// saver writes a state file for all who wait for it: those who come while a write is under way are served together by the
// next one, however many they are.
type saver struct {
	write func() error // writes what is there when it is called

	mu           sync.Mutex // guards what follows
	changed      sync.Cond  // at the end of each write, and when one is due
	writing      bool
	begun, ended uint64    // writes
	last         time.Time // when the last one began
	err          error     // of the last one
}

func newSaver(write func() error) *saver {
	s := &saver{write: write}
	s.changed.L = &s.mu
	return s
}

// save returns after a write that began after the call, and how it went.
func (s *saver) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reach(s.begun+1, time.Time{})
}

// soon is save for one who can wait a little: a write that begins meanwhile for somebody else serves both.
func (s *saver) soon() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reach(s.begun+1, s.last.Add(gather))
}

// reach returns when the write of that number has ended, which it begins at the moment due if nobody else does before.
// s.mu is held.
func (s *saver) reach(mine uint64, due time.Time) error {
	if pause := time.Until(due); pause > 0 {
		defer time.AfterFunc(pause, s.wake).Stop()
	}
	for s.ended < mine {
		if s.writing || time.Now().Before(due) {
			s.changed.Wait()
			continue
		}
		s.writing = true
		s.begun++
		s.last = time.Now()
		s.mu.Unlock()
		err := s.write()
		s.mu.Lock()
		s.writing, s.ended, s.err = false, s.begun, err
		s.changed.Broadcast()
	}
	return s.err
}

func (s *saver) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed.Broadcast()
}
