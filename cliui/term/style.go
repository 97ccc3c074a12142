package term

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// Style is what a text means; the terminal decides how that looks.
type Style int

// The meanings that have a colour. A style never stands for a word: what it
// says is printed as well.
const (
	Plain    Style = iota
	Good           // runs as wanted: green
	Changing       // on its way: yellow
	Bad            // failed, or not what was wanted: red
	Title          // the head of a table: bold
)

var sequences = map[Style]string{
	Good:     "\x1b[32m",
	Changing: "\x1b[33m",
	Bad:      "\x1b[31m",
	Title:    "\x1b[1m",
}

// Paint returns the text in the colour of the style, or as it is where colour
// is not wanted.
func (s Streams) Paint(style Style, text string) string {
	sequence := sequences[style]
	if !s.TTY || !s.Color || sequence == "" || text == "" {
		return text
	}
	return sequence + text + "\x1b[0m"
}

// Fit shortens a text to what one line of the terminal holds.
func (s Streams) Fit(text string) string {
	if !s.TTY || s.Width <= 0 {
		return text
	}
	return cut(text, s.Width)
}

// plain makes a text from outside harmless for a terminal: control characters,
// which could move the cursor or recolour the screen, become a question mark.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

// displayWidth is the number of columns a text takes on a terminal.
func displayWidth(text string) int {
	n := 0
	for _, r := range text {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// cut shortens a text to at most n columns, the last of which then says that
// something is missing.
func cut(text string, n int) string {
	if displayWidth(text) <= n {
		return text
	}
	kept := 0
	for i, r := range text {
		w := runeWidth(r)
		if kept+w > n-1 {
			return text[:i] + "…"
		}
		kept += w
	}
	return text
}
