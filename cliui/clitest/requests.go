package clitest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Request is what a master saw.
type Request struct {
	Method string
	Path   string // with the query
	Body   any    // as decoded from JSON
	Target int    // which master; 1 is the first
	Times  int    // sent that often; 0 is once
}

// LoadRequests reads what the steps of a scenario sent, by step.
func LoadRequests(dir, scenario string) (map[int][]Request, error) {
	type line struct {
		Scenario string
		Step     int
		Requests []Request
	}
	lines, err := readLines[line](filepath.Join(dir, "cli-requests.jsonl"))
	if err != nil {
		return nil, err
	}
	requests := map[int][]Request{}
	for _, l := range lines {
		if l.Scenario == scenario {
			requests[l.Step] = l.Requests
		}
	}
	return requests, nil
}

// escaped puts in their place the operands that the original escaped wrongly
// (Q10): they are sent as they are, once, in one parameter or component.
var escaped = strings.NewReplacer(
	"?token=a b c & d=e%f & user", "?token=a+b c&d=e%f & user", "?token=x & token=y & user", "?token=x&token=y & user",
	"?q=a & b=c & user", "?q=a&b=c & user", "?id=i & d & user", "?id=i&d & user", "?user=a & b=c d ", "?user=a&b=c d ",
	"/hosts/a%20b", "/hosts/a b", "/hosts/a%2Fb", "/hosts/a/b",
)

// JudgeRequests says in what the requests of a run differ from those recorded
// of the step; empty if in nothing that counts. Fixed quirks change what is
// sent: other operands arrive (Q10), and with them other answers, or there is a
// request more (Q14, Q17, Q18, Q22; http 16) or less (Q20, Q40).
func (s *Step) JudgeRequests(recorded, got []Request) string {
	without := func(requests []Request, method, path string) []Request {
		return slices.DeleteFunc(slices.Clone(requests), func(r Request) bool { return r.Method == method && strings.HasPrefix(r.Path, path+"?") })
	}
	if len(s.Args) > 0 && (s.Args[0] == "start" || s.Args[0] == "stop") { // Q18: names are completed
		got = without(got, "GET", "/hosts/")
	}
	switch {
	case s.has("cli-Q10") && s.Args[0] == "jobs": // nothing matches the whole of it
		recorded = without(recorded, "POST", "/jobs/statuses")
	case s.has("cli-Q10") && s.Args[0] == "deregister": // what was not registered has no such name, but others may
		got = without(got, "GET", "/hosts/")
	case s.has("cli-Q14"): // the token is empty, where the original gave up
		last := len(recorded)
		if len(got) != last+1 || !strings.Contains(got[last].Path, "?token=&") {
			return fmt.Sprintf("requests: got %+v, want %+v and one with an empty token", got, recorded)
		}
		got = got[:last]
	case s.has("cli-Q17"):
		got = without(got, "POST", "/jobs/statuses")
	case s.has("cli-Q22"):
		got = without(got, "POST", "/hosts/statuses")
	case s.has("cli-Q20"):
		recorded = without(recorded, "POST", "/jobs/statuses")
	case s.has("cli-Q40"):
		recorded = without(recorded, "GET", "/hosts/")
	}
	var want, have []string
	for _, r := range recorded {
		want = append(want, escaped.Replace(r.text(s.has("cli-Q18"))))
	}
	for _, r := range got {
		have = append(have, r.text(s.has("cli-Q18")))
	}
	if s.undeploysAll() {
		slices.Sort(want)
		slices.Sort(have)
	}
	want, have = slices.Compact(want), slices.Compact(have) // how often is not recorded apart
	if slices.Equal(want, have) {
		return ""
	}
	return fmt.Sprintf("requests: got\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
}

// text is a request in a form that shows all that counts: method, decoded path,
// decoded parameters one by one, and body, where lists are sets. Completed says that the recorded
// host name is not the one now sent.
func (r Request) text(completed bool) string {
	path, query, _ := strings.Cut(r.Path, "?")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	if completed && strings.HasPrefix(path, "/hosts/") {
		path = "/hosts/HOST"
	}
	var parameters []string
	for pair := range strings.SplitSeq(query, "&") {
		if decoded, err := url.QueryUnescape(pair); err == nil {
			pair = decoded
		}
		parameters = append(parameters, pair)
	}
	if list, ok := r.Body.([]any); ok {
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	body, _ := json.Marshal(steady("", r.Body)) // decoded from JSON
	return fmt.Sprintf("%d %s %s?%s %s", max(r.Target, 1), r.Method, path, strings.Join(parameters, " & "), body)
}
