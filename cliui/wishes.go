package cliui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

var storeDiffCommand = Command{
	Name:     "store diff",
	Summary:  "show what a host holds on to beside what is stored for it",
	Options:  []Option{fullOption},
	Operands: []Operand{{Name: "host"}},
	together: storeDiff,
}

var acceptCommand = Command{
	Name:    "accept",
	Summary: "end the doubt of a host: what it holds on to is true, or what is stored",
	Options: []Option{
		{Long: "keep", Help: "what the host holds on to is true; it is written to the store"},
		{Long: "follow", Help: "what is stored is true; what is not stored ends"},
		yesOption,
	},
	Operands: []Operand{{Name: "host"}},
	together: accept,
}

// hostWishes are the wishes of the host that the operand names, and its full name.
func (k *call) hostWishes(ctx context.Context, what string) (string, httpapi.HostWishes, error) {
	known, err := k.client.Hosts(ctx, "")
	if err != nil {
		return "", httpapi.HostWishes{}, ownFailure(what, err)
	}
	name := completeHost(k.operand(0), known, searchList(k.opts.ResolvConf))
	w, err := k.client.HostWishes(ctx, name)
	if err != nil {
		return "", httpapi.HostWishes{}, ownFailure(what, err)
	}
	return name, w, nil
}

// storeDiff shows, task by task, what a host holds on to and what is stored.
func storeDiff(ctx context.Context, calls []*call) error {
	k, err := only(calls, "store diff")
	if err != nil {
		return err
	}
	name, w, err := k.hostWishes(ctx, "store diff "+k.operand(0))
	if err != nil {
		return err
	}
	if k.json {
		_, err := fmt.Fprintln(k.out.Out, document.Pretty(w.JSON()))
		return err
	}
	fmt.Fprintln(k.out.Out, k.wishesState(name, w))
	rows := w.Differences()
	if len(rows) == 0 {
		return nil
	}
	table := term.NewTable(term.Column{Name: "JOB"}, term.Column{Name: "REMEMBERED"}, term.Column{Name: "STORED"}, term.Column{Name: "DIFFERENCE"})
	for _, row := range rows {
		style := term.Bad
		if row.Verdict == httpapi.WishSame {
			style = term.Good
		}
		table.Cells(term.Cell{Text: k.taskName(row.Task)}, term.Cell{Text: goalText(row.Remembered)}, term.Cell{Text: goalText(row.Stored)},
			term.Cell{Text: row.Verdict, Style: style})
	}
	return table.Print(k.out)
}

// wishesState is one line about how sure a host is.
func (k *call) wishesState(name string, w httpapi.HostWishes) string {
	state := name + ": "
	switch {
	case w.Newer:
		state += "what its agent says was written by a newer version of Helios"
	case w.Silent:
		state += "its agent says nothing of its wishes: it has never run, or is older"
	case w.Doubt == nil:
		state += "in no doubt: it follows what is stored"
	default:
		since := time.UnixMilli(w.Doubt.Since)
		text := "since " + since.UTC().Format(time.RFC3339)
		if k.out.TTY {
			text = "for " + term.Duration(time.Since(since))
		}
		state += "in doubt " + text + ": " + w.Doubt.Reason
	}
	if !w.Up {
		state += " (the host is down: this is what it said last)"
	}
	return state
}

// taskName is a task's job, as lists show it.
func (k *call) taskName(name string) string {
	id, err := job.ReadID(name)
	if err != nil || k.flags.Bool("f") {
		return name
	}
	return id.Display()
}

func goalText(g job.Goal) string {
	if g == "" {
		return "-"
	}
	return string(g)
}

// accept ends a doubt. It names the doubt that it has shown: when that has become another one, nothing is done.
func accept(ctx context.Context, calls []*call) error {
	k, err := only(calls, "accept")
	if err != nil {
		return err
	}
	mode := host.Keep
	if k.flags.Bool("follow") {
		mode = host.Follow
	}
	if k.flags.Bool("keep") == k.flags.Bool("follow") {
		return usageError("helios: accept: one of --keep and --follow says what is true")
	}
	what := "accept " + k.operand(0)
	name, w, err := k.hostWishes(ctx, what)
	switch {
	case errors.Is(err, host.ErrNotFound):
		return refused(what, "%w: one that was deregistered is taken back by the command that its agent logs", host.ErrNotFound)
	case err != nil:
		return err
	case w.Newer || w.Silent:
		return refused(what, "%s", strings.TrimPrefix(k.wishesState(name, w), name+": "))
	case w.Doubt == nil:
		return refused(what, "%w: it follows what is stored", host.ErrNoDoubt)
	}
	if !k.flags.Bool("yes") {
		if err := k.confirm(consequences(name, mode, w.Differences())); err != nil {
			return err
		}
	}
	if err := k.client.Accept(ctx, name, w.Doubt.Token, mode); err != nil {
		return ownFailure(what, err)
	}
	_, err = fmt.Fprintf(k.out.Out, "%s: %s\n", name, k.out.Paint(term.Good, "done"))
	return err
}

// consequences are what an acceptance does to each task.
func consequences(name string, mode host.Mode, rows []httpapi.WishDifference) string {
	var b strings.Builder
	fmt.Fprintf(&b, "This will, on %s,", name)
	for _, row := range rows {
		if row.Verdict == httpapi.WishSame || row.Verdict == httpapi.WishUnreadable && mode == host.Follow {
			continue
		}
		wanted, verb := row.Remembered, "store as "+goalText(row.Remembered)
		if mode == host.Follow {
			wanted, verb = row.Stored, "change to "+goalText(row.Stored)
		}
		switch {
		case mode == host.Keep && wanted == "":
			verb = "undeploy from the store"
		case mode == host.Follow && wanted == "":
			verb = "end"
		case mode == host.Follow && row.Remembered == "":
			verb = "begin as " + goalText(row.Stored)
		}
		fmt.Fprintf(&b, "\n  %s %s", verb, row.Task)
	}
	return b.String()
}
