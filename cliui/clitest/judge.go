package clitest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// Result is the outcome of a command.
type Result struct {
	Exit           int
	Stdout, Stderr string
}

// ByQuirk says whether what is expected is our behaviour and not the recorded
// one.
func (s *Step) ByQuirk() bool { return len(s.Quirks) > 0 }

// Judge says in what a run differs from the step; empty if in nothing that
// counts.
func (s *Step) Judge(got Result) string {
	if s.has("recording") {
		return ""
	}
	want := s.expected()
	var differences []string
	if got.Exit != want.Exit {
		differences = append(differences, fmt.Sprintf("exit status %d, want %d", got.Exit, want.Exit))
	}
	if want.Exit == Killed {
		// States on the way, the number of reports and what is said of the end were not the same each time.
		before, report := lastReport(want.Stdout)
		want = Result{Exit: Killed, Stdout: before + report}
		before, report = lastReport(got.Stdout)
		got = Result{Exit: got.Exit, Stdout: before + report}
	}
	if !s.sameOutput(want.Stdout, got.Stdout) {
		differences = append(differences, "stdout, -want +got:\n"+cmp.Diff(want.Stdout, got.Stdout))
	}
	if !s.sameErrors(want.Stderr, got.Stderr) {
		differences = append(differences, "stderr, -want +got:\n"+cmp.Diff(want.Stderr, got.Stderr))
	}
	return strings.Join(differences, "\n")
}

const slowWarning = "WARNING: listing status of all hosts in the cluster is a slow operation. Consider adding the --job and/or --host flag(s)!"

// expected is what was recorded, with the fixes of quirks.
func (s *Step) expected() Result {
	want := Result{Exit: Killed, Stdout: s.Stdout, Stderr: s.Stderr}
	if s.Exit != nil {
		want.Exit = *s.Exit
	}
	if s.fixed != nil {
		want.Exit, want.Stdout = s.fixed.Exit, s.fixed.Stdout
		if !s.has("cli-Q33") {
			want.Stderr = s.fixed.Stderr
		}
	}
	if s.has("cli-Q3") {
		want.Exit, want.Stderr = 0, ""
	}
	if s.has("cli-Q5") {
		want.Exit = 1
		want.Stderr = "<comment>\n<usage>\nhelios: error: no masters specified. Use the -z or -d option to specify which helios cluster/master to connect to\n"
	}
	if s.has("cli-Q7") {
		want.Stdout = regexp.MustCompile(`(?m)^("\w+": \n)([,}])`).ReplaceAllString(want.Stdout, "${1}null\n$2")
	}
	if s.has("cli-Q14") {
		want.Stderr = ""
	}
	if s.has("cli-Q21") {
		want.Stdout = "[ ]\n"
	}
	if s.has("cli-Q19") {
		n := strings.Count(want.Stdout, slowWarning)
		want.Stdout = strings.ReplaceAll(want.Stdout, slowWarning, "")
		want.Stderr = strings.Repeat(slowWarning+"\n", n) + want.Stderr
	}
	return want
}

// sameOutput compares what stands on stdout.
func (s *Step) sameOutput(want, got string) bool {
	if strings.HasPrefix(got, "usage: ") {
		got = "<help>\n"
	}
	if slices.ContainsFunc(s.Args, func(arg string) bool { return strings.HasPrefix(arg, "--js") }) {
		wanted, ok1 := documents(want)
		gotten, ok2 := documents(got)
		if ok1 && ok2 {
			return reflect.DeepEqual(wanted, gotten)
		}
	}
	if s.has("cli-Q31") || strings.Contains(want, "some possible matches") {
		want, got = sortLines(want), sortLines(got)
	}
	if s.has("cli-Q38") {
		if !appended.MatchString(got) {
			return false
		}
		got = appended.ReplaceAllString(got, "")
	}
	if s.undeploysAll() {
		want, got = sortLines(sortList(want)), sortLines(sortList(got))
	}
	if slices.Contains(s.Args, "history") {
		want, got = byHost(want), byHost(got)
	}
	if s.Transient {
		want, got = state.ReplaceAllString(want, "<state>"), state.ReplaceAllString(got, "<state>")
	}
	steady := mask(want) == want && !s.Transient
	want, got = mask(want), mask(got)
	if !steady {
		want, got = blanks.ReplaceAllString(want, "  "), blanks.ReplaceAllString(got, "  ")
	}
	if slices.Contains(s.Args, "history") {
		want, got = lastRound(want), lastRound(got)
	}
	return got == want
}

var (
	beginsRound = regexp.MustCompile(` (PULLING_IMAGE|CREATING|STARTING) `)
	endsRound   = regexp.MustCompile(` (FAILED|EXITED) `)
	pulls       = regexp.MustCompile(` PULLING_IMAGE `)
	state       = regexp.MustCompile(`\b(PULLING_IMAGE|CREATING|STARTING|RUNNING|EXITED|FAILED)\b( \([A-Z_]+\))?`)
)

// lastRound is the history of a job that failed again and again from its last whole round on: how many there were, and
// whether a stop cut one short, has no meaning.
func lastRound(table string) string {
	lines := strings.SplitAfter(table, "\n")
	var told []string
	last, ends := 0, 0
	for _, line := range lines {
		if strings.Contains(line, " STOPPING ") {
			cut := len(told)
			for cut > 0 && beginsRound.MatchString(told[cut-1]) {
				cut--
			}
			if cut > 0 && endsRound.MatchString(told[cut-1]) {
				told = told[:cut]
			}
		}
		told = append(told, line)
	}
	for i, line := range told {
		switch {
		case endsRound.MatchString(line):
			ends++
		case pulls.MatchString(line) && ends > 0:
			last = i
		}
	}
	if last == 0 {
		return table
	}
	return told[0] + strings.Join(told[last:], "")
}

// appended are the lines that inspect has behind the original's.
var appended = regexp.MustCompile(`(?ms)^Creating user: .*?^Registration domain: [^\n]*\n`)

// undeploysAll says whether the hosts are those the master names, in an order
// that is not stable.
func (s *Step) undeploysAll() bool {
	return slices.Contains(s.Args, "undeploy") && (slices.Contains(s.Args, "-a") || slices.Contains(s.Args, "--all"))
}

// byHost sorts the lines of a table by their first word only: what happened on
// two hosts at the same time has no order.
func byHost(table string) string {
	lines := strings.SplitAfter(table, "\n")
	slices.SortStableFunc(lines, func(a, b string) int {
		first, _, _ := strings.Cut(a, " ")
		second, _, _ := strings.Cut(b, " ")
		return strings.Compare(first, second)
	})
	return strings.Join(lines, "")
}

var list = regexp.MustCompile(`\[[^]]*\]`)

func sortList(text string) string {
	return list.ReplaceAllStringFunc(text, func(items string) string {
		sorted := strings.Split(items[1:len(items)-1], ", ")
		slices.Sort(sorted)
		return "[" + strings.Join(sorted, ", ") + "]"
	})
}

func sortLines(text string) string {
	lines := strings.SplitAfter(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// logLine is a line of the original's log, or of a library that ours does not
// have.
var logLine = regexp.MustCompile(`(?m)^(\d\d:\d\d:\d\d\.\d{3} .*|<log>|<dns-warn>|<stack>|java.io.IOException: The Application Default Credentials .*)\n`)

// sameErrors compares what stands on stderr.
func (s *Step) sameErrors(want, got string) bool {
	logged := logLine.MatchString(want)
	want = logLine.ReplaceAllString(want, "")
	switch {
	case s.has("cli-Q1"), s.has("cli-Q24"), s.has("cli-Q29"), s.has("cli-Q30"):
		return got != "" // a warning, or a reason
	case s.has("cli-Q2"), s.has("cli-Q33"):
		return (got != "") == (want != "" || logged && got != "") && s.namesOperands(want, got)
	case strings.Contains(want, "[Source: "), strings.HasPrefix(want, "No content to map"):
		return got != "" // texts of decoders count for nothing
	}
	return complaint(got) == complaint(want)
}

// namesOperands says whether a complaint names all words of the command line
// and values of variables that the original's does.
func (s *Step) namesOperands(want, got string) bool {
	words := slices.Clone(s.Args)
	for _, value := range s.Env {
		words = append(words, value)
	}
	for _, word := range words {
		if len(word) > 1 && strings.Contains(want, word) && !strings.Contains(got, word) {
			return false
		}
	}
	return true
}

var (
	usage  = regexp.MustCompile(`(?s)^usage: .*?\n(helios: error: )`)
	blanks = regexp.MustCompile(` {2,}`)
)

// complaint brings an error about the command line into the form of the
// transcripts. What may have been meant is not compared.
func complaint(text string) string {
	const preamble = "# ---------------------------------------------------------------\n"
	if i := strings.Index(text, preamble); i >= 0 && strings.Count(text[:i], "\n# ") == 1 {
		text = "<comment>\n" + usage.ReplaceAllString(text[i+len(preamble):], "<usage>\n$1")
	}
	text, _, _ = strings.Cut(text, "\n\nDid you mean:")
	return strings.TrimSuffix(blanks.ReplaceAllString(text, " "), "\n")
}

// masks replace what differs from run to run. The static ports of the
// transcripts, 24101 and 24311, are among those that agents assign, too.
var masks = []struct {
	pattern *regexp.Regexp
	mask    string
}{
	{regexp.MustCompile(`(?m)^(Created: ).*$`), "${1}<date>"},
	{regexp.MustCompile(`"created":\d+`), `"created":<millis>`},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{3})?`), "<time>"},
	{regexp.MustCompile(`is before .*`), "is before <now>"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "<container>"},
	{regexp.MustCompile(` [0-9a-f]{7} `), " <container> "},
	{regexp.MustCompile(`\b(Up|Down) \d+ (second|minute|hour|day)s?`), "$1 <duration>"},
	{regexp.MustCompile(`(=\d+:)(2[0-35-9]\d{3}|24[02-9]\d\d|3[01]\d{3})\b`), "${1}<port>"},
	{regexp.MustCompile(`(?m)^-{20,}$`), "<ruler>"},
	{regexp.MustCompile(`,"type":"(exec|http|tcp)"}`), "}"}, // Q12: once, in front
	{regexp.MustCompile(`\d+ gb +\d+\.\d\d +\d\.\d\d +Linux \S+ +\S+ +\S+ \([\d.]+\)`), "<machine>"},
}

func mask(text string) string {
	for _, m := range masks {
		text = m.pattern.ReplaceAllString(text, m.mask)
	}
	return sets.ReplaceAllStringFunc(text, func(set string) string {
		open := strings.Index(set, "[") + 1
		items := strings.Split(set[open:len(set)-1], ",")
		slices.Sort(items)
		return set[:open] + strings.Join(items, ",") + "]"
	})
}

// sets are members whose order counts for nothing.
var sets = regexp.MustCompile(`"(add|drop)Capabilities":\[[^]]*\]`)

// documents reads a text as JSON documents, one after the other.
func documents(text string) ([]any, bool) {
	var all []any
	for decoder := json.NewDecoder(strings.NewReader(text)); decoder.More(); {
		var one any
		if decoder.Decode(&one) != nil {
			return nil, false
		}
		all = append(all, steady("", one))
	}
	return all, true
}

// volatile are the members whose value differs from run to run; own are those
// that only we write.
var (
	volatile = []string{"created", "timestamp", "startTime", "uptime", "containerId", "agentInfo", "hostInfo", "externalPort"}
	own      = []string{"exitCode", "finishedAt", "oomKilled"}
)

// steady is a value without what is volatile, sets in order.
func steady(name string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		for _, member := range own {
			delete(v, member)
		}
		for member := range v {
			switch {
			case v[member] != nil && (slices.Contains(volatile, member) || strings.HasPrefix(member, "HELIOS_PORT_")):
				v[member] = "volatile"
			default:
				v[member] = steady(member, v[member])
			}
		}
	case []any:
		for i := range v {
			v[i] = steady("", v[i])
		}
		if strings.HasSuffix(name, "Capabilities") {
			slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	}
	return value
}
