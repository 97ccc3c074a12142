package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// maxEvents is how many events of a job are kept for each host (zookeeper §10.4).
const maxEvents = 30

// AppendHistory writes events of a task, oldest first and each with its status, and deletes the oldest beyond thirty
// (zookeeper §10.4). An event that is there already is not written twice; another one of the same millisecond moves this
// one to the next free one (Q7), and one that is older than thirty others comes after them: its milliseconds may be free
// only because they were deleted. Failing to delete is no error: the next event tries again.
//
// It returns how many of the events are there now, from the first on; the error is of the one after them. ErrName is that
// of a host or job that cannot be named, ErrTooLarge that of an event that can never be written.
func (s *Store) AppendHistory(ctx context.Context, hostName string, id job.ID, events []job.TaskStatusEvent) (int, error) {
	what := "write history of job " + id.String() + " on"
	if !legalName(hostName) || !legalName(id.String()) {
		return 0, named(what, hostName, ErrName)
	}
	written := 0
	for written < len(events) {
		n, old, err := s.appendHistory(ctx, hostName, id, events[written:])
		if err != nil {
			return written, named(what, hostName, err)
		}
		written += n
		if err := s.session.removeAll(ctx, old); err != nil {
			s.log.Warn().Err(err).Stringer("job", id).Str("host", hostName).Msg("old history is left for later")
		}
	}
	return written, nil
}

// appendHistory writes in one transaction as many of the events as it can hold. It returns how many, and the nodes of those
// that are beyond thirty then.
func (s *Store) appendHistory(ctx context.Context, hostName string, id job.ID, events []job.TaskStatusEvent) (n int, old []string, err error) {
	for {
		list, err := s.session.children(ctx, historyEvents(id, hostName))
		if errors.Is(err, zk.ErrNoNode) {
			err = s.session.ensure(ctx, historyEvents(id, hostName))
		}
		if err != nil {
			return 0, nil, err
		}
		var (
			t       txn
			times   = eventTimes(list.names)
			planned = make(map[int64][]byte)
		)
		n, old = 0, nil
		read := func(at int64) ([]byte, error) {
			if data, ok := planned[at]; ok {
				return data, nil
			}
			there, err := s.session.get(ctx, historyEvent(id, hostName, at))
			if errors.Is(err, zk.ErrNoNode) {
				return nil, nil
			}
			return there.data, err
		}
		for _, event := range events {
			data := document.Canonical(event.Status.JSON())
			at, there, err := placeEvent(times, event.Timestamp, data, read)
			if err != nil {
				return 0, nil, err
			}
			if !there {
				more := t
				more.create(historyEvent(id, hostName, at), data)
				if n > 0 && !s.session.fits(&more) {
					break
				}
				t, planned[at] = more, data
				i, _ := slices.BinarySearch(times, at)
				times = slices.Insert(times, i, at)
			}
			n++
			for len(times) > maxEvents {
				old = append(old, historyEvent(id, hostName, times[0]))
				times = times[1:]
			}
		}
		_, err = s.session.commit(ctx, &t)
		if !errors.Is(err, zk.ErrNodeExists) { // be it by ourselves, unheard
			return n, old, err
		}
	}
}

// placeEvent finds the time that an event gets among those that there are, or that it is there already; read reads one.
func placeEvent(times []int64, at int64, data []byte, read func(int64) ([]byte, error)) (placed int64, there bool, err error) {
	first, _ := slices.BinarySearch(times, at)
	older := first == 0 && len(times) >= maxEvents // it would be the next to be deleted
	for _, later := range times[first:] {
		if later > at && !older {
			break
		}
		was, err := read(later)
		if err != nil {
			return 0, false, err
		}
		if bytes.Equal(was, data) {
			return later, true, nil
		}
		at = later + 1
	}
	return at, false, nil
}

// eventTimes are the times that event nodes are named by, ascending. A node that is named otherwise is not ours.
func eventTimes(names []string) []int64 {
	times := make([]int64, 0, len(names))
	for _, name := range names {
		if at, err := strconv.ParseInt(name, 10, 64); err == nil && strconv.FormatInt(at, 10) == name {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	return times
}

// History reads the events of a job on the given hosts, or on all without any, in the order of time (zookeeper §8.13).
// Unreadable events are left out. It returns job.ErrNotFound.
func (s *Store) History(ctx context.Context, id job.ID, hosts ...string) ([]job.TaskStatusEvent, error) {
	events, err := certain(ctx, s, func() ([]job.TaskStatusEvent, error) { return s.history(ctx, id, hosts) })
	return events, named("read history of job", id.String(), err)
}

func (s *Store) history(ctx context.Context, id job.ID, hosts []string) ([]job.TaskStatusEvent, error) {
	if !legalName(id.String()) {
		return nil, job.ErrNotFound
	}
	exists, err := s.session.exists(ctx, configJob(id))
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, job.ErrNotFound
	}
	if len(hosts) == 0 {
		if hosts, err = s.session.childrenIfAny(ctx, historyJobHosts(id)); err != nil {
			return nil, err
		}
	}
	hosts = slices.DeleteFunc(slices.Clone(hosts), func(name string) bool { return !legalName(name) })
	times := make([][]int64, len(hosts))
	err = each(ctx, hosts, func(ctx context.Context, i int, name string) error {
		events, err := s.session.childrenIfAny(ctx, historyEvents(id, name))
		times[i] = eventTimes(events)
		return err
	})
	if err != nil {
		return nil, err
	}
	var (
		paths  []string
		events []job.TaskStatusEvent
	)
	for i, name := range hosts {
		for _, at := range times[i] {
			paths = append(paths, historyEvent(id, name, at))
			events = append(events, job.TaskStatusEvent{Timestamp: at, Host: &name})
		}
	}
	nodes, err := s.session.getAll(ctx, paths)
	if err != nil {
		return nil, err
	}
	for i, n := range nodes {
		events[i].Status = listed(s, n, (*job.TaskStatus).JSON)
	}
	events = slices.DeleteFunc(events, func(e job.TaskStatusEvent) bool { return e.Status == nil })
	slices.SortStableFunc(events, func(a, b job.TaskStatusEvent) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	return events, nil
}
