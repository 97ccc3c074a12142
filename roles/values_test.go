package roles

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The values of options, as operations §1.4 and §1.6, and agent §1.4 have them.

// judge compares a result, or an error in its place.
func judge(t *testing.T, given string, got any, err error, want any, wantErr string) {
	t.Helper()
	switch {
	case err != nil && err.Error() != wantErr:
		t.Errorf("%s: error %q, want %q", given, err, wantErr)
	case err == nil && wantErr != "":
		t.Errorf("%s: %v, want the error %q", given, got, wantErr)
	case err == nil:
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", given, diff)
		}
	}
}

func TestListenURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want, err string }{
		{"http://0.0.0.0:5801", "0.0.0.0:5801", ""},
		{"tcp://h:1", "h:1", ""},
		{"http://[::]:5801", "[::]:5801", ""},
		{"http://h:1/path?q=1", "h:1", ""},
		{"http://user:pw@h:1", "h:1", ""},
		{"http://h:0", "h:0", ""},
		{"0.0.0.0:5801", "", "Bad address: 0.0.0.0:5801"},
		{"0.0.0.0:5803/port", "", "Bad address: 0.0.0.0:5803/port"},
		{"http://a b:1", "", "Bad address: http://a b:1"},
		{"localhost:5801", "", "hostname can't be null"},
		{"5801", "", "hostname can't be null"},
		{"http://my_host:1", "", "hostname can't be null"},
		{"http://:5801", "", "hostname can't be null"},
		{"http://h:x", "", "hostname can't be null"},
		{"http://localhost", "", "port out of range:-1"},
		{"http://localhost:", "", "port out of range:-1"},
		{"http://h:70000", "", "port out of range:70000"},
	} {
		got, err := listenURL(c.text)
		judge(t, c.text, got, err, c.want, c.err)
	}
}

func TestListenAddressOfSolo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want, err string }{
		{"127.0.0.1:0", "127.0.0.1:0", ""},
		{"http://127.0.0.1:5801", "127.0.0.1:5801", ""},
		{"[::1]:1", "[::1]:1", ""},
		{"5801", "", "--http 5801: want host:port or a URL"},
		{":5801", "", "--http :5801: host is missing before :5801"},
		{"h:70000", "", `--http h:70000: port "70000" is not a number from 0 to 65535`},
		{"http://h", "", "--http http://h: port out of range:-1"},
	} {
		got, err := listenAddress("http", c.text)
		judge(t, c.text, got, err, c.want, c.err)
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	const hint = "\nLabels need to be in the format key=value."
	for _, c := range []struct {
		words []string
		want  map[string]string
		err   string
	}{
		{nil, map[string]string{}, ""},
		{[]string{"role=foo", "xyz=123"}, map[string]string{"role": "foo", "xyz": "123"}, ""},
		{[]string{"A="}, map[string]string{"A": ""}, ""},
		{[]string{"=x"}, map[string]string{"": "x"}, ""},
		{[]string{"A=b=c", "A=d=e"}, map[string]string{"A": "d=e"}, ""},
		{[]string{"A=b", "role"}, nil, "Bad --labels value: role" + hint},
		{[]string{""}, nil, "Bad --labels value: " + hint},
	} {
		got, err := pairs("labels", c.words, hint)
		judge(t, strings.Join(c.words, " "), got, err, c.want, c.err)
	}
	if _, err := pairs("env", []string{"A"}, ""); err == nil || err.Error() != "Bad --env value: A" {
		t.Errorf("--env A: %v", err)
	}
}

func TestPortRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want [2]int
		err  string
	}{
		{"20000:32768", [2]int{20000, 32768}, ""},
		{"1:65536", [2]int{1, 65536}, ""},
		{"1:2:3", [2]int{}, "Bad port range: 1:2:3"},
		{"1", [2]int{}, "Bad port range: 1"},
		{"a:2", [2]int{}, "Bad port range: a:2"},
		{"2:b", [2]int{}, "Bad port range: 2:b"},
		{"", [2]int{}, "Bad port range: "},
		{"5:5", [2]int{}, "Bad port range: 5:5"},
		{"6:5", [2]int{}, "Bad port range: 6:5"},
		{"0:5", [2]int{}, "Bad port range: 0:5"},
		{"1:65537", [2]int{}, "Bad port range: 1:65537"},
	} {
		first, end, err := portRange(c.text)
		judge(t, c.text, [2]int{first, end}, err, c.want, c.err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"127.0.0.1", "::1", "2001:db8::53"} {
		if got, err := addresses([]string{word}); err != nil || len(got) != 1 || got[0].String() != word {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
	for _, word := range []string{"", "localhost", "1.2.3", "1.2.3.4:53", "fe80::1%eth0"} {
		got, err := addresses([]string{"127.0.0.1", word})
		judge(t, word, got, err, nil, "Invalid IP address "+word)
	}
}

func TestBinds(t *testing.T) {
	t.Parallel()
	for _, word := range []string{
		"/etc/hostname:/mnt/hostname:ro", "/a:/b:rw", "/a:/b", "/a", "name:/b", "n-1_x.y:/b:ro", "/a//x:/b/../c", "/a:/b,c", "/ä b:/b c",
	} {
		got, err := binds([]string{word})
		judge(t, word, got, err, []string{word}, "")
	}
	for _, word := range []string{"", ":", "::", ":/b", "/a::ro", "/a:/b:x", "/a:/b:ro:z", "/a:/b:ro,Z"} {
		got, err := binds([]string{"/a:/b", word})
		judge(t, word, got, err, nil, "Invalid bind "+word)
	}
	const behind, absolute = "nothing stands behind the last colon", "the path in the container, %q, must be absolute"
	const root, source = "the path in the container must not be its root", "the source, %q, must be an absolute path or the name of a volume"
	for word, rule := range map[string]string{
		"/a:": behind, "/a::": behind, "/a:/c:": behind, "/a:/c:ro:": behind, "rel:": behind,
		"rel": fmt.Sprintf(absolute, "rel"), "/a:rel": fmt.Sprintf(absolute, "rel"), "/a:ro": fmt.Sprintf(absolute, "ro"), "name:rel:ro": fmt.Sprintf(absolute, "rel"),
		"/": root, "/a:/": root, "/a://": root, "/a:/c/..:ro": root,
		"../x:/c": fmt.Sprintf(source, "../x"), "./x:/c": fmt.Sprintf(source, "./x"), "n:/c": fmt.Sprintf(source, "n"),
		"a b:/c": fmt.Sprintf(source, "a b"), "-x:/c": fmt.Sprintf(source, "-x"), "~/x:/c": fmt.Sprintf(source, "~/x"),
		"/x:/b/": `/b is the path of --bind "/a:/b" already`, "/b": `/b is the path of --bind "/a:/b" already`,
	} {
		got, err := binds([]string{"/a:/b", word})
		judge(t, word, got, err, nil, fmt.Sprintf("--bind %q: %s", word, rule))
	}
}

func TestExtraHosts(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"secrethost:169.254.169.254": "secrethost:169.254.169.254",
		"my_host.x-1:1.2.3.4":        "my_host.x-1:1.2.3.4",
		"h:[::1]":                    "h:::1",
		"h:[2001:db8::5]":            "h:2001:db8::5",
	} {
		got, err := extraHosts([]string{word})
		judge(t, word, got, err, []string{want}, "")
	}
	for _, word := range []string{
		"", ":", "h", "h:", ":1.2.3.4", "h:x", "h:1.2.3", "h:1.2.3.4:5", "h:::1", "h:[::1", "h:::1]", "h:[fe80::1%eth0]",
	} {
		got, err := extraHosts([]string{"a:1.2.3.4", word})
		judge(t, word, got, err, nil, "Invalid ExtraHost "+word)
	}
	const behind, name = "nothing stands behind the last colon", "a host name has neither spaces nor control characters nor #"
	for word, rule := range map[string]string{
		"h:1.2.3.4:": behind, "h:[::1]::": behind,
		"h h:1.2.3.4": name, "h\n:1.2.3.4": name, "h\t:[::1]": name, "h\x01:1.2.3.4": name, "h\u00a0x:1.2.3.4": name, "#h:1.2.3.4": name,
	} {
		got, err := extraHosts([]string{"a:1.2.3.4", word})
		judge(t, word, got, err, nil, fmt.Sprintf("--add-host %q: %s", word, rule))
	}
}

func TestSyslogAddress(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"", "log:514", "fun:123", "log", "127.0.0.1", "[::1]:514", "[::1]", ":514", "log:65535", "log:514/x"} {
		judge(t, word, nil, checkSyslog(word), nil, "")
	}
	for _, word := range []string{
		":", "log:", "log:0", "log:65536", "log:99999", "log:-1", "log:abc", "log:514:1", "::1", "tcp://log:514", "udp://log:514", "a b:514", "log\n:514", "/dev/log",
	} {
		judge(t, word, nil, checkSyslog(word), nil, fmt.Sprintf("--syslog-redirect-to %q: want host:port, the port from 1 to 65535", word))
	}
}

func TestRegistrationTTL(t *testing.T) {
	t.Parallel()
	for minutes, want := range map[int64]time.Duration{
		0: 0, 10: 10 * time.Minute, 9999: 9999 * time.Minute, math.MaxInt32: 153722867 * time.Minute,
	} {
		got, err := registrationTTL(minutes)
		judge(t, fmt.Sprint(minutes), got, err, want, "")
	}
	got, err := registrationTTL(-1)
	judge(t, "-1", got, err, nil, "--zk-registration-ttl -1: want 0 minutes or more")
}

func TestPollEvery(t *testing.T) {
	t.Parallel()
	const bad = `HELIOS_WAIT_INSPECT_INTERVAL_MILLIS: "X" is not a positive number of milliseconds`
	for text, want := range map[string]time.Duration{"": 0, "250": 250 * time.Millisecond} {
		got, err := pollEvery(text)
		judge(t, text, got, err, want, "")
	}
	for _, text := range []string{"0", "-1", "1s", " "} {
		got, err := pollEvery(text)
		judge(t, text, got, err, nil, strings.Replace(bad, "X", text, 1))
	}
}

func TestSinks(t *testing.T) {
	t.Parallel()
	const parts = "Specification of statsd host port has wrong number of parts. Should be host:port"
	for _, c := range []struct {
		check func(string) error
		text  string
		err   string
	}{
		{checkStatsd, "", ""},
		{checkStatsd, "localhost:8125", ""},
		{checkStatsd, "localhost", parts},
		{checkStatsd, "a:1:2", parts},
		{checkStatsd, "a:b", `For input string: "b"`},
		{checkStatsd, "a:", `For input string: ""`},
		{checkFFWD, "", ""},
		{checkFFWD, "localhost:19091", ""},
		{checkFFWD, "localhost", "--ffwd-address localhost: want host:port"},
		{checkFFWD, "localhost:x", "--ffwd-address localhost:x: want host:port"},
	} {
		judge(t, c.text, nil, c.check(c.text), nil, c.err)
	}
	for _, words := range [][]string{nil, {"a:1"}, {"a:1,b:2", "c:3"}, {"[::1]:9092"}, {"a:1, b:2"}} {
		judge(t, strings.Join(words, " "), nil, checkBrokers(words), nil, "")
	}
	for _, word := range []string{"b", ":1", "b:x", "b:70000"} {
		judge(t, word, nil, checkBrokers([]string{"a:1," + word}), nil, "--kafka "+word+": want host:port")
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	master := credentials{role: "master", other: "agent", user: "helios-master", otherUser: "helios-agent"}
	agent := credentials{role: "agent", other: "master", user: "helios-agent", otherUser: "helios-master"}
	with := func(c credentials, change func(*credentials)) credentials {
		change(&c)
		return c
	}
	whole := func(c *credentials) { c.acls, c.password, c.otherDigest = true, "p", "d" }
	for _, c := range []struct {
		name string
		c    credentials
		err  string
	}{
		{"nothing given", master, ""},
		{"a password alone", with(agent, func(c *credentials) { c.password = "p" }), ""},
		{"a password of nobody", with(master, func(c *credentials) { c.password, c.user = "p", "" }), "Master username must be set if a password is set"},
		{"a password of nobody, agent", with(agent, func(c *credentials) { c.password, c.user = "p", "" }), "Agent username must be set if a password is set"},
		{"all there", with(master, whole), ""},
		{"all there, agent", with(agent, whole), ""},
		{"no password", with(master, func(c *credentials) { whole(c); c.password = "" }), "ZooKeeper ACLs enabled but master username and/or password not set"},
		{"no password, agent", with(agent, func(c *credentials) { whole(c); c.password = "" }), "ZooKeeper ACLs enabled but agent username and/or password not set"},
		{"neither user nor password", with(agent, func(c *credentials) { whole(c); c.password, c.user = "", "" }), "ZooKeeper ACLs enabled but agent username and/or password not set"},
		{"no digest", with(master, func(c *credentials) { whole(c); c.otherDigest = "" }), "ZooKeeper ACLs enabled but agent username and/or digest not set"},
		{"no other user, agent", with(agent, func(c *credentials) { whole(c); c.otherUser = "" }), "ZooKeeper ACLs enabled but master username and/or digest not set"},
	} {
		judge(t, c.name, nil, c.c.check(), nil, c.err)
	}
}

func TestFileProblem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	judge(t, "a file", nil, fileProblem(path), nil, "")
	missing := filepath.Join(dir, "b")
	judge(t, "no file", nil, fileProblem(missing), nil, "File not found: '"+missing+"'")
	if os.Geteuid() != 0 {
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		judge(t, "a secret file", nil, fileProblem(path), nil, "Insufficient permissions to read file: '"+path+"'")
	}
}
