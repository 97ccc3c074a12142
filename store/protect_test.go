package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// wantProtected asserts that every node has the access list of its path, and returns how many there are.
func wantProtected(t *testing.T, address string, acls ACLs) int {
	t.Helper()
	tree := dump(t, open(t, Options{Servers: address, Credential: super}))
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		var want []string
		for _, entry := range aclOf(acls.rules(), path) {
			want = append(want, entry.Scheme+":"+entry.ID+":"+storetest.Permissions(entry.Perms))
		}
		if diff := cmp.Diff(want, tree[path].ACL); diff != "" {
			t.Errorf("%s (- wanted, + ours):\n%s", path, diff)
		}
	}
	return len(tree)
}

// grown makes one node of each kind that masters and agents make.
func grown(t *testing.T, master, agent *Store) job.Job {
	t.Helper()
	ctx := t.Context()
	background(t, func(ctx context.Context) error { return master.KeepMaster(ctx, "m1") })
	storetest.Eventually(t, 25*time.Second, func() error {
		masters, err := master.Masters(ctx)
		if err == nil && len(masters) == 0 {
			err = errors.New("no master")
		}
		return err
	})
	j := sample("web", 80)
	must(t, master.CreateJob(ctx, j))
	_, err := agent.RegisterAgent(ctx, Registering{Host: "h1", ID: "1"})
	must(t, err)
	background(t, func(ctx context.Context) error { return agent.KeepHostUp(ctx, "h1", "1") })
	eventuallyUp(t, agent, "h1", true)
	must(t, master.Deploy(ctx, "h1", start(j), ""))
	must(t, agent.PutHostInfo(ctx, "h1", host.Info{}))
	must(t, agent.PutAgentInfo(ctx, "h1", host.AgentInfo{}))
	must(t, agent.PutEnvironment(ctx, "h1", map[string]string{"A": "b"}))
	must(t, agent.PutLabels(ctx, "h1", map[string]string{"a": "b"}))
	must(t, agent.PutTaskStatus(ctx, "h1", j.ID.String(), []byte("{}")))
	for at := range int64(maxEvents + 3) {
		must(t, remember(ctx, agent, "h1", 1000+at, job.TaskStatus{Job: j, State: job.Running}))
	}
	return j
}

func TestAllThatMastersAndAgentsDoWorksUnderAccessLists(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		ctx := t.Context()
		master, agent := open(t, asMaster(address)), open(t, asAgent(address))
		j := grown(t, master, agent)
		wantProtected(t, address, accessLists)
		if events, err := master.History(ctx, j.ID); err != nil || len(events) != maxEvents {
			t.Errorf("%d events, %v", len(events), err)
		}

		// Writing again is another permission than creating.
		must(t, agent.PutHostInfo(ctx, "h1", host.Info{CPUs: 2}))
		must(t, agent.PutTaskStatus(ctx, "h1", j.ID.String(), []byte(`{"state":"RUNNING"}`)))
		must(t, master.SetGoal(ctx, "h1", j.ID, job.Stop, ""))

		// An id node cannot be written by agents, so that it is replaced.
		_, err := agent.RegisterAgent(ctx, Registering{Host: "h1", ID: "2", TTL: 0})
		must(t, err)
		wantID(t, master, "h1", "2")
		wantProtected(t, address, accessLists)

		_, err = master.Undeploy(ctx, "h1", j.ID, "")
		must(t, err)
		must(t, agent.PutTaskStatus(ctx, "h1", j.ID.String(), []byte("{}")))
		must(t, agent.RemoveTaskStatus(ctx, "h1", j.ID.String()))
		must(t, master.RemoveJob(ctx, j.ID, ""))
		must(t, master.RegisterHost(ctx, "h2", "x"))
		_, err = agent.RegisterAgent(ctx, Registering{Host: "h2", ID: "x"})
		must(t, err)
		must(t, master.DeregisterHost(ctx, "h1"))
		must(t, master.DeregisterHost(ctx, "h2"))
		wantProtected(t, address, accessLists)
		if hosts, err := master.Hosts(ctx); err != nil || len(hosts) != 0 {
			t.Errorf("hosts %v, %v", hosts, err)
		}
	})
}

func TestAnExistingTreeIsProtectedAndItsCredentialsAreReplaced(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		ctx := t.Context()
		plain := open(t, Options{Servers: address})
		grown(t, plain, plain)
		master := open(t, asMaster(address))
		var told []string
		done, err := master.Protect(ctx, func(path string) { told = append(told, path) })
		must(t, err)
		nodes := wantProtected(t, address, accessLists)
		if done.Set != nodes || done.Kept != 0 || len(done.Left) != 0 || len(told) != nodes || told[0] != "/" {
			t.Errorf("%+v of %d nodes, %q first", done, nodes, told[0])
		}
		if !slices.IsSortedFunc(told[1:], func(a, b string) int { return strings.Count(a, "/") - strings.Count(b, "/") }) {
			t.Errorf("children before parents: %v", told)
		}
		if done, err = master.Protect(ctx, nil); err != nil || done.Set != 0 || done.Kept != nodes {
			t.Errorf("again: %+v, %v", done, err)
		}

		// The old agent is shut out as soon as the superuser has put other credentials in place, and the new one is in.
		renewed := ACLs{NewIdentity("helios-master", "new"), NewIdentity("helios-agent", "newer")}
		if _, err := open(t, Options{Servers: address, Credential: masterAccount, ACLs: &renewed}).Protect(ctx, nil); err != nil {
			t.Errorf("a master cannot tell other digests of the same users: %v", err)
		}
		superuser := open(t, Options{Servers: address, Credential: super, ACLs: &renewed})
		if done, err = superuser.Protect(ctx, nil); err != nil || done.Set != nodes {
			t.Errorf("renewed: %+v, %v", done, err)
		}
		wantProtected(t, address, renewed)
		if err := open(t, asAgent(address)).PutLabels(ctx, "h1", nil); !errors.Is(err, ErrDenied) {
			t.Errorf("the old agent gets %v", err)
		}
		agent := open(t, Options{Servers: address, Credential: Credential{"helios-agent", "newer"}, ACLs: &renewed})
		must(t, agent.PutLabels(ctx, "h1", nil))
	})
}

func TestAChrootThatIsMissingIsNamed(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		s := open(t, asMaster(address+"/missing"))
		if done, err := s.Protect(t.Context(), nil); !errors.Is(err, ErrNoRoot) {
			t.Errorf("protect: %+v, %v", done, err)
		}
		if tree, err := s.Snapshot(t.Context(), false); !errors.Is(err, ErrNoRoot) {
			t.Errorf("snapshot: %v, %v", tree, err)
		}
	})
}

func TestProtectingEndsAtANodeThatIsLocked(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		ctx := t.Context()
		other := open(t, Options{Servers: address, Credential: Credential{"other", "x"}})
		_, _, err := call(ctx, other.session, func(c *zk.Conn) (string, error) {
			return c.Create(other.session.chroot+"/a", []byte{}, 0, []zk.ACL{NewIdentity("other", "x").entry(zk.PermAll)})
		})
		must(t, err)
		must(t, other.session.create(ctx, "/b", nil, 0))
		done, err := open(t, asMaster(address)).Protect(ctx, nil)
		if !errors.Is(err, ErrDenied) || done.Set < 1 || done.Set > 2 { // nodes of one level are set together
			t.Errorf("%+v, %v", done, err)
		}
		set := done.Set
		if want := "read access list of /a: zookeeper denies it to user helios-master"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		done, err = open(t, Options{Servers: address, Credential: super, ACLs: &accessLists}).Protect(ctx, nil)
		if err != nil || done.Set+done.Kept != 3 || done.Set == 0 || done.Set > 3-set {
			t.Errorf("as superuser: %+v, %v", done, err)
		}
		wantProtected(t, address, accessLists)
	})
}

// TestTheWholeOfAServerIsProtected begins at the server's own root. ZooKeeper keeps one of its nodes to its superuser.
func TestTheWholeOfAServerIsProtected(t *testing.T) {
	for name, address := range map[string]string{
		"zkserver": storetest.Start(t), "zookeeper": storetest.StartEnsemble(t, 1).Servers(),
	} {
		t.Run(name, func(t *testing.T) {
			plain := open(t, Options{Servers: address})
			grown(t, plain, plain)
			done, err := open(t, asMaster(address)).Protect(t.Context(), nil)
			must(t, err)
			nodes := wantProtected(t, address, accessLists)
			if !slices.Equal(done.Left, []string{"/zookeeper/config"}) || done.Set < nodes {
				t.Errorf("%+v of %d nodes", done, nodes)
			}
			superuser := open(t, Options{Servers: address, Credential: super})
			for _, path := range []string{"/zookeeper", "/zookeeper/quota"} {
				acl, _, err := call(t.Context(), superuser.session, func(conn *zk.Conn) ([]zk.ACL, error) {
					acl, _, err := conn.GetACL(path)
					return acl, err
				})
				if err != nil || !sameACL(acl, aclOf(accessLists.rules(), path)) {
					t.Errorf("%s: %v, %v", path, acl, err)
				}
			}
		})
	}
}

func TestCredentialsThatDoNotFitChangeNothing(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		ctx := t.Context()
		reader := open(t, Options{Servers: address, Credential: super})
		register := func(s *Store) error {
			_, err := s.RegisterAgent(ctx, Registering{Host: "h2", ID: "2"})
			return err
		}

		// Before a master has made the tree, an agent may not, and leaves nothing half done.
		before := dump(t, reader)
		if err := register(open(t, asAgent(address))); !errors.Is(err, ErrDenied) {
			t.Errorf("without a tree: %v", err)
		}
		if diff := cmp.Diff(before, dump(t, reader)); diff != "" {
			t.Errorf("an agent without a tree wrote:\n%s", diff)
		}

		j := grown(t, open(t, asMaster(address)), open(t, asAgent(address)))
		before = dump(t, reader)
		wrong := Credential{"helios-agent", "wrong"}
		for name, c := range map[string]struct {
			opts Options
			who  string
		}{
			"none":                  {Options{}, "a process without a password"},
			"access lists, no user": {Options{ACLs: &accessLists}, "a process without a password"},
			"a wrong password":      {Options{Credential: wrong}, "user helios-agent"},
			"a wrong password and access lists to match": {
				Options{Credential: wrong, ACLs: &ACLs{accessLists.Master, NewIdentity("helios-agent", "wrong")}}, "user helios-agent",
			},
			"another user": {Options{Credential: Credential{"agent", "apass"}}, "user agent"},
		} {
			c.opts.Servers = address
			s := open(t, c.opts)
			for what, err := range map[string]error{
				"register": register(s), "write": s.PutLabels(ctx, "h1", nil), "status": s.PutTaskStatus(ctx, "h1", "x", nil),
				"history": remember(ctx, s, "h1", 1, job.TaskStatus{Job: j}), "create": s.CreateJob(ctx, sample("other")),
				"remove": s.RemoveTaskStatus(ctx, "h1", j.ID.String()), "deregister": s.DeregisterHost(ctx, "h1"),
			} {
				if !errors.Is(err, ErrDenied) || !strings.HasSuffix(err.Error(), ": zookeeper denies it to "+c.who) {
					t.Errorf("%s, %s: %v", name, what, err)
				}
			}
		}

		// What agents may read they may not change; what is an agent's own, they may.
		agent := open(t, asAgent(address))
		for what, err := range map[string]error{
			"deploy": agent.Deploy(ctx, "h1", start(j), ""), "register": agent.RegisterHost(ctx, "h1", "other"),
			"remove": agent.RemoveJob(ctx, j.ID, ""), "goal": agent.SetGoal(ctx, "h1", j.ID, job.Stop, ""),
		} {
			if err == nil {
				t.Errorf("an agent may %s", what)
			}
		}
		if diff := cmp.Diff(before, dump(t, reader)); diff != "" {
			t.Errorf("the tree has changed:\n%s", diff)
		}
	})
}

// TestARootThatCannotBeProtectedHoldsNothingUp is a master whose root node somebody else has locked.
func TestARootThatCannotBeProtectedHoldsNothingUp(t *testing.T) {
	onEachServer(t, func(t *testing.T, address string) {
		admin := open(t, Options{Servers: address, Credential: super})
		locked := []zk.ACL{NewIdentity("other", "x").entry(zk.PermAll), accessLists.Master.entry(crwd)}
		_, _, err := call(t.Context(), admin.session, func(c *zk.Conn) (*zk.Stat, error) {
			return c.SetACL(admin.session.chroot, locked, anyVersion)
		})
		must(t, err)
		log := new(buffer)
		opts := asMaster(address)
		opts.Logger = zerolog.New(log)
		grown(t, open(t, opts), open(t, asAgent(address)))
		if n := strings.Count(log.String(), "the root node is not protected"); n != 1 {
			t.Errorf("said %d times: %s", n, log)
		}
		for _, secret := range []string{"mpass", accessLists.Master.Digest, accessLists.Agent.Digest} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log holds %s: %s", secret, log)
			}
		}
	})
}

func TestAccessListsThatNobodyCouldUseAreRefused(t *testing.T) {
	for name, acls := range map[string]ACLs{
		"no digest":         {accessLists.Master, Identity{"a", ""}},
		"a password":        {accessLists.Master, Identity{"a", "apass"}},
		"user and digest":   {Identity{"a", "a:" + accessLists.Agent.Digest}, accessLists.Agent},
		"an empty user":     {accessLists.Master, Identity{"", accessLists.Agent.Digest}},
		"a user of two":     {accessLists.Master, Identity{"a:b", accessLists.Agent.Digest}},
		"digest cut short":  {accessLists.Master, Identity{"a", accessLists.Agent.Digest[:24]}},
		"digest with space": {accessLists.Master, Identity{"a", accessLists.Agent.Digest + " "}},
	} {
		s, err := Open(Options{Servers: "127.0.0.1:1", ACLs: &acls})
		if err == nil {
			s.Close()
			t.Errorf("%s: is taken", name)
		} else if strings.Contains(fmt.Sprint(err), "apass") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
