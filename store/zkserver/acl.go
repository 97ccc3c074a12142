package zkserver

import (
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"
)

// ACL gives the holders of an identity permissions on one node.
type ACL struct {
	Perms  int32
	Scheme string
	ID     string
}

// size is what an entry takes in the log.
func (a ACL) size() int { return 12 + len(a.Scheme) + len(a.ID) }

// identity is what a connection has proved to be.
type identity struct{ scheme, id string }

func compareIdentities(a, b identity) int {
	return cmp.Or(cmp.Compare(a.scheme, b.scheme), cmp.Compare(a.id, b.id))
}

var (
	openACL     = []ACL{{permAll, "world", "anyone"}}
	readOnlyACL = []ACL{{permRead, "world", "anyone"}}
)

// decodeACLs reads an ACL list; a null list is like an empty one (both are refused).
func decodeACLs(d *decoder) []ACL {
	n := d.count(12)
	if n <= 0 {
		return nil
	}
	list := make([]ACL, 0, n)
	for range n {
		list = append(list, ACL{d.int32(), d.string(), d.string()})
	}
	return list
}

func appendACLs(b []byte, acl []ACL) []byte {
	b = appendInt32(b, int32(len(acl)))
	for _, a := range acl {
		b = appendString(appendString(appendInt32(b, a.Perms), a.Scheme), a.ID)
	}
	return b
}

// resolveACLs is the list as it is stored: without duplicates and with the scheme auth replaced by the digests that the
// caller has proved. An empty list, one that this makes longer than a frame, and unknown or malformed identities are
// refused.
func resolveACLs(acl []ACL, ids []identity) ([]ACL, code) {
	if len(acl) == 0 {
		return nil, codeInvalidACL
	}
	if slices.Equal(acl, openACL) {
		return openACL, codeOK
	}
	var list []ACL
	seen := make(map[ACL]struct{}, len(acl))
	size := 0
	for _, a := range acl {
		if _, again := seen[a]; again {
			continue
		}
		seen[a] = struct{}{}
		if size > frameLimit {
			return nil, codeInvalidACL
		}
		switch {
		case a.Scheme == "world" && a.ID == "anyone", a.Scheme == "digest" && validDigest(a.ID), a.Scheme == "ip" && validIP(a.ID):
			list = append(list, a)
			size += a.size()
		case a.Scheme == "auth":
			before := len(list)
			for _, id := range ids {
				if id.scheme == "digest" {
					list = append(list, ACL{a.Perms, id.scheme, id.id})
					size += list[len(list)-1].size()
				}
			}
			if len(list) == before {
				return nil, codeInvalidACL
			}
		default:
			return nil, codeInvalidACL
		}
	}
	return list, codeOK
}

// allowed tells whether one of ids has any of the permissions perm.
func allowed(acl []ACL, perm int32, ids []identity) bool {
	if len(acl) == 0 || slices.ContainsFunc(ids, func(id identity) bool { return id.scheme == "super" }) {
		return true
	}
	for _, a := range acl {
		if a.Perms&perm == 0 {
			continue
		}
		if a.Scheme == "world" && a.ID == "anyone" {
			return true
		}
		for _, id := range ids {
			if id.scheme == a.Scheme && (id.id == a.ID || id.scheme == "ip" && matchesIP(a.ID, id.id)) {
				return true
			}
		}
	}
	return false
}

// maskDigests hides the digests of an ACL list from callers without the right to change it.
func maskDigests(acl []ACL) []ACL {
	masked := slices.Clone(acl)
	for i, a := range masked {
		if user, _, found := strings.Cut(a.ID, ":"); a.Scheme == "digest" && found {
			masked[i].ID = user + ":x"
		}
	}
	return masked
}

// digestOf is the identity that user:password proves.
func digestOf(credential string) string {
	user, _, _ := strings.Cut(credential, ":")
	sum := sha1.Sum([]byte(credential))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

func validDigest(id string) bool {
	user, digest, found := strings.Cut(id, ":")
	return found && user+digest != "" && digest != "" && !strings.Contains(digest, ":")
}

func ipPrefix(id string) (netip.Prefix, bool) {
	if !strings.Contains(id, "/") {
		addr, err := netip.ParseAddr(id)
		if err != nil {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(id)
	return prefix, err == nil
}

func validIP(id string) bool {
	_, ok := ipPrefix(id)
	return ok
}

func matchesIP(pattern, id string) bool {
	prefix, ok := ipPrefix(pattern)
	addr, err := netip.ParseAddr(id)
	return ok && err == nil && prefix.Contains(addr)
}
