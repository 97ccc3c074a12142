package cliui

import (
	"context"
	"strings"

	"github.com/urfave/cli/v2"
)

// Syntax is what one program understands on its command line: the one table
// that parsing, help and the flags of urfave/cli are made from.
type Syntax struct {
	Program  string // as it calls itself: "helios", "helios-master"
	Summary  string // one line of the help
	Options  []Option
	Commands []Command // none: a program without commands, which takes no operands
	Own      []Command // not the original's: first words that match exactly; help shows them
	Roles    []Command // first words that are other programs; help shows them
}

// Command is one command of a program. Its own options stand beside those of
// the program; both kinds may stand anywhere after its name.
type Command struct {
	Name     string
	Summary  string
	Options  []Option
	Operands []Operand

	// One of the two is set, or this version does not have the command.
	run      func(context.Context, *call) error   // on one target after the other
	together func(context.Context, []*call) error // on all targets at once
}

// known says whether this version has the command.
func (c *Command) known() bool { return c.run != nil || c.together != nil }

// Takes says how many values follow an option.
type Takes int

// What an option takes.
const (
	Nothing  Takes = iota // a flag
	Count                 // a flag whose occurrences count: -vvv
	Ends                  // a flag that is the whole request: nothing after it is looked at
	One                   // exactly one value
	Optional              // one value, or none: then the option is as good as absent
	Many                  // one value or more, up to the next option; all occurrences add up
)

// Kind is what the values of an option must look like.
type Kind int

// The kinds of values; the numbers are read as Java reads them.
const (
	Text Kind = iota
	Integer
	Long
)

// Option is one option. One that takes values has a long name.
type Option struct {
	Short   string // one letter, or empty
	Long    string // without the dashes, or empty
	Takes   Takes
	Repeat  bool // occurrences add up; otherwise the last one wins
	Kind    Kind
	Choices []string // the only values allowed, if any
	Metavar string   // how help calls the value; empty: the long name in capitals
	Help    string
	Hidden  bool // not in the help
}

// Name is what the option is called among the flags of urfave/cli.
func (o *Option) Name() string {
	if o.Long != "" {
		return o.Long
	}
	return o.Short
}

// String is how messages call the option: "-z/--master".
func (o *Option) String() string {
	switch {
	case o.Short == "":
		return "--" + o.Long
	case o.Long == "":
		return "-" + o.Short
	default:
		return "-" + o.Short + "/--" + o.Long
	}
}

func (o *Option) takesValue() bool { return o.Takes >= One }

func (o *Option) repeats() bool { return o.Repeat || o.Takes == Many }

// Operand is one positional argument, or one run of them.
type Operand struct {
	Name     string
	Optional bool
	List     bool // takes one contiguous run of words
}

// Flags are the options as urfave/cli knows them, for input that Normalize has
// made. An app that uses them must set DisableSliceFlagSeparator.
func Flags(options []Option) []cli.Flag {
	flags := make([]cli.Flag, len(options))
	for i := range options {
		o := &options[i]
		var aliases []string
		if o.Short != "" && o.Long != "" {
			aliases = []string{o.Short}
		}
		switch {
		case o.Takes == Count:
			flags[i] = &cli.BoolFlag{Name: o.Name(), Aliases: aliases, Usage: o.Help, Count: new(int)}
		case !o.takesValue():
			flags[i] = &cli.BoolFlag{Name: o.Name(), Aliases: aliases, Usage: o.Help, Hidden: o.Hidden}
		case o.repeats():
			flags[i] = &cli.StringSliceFlag{Name: o.Name(), Aliases: aliases, Usage: o.Help, KeepSpace: true}
		case o.Kind != Text:
			flags[i] = &cli.Int64Flag{Name: o.Name(), Aliases: aliases, Usage: o.Help}
		default:
			flags[i] = &cli.StringFlag{Name: o.Name(), Aliases: aliases, Usage: o.Help}
		}
	}
	return flags
}

// SyntaxError says what is wrong with a command line.
type SyntaxError struct {
	Command *Command // nil: no command had been named yet
	Message string
	Choice  string   // the word that is no command, if that is what is wrong
	Similar []string // what may have been meant
	Hint    string   // what to do about it, for people
}

// Error is the message and, below it, what may have been meant.
func (e *SyntaxError) Error() string {
	if len(e.Similar) == 0 {
		return e.Message
	}
	return e.Message + "\n\nDid you mean:\n\t" + strings.Join(e.Similar, "\n\t")
}
