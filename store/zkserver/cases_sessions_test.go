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
		if took := time.Since(start); took < 3500*time.Millisecond || took > 10*time.Second {
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
		storetest.Eventually(s, 10*time.Second, func() error {
			if answer, err := storetest.FourLetterWord(s.addr, "ruok"); err != nil || answer != "imok" {
				return errors.New(answer)
			}
			return nil
		})
	},
}
