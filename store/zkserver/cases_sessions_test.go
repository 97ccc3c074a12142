package zkserver_test

import (
	"errors"
	"time"

	"github.com/helios-go/helios/store/storetest"
)

var sessionCases = map[string]func(*script){
	"closing a session removes its ephemeral nodes": func(s *script) {
		c, w := s.connect(), s.connect()
		c.call(create, "/plain", null, open, 0)
		c.call(create, "/e", null, open, 1)
		w.call(exists, "/e", true)
		w.call(getChildren, "/", true)
		c.call(closeSession)
		s.log("then %s", c.atEnd())
		w.events(2)
		w.call(getChildren2, "/", false)
	},
	"closing a session fires its own watches first": func(s *script) {
		c := s.connect()
		c.call(create, "/e", null, open, 1)
		c.call(exists, "/e", true)
		c.call(closeSession)
	},
	"a closed session cannot be resumed": func(s *script) {
		c := s.connect()
		c.call(closeSession)
		s.connectAs(c.id, 0, 10000, c.password)
	},
	"a session goes on on another connection": func(s *script) {
		c := s.connect()
		c.call(create, "/e", null, open, 1)
		again := s.connectAs(c.id, c.zxid, 10000, c.password)
		s.log("the old connection is %s", c.atEnd())
		again.call(exists, "/e", false)
		again.call(create, "/e2", null, open, 1)
		s.log("same password: %v", string(again.password) == string(c.password))
		third := s.connectAs(c.id, 0, 20000, c.password)
		s.log("time-out %d, the old connection is %s", third.timeout, again.atEnd())
	},
	"a wrong password is refused and closes the connection": func(s *script) {
		c := s.connect()
		c.call(create, "/e", null, open, 1)
		s.connectAs(c.id, 0, 10000, []byte("0123456789abcdef"))
		s.log("the rightful connection is %s", c.atEnd())
		s.connectAs(c.id, 0, 10000, []byte("short"))
		s.connectAs(c.id, 0, 10000, null)
		again := s.connectAs(c.id, 0, 10000, c.password)
		again.call(exists, "/e", false)
	},
	"an unknown session is refused": func(s *script) {
		s.connectAs(0x123456789, 0, 10000, make([]byte, 16))
		s.connectAs(0x123456789, 0, 10000, make([]byte, 16), 0)
		s.connectAs(-1, 0, 10000, make([]byte, 16), 1)
	},
	"a client that has seen more than the server is closed": func(s *script) {
		s.connectAs(0, 1<<40, 10000, make([]byte, 16))
		c := s.connect()
		s.connectAs(c.id, 1<<40, 10000, c.password)
		c.quiet()
	},
	"the read-only byte is answered only if it was sent": func(s *script) {
		for _, more := range [][]byte{nil, {0}, {1}} {
			c := &session{s: s, conn: s.dialTCP()}
			c.write(append(encode(int32(0), int64(0), int32(10000), int64(0), make([]byte, 16)), more...))
			b, err := c.readFrame()
			s.log("%v: %d bytes, last %d, %v", more, len(b), b[len(b)-1]*byte(len(more)), err)
		}
	},
	"session time-outs are kept between 4 and 40 s": func(s *script) {
		for _, timeout := range []int32{-5, 0, 1, 3999, 4000, 4001, 39999, 40000, 40001, 1 << 30} {
			s.log("%d: %d", timeout, s.connectAs(0, 0, timeout, make([]byte, 16)).timeout)
		}
	},
	"a silent session expires with its ephemeral nodes": func(s *script) {
		c, w := s.connectAs(0, 0, 4000, make([]byte, 16)), s.connect()
		c.call(create, "/e", null, open, 1)
		w.call(exists, "/e", true)
		start := time.Now()
		w.events(1)
		if took := time.Since(start); took < 3500*time.Millisecond || took > 30*time.Second {
			s.Errorf("expired after %s", took)
		}
		s.log("its connection is %s", c.atEnd())
		s.connectAs(c.id, 0, 10000, c.password)
	},
	"a lost connection does not end the session": func(s *script) {
		c, w := s.connect(), s.connect()
		c.call(create, "/e", null, open, 1)
		c.conn.Close()
		w.call(exists, "/e", false)
		again := s.connectAs(c.id, c.zxid, 10000, c.password)
		again.call(del, "/e", -1)
		w.call(exists, "/e", false)
	},
	"pings keep a session": func(s *script) {
		c, w := s.connectAs(0, 0, 4000, make([]byte, 16)), s.connectAs(0, 0, 20000, make([]byte, 16))
		c.call(create, "/e", null, open, 1)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for range 7 {
			<-tick.C
			c.send(ping)
			if _, err := c.readFrame(); err != nil {
				s.Fatal(err)
			}
		}
		w.call(exists, "/e", false)
	},
	"an ephemeral node belongs to its session alone": func(s *script) {
		a, b := s.connect(), s.connect()
		a.call(create, "/e", null, open, 1)
		b.call(create, "/e", null, open, 1)
		b.call(setData, "/e", []byte("x"), -1)
		b.call(del, "/e", -1)
		b.call(create, "/e", null, open, 1)
		a.call(closeSession)
		b.call(exists, "/e", false)
	},
	"connections come and go": func(s *script) {
		for range 50 {
			c := s.connect()
			c.conn.Close()
		}
		c := s.connect()
		c.number = 0
		c.quiet()
		storetest.Eventually(s, time.Minute, func() error {
			if answer, err := storetest.FourLetterWord(s.addr, "ruok"); err != nil || answer != "imok" {
				return errors.New(answer)
			}
			return nil
		})
	},
}

// greeting sends a connect request as a client writes it and logs the sizes of the answer.
func greeting(s *script, name string, frame []byte) *session {
	c := &session{s: s, conn: s.dialTCP()}
	c.write(frame)
	b, err := c.readFrame()
	if err != nil {
		s.log("%s: closed", name)
		return c
	}
	d := &reader{b}
	protocol, timeout, id, password := d.int32(), d.int32(), d.int64(), d.buffer()
	s.log("%s: %d bytes, protocol %d, time-out %d, session %v, password of %d bytes, then %x", name, len(b), protocol, timeout, id != 0, len(password), d.rest)
	return c
}

var greetingCases = map[string]func(*script){
	"the first bytes of the clients there are": func(s *script) {
		for _, client := range []struct {
			name  string
			frame []byte
		}{
			{"Java 3.4 to 3.9", encode(int32(0), int64(0), int32(30000), int64(0), make([]byte, 16), false)},
			{"Java, read-only allowed", encode(int32(0), int64(0), int32(30000), int64(0), make([]byte, 16), true)},
			{"kazoo", encode(int32(0), int64(0), int32(10000), int64(0), make([]byte, 16), false)},
			{"go-zookeeper", encode(int32(0), int64(0), int32(10000), int64(0), make([]byte, 16))},
			{"the C client of 3.3", encode(int32(0), int64(0), int32(10000), int64(0), make([]byte, 16))},
			{"no password at all", encode(int32(0), int64(0), int32(10000), int64(0), null)},
			{"an empty password", encode(int32(0), int64(0), int32(10000), int64(0), []byte{})},
			{"a long password", encode(int32(0), int64(0), int32(10000), int64(0), make([]byte, 100))},
			{"another protocol version", encode(int32(7), int64(0), int32(10000), int64(0), make([]byte, 16))},
			{"a zxid below 0", encode(int32(0), int64(-1), int32(10000), int64(0), make([]byte, 16))},
			{"bytes behind", append(encode(int32(0), int64(0), int32(10000), int64(0), make([]byte, 16), false), "more"...)},
		} {
			c := greeting(s, client.name, client.frame)
			c.number = 0
			c.send(exists, "/", false)
			c.await(ping)
		}
	},
	"a session is resumed with another time-out": func(s *script) {
		c := s.connect()
		for _, timeout := range []int32{0, 4000, 15000, 100000} {
			again := s.connectAs(c.id, c.zxid, timeout, c.password)
			s.log("%d: %d", timeout, again.timeout)
		}
	},
	"a session is resumed many times in turn": func(s *script) {
		c := s.connect()
		c.call(create, "/e", null, open, 1)
		for i := range 10 {
			c = s.connectAs(c.id, c.zxid, 10000, c.password)
			c.call(setData, "/e", []byte{byte('0' + i)}, i)
		}
		c.call(getEphemerals, "/")
		c.call(closeSession)
	},
	"a token of SASL is answered without one": func(s *script) {
		c := s.connect()
		c.call(sasl, raw(encode([]byte("token"))))
		c.call(sasl, raw(encode(null)))
		c.call(create, "/a", null, open, 0)
	},
	"what comes behind the end of a session is not done": func(s *script) {
		c, w := s.connect(), s.connect()
		c.send(create, "/before", null, open, 0)
		c.send(closeSession)
		c.send(create, "/after", null, open, 0)
		c.await(create)
		c.await(closeSession)
		w.call(getChildren2, "/", false)
	},
	"a lock of Curator": func(s *script) {
		a, b := s.connect(), s.connect()
		a.call(createContainer, "/lock", []byte{}, open, 4)
		a.call(create2, "/lock/_c_1-lock-", []byte("a"), open, 3)
		b.call(create2, "/lock/_c_2-lock-", []byte("b"), open, 3)
		b.call(getChildren, "/lock", false)
		b.call(getData, "/lock/_c_1-lock-0000000000", true)
		a.call(del, "/lock/_c_1-lock-0000000000", -1)
		b.quiet()
		b.call(getChildren, "/lock", false)
		b.call(closeSession)
		a.call(exists, "/lock", false)
	},
	"a cache of Curator": func(s *script) {
		c, w := s.connect(), s.connect()
		w.call(addWatch, "/tree", 1)
		c.call(create2, "/tree", []byte{}, open, 0)
		w.quiet()
		w.call(getData, "/tree", false)
		w.call(getChildren2, "/tree", false)
		c.call(multi, []part{{create, []any{"/tree/a", []byte("1"), open, 0}}, {create, []any{"/tree/a/b", []byte("2"), open, 0}}, {setData, []any{"/tree", []byte("3"), -1}}})
		c.call(del, "/tree/a/b", -1)
		w.quiet()
		w.call(removeWatches, "/tree", 3)
		c.call(del, "/tree/a", -1)
		w.quiet()
	},
	"an election of kazoo": func(s *script) {
		a, b := s.connect(), s.connect()
		a.call(create, "/election", []byte{}, open, 0)
		a.call(create, "/election/x__lock__", []byte("a"), open, 3)
		b.call(create, "/election/y__lock__", []byte("b"), open, 3)
		b.call(getChildren, "/election", false)
		b.call(exists, "/election/x__lock__0000000000", true)
		a.call(closeSession)
		b.quiet()
		b.call(getChildren2, "/election", false)
	},
}
