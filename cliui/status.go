package cliui

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

var statusCommand = Command{
	Name:    "status",
	Summary: "show what jobs do on which hosts",
	Options: []Option{
		{Short: "j", Long: "job", Takes: One, Help: "only jobs whose id contains this"},
		{Long: "host", Takes: One, Metavar: "PATTERN", Help: "only hosts whose name matches this regular expression"},
		fullOption,
	},
	run: status,
}

// status shows what jobs do on their hosts (testdata/spec/5-cli.md §8.8).
func status(ctx context.Context, k *call) error {
	reference, pattern := k.flags.String("job"), k.flags.String("host")
	if reference == "" && pattern == "" && !k.json {
		fmt.Fprintln(k.out.Err, "WARNING: listing status of all hosts in the cluster is a slow operation. Consider adding the --job and/or --host flag(s)!")
	}
	found, err := k.client.Jobs(ctx, reference, pattern)
	if err != nil {
		return err
	}
	if reference != "" && len(found) == 0 {
		if k.json {
			fmt.Fprintln(k.out.Out, "{ }")
		} else {
			fmt.Fprintf(k.out.Out, "job id matcher \"%s\" matched no jobs\n", reference)
		}
		return errSaid
	}
	hosts, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("host pattern: %w", err)
	}
	statuses, err := k.client.JobStatuses(ctx, sortedIDs(found))
	if err != nil {
		return err
	}
	if pattern != "" {
		maps.DeleteFunc(statuses, func(_ job.ID, s job.Status) bool {
			reduce(s, hosts)
			return len(s.Deployments) == 0 && (k.json || len(s.TaskStatuses) == 0)
		})
	}
	switch {
	case k.json:
		fmt.Fprintln(k.out.Out, document.Pretty(document.Map(&statuses, job.IDKeys, (*job.Status).JSON)))
		return nil
	case len(statuses) == 0:
		domains := ""
		if given := k.flags.StringSlice("domains"); len(given) > 0 {
			domains = "-d " + strings.Join(given, ",")
		}
		fmt.Fprintf(k.out.Out, "There are no jobs deployed to hosts with the host pattern '%s'\nRun 'helios %s hosts %s' to check your host exists and is up.\n",
			pattern, domains, pattern)
		return errSaid
	}
	table, err := k.statusTable(statuses)
	if err != nil {
		return err
	}
	return table.Print(k.out)
}

// reduce leaves of a job's status only what matching hosts have to do with.
func reduce(s job.Status, hosts *regexp.Regexp) {
	maps.DeleteFunc(s.Deployments, func(host string, _ *job.Deployment) bool { return !hosts.MatchString(host) })
	maps.DeleteFunc(s.TaskStatuses, func(host string, _ *job.TaskStatus) bool { return !hosts.MatchString(host) })
}

func (k *call) statusTable(statuses map[job.ID]job.Status) (*term.Table, error) {
	table := term.NewTable(
		term.Column{Name: "JOB ID", Least: 18}, term.Column{Name: "HOST", Give: 1, Least: 10}, term.Column{Name: "GOAL", Give: 2}, term.Column{Name: "STATE", Least: 8},
		term.Column{Name: "CONTAINER ID", Give: 4}, term.Column{Name: "PORTS", Give: 3, Least: 12},
	)
	name := k.hostNames()
	for _, id := range sortedIDs(statuses) {
		s := statuses[id]
		all := map[string]bool{}
		for host := range s.Deployments {
			all[host] = true
		}
		for host := range s.TaskStatuses {
			all[host] = true
		}
		for _, host := range slices.SortedFunc(maps.Keys(all), document.Ascending) {
			shown, err := name(host)
			if err != nil {
				return nil, err
			}
			row := []term.Cell{{Text: k.idText(id)}, {Text: shown}, {}, {}, {}, {}}
			if d := s.Deployments[host]; d != nil {
				row[2].Text = string(d.Goal)
			}
			if t := s.TaskStatuses[host]; t != nil {
				state := string(t.State)
				if t.Throttled != job.NotThrottled && t.Throttled != "" {
					state += " (" + string(t.Throttled) + ")"
				}
				row[3] = stateCell(*t, state)
				row[4].Text = k.containerText(t.ContainerID)
				row[5].Text = portsText(t.Ports)
			}
			table.Cells(row...)
		}
	}
	return table, nil
}

// containerText is how tables show a container id: shortened, unless -f was
// given.
func (k *call) containerText(id *string) string {
	switch {
	case id == nil:
		return ""
	case k.flags.Bool("f"):
		return *id
	default:
		return fmt.Sprintf("%.7s", *id)
	}
}

func portsText(ports map[string]job.PortMapping) string {
	var texts []string
	for _, name := range slices.SortedFunc(maps.Keys(ports), document.Ascending) {
		p := ports[name]
		texts = append(texts, fmt.Sprintf("%s=%d:%s", name, p.InternalPort, orNull(p.ExternalPort)))
	}
	return strings.Join(texts, " ")
}

// stateCell colours what a task does.
func stateCell(s job.TaskStatus, text string) term.Cell {
	style := term.Changing
	switch {
	case s.State == job.Failed, s.Throttled != "" && s.Throttled != job.NotThrottled:
		style = term.Bad
	case s.State == job.Running:
		style = term.Good
	case s.State == job.Exited, s.State == job.Stopped, s.State == job.Unknown:
		style = term.Plain
	}
	return term.Cell{Text: text, Style: style}
}

// throttleCell colours why a task waits.
func throttleCell(throttle job.Throttle) term.Cell {
	if throttle == job.NotThrottled || throttle == "" {
		return term.Cell{Text: string(job.NotThrottled)}
	}
	return term.Cell{Text: string(throttle), Style: term.Bad}
}

// orNull is how messages show a value that may be absent.
func orNull[T any](value *T) string {
	if value == nil {
		return "null"
	}
	return fmt.Sprint(*value)
}
