package cliui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

var intervalOption = Option{Long: "interval", Takes: One, Kind: Integer, Metavar: "SECONDS", Help: "time between two reports (default: 1)"}

var watchCommand = Command{
	Name:    "watch",
	Summary: "watch what jobs do on their hosts",
	Options: []Option{
		{Long: "exact", Help: "hosts are full names, each shown even if nothing is known of it; otherwise they are prefixes"},
		intervalOption,
	},
	Operands: []Operand{jobOperand, {Name: "hosts", Optional: true, List: true}},
	together: watch,
}

// watch shows what jobs do until it is interrupted
// (testdata/spec/5-cli.md §8.11). Which jobs is decided once, at the start.
func watch(ctx context.Context, calls []*call) error {
	k := calls[0]
	ids := map[job.ID]bool{}
	for _, k := range calls {
		jobs, err := k.client.Jobs(ctx, k.operand(0), "")
		if err != nil {
			return err
		}
		for id := range jobs {
			ids[id] = true
		}
	}
	if len(ids) == 0 {
		fmt.Fprintln(k.out.Out, "Unknown job: "+k.operand(0)) // Q20
		return errSaid
	}
	w := watching{calls: calls, ids: sortedIDs(ids), hosts: k.operands(1), exact: k.flags.Bool("exact"), interval: interval(k.flags)}
	return w.run(ctx, k.out)
}

func interval(flags *cli.Context) time.Duration {
	if !flags.IsSet("interval") {
		return time.Second
	}
	return time.Duration(flags.Int64("interval")) * time.Second
}

// watching is what one watch looks at.
type watching struct {
	calls    []*call  // the targets
	ids      []job.ID // sorted
	hosts    []string // prefixes of names, none for all; or full names
	exact    bool     // they are full names
	interval time.Duration
}

// watched is a job on a host; the task is nil if nothing is known of it.
type watched struct {
	id   job.ID
	host string
	task *job.TaskStatus
}

// run reports until ctx ends or nobody reads any more. On a terminal the report
// is painted in place; elsewhere it is appended in the original's form.
func (w *watching) run(ctx context.Context, out term.Streams) error {
	live := out.Live()
	var resized chan os.Signal
	if live == nil {
		_, _ = io.WriteString(out.Out, "Control-C to stop\nJOB                  HOST                           STATE    THROTTLED?\n")
	} else {
		defer live.Close()
		resized = live.Resized
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var report [][]watched
	var at time.Time
	noted := w.calls[0].notes.n // a warning, such as that a master is away, stands below the block
	for {
		select {
		case <-ctx.Done():
			return interrupted(ctx, out, report)
		case <-resized:
			if report == nil {
				continue
			}
		case <-timer.C:
			latest, err := w.look(ctx)
			if ctx.Err() != nil {
				return interrupted(ctx, out, report)
			}
			if err != nil {
				return err
			}
			report, at = latest, time.Now()
			timer.Reset(w.interval)
			if n := w.calls[0].notes.n; live != nil && n != noted {
				live.Leave()
				noted = n
			}
		}
		var err error
		if live != nil {
			err = live.Paint(func(s term.Streams) error { return w.paint(s, report, at) })
		} else {
			err = w.append(out.Out, report, at)
		}
		switch {
		case err != nil: // nobody reads any more
			return nil
		case w.interval < 0:
			return errors.New("timeout value is negative")
		}
	}
}

// look asks all targets.
func (w *watching) look(ctx context.Context) ([][]watched, error) {
	var report [][]watched
	for _, k := range w.calls {
		statuses, err := k.client.JobStatuses(ctx, w.ids)
		if err != nil {
			return nil, err
		}
		report = append(report, w.pick(statuses))
	}
	return report, nil
}

// pick chooses what of the statuses is shown, in order.
func (w *watching) pick(statuses map[job.ID]job.Status) []watched {
	var list []watched
	for _, id := range w.ids {
		tasks := statuses[id].TaskStatuses
		hosts := w.hosts
		if !w.exact {
			hosts = slices.SortedFunc(maps.Keys(tasks), document.Ascending)
		}
		for _, host := range hosts {
			begins := func(prefix string) bool { return strings.HasPrefix(host, prefix) }
			if w.exact || tasks[host] != nil && (len(w.hosts) == 0 || slices.ContainsFunc(w.hosts, begins)) {
				list = append(list, watched{id, host, tasks[host]})
			}
		}
	}
	return list
}

// cells are the state and why the task waits.
func (t watched) cells() (state, throttled term.Cell) {
	if t.task == nil {
		unknown := term.Cell{Text: string(job.Unknown)}
		return unknown, unknown
	}
	return stateCell(*t.task, string(t.task.State)), throttleCell(t.task.Throttled)
}

// append writes a report below the one before.
func (w *watching) append(out io.Writer, report [][]watched, at time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "-------------------- ------------------------------ -------- ---------- [%s UTC]\n", at.UTC().Format(time.DateTime))
	for i, k := range w.calls {
		if len(w.calls) > 1 {
			fmt.Fprintf(&b, "--- %s\n", k.title())
		}
		for _, t := range report[i] {
			state, throttled := t.cells()
			fmt.Fprintf(&b, "%-20.20s %-30.30s %-8s %s\n", t.id.Display(), t.host, state.Text, throttled.Text)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// paint writes a report for a terminal.
func (w *watching) paint(s term.Streams, report [][]watched, at time.Time) error {
	for i, k := range w.calls {
		if len(w.calls) > 1 {
			fmt.Fprintln(s.Out, s.Fit(k.title()))
		}
		table := term.NewTable(
			term.Column{Name: "JOB", Least: 18}, term.Column{Name: "HOST", Give: 1, Least: 10}, term.Column{Name: "STATE", Least: 8},
			term.Column{Name: "THROTTLED", Give: 3}, term.Column{Name: "ERROR", Give: 2, Least: 12},
		)
		for _, t := range report[i] {
			state, throttled := t.cells()
			problem := ""
			if t.task != nil {
				problem = t.task.ContainerError
			}
			table.Cells(term.Cell{Text: t.id.Display()}, term.Cell{Text: t.host}, state, throttled, term.Cell{Text: problem})
		}
		if err := table.Print(s); err != nil {
			return err
		}
	}
	foot := fmt.Sprintf("%s, every %s; Control-C to stop", at.In(w.calls[0].opts.Location).Format(time.TimeOnly), term.Duration(w.interval))
	_, err := fmt.Fprintln(s.Out, s.Fit(foot))
	return err
}

// interrupted says what goes on in the cluster when nobody watches any more.
func interrupted(ctx context.Context, out term.Streams, report [][]watched) error {
	states := map[string]int{}
	for _, list := range report {
		for _, t := range list {
			state, _ := t.cells()
			states[state.Text]++
		}
	}
	var counts []string
	for _, state := range slices.Sorted(maps.Keys(states)) {
		counts = append(counts, fmt.Sprintf("%d %s", states[state], state))
	}
	if out.TTY {
		fmt.Fprintln(out.Err) // below the ^C
	}
	text := "helios: no longer watching; the jobs go on in the cluster"
	if len(counts) > 0 {
		text += ": " + strings.Join(counts, ", ")
	}
	fmt.Fprintln(out.Err, text)
	return context.Cause(ctx)
}
