package term

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
)

// Live is a block of lines at the end of a terminal that is painted again and
// again in place.
type Live struct {
	// Resized receives when the terminal has another size: the block should be
	// painted anew.
	Resized chan os.Signal

	streams Streams
	painted []int // the widths of the lines that stand there
}

// Live returns a block to paint. It is nil where the cursor cannot be moved: in
// a pipe and on a dumb terminal. Close it.
func (s Streams) Live() *Live {
	if !s.TTY || !s.Cursor {
		return nil
	}
	l := &Live{Resized: make(chan os.Signal, 1), streams: s}
	signal.Notify(l.Resized, syscall.SIGWINCH)
	return l
}

// Close ends the painting. The block stays.
func (l *Live) Close() { signal.Stop(l.Resized) }

// Leave lets the next Paint begin a new block, below what has been written to
// the terminal since the last one.
func (l *Live) Leave() { l.painted = nil }

// Paint replaces the block by what write prints to the streams it is given,
// which have the terminal's present width. Of a block that is higher than the
// terminal the first lines are shown, and how many are missing.
func (l *Live) Paint(write func(Streams) error) error {
	inner := l.streams
	height := 0
	if inner.Size != nil {
		inner.Width, height = inner.Size()
	}
	var text bytes.Buffer
	inner.Out = &text
	if err := write(inner); err != nil {
		return err
	}
	rows := func(width int) int {
		if inner.Width <= 0 || width == 0 {
			return 1
		}
		return (width + inner.Width - 1) / inner.Width
	}
	up := 0
	for _, width := range l.painted {
		up += rows(width)
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	widths := make([]int, len(lines))
	total, fit := 0, 0 // rows of all, and how many lines leave room for two more rows
	for i, line := range lines {
		widths[i] = displayWidth(sequence.ReplaceAllString(line, ""))
		if total += rows(widths[i]); total <= height-2 {
			fit = i + 1
		}
	}
	if height > 0 && total >= height {
		more := fmt.Sprintf("… and %d lines more", len(lines)-fit)
		lines, widths = append(lines[:fit], more), append(widths[:fit], displayWidth(more))
	}
	l.painted = widths
	clear := "\r\x1b[J"
	if up > 0 {
		clear = fmt.Sprintf("\x1b[%dA", up) + clear
	}
	_, err := io.WriteString(l.streams.Out, clear+strings.Join(lines, "\n")+"\n")
	return err
}

// sequence is what Paint of Streams adds to a text.
var sequence = regexp.MustCompile(`\x1b\[[0-9;]*m`)
