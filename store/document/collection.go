package document

import "slices"

// List is an array whose elements are described by element. It is never null:
// null reads as nil, and nil writes as []. For lists of strings see Texts.
func List[T any](p *[]T, element func(*T) Value) Value {
	return list[T]{p, element, false}
}

// NullableList is a List that may be null, which is nil.
func NullableList[T any](p *[]T, element func(*T) Value) Value {
	return list[T]{p, element, true}
}

// Texts is a list of strings, never null. A null element reads as NullText.
func Texts(p *[]string) Value { return texts{p} }

type texts struct{ p *[]string }

func (t texts) list() list[string]       { return list[string]{t.p, textElement, false} }
func (t texts) ReadFrom(r *Reader) error { return t.list().ReadFrom(r) }
func (t texts) WriteTo(w *Writer)        { t.list().WriteTo(w) }
func (t texts) Presence() Presence       { return t.list().Presence() }

// NullableTexts is a list of strings that may be null, which is nil.
func NullableTexts(p *[]string) Value { return NullableList(p, textElement) }

type list[T any] struct {
	p        *[]T
	element  func(*T) Value
	nullable bool
}

func (l list[T]) ReadFrom(r *Reader) error {
	*l.p = nil
	if null, err := r.Null(); null {
		return err
	}
	var items []T
	if l.nullable {
		items = []T{}
	}
	err := r.Array(func(int) error {
		items = append(items, *new(T))
		return l.element(&items[len(items)-1]).ReadFrom(r)
	})
	*l.p = items
	return err
}

func (l list[T]) WriteTo(w *Writer) {
	if l.Presence() == Null {
		w.Null()
		return
	}
	items := *l.p
	w.array(len(items), func(i int) { l.element(&items[i]).WriteTo(w) })
}

func (l list[T]) Presence() Presence {
	switch {
	case len(*l.p) > 0:
		return Filled
	case l.nullable && *l.p == nil:
		return Null
	}
	return Empty
}

// TextSet is a set of strings, never null. The variable has the elements in the
// order of the document without duplicates; they are written in hash-set order,
// as SetOrder says.
func TextSet(p *[]string) Value { return textSet{p} }

type textSet struct{ p *[]string }

func (s textSet) ReadFrom(r *Reader) error {
	if err := texts(s).ReadFrom(r); err != nil {
		return err
	}
	*s.p = unique(*s.p)
	return nil
}

func (s textSet) WriteTo(w *Writer) {
	items := SetOrder(*s.p)
	w.array(len(items), func(i int) { textElement(&items[i]).WriteTo(w) })
}

func (s textSet) Presence() Presence { return texts(s).Presence() }

// Keys turns the names of a JSON object into the keys of a map and back.
type Keys[K comparable] struct {
	Parse  func(name string) (K, error)
	Format func(key K) string
}

// TextKeys are names that are the keys of the map.
var TextKeys = Keys[string]{
	Parse:  func(name string) (string, error) { return name, nil },
	Format: func(key string) string { return key },
}

// Map is an object with arbitrary names whose values are described by element.
// It is never null: null reads as nil, and nil writes as {}. Names are written
// in ascending order (Ascending). For maps of strings see TextMap.
func Map[K comparable, V any](p *map[K]V, keys Keys[K], element func(*V) Value) Value {
	return dictionary[K, V]{p, keys, element, false}
}

// NullableMap is a Map that may be null, which is nil.
func NullableMap[K comparable, V any](p *map[K]V, keys Keys[K], element func(*V) Value) Value {
	return dictionary[K, V]{p, keys, element, true}
}

// TextMap is a map of strings, never null. A null value reads as NullText.
func TextMap(p *map[string]string) Value { return textMap{p} }

type textMap struct{ p *map[string]string }

func (t textMap) dictionary() dictionary[string, string] {
	return dictionary[string, string]{t.p, TextKeys, textElement, false}
}
func (t textMap) ReadFrom(r *Reader) error { return t.dictionary().ReadFrom(r) }
func (t textMap) WriteTo(w *Writer)        { t.dictionary().WriteTo(w) }
func (t textMap) Presence() Presence       { return t.dictionary().Presence() }

type dictionary[K comparable, V any] struct {
	p        *map[K]V
	keys     Keys[K]
	element  func(*V) Value
	nullable bool
}

func (d dictionary[K, V]) ReadFrom(r *Reader) error {
	*d.p = nil
	if null, err := r.Null(); null {
		return err
	}
	entries := make(map[K]V)
	var value V // of one entry after the other
	element := d.element(&value)
	err := r.Object(func(name string) error {
		key, err := d.keys.Parse(r.keep(name))
		if err != nil {
			return err
		}
		if err := element.ReadFrom(r); err != nil {
			return err
		}
		entries[key] = value
		return nil
	})
	if len(entries) > 0 || d.nullable {
		*d.p = entries
	}
	return err
}

func (d dictionary[K, V]) WriteTo(w *Writer) {
	if d.Presence() == Null {
		w.Null()
		return
	}
	type entry struct {
		name  string
		value V
	}
	entries := make([]entry, 0, len(*d.p))
	for key, value := range *d.p {
		entries = append(entries, entry{d.keys.Format(key), value})
	}
	slices.SortFunc(entries, func(a, b entry) int { return Ascending(a.name, b.name) })
	w.openObject()
	for i := range entries {
		w.name(entries[i].name, i == 0)
		d.element(&entries[i].value).WriteTo(w)
	}
	w.closeObject(len(entries) == 0)
}

func (d dictionary[K, V]) Presence() Presence {
	switch {
	case len(*d.p) > 0:
		return Filled
	case d.nullable && *d.p == nil:
		return Null
	}
	return Empty
}
