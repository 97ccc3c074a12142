package document

import "strconv"

// Number is a number of a value of any shape, as it is written: integers as they
// were read, others as Java writes them.
type Number string

// Any is a value of any shape: nil, bool, string, Number, []any or
// map[string]any. Variables that hold anything else are written as null.
func Any(p *any) Value { return anything{p} }

type anything struct{ p *any }

func (a anything) ReadFrom(r *Reader) (err error) {
	*a.p = nil
	switch r.Kind() {
	case KindNull:
		_, err = r.Null()
	case KindArray:
		items := []any{}
		err = list[any]{&items, Any, true}.ReadFrom(r)
		*a.p = items
	case KindObject:
		entries := map[string]any{}
		err = dictionary[string, any]{&entries, TextKeys, Any, true}.ReadFrom(r)
		*a.p = entries
	case KindNumber:
		var number Number
		number, err = readNumber(r)
		*a.p = number
	case KindBool:
		var value bool
		err = Bool(&value).ReadFrom(r)
		*a.p = value
	default:
		var value string
		value, err = r.Text()
		*a.p = value
	}
	return err
}

func readNumber(r *Reader) (Number, error) {
	literal, err := r.number()
	switch {
	case err != nil:
		return "", err
	case literal == "-0":
		return "0", nil
	case isInteger(literal):
		return Number(r.keep(literal)), nil
	}
	value, _ := strconv.ParseFloat(literal, 64) // out of range is infinite
	return Number(appendDouble(nil, value)), nil
}

func (a anything) WriteTo(w *Writer) {
	switch value := (*a.p).(type) {
	case bool:
		w.Bool(value)
	case string:
		w.Text(value)
	case Number:
		w.buf = append(w.buf, value...)
	case []any:
		list[any]{&value, Any, true}.WriteTo(w)
	case map[string]any:
		dictionary[string, any]{&value, TextKeys, Any, true}.WriteTo(w)
	default:
		w.Null()
	}
}

func (a anything) Presence() Presence {
	switch value := (*a.p).(type) {
	case nil:
		return Null
	case string:
		return Text(&value).Presence()
	case []any:
		return list[any]{&value, Any, true}.Presence()
	case map[string]any:
		return dictionary[string, any]{&value, TextKeys, Any, true}.Presence()
	}
	return Filled
}
