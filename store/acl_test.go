package store

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	"github.com/google/go-cmp/cmp"
)

func TestDigestOfPassword(t *testing.T) {
	for _, c := range []struct{ user, password, digest string }{
		{"user", "password", "tpUq/4Pn5A64fVZyQ0gOJ8ZWqkY="},
		{"helios-master", "mpass", "VhCK6KTOFfmGelL/fnyCgcns/JQ="},
		{"helios-agent", "apass", "VqAlujDgUMlI304yW55ACDcF+4A="},
	} {
		if got := NewIdentity(c.user, c.password); got != (Identity{c.user, c.digest}) {
			t.Errorf("digest of %s:%s is %s, want %s", c.user, c.password, got.Digest, c.digest)
		}
	}
}

func TestRulesGiveWhatAllThatMatchGrant(t *testing.T) {
	id1, id2 := Identity{"id1", "1"}, Identity{"id2", "2"}
	rules := []rule{
		{whole("/foo.*"), zk.PermDelete, id1},
		{whole("/foo/bar"), zk.PermCreate, id1},
		{whole(".*"), zk.PermRead, id2},
		{whole("/foo/bar/baz"), zk.PermWrite, id2},
	}
	for path, want := range map[string][]zk.ACL{
		"/foo/bar":     {id1.entry(zk.PermCreate | zk.PermDelete), id2.entry(zk.PermRead)},
		"/foo/bar/baz": {id1.entry(zk.PermDelete), id2.entry(zk.PermRead | zk.PermWrite)},
		"/bar/foo/bar": {id2.entry(zk.PermRead)}, // a rule is about whole paths
	} {
		if diff := cmp.Diff(want, aclOf(rules, path)); diff != "" {
			t.Errorf("%s (- wanted, + ours):\n%s", path, diff)
		}
	}
	if got := aclOf(rules[:2], "/elsewhere"); got != nil {
		t.Errorf("no rule matches, yet %v", got)
	}
}

// TestAgentsPermissionsOnEveryNode is the table of zookeeper §5.2 over the whole node map, and what stands beside it.
func TestAgentsPermissionsOnEveryNode(t *testing.T) {
	const j = "job:1:0123456789012345678901234567890123456789"
	master, agent := NewIdentity("helios-master", "mpass"), NewIdentity("helios-agent", "apass")
	rules := ACLs{master, agent}.rules()
	nodes := map[string]int32{
		"/": zk.PermRead, "/zookeeper": zk.PermRead, "/zookeeper/quota": zk.PermRead, "/elsewhere/status/hosts": zk.PermRead,
		"/config": zk.PermRead, "/config/id": zk.PermRead, "/config/id/cluster": zk.PermRead,
		"/config/jobs": zk.PermRead, "/config/jobs/" + j: zk.PermRead, "/config/jobs/" + j + "/creation-1": zk.PermRead,
		"/config/jobs/" + j + "/hosts": zk.PermRead, "/config/jobs/" + j + "/hosts/h": zk.PermRead,
		"/config/jobrefs": zk.PermRead, "/config/jobrefs/job:1": zk.PermRead,
		"/config/hosts": crd, "/config/hosts/h": crd, "/config/hosts/h/id": crd, "/config/hosts/h/ports": crd,
		"/config/hosts/h/id/below": zk.PermRead, "/config/hostsfile": zk.PermRead,
		"/config/hosts/h/jobs": zk.PermRead, "/config/hosts/h/jobs/" + j: zk.PermRead,
		"/config/hosts/h/jobs/" + j + "/creation-1": zk.PermRead, "/config/hosts/h/ports/123": zk.PermRead,
		"/config/deployment-groups": zk.PermRead, "/config/deployment-groups/g": zk.PermRead,
		"/status": zk.PermRead, "/status/hosts": crd, "/status/hosts/h": crd, "/status/hosts/h/jobs": crd,
		"/status/hosts/h/jobs/" + j: rw, "/status/hosts/h/jobs/" + j + "/below": zk.PermRead,
		"/status/hosts/h/agentinfo": rw, "/status/hosts/h/hostinfo": rw, "/status/hosts/h/labels": rw,
		"/status/hosts/h/environment": rw, "/status/hosts/h/up": rw, "/status/hosts/h/other": zk.PermRead,
		"/status/masters": zk.PermRead, "/status/masters/m": zk.PermRead, "/status/masters/m/up": zk.PermRead,
		"/status/deployment-groups": zk.PermRead, "/status/deployment-groups/g": zk.PermRead,
		"/status/deployment-groups/g/hosts": zk.PermRead, "/status/deployment-groups/g/removed": zk.PermRead,
		"/status/deployment-group-tasks": zk.PermRead, "/status/deployment-group-tasks/g": zk.PermRead,
		"/history": zk.PermRead, "/history/jobs": cr, "/history/jobsfile": zk.PermRead, "/history/jobs/" + j: cr,
		"/history/jobs/" + j + "/hosts": cr, "/history/jobs/" + j + "/hosts/h": cr,
		"/history/jobs/" + j + "/hosts/h/events": crd, "/history/jobs/" + j + "/hosts/h/events/1": cr,
	}
	for _, path := range slices.Sorted(maps.Keys(nodes)) {
		want := []zk.ACL{master.entry(crwd), agent.entry(nodes[path])}
		if diff := cmp.Diff(want, aclOf(rules, path)); diff != "" {
			t.Errorf("%s (- wanted, + ours):\n%s", path, diff)
		}
	}
	mapped := strings.NewReplacer("<job>", j, "<name:version>", "job:1", "<host>", "h", "<port>", "123", "<uuid>", "1", "<ms>", "1",
		"<cluster>", "cluster", "<master>", "m", "<group>", "g")
	for _, kind := range NodeMap() {
		path := mapped.Replace(kind.Path)
		if _, asked := nodes[path]; !asked && !kind.Ours {
			t.Errorf("%s is not asked for", path)
		}
		want := []zk.ACL{master.entry(crwd), agent.entry(zk.PermRead)} // agents replace nodes of ours
		if diff := cmp.Diff(want, aclOf(rules, path)); kind.Ours && diff != "" {
			t.Errorf("%s (- wanted, + ours):\n%s", path, diff)
		}
	}
	both := ACLs{master, master}.rules()
	if diff := cmp.Diff([]zk.ACL{master.entry(crwd)}, aclOf(both, "/status/hosts/h/up")); diff != "" {
		t.Errorf("one identity for both (- wanted, + ours):\n%s", diff)
	}
}

func TestAccessListsAreComparedAsSets(t *testing.T) {
	a, b := NewIdentity("a", "1"), NewIdentity("b", "2")
	hidden := func(i Identity) Identity { return Identity{i.User, "x"} }
	wanted := []zk.ACL{a.entry(crwd), b.entry(zk.PermRead)}
	for name, c := range map[string]struct {
		read []zk.ACL
		same bool
	}{
		"the same":                             {wanted, true},
		"another order":                        {[]zk.ACL{wanted[1], wanted[0]}, true},
		"with digests hidden":                  {[]zk.ACL{hidden(b).entry(zk.PermRead), hidden(a).entry(crwd)}, true},
		"one entry less":                       {wanted[:1], false},
		"nothing":                              {nil, false},
		"one entry more":                       {append(zk.WorldACL(zk.PermRead), wanted...), false},
		"other permissions":                    {[]zk.ACL{a.entry(crwd), b.entry(rw)}, false},
		"other permissions and hidden digests": {[]zk.ACL{hidden(a).entry(crwd), hidden(b).entry(rw)}, false},
		"another digest":                       {[]zk.ACL{a.entry(crwd), NewIdentity("b", "3").entry(zk.PermRead)}, false},
		"world":                                {zk.WorldACL(zk.PermAll), false},
	} {
		if got := sameACL(c.read, wanted); got != c.same {
			t.Errorf("%s: same is %v", name, got)
		}
	}
	if got := permissionLetters(zk.PermAll); got != "rwcda" {
		t.Errorf("all permissions are %q", got)
	}
}

// The recorded accounts (testdata/golden/zookeeper/README.md), and the superuser of the servers of tests.
var (
	masterAccount = Credential{User: "helios-master", Password: "mpass"}
	agentAccount  = Credential{User: "helios-agent", Password: "apass"}
	super         = Credential{User: "super", Password: "secret"}
	accessLists   = ACLs{NewIdentity("helios-master", "mpass"), NewIdentity("helios-agent", "apass")}
)

func asMaster(address string) Options {
	return Options{Servers: address, Credential: masterAccount, ACLs: &accessLists}
}

func asAgent(address string) Options {
	return Options{Servers: address, Credential: agentAccount, ACLs: &accessLists}
}
