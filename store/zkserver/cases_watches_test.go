package zkserver_test

var watchCases = map[string]func(*script){
	"a data watch fires once": func(s *script) {
		c, w := s.connect(), s.connect()
		c.call(create, "/a", null, open, 0)
		w.call(getData, "/a", true)
		c.call(setData, "/a", []byte("1"), -1)
		c.call(setData, "/a", []byte("2"), -1)
		w.events(1)
		w.quiet()
	},
	"a data watch fires when the data stays the same": func(s *script) {
		c := s.connect()
		c.call(create, "/a", []byte("x"), open, 0)
		c.call(getData, "/a", true)
		c.call(setData, "/a", []byte("x"), -1)
		c.quiet()
	},
	"a data watch does not see children": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(getData, "/a", true)
		c.call(create, "/a/b", null, open, 0)
		c.call(setACL, "/a", open, -1)
		c.quiet()
		c.call(del, "/a/b", -1)
		c.call(del, "/a", -1)
		c.quiet()
	},
	"exists on a missing node waits for its creation": func(s *script) {
		c := s.connect()
		c.call(exists, "/a", true)
		c.call(create, "/a", null, open, 0)
		c.call(exists, "/a", true)
		c.call(setData, "/a", []byte("x"), -1)
		c.call(exists, "/a", true)
		c.call(del, "/a", -1)
		c.quiet()
	},
	"a child watch fires on creation, deletion and the node's own end": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(getChildren, "/a", true)
		c.call(create, "/a/b", null, open, 0)
		c.call(getChildren2, "/a", true)
		c.call(setData, "/a/b", []byte("x"), -1)
		c.call(create, "/a/b/c", null, open, 0)
		c.call(del, "/a/b/c", -1)
		c.quiet()
		c.call(del, "/a/b", -1)
		c.call(getChildren, "/a", true)
		c.call(del, "/a", -1)
		c.quiet()
	},
	"a deletion is one event for a connection": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(getData, "/a", true)
		c.call(exists, "/a", true)
		c.call(getChildren, "/a", true)
		c.call(getChildren2, "/a", true)
		c.call(del, "/a", -1)
		c.quiet()
		c.call(create, "/a", null, open, 0)
		c.call(create, "/a/b", null, open, 0)
		c.quiet()
	},
	"a deletion fires the node's watches before the parent's": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(getChildren, "/", true)
		c.call(getData, "/a", true)
		c.call(del, "/a", -1)
	},
	"a creation fires the node's watches before the parent's": func(s *script) {
		c := s.connect()
		c.call(getChildren, "/", true)
		c.call(exists, "/a", true)
		c.call(create, "/a", null, open, 1)
	},
	"a refused read leaves no watch": func(s *script) {
		c := s.connect()
		c.call(getData, "/a", true)
		c.call(getChildren, "/a", true)
		c.call(create, "/a", null, open, 0)
		c.call(create, "/secret", null, []acl{{30, "world", "anyone"}}, 0)
		c.call(getData, "/secret", true)
		c.call(getChildren, "/secret", true)
		c.call(setData, "/secret", []byte("x"), -1)
		c.call(create, "/secret/x", null, open, 0)
		c.quiet()
	},
	"a read without a watch keeps the one that is there": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(getData, "/a", true)
		c.call(getData, "/a", false)
		c.call(setData, "/a", null, -1)
		c.quiet()
	},
	"every watcher gets the event before it can see the change": func(s *script) {
		c, w1, w2 := s.connect(), s.connect(), s.connect()
		c.call(create, "/a", []byte("1"), open, 0)
		w1.call(getData, "/a", true)
		w2.call(exists, "/a", true)
		c.call(setData, "/a", []byte("2"), -1)
		w1.call(getData, "/a", false)
		w2.call(getData, "/a", false)
	},
	"watches end with the connection": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(getData, "/a", true)
		again := s.connectAs(c.id, c.zxid, 10000, c.password)
		again.call(setData, "/a", null, -1)
		again.quiet()
	},
	"watches set again are silent where nothing changed": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(create, "/a/b", null, open, 0)
		w := s.connect()
		w.call(exists, "/a", false)
		w.call(setWatches, w.zxid, []string{"/a"}, []string{"/missing"}, []string{"/a"})
		w.quiet()
		c.call(setData, "/a", []byte("x"), -1)
		c.call(create, "/missing", null, open, 0)
		c.call(del, "/a/b", -1)
		w.events(3)
		w.quiet()
	},
	"watches set again report what was missed": func(s *script) {
		c := s.connect()
		for _, path := range []string{"/set", "/same", "/gone", "/grown", "/shrunk", "/shrunk/x"} {
			c.call(create, path, null, open, 0)
		}
		since := c.zxid
		c.call(setData, "/set", []byte("x"), -1)
		c.call(del, "/gone", -1)
		c.call(create, "/grown/x", null, open, 0)
		c.call(del, "/shrunk/x", -1)
		c.call(create, "/made", null, open, 0)
		w := s.connect()
		w.call(setWatches, since, []string{"/set", "/gone", "/same", "/grown"}, []string{"/made", "/never"}, []string{"/grown", "/shrunk", "/gone", "/same"})
		w.quiet()
		c.call(setData, "/set", []byte("x"), -1)
		c.call(setData, "/grown", []byte("x"), -1)
		c.call(create, "/shrunk/y", null, open, 0)
		c.call(create, "/never", null, open, 0)
		w.events(2)
		w.quiet()
	},
	"watches set again in several packets": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(create, "/b", null, open, 0)
		c.send(setWatches, c.zxid, []string{"/a"}, []string{}, []string{})
		c.send(setWatches, c.zxid, []string{"/b"}, []string{}, []string{})
		c.await(setWatches)
		c.await(setWatches)
		c.call(setData, "/b", null, -1)
		c.call(setData, "/a", null, -1)
	},
	"setWatches2 sets persistent watches too": func(s *script) {
		c := s.connect()
		c.call(create, "/p", null, open, 0)
		c.call(create, "/r", null, open, 0)
		c.call(setWatches2, c.zxid, []string{}, []string{}, []string{}, []string{"/p"}, []string{"/r"})
		c.call(setData, "/p", null, -1)
		c.call(setData, "/p", null, -1)
		c.call(create, "/r/x", null, open, 0)
		c.call(setData, "/r/x", null, -1)
	},
	"a persistent watch stays": func(s *script) {
		c := s.connect()
		c.call(addWatch, "/a", 0)
		c.call(create, "/a", null, open, 0)
		c.call(setData, "/a", null, -1)
		c.call(setData, "/a", null, -1)
		c.call(create, "/a/b", null, open, 0)
		c.call(setData, "/a/b", null, -1)
		c.call(del, "/a/b", -1)
		c.call(del, "/a", -1)
		c.call(create, "/a", null, open, 0)
		c.call(addWatch, "/a", 2)
		c.call(addWatch, "/a", -1)
	},
	"a recursive watch sees all below it": func(s *script) {
		c := s.connect()
		c.call(addWatch, "/a", 1)
		c.call(create, "/a", null, open, 0)
		c.call(create, "/a/b", null, open, 0)
		c.call(create, "/a/b/c", null, open, 0)
		c.call(setData, "/a/b/c", null, -1)
		c.call(create, "/ab", null, open, 0)
		c.call(del, "/a/b/c", -1)
		c.call(del, "/a/b", -1)
		c.call(del, "/a", -1)
	},
	"watches are looked up and removed": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(checkWatches, "/a", 3)
		c.call(removeWatches, "/a", 3)
		c.call(getData, "/a", true)
		c.call(checkWatches, "/a", 2)
		c.call(checkWatches, "/a", 1)
		c.call(checkWatches, "/a", 3)
		c.call(removeWatches, "/a", 1)
		c.call(removeWatches, "/a", 2)
		c.call(removeWatches, "/a", 2)
		c.call(setData, "/a", null, -1)
		c.call(getChildren, "/a", true)
		c.call(removeWatches, "/a", 3)
		c.call(create, "/a/b", null, open, 0)
		c.quiet()
	},
	"the half of a persistent watch that hears of data is removed":          halves(0, 2),
	"the half of a persistent watch that hears of children is removed":      halves(0, 1),
	"the half of a recursive watch that hears of data is removed":           halves(1, 2),
	"the half of a recursive watch that hears only of deletions is removed": halves(1, 1),
	"a watch that has lost a half is whole when it is added again": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		for mode := range 2 {
			for which := 1; which <= 2; which++ {
				c.call(addWatch, "/a", mode)
				c.call(removeWatches, "/a", which)
				c.call(addWatch, "/a", mode)
				c.call(setData, "/a", null, -1)
				c.call(create, "/a/x", null, open, 0)
				c.call(del, "/a/x", -1)
			}
		}
	},
	"a recursive watch with one half takes the place of a persistent one": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(addWatch, "/a", 0)
		c.call(removeWatches, "/a", 1)
		c.call(addWatch, "/a", 1)
		c.call(removeWatches, "/a", 2)
		c.call(setData, "/a", null, -1)
		c.call(create, "/a/x", null, open, 0)
		c.call(del, "/a/x", -1)
		c.call(removeWatches, "/a", 1)
		c.call(removeWatches, "/a", 3)
	},
	"watches of an unknown type are neither looked up nor removed": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(addWatch, "/a", 0)
		for _, which := range []int{0, 6, -1} {
			c.call(checkWatches, "/a", which)
			c.call(removeWatches, "/a", which)
		}
		c.call(removeWatches, "/a", 3)
	},
	"a session's end fires the watches of others": func(s *script) {
		c, w := s.connect(), s.connect()
		c.call(create, "/dir", null, open, 0)
		c.call(create, "/dir/e", null, open, 1)
		w.call(getChildren2, "/dir", true)
		w.call(getData, "/dir/e", true)
		c.call(closeSession)
		w.events(2)
		w.call(getChildren2, "/dir", false)
	},
}

// halves arms a watch, takes one of its halves away and shows what the other hears of.
func halves(mode, which int) func(*script) {
	return func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(addWatch, "/a", mode)
		c.call(checkWatches, "/a", which)
		c.call(removeWatches, "/a", which)
		c.call(checkWatches, "/a", which)
		c.call(removeWatches, "/a", which)
		c.call(checkWatches, "/a", 3-which)
		c.call(checkWatches, "/a", 3)
		c.call(setData, "/a", null, -1)
		c.call(create, "/a/x", null, open, 0)
		c.call(setData, "/a/x", null, -1)
		c.call(del, "/a/x", -1)
		c.call(del, "/a", -1)
		c.call(create, "/a", null, open, 0)
		c.call(removeWatches, "/a", 3)
		c.call(removeWatches, "/a", 3-which)
		c.call(setData, "/a", null, -1)
		c.quiet()
	}
}
