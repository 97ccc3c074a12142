package zkserver_test

import (
	"fmt"
	"maps"
	"slices"
)

// The cases below are made of lists: every way to watch against every change, every operation against every kind of node,
// every operation code against bodies that it cannot have.

// watching are the ways to watch a node.
var watching = map[string]func(w *session, path string){
	"getData":      func(w *session, path string) { w.call(getData, path, true) },
	"exists":       func(w *session, path string) { w.call(exists, path, true) },
	"getChildren":  func(w *session, path string) { w.call(getChildren, path, true) },
	"getChildren2": func(w *session, path string) { w.call(getChildren2, path, true) },
	"persistent":   func(w *session, path string) { w.call(addWatch, path, 0) },
	"recursive":    func(w *session, path string) { w.call(addWatch, path, 1) },
}

// changes happen to a node /n with the children /n/k and /n/e.
var changes = map[string]func(c *session){
	"its data is set":         func(c *session) { c.call(setData, "/n", []byte("1"), 0) },
	"its ACL is set":          func(c *session) { c.call(setACL, "/n", open, 0) },
	"a child is created":      func(c *session) { c.call(create, "/n/new", null, open, 0) },
	"an ephemeral child goes": func(c *session) { c.call(del, "/n/e", -1) },
	"a child's data is set":   func(c *session) { c.call(setData, "/n/k", []byte("1"), 0) },
	"a grandchild is created": func(c *session) { c.call(create2, "/n/k/g", []byte("g"), open, 2) },
	"it is deleted with all": func(c *session) {
		c.call(multi, []part{{del, []any{"/n/k", 0}}, {del, []any{"/n/e", 0}}, {del, []any{"/n", 0}}})
	},
	"it is replaced in one multi": func(c *session) {
		c.call(multi, []part{{del, []any{"/n/k", 0}}, {del, []any{"/n/e", 0}}, {del, []any{"/n", 0}}, {create, []any{"/n", []byte("again"), open, 0}}, {create, []any{"/n/k", null, open, 0}}})
	},
	"much happens in one multi": func(c *session) {
		c.call(multi, []part{{setData, []any{"/n", []byte("1"), 0}}, {create, []any{"/n/a", null, open, 0}}, {del, []any{"/n/k", 0}}, {setData, []any{"/n/a", []byte("2"), 0}}, {create, []any{"/n/a/b", null, open, 0}}})
	},
	"a multi is refused": func(c *session) {
		c.call(multi, []part{{setData, []any{"/n", []byte("1"), 0}}, {del, []any{"/n/k", 0}}, {check, []any{"/n", 0}}})
	},
}

// kinds are the nodes that operations are tried on, by their path.
var kinds = map[string]string{
	"a missing node":         "/gone",
	"a node below a missing": "/gone/x",
	"an ephemeral node":      "/e",
	"a locked node":          "/locked",
	"a container":            "/box",
	"the configuration node": "=/zookeeper/config",
}

// operations are tried on each of them, with a version that is right for a new node and one that is not.
var operations = map[string]func(c *session, path string){
	"exists":        func(c *session, path string) { c.call(exists, path, false) },
	"getData":       func(c *session, path string) { c.call(getData, path, false) },
	"getChildren":   func(c *session, path string) { c.call(getChildren, path, false) },
	"getChildren2":  func(c *session, path string) { c.call(getChildren2, path, false) },
	"getACL":        func(c *session, path string) { c.call(getACL, path) },
	"countChildren": func(c *session, path string) { c.call(countChildren, path) },
	"setData": func(c *session, path string) {
		c.call(setData, path, []byte("x"), 7)
		c.call(setData, path, []byte("x"), 0)
	},
	"setACL": func(c *session, path string) {
		c.call(setACL, path, open, 7)
		c.call(setACL, path, []acl{{1, "world", "anyone"}}, 0)
	},
	"delete": func(c *session, path string) {
		c.call(del, path, 7)
		c.call(del, path, 0)
	},
	"create": func(c *session, path string) {
		c.call(create, path, []byte("x"), open, 0)
		c.call(create, path+"/child", []byte("x"), open, 0)
		c.call(create2, path+"/s-", []byte("x"), open, 2)
	},
	"check in a multi": func(c *session, path string) {
		c.call(multi, []part{{check, []any{path, 7}}})
		c.call(multi, []part{{check, []any{path, 0}}})
		c.call(multi, []part{{check, []any{path, -1}}})
	},
	"multiRead": func(c *session, path string) {
		c.call(multiRead, []part{{getData, []any{path, false}}, {getChildren, []any{path, false}}})
	},
	"a watch": func(c *session, path string) {
		c.call(getData, path, true)
		c.call(getChildren, path, true)
		c.call(checkWatches, path, 1)
		c.call(checkWatches, path, 2)
		c.call(removeWatches, path, 3)
	},
}

// matrixCases are all these cases by their names.
func matrixCases() map[string]func(*script) {
	all := map[string]func(*script){}
	for how, watch := range watching {
		for what, change := range changes {
			all[fmt.Sprintf("watched by %s: %s", how, what)] = func(s *script) {
				c, w := s.connect(), s.connect()
				c.call(create, "/n", []byte("0"), open, 0)
				c.call(create, "/n/k", null, open, 0)
				c.call(create, "/n/e", null, open, 1)
				watch(w, "/n")
				change(c)
				w.quiet()
				c.call(setData, "/n", []byte("2"), -1)
				c.call(create, "/n/last", null, open, 0)
				w.quiet()
				for _, path := range []string{"/", "/n", "/n/k", "/n/last"} {
					w.call(exists, path, false)
				}
			}
		}
	}
	for _, how := range []string{"exists", "persistent", "recursive"} {
		all[fmt.Sprintf("watched by %s before it is there", how)] = func(s *script) {
			c, w := s.connect(), s.connect()
			watching[how](w, "/n")
			c.call(create, "/n", null, open, 0)
			c.call(setData, "/n", []byte("1"), -1)
			c.call(create, "/n/k", null, open, 0)
			c.call(del, "/n/k", -1)
			c.call(del, "/n", -1)
			w.quiet()
			watching[how](w, "/n")
			c.call(multi, []part{{create, []any{"/n", null, open, 1}}, {del, []any{"/n", 0}}, {create, []any{"/n", null, open, 1}}})
			c.call(closeSession)
			w.quiet()
		}
	}
	for kind, path := range kinds {
		for name, try := range operations {
			all[fmt.Sprintf("%s of %s", name, kind)] = func(s *script) {
				c := s.connect()
				c.call(create, "/e", []byte("e"), open, 1)
				c.call(create, "/locked", []byte("l"), []acl{{0, "world", "anyone"}}, 0)
				c.call(createContainer, "/box", []byte("b"), open, 4)
				try(c, path)
				if path[0] == '/' {
					c.call(exists, path, false)
				}
				c.call(exists, "/", false)
			}
		}
	}
	for _, op := range slices.Concat(slices.Collect(maps.Keys(opNames)), []int{0, 10, 16, 20, 23, 99, 102, 108, -2, -9, -12, 1 << 30, -1 << 31}) {
		name := opNames[op]
		if name == "" {
			name = fmt.Sprintf("operation %d", op)
		}
		all[name+" with bodies that it cannot have"] = func(s *script) {
			for _, body := range []raw{nil, {0}, encode(int32(-1)), encode(int32(-2)), encode(int32(1 << 30)), encode("/a", int32(-5)), []byte("\xff\xff\xff\xff\xff\xff\xff\xff")} {
				c := s.connect()
				c.number = 0
				s.log("%x", []byte(body))
				c.send(op, body)
				c.await(op)
				if opNames[op] == "" && op != 20 {
					s.log("then %s", c.atEnd())
					continue
				}
				c.send(exists, "/", false)
				c.await(ping)
			}
		}
	}
	return all
}
