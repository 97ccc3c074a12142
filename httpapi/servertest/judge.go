package servertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

var (
	loggedAs    = regexp.MustCompile(`logged \(ID [0-9a-f]{16}\)`)
	expiredNow  = regexp.MustCompile(`(Job expires in the past - .* is before ).*`)
	livePort    = regexp.MustCompile(`^(goldenhost:)230\d\d$`)
	originalOwn = regexp.MustCompile(`Invalid Job id: [^"]*|[^ "]* is not a valid IP address\.|[^ "]* was not one of \[[^\]]*\]`)
)

// Compare says how an answer differs from the recorded one, by the rules of the README; "" is not at all.
func (l Line) Compare(got Response) string {
	want := l.Response
	if l.Has("listener") {
		if want.Status/100 != got.Status/100 {
			return fmt.Sprintf("status %d, want one like %d", got.Status, want.Status)
		}
		return ""
	}
	if want.Status != got.Status {
		return fmt.Sprintf("status %d, want %d; body %.300s", got.Status, want.Status, got.Body)
	}
	if diff := cmp.Diff(comparableHeaders(want), comparableHeaders(got)); diff != "" {
		return "headers: " + diff
	}
	if strings.HasPrefix(want.Body, "<") { // a page, or left out
		return ""
	}
	wantJSON, wantOK := decode(want.Body)
	gotJSON, gotOK := decode(got.Body)
	if !wantOK || !gotOK {
		return cmp.Diff(want.Body, got.Body)
	}
	if message, ok := messageOf(wantJSON); ok && want.Status == 400 {
		text, ok := messageOf(gotJSON)
		if !ok {
			return "no message in " + got.Body
		}
		if own := originalOwn.FindString(message); !strings.Contains(text, own) {
			return fmt.Sprintf("message %q lacks %q", text, own)
		}
		return ""
	}
	return cmp.Diff(l.steady(wantJSON), l.steady(gotJSON))
}

// comparableHeaders are those that count.
func comparableHeaders(r Response) map[string]string {
	h := map[string]string{}
	for name, value := range r.Headers {
		switch {
		case name == "content-type":
			if r.Body != "" && (!strings.HasPrefix(r.Body, "<") || r.Body == "<left out>") {
				h[name], _, _ = strings.Cut(value, ";")
			}
		case name == "allow":
			methods := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
			methods = slices.DeleteFunc(methods, func(m string) bool { return m == "HEAD" })
			slices.Sort(methods)
			h[name] = strings.Join(methods, ",")
		case strings.HasPrefix(name, "helios-"), strings.HasPrefix(name, "access-control-"), name == "content-encoding":
			h[name] = value
		}
	}
	if r.Status == 426 || r.Headers["helios-version-status"] == "INVALID" {
		delete(h, "content-type") // pages of the original are no pages here
	}
	return h
}

func decode(text string) (any, bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	return v, d.Decode(&v) == nil
}

func messageOf(v any) (string, bool) {
	object, _ := v.(map[string]any)
	text, ok := object["message"].(string)
	return text, ok && len(object) == 1
}

// steady takes what changes from run to run out of a document, and the order out of what has none.
func (l Line) steady(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, ours := range []string{"exitCode", "finishedAt", "oomKilled"} { // of a task status (decision 3)
			delete(v, ours)
		}
		for name, member := range v {
			if l.Scenario == "live-agent" {
				if steady, varies := ofLiveAgent(name, member); varies {
					v[name] = steady
					continue
				}
			}
			switch {
			case name == "created", name == "timestamp" && l.Scenario != "statuses-history":
				v[name] = "some time"
			case name == "errors", name == "addCapabilities", name == "dropCapabilities":
				v[name] = sorted(l.steady(member))
			case name == "events" && l.Scenario != "live-agent":
				v[name] = sortedEvents(l.steady(member))
			default:
				v[name] = l.steady(member)
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = l.steady(v[i])
		}
		if l.Unordered {
			return sorted(v)
		}
		return v
	case string:
		if l.Scenario == "live-agent" {
			v = livePort.ReplaceAllString(v, "${1}some port")
		}
		v = loggedAs.ReplaceAllString(v, "logged")
		return expiredNow.ReplaceAllString(v, "${1}now")
	default:
		return v
	}
}

// ofLiveAgent is what stays of a member that differs between two agents: container ids, ports, and facts of the host.
func ofLiveAgent(name string, member any) (steady any, varies bool) {
	switch v := member.(type) {
	case string:
		return "some container", name == "containerId" && len(v) == 64
	case json.Number:
		return "some port", name == "externalPort" && v >= "23000" && v < "23100"
	case map[string]any:
		return slices.Sorted(maps.Keys(v)), name == "hostInfo" || name == "agentInfo"
	}
	return nil, false
}

func sorted(v any) any {
	if list, ok := v.([]any); ok {
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return v
}

// sortedEvents puts events of one time into a fixed order.
func sortedEvents(v any) any {
	if list, ok := v.([]any); ok {
		at := func(e any) string {
			event, _ := e.(map[string]any)
			return fmt.Sprintf("%20v", event["timestamp"])
		}
		slices.SortStableFunc(list, func(a, b any) int {
			if at(a) != at(b) {
				return 0 // events of different times stay where they are
			}
			return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
		})
	}
	return v
}
