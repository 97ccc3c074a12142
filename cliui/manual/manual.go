// Package manual is the user manual: a Markdown page for each concept, in the
// binary, printed by helios manual.
//
// It owns the pages and their order. It prints nothing itself. What stands in a
// page's console blocks is run by a test (roles/manual_test.go): a line that
// begins with "$ " is a command, the lines below it are what it prints, where …
// stands for anything, and [exit N] for the status that it ends with if not 0.
package manual

import (
	"embed"
	"slices"
	"strings"
)

//go:embed *.md
var files embed.FS

// topics are the names of the pages, in the order in which they are best read.
var topics = []string{"jobs", "hosts", "statuses", "ports", "health", "restarts", "volumes", "cluster", "ensemble", "cluster-id", "nodes", "agent", "promises", "doubt", "acls", "java", "solo", "backup", "files"}

// Page is what the manual has to say about one concept.
type Page struct {
	Topic string // its name
	Title string // its first line, without the #
	Text  string // the whole page, in Markdown
}

// Pages are all pages, in reading order.
func Pages() []Page {
	pages := make([]Page, len(topics))
	for i, topic := range topics {
		pages[i], _ = Find(topic)
	}
	return pages
}

// Find is the page of a topic.
func Find(topic string) (Page, bool) {
	if !slices.Contains(topics, topic) {
		return Page{}, false
	}
	text, err := files.ReadFile(topic + ".md")
	if err != nil {
		panic("manual: " + err.Error()) // a topic without its file
	}
	title, _, _ := strings.Cut(string(text), "\n")
	return Page{Topic: topic, Title: strings.TrimPrefix(title, "# "), Text: string(text)}, true
}
