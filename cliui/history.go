package cliui

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

var historyCommand = Command{
	Name:     "history",
	Summary:  "show what a job did on its hosts",
	Operands: []Operand{{Name: "jobid"}},
	run:      history,
}

// history lists what happened to a job on all its hosts
// (testdata/spec/5-cli.md §8.9, Q40).
func history(ctx context.Context, k *call) error {
	reference := k.operand(0)
	jobs, err := k.client.Jobs(ctx, reference, "")
	if err != nil {
		return err
	}
	if len(jobs) > 1 && !k.json {
		fmt.Fprintln(k.out.Out, "Ambiguous job id: "+reference)
		return errSaid
	}
	id, err := k.onlyJob(jobs, reference)
	if err != nil {
		return err
	}
	events, err := k.client.History(ctx, id)
	switch {
	case k.json && events.Status != "":
		fmt.Fprintln(k.out.Out, document.Pretty(events.JSON()))
		return nil
	case errors.Is(err, job.ErrNotFound):
		return fmt.Errorf("the master has no history of job %s", id)
	case err != nil:
		return err
	}
	return k.historyTable(events).Print(k.out)
}

func (k *call) historyTable(events httpapi.TaskStatusEvents) *term.Table {
	table := term.NewTable(
		term.Column{Name: "HOST", Least: 14}, term.Column{Name: "TIMESTAMP", Give: 1, Least: 14}, term.Column{Name: "STATE", Least: 8},
		term.Column{Name: "THROTTLED", Give: 2}, term.Column{Name: "CONTAINERID", Give: 3},
	)
	now := time.Now()
	for _, e := range events.Events {
		at := time.UnixMilli(e.Timestamp)
		when := at.In(k.opts.Location).Format("2006-01-02 15:04:05.000")
		if k.out.TTY {
			when = term.Ago(now, at)
		}
		row := []term.Cell{{Text: orNull(e.Host)}, {Text: when}, {}, {}, {Text: "<none>"}}
		if s := e.Status; s != nil {
			row[2] = stateCell(*s, string(s.State))
			row[3] = throttleCell(s.Throttled)
			if s.ContainerID != nil {
				row[4].Text = *s.ContainerID
			}
		}
		table.Cells(row...)
	}
	return table
}
