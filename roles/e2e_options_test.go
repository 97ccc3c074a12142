package roles_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDaemonOptions are command lines that a master or an agent refuses before it does anything. What is wrong with the
// line itself stands below the usage; what is wrong with a value is a line of its own.
func TestDaemonOptions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const gone = "/nonexistent/file"
	for _, c := range []struct {
		args []string
		env  []string
		want string // "error: …" below the usage, or the failure
	}{
		{args: []string{"master", "--bogus"}, want: "error: unrecognized arguments: '--bogus'"},
		{args: []string{"agent", "x"}, want: "error: unrecognized arguments: 'x'"},
		{args: []string{"agent", "--", "x"}, want: "error: unrecognized arguments: 'x'"},
		{args: []string{"master", "--version"}, want: "error: unrecognized arguments: '--version'"},
		{args: []string{"master", "--http"}, want: "error: argument --http: expected one argument"},
		{args: []string{"agent", "--env"}, want: "error: argument --env: expected 1 argument(s)"},
		{args: []string{"agent", "--labels", "-v"}, want: "error: argument --labels: expected 1 argument(s)"},
		{args: []string{"master", "--zk-session-timeout", "abc"}, want: `error: argument --zk-session-timeout: could not convert 'abc' to Integer (For input string: "abc")`},
		{args: []string{"master", "--job-retention", "abc"}, want: `error: argument --job-retention: could not convert 'abc' to Long (For input string: "abc")`},
		{args: []string{"master", "--logconfig", gone}, want: "error: argument --logconfig: File not found: '" + gone + "'"},
		{args: []string{"agent", "--service-registrar-plugin", gone}, want: "error: argument --service-registrar-plugin: File not found: '" + gone + "'"},
		{args: []string{"agent", "--docker-gcp-account-credentials", gone}, want: "error: argument --docker-gcp-account-credentials: File not found: '" + gone + "'"},
		{args: []string{"master", "--zk-acl-a", "x"}, want: "error: ambiguous option: --zk-acl-a could match --zk-acl-agent-digest, --zk-acl-agent-user"},
		{args: []string{"agent", "--syslog=yes"}, want: "error: argument --syslog: ignore implicit argument 'yes'"},

		{args: []string{"agent", "--port-range", "1:2:3"}, want: "Bad port range: 1:2:3"},
		{args: []string{"agent", "--port-range", "1000:80000"}, want: "Bad port range: 1000:80000"},
		{args: []string{"agent", "--dns", "127.0.0.1", "--dns", "localhost"}, want: "Invalid IP address localhost"},
		{args: []string{"agent", "--bind", ":"}, want: "Invalid bind :"},
		{args: []string{"agent", "--add-host", ":1.2.3.4"}, want: "Invalid ExtraHost :1.2.3.4"},
		{args: []string{"agent", "--env", "A=b", "C"}, want: "Bad --env value: C"},
		{args: []string{"agent", "--labels", "role=foo", "xyz"}, want: "Bad --labels value: xyz\nLabels need to be in the format key=value."},
		{args: []string{"agent", "--http", "0.0.0.0:5803"}, want: "Bad address: 0.0.0.0:5803"},
		{args: []string{"agent", "--admin", "localhost:5804"}, want: "hostname can't be null"},
		{args: []string{"master", "--http", "http://h:70000"}, want: "port out of range:70000"},
		{args: []string{"master", "--admin", "http://localhost"}, want: "port out of range:-1"},
		{args: []string{"agent", "--no-http", "--http", "http://localhost"}, want: "port out of range:-1"},
		{args: []string{"agent", "--docker-use-gcp-application-default-credentials", "--docker-gcp-account-credentials", file}, want: "Cannot set both docker_gcp_account_credentials and docker_use_gcp_application_default_credentials"},
		{args: []string{"agent", "--id", "a/b", "--no-http"}, want: `agent id "a/b" of --id: only letters, digits and _.- may stand in it, for it becomes part of container names`},
		{args: []string{"agent"}, env: []string{"HELIOS_WAIT_INSPECT_INTERVAL_MILLIS=x"}, want: `HELIOS_WAIT_INSPECT_INTERVAL_MILLIS: "x" is not a positive number of milliseconds`},

		{args: []string{"master", "--statsd-host-port", "localhost"}, want: "Specification of statsd host port has wrong number of parts. Should be host:port"},
		{args: []string{"agent", "--ffwd-enabled", "--ffwd-address", "localhost"}, want: "--ffwd-address localhost: want host:port"},
		{args: []string{"agent", "--kafka", "a:1", "--kafka", "b"}, want: "--kafka b: want host:port"},
		{args: []string{"agent", "--zk-acl-agent-user", "", "--zk-acl-agent-password", "p"}, want: "Agent username must be set if a password is set"},
		{args: []string{"master", "--zk-enable-acls"}, want: "ZooKeeper ACLs enabled but master username and/or password not set"},
		{args: []string{"master", "--zk-enable-acls"}, env: []string{"HELIOS_ZK_MASTER_PASSWORD=p"}, want: "ZooKeeper ACLs enabled but agent username and/or digest not set"},
		{args: []string{"agent", "--zk-enable-acls", "--zk-acl-agent-password", "p"}, env: []string{"HELIOS_ZK_AGENT_PASSWORD="}, want: "ZooKeeper ACLs enabled but agent username and/or password not set"},

		{args: []string{"agent", "--zk-enable-acls", "--zk-acl-master-digest", "d"}, env: []string{"HELIOS_ZK_AGENT_PASSWORD=p"}, want: "the digest of zookeeper user helios-master is not the base64 of a SHA-1 of user:password, 28 characters"},
		{args: []string{"master", "--zk-acl-master-user", "a:b", "--zk-acl-master-password", "p"}, want: `zookeeper user "a:b" contains a colon`},
		{args: []string{"agent", "--zk-password-file", gone}, want: "password: open " + gone + ": no such file or directory"},
		{args: []string{"agent", "--zk-password-file", file}, want: "password: " + file + " is empty"},
		{args: []string{"agent", "--zk-password-file", file, "--zk-acl-agent-password", "p"}, want: "--zk-password-file beside --zk-acl-agent-password or HELIOS_ZK_AGENT_PASSWORD: only one of them can be the password"},
		{args: []string{"master", "--zk-password-file", file}, env: []string{"HELIOS_ZK_MASTER_PASSWORD="}, want: "--zk-password-file beside --zk-acl-master-password or HELIOS_ZK_MASTER_PASSWORD: only one of them can be the password"},
		{args: []string{"agent", "--service-registry", "x"}, want: "--service-registry: this version does not have what it asks for"},
		{args: []string{"master", "--reap-history"}, want: "--reap-history: this version does not have what it asks for"},
		{args: []string{"master", "--job-retention", "30"}, want: "--job-retention: this version does not remove anything by itself; 0 says so"},
	} {
		r := helios(t, c.env, c.args...)
		program := "helios-" + c.args[0]
		lines, usage := "", strings.HasPrefix(c.want, "error: ")
		if at := strings.LastIndex(r.err, program+": "); at >= 0 {
			lines = r.err[at:]
		}
		if r.exit != 1 || r.out != "" || lines != program+": "+c.want+"\n" {
			t.Errorf("%v: %s\nwant %s", c.args, r, c.want)
		}
		if before := strings.TrimSuffix(r.err, lines); strings.HasPrefix(before, "usage: "+program+" ") != usage || !usage && before != "" {
			t.Errorf("%v: %s", c.args, r)
		}
	}
}

// TestDaemonHelp wants the whole help on stdout, whatever else is on the line before it, and success.
func TestDaemonHelp(t *testing.T) {
	t.Parallel()
	for role, summary := range map[string]string{
		"master": "Spotify Helios Master", "agent": "Spotify Helios Agent", "solo": "A whole cluster in one process, for local development; helios solo backup, restore and check tend its state",
	} {
		for _, args := range [][]string{{role, "--help"}, {role, "-h"}, {role, "-v", "--name", "x", "--he", "--bogus"}} {
			r := helios(t, nil, args...)
			if r.exit != 0 || r.err != "" || !strings.HasPrefix(r.out, "usage: ") || !strings.Contains(r.out, "\n"+summary+"\n") ||
				!strings.Contains(r.out, "--name NAME") || strings.Contains(r.out, "no-log-setup") {
				t.Errorf("%v: %s", args, r)
			}
		}
	}
}

// TestIdleOptionsAreWarnedOfOnce are options that a daemon takes for the sake of old command lines.
func TestIdleOptionsAreWarnedOfOnce(t *testing.T) {
	t.Parallel()
	master := start(t, nil, "master", "--state-dir", t.TempDir(), "--name", "m", "--zk", "127.0.0.1:1",
		"--http", "http://127.0.0.1:0", "--admin", "http://127.0.0.1:0", "--no-log-setup", "-vvvv", "--syslog",
		"--kafka", "a:1,b:2", "--sentry-dsn", "x", "--no-metrics", "--statsd-host-port", "ignored", "--domain", "", "--job-retention", "-1",
		"--agent-reaping-timeout=0", "--whitelisted", "IPC_LOCK", "--ffwd-interval", "5")
	if got, want := master.said(`"options":(\[.*?\])`), `["--sentry-dsn","--kafka","--syslog","--no-log-setup"]`; got != want {
		t.Errorf("warned of %s, want %s", got, want)
	}
	agent := start(t, []string{"CONTAINER_STATS=1", "HELIOS_WAIT_INSPECT_INTERVAL_MILLIS=250"}, "agent", "--state-dir", t.TempDir(), "--name", "a",
		"--zk", "127.0.0.1:1", "--no-http", "--no-zk-registration", "--docker-connection-pool-size", "7", "--docker", "unix:///nonexistent")
	if got, want := agent.said(`"options":(\[.*?\])`), `["--docker-connection-pool-size","--no-zk-registration"]`; got != want {
		t.Errorf("warned of %s, want %s", got, want)
	}
	agent.said(`agent (starts)`)
	for _, p := range []*process{master, agent} {
		if status := p.stop(); status != 143 {
			t.Errorf("helios %s ended with %d", p.args[0], status)
		}
	}
}
