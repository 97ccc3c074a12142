package store

import (
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
)

// Identity is who holds permissions on nodes: a user, and the digest of its password, which proves nothing by itself.
type Identity struct{ User, Digest string }

// NewIdentity is the identity that a process proves with the user's password (zookeeper §5.1).
func NewIdentity(user, password string) Identity {
	sum := sha1.Sum([]byte(user + ":" + password))
	return Identity{user, base64.StdEncoding.EncodeToString(sum[:])}
}

// entry gives the identity permissions.
func (i Identity) entry(permissions int32) zk.ACL {
	return zk.ACL{Perms: permissions, Scheme: "digest", ID: i.User + ":" + i.Digest}
}

// ACLs are the two identities that share a protected tree: with them, every node that a store creates gets the access
// list of its path. Nobody else may do anything, not even read, and nobody may change an access list (zookeeper §5.2).
type ACLs struct{ Master, Agent Identity }

func (a ACLs) check() error { return errors.Join(a.Master.check(), a.Agent.check()) }

// check refuses an identity that nobody could prove: the nodes made for it would be lost to it.
func (i Identity) check() error {
	sum, err := base64.StdEncoding.DecodeString(i.Digest)
	switch {
	case i.User == "" || strings.Contains(i.User, ":"):
		return fmt.Errorf("zookeeper user %q is empty or contains a colon", i.User)
	case err != nil || len(sum) != sha1.Size:
		return fmt.Errorf("the digest of zookeeper user %s is not the base64 of a SHA-1 of user:password, 28 characters", i.User)
	}
	return nil
}

// rule gives an identity permissions on the nodes whose whole paths match.
type rule struct {
	path        *regexp.Regexp
	permissions int32
	who         Identity
}

const (
	crwd = zk.PermCreate | zk.PermRead | zk.PermWrite | zk.PermDelete
	crd  = zk.PermCreate | zk.PermRead | zk.PermDelete
	rw   = zk.PermRead | zk.PermWrite
	cr   = zk.PermCreate | zk.PermRead
)

// grants is what agents may do beside reading everything. C and D of a node are about its children. Where there is no W
// a node is replaced, by deleting and creating it in one transaction.
var grants = []struct {
	path        *regexp.Regexp
	permissions int32
}{
	{whole(`/config/hosts(/[^/]+(/(id|ports))?)?`), crd},
	{whole(`/status/hosts(/[^/]+(/jobs)?)?`), crd},
	{whole(`/status/hosts/[^/]+/(jobs/[^/]+|agentinfo|hostinfo|labels|environment|up)`), rw},
	{whole(`/history/jobs(/.*)?`), cr},
	{whole(`/history/jobs/[^/]+/hosts/[^/]+/events`), crd},
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?s:` + pattern + `)$`) }

var everything = whole(`.*`)

// rules are those of zookeeper §5.2.
func (a ACLs) rules() []rule {
	rules := []rule{{everything, crwd, a.Master}, {everything, zk.PermRead, a.Agent}}
	for _, g := range grants {
		rules = append(rules, rule{g.path, g.permissions, a.Agent})
	}
	return rules
}

// aclOf is the access list that rules give a path: what all that match grant together, an entry for each identity. It is
// empty when none matches.
func aclOf(rules []rule, path string) []zk.ACL {
	var acl []zk.ACL
	for _, r := range rules {
		if !r.path.MatchString(path) {
			continue
		}
		entry := r.who.entry(r.permissions)
		at := slices.IndexFunc(acl, func(a zk.ACL) bool { return a.ID == entry.ID })
		if at < 0 {
			acl = append(acl, entry)
		} else {
			acl[at].Perms |= entry.Perms
		}
	}
	return acl
}

// sameACL reports whether an access list read from a server is the wanted one, as a set. A server hides all digests from
// those who may not change the list: then users and permissions have to do.
func sameACL(read, wanted []zk.ACL) bool {
	if set(read) == set(wanted) {
		return true
	}
	masked := slices.Clone(wanted)
	for i, entry := range masked {
		if user, _, ok := strings.Cut(entry.ID, ":"); ok && entry.Scheme == "digest" {
			masked[i].ID = user + ":x"
		}
	}
	return set(read) == set(masked)
}

// denied says of a refusal whom it was meant for.
func (s *session) denied(err error) error {
	switch {
	case !errors.Is(err, zk.ErrNoAuth):
		return err
	case s.credential.Password == "":
		return fmt.Errorf("%w to a process without a password", ErrDenied)
	default:
		return fmt.Errorf("%w to user %s", ErrDenied, s.credential.User)
	}
}

// set is a text that two access lists have in common if they hold the same entries.
func set(acl []zk.ACL) string {
	entries := make([]string, len(acl))
	for i, a := range acl {
		entries[i] = a.Scheme + ":" + a.ID + ":" + permissionLetters(a.Perms)
	}
	slices.Sort(entries)
	return strings.Join(slices.Compact(entries), "\n")
}

// acl is the access list of a node to be created.
func (s *session) acl(path string) []zk.ACL {
	if s.rules == nil {
		return zk.WorldACL(zk.PermAll)
	}
	return aclOf(s.rules, cmp.Or(path, "/"))
}

// permissionLetters shows permissions as ZooKeeper's own tools do.
func permissionLetters(permissions int32) string {
	var text strings.Builder
	for i, letter := range "rwcda" { // in the order of their bits
		if permissions&(1<<i) != 0 {
			text.WriteRune(letter)
		}
	}
	return text.String()
}
