package cliui

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

var jobsCommand = Command{
	Name:    "jobs",
	Summary: "list jobs",
	Options: []Option{
		fullOption,
		{Short: "q", Help: "print only job ids"},
		{Short: "y", Help: "only jobs that are deployed"},
	},
	Operands: []Operand{{Name: "pattern", Optional: true}},
	run:      jobs,
}

// jobs lists the jobs whose id contains a pattern
// (testdata/spec/5-cli.md §8.7).
func jobs(ctx context.Context, k *call) error {
	pattern, quiet := k.operand(0), k.flags.Bool("q")
	found, err := k.client.Jobs(ctx, pattern, "")
	if err != nil {
		return err
	}
	if pattern != "" && len(found) == 0 {
		switch {
		case k.json:
			fmt.Fprintln(k.out.Out, "{ }")
		case !quiet:
			fmt.Fprintln(k.out.Out, "job pattern "+pattern+" matched no jobs")
		}
		return errSaid
	}
	statuses, err := k.client.JobStatuses(ctx, sortedIDs(found))
	if err != nil {
		return err
	}
	maps.DeleteFunc(found, func(id job.ID, _ job.Job) bool {
		status, known := statuses[id]
		return !known || k.flags.Bool("y") && len(status.Deployments) == 0
	})
	ids := sortedIDs(found)
	switch {
	case quiet && k.json:
		fmt.Fprintln(k.out.Out, document.Pretty(document.List(&ids, (*job.ID).JSON)))
	case quiet:
		for _, id := range ids {
			fmt.Fprintln(k.out.Out, id)
		}
	case k.json:
		fmt.Fprintln(k.out.Out, document.Pretty(document.Map(&found, job.IDKeys, (*job.Job).JSON)))
	default:
		return k.jobsTable(ids, found, statuses).Print(k.out)
	}
	return nil
}

func (k *call) jobsTable(ids []job.ID, jobs map[job.ID]job.Job, statuses map[job.ID]job.Status) *term.Table {
	table := term.NewTable(
		term.Column{Name: "JOB ID", Least: 24}, term.Column{Name: "NAME", Give: 4}, term.Column{Name: "VERSION", Give: 3}, term.Column{Name: "HOSTS", Give: 1},
		term.Column{Name: "COMMAND", Give: 2, Least: 12}, term.Column{Name: "ENVIRONMENT", Give: 5, Least: 12},
	)
	for _, id := range ids {
		var command, environment []string
		for _, word := range jobs[id].Command {
			command = append(command, quoteBlanks(word))
		}
		env := jobs[id].Env
		for _, name := range slices.SortedFunc(maps.Keys(env), document.Ascending) {
			environment = append(environment, name+"="+env[name])
		}
		table.Row(k.idText(id), id.Name, id.Version, strconv.Itoa(len(statuses[id].Deployments)),
			strings.Join(command, " "), strings.Join(environment, " "))
	}
	return table
}

// idText is how tables show an id: shortened, unless -f was given.
func (k *call) idText(id job.ID) string {
	if k.flags.Bool("f") {
		return id.String()
	}
	return id.Display()
}

// sortedIDs are the keys of a map, sorted.
func sortedIDs[V any](m map[job.ID]V) []job.ID {
	return slices.SortedFunc(maps.Keys(m), job.ID.Compare)
}
