package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
)

// ErrDeregistered says that a host that was registered is so no more, in a store that is the one known before: somebody
// took it off the list. That is no undeploy (decision 9).
var ErrDeregistered = errors.New("host was deregistered")

// ErrForgotten says that a host has no registration, and that its agent does not know whether somebody took it off the list.
var ErrForgotten = errors.New("host has no registration, and may have been deregistered")

// errUnclear ends an attempt during which the host's nodes came or went.
var errUnclear = errors.New("its nodes change at this moment")

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

// Registering is an agent's wish to be registered.
type Registering struct {
	Host string
	ID   string
	// TTL is how long another agent's hold on the name lasts after its last report of host facts.
	TTL time.Duration
	// Known is the newest registration; nil for one that never was, or that a person wants renewed.
	Known *Registration
	// Forgot says that there is a newest registration, and that the agent does not know it.
	Forgot bool
	// TakingOver, if set, is told the id of the agent whose name is about to be taken over; after an error it is not.
	TakingOver func(id string) error
}

// RegisterAgent makes one attempt to register an agent (zookeeper §7.3). It changes nothing when the agent's id is
// registered already, but for missing directories; it takes the name over from an agent that has been silent for the
// TTL, keeping deployments and history. Until it has succeeded once in this process, the agent must neither follow the
// host's tasks nor write statuses (zookeeper Q2).
//
// It returns ErrDeregistered, ErrForgotten, an [OtherAgentError], ErrName, or another error; all are worth another attempt
// later.
func (s *Store) RegisterAgent(ctx context.Context, wish Registering) (Registration, error) {
	if !legalName(wish.Host) {
		return Registration{}, named("register host", wish.Host, ErrName)
	}
	err := s.claim(ctx, wish)
	if err != nil {
		return Registration{}, named("register host", wish.Host, err)
	}
	return s.Registration(ctx, wish.Host, wish.ID)
}

// Registration reads what a registered agent must remember: again from time to time, since the more it knows of the list
// of hosts, the more of the restored ones it can tell. It returns host.ErrNotFound when there is no id node, and
// host.ErrConflict when another id stands there.
func (s *Store) Registration(ctx context.Context, name, id string) (Registration, error) {
	if !legalName(name) {
		return Registration{}, named("look for host", name, ErrName)
	}
	stats, err := s.session.stats(ctx, configHosts, configHost(name))
	if err != nil {
		return Registration{}, named("look for host", name, err)
	}
	held, err := s.session.get(ctx, configHostID(name)) // after the lists, which are then those of a registered host
	switch {
	case errors.Is(err, zk.ErrNoNode):
		err = host.ErrNotFound
	case err == nil && !sameID(held.data, id):
		err = host.ErrConflict
	case err == nil && (stats[0] == nil || stats[1] == nil):
		err = host.ErrNotFound // made this moment
	}
	if err != nil {
		return Registration{}, named("look for host", name, err)
	}
	return Registration{Hosts: markOf(stats[0]), Host: new(markOf(stats[1]))}, nil
}

func (s *Store) claim(ctx context.Context, wish Registering) error {
	id, err := s.session.get(ctx, configHostID(wish.Host))
	switch {
	case errors.Is(err, zk.ErrNoNode):
		return s.claimFree(ctx, wish)
	case err != nil:
		return err
	case sameID(id.data, wish.ID):
		return s.ensureHost(ctx, wish.Host)
	}
	info, err := s.session.stat(ctx, statusHostInfo(wish.Host))
	if err != nil {
		return err
	}
	former := strings.TrimSpace(string(id.data))
	if info != nil {
		if left := holdLeft(time.Since(time.UnixMilli(info.Mtime)), wish.TTL); left > 0 {
			return &OtherAgentError{Host: wish.Host, ID: former, Expires: left}
		}
	}
	if wish.TakingOver != nil {
		if err := wish.TakingOver(former); err != nil {
			return err
		}
	}
	if err := s.takeOver(ctx, wish); err != nil {
		return err
	}
	return s.ensureHost(ctx, wish.Host)
}

// holdLeft is how long an agent that has been silent goes on holding its name; nothing or less: it is free. By clocks
// that differ an agent may have been silent for less than no time: it holds its name even where it should not at all
// (zookeeper §7.3, Q27).
func holdLeft(silent, ttl time.Duration) time.Duration { return ttl - silent }

// claimFree registers a host that has no id, unless it was deregistered.
func (s *Store) claimFree(ctx context.Context, wish Registering) error {
	if wish.Forgot {
		return ErrForgotten
	}
	found := finding{current: wish.Known == nil}
	if !found.current {
		var err error
		if found, err = s.find(ctx, wish.Host); err != nil {
			return err
		}
	}
	switch judge(wish.Known, found) {
	case register:
		return s.createHost(ctx, wish.Host, wish.ID)
	case deregistered:
		return ErrDeregistered
	default:
		return errUnclear
	}
}

// find reads what there is of a host, by a server that has caught up.
func (s *Store) find(ctx context.Context, name string) (finding, error) {
	if err := s.session.catchUp(ctx); err != nil {
		return finding{}, err
	}
	stats, err := s.session.stats(ctx, configHosts, configHost(name), configHostID(name))
	if err != nil {
		return finding{}, err
	}
	found := finding{current: true, registered: stats[2] != nil}
	if stats[0] != nil {
		found.hosts = new(markOf(stats[0]))
	}
	if stats[1] != nil {
		found.host = new(markOf(stats[1]))
	}
	return found, nil
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
	p, err := s.planHost(ctx, name)
	if err != nil {
		return err
	}
	p.create(configHostID(name), []byte(id))
	overtaken, err := s.session.attempt(ctx, &p.txn, p.witness, p.before)
	if overtaken {
		return s.holdsID(ctx, name, id)
	}
	return err
}

// ensureHost repairs a registered host's nodes.
func (s *Store) ensureHost(ctx context.Context, name string) error {
	for range maxRaces {
		p, err := s.planHost(ctx, name)
		if err != nil || !p.creates() {
			return err
		}
		p.check(configHostID(name), anyVersion)
		overtaken, err := s.session.attempt(ctx, &p.txn, p.witness, p.before)
		if !overtaken {
			return err
		}
		id, err := s.session.stat(ctx, configHostID(name))
		if err != nil {
			return err
		}
		if id == nil || p.id == nil || id.Czxid != p.id.Czxid {
			return errOvertaken
		}
	}
	return errRaces
}

// hostPlan makes what is missing of a host's nodes beside the id, while those that are there stay.
type hostPlan struct {
	txn
	id      *zk.Stat // as it was read
	witness string   // the directory that the first new node comes into
	before  *zk.Stat // of the witness
}

func (s *Store) planHost(ctx context.Context, name string) (*hostPlan, error) {
	paths := append(hostPaths(name), configHostID(name), configHosts, statusHosts)
	stats, err := s.session.stats(ctx, paths...)
	if err != nil {
		return nil, err
	}
	p := &hostPlan{id: stats[len(stats)-3], witness: configHost(name)}
	for i, path := range hostPaths(name) {
		if stats[i] != nil {
			p.check(path, anyVersion)
			continue
		}
		if !p.creates() {
			p.witness = parentOf(path)
		}
		p.create(path, nil)
	}
	p.before = stats[slices.Index(paths, p.witness)]
	return p, nil
}

// takeOver replaces the id of a host and all that its former agent reported, at once.
func (s *Store) takeOver(ctx context.Context, wish Registering) error {
	id, err := s.session.stat(ctx, configHostID(wish.Host))
	if err != nil {
		return err
	}
	reported, err := s.session.tree(ctx, statusHost(wish.Host))
	if err != nil {
		return err
	}
	overtaken, err := s.session.attempt(ctx, planTakeOver(wish, reported), configHostID(wish.Host), id)
	if overtaken {
		return s.holdsID(ctx, wish.Host, wish.ID)
	}
	return err
}

// holdsID wants a host to be registered with that id after a registration of which nothing was heard.
func (s *Store) holdsID(ctx context.Context, name, id string) error {
	held, err := s.session.get(ctx, configHostID(name))
	if errors.Is(err, zk.ErrNoNode) || err == nil && !sameID(held.data, id) {
		return errOvertaken
	}
	return err
}

// planTakeOver is the transaction of a take-over, the original's to the letter (zookeeper §7.4). Deployments and history
// stay.
func planTakeOver(wish Registering, reported []string) *txn {
	var t txn
	t.check(configHost(wish.Host), anyVersion)
	t.deleteTree(reported)
	t.create(statusHost(wish.Host), nil)
	t.create(statusHostJobs(wish.Host), nil)
	t.delete(configHostID(wish.Host), anyVersion)
	t.create(configHostID(wish.Host), []byte(wish.ID))
	return &t
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

// AwaitHost blocks until the id of a host is made, taken away or replaced, or ctx ends.
func (s *Store) AwaitHost(ctx context.Context, name string) error {
	if !legalName(name) {
		return named("wait for host", name, ErrName)
	}
	var first *zk.Stat
	looked := false
	return s.session.loop(ctx, "waiting for host "+name, func(ctx context.Context, w *watches) error {
		stat, err := w.stat(ctx, configHostID(name))
		switch {
		case err != nil:
			return err
		case !looked:
			first, looked = stat, true
		case (stat == nil) != (first == nil) || stat != nil && stat.Czxid != first.Czxid:
			return final{}
		}
		return nil
	})
}
