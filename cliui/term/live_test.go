package term

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// screen is as much of a terminal as Live needs: lines wrap at the width, the
// cursor goes up and to the left, what is below it is erased.
type screen struct {
	width, row int
	rows       []string
}

func (s *screen) Write(b []byte) (int, error) {
	text := sequence.ReplaceAllString(string(b), "")
	for _, token := range regexp.MustCompile(`\x1b\[\d*[AJ]|\r|\n|[^\x1b\r\n]+`).FindAllString(text, -1) {
		for len(s.rows) <= s.row {
			s.rows = append(s.rows, "")
		}
		switch {
		case token == "\r":
		case token == "\n":
			s.row++
		case token == "\x1b[J":
			s.rows = s.rows[:s.row]
		case token[0] == '\x1b':
			n, err := strconv.Atoi(token[2 : len(token)-1])
			if err != nil || n > s.row {
				return 0, fmt.Errorf("%q at row %d", token, s.row)
			}
			s.row -= n
		default:
			for runes := []rune(token); len(runes) > 0; {
				n := min(len(runes), s.width)
				for len(s.rows) <= s.row {
					s.rows = append(s.rows, "")
				}
				s.rows[s.row] = string(runes[:n])
				if runes = runes[n:]; len(runes) > 0 {
					s.row++
				}
			}
		}
	}
	return len(b), nil
}

func (s *screen) String() string { return strings.Join(s.rows, "\n") }

// terminal is a Live on a screen of a size that can be changed.
func terminal(width, height int) (*screen, *Live, func(width, height int)) {
	s := &screen{width: width}
	size := func() (int, int) { return width, height }
	l := Streams{Out: s, TTY: true, Color: true, Cursor: true, Size: func() (int, int) { return size() }}.Live()
	return s, l, func(w, h int) { width, height, s.width = w, h, w }
}

func lines(n int, text string) func(Streams) error {
	return func(s Streams) error {
		for i := range n {
			fmt.Fprintf(s.Out, "%s %d\n", s.Paint(Good, text), i)
		}
		return nil
	}
}

func TestLiveReplacesWhatItHasPainted(t *testing.T) {
	s, l, _ := terminal(10, 24)
	defer l.Close()
	fmt.Fprint(s, "before\n")
	for _, n := range []int{3, 1, 2} {
		if err := l.Paint(lines(n, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if want := "before\nx 0\nx 1"; s.String() != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

func TestLiveCountsTheRowsOfWrappedLines(t *testing.T) {
	s, l, _ := terminal(10, 24)
	defer l.Close()
	fmt.Fprint(s, "before\n")
	if err := l.Paint(lines(2, "0123456789abc")); err != nil {
		t.Fatal(err)
	}
	if err := l.Paint(lines(1, "x")); err != nil {
		t.Fatal(err)
	}
	if want := "before\nx 0"; s.String() != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
}

func TestLiveFollowsTheSizeOfTheTerminal(t *testing.T) {
	s, l, resize := terminal(80, 24)
	defer l.Close()
	width := func(out Streams) error { _, err := fmt.Fprintln(out.Out, out.Width); return err }
	if err := l.Paint(width); err != nil {
		t.Fatal(err)
	}
	resize(40, 24)
	if err := l.Paint(width); err != nil {
		t.Fatal(err)
	}
	if s.String() != "40" {
		t.Errorf("got\n%s", s)
	}
}

func TestLiveShowsOfAHighBlockWhatFits(t *testing.T) {
	s, l, resize := terminal(20, 5)
	defer l.Close()
	for _, n := range []int{9, 4, 5} {
		if err := l.Paint(lines(n, "x")); err != nil {
			t.Fatal(err)
		}
	}
	if want := "x 0\nx 1\nx 2\n… and 2 lines more"; s.String() != want {
		t.Errorf("got\n%s\nwant\n%s", s, want)
	}
	resize(20, 1)
	if err := l.Paint(lines(3, "x")); err != nil {
		t.Fatal(err)
	}
}

func TestThereIsNoLiveWithoutACursor(t *testing.T) {
	for _, s := range []Streams{{}, {Cursor: true}, {TTY: true}} {
		if s.Live() != nil {
			t.Errorf("%+v has one", s)
		}
	}
}

func TestLiveWritesEachPaintAtOnce(t *testing.T) {
	var writes [][]byte
	out := writerFunc(func(b []byte) (int, error) { writes = append(writes, bytes.Clone(b)); return len(b), nil })
	l := Streams{Out: out, TTY: true, Cursor: true}.Live()
	defer l.Close()
	if err := l.Paint(lines(3, "x")); err != nil || len(writes) != 1 || string(writes[0]) != "\r\x1b[Jx 0\nx 1\nx 2\n" {
		t.Errorf("%q, %v", writes, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
