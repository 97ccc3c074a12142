package term

import (
	"bufio"
	"slices"
	"strings"
	"unicode/utf16"
)

// Column is one column of a table.
type Column struct {
	Name string
	// Give says which columns are shortened when a terminal is too narrow: the
	// one with the highest number first, one with 0 never.
	Give int
}

// Cell is one text of a table and what it means.
type Cell struct {
	Text  string
	Style Style
}

// Table collects rows and prints them below the names of its columns.
type Table struct {
	columns []Column
	rows    [][]Cell
}

// NewTable returns an empty table.
func NewTable(columns ...Column) *Table { return &Table{columns: columns} }

// Row adds a row of texts without a meaning of their own.
func (t *Table) Row(texts ...string) {
	cells := make([]Cell, len(texts))
	for i, text := range texts {
		cells[i].Text = text
	}
	t.Cells(cells...)
}

// Cells adds a row. It has one cell for each column.
func (t *Table) Cells(cells ...Cell) {
	if len(cells) != len(t.columns) {
		panic("term: a row must have a cell for each column")
	}
	t.rows = append(t.rows, cells)
}

// Print writes the table: in a pipe exactly in the original's form, on a
// terminal within its width.
func (t *Table) Print(s Streams) error {
	head := make([]Cell, len(t.columns))
	for i, column := range t.columns {
		head[i] = Cell{Text: column.Name, Style: Title}
	}
	rows := append([][]Cell{head}, t.rows...)
	out := bufio.NewWriter(s.Out)
	if s.TTY {
		t.fit(s, rows, out)
	} else {
		pipe(rows, out)
	}
	return out.Flush()
}

// pipe writes the original's form: each cell padded to the widest of its
// column and followed by four blanks, the last one too (5-cli §6.1). Widths
// are counted as Length does.
func pipe(rows [][]Cell, out *bufio.Writer) {
	widths := widest(rows, Length)
	for _, row := range rows {
		for i, cell := range row {
			out.WriteString(cell.Text)
			out.WriteString(strings.Repeat(" ", widths[i]-Length(cell.Text)+4))
		}
		out.WriteByte('\n')
	}
}

// Length is the length of a text as the original counts it: in UTF-16 units.
func Length(text string) int {
	n := 0
	for _, r := range text {
		n += max(utf16.RuneLen(r), 1)
	}
	return n
}

// gap is what separates two columns on a terminal.
const gap = 2

// fit writes the form for a terminal: no line is wider than it as long as the
// columns that may be shortened allow that.
func (t *Table) fit(s Streams, rows [][]Cell, out *bufio.Writer) {
	for _, row := range rows[1:] {
		for i := range row {
			row[i].Text = plain(row[i].Text)
		}
	}
	widths := widest(rows, displayWidth)
	t.shrink(widths, s.Width)
	for _, row := range rows {
		blanks := 0
		for i, cell := range row {
			text := cut(cell.Text, widths[i])
			if text != "" {
				out.WriteString(strings.Repeat(" ", blanks))
				out.WriteString(s.Paint(cell.Style, text))
				blanks = 0
			}
			blanks += widths[i] - displayWidth(text) + gap
		}
		out.WriteByte('\n')
	}
}

// shrink takes from the columns that may give, the least important first, what
// the line is too wide. A column keeps at least four columns, or its own width
// where that is less.
func (t *Table) shrink(widths []int, limit int) {
	if limit <= 0 {
		return
	}
	total := gap * (len(widths) - 1)
	for _, width := range widths {
		total += width
	}
	order := make([]int, 0, len(widths))
	for i, column := range t.columns {
		if column.Give > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return t.columns[b].Give - t.columns[a].Give })
	for _, i := range order {
		if total <= limit {
			return
		}
		taken := min(total-limit, max(widths[i]-4, 0))
		widths[i] -= taken
		total -= taken
	}
}

func widest(rows [][]Cell, length func(string) int) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], length(cell.Text))
		}
	}
	return widths
}
