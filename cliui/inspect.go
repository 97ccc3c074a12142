package cliui

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

var inspectCommand = Command{
	Name:     "inspect",
	Summary:  "show a job",
	Operands: []Operand{jobOperand},
	run:      inspect,
}

// inspect shows a job's configuration (testdata/spec/5-cli.md §8.3): the
// original's lines, and behind them those it left out (Q38).
func inspect(ctx context.Context, k *call) error {
	_, j, err := k.findJob(ctx, k.operand(0))
	if err != nil {
		return err
	}
	if k.json {
		fmt.Fprintln(k.out.Out, document.Pretty(j.JSON()))
		return nil
	}
	out := bufio.NewWriter(k.out.Out)
	line := func(label, value string) { fmt.Fprintf(out, "%s: %s\n", label, value) }
	line("Id", j.ID.String())
	line("Image", orNull(j.Image))
	if j.Created == nil {
		line("Created", "")
	} else {
		line("Created", k.dateText(time.UnixMilli(*j.Created)))
	}
	if j.Expires == nil {
		line("Expires", "never")
	} else {
		line("Expires", k.dateText(*j.Expires))
	}
	line("Hostname", orNull(j.Hostname))
	line("Command", quotedList(j.Command))
	lines(out, "Env:   ", pairs(j.Env))
	line("Health check", checkText(j.HealthCheck))
	line("Grace period (seconds)", orNull(j.GracePeriod))
	line("Time to wait before kill (seconds)", orNull(j.SecondsToWaitBeforeKill))
	lines(out, "Metadata: ", pairs(j.Metadata))
	lines(out, "Ports: ", mapped(j.Ports, portText))
	lines(out, "Reg: ", registrations(j.Registration))
	line("Security options", quotedList(j.SecurityOpt))
	line("Network mode", orNull(j.NetworkMode))
	line("Token", j.Token)
	lines(out, "Volumes: ", volumes(j.Volumes))
	line("Add capabilities", strings.Join(j.AddCapabilities, ", "))
	line("Drop capabilities", strings.Join(j.DropCapabilities, ", "))
	line("Runtime", orNull(j.Runtime))
	line("Rollout options (null options will fallback to defaults at rolling-update time)", rolloutText(j.RolloutOptions))

	line("Creating user", orNull(j.CreatingUser))
	lines(out, "Labels: ", pairs(j.Labels))
	lines(out, "Ramdisks: ", pairs(j.Ramdisks))
	line("Resources", resourcesText(j.Resources))
	line("Registration domain", j.RegistrationDomain)
	return out.Flush()
}

// dateText is a moment in the original's form, in the local time zone and
// English.
func (k *call) dateText(t time.Time) string {
	return t.In(k.opts.Location).Format("Mon, 2 Jan 2006 15:04:05 -0700")
}

// lines prints entries below one another behind a label.
func lines(out *bufio.Writer, label string, entries []string) {
	indent := "\n" + strings.Repeat(" ", len(label))
	fmt.Fprintf(out, "%s%s\n", label, strings.Join(entries, indent))
}

// mapped are the entries of a map as key=value, sorted by key.
func mapped[V any](m map[string]V, text func(V) string) []string {
	var entries []string
	for _, key := range slices.SortedFunc(maps.Keys(m), document.Ascending) {
		entries = append(entries, key+"="+text(m[key]))
	}
	return entries
}

func pairs(m map[string]string) []string { return mapped(m, quoteBlanks) }

func quotedList(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = quoteBlanks(item)
	}
	return listText(quoted)
}

// portText is a mapping the way -p takes it, but always with the colon before
// the internal port.
func portText(p job.PortMapping) string {
	text := fmt.Sprintf(":%d", p.InternalPort)
	if p.IP != nil {
		text = *p.IP + text
	}
	if p.ExternalPort != nil {
		text += fmt.Sprintf(":%d", *p.ExternalPort)
	}
	if p.Protocol != "" {
		text += "/" + p.Protocol
	}
	return text
}

func registrations(m map[job.Endpoint]job.ServicePorts) []string {
	ports := map[string]string{}
	for endpoint, service := range m {
		ports[endpoint.String()] = strings.Join(slices.SortedFunc(maps.Keys(service.Ports), document.Ascending), ", ")
	}
	return mapped(ports, func(names string) string { return names })
}

func volumes(m map[string]string) []string {
	var entries []string
	for _, path := range slices.SortedFunc(maps.Keys(m), document.Ascending) {
		entries = append(entries, m[path]+":"+path)
	}
	return entries
}

func checkText(c *job.HealthCheck) string {
	switch {
	case c == nil:
		return ""
	case c.Type == job.CheckExec:
		return "type: exec, command: " + strings.Join(c.Command, " ")
	case c.Type == job.CheckHTTP:
		return fmt.Sprintf("type: http, port: %s, path: %s", orNull(c.Port), orNull(c.Path))
	default:
		return fmt.Sprintf("type: %s, port: %s", c.Type, orNull(c.Port))
	}
}

func rolloutText(o *job.RolloutOptions) string {
	if o == nil {
		return ""
	}
	return fmt.Sprintf("timeout: %s, parallelism: %s, migrate: %s, overlap: %s, token: %s, ignoreFailures: %s",
		orNull(o.Timeout), orNull(o.Parallelism), orNull(o.Migrate), orNull(o.Overlap), orNull(o.Token), orNull(o.IgnoreFailures))
}

func resourcesText(r *job.Resources) string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("memory: %s, memorySwap: %s, cpuShares: %s, cpuset: %s",
		orNull(r.Memory), orNull(r.MemorySwap), orNull(r.CPUShares), orNull(r.CPUSet))
}
