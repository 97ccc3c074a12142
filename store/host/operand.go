package host

import (
	"slices"
	"strconv"
	"strings"

	"github.com/helios-go/helios/store/document"
)

// Operand is what a selector compares a label's value with: a text, or a list of
// texts for In and NotIn. Documents may hold any other JSON value in its place,
// which is kept and written again.
type Operand struct {
	kind    document.Kind // the zero kind is null
	text    string        // a string; a number or boolean as in the document
	items   []Operand
	members map[string]Operand
}

func textOperand(text string) Operand { return Operand{kind: document.KindText, text: text} }

func (o Operand) isNull() bool { return o.kind == document.KindInvalid }

func (o Operand) is(value string) bool { return o.kind == document.KindText && o.text == value }

func (o Operand) contains(value string) bool {
	return slices.ContainsFunc(o.items, func(item Operand) bool { return item.is(value) })
}

// String is the display form: a text as it is, a list as [bar, foo].
func (o Operand) String() string {
	switch o.kind {
	case document.KindText:
		return o.text
	case document.KindArray:
		items := make([]string, len(o.items))
		for i, item := range o.items {
			items[i] = item.String()
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		return document.Compact(o.JSON())
	}
}

// JSON describes the operand: any JSON value.
func (o *Operand) JSON() document.Value { return operandValue{o} }

type operandValue struct{ o *Operand }

func (v operandValue) list() document.Value {
	return document.List(&v.o.items, (*Operand).JSON)
}

func (v operandValue) object() document.Value {
	return document.Map(&v.o.members, document.TextKeys, (*Operand).JSON)
}

func (v operandValue) ReadFrom(r *document.Reader) (err error) {
	*v.o = Operand{}
	if null, err := r.Null(); null {
		return err
	}
	v.o.kind = r.Kind()
	switch v.o.kind {
	case document.KindArray:
		return v.list().ReadFrom(r)
	case document.KindObject:
		return v.object().ReadFrom(r)
	default:
		v.o.text, err = r.Text()
		return err
	}
}

func (v operandValue) WriteTo(w *document.Writer) {
	switch v.o.kind {
	case document.KindText:
		w.Text(v.o.text)
	case document.KindBool:
		w.Bool(v.o.text == "true")
	case document.KindNumber:
		writeNumber(w, v.o.text)
	case document.KindArray:
		v.list().WriteTo(w)
	case document.KindObject:
		v.object().WriteTo(w)
	default:
		w.Null()
	}
}

// writeNumber puts out a number of a document as the original did: an integer as
// it is, anything else as a double.
func writeNumber(w *document.Writer, text string) {
	if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
		w.Int(whole)
		return
	}
	fraction, _ := strconv.ParseFloat(text, 64) // out of range is infinite
	w.Double(fraction)
}

func (v operandValue) Presence() document.Presence {
	if v.o.isNull() {
		return document.Null
	}
	return document.Filled
}
