package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
)

// protectRoot gives the root node its access list, if there are such and it has another one (zookeeper §5.3). Failing is
// no reason not to go on: it is logged. done says that there is no use in trying again.
func (s *Store) protectRoot(ctx context.Context) (done bool) {
	if s.session.rules == nil {
		return true
	}
	was, changed, err := s.session.protect(ctx, "")
	switch {
	case err != nil && ctx.Err() != nil:
		return false
	case err != nil:
		s.log.Error().Err(err).Msg("the root node is not protected")
		return !errors.Is(err, ErrUnavailable)
	case changed:
		s.log.Info().Str("was", summary(was)).Str("is", summary(s.session.acl(""))).Msg("access list of the root node is set")
	}
	return true
}

// protect gives a node the access list of its path if it has another one, and returns the one it had.
func (s *session) protect(ctx context.Context, path string) (was []zk.ACL, changed bool, err error) {
	at := cmp.Or(path, "/")
	if was, err = s.getACL(ctx, path); err != nil {
		return nil, false, err
	}
	wanted := s.acl(path)
	if sameACL(was, wanted) {
		return was, false, nil
	}
	_, _, err = call(ctx, s, func(c *zk.Conn) (*zk.Stat, error) {
		return c.SetACL(cmp.Or(s.chroot+path, "/"), wanted, anyVersion)
	})
	return was, err == nil, named("set access list of", at, err)
}

// summary shows an access list without digests, which are not for logs.
func summary(acl []zk.ACL) string {
	entries := make([]string, len(acl))
	for i, a := range acl {
		user, _, _ := strings.Cut(a.ID, ":")
		entries[i] = a.Scheme + ":" + user + ":" + permissionLetters(a.Perms)
	}
	return strings.Join(entries, " ")
}

// Protection is what [Store.Protect] came to.
type Protection struct {
	Set  int      // nodes that have another access list now
	Kept int      // nodes that had the right one
	Left []string // nodes of ZooKeeper's own whose access list it does not let anybody but its superuser change
}

// Protect gives every node of the tree, however it came there, the access list of its path, parents before children
// (zookeeper §5.4). told, if set, hears of each node that is changed. The first failure ends it; what was done until
// then stays, and a repetition goes on. The store needs Options.ACLs, and the credential of the master or of
// ZooKeeper's superuser. It returns ErrNoRoot.
func (s *Store) Protect(ctx context.Context, told func(path string)) (Protection, error) {
	var done Protection
	if s.session.rules == nil {
		return done, errors.New("no access lists are known to the store")
	}
	if err := s.session.findRoot(ctx); err != nil {
		return done, err
	}
	type outcome struct {
		there, changed, left bool
		children             []string
	}
	for level := []string{""}; len(level) > 0; {
		outcomes := make([]outcome, len(level))
		err := each(ctx, level, func(ctx context.Context, i int, path string) error {
			o := &outcomes[i]
			_, changed, err := s.session.protect(ctx, path)
			if errors.Is(err, ErrDenied) && s.session.chroot == "" && strings.HasPrefix(path, "/zookeeper/") {
				o.left, err = true, nil
			}
			var list listing
			if err == nil {
				o.there, o.changed = true, changed
				list, err = s.session.children(ctx, path)
			}
			if errors.Is(err, zk.ErrNoNode) {
				return nil // somebody deleted it meanwhile
			}
			for _, name := range list.names {
				o.children = append(o.children, childOf(path, name))
			}
			return err
		})
		var next []string
		for i, o := range outcomes {
			switch {
			case o.left:
				done.Left = append(done.Left, level[i])
			case o.changed:
				done.Set++
				if told != nil {
					told(cmp.Or(level[i], "/"))
				}
			case o.there:
				done.Kept++
			}
			next = append(next, o.children...)
		}
		if err != nil {
			return done, err
		}
		slices.Sort(next)
		level = next
	}
	return done, nil
}
