package document

import (
	"cmp"
	"slices"
	"strings"
)

// Member is one member of an object.
type Member struct {
	Name  string
	Value Value
	// Alias is another name that is accepted on reading; Name wins over it.
	Alias string
	// Required makes its absence, and null, a MissingError on reading.
	Required bool
	// OmitNull leaves the member out when it is null; otherwise null is written.
	// The text that is hashed then keeps it even when it is empty.
	OmitNull bool
	// First and Last put the member before or after the others in canonical order.
	First, Last bool
}

// Object is a JSON object of the given members, in the order of the master's
// answers. Unknown members are ignored on reading, duplicates overwrite. Null
// is refused: a value that may be null is Optional.
func Object(members ...Member) Value { return object(members) }

type object []Member

func (o object) ReadFrom(r *Reader) error {
	if null, err := r.Null(); null {
		return cmp.Or(err, ErrNull)
	}
	var seen, named uint64 // by index of the member; no document has more than 64
	next := 0              // documents mostly have their members in some order of ours
	err := r.Object(func(name string) error {
		i, alias := o.find(name, next)
		if i < 0 || alias && named&(1<<i) != 0 {
			return r.Skip()
		}
		next = i + 1
		seen |= 1 << i
		if !alias {
			named |= 1 << i
		}
		if o[i].Required && r.Kind() == KindNull {
			seen &^= 1 << i
			return r.Skip()
		}
		return o[i].Value.ReadFrom(r)
	})
	if err != nil {
		return err
	}
	after := *r
	for i := range o {
		switch m := &o[i]; {
		case seen&(1<<i) != 0:
		case m.Required:
			return &MissingError{Member: m.Name}
		default: // what is not there reads as null
			r.data, r.pos = "null", 0
			if err := m.Value.ReadFrom(r); err != nil {
				return at(m.Name, err)
			}
		}
	}
	*r = after
	return nil
}

// find is the index of the member called name, -1 if there is none. It looks
// from the index next on, then at those before.
func (o object) find(name string, next int) (i int, alias bool) {
	for n := range o {
		i := next + n
		if i >= len(o) {
			i -= len(o)
		}
		if o[i].Name == name {
			return i, false
		}
		if o[i].Alias != "" && o[i].Alias == name {
			return i, true
		}
	}
	return -1, false
}

func (o object) WriteTo(w *Writer) {
	var indices [64]uint8
	order := indices[:0]
	for i := range o {
		if !o[i].omitted(w.form) {
			order = append(order, uint8(i))
		}
	}
	if w.form != answer {
		slices.SortFunc(order, func(i, j uint8) int { return o[i].compare(&o[j], w.form) })
	}
	w.openObject()
	for n, i := range order {
		w.name(o[i].Name, n == 0)
		o[i].Value.WriteTo(w)
	}
	w.closeObject(len(order) == 0)
}

// compare is the order of members in all forms but the answer.
func (m *Member) compare(other *Member, f form) int {
	if f == canonical && m.rank() != other.rank() {
		return m.rank() - other.rank()
	}
	return strings.Compare(m.Name, other.Name)
}

func (m *Member) rank() int {
	switch {
	case m.First:
		return -1
	case m.Last:
		return 1
	}
	return 0
}

func (m *Member) omitted(f form) bool {
	switch {
	case m.OmitNull:
		return m.Value.Presence() == Null
	case f == normalising:
		return m.Value.Presence() != Filled
	}
	return false
}

func (o object) Presence() Presence { return Filled }

// Optional is a value that may be null, which is a nil pointer. The element is
// described by its JSON method: Optional(&j.Resources, (*Resources).JSON).
func Optional[T any](p **T, element func(*T) Value) Value {
	return optional[T]{p, element}
}

type optional[T any] struct {
	p       **T
	element func(*T) Value
}

func (o optional[T]) ReadFrom(r *Reader) error {
	if null, err := r.Null(); null {
		*o.p = nil
		return err
	}
	*o.p = new(T)
	return o.element(*o.p).ReadFrom(r)
}

func (o optional[T]) WriteTo(w *Writer) {
	if *o.p == nil {
		w.Null()
		return
	}
	o.element(*o.p).WriteTo(w)
}

func (o optional[T]) Presence() Presence {
	if *o.p == nil {
		return Null
	}
	return o.element(*o.p).Presence()
}
