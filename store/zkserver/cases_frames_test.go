package zkserver_test

import (
	"strings"

	"github.com/helios-go/helios/store/storetest"
)

var frameCases = map[string]func(*script){
	"the longest frame is accepted and a longer one closes": func(s *script) {
		c := s.connect()
		// header 8, path, data length 4, version 4
		room := 1048575 - 8 - 4 - len(c.path("/a")) - 4 - 4
		c.call(create, "/a", null, open, 0)
		c.call(setData, "/a", []byte(strings.Repeat("x", room)), -1)
		c.call(setData, "/a", []byte(strings.Repeat("x", room+1)), -1)
	},
	"truncated records are refused and the connection lives": func(s *script) {
		c := s.connect()
		for _, op := range []int{create, del, exists, getData, setData, getACL, setACL, getChildren, getChildren2, sync, multi, create2, createContainer} {
			c.call(op)
			c.call(op, raw{0, 0})
			c.call(op, raw{0, 0, 0, 9, 'x'})
			c.call(op, raw{0x7f, 0xff, 0xff, 0xff})
		}
		c.call(create, "/a")
		c.call(create, "/a", null)
		c.call(create, "/a", null, open)
		c.call(create, "/a", null, raw{0x7f, 0, 0, 0})
		c.call(del, "/a")
		c.call(setData, "/a", null)
		c.call(getData, "/a")
		c.call(setWatches, int64(0), []string{})
		c.quiet()
	},
	"bytes behind a record are ignored": func(s *script) {
		c := s.connect()
		c.call(create, "/a", null, open, 0, raw("more"))
		c.call(exists, "/a", false, raw("more"))
		c.call(ping, raw("more"))
	},
	"an unknown operation is refused and closes": func(s *script) {
		for _, op := range []int{999, 10, 108, -2, -1} {
			c := s.connect()
			c.number = 0
			c.call(op)
			s.log("then %s", c.atEnd())
		}
	},
	"frames of illegal length close": func(s *script) {
		for _, frame := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x04aaaa", "\xff\xff\xff\xff", "\x80\x00\x00\x00", "\x7f\xff\xff\xff"} {
			c := s.connect()
			if _, err := c.conn.Write([]byte(frame)); err != nil {
				s.Fatal(err)
			}
			s.log("%x: %s", frame, c.atEnd())
		}
	},
	"a connect request that is none closes": func(s *script) {
		for _, frame := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x04aaaa", "\xff\xff\xff\xff", "\x00\x00\x00\x1caaaaaaaaaaaaaaaaaaaaaaaaaaaa", "GET / HTTP/1.0\r\n\r\n"} {
			c := &session{s: s, conn: s.dialTCP()}
			if _, err := c.conn.Write([]byte(frame)); err != nil {
				s.Fatal(err)
			}
			s.log("%x: %s", frame, c.atEnd())
		}
	},
	"requests before the connect request close": func(s *script) {
		c := &session{s: s, conn: s.dialTCP()}
		c.write(encode(int32(1), int32(getData), "/", false))
		s.log("%s", c.atEnd())
	},
	"pings are answered with their number": func(s *script) {
		c := s.connect()
		c.call(ping)
		c.call(create, "/a", null, open, 0)
		c.call(ping)
	},
	"four-letter words": func(s *script) {
		for _, word := range []string{"ruok", "isro"} {
			answer, err := storetest.FourLetterWord(s.addr, word)
			s.log("%s: %q %v", word, answer, err)
		}
		for word, wanted := range map[string][]string{
			"srvr": {"Zookeeper version: 3.8.0", "Latency min/avg/max: ", "Received: ", "Sent: ", "Connections: ", "Outstanding: ", "Zxid: 0x", "Mode: standalone", "Node count: "},
			"stat": {"Zookeeper version: 3.8.0", "Clients:", "Mode: standalone"},
			"mntr": {"zk_version\t3.8.0", "zk_server_state\tstandalone", "zk_znode_count\t", "zk_num_alive_connections\t", "zk_watch_count\t", "zk_ephemerals_count\t", "zk_approximate_data_size\t"},
			"envi": {"Environment:\n", "\nzookeeper.version=3.8.0", "\nhost.name="},
		} {
			answer, err := storetest.FourLetterWord(s.addr, word)
			for _, w := range wanted {
				if err != nil || !strings.Contains(answer, w) {
					s.Errorf("%s lacks %q: %q, %v", word, w, answer, err)
				}
			}
		}
	},
}
