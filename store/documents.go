package store

import (
	"errors"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// read decodes the document of a node. The error is an [UnreadableError].
func read[T any](n node, form func(*T) document.Value) (T, error) {
	var v T
	if err := document.Read(n.data, form(&v)); err != nil {
		return v, &UnreadableError{Node: n.path, Err: err}
	}
	return v, nil
}

// optional decodes the document of a node that may be missing: nil then.
func optional[T any](n node, form func(*T) document.Value) (*T, error) {
	if n.stat == nil {
		return nil, nil
	}
	v, err := read(n, form)
	return &v, err
}

// texts decodes an object of texts, empty where the node is missing.
func texts(n node) (map[string]string, error) {
	m, err := optional(n, document.TextMap)
	if m == nil || *m == nil {
		return map[string]string{}, err
	}
	return *m, err
}

// listed decodes an entry of a list: nil when there is no such node, or, with a word in the log, when it is unreadable
// (decision 7).
func listed[T any](s *Store, n node, form func(*T) document.Value) *T {
	if n.stat == nil {
		return nil
	}
	v, err := read(n, form)
	if err != nil {
		s.report(n, err)
		return nil
	}
	return &v
}

// report says in the log that a node is unreadable, once for each content.
func (s *Store) report(n node, err error) {
	s.mu.Lock()
	last, known := s.reported[n.path]
	s.reported[n.path] = n.stat.Mzxid
	s.mu.Unlock()
	if !known || last != n.stat.Mzxid {
		s.log.Error().Err(err).Msg("left out of the list")
	}
}

// nodeID is the job id that a node in the directory is named by. A name that is not the text form of an id is an
// [UnreadableError]: no path made of the id would lead there.
func nodeID(directory, name string) (job.ID, error) {
	id, err := job.ParseID(name)
	if err == nil && id.String() != name {
		err = errors.New("not the name of a job")
	}
	if err != nil {
		return job.ID{}, &UnreadableError{Node: childOf(directory, name), Err: err}
	}
	return id, nil
}
