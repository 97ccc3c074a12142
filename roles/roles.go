// Package roles is the one binary: it sees from the first word of the command line which role a process has, turns its
// options into the Options of that role's package, and maps its end to an exit status.
//
// It owns signals, logging set-up and the option tables of the daemons. It decides nothing about jobs, hosts or
// containers.
package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/helios-go/helios/cliui"
	cliterm "github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/roles/workload"
)

// version is what every role reports. A release sets it when it links.
var version = "0.10.0"

// Main is the whole program: args are those of the process, its name first. It returns the exit status.
func Main(args []string) int {
	if len(args) > 0 && filepath.Base(args[0]) == workload.Name {
		return workload.Main(args[1:], os.Stdout, os.Stderr)
	}
	words := args[min(1, len(args)):]
	if status, ok := soloCommand(words, os.Stdout, os.Stderr); ok {
		return status
	}
	if len(words) > 0 && words[0] == "store" {
		return storeMain(words[1:], os.Stdout, os.Stderr)
	}
	if len(words) > 0 {
		for _, d := range daemons {
			if words[0] == d.name {
				return d.main(words[1:])
			}
		}
	}
	return clientMain(words)
}

// clientMain runs a command of the client and returns the exit status.
func clientMain(words []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	signal.Ignore(syscall.SIGPIPE) // a reader that has seen enough is no failure
	return cliui.Run(ctx, words, cliui.Options{Version: version, Streams: cliterm.System(os.Getenv), Roles: roleNames()})
}

// daemon is a role that runs until it is told to end.
type daemon struct {
	name    string
	summary string // one line for the client's help
	syntax  func() *cliui.Syntax
	// open makes the role from its options; what it returns runs it.
	open func(flags *cli.Context, log zerolog.Logger) (func(context.Context) error, error)
	// orderly is the exit status of an orderly end, where the signal does not say it.
	orderly *int
}

var daemons = []daemon{
	{name: "master", summary: "answer the API (helios master --help)", syntax: masterSyntax, open: openMaster},
	{name: "agent", summary: "run the containers of this host (helios agent --help)", syntax: agentSyntax, open: openAgent},
	{name: "solo", summary: "a whole cluster in one process, for development (helios solo --help)", syntax: soloSyntax, open: openSolo, orderly: new(0)},
}

// roleNames are the daemons, and the commands without a master, as the client's help shows them.
func roleNames() []cliui.Command {
	names := make([]cliui.Command, len(daemons))
	for i, d := range daemons {
		names[i] = cliui.Command{Name: d.name, Summary: d.summary}
	}
	return append(names, cliui.Command{Name: "store", Summary: "tend what is kept in ZooKeeper (helios store --help)"})
}

// main runs the daemon and returns the exit status of the process.
func (d daemon) main(words []string) int {
	syntax, status := d.syntax(), 0
	err := parsed(syntax, words, os.Stdout, func(flags *cli.Context) (err error) {
		status, err = d.run(flags)
		return err
	})
	if err != nil {
		return complain(syntax, err)
	}
	return status
}

// parsed does what a command line asks for: action, or its help.
func parsed(syntax *cliui.Syntax, words []string, out io.Writer, action func(*cli.Context) error) error {
	normal, err := syntax.Normalize(words)
	if err != nil {
		return err
	}
	if len(normal) > 0 && normal[len(normal)-1] == "--help" {
		fmt.Fprint(out, syntax.Help(nil))
		return nil
	}
	app := &cli.App{
		Name: syntax.Program, Flags: cliui.Flags(syntax.Options), Writer: io.Discard, ErrWriter: io.Discard,
		HideHelp: true, HideVersion: true, DisableSliceFlagSeparator: true, ExitErrHandler: func(*cli.Context, error) {},
		Action: action,
	}
	return app.Run(append([]string{syntax.Program}, normal...))
}

// complain says why a daemon does not run, or no more, and returns its exit status. What is wrong with the command line
// stands below its usage.
func complain(syntax *cliui.Syntax, err error) int {
	if e, ok := errors.AsType[*cliui.SyntaxError](err); ok {
		fmt.Fprintf(os.Stderr, "%s%s: error: %v\n", syntax.Usage(e.Command), syntax.Program, err)
	} else {
		fmt.Fprintf(os.Stderr, "%s: %v\n", syntax.Program, err)
	}
	return 1
}

// run makes the role and lets it work until a signal comes or it fails.
func (d daemon) run(flags *cli.Context) (int, error) {
	log := logger(flags.Count("verbose"))
	for _, name := range files {
		if !flags.IsSet(name) {
			continue
		}
		if err := fileProblem(flags.String(name)); err != nil {
			return 1, &cliui.SyntaxError{Message: fmt.Sprintf("argument --%s: %v", name, err)}
		}
	}
	if err := d.checkLater(flags, log); err != nil {
		return 1, err
	}
	ctx, ended := untilSignal()
	defer ended()
	run, err := d.open(flags, log)
	if err != nil {
		return 1, err
	}
	if err := run(ctx); err != nil {
		return 1, err
	}
	end, byOne := errors.AsType[*signalError](context.Cause(ctx))
	if d.orderly != nil || !byOne {
		return 0, nil
	}
	return 128 + int(end.signal), nil
}

// signalError is the cause of an orderly end.
type signalError struct{ signal syscall.Signal }

func (e *signalError) Error() string { return "ended by " + signalName(e.signal) }

func signalName(s syscall.Signal) string {
	if s == syscall.SIGINT {
		return "SIGINT"
	}
	return "SIGTERM"
}

// untilSignal is a context that ends with the first SIGTERM or SIGINT, whatever disposition the process inherited. A
// second one ends the process at once.
func untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		gentle := true
		for {
			select {
			case <-done:
				return
			case caught := <-signals:
				sig := caught.(syscall.Signal)
				if !gentle {
					fmt.Fprintf(os.Stderr, "Exiting with extreme prejudice due to %s\n", signalName(sig))
					os.Exit(128 + int(sig)) // at once is the point: nothing may hold it up
				}
				gentle = false
				fmt.Fprintf(os.Stderr, "Attempting gentle exit on %s\n", signalName(sig))
				cancel(&signalError{sig})
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// stamped puts the time into a log line, to the millisecond.
type stamped struct{}

func (stamped) Run(e *zerolog.Event, _ zerolog.Level, _ string) {
	e.Str(zerolog.TimestampFieldName, time.Now().Format("2006-01-02T15:04:05.000Z07:00"))
}

// logger writes to stderr: for people on a terminal, JSON lines elsewhere (decisions 15).
func logger(verbosity int) zerolog.Logger {
	level := zerolog.InfoLevel
	switch {
	case verbosity == 1:
		level = zerolog.DebugLevel
	case verbosity > 1:
		level = zerolog.TraceLevel
	}
	var out io.Writer = os.Stderr
	if term.IsTerminal(int(os.Stderr.Fd())) {
		out = zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: "15:04:05.000", NoColor: os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(out).Level(level).Hook(stamped{})
}
