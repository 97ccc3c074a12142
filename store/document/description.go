package document

import "sync"

// Description describes the objects of a type. To bind the variables of a value
// costs about as much as to read it, so here those of scratch values are bound,
// and each serves one value of the type after the other.
type Description[T any] struct{ scratches sync.Pool }

// Describe makes a Description from the Object that binds a T. It pays for types
// that are read and written by the hundred.
func Describe[T any](object func(*T) Value) *Description[T] {
	return &Description[T]{sync.Pool{New: func() any {
		s := new(scratch[T])
		s.object = object(&s.variable)
		return s
	}}}
}

// Of is the object bound to the T at p.
func (d *Description[T]) Of(p *T) Value { return described[T]{p, d} }

// scratch is a T and the object bound to it.
type scratch[T any] struct {
	variable T
	object   Value
}

type described[T any] struct {
	p           *T
	description *Description[T]
}

func (d described[T]) ReadFrom(r *Reader) error {
	s := d.borrow()
	defer d.giveBack(s)
	err := s.object.ReadFrom(r)
	*d.p = s.variable
	return err
}

func (d described[T]) WriteTo(w *Writer) {
	s := d.borrow()
	defer d.giveBack(s)
	s.object.WriteTo(w)
}

func (d described[T]) Presence() Presence { return Filled }

func (d described[T]) borrow() *scratch[T] {
	s := d.description.scratches.Get().(*scratch[T])
	s.variable = *d.p
	return s
}

// giveBack forgets what was read or written: it may be a secret, and large.
func (d described[T]) giveBack(s *scratch[T]) {
	s.variable = *new(T)
	d.description.scratches.Put(s)
}
