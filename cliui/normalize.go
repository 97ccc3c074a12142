package cliui

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Normalize turns a command line in the original's syntax (without the program
// name) into one that urfave/cli reads the same way:
//
//	[program options] [command [its options] [-- operands]]
//
// with full names, values attached (--name=value), each option that does not
// repeat at most once, and numbers in plain decimal. It follows
// testdata/spec/5-cli.md §2 and 6-operations.md §1.1; what those do not allow
// is a *SyntaxError with the original's message. Words are judged from left to
// right, and the first mistake counts. A flag that Ends is all that is left of
// a line: ["jobs", "--help"].
//
// It is a pure function, and normal input stays as it is.
func (s *Syntax) Normalize(words []string) ([]string, error) {
	p := parser{syntax: s, words: words, values: map[*Option][]string{}}
	for p.next < len(p.words) {
		var err error
		switch word := p.words[p.next]; {
		case p.isOperand(word):
			err = p.operand()
		case word == "--":
			p.separated = true
			p.next++
		case strings.HasPrefix(word, "--"):
			err = p.long()
		default:
			err = p.short()
		}
		if err != nil {
			if e, ok := errors.AsType[*SyntaxError](err); ok {
				e.Command = p.command
			}
			return nil, err
		}
		if p.ends != "" {
			return p.ending(), nil
		}
	}
	if p.missing() {
		return nil, &SyntaxError{Command: p.command, Message: "too few arguments"}
	}
	return p.normal(), nil
}

// parser is the state of one Normalize.
type parser struct {
	syntax    *Syntax
	words     []string
	next      int  // index of the word to look at
	separated bool // "--" was seen: no more options

	command  *Command
	slot     int // index of the operand that the next word fills
	operands []string
	values   map[*Option][]string // present: given; flags have one "" for each occurrence
	ends     string               // the flag that ended the parsing
}

// isOperand tells words from options: "-" and negative numbers are words.
func (p *parser) isOperand(word string) bool {
	return p.separated || len(word) < 2 || word[0] != '-' || strings.Trim(word[1:], "0123456789") == ""
}

// takeWord returns the next word if it can be the value of an option.
func (p *parser) takeWord() (string, bool) {
	if p.next == len(p.words) || !p.isOperand(p.words[p.next]) {
		return "", false
	}
	p.next++
	return p.words[p.next-1], true
}

// operand handles a word that is neither an option nor the value of one.
func (p *parser) operand() error {
	word := p.words[p.next]
	if p.command == nil && len(p.syntax.Commands) > 0 && !p.separated {
		p.next++
		return p.resolve(word)
	}
	if p.command == nil || p.slot == len(p.command.Operands) {
		return &SyntaxError{Message: fmt.Sprintf("unrecognized arguments: '%s'", word)}
	}
	list := p.command.Operands[p.slot].List
	p.slot++
	for {
		p.operands = append(p.operands, word)
		p.next++
		if !list {
			return nil
		}
		if !p.separated && p.next < len(p.words) && p.words[p.next] == "--" {
			p.separated = true
			p.next++
		}
		if p.next == len(p.words) || !p.isOperand(p.words[p.next]) {
			return nil
		}
		word = p.words[p.next]
	}
}

// resolve finds the command a word names: by its name or an unambiguous prefix.
func (p *parser) resolve(word string) error {
	commands := p.syntax.Commands
	var names, matches []string
	for i := range commands {
		names = append(names, commands[i].Name)
		if commands[i].Name == word {
			p.command = &commands[i]
			return nil
		}
		if strings.HasPrefix(commands[i].Name, word) {
			matches = append(matches, commands[i].Name)
		}
	}
	switch {
	case len(matches) == 1:
		p.command = &commands[slices.Index(names, matches[0])]
		return nil
	case len(matches) > 1 && word != "":
		slices.Sort(matches)
		return &SyntaxError{Message: fmt.Sprintf("ambiguous command: %s could match %s", word, strings.Join(matches, ", "))}
	default:
		return &SyntaxError{
			Message: fmt.Sprintf("invalid choice: '%s' (choose from '%s')", word, strings.Join(names, "', '")),
			Choice:  word,
			Similar: similar(word, names),
		}
	}
}

// options are those that may stand at this point, the command's own first.
func (p *parser) options() []*Option {
	var all []*Option
	if p.command != nil {
		for i := range p.command.Options {
			all = append(all, &p.command.Options[i])
		}
	}
	for i := range p.syntax.Options {
		all = append(all, &p.syntax.Options[i])
	}
	return all
}

// long handles a word that begins with two dashes.
func (p *parser) long() error {
	word := p.words[p.next]
	p.next++
	flag, value, attached := strings.Cut(word, "=")
	var known, matches []string
	var found *Option
	for _, o := range p.options() {
		if o.Long == "" {
			continue
		}
		if "--"+o.Long == flag {
			return p.give(o, value, attached)
		}
		if strings.HasPrefix("--"+o.Long, flag) {
			found = o
			matches = append(matches, "--"+o.Long)
		}
		known = append(known, "--"+o.Long)
	}
	switch len(matches) {
	case 1:
		return p.give(found, value, attached)
	case 0:
		return &SyntaxError{Message: fmt.Sprintf("unrecognized arguments: '%s'", word), Similar: similar(flag, known)}
	default:
		slices.Sort(matches)
		return &SyntaxError{Message: fmt.Sprintf("ambiguous option: %s could match %s", flag, strings.Join(matches, ", "))}
	}
}

// short handles a word that begins with one dash: flags, of which the last may
// be an option with a value.
func (p *parser) short() error {
	word := p.words[p.next]
	p.next++
	for rest := word[1:]; rest != "" && p.ends == ""; {
		i := slices.IndexFunc(p.options(), func(o *Option) bool { return o.Short != "" && strings.HasPrefix(rest, o.Short) })
		if i < 0 {
			return &SyntaxError{Message: fmt.Sprintf("unrecognized arguments: '%s'", word)}
		}
		o := p.options()[i]
		rest = rest[len(o.Short):]
		if o.takesValue() {
			return p.give(o, rest, rest != "")
		}
		if err := p.give(o, "", false); err != nil {
			return err
		}
	}
	return nil
}

// give records one occurrence of an option, taking the values it needs.
func (p *parser) give(o *Option, value string, attached bool) error {
	values := []string{value}
	if !o.takesValue() {
		if attached {
			return argumentError(o, "ignore implicit argument '%s'", value)
		}
		if o.Takes == Ends {
			p.ends = o.Name()
		}
	} else if !attached {
		values = values[:0]
		for word, ok := p.takeWord(); ok; word, ok = p.takeWord() {
			values = append(values, word)
			if o.Takes != Many {
				break
			}
		}
		switch {
		case len(values) > 0:
		case o.Takes == One:
			return argumentError(o, "expected one argument")
		case o.Takes == Many:
			return argumentError(o, "expected 1 argument(s)")
		default:
			delete(p.values, o)
			return nil
		}
	}
	for i := range values {
		var err error
		if values[i], err = o.convert(values[i]); err != nil {
			return err
		}
	}
	if o.repeats() || o.Takes == Count {
		values = append(p.values[o], values...)
	}
	p.values[o] = values
	return nil
}

// convert checks a value and brings numbers into their usual form.
func (o *Option) convert(value string) (string, error) {
	if o.Kind != Text {
		bits, kind := 32, "Integer"
		if o.Kind == Long {
			bits, kind = 64, "Long"
		}
		n, err := strconv.ParseInt(value, 10, bits)
		if err != nil {
			return "", argumentError(o, "could not convert '%s' to %s (For input string: \"%s\")", value, kind, value)
		}
		value = strconv.FormatInt(n, 10)
	}
	if len(o.Choices) > 0 && !slices.Contains(o.Choices, value) {
		return "", argumentError(o, "invalid choice: '%s' (choose from {%s})", value, strings.Join(o.Choices, ","))
	}
	return value, nil
}

func argumentError(o *Option, format string, args ...any) error {
	return &SyntaxError{Message: fmt.Sprintf("argument %s: ", o) + fmt.Sprintf(format, args...)}
}

// missing says whether a command or an operand that must be there is not.
func (p *parser) missing() bool {
	if p.command == nil {
		return len(p.syntax.Commands) > 0
	}
	return slices.ContainsFunc(p.command.Operands[p.slot:], func(o Operand) bool { return !o.Optional })
}

// ending is the normal form of a line that a flag ended.
func (p *parser) ending() []string {
	var words []string
	if p.command != nil {
		words = append(words, p.command.Name)
	}
	return append(words, "--"+p.ends)
}

// normal puts together what was given.
func (p *parser) normal() []string {
	words := p.spell(nil, p.syntax.Options)
	if p.command == nil {
		return words
	}
	words = append(words, p.command.Name)
	words = p.spell(words, p.command.Options)
	if len(p.operands) > 0 {
		words = append(words, "--")
		words = append(words, p.operands...)
	}
	return words
}

func (p *parser) spell(words []string, options []Option) []string {
	for i := range options {
		o := &options[i]
		values := p.values[o]
		if o.Takes == Nothing && len(values) > 0 {
			values = values[:1]
		}
		for _, value := range values {
			switch {
			case o.takesValue():
				words = append(words, "--"+o.Long+"="+value)
			case o.Long != "":
				words = append(words, "--"+o.Long)
			default:
				words = append(words, "-"+o.Short)
			}
		}
	}
	return words
}

// similar returns the names that differ from a word by two letters at most.
func similar(word string, names []string) []string {
	var close []string
	for _, name := range names {
		if len(word) > 3 && distance(word, name) <= 2 {
			close = append(close, name)
		}
	}
	return close
}

// distance is the number of letters to insert, remove or replace to get from
// one text to the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
