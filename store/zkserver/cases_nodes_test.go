package zkserver_test

import "strings"

// illegal paths, as they are sent.
var illegal = []string{
	"", "=", "=relative", "=//", "=/a//b", "/", "/.", "/..", "/./x", "/../x", "/x/.", "/x/..", "/x/", "//", "/\x00", "/a\x00b", "/\x01",
	"/\x1f", "/\x7f", "/\u0080", "/\u009f", "/\ue000", "/\uf8ff", "/\ufff0", "/\U0001f600", "/\xff", "/...", "/.a", "/a.", "/\u00a0", "/ ", "/\uf900",
}

var nodeCases = map[string]func(*script){
	"a node is created and read back": func(s *script) {
		c := s.connect()
		c.call(create, "/a", []byte("data"), open, 0)
		c.call(getData, "/a", false)
		c.call(exists, "/a", false)
		c.call(getChildren, "/a", false)
		c.call(getChildren2, "/", false)
		c.call(getData, "/", false)
	},
	"null data and empty data stay different": func(s *script) {
		c := s.connect()
		c.call(create, "/null", null, open, 0)
		c.call(create, "/empty", []byte{}, open, 0)
		c.call(getData, "/null", false)
		c.call(getData, "/empty", false)
		c.call(setData, "/empty", null, -1)
		c.call(getData, "/empty", false)
		c.call(setData, "/null", []byte{}, -1)
		c.call(getData, "/null", false)
	},
	"an existing node is not created again": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(create, "/a", []byte("x"), open, 0)
		c.call(create, "/a", []byte("x"), open, 1)
		c.call(create, "=/", null, open, 0)
		c.call(create, "=/zookeeper", null, open, 0)
		c.call(getData, "/a", false)
	},
	"a node without a parent is refused": func(s *script) {
		c := s.connect()
		c.call(create, "/a/b", null, open, 0)
		c.call(create, "/a/b-", null, open, 2)
		c.call(create, "=a/b", null, open, 0)
	},
	"an ephemeral node has no children": func(s *script) {
		c := s.connect()
		c.call(create, "/e", null, open, 1)
		c.call(create, "/e/x", null, open, 0)
		c.call(create, "/e/x-", null, open, 3)
		c.call(exists, "/e", false)
		c.call(getChildren2, "/e", false)
	},
	"illegal paths are refused by create": func(s *script) {
		c := s.connect()
		c.call(create, "/x", null, open, 0)
		for _, path := range illegal {
			c.call(create, path, null, open, 0)
		}
	},
	"illegal paths are refused by sequential create": func(s *script) {
		c := s.connect()
		c.call(create, "/x", null, open, 0)
		for _, path := range []string{"/x/", "/x/.", "/x/..", "/x/\x01", "//", "=", "=x"} {
			c.call(create, path, null, open, 2)
		}
	},
	"illegal paths are refused by the other writes": func(s *script) {
		c := s.connect()
		c.call(create, "/x", null, open, 0)
		for _, path := range illegal {
			if path != "/" && path != "" && path != "/\xff" {
				c.call(setData, path, null, 7)
				c.call(del, path, 7)
				c.call(setACL, path, open, 7)
			}
		}
	},
	"reads of illegal paths find nothing": func(s *script) {
		c := s.connect()
		for _, path := range []string{"=relative", "/x/", "//", "/..", "/\x00", "/\x01", "=//"} {
			c.call(exists, path, false)
			c.call(getData, path, false)
			c.call(getChildren, path, false)
			c.call(getChildren2, path, false)
			c.call(getACL, path)
		}
	},
	"unknown creation flags are refused": func(s *script) {
		c := s.connect()
		for _, flags := range []int{-1, 7, 8, 1 << 30} {
			c.call(create, "/a", null, open, flags)
		}
		c.call(createContainer, "/a", null, open, -1)
	},
	"nodes with a time to live are not supported": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 5)
		c.call(create, "/a", null, open, 6)
		c.call(createTTL, "/a", null, open, 5, int64(1000))
		c.call(createTTL, "/a", null, open, 6, int64(1000))
		c.call(exists, "/a", false)
	},
	"create2 answers with the stat": func(s *script) {
		c := s.connect()
		c.call(create2, "/a", []byte("xyz"), open, 0)
		c.call(create2, "/e", null, open, 1)
		c.call(create2, "/s-", []byte{}, open, 2)
		c.call(create2, "/a", null, open, 0)
		c.call(getChildren2, "/", false)
	},
	"a container looks like a plain node": func(s *script) {
		c := s.connect()
		c.call(createContainer, "/box", []byte("x"), open, 4)
		c.call(exists, "/box", false)
		c.call(create, "/box/child", null, open, 0)
		c.call(create, "/box/e", null, open, 1)
		c.call(exists, "/box", false)
		c.call(del, "/box", -1)
		c.call(createContainer, "/box", null, open, 4)
	},
	"sequence numbers count all creations below the parent": func(s *script) {
		c := s.connect()
		c.call(create, "/n-", null, open, 2)
		c.call(create, "/plain", null, open, 0)
		c.call(create, "/n-", null, open, 2)
		c.call(create, "/e-", null, open, 3)
		c.call(del, "/n-0000000002", -1)
		c.call(del, "/plain", -1)
		c.call(create, "/n-", null, open, 2)
		c.call(create, "/plain/", null, open, 2)
		c.call(getChildren2, "/", false)
	},
	"a refused creation takes no sequence number": func(s *script) {
		c := s.connect()
		c.call(create, "/n-", null, open, 2)
		c.call(create, "/n-0000000000", null, open, 0)
		c.call(create, "/x-", null, []acl{}, 2)
		c.call(create, "/n-", null, open, 2)
		c.call(getChildren2, "/", false)
	},
	"the sequence number of a node that is there already": func(s *script) {
		c := s.connect()
		c.call(create, "/n-0000000001", null, open, 0)
		c.call(create, "/n-", null, open, 2)
		c.call(create, "/m", null, open, 0)
		c.call(create, "/n-", null, open, 2)
	},
	"delete checks existence, version and children": func(s *script) {
		c := s.connect()
		c.call(del, "/a", -1)
		c.call(create, "/a", null, open, 0)
		c.call(create, "/a/b", null, open, 0)
		c.call(del, "/a", 5)
		c.call(del, "/a", 0)
		c.call(del, "/a/b", -1)
		c.call(del, "/a", 0)
		c.call(exists, "/a", false)
		c.call(del, "/a/b", -1)
		c.call(del, "/gone/b", -1)
	},
	"special nodes are not deleted": func(s *script) {
		c := s.connect()
		for _, path := range []string{"=/", "=/zookeeper", "=/zookeeper/quota", "=/zookeeper/config", "=", "=x", "=/zookeeper/nothing"} {
			c.call(del, path, -1)
		}
	},
	"a new server's own nodes": func(s *script) {
		c := s.connect()
		for _, path := range []string{"=/zookeeper", "=/zookeeper/quota", "=/zookeeper/config"} {
			c.call(getData, path, false)
			c.call(getACL, path)
			c.call(getChildren, path, false)
		}
	},
	"the empty path of a read is the root": func(s *script) {
		c := s.connect()
		c.send(getACL, "=")
		b, err := c.readFrame()
		s.log("%d bytes %v", len(b), err)
		c.call(setData, "=", null, -1)
	},
	"setData checks the version and counts it": func(s *script) {
		c := s.connect()
		c.call(setData, "/a", null, -1)
		c.call(create, "/a", null, open, 0)
		c.call(setData, "/a", []byte("1"), 0)
		c.call(setData, "/a", []byte("2"), 0)
		c.call(setData, "/a", []byte("3"), -1)
		c.call(setData, "/a", []byte("4"), -2)
		c.call(setData, "/a", []byte("5"), 2)
		c.call(getData, "/a", false)
	},
	"the child version counts creations and deletions": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(create, "/a/1", null, open, 0)
		c.call(create, "/a/2", null, open, 1)
		c.call(exists, "/a", false)
		c.call(del, "/a/1", -1)
		c.call(exists, "/a", false)
		c.call(create, "/a/1", null, open, 0)
		c.call(exists, "/a", false)
		c.call(exists, "/", false)
	},
	"pzxid follows the children and nothing else": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(create, "/a/b", null, open, 0)
		c.call(create, "/a/b/c", null, open, 0)
		c.call(setData, "/a/b", []byte("x"), -1)
		c.call(setData, "/a", []byte("x"), -1)
		c.call(exists, "/a", false)
		c.call(del, "/a/b/c", -1)
		c.call(exists, "/a", false)
		c.call(exists, "/a/b", false)
		c.call(del, "/a/b", -1)
		c.call(exists, "/a", false)
	},
	"setACL counts its own version and changes no zxid": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(setACL, "/a", open, 0)
		c.call(setACL, "/a", open, 0)
		c.call(setACL, "/a", []acl{{1, "world", "anyone"}, {16, "world", "anyone"}}, 1)
		c.call(exists, "/a", false)
		c.call(getACL, "/a")
		c.call(setACL, "/gone", open, -1)
	},
	"sync answers with the path, node or not": func(s *script) {
		c := s.connect()
		c.call(sync, "/")
		c.call(sync, "/gone")
		c.call(sync, "=relative")
	},
	"check on its own": func(s *script) {
		c := s.connect()
		c.call(check, "/gone", 0)
		c.call(check, "/", 7)
	},
	"children are listed and counted": func(s *script) {
		c := s.connect()
		for _, path := range []string{"/a", "/a/1", "/a/2", "/a/2/x", "/b"} {
			c.call(create, path, null, open, 0)
		}
		c.call(getChildren, "/", false)
		c.call(getChildren2, "/a", false)
		c.call(getChildren, "/gone", false)
		c.call(getChildren2, "/gone", false)
		c.call(countChildren, "/")
		c.call(countChildren, "/b")
		c.call(countChildren, "/gone")
	},
	"a session's ephemeral nodes are listed by prefix": func(s *script) {
		c, other := s.connect(), s.connect()
		c.call(create, "/e1", null, open, 1)
		c.call(create, "/x", null, open, 1)
		other.call(create, "/e2", null, open, 1)
		c.call(getEphemerals, "/")
		c.call(getEphemerals, "/e")
		c.call(getEphemerals, "/none")
		other.call(getEphemerals, "=")
	},
	"reconfiguration is switched off": func(s *script) {
		c := s.connect()
		c.call(reconfig, raw(encode("", "", "", int64(-1))))
		c.quiet()
	},
	"large data comes back whole": func(s *script) {
		c := s.connect()
		c.call(create, "/a", []byte(strings.Repeat("x", 1000000)), open, 0)
		c.call(getData, "/a", false)
	},
	"two sessions see each other's changes in order": func(s *script) {
		a, b := s.connect(), s.connect()
		a.call(create, "/a", []byte("1"), open, 0)
		b.call(setData, "/a", []byte("2"), 0)
		a.call(getData, "/a", false)
		a.call(del, "/a", 0)
		a.call(del, "/a", 1)
		b.call(exists, "/a", false)
	},
	"pipelined requests are answered in their order": func(s *script) {
		c := s.connect()
		c.send(create, "/a", []byte("1"), open, 0)
		c.send(getData, "/a", false)
		c.send(setData, "/a", []byte("2"), -1)
		c.send(getData, "/a", false)
		c.send(del, "/a", -1)
		c.send(exists, "/a", false)
		for _, op := range []int{create, getData, setData, getData, del, exists} {
			c.await(op)
		}
	},
}
