package roles_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/helios-go/helios/cliui/manual"
	"github.com/helios-go/helios/store"
)

// TestManualShowsTheNodeMap wants the page about nodes to show what the store goes by.
func TestManualShowsTheNodeMap(t *testing.T) {
	t.Parallel()
	page, ok := manual.Find("nodes")
	if !ok {
		t.Fatal("there is no page")
	}
	if want := "\n```\n" + nodeMapText() + "```\n"; !strings.Contains(page.Text, want) {
		t.Errorf("the page does not show\n%s", want)
	}
}

// nodeMapText is the node map as an indented tree.
func nodeMapText() string {
	var b strings.Builder
	for _, kind := range store.NodeMap() {
		parts := strings.Split(kind.Path, "/")
		name := strings.Repeat("  ", len(parts)-2) + parts[len(parts)-1]
		if len(parts) == 2 {
			name = kind.Path
		}
		var notes []string
		for _, note := range []struct {
			text string
			so   bool
		}{{kind.Holds, kind.Holds != ""}, {"ephemeral", kind.Ephemeral}, {"ours", kind.Ours}} {
			if note.so {
				notes = append(notes, note.text)
			}
		}
		line := fmt.Sprintf("%-25s %-2s  %-2s  %s", name, kind.Writes, kind.Reads, strings.Join(notes, ", "))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
