package roles_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// view is what a daemon says of one thing that it keeps in sight of the store.
type view struct {
	Begun, Confirmed int64 // ms
	Stale            bool
	Error            *string
}

// views asks a daemon for all of them, by its own words.
func views(t testing.TB, api string) map[string]view {
	t.Helper()
	status, body := ask(t, api+"/v1/views")
	all := map[string]view{}
	if err := json.Unmarshal([]byte(body), &all); err != nil || status != 200 {
		t.Fatalf("%s/v1/views: %d %s, %v", api, status, body, err)
	}
	return all
}

// TestViewsKnowTheirAge is a master and an agent on a real ZooKeeper whose connections stall, and are lost, and come back:
// whatever they keep in sight grows older meanwhile, and is read again at once.
func TestViewsKnowTheirAge(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	link := storetest.StartProxy(t, storetest.StartEnsemble(t, 1).Servers())
	c, m := startMaster(t, link.Addr(), "--zk-session-timeout", sessions)
	_, agentAPI, agentAdmin := startServingAgent(c, docker, "--zk-session-timeout", sessions)
	c.await(docker.Host, host.Up)
	name := m.args[2]
	daemons := []struct {
		api, admin string
		watches    []string
	}{
		{c.api, "http://" + m.said(`"admin":"([^"]+)"`), []string{"registering master " + name}},
		{agentAPI, agentAdmin, []string{
			"reading the tasks of " + docker.Host, "keeping host " + docker.Host + " up", "looking for acceptances of " + docker.Host,
		}},
	}
	// seen wants each daemon to watch all that it must, all of it confirmed after a time, and returns when it last was.
	seen := func(after time.Time) map[string]int64 {
		t.Helper()
		confirmed := make(map[string]int64)
		storetest.Eventually(t, inTime, func() error {
			for _, d := range daemons {
				all := views(t, d.api)
				if len(all) != len(d.watches) {
					return fmt.Errorf("%s watches %v, want %q", d.api, all, d.watches)
				}
				for _, what := range d.watches {
					if v := all[what]; v.Confirmed < after.UnixMilli() || v.Stale || v.Error != nil {
						return fmt.Errorf("%s: %+v, want it confirmed after %v", what, v, after)
					}
					confirmed[what] = all[what].Confirmed
				}
				if status, checks := health(t, d.admin); status != 200 || checks["views"].Message != "" {
					return fmt.Errorf("health: %d %+v", status, checks)
				}
			}
			return nil
		})
		return confirmed
	}
	begun := time.Now().Add(-time.Hour)
	for _, fault := range []func(){link.Stall, link.Cut} {
		seen(begun)
		fault()
		broken := time.Now()
		storetest.Eventually(t, inTime, func() error { // what was on its way when it broke has come to nothing
			for _, d := range daemons {
				if status, _ := health(t, d.admin); status != 500 {
					return errors.New("still connected")
				}
			}
			return nil
		})
		holds(t, time.Second, func() error {
			for _, d := range daemons {
				for what, v := range views(t, d.api) {
					if v.Confirmed > broken.UnixMilli() {
						return fmt.Errorf("%s was confirmed at %d, after the connection broke at %d", what, v.Confirmed, broken.UnixMilli())
					}
				}
			}
			return nil
		})
		begun = time.Now()
		link.Heal()
	}
	seen(begun)
}
