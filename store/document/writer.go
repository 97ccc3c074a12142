package document

import (
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// form is which of the original's writers is imitated.
type form int

const (
	canonical form = iota
	answer
	normalising
)

// Writer puts out one JSON text, value by value. Its methods belong to
// implementations of Value.
type Writer struct {
	buf    []byte
	form   form
	pretty bool
	ascii  bool // characters above U+FFFF as escaped surrogate pairs
	level  int  // of indentation: the number of open objects
}

// Null puts out null.
func (w *Writer) Null() { w.buf = append(w.buf, "null"...) }

// Bool puts out true or false.
func (w *Writer) Bool(b bool) { w.buf = strconv.AppendBool(w.buf, b) }

// Int puts out an integer.
func (w *Writer) Int(n int64) { w.buf = strconv.AppendInt(w.buf, n, 10) }

// Double puts out a floating point number as Java does (§6).
func (w *Writer) Double(f float64) { w.buf = appendDouble(w.buf, f) }

// Date puts out a date: milliseconds in answers, text elsewhere (§1.5).
func (w *Writer) Date(t time.Time) {
	if w.form == answer {
		w.Int(t.UnixMilli())
		return
	}
	w.buf = append(w.buf, '"')
	w.buf = appendDate(w.buf, t)
	w.buf = append(w.buf, '"')
}

const upperHex = "0123456789ABCDEF"

// Text puts out a string with the escapes of §1.2. Bytes that are no UTF-8
// become U+FFFD.
func (w *Writer) Text(s string) {
	buf := append(w.buf, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		char, width := utf8.DecodeRuneInString(s[i:])
		switch {
		case char == utf8.RuneError && width == 1:
			buf = append(append(buf, s[done:i]...), "\uFFFD"...)
		case char > 0xFFFF && w.ascii:
			high, low := utf16.EncodeRune(char)
			buf = appendUnicode(appendUnicode(append(buf, s[done:i]...), high), low)
		case char >= utf8.RuneSelf:
			i += width
			continue
		default:
			buf = appendEscape(append(buf, s[done:i]...), c)
		}
		i += width
		done = i
	}
	w.buf = append(append(buf, s[done:]...), '"')
}

func appendEscape(buf []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(buf, '\\', c)
	case '\b':
		return append(buf, `\b`...)
	case '\t':
		return append(buf, `\t`...)
	case '\n':
		return append(buf, `\n`...)
	case '\f':
		return append(buf, `\f`...)
	case '\r':
		return append(buf, `\r`...)
	}
	return appendUnicode(buf, rune(c))
}

func appendUnicode(buf []byte, unit rune) []byte {
	return append(buf, '\\', 'u', upperHex[unit>>12&15], upperHex[unit>>8&15], upperHex[unit>>4&15], upperHex[unit&15])
}

// openObject begins an object; each member follows a call of name.
func (w *Writer) openObject() {
	w.buf = append(w.buf, '{')
	w.level++
}

// name puts out the name of a member, and the comma before it.
func (w *Writer) name(name string, first bool) {
	if !first {
		w.buf = append(w.buf, ',')
	}
	w.newLine()
	w.Text(name)
	if w.pretty {
		w.buf = append(w.buf, " : "...)
	} else {
		w.buf = append(w.buf, ':')
	}
}

func (w *Writer) closeObject(empty bool) {
	w.level--
	switch {
	case !empty:
		w.newLine()
	case w.pretty:
		w.buf = append(w.buf, ' ')
	}
	w.buf = append(w.buf, '}')
}

func (w *Writer) newLine() {
	if !w.pretty {
		return
	}
	w.buf = append(w.buf, '\n')
	for range w.level {
		w.buf = append(w.buf, ' ', ' ')
	}
}

// array puts out an array of n elements.
func (w *Writer) array(n int, element func(i int)) {
	w.buf = append(w.buf, '[')
	for i := range n {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		w.blank()
		element(i)
	}
	w.blank()
	w.buf = append(w.buf, ']')
}

func (w *Writer) blank() {
	if w.pretty {
		w.buf = append(w.buf, ' ')
	}
}
