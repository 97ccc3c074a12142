package document

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// EnumText is a named string type whose values are a fixed list of words.
type EnumText interface {
	~string
	// Words are all values in the order of their ordinals.
	Words() []string
}

// Enum is one of the words of T, or null, which is "". The plain reader takes
// exact words and ordinals, the HTTP reader words in any case (§1.4).
func Enum[T EnumText](p *T) Value { return enum[T]{p} }

// EnumOr is an Enum for which null and, with lenient, any unknown word read as
// a default. A variable that is "" is written as the default.
func EnumOr[T EnumText](p *T, otherwise T, lenient bool) Value {
	return enumOr[T]{enum[T]{p}, otherwise, lenient}
}

type enum[T EnumText] struct{ p *T }

func (e enum[T]) ReadFrom(r *Reader) error {
	*e.p = ""
	if null, err := r.Null(); null {
		return err
	}
	word, kind, err := r.word()
	if err != nil {
		return err
	}
	word, err = spell(word, kind, (*e.p).Words(), r.http)
	*e.p = T(word)
	return err
}

// spell is the one of words that text means. An UnknownWordError says which
// words there are.
func spell(text string, kind Kind, words []string, http bool) (string, error) {
	if http {
		text = strings.Map(func(c rune) rune {
			switch {
			case unicode.IsSpace(c):
				return -1
			case c == '-':
				return '_'
			}
			return c
		}, text)
		for _, word := range words {
			if strings.EqualFold(word, text) {
				return word, nil
			}
		}
		return "", &UnknownWordError{text, words}
	}
	if kind == KindText && slices.Contains(words, text) {
		return text, nil
	}
	if ordinal, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && ordinal >= 0 && ordinal < len(words) {
		return words[ordinal], nil
	}
	return "", &UnknownWordError{text, words}
}

// UnknownWordError says that a text is none of the words of an enumeration, in the original's words (§1.4).
type UnknownWordError struct {
	text  string
	words []string
}

func (e *UnknownWordError) Error() string {
	return fmt.Sprintf("%s was not one of [%s]", e.text, strings.Join(e.words, ", "))
}

func (e enum[T]) WriteTo(w *Writer) {
	if *e.p == "" {
		w.Null()
		return
	}
	w.Text(string(*e.p))
}

func (e enum[T]) Presence() Presence {
	if *e.p == "" {
		return Null
	}
	return Filled
}

type enumOr[T EnumText] struct {
	enum[T]
	otherwise T
	lenient   bool
}

func (e enumOr[T]) ReadFrom(r *Reader) error {
	err := e.enum.ReadFrom(r)
	if _, unknown := err.(*UnknownWordError); unknown && e.lenient || err == nil && *e.p == "" {
		*e.p = e.otherwise
		return nil
	}
	return err
}

func (e enumOr[T]) WriteTo(w *Writer) {
	if *e.p == "" {
		w.Text(string(e.otherwise))
		return
	}
	e.enum.WriteTo(w)
}

func (e enumOr[T]) Presence() Presence { return Filled }
