package cliui

import (
	"strings"
)

// helpWidth is where lines of usage and help are broken. It does not depend on
// the terminal: the original's does not either where it is not told.
const helpWidth = 79

// Usage is the synopsis of the program, or of one of its commands.
func (s *Syntax) Usage(c *Command) string {
	head := "usage: " + s.Program
	var parts []string
	if c != nil {
		head += " " + c.Name
		parts = synopses(parts, c.Options)
	}
	parts = synopses(parts, s.Options)
	switch {
	case c != nil:
		for _, o := range c.Operands {
			parts = append(parts, o.synopsis())
		}
	case len(s.Commands) > 0:
		parts = append(parts, "COMMAND ...")
	}
	return wrap(head, parts, strings.Repeat(" ", 7)) + "\n"
}

// Help is the whole help of the program, or of one of its commands.
func (s *Syntax) Help(c *Command) string {
	var b strings.Builder
	b.WriteString(s.Usage(c))
	if c != nil {
		b.WriteString("\n" + c.Summary + "\n")
		if len(c.Operands) > 0 {
			b.WriteString("\narguments:\n")
			for _, o := range c.Operands {
				entry(&b, o.synopsis(), "")
			}
		}
		if len(c.Options) > 0 {
			b.WriteString("\noptions:\n")
			entries(&b, c.Options)
		}
		b.WriteString("\noptions of every command:\n")
		entries(&b, s.Options)
		return b.String()
	}
	b.WriteString("\n" + s.Summary + "\n")
	if len(s.Commands) > 0 {
		b.WriteString("\ncommands:\n")
		for i := range s.Commands {
			if s.Commands[i].known() {
				entry(&b, s.Commands[i].Name, s.Commands[i].Summary)
			}
		}
	}
	for i := range s.Own {
		entry(&b, s.Own[i].Name, s.Own[i].Summary)
	}
	if len(s.Roles) > 0 {
		b.WriteString("\nroles, each with a --help of its own:\n")
		for i := range s.Roles {
			entry(&b, s.Roles[i].Name, s.Roles[i].Summary)
		}
	}
	b.WriteString("\noptions:\n")
	entries(&b, s.Options)
	return b.String()
}

func synopses(parts []string, options []Option) []string {
	for i := range options {
		if o := &options[i]; !o.Hidden {
			flag := "--" + o.Long
			if o.Short != "" {
				flag = "-" + o.Short
			}
			parts = append(parts, "["+flag+o.operandText()+"]")
		}
	}
	return parts
}

// operandText is what follows an option in its synopsis.
func (o *Option) operandText() string {
	name := o.Metavar
	if name == "" {
		name = strings.ToUpper(strings.ReplaceAll(o.Long, "-", "_"))
	}
	if len(o.Choices) > 0 {
		name = "{" + strings.Join(o.Choices, ",") + "}"
	}
	switch o.Takes {
	case One:
		return " " + name
	case Optional:
		return " [" + name + "]"
	case Many:
		return " " + name + " [" + name + " ...]"
	default:
		return ""
	}
}

func (o Operand) synopsis() string {
	switch {
	case o.List && o.Optional:
		return "[" + o.Name + " ...]"
	case o.List:
		return o.Name + " [" + o.Name + " ...]"
	case o.Optional:
		return "[" + o.Name + "]"
	default:
		return o.Name
	}
}

func entries(b *strings.Builder, options []Option) {
	for i := range options {
		o := &options[i]
		if o.Hidden {
			continue
		}
		var names []string
		if o.Short != "" {
			names = append(names, "-"+o.Short)
		}
		if o.Long != "" {
			names = append(names, "--"+o.Long)
		}
		entry(b, strings.Join(names, ", ")+o.operandText(), o.Help)
	}
}

// entry writes one item of a list: what it is called and, beside or below it,
// what it means.
func entry(b *strings.Builder, name, help string) {
	const indent, column = "  ", 24
	line := indent + name
	if help != "" {
		if len(line) < column-1 {
			line += strings.Repeat(" ", column-1-len(line))
		} else {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", column-1)
		}
		line = wrap(line, strings.Fields(help), strings.Repeat(" ", column))
	}
	b.WriteString(line + "\n")
}

// wrap appends parts to a line, separated by blanks, and goes on below, behind
// an indentation, where the line would become too long.
func wrap(line string, parts []string, indent string) string {
	var b strings.Builder
	width := len(line)
	b.WriteString(line)
	for _, part := range parts {
		if width+1+len(part) > helpWidth {
			b.WriteString("\n" + indent + part)
			width = len(indent) + len(part)
			continue
		}
		b.WriteString(" " + part)
		width += 1 + len(part)
	}
	return b.String()
}
