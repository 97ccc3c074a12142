package cliui

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

var createCommand = Command{
	Name:    "create",
	Summary: "create a job",
	Options: []Option{
		{Short: "f", Long: "file", Takes: One, Help: "job file to start from (JSON; - is standard input)"},
		{Short: "t", Long: "template", Takes: One, Help: "existing job to start from"},
		{Short: "q", Help: "print only the job id"},
		{Long: "hostname", Takes: Optional, Help: "host name of the container"},
		tokenOption,
		{Long: "env", Takes: One, Repeat: true, Metavar: "KEY=VALUE", Help: "environment variable; may be repeated"},
		{Short: "m", Long: "metadata", Takes: One, Repeat: true, Metavar: "KEY=VALUE", Help: "metadata; may be repeated"},
		{Short: "p", Long: "port", Takes: One, Repeat: true, Metavar: "NAME=[IP:]INTERNAL[:EXTERNAL][/PROTOCOL]", Help: "port mapping; may be repeated. Without external port one is assigned. The protocol is tcp (the default) or udp"},
		{Short: "r", Long: "register", Takes: One, Repeat: true, Metavar: "SERVICE[/PROTOCOL][=PORT]", Help: "service to register; may be repeated. The protocol is http unless given; the port may be left out if there is only one"},
		{Long: "registration-domain", Takes: One, Metavar: "DOMAIN", Help: "domain to register services in"},
		{Long: "grace-period", Takes: One, Kind: Integer, Metavar: "SECONDS", Help: "time between unregistering and stopping"},
		{Long: "volume", Takes: One, Repeat: true, Metavar: "[SOURCE:]PATH[:ro|:rw]", Help: "volume; may be repeated"},
		{Short: "e", Long: "expires", Takes: One, Metavar: "TIME", Help: "when the job is undeployed and removed, in ISO 8601: 2030-06-01T12:00:00Z"},
		{Long: "exec-check", Takes: One, Metavar: "COMMAND", Help: "health check: a command in the container"},
		{Long: "http-check", Takes: One, Metavar: "PORT:PATH", Help: "health check: an HTTP request"},
		{Long: "tcp-check", Takes: One, Metavar: "PORT", Help: "health check: a TCP connection"},
		{Long: "security-opt", Takes: One, Repeat: true, Help: "Docker security option; may be repeated"},
		{Long: "network-mode", Takes: One, Metavar: "MODE", Help: "bridge, host or container:NAME"},
		{Long: "add-capability", Takes: One, Repeat: true, Metavar: "CAPABILITY", Help: "Linux capability to add; may be repeated"},
		{Long: "drop-capability", Takes: One, Repeat: true, Metavar: "CAPABILITY", Help: "Linux capability to drop; may be repeated"},
		{Long: "labels", Takes: One, Repeat: true, Metavar: "KEY=VALUE", Help: "label of the container; may be repeated"},
		{Long: "rollout-options", Takes: One, Repeat: true, Metavar: "KEY=VALUE", Help: "option of rolling updates: migrate, parallelism, timeout, overlap, token or ignoreFailures; may be repeated"},
		{Long: "runtime", Takes: Optional, Help: "container runtime"},
	},
	Operands: []Operand{
		{Name: "id", Optional: true},
		{Name: "image", Optional: true},
		{Name: "args", Optional: true, List: true},
	},
	run: create,
}

// create composes a job from a file or template and the command line, and has
// the master create it (testdata/spec/5-cli.md §8.1). The job is sent without
// hash, which is the master's to compute.
func create(ctx context.Context, k *call) error {
	base, err := k.createFrom(ctx)
	if err != nil {
		return err
	}
	overlay, err := k.overlay(base)
	if err != nil {
		return err
	}
	typed := overlay.ID.Hash
	j := overlay.Over(base)
	if problems := k.problems(j); len(problems) > 0 {
		if k.json {
			r := httpapi.CreateJobResponse{Status: httpapi.InvalidJobDefinition, Errors: problems, ID: new(j.ID.String())}
			fmt.Fprintln(k.out.Out, document.Compact(r.JSON()))
		} else {
			fmt.Fprintln(k.out.Out, strings.Join(problems, "\n"))
		}
		return errSaid
	}
	return k.send(ctx, j, typed)
}

// send has a valid job created. A hash that was typed counts for nothing, but
// one that differs from the job's is worth a warning (Q30).
func (k *call) send(ctx context.Context, j *job.Job, typed string) error {
	quiet := k.flags.Bool("q")
	if !quiet && !k.json {
		fmt.Fprintf(k.out.Out, "Creating job: %s\n", document.Compact(j.JSON()))
	}
	r, err := k.client.CreateJob(ctx, *j)
	if err != nil && r.Status == "" {
		return err
	}
	if r.ID != nil && typed != "" && !strings.HasSuffix(*r.ID, ":"+typed) {
		k.warn(fmt.Sprintf("the hash %s was ignored: the job's id is %s", typed, *r.ID))
	}
	switch {
	case k.json:
		fmt.Fprintln(k.out.Out, document.Compact(r.JSON()))
	case err != nil && quiet:
		fmt.Fprintf(k.out.Err, "Failed: %s\n", &r)
	case err != nil:
		fmt.Fprintf(k.out.Out, "Failed: %s\n", &r)
	case quiet:
		fmt.Fprintln(k.out.Out, orNull(r.ID))
	default:
		fmt.Fprintf(k.out.Out, "Done.\n%s\n", orNull(r.ID))
	}
	if err != nil {
		return errSaid
	}
	return nil
}

// problems are what is wrong with the job as far as can be seen from here.
func (k *call) problems(j *job.Job) []string {
	problems := j.Validate(job.Checks{Now: time.Now().In(k.opts.Location)})
	if i := slices.Index(problems, "Job id was not specified."); i >= 0 {
		// The original's clients always have an id, be it one of nothing.
		problems = slices.Replace(problems, i, i+1, "Job name was not specified.",
			fmt.Sprintf("Job version was not specified in job id [%s].", j.ID))
	}
	return problems
}

// createFrom is the job to start from: that of a file, an existing one, or an
// empty one.
func (k *call) createFrom(ctx context.Context) (*job.Job, error) {
	file, template := k.flags.IsSet("file"), k.flags.IsSet("template")
	base := &job.Job{}
	var err error
	switch {
	case file && template:
		err = originalf("Please use only one of -t/--template and -f/--file")
	case file:
		base, err = k.jobFile(k.flags.String("file"))
	case template:
		base, err = k.template(ctx, k.flags.String("template"))
	case k.flags.NArg() < 2:
		err = originalf("Please specify a file, or a template, or a job name, version and container image")
	}
	if err != nil {
		return nil, err
	}
	if commit, ok := k.opts.LookupEnv("GIT_COMMIT"); ok {
		base = base.Over(&job.Job{Metadata: map[string]string{"GIT_COMMIT": commit}})
	}
	return base, nil
}

// jobFile reads a job configuration; "-" is standard input, which is read once
// for all targets (Q15).
func (k *call) jobFile(path string) (*job.Job, error) {
	var text []byte
	var err error
	if path == "-" {
		text, err = k.stdin()
	} else {
		text, err = readRegular(k.file(path))
	}
	if err != nil {
		return nil, originalf("Cannot read file %s", path)
	}
	j, err := job.ReadFile(text)
	if err != nil && len(bytes.TrimSpace(text)) == 0 {
		err = originalf("No content to map due to end-of-input")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

// file is where a file that the command line names is.
func (k *call) file(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(k.opts.Dir, path)
}

// readRegular reads a regular file, up to one byte more than a document may
// have.
func readRegular(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("not a regular file"))
	}
	return io.ReadAll(io.LimitReader(file, document.MaxSize+1))
}

// template finds the job to copy.
func (k *call) template(ctx context.Context, reference string) (*job.Job, error) {
	jobs, err := k.client.Jobs(ctx, reference, "")
	if err != nil {
		return nil, err
	}
	if len(jobs) != 1 {
		status, text := httpapi.UnknownJob, "Unknown job: "
		if len(jobs) > 1 {
			status, text = httpapi.AmbiguousJobReference, "Ambiguous job reference: "
		}
		if k.json {
			fmt.Fprint(k.out.Out, document.Compact((&httpapi.CreateJobResponse{Status: status}).JSON()))
		} else {
			fmt.Fprintln(k.out.Out, text+reference)
		}
		return nil, errSaid
	}
	if k.flags.NArg() == 0 {
		return nil, originalf("Please specify new job name and version")
	}
	for _, j := range jobs {
		return &j, nil
	}
	return nil, errSaid
}
