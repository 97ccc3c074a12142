package cliui

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// words splits a line at blanks; ” stands for an empty word, _ for a blank.
func words(line string) []string {
	split := strings.Fields(line)
	for i, word := range split {
		split[i] = strings.ReplaceAll(strings.ReplaceAll(word, "”", ""), "_", " ")
	}
	return split
}

func TestNormalize(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"global options stand before the command", "-z a masters", "--master=a masters"},
		{"and after it", "masters -z a", "--master=a masters"},
		{"both places of a repeatable option add up in order", "-d b masters -d a", "--domains=b --domains=a masters"},
		{"the last one of a single-valued option wins", "-u a jobs -u b", "--username=b jobs"},
		{"verbosity counts over both places", "-vv jobs -v --verbose", "--verbose --verbose --verbose --verbose jobs"},
		{"a flag counts once", "jobs --json --json", "--json jobs"},
		{"a long option takes its value after =", "jobs --master=a", "--master=a jobs"},
		{"only the first = ends its name", "create --env=A=b=c", "create --env=A=b=c"},
		{"a long option's value may be empty", "create --token=", "create --token="},
		{"a short option takes its value attached", "-za jobs", "--master=a jobs"},
		{"flags can be combined", "jobs -fq", "jobs -f -q"},
		{"a global flag among them", "jobs -vq", "--verbose jobs -q"},
		{"an option with a value may end the group", "create -qp x=1 a:1 b", "create -q --port=x=1 -- a:1 b"},
		{"its value may be attached", "create -qpx=1 a:1 b", "create -q --port=x=1 -- a:1 b"},
		{"a long option may be abbreviated", "jobs --js", "--json jobs"},
		{"with its value too", "masters --mas a", "--master=a masters"},
		{"an exact name wins over longer ones", "status --job x", "status --job=x"},
		{"a command may be abbreviated", "mast", "masters"},
		{"an exact command wins over longer ones", "create", "create"},
		{"and so do watch, inspect and stop", "stop j h", "stop -- j h"},
		{"the name of a role is a word like others", "master", "masters"},
		{"options and single operands interleave", "create foo:1 -p x=1 busybox -- cmd", "create --port=x=1 -- foo:1 busybox cmd"},
		{"after -- everything is an operand", "create foo:2 busybox -- cmd -q --json -- x", "create -- foo:2 busybox cmd -q --json -- x"},
		{"-- does not end a run of operands", "deploy j h1 -- h2", "deploy -- j h1 h2"},
		{"-- needs nothing after it", "deploy j h1 --", "deploy -- j h1"},
		{"a negative number is an operand", "create foo:1 busybox -5", "create -- foo:1 busybox -5"},
		{"and a value", "rolling-update j g -p -1", "rolling-update --par=-1 -- j g"},
		{"a single dash is a value", "create -f -", "create --file=-"},
		{"an empty word is an operand", "jobs ”", "jobs -- ”"},
		{"an optional value is taken if it is there", "create --token t a:1 b", "create --token=t -- a:1 b"},
		{"it is not if an option follows", "create a:1 b --token -q", "create -q -- a:1 b"},
		{"nor at the end", "hosts --status", "hosts"},
		{"nor at --", "create a:1 b --token -- cmd", "create -- a:1 b cmd"},
		{"a bare option takes back an earlier value", "create a:1 b --token x --token", "create -- a:1 b"},
		{"numbers are written plainly", "create a:1 b --grace-period=+007", "create --grace-period=7 -- a:1 b"},
		{"a choice is taken as it is", "hosts --status DOWN", "hosts --status=DOWN"},
		{"google credentials take any value", "masters --google-credentials no", "--google-credentials=no masters"},
		{"a list of operands may stand between options", "deploy --token t j h1 h2 --watch", "deploy --token=t --watch -- j h1 h2"},
		{"selectors take one word each", "hosts blah -s foo=bar -s a_in_(b,c)", "hosts --selector=foo=bar --selector=a_in_(b,c) -- blah"},
		{"help is all that is left of a line", "jobs -q --help --bogus", "jobs --help"},
		{"also in a group", "-vh", "--help"},
		{"the version, too", "-v --version bogus", "--version"},
		{"after a command", "jobs --version", "jobs --version"},
	} {
		t.Run(c.name, func(t *testing.T) {
			syntax := clientSyntax(nil)
			got, err := syntax.Normalize(words(c.line))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(words(c.want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			again, err := syntax.Normalize(got)
			if err != nil || !slices.Equal(again, got) {
				t.Errorf("normal input becomes %q, %v", again, err)
			}
		})
	}
}

func TestNormalizeRefuses(t *testing.T) {
	choices := "'create', 'remove', 'inspect', 'deploy', 'undeploy', 'start', 'stop', 'history', 'jobs', 'status', 'watch', 'hosts', 'register', 'deregister', 'masters', 'create-deployment-group', 'remove-deployment-group', 'list-deployment-groups', 'inspect-deployment-group', 'deployment-group-status', 'watch-deployment-group', 'rolling-update', 'stop-deployment-group', 'version'"
	for _, c := range []struct{ line, command, want string }{
		{"", "", "too few arguments"},
		{"-v", "", "too few arguments"},
		{"deploy", "deploy", "too few arguments"},
		{"deploy foo", "deploy", "too few arguments"},
		{"bogus", "", "invalid choice: 'bogus' (choose from " + choices + ")"},
		{"jobss", "", "invalid choice: 'jobss' (choose from " + choices + ")\n\nDid you mean:\n\tjobs"},
		{"manual", "", "invalid choice: 'manual' (choose from " + choices + ")"},
		{"creat", "", "ambiguous command: creat could match create, create-deployment-group"},
		{"st", "", "ambiguous command: st could match start, status, stop, stop-deployment-group"},
		{"rem", "", "ambiguous command: rem could match remove, remove-deployment-group"},
		{"masters extra more", "masters", "unrecognized arguments: 'extra'"},
		{"masters --bogus=1", "masters", "unrecognized arguments: '--bogus=1'"},
		{"masters --jsom", "masters", "unrecognized arguments: '--jsom'\n\nDid you mean:\n\t--json"},
		{"jobs -qx", "jobs", "unrecognized arguments: '-qx'"},
		{"-q jobs", "", "unrecognized arguments: '-q'"},
		{"-- masters", "", "unrecognized arguments: 'masters'"},
		{"masters -5", "masters", "unrecognized arguments: '-5'"},
		{"deploy foo h1 --token t h2", "deploy", "unrecognized arguments: 'h2'"},
		{"rolling-update foo g --parallelism 3", "rolling-update", "unrecognized arguments: '--parallelism'"},
		{"masters -z", "masters", "argument -z/--master: expected one argument"},
		{"masters -z --json", "masters", "argument -z/--master: expected one argument"},
		{"masters -z -- a", "masters", "argument -z/--master: expected one argument"},
		{"masters --google-credentials", "masters", "argument --google-credentials: expected one argument"},
		{"hosts -s", "hosts", "argument -s/--selector: expected one argument"},
		{"--http-timeout x masters", "", `argument --http-timeout: could not convert 'x' to Integer (For input string: "x")`},
		{"masters --http-timeout 3000000000", "masters", `argument --http-timeout: could not convert '3000000000' to Integer (For input string: "3000000000")`},
		{"create --grace-period=", "create", `argument --grace-period: could not convert '' to Integer (For input string: "")`},
		{"rolling-update j g --par x", "rolling-update", `argument -p/--par: could not convert 'x' to Integer (For input string: "x")`},
		{"rolling-update j g -t x", "rolling-update", `argument -t/--timeout: could not convert 'x' to Long (For input string: "x")`},
		{"hosts --status up", "hosts", "argument --status: invalid choice: 'up' (choose from {UP,DOWN})"},
		{"hosts --status=DWN", "hosts", "argument --status: invalid choice: 'DWN' (choose from {UP,DOWN})"},
		{"create --e A=1 foo:1 busybox", "create", "ambiguous option: --e could match --env, --exec-check, --expires"},
		{"create --e=A", "create", "ambiguous option: --e could match --env, --exec-check, --expires"},
		{"jobs --json=false", "jobs", "argument --json: ignore implicit argument 'false'"},
		{"jobs --verbose=2", "jobs", "argument -v/--verbose: ignore implicit argument '2'"},
		{"jobs --help=x", "jobs", "argument -h/--help: ignore implicit argument 'x'"},
	} {
		t.Run(c.line, func(t *testing.T) {
			got, err := clientSyntax(nil).Normalize(words(c.line))
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok {
				t.Fatalf("got %q, %v", got, err)
			}
			if e.Error() != c.want {
				t.Errorf("got  %q\nwant %q", e.Error(), c.want)
			}
			command := ""
			if e.Command != nil {
				command = e.Command.Name
			}
			if command != c.command {
				t.Errorf("the mistake is in %q, want %q", command, c.command)
			}
		})
	}
}

// daemon has every kind of option of testdata/spec/6-operations.md §1.1.
var daemon = &Syntax{
	Program: "helios-agent",
	Options: []Option{
		{Short: "h", Long: "help", Takes: Ends},
		{Short: "v", Long: "verbose", Takes: Count},
		{Long: "http", Takes: One},
		{Long: "zk-session-timeout", Takes: One, Kind: Integer},
		{Long: "job-retention", Takes: One, Kind: Long},
		{Long: "syslog"},
		{Long: "syslog-redirect-to", Takes: One},
		{Long: "kafka", Takes: One, Repeat: true},
		{Long: "env", Takes: Many},
		{Long: "labels", Takes: Many},
		{Long: "zk-acl-agent-user", Takes: One},
		{Long: "zk-acl-agent-digest", Takes: One},
	},
}

func TestNormalizeOfADaemon(t *testing.T) {
	for _, c := range []struct{ name, line, want, problem string }{
		{name: "all values of all occurrences add up", line: "--labels a=b c=d --labels e=f -v --env X=1", want: "--verbose --env=X=1 --labels=a=b --labels=c=d --labels=e=f"},
		{name: "counting options concatenate", line: "-vvv", want: "--verbose --verbose --verbose"},
		{name: "a prefix is enough", line: "--zk-session 1000", want: "--zk-session-timeout=1000"},
		{name: "an exact match is never ambiguous", line: "--syslog", want: "--syslog"},
		{name: "a long number may be negative", line: "--job-retention -1", want: "--job-retention=-1"},
		{name: "a repeatable option takes one value each", line: "--kafka a,b --kafka c", want: "--kafka=a,b --kafka=c"},
		{name: "help ends it", line: "-vh --bogus", want: "--help"},
		{name: "nothing at all is fine", line: "", want: ""},
		{name: "no operands", line: "x y", problem: "unrecognized arguments: 'x'"},
		{name: "none after -- either", line: "-- x", problem: "unrecognized arguments: 'x'"},
		{name: "a value after a repeatable option is an operand", line: "--kafka a b", problem: "unrecognized arguments: 'b'"},
		{name: "unknown", line: "--bogus", problem: "unrecognized arguments: '--bogus'"},
		{name: "no value", line: "--http", problem: "argument --http: expected one argument"},
		{name: "no values", line: "--env --syslog", problem: "argument --env: expected 1 argument(s)"},
		{name: "flag with a value", line: "--syslog=yes", problem: "argument --syslog: ignore implicit argument 'yes'"},
		{name: "not a number", line: "--zk-session-timeout abc", problem: `argument --zk-session-timeout: could not convert 'abc' to Integer (For input string: "abc")`},
		{name: "not a long number", line: "--job-retention 1.5", problem: `argument --job-retention: could not convert '1.5' to Long (For input string: "1.5")`},
		{name: "ambiguous", line: "--zk-acl-a x", problem: "ambiguous option: --zk-acl-a could match --zk-acl-agent-digest, --zk-acl-agent-user"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := daemon.Normalize(words(c.line))
			if c.problem != "" {
				if err == nil || err.Error() != c.problem {
					t.Errorf("got %q, %v, want %q", got, err, c.problem)
				}
				return
			}
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestEveryOptionWithAValueHasALongName(t *testing.T) {
	check := func(where string, options []Option) {
		for _, o := range options {
			if o.takesValue() && o.Long == "" {
				t.Errorf("%s: %s", where, o.String())
			}
		}
	}
	check("helios", globalOptions)
	for _, c := range clientSyntax(nil).Commands {
		check(c.Name, c.Options)
	}
}

func TestRecordedArgumentErrors(t *testing.T) {
	files, err := filepath.Glob("../testdata/golden/cli/*.jsonl")
	if err != nil || len(files) != 15 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	complaints := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var step struct {
				Scenario string
				Step     int
				Args     []string
				Stderr   string
			}
			if err := json.Unmarshal([]byte(line), &step); err != nil {
				t.Fatal(err)
			}
			if len(step.Args) == 0 {
				continue
			}
			want, complained := strings.CutPrefix(step.Stderr, "<comment>\n<usage>\nhelios: error: ")
			want, _, _ = strings.Cut(strings.TrimSpace(want), "\n")
			if strings.HasPrefix(want, "no masters specified") {
				complained = false
			}
			_, err := clientSyntax(nil).Normalize(step.Args)
			if !complained {
				if err != nil {
					t.Errorf("%s %d: %q: %v", step.Scenario, step.Step, step.Args, err)
				}
				continue
			}
			complaints++
			e, ok := errors.AsType[*SyntaxError](err)
			if !ok || e.Message != want {
				t.Errorf("%s %d: %q: got %v, want %s", step.Scenario, step.Step, step.Args, err, want)
			}
		}
	}
	if complaints != 51 {
		t.Errorf("compared %d complaints", complaints)
	}
}

func FuzzNormalize(f *testing.F) {
	for _, line := range []string{
		"-vvv create -qp x=1 foo:1 --token busybox -- a -b",
		"deploy foo h1 h2 --tok t --watch", "--labels a=b c=d --env -5", "jobs --js --", "-z a -- b", "-h",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, syntax := range []*Syntax{clientSyntax(nil), daemon} {
			input := strings.Split(text, "\x00")
			got, err := syntax.Normalize(input)
			if err != nil {
				if _, ok := errors.AsType[*SyntaxError](err); !ok {
					t.Fatalf("%q: %v is no syntax error", input, err)
				}
				continue
			}
			again, err := syntax.Normalize(got)
			if err != nil || !slices.Equal(got, again) {
				t.Fatalf("%q becomes %q, that %q, %v", input, got, again, err)
			}
		}
	})
}
