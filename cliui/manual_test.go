package cliui

import (
	"strings"
	"testing"

	"github.com/helios-go/helios/cliui/clitest"
	"github.com/helios-go/helios/cliui/manual"
)

func TestManual(t *testing.T) {
	list := run(t, []string{"manual"}, nil, "")
	if help := run(t, []string{"manual", "--help"}, nil, ""); help != list {
		t.Errorf("--help: %+v", help)
	}
	for _, page := range manual.Pages() {
		if list.Exit != 0 || !strings.Contains(list.Stdout, "\n  "+page.Topic+" ") || !strings.Contains(list.Stdout, page.Title) {
			t.Errorf("%s is not listed: %+v", page.Topic, list)
		}
		if got := run(t, []string{"manual", page.Topic}, nil, ""); got != (clitest.Result{Stdout: page.Text}) {
			t.Errorf("%s: %+v", page.Topic, got)
		}
	}
	for words, complaint := range map[string]string{
		"manual nothing":    "helios: manual: there is no topic nothing; helios manual lists them\n",
		"manual jobs hosts": "helios: manual: one topic at a time\n",
	} {
		if got := run(t, strings.Fields(words), nil, ""); got != (clitest.Result{Exit: 2, Stderr: complaint}) {
			t.Errorf("%s: %+v", words, got)
		}
	}
}

func TestOurOwnCommandsAreTheFirstWordAndExact(t *testing.T) {
	for _, words := range []string{"manua", "--json manual", "man"} {
		if got := run(t, strings.Fields(words), nil, ""); got.Exit != 1 || !strings.Contains(got.Stderr, "invalid choice: ") || strings.Contains(got.Stderr, "'manual',") {
			t.Errorf("%s: %+v", words, got)
		}
	}
	for words, hint := range map[string]string{
		"-z http://a:1 accept x": "\nhint: 'accept' stands before all options: helios accept …\n", "-z http://a:1 accepts x": "",
	} {
		got := run(t, strings.Fields(words), nil, "", func(o *Options) { o.Streams.TTY = true })
		if _, said, _ := strings.Cut(got.Stderr, "'version')"); got.Exit != 1 || said != hint && hint != "" || strings.Contains(said, "hint") != (hint != "") {
			t.Errorf("%s: %+v", words, got)
		}
	}
	if help := run(t, []string{"--help"}, nil, ""); !strings.Contains(help.Stdout, "\n  manual                read the manual: helios manual [TOPIC]\n") {
		t.Errorf("help does not show it:\n%s", help.Stdout)
	}
}
