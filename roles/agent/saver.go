package agent

import "sync"

// saver writes a state file for all who wait for it: those who come while a write is under way are served together by the
// next one, however many they are.
type saver struct {
	write func() error // writes what is there when it is called

	mu           sync.Mutex // guards what follows
	changed      sync.Cond  // at the end of each write
	writing      bool
	begun, ended uint64 // writes
	err          error  // of the last one
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
	for mine := s.begun + 1; s.ended < mine; {
		if s.writing {
			s.changed.Wait()
			continue
		}
		s.writing = true
		s.begun++
		s.mu.Unlock()
		err := s.write()
		s.mu.Lock()
		s.writing, s.ended, s.err = false, s.begun, err
		s.changed.Broadcast()
	}
	return s.err
}
