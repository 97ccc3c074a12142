package document

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is what sort of JSON value comes next.
type Kind int

// The kinds. KindEnd is the end of the text; KindInvalid is a character that
// begins no JSON value.
const (
	KindInvalid Kind = iota
	KindEnd
	KindNull
	KindBool
	KindNumber
	KindText
	KindArray
	KindObject
)

var kindNames = [...]string{"an invalid character", "the end of the text", "null", "a boolean", "a number", "a string", "an array", "an object"}

// String names the kind with its article, for error messages.
func (k Kind) String() string { return kindNames[k] }

// Reader takes one JSON text apart, value by value. Its methods belong to
// implementations of Value.
//
// Inside the package names and numbers are parts of data; whatever outlives the
// reading goes through keep.
type Reader struct {
	data  string
	pos   int
	depth int
	http  bool
}

// Kind looks at the next value without consuming it.
func (r *Reader) Kind() Kind {
	r.skipSpace()
	if r.pos >= len(r.data) {
		return KindEnd
	}
	switch c := r.data[r.pos]; {
	case c == '"':
		return KindText
	case c == '{':
		return KindObject
	case c == '[':
		return KindArray
	case c == 't' || c == 'f':
		return KindBool
	case c == 'n':
		return KindNull
	case c == '-' || isDigit(c):
		return KindNumber
	}
	return KindInvalid
}

// Null consumes a null if one comes next, and says whether it did.
func (r *Reader) Null() (bool, error) {
	if r.Kind() != KindNull {
		return false, nil
	}
	return true, r.literal("null")
}

// Text consumes a value where a string is wanted: a string, or a number or
// boolean as it stands in the text. Anything else is an error.
func (r *Reader) Text() (string, error) {
	text, _, err := r.word()
	return r.keep(text), err
}

// keep makes a part of data fit to outlive the reading: it must not keep a long
// document alive.
func (r *Reader) keep(part string) string {
	const short = 2048 // bytes
	if len(r.data) <= short {
		return part
	}
	return strings.Clone(part)
}

// Integer consumes a number that has neither fraction nor exponent, where a
// fraction would not be cut off.
func (r *Reader) Integer(p *int32) error {
	ahead := *r
	if literal, err := ahead.number(); err != nil || !isInteger(literal) {
		return r.unexpected("an integer", r.Kind())
	}
	return Int(p).ReadFrom(r)
}

// Object consumes an object and calls member for each of its names; member
// must consume the value, and clone the name to keep it.
func (r *Reader) Object(member func(name string) error) error {
	if kind := r.Kind(); kind != KindObject {
		return r.unexpected("an object", kind)
	}
	if err := r.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		end, err := r.next('}', first)
		if err != nil || end {
			return err
		}
		if r.Kind() != KindText {
			return r.syntax("a member name")
		}
		name, err := r.text()
		if err != nil {
			return err
		}
		if r.skipSpace(); r.pos >= len(r.data) || r.data[r.pos] != ':' {
			return r.syntax("a colon")
		}
		r.pos++
		if err := member(name); err != nil {
			return at(name, err)
		}
	}
}

// Array consumes an array and calls element for each element, which must
// consume it.
func (r *Reader) Array(element func(i int) error) error {
	if kind := r.Kind(); kind != KindArray {
		return r.unexpected("an array", kind)
	}
	if err := r.enter(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		end, err := r.next(']', i == 0)
		if err != nil || end {
			return err
		}
		if err := element(i); err != nil {
			return at(fmt.Sprintf("element %d", i), err)
		}
	}
}

// Skip consumes any one value.
func (r *Reader) Skip() error {
	switch r.Kind() {
	case KindObject:
		return r.Object(func(string) error { return r.Skip() })
	case KindArray:
		return r.Array(func(int) error { return r.Skip() })
	case KindNull:
		return r.literal("null")
	default:
		_, _, err := r.word()
		return err
	}
}

// Lookup finds the first member of that name in the object that comes next,
// without consuming anything. The member's value must be a scalar; found is
// false if there is no object or no such member.
func (r *Reader) Lookup(name string) (value string, found bool, err error) {
	if r.Kind() != KindObject {
		return "", false, nil
	}
	ahead := *r
	err = ahead.Object(func(member string) error {
		if found || member != name {
			return ahead.Skip()
		}
		found = true
		if ahead.Kind() == KindNull {
			value = "null"
			return ahead.literal("null")
		}
		value, err = ahead.Text()
		return err
	})
	return value, found, err
}

// word consumes a string, number or boolean: its text and its kind.
func (r *Reader) word() (string, Kind, error) {
	kind := r.Kind()
	switch kind {
	case KindText:
		text, err := r.text()
		return text, kind, err
	case KindNumber:
		text, err := r.number()
		return text, kind, err
	case KindBool:
		word := "true"
		if r.data[r.pos] == 'f' {
			word = "false"
		}
		return word, kind, r.literal(word)
	}
	return "", kind, r.unexpected("a string, a number or a boolean", kind)
}

// enter consumes the opening bracket of a container.
func (r *Reader) enter() error {
	if r.depth == MaxDepth {
		return fmt.Errorf("the document is nested deeper than %d levels", MaxDepth)
	}
	r.depth++
	r.pos++
	return nil
}

// next moves to the next entry of a container, or past its closing bracket.
func (r *Reader) next(closing byte, first bool) (end bool, err error) {
	r.skipSpace()
	switch {
	case r.pos >= len(r.data):
		return false, r.ended()
	case r.data[r.pos] == closing:
		r.pos++
		r.depth--
		return true, nil
	case first:
		return false, nil
	case r.data[r.pos] != ',':
		return false, r.syntax("a comma")
	}
	r.pos++
	return false, nil
}

func (r *Reader) skipSpace() {
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *Reader) skipByteOrderMark() {
	if strings.HasPrefix(r.data, "\ufeff") {
		r.pos = 3
	}
}

func (r *Reader) literal(word string) error {
	end := r.pos + len(word)
	if end > len(r.data) || r.data[r.pos:end] != word || end < len(r.data) && isWord(r.data[end]) {
		return r.syntax(word)
	}
	r.pos = end
	return nil
}

// number consumes a number and returns it as it stands in the text.
func (r *Reader) number() (string, error) {
	start, pos := r.pos, r.pos
	digits := func() bool {
		from := pos
		for pos < len(r.data) && isDigit(r.data[pos]) {
			pos++
		}
		return pos > from
	}
	follows := func(c string) bool {
		if pos < len(r.data) && strings.IndexByte(c, r.data[pos]) >= 0 {
			pos++
			return true
		}
		return false
	}
	follows("-")
	zero := pos < len(r.data) && r.data[pos] == '0'
	whole := pos
	ok := digits() && (!zero || pos == whole+1)
	if ok && follows(".") {
		ok = digits()
	}
	if ok && follows("eE") {
		follows("+-")
		ok = digits()
	}
	if !ok || r.depth == 0 && pos < len(r.data) && !isSpace(r.data[pos]) {
		return "", r.syntax("a number")
	}
	r.pos = pos
	return r.data[start:pos], nil
}

// text consumes a string. Text that is not UTF-8, and halves of surrogate
// pairs, are refused: they could not be written again.
func (r *Reader) text() (string, error) {
	start := r.pos + 1
	for pos := start; pos < len(r.data); pos++ {
		switch c := r.data[pos]; {
		case c == '"':
			r.pos = pos + 1
			return valid(r.data[start:pos])
		case c == '\\':
			return r.escaped(start, pos)
		case c < ' ':
			r.pos = pos
			return "", r.syntax("an escaped control character")
		}
	}
	r.pos = len(r.data)
	return "", r.syntax("the end of the string")
}

// escaped is text, from the first backslash on.
func (r *Reader) escaped(start, pos int) (string, error) {
	out := append(make([]byte, 0, 2*(pos-start)+16), r.data[start:pos]...)
	for pos < len(r.data) {
		c := r.data[pos]
		pos++
		switch {
		case c == '"':
			r.pos = pos
			return valid(string(out))
		case c < ' ':
			r.pos = pos
			return "", r.syntax("an escaped control character")
		case c != '\\':
			out = append(out, c)
			continue
		case pos >= len(r.data):
			continue
		}
		c = r.data[pos]
		pos++
		if c == 'u' {
			char, width, ok := unicodeEscape(r.data[pos:])
			if !ok {
				r.pos = pos
				return "", r.syntax("four hexadecimal digits of a character")
			}
			out = utf8.AppendRune(out, char)
			pos += width
			continue
		}
		i := strings.IndexByte(`"\/bfnrt`, c)
		if i < 0 {
			r.pos = pos
			return "", r.syntax("a known escape")
		}
		out = append(out, "\"\\/\b\f\n\r\t"[i])
	}
	r.pos = pos
	return "", r.syntax("the end of the string")
}

// unicodeEscape decodes what follows \u, a surrogate pair wholly, and says how
// many bytes that is.
func unicodeEscape(b string) (char rune, width int, ok bool) {
	char, ok = hex4(b)
	if !ok || !utf16.IsSurrogate(char) {
		return char, 4, ok
	}
	if len(b) < 10 || b[4] != '\\' || b[5] != 'u' {
		return 0, 0, false
	}
	low, ok := hex4(b[6:])
	char = utf16.DecodeRune(char, low)
	return char, 10, ok && char != utf8.RuneError
}

func hex4(b string) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var char rune
	for _, c := range []byte(b[:4]) {
		switch {
		case isDigit(c):
			char = char<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			char = char<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return char, true
}

func valid(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("a string is not valid UTF-8")
	}
	return s, nil
}

// syntax is an error about the text itself. It shows no content: a document may
// hold secrets.
func (r *Reader) syntax(want string) error {
	if r.pos >= len(r.data) {
		return r.ended()
	}
	return fmt.Errorf("invalid JSON: expected %s at byte %d", want, r.pos)
}

// ended says where the text ends, though it should not: the line and the
// character in it, each from 1.
func (r *Reader) ended() error {
	line := 1 + strings.Count(r.data, "\n")
	column := 1 + utf8.RuneCountInString(r.data[1+strings.LastIndexByte(r.data, '\n'):])
	return fmt.Errorf("invalid JSON: unexpected end of the text at line %d, column %d", line, column)
}

func (r *Reader) unexpected(want string, kind Kind) error {
	if kind == KindEnd {
		return r.ended()
	}
	return fmt.Errorf("expected %s, found %v", want, kind)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isWord(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c == '$' || c >= utf8.RuneSelf
}
