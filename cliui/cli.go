// Package cliui is the command-line client: the original's commands, which ask
// one master or several over HTTP and print what they answer.
//
// It owns the syntax of the command line (Syntax, shared by the other roles),
// the choice of masters and the texts of the commands, which in a pipe are the
// original's (testdata/spec/5-cli.md). It never touches the cluster but through
// a master, keeps nothing between two runs, and never ends the process.
package cliui

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/cliui/term"
)

// Options is the surroundings of one run of the client.
type Options struct {
	Version string // of the client, such as 0.10.0
	Streams term.Streams

	// LookupEnv reads the environment; nil means that of the process.
	LookupEnv func(string) (string, bool)
	// User is the login name that requests carry; empty means that of the
	// process's owner.
	User string
	// ResolvConf is the file with the resolver's search list; empty means
	// /etc/resolv.conf.
	ResolvConf string
	// Location is the time zone of dates; nil means the process's.
	Location *time.Location
	// Resolver finds masters by DNS; nil means the system's.
	Resolver *net.Resolver
	// Roles are the other programs in the binary, for the help: only their name
	// and summary count.
	Roles []Command
	// Dir is where relative names of files begin; empty means the directory
	// of the process.
	Dir string
	// RetryDelay is the wait between two rounds over the masters; 0 means that
	// of the original, 5 s.
	RetryDelay time.Duration
}

// dockerVersion is the engine that the original names as tested. Tools read
// the line before it and expect this one.
const dockerVersion = "17.05.0-ce"

// preamble stands above every complaint about the command line.
const preamble = `# Report improvements/bugs at https://github.com/spotify/helios/issues
# For documentation see https://github.com/spotify/helios/tree/master/docs
# ---------------------------------------------------------------
`

// errSaid ends a command that has already printed why it did not succeed.
var errSaid = errors.New("not done")

// usageError is a mistake in a command line of our own commands.
type usageError string

func (e usageError) Error() string { return string(e) }

// originalf is an error with a text of the original's, which begins and ends as
// the original has it.
func originalf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// Run runs the client with the words after the program's name and returns its
// exit status: 0 for success, 130 when ctx was cancelled, 1 for anything else;
// of our own commands those of testdata/spec/0-decisions.md 12.
func Run(ctx context.Context, args []string, opts Options) int {
	s := newSession(opts)
	err := s.run(ctx, args)
	if errors.Is(err, syscall.EPIPE) {
		err = nil // nobody reads any more: head has seen enough
	}
	if err != nil && !errors.Is(err, errSaid) && ctx.Err() == nil {
		e, misspelt := errors.AsType[*SyntaxError](err)
		if misspelt {
			fmt.Fprint(s.out.Err, preamble, s.syntax.Usage(e.Command), s.syntax.Program, ": error: ")
		}
		fmt.Fprintln(s.out.Err, err)
		if misspelt && e.Hint != "" && s.out.TTY {
			fmt.Fprintln(s.out.Err, "hint: "+e.Hint)
		}
	}
	return exitStatus(ctx, err)
}

// exitStatus maps the outcome of a run to the status of the process. The
// original knows no other failure than 1.
func exitStatus(ctx context.Context, err error) int {
	_, misused := errors.AsType[usageError](err)
	own, ours := errors.AsType[*ownError](err)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return 130
	case misused:
		return exitUsage
	case ours:
		return own.exit
	default:
		return exitFailed
	}
}

// run normalises the command line and lets urfave/cli carry it out.
func (s *session) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(s.out.Out, s.syntax.Help(nil))
		return errSaid
	}
	if args[0] == manualCommand.Name {
		return s.manual(args[1:])
	}
	if c, words := ownCommand(args); c != nil {
		return s.own(ctx, c, words)
	}
	words := args
	if args[len(args)-1] != completionFlag {
		var err error
		if words, err = s.syntax.Normalize(args); err != nil {
			return s.first(err)
		}
		switch last := words[len(words)-1]; {
		case last == "--version" && len(words) <= 2:
			return s.version()
		case last == "--help" && len(words) <= 2:
			fmt.Fprint(s.out.Out, s.syntax.Help(s.syntax.command(words[0])))
			return nil
		}
	}
	return s.app().RunContext(ctx, append([]string{s.syntax.Program}, words...))
}

// completionFlag is the last word of a line that a shell wants completed.
const completionFlag = "--generate-bash-completion"

// app is the client for urfave/cli. Help and mistakes are ours; it dispatches,
// reads values and completes.
func (s *session) app() *cli.App {
	app := &cli.App{
		Name:                      s.syntax.Program,
		Flags:                     Flags(s.syntax.Options),
		Reader:                    s.out.In,
		Writer:                    s.out.Out,
		ErrWriter:                 s.out.Err,
		HideHelp:                  true,
		HideVersion:               true,
		Suggest:                   true,
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {},
	}
	for i := range s.syntax.Commands {
		c := &s.syntax.Commands[i]
		app.Commands = append(app.Commands, &cli.Command{
			Name:     c.Name,
			Usage:    c.Summary,
			Flags:    Flags(c.Options),
			Hidden:   !c.known(),
			HideHelp: true,
			Action:   func(flags *cli.Context) error { return s.command(c, flags) },
		})
	}
	return app
}

// version prints what helios --version prints. A broken configuration is worth
// a warning here, no more.
func (s *session) version() error {
	s.configuration().warn(s)
	_, err := fmt.Fprintf(s.out.Out, "Spotify Helios CLI %s\nTested on Docker %s\n", s.opts.Version, dockerVersion)
	return err
}
