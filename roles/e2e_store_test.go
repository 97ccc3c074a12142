package roles_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// ownChroot makes a node of a real ZooKeeper that stands for the root, and returns it as a connection string, and a
// connection for the test itself.
func ownChroot(t *testing.T) (servers, chroot string, conn *zk.Conn) {
	t.Helper()
	address := storetest.ZooKeeper(t)
	conn, _, err := zk.Connect([]string{address}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	chroot = "/" + unique("tree")
	put(t, conn, chroot, "")
	return address + chroot, chroot, conn
}

func put(t *testing.T, conn *zk.Conn, path, data string) {
	t.Helper()
	if _, err := conn.Create(path, []byte(data), 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
}

// destroy deletes a node and all below it, one after the other.
func destroy(t *testing.T, conn *zk.Conn, path string) {
	t.Helper()
	for {
		names, _, err := conn.Children(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			destroy(t, conn, path+"/"+name)
		}
		if err := conn.Delete(path, -1); err != zk.ErrNotEmpty {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

// init gives a tree its id and returns it.
func initCluster(t *testing.T, servers string, args ...string) string {
	t.Helper()
	r := helios(t, nil, append([]string{"store", "init", "--zk", servers}, args...)...)
	said := regexp.MustCompile(`^Cluster has been successfully bootstrapped, cluster id is: (\S+)\n$`).FindStringSubmatch(r.out)
	if r.exit != 0 || r.err != "" || said == nil {
		t.Fatalf("helios store init: %s", r)
	}
	return said[1]
}

func TestClusterIsGivenItsID(t *testing.T) {
	t.Parallel()
	servers, chroot, conn := ownChroot(t)
	id := initCluster(t, servers)
	if exists, _, err := conn.Exists(chroot + "/config/id/" + id); !exists || err != nil || len(id) != 36 {
		t.Errorf("the id is %q, %v", id, err)
	}
	r := helios(t, nil, "store", "init", "--zk", servers)
	if want := "helios store init: Aborting, some nodes already exist: /config, /config/id\n"; r.exit != 1 || r.out != "" || r.err != want {
		t.Errorf("again: %s, want %q", r, want)
	}
	if second := initCluster(t, servers, "--force"); second == id {
		t.Error("two clusters got one id")
	}
	r = helios(t, nil, "store", "init", "--zk", strings.TrimSuffix(servers, chroot)+"/missing", "--timeout", "10")
	if r.exit != 1 || !strings.Contains(r.err, "/missing: the chroot does not exist") {
		t.Errorf("below a chroot that is missing: %s", r)
	}
}

func TestClusterIDGuardsAMaster(t *testing.T) {
	t.Parallel()
	servers, chroot, conn := ownChroot(t)
	id := initCluster(t, servers)
	t.Run("SYS-125 jobs can be listed until the id is deleted", func(t *testing.T) {
		c, _ := startMaster(t, servers, "--zk-cluster-id", id)
		r := c.helios("jobs")
		if r.exit != 0 {
			t.Fatalf("jobs: %s", r)
		}
		if err := conn.Delete(chroot+"/config/id/"+id, -1); err != nil {
			t.Fatal(err)
		}
		storetest.Eventually(t, inTime, func() error {
			if r = c.helios("jobs"); r.exit == 0 || !strings.Contains(r.out+r.err, "500") || !strings.Contains(r.out+r.err, "ZooKeeper cluster ID does not exist") {
				return fmt.Errorf("jobs: %s", r)
			}
			return nil
		})
		put(t, conn, chroot+"/config/id/"+id, "")
		storetest.Eventually(t, inTime, func() error {
			if r = c.helios("jobs"); r.exit != 0 {
				return fmt.Errorf("jobs: %s", r)
			}
			return nil
		})
	})
}

func TestClusterIDGuardsAnAgent(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	image := "127.0.0.1:1/" + docker.Host + "/web:1"
	docker.Load(image, dockertest.Probe(t))
	servers, chroot, conn := ownChroot(t)
	id := initCluster(t, servers)
	c, _ := startMaster(t, servers, "--zk-cluster-id", id)
	a := startAgent(c, docker, nil, "--zk-cluster-id", id)
	c.await(docker.Host, host.Up)
	web := c.create(job.Job{Image: &image, Command: []string{"sleep", "36000"}})
	c.deploy(web, docker.Host)
	container := *c.awaitState(web, docker.Host, job.Running).ContainerID

	t.Run("SYS-126 container runs on when /config is deleted", func(t *testing.T) {
		destroy(t, conn, chroot+"/config")
		holds(t, 3*time.Second, func() error { return runsOnly(docker, web, container) })
	})
	a.kill()
	a.restart()
	a.said(`ZooKeeper cluster ID does not exist`)
	holds(t, 2*time.Second, func() error { return runsOnly(docker, web, container) })
	if exists, _, err := conn.Exists(chroot + "/config"); exists || err != nil {
		t.Errorf("something was written to a tree without the id: %v", err)
	}
	if r := helios(t, nil, "store", "check", "--zk", servers, "--zk-cluster-id", id, "--json"); r.exit != 1 || !strings.Contains(r.out, `"kind":"no-cluster-id"`) {
		t.Errorf("check: %s", r)
	}
}

func TestTreeIsChecked(t *testing.T) {
	t.Parallel()
	servers, chroot, conn := ownChroot(t)
	if r := helios(t, nil, "store", "check", "--zk", servers); r.exit != 1 || !strings.HasPrefix(r.out, "/\n  there is nothing of Helios here, or no more than a cluster id\n") || r.err != "helios store check: 1 finding in 0 nodes\n" {
		t.Errorf("an empty tree: %s", r)
	}
	id := initCluster(t, servers)
	c, _ := startMaster(t, servers, "--zk-cluster-id", id)
	c.awaitMaster() // all that it makes at its start is there
	c.must("register", "h1", "id1")
	web := c.create(job.Job{Image: new("127.0.0.1:1/web:1"), Ports: map[string]job.PortMapping{"http": {InternalPort: 80, ExternalPort: new(int32(8080)), Protocol: "tcp"}}})
	c.deploy(web, "h1")
	if r := helios(t, nil, "store", "check", "--zk", servers, "--zk-cluster-id", id); r.exit != 0 || !regexp.MustCompile(`^nothing is amiss in \d+ nodes\n$`).MatchString(r.out) || r.err != "" {
		t.Errorf("a tree in use: %s", r)
	}
	before := storetest.ReadTree(t, conn, chroot)
	destroy(t, conn, chroot+"/config/hosts/h1/jobs/"+web.String())
	put(t, conn, chroot+"/config/hosts/h2", "")
	r := helios(t, nil, "store", "check", "--zk", servers, "--json")
	var kinds []string
	for line := range strings.Lines(r.out) {
		var finding struct{ Kind, Node, Means, Heals string }
		if err := json.Unmarshal([]byte(line), &finding); err != nil || finding.Means == "" || finding.Heals == "" {
			t.Errorf("%q: %v", line, err)
		}
		kinds = append(kinds, finding.Kind)
	}
	if got, want := strings.Join(kinds, " "), "orphan-port half-registered no-host-node no-host-node host-without-task no-host-node no-host-node"; r.exit != 1 || got != want {
		t.Errorf("found %s, want %s: %s", got, want, r)
	}
	if len(storetest.ReadTree(t, conn, chroot)) != len(before)-2+1 {
		t.Error("the check changed the tree")
	}
	// What is said to heal it, heals it.
	c.deploy(web, "h1")
	c.must("deregister", "--yes", "h2")
	if r := helios(t, nil, "store", "check", "--zk", servers); r.exit != 0 {
		t.Errorf("after the cure: %s", r)
	}
}

func TestTreeWithAccessListsIsChecked(t *testing.T) {
	t.Parallel()
	servers, chroot, conn := ownChroot(t)
	agents := "helios-agent:" + strings.Repeat("A", 27) + "="
	account := []string{"--zk-acl-agent-digest", strings.TrimPrefix(agents, "helios-agent:")}
	env := []string{"HELIOS_ZK_MASTER_PASSWORD=mpass"}
	m := start(t, env, append([]string{
		"master", "--name", unique("master"), "--state-dir", t.TempDir(), "--zk", servers,
		"--http", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0", "--zk-enable-acls",
	}, account...)...)
	c := newCluster(t, "http://"+m.said(`"http":"([^"]+)"`), servers)
	c.awaitMaster()
	c.must("register", "h1", "id1")
	check := func(env []string, more ...string) result {
		return helios(t, env, append([]string{"store", "check", "--zk", servers}, more...)...)
	}
	if r := check(env, account...); r.exit != 0 {
		t.Errorf("a tree with access lists: %s", r)
	}
	if r := check(nil); r.exit != 4 || !strings.Contains(r.err, "zookeeper denies") || strings.Contains(r.err, "mpass") {
		t.Errorf("without a password: %s", r)
	}
	if r := check(nil, account...); r.exit != 2 {
		t.Errorf("with half of an account: %s", r)
	}
	if err := conn.AddAuth("digest", []byte("helios-master:mpass")); err != nil {
		t.Fatal(err)
	}
	put(t, conn, chroot+"/status/masters/open", "")
	if r := check(env, append(account, "--json")...); r.exit != 1 || !strings.Contains(r.out, `"kind":"acl"`) || !strings.Contains(r.out, `"node":"/status/masters/open"`) {
		t.Errorf("a node that is open to all: %s", r)
	}
}
