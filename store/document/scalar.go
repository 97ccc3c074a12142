package document

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Text is a string that is never null: null reads as "".
func Text(p *string) Value { return text{p} }

type text struct{ p *string }

func (t text) ReadFrom(r *Reader) (err error) {
	*t.p = ""
	if null, err := r.Null(); null {
		return err
	}
	*t.p, err = r.Text()
	return err
}

func (t text) WriteTo(w *Writer) { w.Text(*t.p) }

func (t text) Presence() Presence {
	if *t.p == "" {
		return Empty
	}
	return Filled
}

// OptionalText is a string that may be null.
func OptionalText(p **string) Value { return optionalText{p} }

type optionalText struct{ p **string }

func (t optionalText) ReadFrom(r *Reader) error { return optional[string]{t.p, Text}.ReadFrom(r) }
func (t optionalText) WriteTo(w *Writer)        { optional[string]{t.p, Text}.WriteTo(w) }
func (t optionalText) Presence() Presence       { return optional[string]{t.p, Text}.Presence() }

// TextOr is a string for which null reads as a default.
func TextOr(p *string, otherwise string) Value { return textOr{text{p}, otherwise} }

type textOr struct {
	text
	otherwise string
}

func (t textOr) ReadFrom(r *Reader) error {
	if null, err := r.Null(); null {
		*t.p = t.otherwise
		return err
	}
	return t.text.ReadFrom(r)
}

// textElement is a string in a list or map, where null is NullText.
func textElement(p *string) Value { return element{text{p}} }

type element struct{ text }

func (e element) ReadFrom(r *Reader) error {
	if null, err := r.Null(); null {
		*e.p = NullText
		return err
	}
	return e.text.ReadFrom(r)
}

func (e element) WriteTo(w *Writer) {
	if *e.p == NullText {
		w.Null()
		return
	}
	e.text.WriteTo(w)
}

// Const is a member that is written with this text and ignored on reading.
func Const(s string) Value { return constant(s) }

type constant string

func (c constant) ReadFrom(r *Reader) error { return r.Skip() }
func (c constant) WriteTo(w *Writer)        { w.Text(string(c)) }
func (c constant) Presence() Presence       { return Filled }

// Int is a 32-bit integer that is never null: null reads as 0.
func Int(p *int32) Value { return scalar[integer[int32], int32]{p} }

// Long is a 64-bit integer that is never null: null reads as 0.
func Long(p *int64) Value { return scalar[integer[int64], int64]{p} }

// OptionalInt is a 32-bit integer that may be null.
func OptionalInt(p **int32) Value { return optionalScalar[integer[int32], int32]{p} }

// OptionalLong is a 64-bit integer that may be null.
func OptionalLong(p **int64) Value { return optionalScalar[integer[int64], int64]{p} }

// Bool is a boolean that is never null: null reads as false.
func Bool(p *bool) Value { return scalar[boolean, bool]{p} }

// OptionalBool is a boolean that may be null.
func OptionalBool(p **bool) Value { return optionalScalar[boolean, bool]{p} }

// Double is a floating point number that is never null: null reads as 0.
func Double(p *float64) Value { return scalar[double, float64]{p} }

// OptionalDate is a date that may be null. It reads all forms of §1.5, in
// milliseconds and UTC.
func OptionalDate(p **time.Time) Value { return optionalScalar[date, time.Time]{p} }

// codec reads and writes a scalar that may be null: the word, an empty string,
// or a string of that word.
type codec[T any] interface {
	read(r *Reader) (value T, ok bool, err error)
	write(w *Writer, value T)
}

// scalar is a variable for which null is the zero value.
type scalar[C codec[T], T any] struct{ p *T }

func (s scalar[C, T]) ReadFrom(r *Reader) (err error) {
	var c C
	*s.p, _, err = c.read(r)
	return err
}

func (s scalar[C, T]) WriteTo(w *Writer) {
	var c C
	c.write(w, *s.p)
}

func (s scalar[C, T]) Presence() Presence { return Filled }

// optionalScalar is a variable for which null is nil.
type optionalScalar[C codec[T], T any] struct{ p **T }

func (s optionalScalar[C, T]) ReadFrom(r *Reader) error {
	var c C
	*s.p = nil
	value, ok, err := c.read(r)
	if ok && err == nil {
		*s.p = new(value)
	}
	return err
}

func (s optionalScalar[C, T]) WriteTo(w *Writer) {
	var c C
	if *s.p == nil {
		w.Null()
		return
	}
	c.write(w, **s.p)
}

func (s optionalScalar[C, T]) Presence() Presence {
	if *s.p == nil {
		return Null
	}
	return Filled
}

// coercible consumes a scalar that is to become a number, boolean or date;
// strings are trimmed. It is not ok if the value is null: the word, a string
// of that word or an empty string.
func (r *Reader) coercible() (text string, kind Kind, ok bool, err error) {
	if null, err := r.Null(); null {
		return "", KindNull, false, err
	}
	text, kind, err = r.word()
	if kind == KindText {
		text = strings.TrimFunc(text, func(c rune) bool { return c <= ' ' })
		ok = text != "" && text != "null"
		return text, kind, ok, err
	}
	return text, kind, true, err
}

type integer[T int32 | int64] struct{}

func (integer[T]) write(w *Writer, value T) { w.Int(int64(value)) }

func (integer[T]) read(r *Reader) (value T, ok bool, err error) {
	text, kind, ok, err := r.coercible()
	if err != nil || !ok {
		return 0, false, err
	}
	bits := 64
	if _, short := any(value).(int32); short {
		bits = 32
	}
	whole, err := strconv.ParseInt(text, 10, bits)
	switch {
	case kind == KindBool:
		return 0, false, r.unexpected("an integer", kind)
	case err == nil:
		return T(whole), true, nil
	case kind == KindNumber && !isInteger(text):
		return truncated[T](text, bits)
	case kind == KindNumber:
		return 0, false, fmt.Errorf("the integer does not fit into %d bits", bits)
	}
	return 0, false, fmt.Errorf("the string is no integer of %d bits", bits)
}

// isInteger says whether the literal of a number has neither fraction nor exponent.
func isInteger(literal string) bool { return !strings.ContainsAny(literal, ".eE") }

// truncated is a number with a fraction or exponent as an integer.
func truncated[T int32 | int64](text string, bits int) (T, bool, error) {
	f, _ := strconv.ParseFloat(text, 64) // out of range is infinite
	lowest, highest := -math.Exp2(63), math.Exp2(63)
	if bits == 32 {
		lowest, highest = math.MinInt32, math.MaxInt32
	}
	switch {
	case f < lowest || f > highest:
		return 0, false, fmt.Errorf("the number does not fit into %d bits", bits)
	case bits == 64 && f == highest:
		whole := int64(math.MaxInt64)
		return T(whole), true, nil
	}
	return T(f), true, nil
}

type boolean struct{}

func (boolean) write(w *Writer, value bool) { w.Bool(value) }

func (boolean) read(r *Reader) (value, ok bool, err error) {
	text, kind, ok, err := r.coercible()
	if err != nil || !ok {
		return false, false, err
	}
	switch {
	case kind == KindNumber && isInteger(text):
		return text != "0", true, nil
	case kind == KindBool, text == "true", text == "false", text == "True", text == "False":
		return strings.EqualFold(text, "true"), true, nil
	}
	return false, false, fmt.Errorf("%v is no boolean here", kind)
}

type double struct{}

func (double) write(w *Writer, value float64) { w.Double(value) }

func (double) read(r *Reader) (value float64, ok bool, err error) {
	text, kind, ok, err := r.coercible()
	if err != nil || !ok {
		return 0, false, err
	}
	if kind == KindText {
		switch text {
		case "NaN":
			return math.NaN(), true, nil
		case "INF", "Infinity":
			return math.Inf(1), true, nil
		case "-INF", "-Infinity":
			return math.Inf(-1), true, nil
		}
	}
	value, err = strconv.ParseFloat(text, 64)
	if kind == KindBool || strings.Trim(text, "0123456789+-.eE") != "" || err != nil && !math.IsInf(value, 0) {
		return 0, false, r.unexpected("a number", kind)
	}
	return value, true, nil
}

// appendDouble writes a number as Java's Double.toString does.
func appendDouble(buf []byte, f float64) []byte {
	size := math.Abs(f)
	switch {
	case math.IsNaN(f):
		return append(buf, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(buf, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(buf, `"-Infinity"`...)
	case size == 0 || size >= 1e-3 && size < 1e7:
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return append(buf, text...)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	power, _ := strconv.Atoi(exponent) // FormatFloat wrote it
	buf = append(append(buf, mantissa...), 'E')
	return strconv.AppendInt(buf, int64(power), 10)
}
