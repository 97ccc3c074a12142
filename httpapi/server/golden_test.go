package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// line is one line of a recorded scenario (testdata/golden/http/README.md).
type line struct {
	Scenario      string
	Step          int
	MasterOptions []string `json:"master_options"`
	AgentOptions  []string `json:"agent_options"`
	ZooKeeper     []struct {
		Op, Path  string
		Data      *string
		Ephemeral bool
	}
	Request       *recordedRequest
	Response      recordedResponse
	Target        string
	Poll          bool
	Unordered     bool
	ZooKeeperDown bool `json:"zookeeper_down"`
	Quirks        []string
}

type recordedRequest struct {
	Method, Path string
	Headers      map[string]string
	Body         *string
	BodyBase64   *string `json:"body_base64"`
}

type recordedResponse struct {
	Status  int
	Headers map[string]string
	Body    string
}

func (l line) has(quirk string) bool { return slices.Contains(l.Quirks, quirk) }

func scenario(t *testing.T, name string) []line {
	t.Helper()
	file, err := os.Open(filepath.Join("../../testdata/golden/http", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var lines []line
	for d := json.NewDecoder(bufio.NewReader(file)); ; {
		var l line
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return lines
		case err != nil:
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
}

// send sends a recorded request as it is.
func (r *recordedRequest) send(t *testing.T, addr net.Addr) recordedResponse {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", r.Method, r.Path, addr)
	for name, value := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	if body, ok := r.body(t); ok {
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	} else {
		b.WriteString("\r\n")
	}
	if _, err := conn.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.Method})
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	defer resp.Body.Close()
	packed := io.Reader(resp.Body)
	switch resp.Header.Get("Content-Encoding") {
	case "gzip":
		packed, err = gzip.NewReader(packed)
	case "deflate":
		packed, err = zlib.NewReader(packed)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	data, err := io.ReadAll(packed)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	got := recordedResponse{Status: resp.StatusCode, Headers: map[string]string{}, Body: string(data)}
	for name, values := range resp.Header {
		got.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return got
}

func (r *recordedRequest) body(t *testing.T) ([]byte, bool) {
	switch {
	case r.Body != nil:
		return []byte(*r.Body), true
	case r.BodyBase64 != nil:
		data, err := base64.StdEncoding.DecodeString(*r.BodyBase64)
		if err != nil {
			t.Fatal(err)
		}
		return data, true
	}
	return nil, false
}

var (
	loggedAs    = regexp.MustCompile(`logged \(ID [0-9a-f]{16}\)`)
	expiredNow  = regexp.MustCompile(`(Job expires in the past - .* is before ).*`)
	originalOwn = regexp.MustCompile(`Invalid Job id: [^"]*|[^ "]* is not a valid IP address\.|[^ "]* was not one of \[[^\]]*\]`)
)

// compare says how an answer differs from the recorded one, by the rules of the recordings' README.
func (l line) compare(got recordedResponse) string {
	want := l.Response
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
func comparableHeaders(r recordedResponse) map[string]string {
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
func (l line) steady(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			switch {
			case name == "created", name == "timestamp" && l.Scenario != "statuses-history":
				v[name] = "some time"
			case name == "errors", name == "addCapabilities", name == "dropCapabilities":
				v[name] = sorted(l.steady(member))
			case name == "events":
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
		v = loggedAs.ReplaceAllString(v, "logged")
		return expiredNow.ReplaceAllString(v, "${1}now")
	default:
		return v
	}
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
