// Package clitest compares runs of the client with the transcripts recorded
// from the original (testdata/golden/cli, whose README says what counts).
//
// It owns the reading of the transcripts and the judgement: what is volatile,
// and what differs on purpose because a quirk is fixed. It runs nothing: where
// the commands run, and against which masters, is the test's affair.
package clitest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Step is one line of a transcript: the description of the cluster, something
// that happened to it, or a command and its outcome.
type Step struct {
	Scenario string
	Step     int

	Cluster *Cluster // of step 0
	Action  *Action  // of a step that is no command

	Args   []string          // nil if the step is no command
	Env    map[string]string // variables of this command
	Config json.RawMessage   // absent: unchanged; null: the file is removed; a string: its new text
	Files  map[string]string // written to the working directory
	Stdin  string
	Kill   float64 `json:"kill_after_s"` // seconds after which the command was ended
	Quirks []string
	// Transient says that the state shown was changing.
	Transient bool

	Exit   *int
	Stdout string
	Stderr string

	fixed *Result // what is expected instead
}

// Cluster is what a scenario begins with.
type Cluster struct {
	Masters []Node
	Agents  []Node
	Config  string // of ~/.helios/config
	Env     map[string]string
	User    string
}

// Node is a master or an agent.
type Node struct {
	Name     string
	Endpoint string // of a master
	Options  []string
	Cluster  string // "own": a separate one
}

// Action is what happened between two commands. Of wait: task the fields Job,
// Host and State say what was waited for; a nil State means nothing left.
type Action struct {
	Wait      string
	Job, Host string
	State     *string
	Throttled string

	Master   string // "stop": the master with this number, from 1, goes away
	MasterNo int    `json:"master_no"`

	Agent string // "stop": that of Host ends in order
}

// Load reads the transcript of a scenario.
func Load(dir, scenario string) ([]Step, error) {
	steps, err := readLines[Step](filepath.Join(dir, "cli", scenario+".jsonl"))
	for i := range steps {
		if result, ok := fixed[fmt.Sprintf("%s %d", scenario, steps[i].Step)]; ok {
			steps[i].fixed = &result
		}
	}
	return steps, err
}

func readLines[T any](path string) ([]T, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []T
	for line := range strings.Lines(string(text)) {
		var one T
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// Substitute puts other endpoints in place of the recorded ones, in all that
// the command gets and prints.
func (s *Step) Substitute(endpoints *strings.Replacer) {
	for i := range s.Args {
		s.Args[i] = endpoints.Replace(s.Args[i])
	}
	for name := range s.Env {
		s.Env[name] = endpoints.Replace(s.Env[name])
	}
	s.Config = json.RawMessage(endpoints.Replace(string(s.Config)))
	s.Stdout, s.Stderr = endpoints.Replace(s.Stdout), endpoints.Replace(s.Stderr)
	if s.fixed != nil {
		s.fixed.Stdout = endpoints.Replace(s.fixed.Stdout)
	}
}

// Runs says whether the step is a command to be run: not one that would now
// act although later steps were recorded without that.
func (s *Step) Runs() bool { return s.Args != nil && !s.has("skip") }

// Waits says whether the step needs what the client does not have yet: the
// command (got says so), or the other notation of configuration files.
func (s *Step) Waits(got Result) bool {
	return s.has("hocon") || strings.HasPrefix(got.Stderr, "helios: this version does not have the command ")
}

// Killed is the exit status of a command that goes on for ever and was ended.
const Killed = -1

// Ends says whether the command ends by itself.
func (s *Step) Ends() bool { return s.expected().Exit != Killed }

// Shown says whether a command that goes on for ever has printed, as its last
// complete report, the last one that was recorded. Then it may be ended.
func (s *Step) Shown(stdout string) bool {
	_, want := lastReport(s.expected().Stdout)
	_, got := lastReport(stdout)
	return got == want && got != ""
}

// reportHead is what each report of watch begins with.
const reportHead = "-------------------- ------------------------------ -------- ---------- ["

// lastReport divides what watch has printed: what stands before the first
// report, and the last report that another one follows. Its lines, of which the
// first is empty, are sorted: their order is not stable.
func lastReport(text string) (before, report string) {
	parts := strings.Split(text, reportHead)
	if len(parts) < 3 {
		return parts[0], ""
	}
	_, report, _ = strings.Cut(parts[len(parts)-2], "]")
	return parts[0], sortLines(report)
}

func (s *Step) has(quirk string) bool { return slices.Contains(s.Quirks, quirk) }

// fixed are the outcomes that follow from a fixed quirk but not from what was
// recorded.
var fixed = map[string]Result{
	"01-args 5": {Stdout: versionText},
	"02-targets 14": {
		Stdout: "master1.example.com.\n",
	},
	"02-targets 32": {Stdout: versionText},
	"02-targets 47": {Stdout: versionText},
	"02-targets 48": {Stdout: "master1.example.com.\n"},
	"03-create 49":  {Exit: 1, Stderr: "Bad port mapping: a=1x2x3x4:80\n"},
	"04-create-file 30": {Exit: 1, Stdout: `Creating job: {"addCapabilities":[],"command":[],"created":null,"creatingUser":null,"dropCapabilities":[],"env":{"A":"file","B":"file"},"expires":null,"gracePeriod":null,"healthCheck":null,"hostname":null,"id":"base:9","image":"img:1","labels":{"l":"file"},"metadata":{"GIT_COMMIT":"file","baz":"qux","foo":"bar"},"networkMode":null,"ports":{"http":{"externalPort":null,"internalPort":80,"ip":null,"protocol":"tcp"}},"ramdisks":{},"registration":{},"registrationDomain":"","resources":null,"rolloutOptions":{"ignoreFailures":null,"migrate":null,"overlap":null,"parallelism":7,"timeout":9,"token":null},"runtime":null,"secondsToWaitBeforeKill":30,"securityOpt":["s1"],"token":"","volumes":{}}` +
		"\nFailed: CreateJobResponse{status=JOB_ALREADY_EXISTS, errors=[], id='base:9:ae647db4d4dc057205690a60b8e56344a4eef197'}\n"},
	"05-jobs 66": {Exit: 1, Stdout: "Removing job other_web:1:79901b31a1f55aa4f02306930550134695d4a4fe\n" +
		"other_web:1:79901b31a1f55aa4f02306930550134695d4a4fe: failed: JobDeleteResponse{status=FORBIDDEN}\n"},
	"06-deploy 13":      {Exit: 1, Stdout: `{"host":null,"job":null,"status":"AMBIGUOUS_JOB_REFERENCE"}`},
	"06-deploy 50":      {Stdout: "Starting web:2:8f252f18882d5e95c95f92a7156f92cd8064bf19 on [host1]\nhost1.example.com: done\n"},
	"06-deploy 51":      {Stdout: "Stopping web:2:8f252f18882d5e95c95f92a7156f92cd8064bf19 on [host1]\nhost1.example.com: done\n"},
	"13-two-masters 53": {Exit: 1, Stdout: targetHead("7801") + "master1.example.com.\n\n" + targetHead("7802") + "\n"},
	"13-two-masters 55": {Exit: 1, Stdout: targetHead("7802") + "\n" + targetHead("7801") + "master1.example.com.\n\n"},
	"02-targets 3":      {Exit: 1},
	"08-hosts 18":       {},
	"08-hosts 32":       {Exit: 1},
	"08-hosts 47":       {Stdout: "db1.example.net.\nhost1.example.com.\nhost10.example.com.\n"},
	"08-hosts 50":       {Stdout: "Registering host h1 with id id1\nh1: done\n"},
	"08-hosts 51":       {Exit: 1, Stdout: "Registering host h1 with id id2\nh1: failed: 409\n"},
	"08-hosts 52":       {Stdout: `{"host":"h2","status":"OK"}`},
	"08-hosts 55":       {Exit: 1, Stdout: "Registering host host1.example.com with id id9\nhost1.example.com: failed: 409\n"},
	"08-hosts 66":       {Stdout: `{"host":"h2","status":"OK"}`},
	"08-hosts 67":       {Exit: 1, Stdout: `{"host":"h2","status":"NOT_FOUND"}`},
	"12-watch 4":        {Exit: 1, Stdout: "Unknown job: nosuch\n"},
	"12-watch 23": {Exit: Killed, Stdout: "Deploying Deployment{jobId=averylongjobname-with-more:1:70565f0a7be945badfcd305d8459838e1970044c, goal=START, deployerUser='null', deployerMaster='null', deploymentGroupName='null'} on [host1]\n" +
		"host1.example.com: done\nControl-C to stop\nJOB                  HOST                           STATE    THROTTLED?\n" +
		reportHead + "]\naverylongjobname-wit host1.example.com              RUNNING  NO\n" + reportHead},
	"15-misc 10": {Stdout: "Deploying Deployment{jobId=t:1:7df369aa14f4917e0ede3986158849e3c8051a46, goal=START, deployerUser='null', deployerMaster='null', deploymentGroupName='null'} on [host1]\n" +
		"host1.example.com: done\n"},
	"15-misc 11": {Stdout: "Undeploying t:1:7df369aa14f4917e0ede3986158849e3c8051a46 from [host1]\nhost1.example.com: done\n"},
	"15-misc 19": {Exit: 1, Stdout: "Registering host a/b with id i&d\na/b: failed: 400\n"},
	"15-misc 20": {Stdout: "a b\nhost1.example.com\n"},
	"15-misc 21": {Exit: 1, Stdout: "Deregistering host a/b\na/b: failed: HostDeregisterResponse{status=NOT_FOUND, host='a/b'}\n"},
	"15-misc 14": {Exit: 1, Stdout: "job pattern a&b=c matched no jobs\n"},
}

const versionText = "Spotify Helios CLI 0.9.283\nTested on Docker 17.05.0-ce\n"

// targetHead is what sets one of several targets apart.
func targetHead(port string) string {
	head := "http://127.0.0.1:" + port
	head += " ([" + head + "])"
	return head + "\n" + strings.Repeat("-", len(head)) + "\n"
}
