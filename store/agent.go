package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
)

// ErrDeregistered says that a host that was registered is so no more, in a store that is the one known before: somebody
// took it off the list. That is no undeploy (decision 9).
var ErrDeregistered = errors.New("host was deregistered")

// OtherAgentError says that an agent with another id holds the host name. It is a [host.ErrConflict].
type OtherAgentError struct {
	Host    string
	ID      string        // of the other agent
	Expires time.Duration // until the name may be taken over
}

func (e *OtherAgentError) Error() string {
	return fmt.Sprintf("another agent (%s) already registered as '%s'; that registration expires in %d seconds",
		e.ID, e.Host, int64(e.Expires/time.Second))
}
func (e *OtherAgentError) Unwrap() error { return host.ErrConflict }

// Mark tells one state of a directory's list of entries from another.
type Mark struct {
	Created int64 // zxid of the directory's creation
	Changes int32 // entries made and deleted since then
}

func markOf(stat *zk.Stat) Mark { return Mark{Created: stat.Czxid, Changes: stat.Cversion} }

// Continues reports whether m was taken of the same directory as known, then or later. Otherwise the directory was
// made anew, or an older state of it was restored, and it says nothing about what became of the entries known before
// (decision 10).
func (m Mark) Continues(known Mark) bool {
	return m.Created == known.Created && m.Changes >= known.Changes
}

// Registration is what an agent must remember of the store it registered in, across restarts too.
type Registration struct {
	Hosts Mark // the list of all hosts
	Tasks Mark // the list of the host's tasks
}

// Registering is an agent's wish to be registered.
type Registering struct {
	Host string
	ID   string
	// TTL is how long another agent's hold on the name lasts after its last report of host facts.
	TTL time.Duration
	// Known is the newest registration; nil for one that never was, or that a person wants renewed.
	Known *Registration
	// TakingOver, if set, is told the id of the agent whose name is about to be taken over; after an error it is not.
	TakingOver func(id string) error
}

// RegisterAgent makes one attempt to register an agent (zookeeper §7.3). It changes nothing when the agent's id is
// registered already, but for missing directories; it takes the name over from an agent that has been silent for the
// TTL, keeping deployments and history. Until it has succeeded once in this process, the agent must neither follow the
// host's tasks nor write statuses (zookeeper Q2).
//
// It returns ErrDeregistered, an [OtherAgentError], ErrName, or another error; all are worth another attempt later.
func (s *Store) RegisterAgent(ctx context.Context, wish Registering) (Registration, error) {
	if !legalName(wish.Host) {
		return Registration{}, named("register host", wish.Host, ErrName)
	}
	err := s.claim(ctx, wish)
	if err != nil {
		return Registration{}, named("register host", wish.Host, err)
	}
	stats, err := s.session.stats(ctx, configHosts, configHostJobs(wish.Host))
	if err == nil && (stats[0] == nil || stats[1] == nil) {
		err = zk.ErrNoNode // deleted this moment
	}
	if err != nil {
		return Registration{}, named("register host", wish.Host, err)
	}
	return Registration{Hosts: markOf(stats[0]), Tasks: markOf(stats[1])}, nil
}

func (s *Store) claim(ctx context.Context, wish Registering) error {
	id, err := s.session.get(ctx, configHostID(wish.Host))
	if errors.Is(err, zk.ErrNoNode) {
		hosts, err := s.session.stat(ctx, configHosts)
		if err != nil {
			return err
		}
		if wish.Known != nil && hosts != nil && markOf(hosts).Continues(wish.Known.Hosts) {
			return ErrDeregistered
		}
		return s.createHost(ctx, wish.Host, wish.ID)
	}
	if err != nil {
		return err
	}
	if sameID(id.data, wish.ID) {
		return s.ensureHost(ctx, wish.Host)
	}
	info, err := s.session.stat(ctx, statusHostInfo(wish.Host))
	if err != nil {
		return err
	}
	if info != nil {
		if silent := time.Since(time.UnixMilli(info.Mtime)); silent < wish.TTL {
			return &OtherAgentError{Host: wish.Host, ID: strings.TrimSpace(string(id.data)), Expires: wish.TTL - silent}
		}
	}
	if wish.TakingOver != nil {
		if err := wish.TakingOver(strings.TrimSpace(string(id.data))); err != nil {
			return err
		}
	}
	if err := s.takeOver(ctx, wish); err != nil {
		return err
	}
	return s.ensureHost(ctx, wish.Host)
}

// hostPaths is what a host needs beside its id.
func hostPaths(name string) []string {
	return []string{configHost(name), configHostJobs(name), configHostPorts(name), statusHost(name), statusHostJobs(name)}
}

// createHost makes an unregistered host's nodes, those that are missing, and the id last: all at once, so that a host
// is never found halfway, which an agent would take for deregistered.
func (s *Store) createHost(ctx context.Context, name, id string) error {
	for _, path := range []string{configHosts, statusHosts} {
		if err := s.session.ensure(ctx, path); err != nil {
			return err
		}
	}
	paths := hostPaths(name)
	stats, err := s.session.stats(ctx, paths...)
	if err != nil {
		return err
	}
	var t txn
	for i, path := range paths {
		if stats[i] == nil {
			t.create(path, nil)
		}
	}
	t.create(configHostID(name), []byte(id))
	_, err = s.session.commit(ctx, &t)
	return err
}

// ensureHost repairs a registered host's nodes.
func (s *Store) ensureHost(ctx context.Context, name string) error {
	for _, path := range hostPaths(name) {
		if err := s.session.ensure(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// takeOver replaces the id of a host and all that its former agent reported, at once (zookeeper §7.4).
func (s *Store) takeOver(ctx context.Context, wish Registering) error {
	reported, err := s.session.tree(ctx, statusHost(wish.Host))
	if err != nil {
		return err
	}
	var t txn
	t.check(configHost(wish.Host), anyVersion)
	t.deleteTree(reported)
	t.create(statusHost(wish.Host), nil)
	t.create(statusHostJobs(wish.Host), nil)
	t.delete(configHostID(wish.Host), anyVersion)
	t.create(configHostID(wish.Host), []byte(wish.ID))
	_, err = s.session.commit(ctx, &t)
	return err
}

// sameID compares agent ids, of which old files may have kept a line's end (zookeeper Q31).
func sameID(data []byte, id string) bool {
	return strings.TrimRight(string(data), "\r\n") == strings.TrimRight(id, "\r\n")
}

// KeepHostUp keeps a registered host up: its ephemeral node exists while KeepHostUp runs and ZooKeeper is there, and is
// deleted at the end of ctx, for which it blocks (zookeeper §6.1). It returns earlier, for the agent to register again,
// when the registration is gone: host.ErrNotFound when there is no id node any more, or no place for statuses, and
// host.ErrConflict when another id stands there.
func (s *Store) KeepHostUp(ctx context.Context, name, id string) error {
	err := s.session.loop(ctx, "keeping host "+name+" up", func(ctx context.Context, w *watches) error {
		held, err := w.get(ctx, configHostID(name))
		if errors.Is(err, zk.ErrNoNode) {
			return final{named("keep up", name, host.ErrNotFound)}
		}
		if err != nil {
			return err
		}
		if !sameID(held.data, id) {
			return final{named("keep up", name, host.ErrConflict)}
		}
		err = w.ephemeral(ctx, statusHostUp(name))
		if errors.Is(err, zk.ErrNoNode) {
			return final{named("keep up", name, host.ErrNotFound)}
		}
		return err
	})
	if ctx.Err() != nil {
		s.session.farewell(ctx, statusHostUp(name))
	}
	return err
}
