package zkserver_test

var multiCases = map[string]func(*script){
	"a multi does all of it with one zxid": func(s *script) {
		c := s.connect()
		c.call(create, "/old", []byte("x"), open, 0)
		c.call(multi, []part{
			{check, []any{"/old", 0}},
			{create, []any{"/a", []byte("1"), open, 0}},
			{create, []any{"/a/s-", null, open, 2}},
			{create, []any{"/a/s-", null, open, 3}},
			{create2, []any{"/b", []byte("22"), open, 0}},
			{createContainer, []any{"/box", null, open, 4}},
			{setData, []any{"/a", []byte("333"), 0}},
			{del, []any{"/old", -1}},
		})
		for _, path := range []string{"/a", "/a/s-0000000000", "/a/s-0000000001", "/b", "/box", "/old", "/"} {
			c.call(exists, path, false)
		}
	},
	"a refused multi has a result for each operation": func(s *script) {
		c := s.connect()
		c.call(multi, []part{
			{create, []any{"/a", null, open, 0}},
			{create, []any{"/b", null, open, 0}},
			{create, []any{"/a", null, open, 0}},
			{del, []any{"/b", -1}},
			{check, []any{"/gone", 0}},
		})
		c.call(multi, []part{{check, []any{"/", 9}}})
		c.call(multi, []part{{del, []any{"/gone", -1}}, {create, []any{"/x", null, open, 0}}})
		c.call(multi, []part{{create, []any{"/x", null, open, 0}}, {setData, []any{"/x", null, 3}}})
		c.call(multi, []part{{create, []any{"/x", null, open, 0}}, {create, []any{"=bad", null, open, 0}}})
		c.call(multi, []part{{create, []any{"/x", null, open, 0}}, {create, []any{"/y", null, []acl{}, 0}}})
		c.call(multi, []part{{create, []any{"/x", null, open, 0}}, {createTTL, []any{"/y", null, open, 5, int64(5)}}})
		c.call(multi, []part{{create, []any{"/x", null, open, 1}}, {create, []any{"/x/y", null, open, 0}}})
		c.call(getChildren2, "/", false)
	},
	"a refused multi takes no sequence number and no child version": func(s *script) {
		c := s.connect()
		c.call(create, "/s-", null, open, 2)
		c.call(multi, []part{{create, []any{"/s-", null, open, 2}}, {check, []any{"/gone", -1}}})
		c.call(create, "/s-", null, open, 2)
		c.call(exists, "/", false)
	},
	"a multi sees its own changes": func(s *script) {
		c := s.connect()
		c.call(multi, []part{
			{create, []any{"/a", null, open, 0}},
			{create, []any{"/a/b", null, open, 0}},
			{setData, []any{"/a/b", []byte("x"), 0}},
			{check, []any{"/a/b", 1}},
			{del, []any{"/a/b", 1}},
			{del, []any{"/a", 0}},
			{create, []any{"/a", []byte("again"), open, 1}},
		})
		c.call(getData, "/a", false)
		c.call(exists, "/", false)
		c.call(multi, []part{{create, []any{"/p", null, open, 0}}, {create, []any{"/p/c", null, open, 0}}, {del, []any{"/p", -1}}})
		c.call(exists, "/p", false)
	},
	"in a multi the flags say what is created": func(s *script) {
		c := s.connect()
		c.call(multi, []part{
			{create, []any{"/a", null, open, 4}},
			{createContainer, []any{"/b", null, open, 0}},
			{create2, []any{"/c", null, open, 1}},
			{createContainer, []any{"/d-", null, open, 2}},
		})
		c.call(getChildren2, "/", false)
		c.call(multi, []part{{createContainer, []any{"/e", null, open, 9}}})
		c.call(multi, []part{{createTTL, []any{"/e", null, open, 0, int64(-1)}}})
	},
	"an empty multi succeeds": func(s *script) {
		c := s.connect()
		c.call(multi, []part{})
		c.quiet()
	},
	"a multi of checks changes nothing": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(multi, []part{{check, []any{"/a", 0}}, {check, []any{"/", -1}}})
		c.call(exists, "/a", false)
	},
	"a multi with something else in it is refused": func(s *script) {
		c := s.connect()
		for _, op := range []int{sync, ping, multi, setACL, closeSession, 999, auth} {
			c.call(multi, []part{{op, []any{"/a", false}}})
		}
		c.call(multi, []part{{create, []any{"/a", null, open, 0}}}[:0], raw(encode(int32(create), false, int32(-1))))
		c.quiet()
	},
	"a refused multi leaves what was there": func(s *script) {
		c := s.connect()
		c.call(create, "/a", []byte("old"), open, 0)
		c.call(create, "/a/b", null, open, 0)
		c.call(multi, []part{{setData, []any{"/a", []byte("new"), -1}}, {del, []any{"/a/b", -1}}, {check, []any{"/a", 7}}})
		c.call(getData, "/a", false)
		c.call(exists, "/a/b", false)
	},
	"the events of a multi come in the order of its operations": func(s *script) {
		c, w := s.connect(), s.connect()
		c.call(create, "/a", null, open, 0)
		w.call(exists, "/b", true)
		w.call(getData, "/a", true)
		w.call(getChildren, "/", true)
		w.call(exists, "/c", true)
		c.call(multi, []part{
			{create, []any{"/c", null, open, 0}},
			{setData, []any{"/a", []byte("x"), -1}},
			{create, []any{"/b", null, open, 0}},
			{del, []any{"/a", -1}},
		})
		w.events(4)
		w.quiet()
	},
	"a refused multi fires nothing": func(s *script) {
		c := s.connect()
		c.call(exists, "/a", true)
		c.call(getChildren, "/", true)
		c.call(multi, []part{{create, []any{"/a", null, open, 0}}, {check, []any{"/gone", 0}}})
		c.quiet()
	},
	"multiRead answers each part": func(s *script) {
		c := s.connect()
		c.call(create, "/a", []byte("x"), open, 0)
		c.call(multiRead, []part{{getData, []any{"/a", false}}, {getChildren, []any{"/", false}}, {getData, []any{"/gone", false}}, {getChildren, []any{"/a", false}}})
		c.call(multiRead, []part{})
		c.quiet()
	},
}
