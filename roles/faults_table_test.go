package roles_test

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
)

// results are those of the promises that were put to the test; TestMain prints them.
type results struct {
	mu   sync.Mutex // guards rows
	rows []*trial
}

var kept results

func (r *results) add(tr *trial) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, tr)
}

// print writes the table of all promises, and the sums.
func (r *results) print(out io.Writer) {
	if len(r.rows) == 0 {
		return
	}
	slices.SortFunc(r.rows, func(a, b *trial) int {
		return cmp.Or(strings.Compare(a.group, b.group), cmp.Compare(a.place, b.place))
	})
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nPROMISE\tTASKS\tLOST\tDOUBLED\tWISHED STATE AFTER\tLIMIT\tKEPT")
	lost, doubled, broken := 0, 0, 0
	for _, tr := range r.rows {
		held, took := "yes", "-"
		if tr.Failed() {
			held = "NO"
			broken++
		}
		if tr.took > 0 {
			took = fmt.Sprintf("%.1f s", tr.took.Seconds())
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%s\t%.0f s\t%s\n", tr.says, len(tr.watched), tr.lost, tr.doubled, took, tr.limit.Seconds(), held)
		lost, doubled = lost+tr.lost, doubled+tr.doubled
	}
	_ = table.Flush()
	fmt.Fprintf(out, "\n%d promises, %d broken; containers lost: %d, doubled: %d\n", len(r.rows), broken, lost, doubled)
}
