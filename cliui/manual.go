package cliui

import (
	"fmt"

	"github.com/helios-go/helios/cliui/manual"
)

var manualCommand = Command{Name: "manual", Summary: "read the manual: helios manual [TOPIC]"}

// manual prints a page of the manual, or which topics there are. It is our own
// command: neither options nor a master mean anything to it.
func (s *session) manual(words []string) error {
	if len(words) == 1 && (words[0] == "-h" || words[0] == "--help") {
		words = nil
	}
	switch len(words) {
	case 0:
		fmt.Fprintln(s.out.Out, "usage: helios manual [TOPIC]\n\ntopics:")
		for _, page := range manual.Pages() {
			fmt.Fprintf(s.out.Out, "  %-10s %s\n", page.Topic, page.Title)
		}
		return nil
	case 1:
		page, ok := manual.Find(words[0])
		if !ok {
			return usageError(fmt.Sprintf("helios: manual: there is no topic %s; helios manual lists them", words[0]))
		}
		_, err := fmt.Fprint(s.out.Out, page.Text)
		return err
	default:
		return usageError("helios: manual: one topic at a time")
	}
}
