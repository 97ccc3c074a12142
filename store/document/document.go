// Package document is the JSON dialect of every Helios document: the lenient
// reading and the exact writing that Helios 0.9 gave each znode, request,
// answer and state file (testdata/spec/1-model.md §1).
//
// A type describes its JSON once, in a method JSON that binds its variables as
// a Value; both readers and all writers work from that description. Collections
// and bare values are described in the same way, without a type of their own:
//
//	document.Read(data, j.JSON())
//	document.Canonical(document.Map(&hosts, document.TextKeys, (*host.Status).JSON))
//
// The package owns syntax, coercions, member order, escaping and date formats.
// It knows no particular document, does no I/O, and never panics whatever the
// input: nesting and size are bounded.
package document

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Value is one JSON value bound to a variable. Values of this package describe
// nearly everything; a type whose JSON has a rule of its own (a job id, a port
// mapping) implements Value itself.
type Value interface {
	// ReadFrom consumes exactly one JSON value, null included, and replaces the variable.
	ReadFrom(r *Reader) error
	// WriteTo puts out exactly one JSON value.
	WriteTo(w *Writer)
	// Presence says how much of a value the variable holds; writers omit members by it.
	Presence() Presence
}

// Presence is how much of a value a variable holds.
type Presence int

const (
	// Null is no value: written as null, or omitted where a document says so.
	Null Presence = iota
	// Empty is "", [] or {}: left out of the text that is hashed.
	Empty
	// Filled is everything else; zero and false are values.
	Filled
)

// NullText stands for null among the elements of a list or a map of strings.
// No JSON string can spell it, since it is not UTF-8. Writers put null in its
// place, and validation of a job refuses it.
const NullText = "\xffnull"

// MaxSize is the length in bytes of the largest document that is read.
const MaxSize = 64 << 20

// MaxDepth is how deep arrays and objects of a document may nest.
const MaxDepth = 200

// ErrNull is reading null where the document itself cannot be null, or, for the
// HTTP reader, an empty text.
var ErrNull = errors.New("the document is null")

// MissingError is the absence of a required member, or null in its place.
type MissingError struct {
	Member string
}

// Error names the member.
func (e *MissingError) Error() string { return e.Member + " is missing" }

// Read reads the first JSON value of data as the command line, the client and
// the owners of znodes and state files do: the plain reader of §1.4. Text after
// the value is ignored.
func Read(data []byte, v Value) error {
	return read(&Reader{data: string(data)}, v)
}

// ReadHTTP reads the body of a request as the master does: the HTTP reader of
// §1.4, which differs from Read in the spelling of enums.
func ReadHTTP(data []byte, v Value) error {
	return read(&Reader{data: string(data), http: true}, v)
}

func read(r *Reader, v Value) error {
	if len(r.data) > MaxSize {
		return fmt.Errorf("the document has more than %d bytes", MaxSize)
	}
	r.skipByteOrderMark()
	if r.http && r.Kind() == KindEnd {
		return ErrNull
	}
	return v.ReadFrom(r)
}

// at says in which member or element reading failed. The name is cut short: it
// may be anything.
func at(name string, err error) error {
	const longest = 80
	if len(name) > longest {
		cut := longest
		for !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut] + "…"
	}
	if err == ErrNull { // inside a document null is another error
		return fmt.Errorf("%s: null is not allowed", name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// Canonical is the form of znodes and of requests: members ascending, dates as
// text, no white space (§1.1).
func Canonical(v Value) []byte {
	return write(v, Writer{form: canonical, ascii: true})
}

// Compact is the canonical form for a terminal or file: as Canonical, but
// characters above U+FFFF stand for themselves (§1.2).
func Compact(v Value) string {
	return string(write(v, Writer{form: canonical}))
}

// Pretty is the indented form of the command line's --json and of state files,
// without a final line feed (§1.3).
func Pretty(v Value) string {
	return string(write(v, Writer{form: canonical, pretty: true}))
}

// HTTP is the form of the master's answers: members in the order in which they
// are described, dates as milliseconds (§1.1).
func HTTP(v Value) []byte {
	return write(v, Writer{form: answer, ascii: true})
}

// Normalised is the text whose hash becomes a job's id: null and empty members
// are left out (§1.1, §11.3).
func Normalised(v Value) []byte {
	return write(v, Writer{form: normalising, ascii: true})
}

func write(v Value, w Writer) []byte {
	w.buf = make([]byte, 0, 1024)
	v.WriteTo(&w)
	return w.buf
}
