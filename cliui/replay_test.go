package cliui

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/cliui/clitest"
	"github.com/helios-go/helios/cliui/term"
)

// TestRecordedTranscripts runs the commands that the original was recorded
// with, as far as this version has them, and compares what they print and
// send.
func TestRecordedTranscripts(t *testing.T) {
	golden, err := filepath.Abs("../testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		scenario string
		commands int
	}{
		{"01-args", 75},
		{"02-targets", 51},
		{"03-create", 144},
		{"04-create-file", 47},
		{"05-jobs", 72},
		{"06-deploy", 79},
		{"13-two-masters", 41},
		{"15-misc", 32},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			steps, err := clitest.Load(golden, c.scenario)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := clitest.LoadRequests(golden, c.scenario)
			if err != nil {
				t.Fatal(err)
			}
			if got := replay(t, steps, sent); got != c.commands {
				t.Errorf("%d commands were judged, want %d", got, c.commands)
			}
		})
	}
}

// replay runs the steps of a scenario and returns how many were judged.
func replay(t *testing.T, steps []clitest.Step, sent map[int][]clitest.Request) int {
	t.Chdir(t.TempDir())
	home := t.TempDir()
	config := filepath.Join(home, ".helios", "config")
	if err := os.Mkdir(filepath.Dir(config), 0o700); err != nil {
		t.Fatal(err)
	}
	cluster := steps[0].Cluster
	var masters []*master
	var servers []*httptest.Server
	var replacements []string
	for _, node := range cluster.Masters {
		m := newMaster(node.Name)
		for i := 1; i < len(node.Options); i += 2 {
			m.whitelist = append(m.whitelist, node.Options[i]) // --whitelisted-capability is the only option
		}
		server := m.serve(t)
		port := server.URL[strings.LastIndex(server.URL, ":"):]
		servers = append(servers, server)
		replacements = append(replacements, node.Endpoint[strings.LastIndex(node.Endpoint, ":"):], port)
		masters = append(masters, m)
	}
	for i, node := range cluster.Agents {
		pairs := map[string]map[string]string{"--labels": {}, "--env": {}}
		var last string
		for _, word := range node.Options {
			if key, value, ok := strings.Cut(word, "="); ok {
				pairs[last][key] = value
			} else {
				last = word
			}
		}
		masters[min(i, len(masters)-1)].register(node.Name, pairs["--labels"], pairs["--env"])
	}
	endpoints := strings.NewReplacer(replacements...)
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(config, endpoints.Replace(cluster.Config))

	judged := 0
	for _, step := range steps[1:] {
		step.Substitute(endpoints)
		switch {
		case step.Config == nil || string(step.Config) == "":
		case string(step.Config) == "null":
			_ = os.Remove(config)
		default:
			var text string
			if err := json.Unmarshal(step.Config, &text); err != nil {
				t.Fatal(err)
			}
			write(config, text)
		}
		if a := step.Action; a != nil {
			if a.Master == "stop" {
				servers[a.MasterNo-1].Close()
			}
			for _, m := range masters {
				m.act(*a)
			}
		}
		if !step.Runs() || !had(step) {
			continue
		}
		for name, text := range step.Files {
			write(name, text)
		}
		env := maps.Clone(cluster.Env)
		maps.Copy(env, step.Env)
		env["HOME"] = home
		got := run(t, step.Args, env, step.Stdin)
		if problem := step.Judge(got); problem != "" {
			t.Errorf("step %d: %q %v:\n%s", step.Step, step.Args, step.Quirks, problem)
		}
		var requests []clitest.Request
		for i, m := range masters {
			for _, r := range m.seen() {
				r.Target = i + 1
				requests = append(requests, r)
			}
		}
		if recorded, ok := sent[step.Step]; ok {
			if problem := step.JudgeRequests(recorded, requests); problem != "" {
				t.Errorf("step %d: %q:\n%s", step.Step, step.Args, problem)
			}
		}
		judged++
	}
	return judged
}

// had says whether this version has what the step needs: the command, and
// none of the events that the master of these tests does not know.
func had(step clitest.Step) bool {
	words, err := clientSyntax(nil).Normalize(step.Args)
	if err != nil || len(words) == 0 {
		return true
	}
	for _, word := range words {
		if c := clientSyntax(nil).command(word); c != nil {
			registered := step.Scenario == "15-misc" && step.Step == 20 // shows hosts that register has made
			return c.known() && c.Name != "history" && !registered
		}
	}
	return true
}

// run runs the client once, in changed surroundings perhaps.
func run(t *testing.T, args []string, env map[string]string, stdin string, change ...func(*Options)) clitest.Result {
	t.Helper()
	location, err := time.LoadLocation(env["TZ"])
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	opts := Options{
		Version: "0.9.283",
		Streams: term.Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs},
		LookupEnv: func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		},
		User:       "root",
		ResolvConf: "/nonexistent",
		Location:   location,
		RetryDelay: time.Millisecond,
	}
	for _, c := range change {
		c(&opts)
	}
	exit := Run(t.Context(), args, opts)
	return clitest.Result{Exit: exit, Stdout: out.String(), Stderr: errs.String()}
}
