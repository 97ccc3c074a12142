package roles_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// The accounts of these tests. The passwords are words that stand nowhere else.
const (
	masterPassword = "mSecret-5d1f0c"
	agentPassword  = "aSecret-93be27"
)

// passwordIn is a file with a password.
func passwordIn(t testing.TB, password string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// masterOptions and agentOptions are what protects a tree.
func masterOptions(t testing.TB, password string) []string {
	return []string{
		"--zk-enable-acls", "--zk-password-file", passwordIn(t, password),
		"--zk-acl-agent-digest", store.NewIdentity("helios-agent", agentPassword).Digest,
	}
}

func agentOptions(t testing.TB, password string) []string {
	return []string{
		"--zk-enable-acls", "--zk-password-file", passwordIn(t, password),
		"--zk-acl-master-digest", store.NewIdentity("helios-master", masterPassword).Digest,
	}
}

// wantAccess asserts on what agents may do on a node, and that masters may do all there is to do and nobody else anything.
func wantAccess(t *testing.T, tree storetest.Tree, path, agents string) {
	t.Helper()
	want := []string{
		"digest:helios-master:" + store.NewIdentity("helios-master", masterPassword).Digest + ":cdrw",
		"digest:helios-agent:" + store.NewIdentity("helios-agent", agentPassword).Digest + ":" + agents,
	}
	if !slices.Equal(tree[path].ACL, want) {
		t.Errorf("%s: %v, want %v", path, tree[path].ACL, want)
	}
}

// fullTree reads the tree as the superuser.
func (c *cluster) fullTree() storetest.Tree {
	c.t.Helper()
	conn := c.tree()
	defer conn.Close()
	if err := conn.AddAuth("digest", []byte(storetest.SuperCredential)); err != nil {
		c.t.Fatal(err)
	}
	return storetest.ReadTree(c.t, conn, "")
}

// TestClusterUnderAccessLists is a cluster of processes on a real ZooKeeper whose tree is closed to all others.
func TestClusterUnderAccessLists(t *testing.T) {
	t.Parallel()
	docker, image := dockertest.New(t), "127.0.0.1:1/"+unique("probe")+":1"
	docker.Load(image, dockertest.Probe(t))
	c, master := startMaster(t, storetest.StartEnsemble(t, 1).Servers(), append(masterOptions(t, masterPassword), "-vv")...)
	c.awaitMaster()
	name := strings.TrimSpace(c.must("masters", "-f"))
	tree := c.fullTree()
	t.Run("SYS-120 the master protects the root node", func(t *testing.T) { wantAccess(t, tree, "/", "r") })
	t.Run("SYS-122 what masters make is protected", func(t *testing.T) {
		wantAccess(t, tree, "/status/masters/"+name+"/up", "r")
	})
	a := startAgent(c, docker, nil, append(agentOptions(t, agentPassword), "-vv")...)
	c.await(docker.Host, host.Up)
	tree = c.fullTree()
	t.Run("SYS-121 what agents make is protected", func(t *testing.T) {
		wantAccess(t, tree, "/config/hosts/"+docker.Host, "cdr")
	})

	t.Run("jobs go through their whole life", func(t *testing.T) {
		c := c.seenBy(t)
		id := c.create(job.Job{Image: &image})
		c.must("deploy", id.String(), docker.Host)
		status := c.awaitState(id, docker.Host, job.Running)
		c.must("stop", id.String(), docker.Host)
		c.awaitState(id, docker.Host, job.Stopped)
		c.must("start", id.String(), docker.Host)
		c.awaitState(id, docker.Host, job.Running)
		if out := c.must("history", id.String()); strings.Count(out, "RUNNING") < 2 {
			t.Errorf("history %q after %v", out, status)
		}
		c.must("undeploy", id.String(), docker.Host)
		c.awaitGone(id, docker.Host)
		c.must("remove", "--yes", id.String())
	})

	t.Run("no password is told anywhere", func(t *testing.T) {
		text := master.log() + master.out() + a.log() + a.out()
		for _, p := range []*process{master, a.process} {
			for _, file := range []string{"cmdline", "environ"} {
				text += read(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
			}
		}
		for _, url := range []string{
			c.api + "/hosts/" + docker.Host + "/status", c.api + "/masters",
			"http://" + master.said(`"admin":"([^"]+)"`) + "/metrics", "http://" + master.said(`"admin":"([^"]+)"`) + "/healthcheck",
		} {
			answer, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(answer.Body)
			answer.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			text += string(body)
		}
		for path, node := range c.fullTree() {
			text += path + node.Data
		}
		if err := filepath.WalkDir(a.dir, func(path string, _ os.DirEntry, err error) error {
			text += path + read(path)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{masterPassword, agentPassword} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s is told in %s", secret, text[max(0, at-200):at+len(secret)])
			}
		}
		if !strings.Contains(text, docker.Host) || !strings.Contains(text, passwordFileOption) {
			t.Error("nothing was read")
		}
	})

	t.Run("a host is deregistered", func(t *testing.T) {
		if status := a.stop(); status != 143 {
			t.Errorf("agent ended with %d", status)
		}
		c.must("deregister", "--yes", docker.Host)
		for path := range c.fullTree() {
			if strings.Contains(path, docker.Host) {
				t.Errorf("%s is left", path)
			}
		}
	})
}

const passwordFileOption = "--zk-password-file"

// awaitMaster waits until the master is in its own list.
func (c *cluster) awaitMaster() {
	c.t.Helper()
	storetest.Eventually(c.t, inTime, func() error {
		if r := c.helios("masters"); r.exit != 0 || strings.TrimSpace(r.out) == "" {
			return errors.New(r.String())
		}
		return nil
	})
}

// TestCredentialsThatDoNotFit are daemons that the tree is closed to: each says so in one sentence, asks rarely, writes
// nothing, and works as soon as its credentials are mended.
func TestCredentialsThatDoNotFit(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	zk := storetest.StartEnsemble(t, 1).Servers()
	c, _ := startMaster(t, zk, masterOptions(t, masterPassword)...)
	c.awaitMaster()
	before := c.fullTree()
	for name, options := range map[string][]string{
		"none":                                {},
		"wrong password":                      agentOptions(t, "wrong"),
		"right password of the wrong account": {"--zk-acl-agent-user", "helios-master", "--zk-password-file", passwordIn(t, agentPassword)},
	} {
		t.Run(name, func(t *testing.T) {
			a, _, admin := startServingAgent(c.seenBy(t), docker, options...)
			a.said(`"error":"([^"]+: zookeeper denies it to [^"]+)"`)
			storetest.Eventually(t, inTime, func() error {
				const sentence = "zookeeper does not let this agent register, whose credentials do not fit"
				if status, checks := health(t, admin); status != http.StatusInternalServerError || !strings.HasPrefix(checks["registration"].Message, sentence) {
					return fmt.Errorf("health: %d %+v", status, checks)
				}
				return nil
			})
			packets := received(t, zk)
			holds(t, 8*time.Second, func() error { return nil }) // asking the server counts as a request
			if n := received(t, zk) - packets; n > 60 {
				t.Errorf("%d requests in 8 s", n)
			} else {
				t.Logf("%d requests in 8 s, those of a master included", n)
			}
			if n := strings.Count(a.log(), "zookeeper denies it"); n > 2 {
				t.Errorf("said %d times: %s", n, a.log())
			}
			a.kill()
			if diff := before.Diff(c.fullTree(), storetest.Rewritten); diff != "" {
				t.Errorf("the tree has changed:\n%s", diff)
			}
		})
	}
	t.Run("a master with a wrong password", func(t *testing.T) {
		wrong, m := startMaster(t, zk, masterOptions(t, "wrong")...)
		m.said(`"error":"([^"]+: zookeeper denies it to user helios-master)"`)
		storetest.Eventually(t, inTime, func() error {
			const sentence = "^registering master [^:]+: never confirmed: .+: zookeeper denies it to user helios-master$"
			status, checks := health(t, "http://"+m.said(`"admin":"([^"]+)"`))
			if status != http.StatusInternalServerError || !regexp.MustCompile(sentence).MatchString(checks["views"].Message) {
				return fmt.Errorf("health: %d %+v", status, checks)
			}
			return nil
		})
		answer, err := http.Get(wrong.api + "/jobs")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), "ZooKeeper denies it to this master") {
			t.Errorf("%d %s, %v", answer.StatusCode, body, err)
		}
		if status := m.stop(); status != 143 {
			t.Errorf("ended with %d", status)
		}
		if diff := before.Diff(c.fullTree(), storetest.Rewritten); diff != "" {
			t.Errorf("the tree has changed:\n%s", diff)
		}
	})
	t.Run("mended", func(t *testing.T) {
		c := c.seenBy(t)
		a := startAgent(c, docker, []string{"HELIOS_ZK_AGENT_PASSWORD=" + agentPassword}, slices.Delete(agentOptions(t, "x"), 1, 3)...)
		c.await(docker.Host, host.Up)
		a.stop()
	})
}

var receivedPattern = regexp.MustCompile(`(?m)^Received: (\d+)$`)

// received is how many requests the server has had.
func received(t *testing.T, addr string) int {
	t.Helper()
	answer, err := storetest.FourLetterWord(addr, "srvr")
	if err != nil {
		t.Fatal(err)
	}
	found := receivedPattern.FindStringSubmatch(answer)
	if found == nil {
		t.Fatalf("srvr: %q", answer)
	}
	n, _ := strconv.Atoi(found[1])
	return n
}

// TestExistingTreeIsProtected is a cluster that was open until helios store acl.
func TestExistingTreeIsProtected(t *testing.T) {
	t.Parallel()
	docker, image := dockertest.New(t), "127.0.0.1:1/"+unique("probe")+":1"
	docker.Load(image, dockertest.Probe(t))
	zk := storetest.StartEnsemble(t, 1).Servers()
	c, open := startMaster(t, zk)
	a := startAgent(c, docker, nil)
	c.await(docker.Host, host.Up)
	id := c.create(job.Job{Image: &image})
	c.deploy(id, docker.Host)
	container := *c.awaitState(id, docker.Host, job.Running).ContainerID
	open.signal(syscall.SIGTERM)
	open.end()
	a.stop()

	protect := func(more ...string) result {
		return helios(t, nil, append([]string{"store", "acl", "--zk", zk}, more...)...)
	}
	options := masterOptions(t, masterPassword)[1:]
	if r := protect(options[:2]...); r.exit != 2 || !strings.Contains(r.err, "agent username and/or digest not set") {
		t.Errorf("without the agents' digest: %s", r)
	}
	if r := protect(append(options, "--zk-cluster-id", "another", "--timeout", "3")...); r.exit == 0 {
		t.Errorf("in another cluster: %s", r)
	}
	r := protect(options...)
	if r.exit != 0 || !strings.HasPrefix(r.out, "/\n") || !strings.Contains(r.out, "\n/config/hosts/"+docker.Host+"/id\n") ||
		!regexp.MustCompile(`\n\d+ nodes have a new access list, 0 had the right one\n/zookeeper/config is left`).MatchString(r.out) {
		t.Errorf("protect: %s", r)
	}
	if r := protect(append(options, "-q")...); r.exit != 0 || !strings.HasPrefix(r.out, "0 nodes have a new access list, ") {
		t.Errorf("again: %s", r)
	}
	if r := helios(t, nil, "store", "acl", "--zk", zk, "--zk-acl-agent-digest", options[3], "--zk-password-file", passwordIn(t, "wrong")); r.exit != 4 ||
		!strings.Contains(r.err, "zookeeper denies it to user helios-master: nobody but zookeeper's superuser") {
		t.Errorf("with a wrong password: %s", r)
	}

	c, _ = startMaster(t, zk, masterOptions(t, masterPassword)...)
	a.args = append(a.args, agentOptions(t, agentPassword)...)
	a.restart()
	c.await(docker.Host, host.Up)
	storetest.Eventually(t, inTime, func() error { return c.runs(id, docker.Host, container) })
	c.undeploy(id, docker.Host)
	c.awaitGone(id, docker.Host)

	// Rotation: the superuser gives all nodes the access lists of new passwords.
	agentDigest := store.NewIdentity("helios-agent", "newer").Digest
	super := passwordIn(t, strings.TrimPrefix(storetest.SuperCredential, "super:"))
	if r := protect("--zk-password-file", passwordIn(t, "new"), "--zk-acl-agent-digest", agentDigest, "--superuser-password-file", super, "-q"); r.exit != 0 ||
		!strings.Contains(r.out, " 0 had the right one\n") {
		t.Errorf("as superuser: %s", r)
	}
	renewed, _ := startMaster(t, zk, "--zk-enable-acls", "--zk-password-file", passwordIn(t, "new"), "--zk-acl-agent-digest", agentDigest)
	renewed.awaitMaster()
}
