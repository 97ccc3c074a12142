package roles_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// The digest that masters have to know, and one that is nobody's, though it looks like one.
var (
	agentDigest   = store.NewIdentity("helios-agent", agentPassword).Digest
	foreignDigest = store.NewIdentity("helios-agent", "another").Digest
)

// untold fails if a text tells one of the passwords.
func untold(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{masterPassword, agentPassword, "wSecret"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is told: %s", secret, text)
		}
	}
}

// TestStoreCommandsWithCredentialsThatDoNotFit are the commands that write to ZooKeeper themselves, over a protected tree:
// one sentence, the right status, one connection, and the tree as it was.
func TestStoreCommandsWithCredentialsThatDoNotFit(t *testing.T) {
	t.Parallel()
	zk := storetest.StartEnsemble(t, 1).Servers()
	link := storetest.StartProxy(t, zk)
	c, m := startMaster(t, zk, masterOptions(t, masterPassword)...)
	c.awaitMaster()
	m.stop()
	right, wrong, agents := passwordIn(t, masterPassword), passwordIn(t, "wSecret"), passwordIn(t, agentPassword)
	if r := helios(t, nil, "store", "acl", "--zk", zk, "--zk-password-file", right, "--zk-acl-agent-digest", agentDigest, "-q"); r.exit != 0 {
		t.Fatalf("close the rest of the server: %s", r)
	}
	before := c.fullTree()
	const (
		toMaster  = "zookeeper denies it to user helios-master"
		toAgent   = "zookeeper denies it to user helios-agent"
		toNobody  = "zookeeper denies it to a process without a password"
		noAccount = "ZooKeeper ACLs enabled but master username and/or password not set"
		noDigest  = "is not the base64 of a SHA-1 of user:password"
	)
	for name, test := range map[string]struct {
		args        []string
		exit        int
		says        string
		connections int
	}{
		"init, wrong password": {[]string{"init", "--force", "--zk-password-file", wrong}, 4, toMaster, 1},
		"init, no password":    {[]string{"init", "--force"}, 4, toNobody, 1},
		"init, the account of agents": {
			[]string{"init", "--force", "--zk-acl-master-user", "helios-agent", "--zk-password-file", agents}, 4, toAgent, 1,
		},
		"init, wrong password beside the right digest": {
			[]string{"init", "--force", "--zk-password-file", wrong, "--zk-acl-agent-digest", agentDigest}, 4, toMaster, 1,
		},
		"init, digest without a password": {[]string{"init", "--force", "--zk-acl-agent-digest", agentDigest}, 2, noAccount, 0},
		"init, a password in the place of the digest": {
			[]string{"init", "--force", "--zk-password-file", right, "--zk-acl-agent-digest", "wSecret"}, 2, noDigest, 0,
		},
		"init, half of a digest": {
			[]string{"init", "--force", "--zk-password-file", right, "--zk-acl-agent-digest", agentDigest[:20]}, 2, noDigest, 0,
		},
		"acl, wrong password": {
			[]string{"acl", "--zk-password-file", wrong, "--zk-acl-agent-digest", agentDigest}, 4, toMaster, 1,
		},
		"acl, no password": {[]string{"acl", "--zk-acl-agent-digest", agentDigest}, 2, noAccount, 0},
		"acl, a password in the place of the digest": {
			[]string{"acl", "--zk-password-file", right, "--zk-acl-agent-digest", "wSecret"}, 2, noDigest, 0,
		},
		"acl, the digest of another password": { // ZooKeeper shows no digests: the lists look right, and nobody could change them
			[]string{"acl", "-q", "--zk-password-file", right, "--zk-acl-agent-digest", foreignDigest}, 0, "0 nodes have a new access list", 1,
		},
		"acl, a superuser with a wrong password": {
			[]string{"acl", "--zk-password-file", right, "--zk-acl-agent-digest", agentDigest, "--superuser-password-file", wrong}, 4, "zookeeper denies it to user super", 1,
		},
		"check, wrong password": {[]string{"check", "--zk-password-file", wrong}, 4, toMaster, 1},
		"check, no password":    {[]string{"check"}, 4, toNobody, 1},
	} {
		made := link.Connections()
		r := helios(t, nil, append(append([]string{"store"}, test.args...), "--zk", link.Addr())...)
		if r.exit != test.exit || strings.Count(r.out+r.err, test.says) != 1 {
			t.Errorf("%s: %s, want exit %d and once %q", name, r, test.exit, test.says)
		}
		if test.exit == 4 && (strings.Count(r.err, "\n") != 1 || r.out != "") {
			t.Errorf("%s: says more than a sentence: %s", name, r)
		}
		if n := link.Connections() - made; n != test.connections {
			t.Errorf("%s: %d connections, want %d", name, n, test.connections)
		}
		untold(t, r.String())
		if diff := before.Diff(c.fullTree(), storetest.Rewritten); diff != "" {
			t.Fatalf("%s: the tree has changed:\n%s", name, diff)
		}
	}
}

// TestDaemonsWithHalfOfTheirCredentials are an agent and a master that prove who they are and know a wrong digest of the
// other role. One that cannot be a digest is refused before anything is asked. ZooKeeper tells nobody which digest would be
// right, so that one of another password shows by what the others are denied: in a sentence, for that host alone.
func TestDaemonsWithHalfOfTheirCredentials(t *testing.T) {
	t.Parallel()
	zk := storetest.StartEnsemble(t, 1).Servers()
	link := storetest.StartProxy(t, zk)
	c, m := startMaster(t, zk, masterOptions(t, masterPassword)...)
	c.awaitMaster()
	docker, other := dockertest.New(t), dockertest.New(t)
	startAgent(c, docker, nil, agentOptions(t, agentPassword)...)
	var before storetest.Tree
	storetest.Eventually(t, inTime, func() error {
		if before = c.fullTree(); before["/status/hosts/"+docker.Host+"/hostinfo"].Data == "" {
			return errors.New("the host is not reported yet")
		}
		return nil
	})
	for name, args := range map[string][]string{
		"agent":  {"agent", "--no-http", "--zk-acl-master-digest", "wSecret", "--zk-password-file", passwordIn(t, agentPassword)},
		"master": {"master", "--zk-acl-agent-digest", "wSecret", "--zk-password-file", passwordIn(t, masterPassword)},
	} {
		r := helios(t, nil, append(args, "--zk-enable-acls", "--name", other.Host, "--zk", link.Addr(), "--state-dir", t.TempDir())...)
		if r.exit != 1 || !strings.Contains(r.err, "is not the base64 of a SHA-1 of user:password") || link.Connections() != 0 {
			t.Errorf("%s: %s, %d connections", name, r, link.Connections())
		}
		untold(t, r.String())
	}

	options := slices.Concat(agentOptions(t, agentPassword)[:4], []string{store.NewIdentity("helios-master", "another").Digest})
	half := startAgent(&cluster{Client: c.Client, t: t, api: c.api, zk: link.Addr()}, other, nil, options...)
	half.said(`"message":"(registered)"`)
	storetest.Eventually(t, inTime, func() error {
		if r := c.helios("hosts", "-q"); !strings.Contains(r.out, other.Host) {
			return errors.New(r.String())
		}
		return nil
	})
	if out := c.must("hosts"); !strings.Contains(out, docker.Host) {
		t.Errorf("hosts shows %s", out)
	}
	if r := c.helios("hosts", "--json", docker.Host); r.exit != 0 || !strings.Contains(r.out, `"UP"`) {
		t.Errorf("the host beside it: %s", r)
	}
	if r := c.helios("deregister", "--yes", other.Host); r.exit != 1 || !strings.Contains(r.err, "ZooKeeper denies it to this master") {
		t.Errorf("deregister: %s", r)
	}
	m.said(`"error":"read status of host ` + other.Host + `: [^"]+ (zookeeper denies it to user helios-master)"`)
	if n := strings.Count(m.log(), "left out of lists"); n != 1 {
		t.Errorf("said %d times: %s", n, m.log())
	}
	if n := link.Connections(); n != 1 {
		t.Errorf("%d connections of the agent", n)
	}
	half.kill()
	now := c.fullTree()
	for path := range now {
		if strings.Contains(path, other.Host) {
			delete(now, path)
		}
	}
	if diff := before.Diff(now, storetest.Relived); diff != "" {
		t.Errorf("more than its own nodes has changed:\n%s", diff)
	}

	// What the manual says heals it.
	super := passwordIn(t, strings.TrimPrefix(storetest.SuperCredential, "super:"))
	if r := helios(t, nil, "store", "acl", "-q", "--zk", zk, "--zk-acl-agent-digest", agentDigest, "--zk-password-file", passwordIn(t, masterPassword),
		"--superuser-password-file", super); r.exit != 0 {
		t.Errorf("as superuser: %s", r)
	}
	c.must("deregister", "--yes", other.Host)
}

// TestPasswordFilesOfDaemons: a file is read once, so that it may be a pipe; one that everybody may read is named in one
// line; one that cannot be read ends the daemon in a sentence.
func TestPasswordFilesOfDaemons(t *testing.T) {
	t.Parallel()
	zk := storetest.StartEnsemble(t, 1).Servers()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, []byte(masterPassword+"\n"), 0) }() // blocks until somebody reads
	c, m := startMaster(t, zk, "--zk-enable-acls", "--zk-acl-agent-digest", agentDigest, "--zk-password-file", pipe)
	if err := <-written; err != nil {
		t.Errorf("write into the pipe: %v", err)
	}
	c.awaitMaster()
	wantAccess(t, c.fullTree(), "/", "r")
	const warning = "every user of this machine may read the zookeeper password"
	if strings.Contains(m.log(), warning) {
		t.Errorf("a pipe is warned of: %s", m.log())
	}
	m.stop()

	open := passwordIn(t, masterPassword)
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	c, m = startMaster(t, zk, "--zk-enable-acls", "--zk-acl-agent-digest", agentDigest, "--zk-password-file", open)
	c.awaitMaster()
	if n := strings.Count(m.log(), warning); n != 1 || !strings.Contains(m.log(), `"file":"`+open+`"`) {
		t.Errorf("warned %d times: %s", n, m.log())
	}
	untold(t, m.log()+m.out()+read(fmt.Sprintf("/proc/%d/cmdline", m.cmd.Process.Pid)))
	m.stop()

	for what, path := range map[string]string{"directory": t.TempDir(), "missing": open + "-missing"} {
		r := helios(t, nil, "master", "--name", "m", "--state-dir", t.TempDir(), "--zk", zk, "--zk-password-file", path)
		if r.exit != 1 || strings.Count(r.err, "\n") != 1 || !strings.HasPrefix(r.err, "helios-master: password: ") {
			t.Errorf("%s: %s", what, r)
		}
	}
}

// TestInitMakesNodesWithTheAccessListsOfTheirPaths begins a protected tree with helios store init, by the recorded
// accounts, and lets a master go on: all access lists are the recorded ones, and those of the specification (§5.2).
func TestInitMakesNodesWithTheAccessListsOfTheirPaths(t *testing.T) {
	t.Parallel()
	zk := storetest.StartEnsemble(t, 1).Servers()
	account := []string{
		"--zk-password-file", passwordIn(t, "mpass"), "--zk-acl-agent-digest", store.NewIdentity("helios-agent", "apass").Digest,
	}
	recorded := recordedTree(t, "acl", "02-master-start")
	closed := recorded["/config/jobs"].ACL // as masters may do all there, and agents read
	id := initCluster(t, zk, account...)
	c := &cluster{t: t, zk: zk}
	tree := c.fullTree()
	for path, want := range map[string][]string{
		"/": {"world:anyone:cdrwa"}, "/config": recorded["/config"].ACL, "/config/id": closed, "/config/id/" + id: closed,
	} {
		if got := tree[path]; !slices.Equal(got.ACL, want) || got.Data != "" {
			t.Errorf("%s: %+v, want %v", path, got, want)
		}
	}
	if len(tree) != 4 || len(closed) != 2 {
		t.Errorf("tree %v, recorded %v", tree, closed)
	}
	c, m := startMaster(t, zk, append(account, "--zk-enable-acls", "--zk-cluster-id", id)...)
	c.awaitMaster()
	tree = c.fullTree()
	for path, node := range recorded {
		path = strings.Replace(path, treeMaster, m.args[2], 1)
		if got := tree[path]; !slices.Equal(got.ACL, node.ACL) {
			t.Errorf("%s: %v, recorded %v", path, got.ACL, node.ACL)
		}
		delete(tree, path)
	}
	for path := range tree {
		if !strings.HasPrefix(path, "/config/id") {
			t.Errorf("%s is not recorded", path)
		}
	}
	if r := helios(t, nil, append([]string{"store", "check", "--zk", zk, "--zk-cluster-id", id}, account...)...); r.exit != 0 {
		t.Errorf("check: %s", r)
	}
}
