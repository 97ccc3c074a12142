package cliui

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

var hostsCommand = Command{
	Name:    "hosts",
	Summary: "list hosts",
	Options: []Option{
		{Short: "q", Help: "print only host names"},
		fullOption,
		{Long: "status", Takes: Optional, Choices: []string{"UP", "DOWN"}, Help: "only hosts with this status"},
		{Short: "s", Long: "selector", Takes: One, Repeat: true, Metavar: "EXPRESSION", Help: "only hosts with these labels, such as role=web; may be repeated"},
	},
	Operands: []Operand{{Name: "pattern", Optional: true}},
	run:      hosts,
}

// hosts lists the hosts whose name matches a pattern and whose labels satisfy
// all selectors (testdata/spec/5-cli.md §9.1). Finding none is a failure, also
// in an empty cluster: readiness is tested that way (Q21).
func hosts(ctx context.Context, k *call) error {
	pattern, quiet, state := k.operand(0), k.flags.Bool("q"), host.State(k.flags.String("status"))
	var selectors []string
	for _, s := range k.flags.StringSlice("selector") {
		if !slices.Contains(selectors, s) {
			selectors = append(selectors, s)
		}
	}
	names, err := k.client.Hosts(ctx, pattern, selectors...)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		switch {
		case k.json && quiet:
			fmt.Fprintln(k.out.Out, "[ ]")
		case k.json:
			fmt.Fprintln(k.out.Out, "{ }")
		case pattern != "" && !quiet:
			fmt.Fprintln(k.out.Out, "host pattern "+pattern+" matched no hosts")
		}
		return errSaid
	}
	var statuses map[string]host.Status
	if !quiet || state != "" {
		if statuses, err = k.client.HostStatuses(ctx, names, state); err != nil {
			return err
		}
		names = slices.Collect(maps.Keys(statuses))
	}
	slices.SortFunc(names, document.Ascending)
	switch {
	case quiet && k.json:
		fmt.Fprintln(k.out.Out, document.Pretty(document.Texts(&names)))
	case quiet:
		name := k.hostNames()
		for _, n := range names {
			shown, err := name(n)
			if err != nil {
				return err
			}
			fmt.Fprintln(k.out.Out, shown)
		}
	case k.json:
		fmt.Fprintln(k.out.Out, document.Pretty(document.Map(&statuses, document.TextKeys, (*host.Status).JSON)))
	default:
		doubts := k.doubts(ctx)
		table, err := k.hostsTable(names, statuses, doubts)
		if err != nil {
			return err
		}
		if err := table.Print(k.out); err != nil {
			return err
		}
		if len(doubts) > 0 {
			fmt.Fprintln(k.out.Err, "hint: helios store diff HOST shows what a host doubts, helios manual doubt says what that means")
		}
	}
	return nil
}

// doubts are the doubts of the hosts, for people: in a pipe the table is the original's. A master that does not know has
// none.
func (k *call) doubts(ctx context.Context) map[string]host.Doubt {
	if !k.out.TTY {
		return nil
	}
	doubts, err := k.client.Doubts(ctx)
	if err != nil {
		return nil
	}
	return doubts
}

// hostsTable has a column for doubts where there are any.
func (k *call) hostsTable(names []string, statuses map[string]host.Status, doubts map[string]host.Doubt) (*term.Table, error) {
	columns := []term.Column{
		{Name: "HOST", Least: 24},
		{Name: "STATUS", Least: 16},
		{Name: "DEPLOYED", Give: 2},
		{Name: "RUNNING", Give: 1},
		{Name: "CPUS", Give: 4},
		{Name: "MEM", Give: 3},
		{Name: "LOAD AVG", Give: 7},
		{Name: "MEM USAGE", Give: 6},
		{Name: "OS", Give: 10},
		{Name: "HELIOS", Give: 8},
		{Name: "DOCKER", Give: 9},
		{Name: "LABELS", Give: 5, Least: 12},
	}
	if len(doubts) > 0 {
		columns = slices.Insert(columns, 2, term.Column{Name: "IN DOUBT", Least: 10})
	}
	table := term.NewTable(columns...)
	name, now := k.hostNames(), time.Now()
	for _, n := range names {
		shown, err := name(n)
		if err != nil {
			return nil, err
		}
		s := statuses[n]
		row := []term.Cell{{Text: shown}, hostState(s, now), {Text: strconv.Itoa(len(s.Jobs))}, {Text: strconv.Itoa(running(s))}}
		for _, text := range machine(s) {
			row = append(row, term.Cell{Text: text})
		}
		if d, in := doubts[n]; len(doubts) > 0 {
			cell := term.Cell{}
			if in {
				cell = term.Cell{Text: term.Duration(now.Sub(time.UnixMilli(d.Since))), Style: term.Bad}
			}
			row = slices.Insert(row, 2, cell)
		}
		labels := mapped(s.Labels, func(value string) string { return value })
		table.Cells(append(row, term.Cell{Text: strings.Join(labels, ", ")})...)
	}
	return table, nil
}

// hostState is Up or Down and for how long, as far as that is known.
func hostState(s host.Status, now time.Time) term.Cell {
	cell := term.Cell{Text: "Down", Style: term.Bad}
	if s.Status == host.Up {
		cell = term.Cell{Text: "Up", Style: term.Good}
	}
	if a := s.AgentInfo; a != nil {
		since := time.UnixMilli(a.StartTime)
		if s.Status != host.Up {
			since = time.UnixMilli(a.StartTime + a.Uptime)
		}
		cell.Text += " " + term.Duration(now.Sub(since))
	}
	return cell
}

// running counts the deployed jobs that run.
func running(s host.Status) int {
	n := 0
	for id := range s.Jobs {
		if t := s.Statuses[id]; t != nil && t.State == job.Running {
			n++
		}
	}
	return n
}

// machine are the columns from CPUS to DOCKER.
func machine(s host.Status) [7]string {
	var columns [7]string
	if i := s.HostInfo; i != nil {
		columns = [7]string{
			strconv.Itoa(int(i.CPUs)),
			fmt.Sprintf("%d gb", i.MemoryTotalBytes>>30),
			hundredths(i.LoadAvg),
			"NaN",
			orNull(i.OSName) + " " + orNull(i.OSVersion),
		}
		if i.MemoryTotalBytes != 0 {
			columns[3] = hundredths(float64(i.MemoryTotalBytes-i.MemoryFreeBytes) / float64(i.MemoryTotalBytes))
		}
		if d := i.DockerVersion; d != nil {
			columns[6] = fmt.Sprintf("%s (%s)", orNull(d.Version), orNull(d.APIVersion))
		}
	}
	if s.AgentInfo != nil {
		columns[5] = orNull(s.AgentInfo.Version)
	}
	return columns
}

// hundredths writes a number with two decimals, rounded half up as it would be
// by hand.
func hundredths(x float64) string {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(math.Abs(x), 'f', -1, 64), ".")
	n, err := strconv.ParseInt(whole+(fraction + "000")[:3], 10, 64)
	if err != nil {
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	n = (n + 5) / 10
	sign := ""
	if x < 0 && n > 0 {
		sign = "-"
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
}
