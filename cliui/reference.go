package cliui

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// findJob resolves a job reference: exactly one job's full id contains it.
// Otherwise it says so, and the error is errSaid
// (testdata/spec/5-cli.md §7.1).
func (k *call) findJob(ctx context.Context, reference string) (job.ID, job.Job, error) {
	jobs, err := k.client.Jobs(ctx, reference, "")
	if err != nil {
		return job.ID{}, job.Job{}, err
	}
	id, err := k.onlyJob(jobs, reference)
	return id, jobs[id], err
}

// onlyJob is the id of the one job that a reference has found.
func (k *call) onlyJob(jobs map[job.ID]job.Job, reference string) (job.ID, error) {
	for id := range jobs {
		if len(jobs) == 1 {
			return id, nil
		}
	}
	status, text := httpapi.JobNotFound, "Unknown job: "
	if len(jobs) > 1 {
		status, text = httpapi.AmbiguousJobReference, "Ambiguous job reference: "
	}
	if k.json {
		fmt.Fprint(k.out.Out, document.Compact((&httpapi.JobDeployResponse{Status: status}).JSON()))
	} else {
		fmt.Fprintln(k.out.Out, text+reference)
	}
	return job.ID{}, errSaid
}

// answer is what a master says to an operation on one job or host.
type answer interface {
	httpapi.Document
	fmt.Stringer
}

// report prints the outcome of an operation on what subject names. An error
// that came with an answer is a refusal; the answer says which.
func (k *call) report(subject string, a answer, status httpapi.Status, err error) error {
	if err != nil && status == "" {
		return err
	}
	switch {
	case k.json:
		fmt.Fprint(k.out.Out, document.Compact(a.JSON()))
	case err == nil:
		fmt.Fprintf(k.out.Out, "%s: %s\n", subject, k.out.Paint(term.Good, "done"))
	default:
		fmt.Fprintf(k.out.Out, "%s: %s: %s\n", subject, k.out.Paint(term.Bad, "failed"), a)
	}
	if err != nil {
		return errSaid
	}
	return nil
}

// onHosts does something on each host, whose names are completed, and reports
// the outcomes. A host that refuses does not keep the others from being tried.
// With --json the answers stand side by side (5-cli Q7).
func (k *call) onHosts(ctx context.Context, hosts []string, do func(host string) (answer, httpapi.Status, error)) error {
	known, err := k.client.Hosts(ctx, "")
	if err != nil {
		return err
	}
	search := searchList(k.opts.ResolvConf)
	var failed error
	for _, host := range hosts {
		host = completeHost(host, known, search)
		a, status, err := do(host)
		if err = k.report(host, a, status, err); err != nil {
			failed = err
		}
		if err != nil && !errors.Is(err, errSaid) {
			break
		}
	}
	if k.json && len(hosts) > 1 {
		fmt.Fprintln(k.out.Out)
	}
	return failed
}

// confirm asks whether to go on (5-cli §6.6). Only a line that begins with y
// confirms; otherwise the error is errSaid.
func (k *call) confirm(consequence string) error {
	fmt.Fprintf(k.out.Out, "%s\nDo you want to continue? [y/N]\n", consequence)
	line, err := k.in.ReadString('\n')
	if err != nil && line == "" {
		return errors.New("no answer on standard input; nothing was done")
	}
	if line = strings.TrimSpace(line); line == "" || line[0] != 'y' && line[0] != 'Y' {
		return errSaid
	}
	return nil
}

// listText is a list as messages show it.
func listText(items []string) string { return "[" + strings.Join(items, ", ") + "]" }

// quoteBlanks sets a text with white space in quotes.
func quoteBlanks(text string) string {
	if strings.ContainsAny(text, " \t\n\v\f\r") {
		return `"` + text + `"`
	}
	return text
}
