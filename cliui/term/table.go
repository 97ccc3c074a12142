package term

import (
	"bufio"
	"cmp"
	"slices"
	"strings"
	"unicode/utf16"
)

// Column is one column of a table. Give and Least say what becomes of it on a
// terminal that is too narrow for all.
type Column struct {
	Name string
	// Give says which columns are cut short and given up: the one with the
	// highest number first, one with 0 last of all and never given up.
	Give int
	// Least is the width below which the texts can no longer be read, where
	// that is more than six and than the name. Rather than that a column is
	// given up.
	Least int
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
	widths := widest(len(rows[0]), rows, Length)
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

// fit writes the form for a terminal: no line is wider than it.
func (t *Table) fit(s Streams, rows [][]Cell, out *bufio.Writer) {
	for _, row := range rows[1:] {
		for i := range row {
			row[i].Text = plain(row[i].Text)
		}
	}
	widths := widest(len(t.columns), rows, displayWidth)
	if s.Width > 0 {
		shrink(widths, t.columns, widest(len(t.columns), rows[1:], displayWidth), s.Width)
	}
	for _, row := range rows {
		blanks := 0
		for i, cell := range row {
			if widths[i] == 0 {
				continue
			}
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

// shrink takes from the widths what a line is wider than the limit, the least
// important columns first; filled are the widths without the columns' names. A
// column that is given up has none left. Columns without a text are given up
// before anything is cut, others where they could not be read any more beside
// the more important ones. Those that are never given up are cut last, and even
// below their least width where nothing else is left.
func shrink(widths []int, columns []Column, filled []int, limit int) {
	var order, always []int
	for i, column := range columns {
		if column.Give > 0 {
			order = append(order, i)
		} else {
			always = append(always, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return columns[b].Give - columns[a].Give })
	least := make([]int, len(widths))
	giveUp := func(i int) { widths[i], least[i] = 0, 0 }
	for i, column := range columns {
		least[i] = min(widths[i], max(column.Least, displayWidth(column.Name), 6))
	}
	for _, i := range order {
		if filled[i] == 0 && line(widths) > limit {
			giveUp(i)
		}
	}
	for _, i := range order {
		if line(least) > limit {
			giveUp(i)
		}
	}
	for _, i := range order {
		widths[i] -= min(max(line(widths)-limit, 0), widths[i]-least[i])
	}
	for line(widths) > limit {
		spare := func(i int) int { return max(widths[i]-least[i], 0) }
		widest := slices.MaxFunc(always, func(a, b int) int { return cmp.Or(spare(a)-spare(b), widths[a]-widths[b]) })
		if widths[widest] == 1 {
			return
		}
		widths[widest]--
	}
}

// line is the width of a line with columns of these widths, of which those
// without any do not count.
func line(widths []int) int {
	total := 0
	for _, width := range widths {
		if width > 0 {
			total += width + gap
		}
	}
	return max(total-gap, 0)
}

func widest(columns int, rows [][]Cell, length func(string) int) []int {
	widths := make([]int, columns)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], length(cell.Text))
		}
	}
	return widths
}
