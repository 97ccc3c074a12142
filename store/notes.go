package store

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// PutNote makes an agent's note the one in the store, and beside it the tasks that the agent holds on to while it is in
// doubt: they are there before the note that speaks of them, and gone after it. It returns host.ErrNotFound when the
// host has no place for it.
func (s *Store) PutNote(ctx context.Context, name string, note host.Note, held map[job.ID]job.Task) error {
	if !legalName(name) {
		return named("write note of", name, ErrName)
	}
	list, err := s.session.children(ctx, statusHost(name))
	if errors.Is(err, zk.ErrNoNode) {
		return named("write note of", name, host.ErrNotFound)
	}
	if err != nil {
		return named("write note of", name, err)
	}
	gone := make(map[string]bool)
	for _, child := range list.names {
		if strings.HasPrefix(child, rememberedPrefix) {
			gone[childOf(statusHost(name), child)] = true
		}
	}
	for id, task := range held {
		path := statusHostRemembered(name, id.String())
		delete(gone, path)
		if err := s.session.replace(ctx, path, document.Canonical(task.JSON())); err != nil {
			return named("write note of", name, err)
		}
	}
	err = s.session.replace(ctx, statusHostWishes(name), document.Canonical(note.JSON()))
	if errors.Is(err, zk.ErrNoNode) {
		err = host.ErrNotFound
	}
	for _, path := range slices.Sorted(maps.Keys(gone)) {
		if err == nil {
			err = s.session.remove(ctx, path)
		}
	}
	return named("write note of", name, err)
}

// replace makes a node with that content, in place of one with another: by deleting and creating, which an agent may do
// where it may not write.
func (s *session) replace(ctx context.Context, path string, data []byte) error {
	var err error
	for range maxRaces {
		var t txn
		var was node
		switch was, err = s.get(ctx, path); {
		case err == nil && bytes.Equal(was.data, data) && was.stat.EphemeralOwner == 0:
			return nil
		case err == nil:
			t.delete(path, was.stat.Version)
		case !errors.Is(err, zk.ErrNoNode):
			return err
		}
		t.create(path, data)
		if _, err = s.commit(ctx, &t); !raced(err) {
			return err
		}
	}
	return err
}

// Wishes is what the store has about the wishes of one host.
type Wishes struct {
	Up      bool
	Missing bool       // there is no task list
	Note    *host.Note // nil: the agent has left none that can be read, as 0.9's never do
	Newer   bool       // a newer version wrote the note
	// Stored are the goals of the tasks in the list, by the names of their nodes; "" for one that cannot be read.
	Stored map[string]job.Goal
}

// Wishes reads what there is about a host's wishes. It returns host.ErrNotFound.
func (s *Store) Wishes(ctx context.Context, name string) (Wishes, error) {
	w, err := certain(ctx, s, func() (Wishes, error) { return s.wishes(ctx, name) })
	return w, named("read wishes of", name, err)
}

func (s *Store) wishes(ctx context.Context, name string) (Wishes, error) {
	if !legalName(name) {
		return Wishes{}, host.ErrNotFound
	}
	if err := s.session.catchUp(ctx); err != nil {
		return Wishes{}, err
	}
	nodes, err := s.session.getAll(ctx, []string{configHostID(name), statusHostUp(name), statusHostWishes(name)})
	if err != nil {
		return Wishes{}, err
	}
	if nodes[0].stat == nil {
		return Wishes{}, host.ErrNotFound
	}
	w := Wishes{Up: nodes[1].stat != nil, Stored: make(map[string]job.Goal)}
	if nodes[2].stat != nil {
		note, err := host.ReadNote(nodes[2].data)
		_, w.Newer = errors.AsType[*document.NewerError](err)
		if err == nil {
			w.Note = &note
		}
	}
	list, err := s.session.children(ctx, configHostJobs(name))
	if errors.Is(err, zk.ErrNoNode) {
		w.Missing = true
		return w, nil
	}
	if err != nil {
		return Wishes{}, err
	}
	paths := make([]string, len(list.names))
	for i, task := range list.names {
		paths[i] = configHostJob(name, task)
	}
	if nodes, err = s.session.getAll(ctx, paths); err != nil {
		return Wishes{}, err
	}
	for i, n := range nodes {
		if n.stat == nil {
			continue // gone this moment
		}
		_, task, err := readTask(configHostJobs(name), list.names[i], n)
		if err != nil {
			task.Goal = ""
		}
		w.Stored[list.names[i]] = task.Goal
	}
	return w, nil
}

// Doubts are the doubts of all hosts whose agents are in doubt. Notes that cannot be read are left out.
func (s *Store) Doubts(ctx context.Context) (map[string]host.Doubt, error) {
	hosts, err := s.session.childrenIfAny(ctx, configHosts)
	if err != nil {
		return nil, named("list", "doubts", err)
	}
	paths := make([]string, len(hosts))
	for i, name := range hosts {
		paths[i] = statusHostWishes(name)
	}
	nodes := make([]node, len(paths))
	err = each(ctx, paths, func(ctx context.Context, i int, path string) error {
		n, err := s.session.getAllKnown(ctx, []string{path})
		if errors.Is(err, ErrDenied) { // an agent with a wrong digest hides what it says itself
			return nil
		}
		nodes[i] = n[0]
		return err
	})
	if err != nil {
		return nil, named("list", "doubts", err)
	}
	doubts := make(map[string]host.Doubt)
	for i, n := range nodes {
		if n.stat == nil {
			continue
		}
		if note, err := host.ReadNote(n.data); err == nil && note.Doubt != nil {
			doubts[hosts[i]] = *note.Doubt
		}
	}
	return doubts, nil
}

// WatchAcceptance calls changed with what a person said about the host's doubt, whenever there is something, until ctx
// ends; it blocks. What cannot be read comes with an error.
func (s *Store) WatchAcceptance(ctx context.Context, name string, changed func(host.Acceptance, error)) error {
	if !legalName(name) {
		return named("watch acceptances of", name, ErrName)
	}
	var told int64 // zxid of the node that was told
	return s.session.loop(ctx, "looking for acceptances of "+name, func(ctx context.Context, w *watches) error {
		stat, err := w.stat(ctx, statusHostAccept(name))
		if err != nil || stat == nil || stat.Mzxid == told {
			return err
		}
		n, err := s.session.get(ctx, statusHostAccept(name))
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		if err != nil {
			return err
		}
		told = n.stat.Mzxid
		changed(host.ReadAcceptance(n.data))
		return nil
	})
}

// EndAcceptance takes away what WatchAcceptance told.
func (s *Store) EndAcceptance(ctx context.Context, name string) error {
	if !legalName(name) {
		return named("end acceptance of", name, ErrName)
	}
	return s.session.remove(ctx, statusHostAccept(name))
}
