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

// AppendHistory writes an event of a task and deletes the oldest beyond thirty (zookeeper §10.4). An event that is there
// already is not written twice; another one of the same millisecond moves this one to the next free one (Q7), and one that
// is older than thirty others comes after them: its milliseconds may be free only because they were deleted. Failing to
// delete is no error: the next event tries again. It returns ErrName for a host or job that cannot be named.
func (s *Store) AppendHistory(ctx context.Context, hostName string, at int64, status job.TaskStatus) error {
	id := status.Job.ID
	if !legalName(hostName) || !legalName(id.String()) {
		return named("write history of job "+id.String()+" on", hostName, ErrName)
	}
	times, err := s.appendHistory(ctx, hostName, at, status)
	if err != nil {
		return named("write history of job "+id.String()+" on", hostName, err)
	}
	for _, old := range times[:max(0, len(times)-maxEvents)] {
		if err := s.session.remove(ctx, historyEvent(id, hostName, old)); err != nil {
			s.log.Warn().Err(err).Str("job", id.String()).Str("host", hostName).Msg("old history is left for later")
			break
		}
	}
	return nil
}

// appendHistory writes the event and returns the times of all that there are then.
func (s *Store) appendHistory(ctx context.Context, hostName string, at int64, status job.TaskStatus) ([]int64, error) {
	id, data := status.Job.ID, document.Canonical(status.JSON())
	for {
		list, err := s.session.children(ctx, historyEvents(id, hostName))
		if errors.Is(err, zk.ErrNoNode) {
			err = s.session.ensure(ctx, historyEvents(id, hostName))
		}
		if err != nil {
			return nil, err
		}
		times := eventTimes(list.names)
		first, _ := slices.BinarySearch(times, at)
		older := first == 0 && len(times) >= maxEvents // it would be the next to be deleted
		for _, later := range times[first:] {
			if later > at && !older {
				break
			}
			there, err := s.session.get(ctx, historyEvent(id, hostName, later))
			if err != nil && !errors.Is(err, zk.ErrNoNode) {
				return nil, err
			}
			if err == nil && bytes.Equal(there.data, data) {
				return times, nil
			}
			at = later + 1
		}
		err = s.session.create(ctx, historyEvent(id, hostName, at), data, 0)
		if !errors.Is(err, zk.ErrNodeExists) { // be it by ourselves, unheard
			return append(times, at), err
		}
	}
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
