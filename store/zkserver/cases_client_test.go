package zkserver_test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/storetest"
)

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// library connects with the client library through a proxy.
func library(s *script) (*zk.Conn, *storetest.Proxy) {
	s.Helper()
	proxy := storetest.StartProxy(s, s.addr)
	c, _, err := zk.Connect([]string{proxy.Addr()}, 20*time.Second, zk.WithLogger(quiet{}), zk.WithLogInfo(false))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(c.Close)
	return c, proxy
}

var everyone = zk.WorldACL(zk.PermAll)

// heard logs the event of a watch.
func heard(s *script, what string, ch <-chan zk.Event) {
	s.Helper()
	select {
	case e := <-ch:
		s.log("%s: %v %s %v", what, e.Type, e.Path, e.Err)
	case <-time.After(time.Minute):
		s.Errorf("%s: no event", what)
	}
}

// survives waits until the library has its connection back.
func survives(s *script, c *zk.Conn) {
	s.Helper()
	storetest.Eventually(s, time.Minute, func() error { _, _, err := c.Get(s.root); return err })
}

var clientCases = map[string]func(*script){
	"client library: the errors of each operation": func(s *script) {
		c, _ := library(s)
		_, err := c.Create(s.root+"/a/b", nil, 0, everyone)
		s.log("create: %v", err)
		_, err = c.Create(s.root+"/a", []byte{}, 0, everyone)
		s.log("create: %v", err)
		_, err = c.Create(s.root+"/a", nil, 0, everyone)
		s.log("create: %v", err)
		_, err = c.Create(s.root+"/b", nil, 0, nil)
		s.log("create: %v", err)
		_, err = c.Set(s.root+"/a", nil, 3)
		s.log("set: %v", err)
		_, err = c.Set(s.root+"/b", nil, -1)
		s.log("set: %v", err)
		s.log("delete: %v", c.Delete(s.root, -1))
		s.log("delete: %v", c.Delete(s.root+"/b", -1))
		_, _, err = c.Get(s.root + "/b")
		s.log("get: %v", err)
		_, _, err = c.Children(s.root + "/b")
		s.log("children: %v", err)
		ok, _, err := c.Exists(s.root + "/b")
		s.log("exists: %v %v", ok, err)
		_, _, err = c.GetACL(s.root + "/b")
		s.log("getACL: %v", err)
		_, err = c.CreateTTL(s.root+"/ttl", nil, zk.FlagTTL, everyone, time.Second)
		s.log("createTTL: %v", err)
		_, err = c.CreateContainer(s.root+"/box", nil, zk.FlagContainer, everyone)
		s.log("createContainer: %v", err)
		path, err := c.Sync(s.root)
		s.log("sync: %q %v", path, err)
		s.log("auth: %v", c.AddAuth("digest", []byte("alice:secret")))
	},
	"client library: multi": func(s *script) {
		c, _ := library(s)
		results, err := c.Multi(
			&zk.CreateRequest{Path: s.root + "/a", Data: []byte("x"), Acl: everyone},
			&zk.SetDataRequest{Path: s.root + "/a", Data: []byte("y"), Version: 0},
			&zk.CheckVersionRequest{Path: s.root + "/a", Version: 1},
			&zk.DeleteRequest{Path: s.root + "/a", Version: 1},
		)
		s.log("%v", err)
		for _, r := range results {
			s.log("%q %v %v", r.String, r.Stat != nil, r.Error)
		}
		results, err = c.Multi(
			&zk.CreateRequest{Path: s.root + "/a", Acl: everyone},
			&zk.CheckVersionRequest{Path: s.root + "/gone", Version: -1},
			&zk.CreateRequest{Path: s.root + "/b", Acl: everyone},
		)
		s.log("%v", err)
		for _, r := range results {
			s.log("%q %v", r.String, r.Error)
		}
	},
	"client library: watches report after a cut what happened meanwhile": func(s *script) {
		c, proxy := library(s)
		other, _ := library(s)
		for _, path := range []string{"/set", "/gone", "/dir", "/same"} {
			if _, err := c.Create(s.root+path, nil, 0, everyone); err != nil {
				s.Fatal(err)
			}
		}
		_, _, set, _ := c.GetW(s.root + "/set")
		_, _, gone, _ := c.GetW(s.root + "/gone")
		_, _, dir, _ := c.ChildrenW(s.root + "/dir")
		_, _, same, _ := c.GetW(s.root + "/same")
		_, _, made, _ := c.ExistsW(s.root + "/made")
		id := c.SessionID()
		proxy.Cut()
		_, err := other.Multi(
			&zk.SetDataRequest{Path: s.root + "/set", Data: []byte("x"), Version: -1},
			&zk.DeleteRequest{Path: s.root + "/gone", Version: -1},
			&zk.CreateRequest{Path: s.root + "/dir/x", Acl: everyone},
			&zk.CreateRequest{Path: s.root + "/made", Acl: everyone},
		)
		s.log("multi: %v", err)
		proxy.Heal()
		heard(s, "set", set)
		heard(s, "gone", gone)
		heard(s, "dir", dir)
		heard(s, "made", made)
		survives(s, c)
		_, err = other.Set(s.root+"/same", nil, -1)
		s.log("set: %v", err)
		heard(s, "same", same)
		s.log("same session: %v", c.SessionID() == id)
	},
	"client library: ephemeral nodes and identities survive a cut": func(s *script) {
		c, proxy := library(s)
		if err := c.AddAuth("digest", []byte("alice:secret")); err != nil {
			s.Fatal(err)
		}
		_, err := c.Create(s.root+"/e", []byte("mine"), zk.FlagEphemeral, zk.AuthACL(zk.PermAll))
		s.log("create: %v", err)
		proxy.Cut()
		proxy.Heal()
		survives(s, c)
		data, _, err := c.Get(s.root + "/e")
		s.log("%q %v", data, err)
	},
	"client library: a stalled link heals": func(s *script) {
		c, proxy := library(s)
		proxy.Stall()
		done := make(chan error, 1)
		go func() { _, err := c.Create(s.root+"/a", nil, 0, everyone); done <- err }()
		select {
		case err := <-done:
			s.Errorf("created through a stalled link: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		proxy.Heal()
		s.log("create: %v", <-done)
	},
	"client library: a protected sequential node and a lock": func(s *script) {
		c, _ := library(s)
		other, _ := library(s)
		path, err := c.CreateProtectedEphemeralSequential(s.root+"/p-", nil, everyone)
		s.log("%v %v", strings.HasSuffix(path, "-p-0000000000"), err)
		first, second := zk.NewLock(c, s.root+"/lock", everyone), zk.NewLock(other, s.root+"/lock", everyone)
		s.log("lock: %v", first.Lock())
		got := make(chan error, 1)
		go func() { got <- second.Lock() }()
		storetest.Eventually(s, time.Minute, func() error {
			if list, _, err := c.Children(s.root + "/lock"); err != nil || len(list) != 2 {
				return fmt.Errorf("%v, %w", list, errors.Join(err, errors.New("not queued")))
			}
			return nil
		})
		s.log("unlock: %v", first.Unlock())
		s.log("lock: %v", <-got)
		s.log("unlock: %v", second.Unlock())
	},
	"client library: closing ends the session": func(s *script) {
		c, _ := library(s)
		other, _ := library(s)
		_, err := c.Create(s.root+"/e", nil, zk.FlagEphemeral, everyone)
		s.log("create: %v", err)
		_, _, gone, err := other.ExistsW(s.root + "/e")
		s.log("exists: %v", err)
		c.Close()
		heard(s, "gone", gone)
	},
}
