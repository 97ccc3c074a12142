package manual

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEveryFileIsATopic(t *testing.T) {
	names, err := fs.Glob(files, "*.md")
	if err != nil || len(names) != len(topics) {
		t.Errorf("files %v, topics %v, %v", names, topics, err)
	}
}

func TestPagesFitATerminal(t *testing.T) {
	for _, page := range Pages() {
		if page.Title == "" || strings.HasPrefix(page.Title, "#") {
			t.Errorf("%s has the title %q", page.Topic, page.Title)
		}
		console := false
		for i, line := range strings.Split(page.Text, "\n") {
			if strings.HasPrefix(line, "```") {
				console = line == "```console"
			}
			if limit := 80; !console && utf8.RuneCountInString(line) > limit {
				t.Errorf("%s:%d is longer than %d", page.Topic, i+1, limit)
			}
			if fence := strings.TrimPrefix(line, "```"); fence != line && !slices.Contains([]string{"", "console"}, fence) {
				t.Errorf("%s:%d: a block of %s is run by no test", page.Topic, i+1, fence)
			}
		}
	}
}

func TestFindKnowsTheTopicsOnly(t *testing.T) {
	for _, topic := range []string{"", "job", "jobs.md", "../manual/jobs", "Jobs"} {
		if _, ok := Find(topic); ok {
			t.Errorf("%q was found", topic)
		}
	}
}
