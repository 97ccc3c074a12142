package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// ErrNoCluster says that the tree is not, or no more, that of the cluster whose id the store was given.
// Its words are the original's.
var ErrNoCluster = errors.New("ZooKeeper cluster ID does not exist")

// clusterID guards a session against the tree of another cluster, and against one that was emptied: while the node of
// the id does not exist, requests fail at once and none is sent (zookeeper §4.2). Whether it exists is asked before the
// first request of each connection, after each event of a watch on it, and, should an event be lost, twice a minute.
type clusterID struct {
	path string        // of the node
	turn chan struct{} // holds a token while somebody asks

	mu      sync.Mutex      // guards all below
	link    <-chan struct{} // the connection of the last answer, by its link.changed
	asked   time.Time
	exists  bool
	told    bool            // the log says what exists says
	changed <-chan zk.Event // the watch; nil when there is none
}

// newClusterID guards with an id; without one nothing is guarded.
func newClusterID(id string) (*clusterID, error) {
	if id == "" {
		return nil, nil
	}
	if !legalName(id) {
		return nil, named("zookeeper cluster id", fmt.Sprintf("%q", id), ErrName)
	}
	return &clusterID{path: configID(id), turn: make(chan struct{}, 1)}, nil
}

// answer is what is known of the node on a connection.
func (c *clusterID) answer(link <-chan struct{}) (exists, known, watched bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.changed:
		c.changed, c.link = nil, nil
	default:
	}
	return c.exists, c.link == link && time.Since(c.asked) < resyncEvery, c.changed != nil
}

// learn notes an answer, and reports whether it is news.
func (c *clusterID) learn(link <-chan struct{}, exists bool, changed <-chan zk.Event) (news bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	news = !c.told || c.exists != exists
	c.link, c.asked, c.exists, c.told = link, time.Now(), exists, true
	if changed != nil {
		c.changed = changed
	}
	return news
}

// inCluster is once for a tree that is the cluster's. An answer that came when the connection was no longer the one that
// was asked for the id may be another tree's: it counts as lost.
func inCluster[T any](ctx context.Context, s *session, request func(*zk.Conn) (T, error)) (T, error) {
	if s.cluster == nil {
		return once(ctx, s, request)
	}
	var none T
	now := s.state()
	if !now.up {
		return none, zk.ErrConnectionClosed
	}
	link := now.changed
	if err := s.identify(ctx, link); err != nil {
		return none, err
	}
	return once(ctx, s, func(c *zk.Conn) (T, error) {
		answer, err := request(c)
		if s.state().changed != link {
			err = zk.ErrConnectionClosed
		}
		return answer, err
	})
}

// identify returns nil if the id exists on a connection.
func (s *session) identify(ctx context.Context, link <-chan struct{}) error {
	c := s.cluster
	exists, known, _ := c.answer(link)
	if !known {
		select {
		case c.turn <- struct{}{}:
			defer func() { <-c.turn }()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var watched bool
		if exists, known, watched = c.answer(link); !known {
			var err error
			if exists, err = s.askCluster(ctx, link, watched); err != nil {
				return err
			}
		}
	}
	if !exists {
		return ErrNoCluster
	}
	return nil
}

// askCluster asks whether the node exists, and watches it unless it is watched already.
func (s *session) askCluster(ctx context.Context, link <-chan struct{}, watched bool) (bool, error) {
	type reading struct {
		exists  bool
		changed <-chan zk.Event
	}
	r, err := once(ctx, s, func(c *zk.Conn) (r reading, err error) {
		if watched {
			r.exists, _, err = c.Exists(s.chroot + s.cluster.path)
		} else {
			r.exists, _, r.changed, err = c.ExistsW(s.chroot + s.cluster.path)
		}
		if s.state().changed != link {
			err = zk.ErrConnectionClosed
		}
		return r, err
	})
	if err != nil {
		return false, named("look for", s.cluster.path, err)
	}
	if s.cluster.learn(link, r.exists, r.changed) {
		if r.exists {
			s.log.Info().Str("node", s.cluster.path).Msg("zookeeper has the tree of this cluster")
		} else {
			s.log.Error().Str("node", s.cluster.path).Msg("zookeeper has no tree of this cluster: all requests fail")
		}
	}
	return r.exists, nil
}

// prove reports an error unless the tree is the cluster's and a directory exists, at one moment: what was read before may
// then be acted on (zookeeper §4.2.3, without the version that never changes: Q28).
func (s *session) prove(ctx context.Context, directory string) error {
	if s.cluster == nil {
		return nil
	}
	var t txn
	t.check(s.cluster.path, anyVersion)
	t.check(directory, anyVersion)
	_, err := s.commit(ctx, &t)
	return err
}

// OccupiedError says which of the nodes that would have been created exist.
type OccupiedError struct{ Nodes []string }

func (e *OccupiedError) Error() string {
	return "some nodes already exist: " + strings.Join(e.Nodes, ", ")
}

// CreateClusterID makes the tree that of a cluster, all nodes at once (zookeeper §4.1). It returns an [OccupiedError]
// when there is anything in their places, unless force says to create only what is missing; ErrNoRoot; and ErrName.
func (s *Store) CreateClusterID(ctx context.Context, id string, force bool) error {
	if !legalName(id) {
		return named("create cluster id", id, ErrName)
	}
	if err := s.session.findRoot(ctx); err != nil {
		return err
	}
	paths := []string{parentOf(configIDs), configIDs, configID(id)}
	stats, err := s.session.stats(ctx, paths...)
	if err != nil {
		return err
	}
	var (
		t    txn
		here []string
	)
	for i, path := range paths {
		if stats[i] != nil {
			here = append(here, path)
		} else {
			t.create(path, nil)
		}
	}
	if here != nil && !force {
		return &OccupiedError{Nodes: here}
	}
	lost, err := s.session.commit(ctx, &t)
	if errors.Is(err, zk.ErrNodeExists) && lost {
		if done, lookErr := s.session.exists(ctx, configID(id)); done || lookErr != nil {
			return lookErr
		}
	}
	return named("create cluster id", id, err)
}
