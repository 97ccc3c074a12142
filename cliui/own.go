package cliui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/helios-go/helios/httpapi/client"
)

// The exit statuses of our own commands (testdata/spec/0-decisions.md 12).
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitRefused     = 4
)

// ownCommands are the commands on a master that the original does not have. Their names are the first words of a line,
// exactly; all options come after them.
var ownCommands = []Command{storeDiffCommand, acceptCommand}

// ownError is the failure of one of our own commands.
type ownError struct {
	what string // the command and what it was about
	err  error
	exit int
}

func (e *ownError) Error() string { return "helios: " + e.what + ": " + e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

// ownFailure says what a command of our own could not do, in the master's words where it refused.
func ownFailure(what string, err error) error {
	e := &ownError{what: what, err: err, exit: exitFailed}
	status, answered := errors.AsType[*client.StatusError](err)
	switch {
	case errors.Is(err, client.ErrUnreachable):
		e.exit = exitUnreachable
	case answered && status.Code == http.StatusNotFound && status.Outcome != nil:
		e.err, e.exit = status.Outcome, exitRefused
	case answered && status.Code == http.StatusNotFound:
		e.err = errors.New("the master does not have this command: it is older than this client")
	case answered && status.Code < http.StatusInternalServerError:
		e.err, e.exit = errors.New(status.Message), exitRefused
	}
	return e
}

// refused is a refusal of a command of our own.
func refused(what, format string, args ...any) error {
	return &ownError{what: what, err: fmt.Errorf(format, args...), exit: exitRefused}
}

// ownCommand finds the command of our own that a line begins with, and the words after it.
func ownCommand(words []string) (*Command, []string) {
	for i := range ownCommands {
		c := &ownCommands[i]
		name := strings.Fields(c.Name)
		if len(words) >= len(name) && strings.Join(words[:len(name)], " ") == c.Name {
			return c, words[len(name):]
		}
	}
	return nil, nil
}

// first adds to the complaint about a word that it is one which the original does not have, if it is: it stands before all
// options.
func (s *session) first(err error) error {
	e, ok := errors.AsType[*SyntaxError](err)
	if !ok || e.Choice == "" {
		return err
	}
	named := func(c Command) bool { return c.Name == e.Choice }
	if slices.ContainsFunc(slices.Concat(s.syntax.Own, s.syntax.Roles), named) {
		e.Hint = fmt.Sprintf("'%s' stands before all options: helios %[1]s …", e.Choice)
	}
	return err
}

// own runs a command of our own.
func (s *session) own(ctx context.Context, c *Command, words []string) error {
	inner := *s
	inner.syntax = &Syntax{Program: s.syntax.Program, Options: s.syntax.Options, Commands: []Command{*c}}
	normal, err := inner.syntax.Normalize(append([]string{c.Name}, words...))
	if err != nil {
		return usageError(fmt.Sprintf("%shelios %s: %v", inner.syntax.Usage(c), c.Name, err))
	}
	if normal[len(normal)-1] == "--help" && len(normal) == 2 {
		fmt.Fprint(s.out.Out, inner.syntax.Help(c))
		return nil
	}
	return inner.app().RunContext(ctx, append([]string{s.syntax.Program}, normal...))
}

// only is the one target that a command of our own works on.
func only(calls []*call, c string) (*call, error) {
	if len(calls) != 1 {
		return nil, usageError("helios: " + c + ": works on one cluster at a time")
	}
	return calls[0], nil
}
