// Package term is how commands speak to whoever started them: the three
// streams, whether a person or a pipe is at the other end, tables, colour and
// durations.
//
// It owns the rule that decides what may differ between the two: in a pipe
// every text is the original's, complete and without a single escape sequence;
// on a terminal tables fit the width, times are relative and states are
// coloured, with the word always printed too. It never reads configuration,
// never talks to a master and never decides what is shown.
package term

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// Streams is the only way a command reads or writes. Data goes to Out;
// progress, hints and warnings to Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	// TTY says that Out is a terminal: a person reads it.
	TTY bool
	// Width is the number of columns of that terminal; 0 means unknown, and
	// nothing is cut.
	Width int
	// Size asks for the present number of columns and rows; nil where that is
	// not known.
	Size func() (width, height int)
	// Color allows escape sequences that set a colour, and Cursor those that
	// move the cursor. They are only looked at on a terminal.
	Color, Cursor bool
}

// System returns the streams of this process. NO_COLOR (any value but the
// empty one) switches colour off, TERM=dumb colour and cursor; COLUMNS, where
// it is a positive number, is the width.
func System(getenv func(string) string) Streams {
	s := Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	fd := int(os.Stdout.Fd())
	if !term.IsTerminal(fd) {
		return s
	}
	s.TTY = true
	s.Cursor = getenv("TERM") != "dumb" && getenv("TERM") != ""
	s.Color = s.Cursor && getenv("NO_COLOR") == ""
	columns, err := strconv.Atoi(getenv("COLUMNS"))
	given := err == nil && columns > 0
	s.Size = func() (int, int) {
		width, height, err := term.GetSize(fd)
		if err != nil {
			width, height = 0, 0
		}
		if given {
			width = columns
		}
		return width, height
	}
	s.Width, _ = s.Size()
	return s
}
