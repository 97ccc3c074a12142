package roles_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/httpapi/client"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// awaitFacts waits until the host is up and has said all about itself, which comes soon after.
func (c *cluster) awaitFacts(name string) {
	c.t.Helper()
	c.await(name, host.Up)
	storetest.Eventually(c.t, inTime, func() error {
		status, err := c.HostStatus(c.t.Context(), name)
		if err == nil && (len(status.Labels) == 0 || status.HostInfo == nil) {
			err = fmt.Errorf("%s has no labels, or no information", name)
		}
		return err
	})
}

// hosts are the statuses that helios hosts prints as JSON.
func (c *cluster) hosts(args ...string) map[string]host.Status {
	c.t.Helper()
	var hosts map[string]host.Status
	text := c.must(append([]string{"hosts", "--json"}, args...)...)
	if err := document.Read([]byte(text), document.Map(&hosts, document.TextKeys, (*host.Status).JSON)); err != nil {
		c.t.Fatalf("%s: %v", text, err)
	}
	return hosts
}

// TestHostListings are two hosts as the command line lists them, at first both up, then the second one down.
func TestHostListings(t *testing.T) {
	t.Parallel()
	c, _ := startMaster(t, storetest.Start(t), "--name", "test-master") // no other test's hosts are there
	first, second := dockertest.New(t), dockertest.New(t)
	startAgent(c, first, nil, "--labels", "role=foo", "xyz=123")
	b := startAgent(c, second, nil, "--labels", "role=bar", "xyz=123")
	both := []string{first.Host, second.Host}
	slices.Sort(both)
	for _, name := range both {
		c.awaitFacts(name)
	}

	t.Run("SYS-022 masters are listed by their names", func(t *testing.T) {
		var names []string
		if err := json.Unmarshal([]byte(c.must("masters", "-f", "--json")), &names); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"test-master"}, names); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("SYS-082 statuses of all hosts are asked for at once", func(t *testing.T) {
		if diff := cmp.Diff(both, slices.Sorted(maps.Keys(c.hosts("-f")))); diff != "" {
			t.Error(diff)
		}
		statuses, err := c.HostStatuses(t.Context(), both, "")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(both, slices.Sorted(maps.Keys(statuses))); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("SYS-078 hosts are selected by their labels", func(t *testing.T) {
		for _, test := range []struct {
			selectors []string
			want      []string
		}{
			{[]string{"role=foo"}, []string{first.Host}},
			{[]string{"xyz=123"}, both},
			{[]string{"role=foo", "xyz=123"}, []string{first.Host}},
			{[]string{"role!=foo"}, []string{second.Host}},
			{[]string{"role in (foo, bar)"}, both},
			{[]string{"role notin (foo, bar)"}, []string{}},
			{[]string{"role=doesnt_exist"}, []string{}},
			{[]string{"role=doesnt_exist", "xyz=123"}, []string{}},
		} {
			args := []string{"hosts", "-f", "-q"}
			for _, selector := range test.selectors {
				args = append(args, "-s", selector)
			}
			r := c.helios(args...)
			got := strings.Fields(r.out)
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%v: %s, %s", test.selectors, r, diff)
			}
		}
	})

	b.stop()
	c.await(second.Host, host.Down)
	t.Run("SYS-013 listing is what the statuses are", func(t *testing.T) {
		storetest.Eventually(t, inTime, func() error { // facts may be reported in between
			listed := c.hosts("-f")
			statuses, err := c.HostStatuses(t.Context(), both, "")
			if diff := cmp.Diff(statuses, listed); err == nil && diff != "" {
				err = errors.New(diff)
			}
			return err
		})
	})
	t.Run("SYS-014 hosts are selected by their state", func(t *testing.T) {
		for state, want := range map[string]string{"UP": first.Host, "DOWN": second.Host} {
			if diff := cmp.Diff([]string{want}, slices.Sorted(maps.Keys(c.hosts("-f", "--status", state)))); diff != "" {
				t.Errorf("%s: %s", state, diff)
			}
		}
	})
	t.Run("SYS-015 states are written in capitals", func(t *testing.T) {
		r := c.helios("hosts", "-f", "--json", "--status", "up")
		if r.exit != 1 || r.out != "" || !strings.Contains(r.err, "argument --status: invalid choice: 'up' (choose from {UP,DOWN})") {
			t.Error(r)
		}
	})
}

// TestMasterWithoutZooKeeper wants an answer, though not a good one.
func TestMasterWithoutZooKeeper(t *testing.T) {
	t.Parallel()
	c, _ := startMaster(t, "127.0.0.1:1")
	t.Run("SYS-080 call of a master without ZooKeeper fails", func(t *testing.T) {
		hasty, err := client.New(client.Options{
			Masters: []string{c.api}, User: "tester", Version: "0.10.0", RetryTimeout: time.Second, RetryDelay: 50 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer hasty.Close()
		if masters, err := hasty.Masters(t.Context()); err == nil {
			t.Errorf("masters: %v", masters)
		}
	})
}
