package cliui

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAPersonWithoutAMasterIsToldHowToGetOne(t *testing.T) {
	const hint = "hint: start a cluster on this machine with 'helios solo', or name a master with -z\n"
	for _, tty := range []bool{true, false} {
		got := run(t, []string{"masters"}, nil, "", func(o *Options) { o.Streams.TTY = tty })
		if got.Exit != 1 || strings.HasSuffix(got.Stderr, "to connect to\n"+hint) != tty || strings.Contains(got.Stderr, "hint: ") != tty {
			t.Errorf("terminal %v: %+v", tty, got)
		}
	}
}

// TestBadInput holds that what cannot be right is refused with the original's
// message before anything is sent.
func TestBadInput(t *testing.T) {
	const noMasters = "no masters specified.  Use the -z or -d option to specify which helios cluster/master to connect to"
	for _, c := range []struct {
		name   string
		args   []string
		env    map[string]string
		file   string // the job file job.json
		config string // the configuration file
		stdout string
		stderr string // its last line
	}{
		{name: "no masters", args: []string{"masters"}, stderr: "helios: error: " + noMasters},
		{name: "an empty list of domains", args: []string{"masters", "-d", ",", "-d", ""}, stderr: "helios: error: " + noMasters},
		{name: "an endpoint that is no URI", args: []string{"masters", "-z", "127.0.0.1:7801"}, stderr: `master endpoint "127.0.0.1:7801" is not a valid URI`},
		{name: "an endpoint with a blank", args: []string{"masters", "-z", "http://a b:1"}, stderr: `master endpoint "http://a b:1" is not a valid URI`},
		{name: "an endpoint without port", args: []string{"masters", "-z", "http://127.0.0.1"}, stderr: `Master endpoints must be of the form "[http|https]://<hostname>:<port>"`},
		{name: "an endpoint of another scheme", args: []string{"masters", "-z", "ftp://127.0.0.1:1"}, stderr: `Master endpoints must be of the form "[http|https]://<hostname>:<port>"`},
		{name: "a time-out that is no number", args: []string{"masters", "-z", "ENDPOINT"}, env: map[string]string{"HELIOS_CLI_HTTP_TIMEOUT": "y"}, stderr: `For input string: "y"`},
		{name: "another one", args: []string{"masters", "-z", "ENDPOINT"}, env: map[string]string{"HELIOS_CLI_TOTAL_TIMEOUT": ""}, stderr: `For input string: ""`},
		{name: "a negative time-out", args: []string{"masters", "-z", "ENDPOINT", "--http-timeout", "-1"}, stderr: "timeouts can't be negative: -1"},
		{name: "HELIOS_MASTER without scheme", args: []string{"masters"}, env: map[string]string{"HELIOS_MASTER": "foo"}, stderr: "Your environment variable HELIOS_MASTER=foo is not a valid URI with a scheme."},
		{name: "an empty HELIOS_MASTER", args: []string{"masters"}, env: map[string]string{"HELIOS_MASTER": ""}, stderr: "Your environment variable HELIOS_MASTER= is not a valid URI with a scheme."},
		{name: "HELIOS_MASTER of another scheme", args: []string{"masters"}, env: map[string]string{"HELIOS_MASTER": "ftp://x"}, stderr: "Your environment variable HELIOS_MASTER=ftp://x does not have a valid scheme."},
		{name: "HELIOS_MASTER without a domain", args: []string{"masters"}, env: map[string]string{"HELIOS_MASTER": "domain://a_b"}, stderr: "Your environment variable HELIOS_MASTER=domain://a_b does not name a domain."},
		{name: "a configuration that is cut off", args: []string{"masters"}, config: "{\n\"domains\": [\"a\"]", stderr: "CONFIG: 2: Expecting close brace } or a comma, got end of file"},
		{name: "one that is no JSON", args: []string{"masters"}, config: "{\n\"domains\": a}", stderr: "CONFIG: 2: invalid character 'a' looking for beginning of value"},
		{name: "one that is no object", args: []string{"masters"}, config: `[1]`, stderr: "CONFIG: 1: not a JSON object"},
		{name: "one with a member of the wrong type", args: []string{"masters"}, config: `{"masterEndpoints":"http://a:1"}`, stderr: "CONFIG: masterEndpoints is not a list of strings"},
		{name: "one with an endpoint that is no URI", args: []string{"masters"}, config: `{"masterEndpoints":["http://a b"]}`, stderr: `CONFIG: master endpoint "http://a b" is not a valid URI`},
		{name: "a broken one where domains need its service name", args: []string{"masters", "-d", "x"}, config: `{`, stderr: "CONFIG: 1: Expecting close brace } or a comma, got end of file"},

		{name: "a command of later", args: []string{"list-deployment-groups", "-z", "ENDPOINT"}, stderr: "helios: this version does not have the command list-deployment-groups"},
		{name: "a host without a name", args: []string{"register", "", "x", "-z", "ENDPOINT"}, stdout: "You must specify the hostname and id."},

		{name: "create without image", args: []string{"create", "foo:1"}, stderr: "Please specify a file, or a template, or a job name, version and container image"},
		{name: "create with two bases", args: []string{"create", "-f", "job.json", "-t", "x"}, stderr: "Please use only one of -t/--template and -f/--file"},
		{name: "create from no file", args: []string{"create", "-f", "nofile.json"}, stderr: "Cannot read file nofile.json"},
		{name: "create from a directory", args: []string{"create", "-f", "."}, stderr: "Cannot read file ."},
		{name: "create from an empty file", args: []string{"create", "-f", "job.json"}, file: " ", stderr: "job.json: No content to map due to end-of-input"},
		{name: "create with an id of four parts", args: []string{"create", "a:1:2:3", "busybox"}, stderr: "Invalid Job id: a:1:2:3"},
		{name: "create with an id of none", args: []string{"create", "::", "busybox"}, stderr: "Invalid Job id: ::"},
		{name: "create without version", args: []string{"create", "foo", "busybox"}, stdout: "Job version was not specified in job id [foo:null].\n"},
		{name: "create without an id", args: []string{"create", "-f", "job.json"}, file: `{"image":"b"}`, stdout: "Job name was not specified.\nJob version was not specified in job id [null:null].\n"},
		{name: "problems as JSON", args: []string{"create", "foo:1", "busybox", "-p", "a=1/x", "--json"}, stdout: `{"errors":["Invalid port mapping protocol: x"],"id":"foo:1","status":"INVALID_JOB_DEFINITION"}` + "\n"},
		{name: "environment", args: []string{"create", "foo:1", "busybox", "--env", "A"}, stderr: "Bad format for environment variable: 'A', expecting =-delimited pairs"},
		{name: "metadata", args: []string{"create", "foo:1", "busybox", "-m", "A"}, stderr: "Bad format for metadata: 'A', expecting =-delimited pairs"},
		{name: "labels", args: []string{"create", "foo:1", "busybox", "--labels", "x"}, stderr: "Bad format for labels: 'x', expecting =-delimited pairs"},
		{name: "rollout options", args: []string{"create", "foo:1", "busybox", "--rollout-options", "x"}, stderr: "Bad format for rollout_options: 'x', expecting =-delimited pairs"},
		{name: "port", args: []string{"create", "foo:1", "busybox", "-p", "smtp=localhost:53:53/udp"}, stderr: "Bad port mapping: smtp=localhost:53:53/udp"},
		{name: "port address", args: []string{"create", "foo:1", "busybox", "-p", "m=999.999.999.999:23:23/tcp"}, stderr: "999.999.999.999 is not a valid IP address."},
		{name: "port number", args: []string{"create", "foo:1", "busybox", "-p", "x=99999999999"}, stderr: `For input string: "99999999999"`},
		{name: "external port number", args: []string{"create", "foo:1", "busybox", "-p", "x=1:99999999999"}, stderr: `For input string: "99999999999"`},
		{name: "port name twice", args: []string{"create", "foo:1", "busybox", "-p", "a=1", "-p", "a=2"}, stderr: "Duplicate port mapping name: a"},
		{name: "registration", args: []string{"create", "foo:1", "busybox", "-p", "a=1", "-r", "w"}, stderr: "Bad registration: w"},
		{name: "registration without ports", args: []string{"create", "foo:1", "busybox", "-r", "web=a"}, stderr: "Need port mappings for service registration."},
		{name: "registration of which port", args: []string{"create", "foo:1", "busybox", "-p", "a=1", "-p", "b=2", "-r", "web"}, stderr: "Need exactly one port mapping for implicit service registration"},
		{name: "expiry", args: []string{"create", "foo:1", "busybox", "-e", "tomorrow"}, stderr: `Invalid format: "tomorrow" is malformed at "omorrow"`},
		{name: "two health checks", args: []string{"create", "foo:1", "busybox", "--exec-check", "x", "--tcp-check", "y"}, stderr: "Only one health check may be specified."},
		{name: "health check without port", args: []string{"create", "foo:1", "busybox", "--http-check", ":/x"}, stderr: "You must specify a port for an HTTP health check."},
		{name: "health check without path", args: []string{"create", "foo:1", "busybox", "--http-check", "x:"}, stderr: "You must specify a URL path for an HTTP health check."},
		{name: "health check of neither", args: []string{"create", "foo:1", "busybox", "--http-check", "nope"}, stderr: "Invalid HTTP health check: nope"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			home := t.TempDir()
			config := filepath.Join(home, ".helios", "config")
			if c.config != "" {
				if err := os.Mkdir(filepath.Dir(config), 0o700); err != nil {
					t.Fatal(err)
				}
				write(t, config, c.config)
			}
			write(t, "job.json", c.file)
			endpoint := scripted(t)
			args := c.args
			if args[0] == "create" {
				args = append([]string{"-z", endpoint}, args...)
			}
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "ENDPOINT", endpoint)
			}
			env := map[string]string{"HOME": home}
			for name, value := range c.env {
				env[name] = value
			}
			got := run(t, args, env, "")
			lines := strings.Split(strings.TrimSuffix(got.Stderr, "\n"), "\n")
			want := strings.ReplaceAll(c.stderr, "CONFIG", config)
			if got.Exit != 1 || got.Stdout != c.stdout || lines[len(lines)-1] != want {
				t.Errorf("exit %d\nstdout %q\nstderr %q\nwant   %q", got.Exit, got.Stdout, got.Stderr, want)
			}
			if complains := strings.HasPrefix(want, "helios: error: "); !complains && len(lines) > 1 {
				t.Errorf("stderr has %d lines:\n%s", len(lines), got.Stderr)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestExpiry(t *testing.T) {
	tokyo := time.FixedZone("", 9*3600)
	for _, c := range []struct{ text, want string }{
		{"2030-06-01T12:00:00Z", "2030-06-01T12:00:00Z"},
		{"2030-06-01t12:00:00z", "2030-06-01T12:00:00Z"},
		{"2030-06-01T12:00:00+02:00", "2030-06-01T10:00:00Z"},
		{"2030-06-01T12:00:00-0230", "2030-06-01T14:30:00Z"},
		{"2030-06-01T12:00:00", "2030-06-01T03:00:00Z"},
		{"2030-06-01T12:00", "2030-06-01T03:00:00Z"},
		{"2030-06-01T12", "2030-06-01T03:00:00Z"},
		{"2030-06-01T12.5", "2030-06-01T03:30:00Z"},
		{"2030-06-01T12:00:00.1239Z", "2030-06-01T12:00:00.123Z"},
		{"2030-06-01T", "2030-05-31T15:00:00Z"},
		{"2030-06-01", "2030-05-31T15:00:00Z"},
		{"2030-06", "2030-05-31T15:00:00Z"},
		{"2030", "2029-12-31T15:00:00Z"},
		{"2028-02-29T00:00Z", "2028-02-29T00:00:00Z"},
		{"T12:00Z", "1970-01-01T12:00:00Z"},
		{"", `Invalid format: ""`},
		{"tomorrow", `Invalid format: "tomorrow" is malformed at "omorrow"`},
		{"x", `Invalid format: "x"`},
		{"2030-", `Invalid format: "2030-" is too short`},
		{"2030-06-01 12:00", `Invalid format: "2030-06-01 12:00" is malformed at " 12:00"`},
		{"2030-06-01Z", `Invalid format: "2030-06-01Z" is malformed at "Z"`},
		{"2030-06-01T12:00:00.", `Invalid format: "2030-06-01T12:00:00." is too short`},
		{"2030-06-01T12:00:00ZZ", `Invalid format: "2030-06-01T12:00:00ZZ" is malformed at "Z"`},
		{"2030-13-01", `Cannot parse "2030-13-01": Value 13 for monthOfYear must be in the range [1,12]`},
		{"2030-02-29", `Cannot parse "2030-02-29": Value 29 for dayOfMonth must be in the range [1,28]`},
		{"2030-06-01T24:00", `Cannot parse "2030-06-01T24:00": Value 24 for hourOfDay must be in the range [0,23]`},
	} {
		moment, err := parseExpiry(c.text, tokyo)
		got := moment.Format(time.RFC3339Nano)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: got %s, want %s", c.text, got, c.want)
		}
	}
}

func FuzzExpiry(f *testing.F) {
	for _, seed := range []string{"2030-06-01T12:00:00.5+02:00", "T12", "2030-W01", "-1", "999999999-12-31T23:59:59.999999999-23:59"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		moment, err := parseExpiry(text, time.UTC)
		if err != nil {
			return
		}
		again, err := parseExpiry(moment.Format("2006-01-02T15:04:05.000Z"), time.UTC)
		if year := moment.Year(); year >= 0 && year <= 9999 && (err != nil || !again.Equal(moment)) {
			t.Errorf("%q is %v, and that %v, %v", text, moment, again, err)
		}
	})
}

func TestPortSyntax(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"http=8080:80", "http=:8080:80/tcp"},
		{"foo=4711:80/tcp", "foo=:4711:80/tcp"},
		{"dns=53:53/udp", "dns=:53:53/udp"},
		{"bar=4711", "bar=:4711/tcp"},
		{"smtp=0.0.0.0:53:53/udp", "smtp=0.0.0.0:53:53/udp"},
		{"qux=10.99.0.1:1001:1002", "qux=10.99.0.1:1001:1002/tcp"},
		{"a=127.0.0.1:4711", "a=127.0.0.1:4711/tcp"},
		{"a-b_c=1:2/sctp", "a-b_c=:1:2/sctp"},
		{"http8080:80", "Bad port mapping: http8080:80"},
		{"foo=80:4711:80/tcp", "Bad port mapping: foo=80:4711:80/tcp"},
		{"=53:53/udp", "Bad port mapping: =53:53/udp"},
		{"foo", "Bad port mapping: foo"},
		{"a=1x2x3x4:80", "Bad port mapping: a=1x2x3x4:80"},
		{"a=1\n", "Bad port mapping: a=1\n"},
	} {
		ports, err := parsePorts([]string{c.spec})
		got := strings.Join(mapped(ports, portText), "")
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.spec, got, c.want)
		}
	}
}

func TestExecCheckIsSplitAtEachBlank(t *testing.T) {
	for text, want := range map[string]string{
		"ping google.com": "ping|google.com",
		"a  b ":           "a||b",
		"":                "",
		"  ":              "",
	} {
		got := splitCommand(text)
		if strings.Join(got, "|") != want || (text == "  ") != (len(got) == 0) {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestHundredthsRoundHalfUp(t *testing.T) {
	for x, want := range map[float64]string{0: "0.00", 0.1: "0.10", 0.125: "0.13", 0.145: "0.15", 0.534338: "0.53", 10.42: "10.42", 0.999: "1.00", -1: "-1.00", -0.001: "0.00"} {
		if got := hundredths(x); got != want {
			t.Errorf("%g: got %s, want %s", x, got, want)
		}
	}
}
