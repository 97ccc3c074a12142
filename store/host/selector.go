package host

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/helios-go/helios/store/document"
)

// Operator is how a selector compares; "" is null. §8.2.
type Operator string

// The operators, in the original's order.
const (
	Equals    Operator = "EQUALS"
	NotEquals Operator = "NOT_EQUALS"
	In        Operator = "IN"
	NotIn     Operator = "NOT_IN"
)

// Words are the operators in the order of their ordinals.
func (Operator) Words() []string { return operators }

var operators = []string{string(Equals), string(NotEquals), string(In), string(NotIn)}

var symbols = map[Operator]string{Equals: "=", NotEquals: "!=", In: "in", NotIn: "notin"}

// Selector chooses hosts by the value of one label. The operand is a string for
// Equals and NotEquals, and a []any of strings for In and NotIn, which is a set
// and is kept in ascending order (quirk 19). Documents may have any JSON in its
// place; it is then as document.Any has it.
type Selector struct {
	Label    *string
	Operator Operator
	Operand  any

	null bool
}

// The text of a selector. Unlike the original's, in and notin need white space
// before them: mainx is no selector (quirk 18).
var selectorText = regexp.MustCompile(`^([0-9A-Za-z._-]+)` +
	`(?:[ \t\n\v\f\r]*(!=|=)|[ \t\n\v\f\r]+(in|notin))[ \t\n\v\f\r]*` +
	`([0-9A-Za-z._-]+|\([0-9A-Za-z. \t\n\v\f\r,_-]*\))$`)

// ParseSelector reads the text form of §8.2, as in "role=db" and
// "zone in (a, b)". For anything else it returns an error.
func ParseSelector(text string) (Selector, error) {
	parts := selectorText.FindStringSubmatch(text)
	if parts == nil {
		return Selector{}, fmt.Errorf("%q is no host selector", text)
	}
	s := Selector{Label: &parts[1]}
	operand := parts[4]
	switch parts[2] + parts[3] {
	case "=":
		s.Operator, s.Operand = Equals, operand
	case "!=":
		s.Operator, s.Operand = NotEquals, operand
	case "in":
		s.Operator, s.Operand = In, listItems(operand)
	case "notin":
		s.Operator, s.Operand = NotIn, listItems(operand)
	}
	s.order()
	return s, nil
}

// listItems reads the operand of in and notin: parentheses and white space are
// dropped, and so are empty items at the end unless there is nothing else.
func listItems(operand string) []any {
	operand = strings.Map(func(char rune) rune {
		if strings.ContainsRune("() \t\n\v\f\r", char) {
			return -1
		}
		return char
	}, operand)
	parts := strings.Split(operand, ",")
	for operand != "" && len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	items := make([]any, len(parts))
	for i, part := range parts {
		items[i] = part
	}
	return items
}

// order makes the list of In and NotIn a set in ascending order. A list of
// anything but strings stays as it is.
func (s *Selector) order() {
	items, ok := s.Operand.([]any)
	if !ok || s.Operator != In && s.Operator != NotIn || !all(items, isText) {
		return
	}
	slices.SortFunc(items, func(a, b any) int { return document.Ascending(a.(string), b.(string)) })
	s.Operand = slices.Compact(items)
}

func isText(item any) bool {
	_, ok := item.(string)
	return ok
}

func all[T any](items []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(items, func(item T) bool { return !ok(item) })
}

// IsNull says whether null stood in the place of the selector. It selects no host.
func (s Selector) IsNull() bool { return s.null }

// String is the display form: label, symbol and operand, lists as [bar, foo].
func (s Selector) String() string {
	label, symbol := "null", "null"
	if s.Label != nil {
		label = *s.Label
	}
	if known, ok := symbols[s.Operator]; ok {
		symbol = known
	}
	return fmt.Sprintf("%s %s %s", label, symbol, display(s.Operand))
}

func display(operand any) string {
	switch operand := operand.(type) {
	case string:
		return operand
	case []any:
		items := make([]string, len(operand))
		for i, item := range operand {
			items[i] = display(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	default:
		return document.Compact(document.Any(&operand))
	}
}

// Equal compares labels, operators and operands, the lists of In and NotIn as sets.
func (s Selector) Equal(other Selector) bool {
	return document.Compact(s.JSON()) == document.Compact(other.JSON())
}

// Matches says whether the selector accepts a host of these labels. A host
// without the label is never accepted, nor is any host by a selector that makes
// no sense.
func (s Selector) Matches(labels map[string]string) bool {
	if s.Label == nil {
		return false
	}
	value, ok := labels[*s.Label]
	if !ok || value == document.NullText {
		return false
	}
	list, isList := s.Operand.([]any)
	switch s.Operator {
	case Equals:
		return s.Operand == any(value)
	case NotEquals:
		return s.Operand != nil && s.Operand != any(value)
	case In:
		return slices.Contains(list, any(value))
	case NotIn:
		return isList && !slices.Contains(list, any(value))
	default:
		return false
	}
}

// Select chooses from hosts, given with their labels, those that every selector
// accepts, in natural order. No selectors choose no host. zookeeper §14.1.
func Select(selectors []Selector, hosts map[string]map[string]string) []string {
	var selected []string
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		accepts := func(s Selector) bool { return s.Matches(hosts[name]) }
		if len(selectors) > 0 && all(selectors, accepts) {
			selected = append(selected, name)
		}
	}
	Sort(selected)
	return selected
}

// JSON describes the document of §8.2, or null. Any JSON is taken for an operand.
func (s *Selector) JSON() document.Value { return selectorValue{s} }

type selectorValue struct{ s *Selector }

func (v selectorValue) document() document.Value {
	return document.Object(
		document.Member{Name: "label", Value: document.OptionalText(&v.s.Label)},
		document.Member{Name: "operator", Value: document.Enum(&v.s.Operator)},
		document.Member{Name: "operand", Value: document.Any(&v.s.Operand)},
	)
}

func (v selectorValue) ReadFrom(r *document.Reader) error {
	*v.s = Selector{}
	if null, err := r.Null(); null {
		v.s.null = true
		return err
	}
	err := v.document().ReadFrom(r)
	v.s.order()
	return err
}

func (v selectorValue) WriteTo(w *document.Writer) {
	if v.s.null {
		w.Null()
		return
	}
	v.document().WriteTo(w)
}

func (v selectorValue) Presence() document.Presence {
	if v.s.null {
		return document.Null
	}
	return document.Filled
}
