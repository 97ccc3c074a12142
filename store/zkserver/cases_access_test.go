package zkserver_test

import "github.com/helios-go/helios/store/storetest"

// The digests of alice:secret and bob:secret.
const (
	alice = "alice:aYXlLOpEooaV1cRAvUL1fp9Qt7E="
	bob   = "bob:fyVmFCwVbTJYrznoSu1koqYEYF0="
)

func login(c *session, credential string) { c.call(auth, 0, "digest", []byte(credential)) }

var accessCases = map[string]func(*script){
	"the open list is answered as it was given": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		c.call(getACL, "/a")
		c.call(create, "/r", null, []acl{{1, "world", "anyone"}}, 0)
		c.call(getACL, "/r")
		c.call(getACL, "/gone")
	},
	"the permissions of a node bind each operation": func(s *script) {
		c := s.connect()
		login(c, "alice:secret")
		c.call(create, "/mine", []byte("x"), []acl{{31, "auth", ""}}, 0)
		c.call(create, "/mine/child", null, open, 0)
		c.call(getACL, "/mine")
		o := s.connect()
		o.call(exists, "/mine", false)
		o.call(getData, "/mine", false)
		o.call(getChildren, "/mine", false)
		o.call(getChildren2, "/mine", false)
		o.call(setData, "/mine", null, -1)
		o.call(create, "/mine/x", null, open, 0)
		o.call(del, "/mine/child", -1)
		o.call(del, "/mine/gone", -1)
		o.call(del, "/mine", -1)
		o.call(setACL, "/mine", open, -1)
		o.call(getACL, "/mine")
		o.call(countChildren, "/mine")
		o.call(multi, []part{{check, []any{"/mine", -1}}})
		o.call(multi, []part{{create, []any{"/mine/x", null, open, 0}}})
		login(o, "alice:secret")
		o.call(getData, "/mine", false)
		o.call(del, "/mine/child", -1)
	},
	"deleting needs the right on the parent alone": func(s *script) {
		c := s.connect()
		c.call(create, "/p", null, []acl{{15, "world", "anyone"}}, 0)
		c.call(create, "/p/locked", null, []acl{{1, "world", "anyone"}}, 0)
		c.call(del, "/p/locked", -1)
		c.call(create, "/q", null, []acl{{5, "world", "anyone"}}, 0)
		c.call(create, "/q/open", null, open, 0)
		c.call(del, "/q/open", -1)
	},
	"lists that cannot be are refused": func(s *script) {
		c := s.connect()
		for _, list := range [][]acl{
			{},
			{{31, "world", "somebody"}},
			{{31, "world", ""}},
			{{31, "nothing", "x"}},
			{{31, "", ""}},
			{{31, "digest", "nocolon"}},
			{{31, "digest", "a:b:c"}},
			{{31, "digest", ":"}},
			{{31, "digest", "a:"}},
			{{31, "digest", ":b"}},
			{{31, "ip", "not an address"}},
			{{31, "ip", "10.0.0.1/33"}},
			{{31, "ip", "10.0.0.1/-1"}},
			{{31, "ip", "10.0.0.256"}},
			{{31, "auth", ""}},
			{{31, "super", ""}},
			{{31, "world", "anyone"}, {1, "nothing", ""}},
		} {
			c.call(create, "/a", null, list, 0)
		}
		c.call(create, "/a", null, raw(encode(int32(-1))), 0)
		c.call(create, "/a", null, open, 0)
		c.call(setACL, "/a", []acl{}, -1)
		c.call(setACL, "/a", []acl{{31, "nothing", "x"}}, -1)
		c.call(setACL, "/gone", []acl{}, -1)
	},
	"lists that can be": func(s *script) {
		c := s.connect()
		for i, list := range [][]acl{
			{{0, "world", "anyone"}},
			{{31, "digest", "a:b"}},
			{{31, "ip", "10.0.0.1"}},
			{{31, "ip", "10.0.0.0/8"}, {31, "ip", "127.0.0.1"}},
			{{64, "world", "anyone"}, {31, "world", "anyone"}},
			{{31, "world", "anyone"}, {31, "world", "anyone"}},
		} {
			path := "/" + string(rune('a'+i))
			c.call(create, path, null, list, 0)
			c.call(getACL, path)
		}
	},
	"the scheme auth stands for what was proved": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, []acl{{31, "auth", ""}}, 0)
		login(c, "alice:secret")
		c.call(create, "/a", null, []acl{{31, "auth", "whatever"}}, 0)
		c.call(getACL, "/a")
		c.call(setACL, "/a", []acl{{31, "auth", ""}, {1, "world", "anyone"}}, -1)
		c.call(getACL, "/a")
	},
	"two identities count both": func(s *script) {
		c := s.connect()
		c.call(create, "/alice", []byte("a"), []acl{{31, "digest", alice}}, 0)
		c.call(create, "/bob", []byte("b"), []acl{{1, "digest", bob}}, 0)
		login(c, "alice:secret")
		c.call(getData, "/alice", false)
		c.call(getData, "/bob", false)
		login(c, "bob:secret")
		c.call(getData, "/alice", false)
		c.call(getData, "/bob", false)
		c.call(setData, "/bob", null, -1)
	},
	"without the admin right digests are hidden": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, []acl{{1, "world", "anyone"}, {31, "digest", alice}, {3, "digest", bob}, {1, "ip", "10.0.0.1"}}, 0)
		c.call(getACL, "/a")
		login(c, "bob:secret")
		c.call(getACL, "/a")
		login(c, "alice:secret")
		c.call(getACL, "/a")
		c.call(create, "/w", null, []acl{{2, "world", "anyone"}}, 0)
		c.call(getACL, "/w")
		c.call(create, "/adm", null, []acl{{16, "world", "anyone"}, {1, "digest", bob}}, 0)
		c.call(getACL, "/adm")
	},
	"super may do everything": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, []acl{{1, "digest", alice}}, 0)
		c.call(setACL, "/a", open, -1)
		login(c, storetest.SuperCredential)
		c.call(getData, "/a", false)
		c.call(getACL, "/a")
		c.call(setACL, "/a", open, -1)
		c.call(setData, "/a", []byte("x"), -1)
	},
	"the scheme ip matches addresses and networks": func(s *script) {
		c := s.connect()
		for _, id := range []string{"127.0.0.1", "127.0.0.0/8", "127.0.0.1/32", "0.0.0.0/0", "10.0.0.1", "10.0.0.0/8"} {
			path := "/n" + string(rune('a'+len(s.lines)))
			c.call(create, path, null, []acl{{31, "ip", id}}, 0)
			c.call(getData, path, false)
		}
	},
	"an unknown scheme ends the connection": func(s *script) {
		for _, scheme := range []string{"nothing", "world", "auth", "super", "", "sasl"} {
			c := s.connect()
			c.number = 0
			c.call(auth, 0, scheme, []byte("x:y"))
			s.log("then %s", c.atEnd())
		}
	},
	"a proof is answered with zxid 0": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0)
		login(c, "alice:secret")
		login(c, "nocolon")
		c.call(auth, 0, "digest", []byte{})
		c.call(auth, 0, "ip", []byte("anything"))
		c.quiet()
	},
	"a proof ends with the connection": func(s *script) {
		c := s.connect()
		login(c, "alice:secret")
		c.call(create, "/a", null, []acl{{31, "auth", ""}}, 0)
		again := s.connectAs(c.id, c.zxid, 10000, c.password)
		again.call(getData, "/a", false)
		login(again, "alice:secret")
		again.call(getData, "/a", false)
	},
	"whoAmI lists what was proved": func(s *script) {
		c := s.connect()
		c.call(whoAmI)
		login(c, "alice:secret")
		login(c, "alice:secret")
		login(c, "bob:secret")
		c.call(whoAmI)
	},
	"a multi is bound by permissions": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, []acl{{1, "world", "anyone"}}, 0)
		c.call(multi, []part{{check, []any{"/a", 0}}, {setData, []any{"/a", null, -1}}, {check, []any{"/a", 0}}})
		c.call(multi, []part{{create, []any{"/b", null, []acl{{30, "world", "anyone"}}, 0}}, {check, []any{"/b", 0}}})
		c.call(exists, "/b", false)
	},
}
