package storetest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"
	diffs "github.com/google/go-cmp/cmp"
)

// Tree is all nodes but ZooKeeper's own, by path.
type Tree map[string]Node

// Node is a node as the recordings show it (testdata/golden/zookeeper/README.md).
type Node struct {
	ACL       []string `json:"acl"`
	Data      string   `json:"data"` // "null" if there is none, which is not the same as empty data
	Ephemeral bool     `json:"ephemeral"`
	Version   int32    `json:"version"`
}

// RecordedTree reads a recorded tree from its file.
func RecordedTree(t testing.TB, path string) Tree {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var tree Tree
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return tree
}

// ReadTree reads all nodes, those below the chroot if there is one. What goes away meanwhile is left out.
func ReadTree(t testing.TB, conn *zk.Conn, chroot string) Tree {
	t.Helper()
	tree := make(Tree)
	var visit func(path string)
	visit = func(path string) {
		at := cmp.Or(chroot+path, "/")
		node, names, err := readNode(conn, at)
		if errors.Is(err, zk.ErrNoNode) {
			return
		}
		if err != nil {
			t.Fatalf("read %s: %v", at, err)
		}
		tree[cmp.Or(path, "/")] = node
		for _, name := range names {
			if child := path + "/" + name; child != "/zookeeper" {
				visit(child)
			}
		}
	}
	visit("")
	return tree
}

func readNode(conn *zk.Conn, at string) (n Node, children []string, err error) {
	data, stat, err := conn.Get(at)
	if err != nil {
		return n, nil, err
	}
	acl, _, err := conn.GetACL(at)
	if err != nil {
		return n, nil, err
	}
	n = Node{Data: string(data), Ephemeral: stat.EphemeralOwner != 0, Version: stat.Version}
	if data == nil {
		n.Data = "null"
	}
	for _, entry := range acl {
		n.ACL = append(n.ACL, fmt.Sprintf("%s:%s:%s", entry.Scheme, entry.ID, Permissions(entry.Perms)))
	}
	children, _, err = conn.Children(at)
	return n, children, err
}

// Permissions shows permissions as the recordings do.
func Permissions(bits int32) string {
	var text strings.Builder
	for _, p := range []struct {
		bit    int32
		letter string
	}{{zk.PermCreate, "c"}, {zk.PermDelete, "d"}, {zk.PermRead, "r"}, {zk.PermWrite, "w"}, {zk.PermAdmin, "a"}} {
		if bits&p.bit != 0 {
			text.WriteString(p.letter)
		}
	}
	return text.String()
}

// Repetition is how a tree came about a second time, which says what it cannot have in common with the first.
type Repetition int

const (
	// Rewritten is a tree for which the same documents were written.
	Rewritten Repetition = iota
	// Relived is a tree for which the same commands were carried out, at other times and in other containers.
	Relived
)

const uuid = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`

// volatile is what two trees need not have in common, and what ours may have beside the original's. Of the data of the
// nodes of a path, the matches of a pattern, or of its group, are replaced. A "#" stands for the number that a text has
// among the different ones of the tree, so that the same stay the same.
var volatile = []struct {
	since      Repetition // the first kind that it is volatile in
	path, data *regexp.Regexp
	as         string
}{
	{Rewritten, regexp.MustCompile(``), regexp.MustCompile(`^127\.0\.0\.1$`), ``}, // directories are empty in ours (zookeeper Q1)
	{Rewritten, regexp.MustCompile(`^/config/jobs$`), regexp.MustCompile(uuid), `UUID`},
	{Relived, regexp.MustCompile(`^/status/hosts/[^/]+/(hostinfo|agentinfo)$`), regexp.MustCompile(`(?s).+`), `facts`},
	{Relived, regexp.MustCompile(``), regexp.MustCompile(`"created":(\d+)`), `time`},
	{Relived, regexp.MustCompile(``), regexp.MustCompile(`"containerId":"([0-9a-f]{64})"`), `container #`},
	{Relived, regexp.MustCompile(``), regexp.MustCompile(`"http":\{"externalPort":(\d+)`), `port #`}, // the jobs' dynamic port
	{Relived, regexp.MustCompile(``), regexp.MustCompile(`"HELIOS_PORT_http":"[^":]+:(\d+)"`), `port #`},
	{Relived, regexp.MustCompile(``), regexp.MustCompile(`(,"(?:exitCode|finishedAt|oomKilled)":[^,}]+)`), ``}, // ours
}

// ours are the nodes that the original does not know, as the node map of package store has them (decision 3).
var ours = regexp.MustCompile(`^/status/hosts/[^/]+/(wishes|accept|remembered-[^/]+)$`)

// volatileNames is the same for the names of nodes.
var volatileNames = []struct {
	since Repetition
	name  *regexp.Regexp
	as    string
}{
	{Rewritten, regexp.MustCompile(`/creation-(` + uuid + `)$`), `UUID`},
	{Relived, regexp.MustCompile(`/events/(\d+)$`), `#`}, // milliseconds, in their order
}

// Diff compares a tree with its repetition; it is empty for those that have all in common that they can have. Versions
// of statuses are not compared: they count writes that need not all happen.
func (t Tree) Diff(again Tree, how Repetition) string {
	return diffs.Diff(t.scrubbed(how), again.scrubbed(how))
}

func (t Tree) scrubbed(how Repetition) Tree {
	scrubbed := make(Tree, len(t))
	numbers := make(map[string]numbering)
	number := func(kind, text, as string) string {
		if numbers[kind] == nil {
			numbers[kind] = make(numbering)
		}
		return strings.ReplaceAll(as, "#", fmt.Sprint(numbers[kind].of(text)))
	}
	for _, path := range slices.Sorted(maps.Keys(t)) {
		if how == Relived && ours.MatchString(path) {
			continue
		}
		n := t[path]
		for _, v := range volatile {
			if v.since <= how && v.path.MatchString(path) {
				n.Data = replace(n.Data, v.data, func(text string) string { return number(v.as, text, v.as) })
			}
		}
		if strings.HasPrefix(path, "/status/") {
			n.Version = 0
		}
		for _, v := range volatileNames {
			if v.since <= how {
				parent := path[:strings.LastIndexByte(path, '/')]
				path = replace(path, v.name, func(text string) string { return number(parent, text, v.as) })
			}
		}
		scrubbed[path] = n
	}
	return scrubbed
}

// replace replaces the last group of each match, which is all of it where there are none.
func replace(text string, pattern *regexp.Regexp, with func(string) string) string {
	var replaced strings.Builder
	done := 0
	for _, match := range pattern.FindAllStringSubmatchIndex(text, -1) {
		from, to := match[len(match)-2], match[len(match)-1]
		replaced.WriteString(text[done:from] + with(text[from:to]))
		done = to
	}
	return replaced.String() + text[done:]
}

// numbering numbers texts in the order of their appearance, from 1.
type numbering map[string]int

func (n numbering) of(text string) int {
	if n[text] == 0 {
		n[text] = len(n) + 1
	}
	return n[text]
}
