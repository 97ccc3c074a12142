package host

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/document"
)

// selectorRecord is a line of selectors.jsonl. The operand is a string or a list of strings.
type selectorRecord struct {
	Text     string
	Selector *struct {
		Label   string
		Op      Operator `json:"operator"`
		Operand any
	}
	Values  []string
	Matches []bool
	Quirks  []string
}

// fixed makes of a record that shows quirk 18 what we do instead: no selector without white space before in or notin,
// and no tabs in lists, so that an item of tabs alone is empty.
func (r *selectorRecord) fixed() (refused bool) {
	operator := strings.TrimPrefix(r.Text, r.Selector.Label)
	if strings.TrimLeft(operator, " \t\n\v\f\r") == operator {
		r.Selector = nil
		return true
	}
	recorded := r.Selector.Operand.([]any)
	var items []any
	for _, item := range recorded {
		items = append(items, strings.ReplaceAll(item.(string), "\t", ""))
	}
	if strings.HasSuffix(r.Text, "\t)") && !slices.Contains(recorded, any("")) {
		items = slices.DeleteFunc(items, func(item any) bool { return item == "" }) // empty and last: dropped
	}
	slices.SortFunc(items, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	items = slices.Compact(items)
	r.Selector.Operand = items
	for i, value := range r.Values {
		r.Matches[i] = slices.Contains(items, any(value)) == (r.Selector.Op == In)
	}
	return false
}

func TestSelectorsAreReadAndMatchAsRecorded(t *testing.T) {
	t.Parallel()
	records := vectors[selectorRecord](t, "selectors.jsonl")
	refused, withoutTabs := 0, 0
	for _, r := range records {
		if slices.Contains(r.Quirks, "model-18") {
			if r.fixed() {
				refused++
			} else {
				withoutTabs++
			}
		}
		s, err := ParseSelector(r.Text)
		if (err == nil) != (r.Selector != nil) {
			t.Errorf("ParseSelector(%q): %v, %v", r.Text, s, err)
		}
		if err != nil || r.Selector == nil {
			continue
		}
		if *s.Label != r.Selector.Label || s.Operator != r.Selector.Op {
			t.Errorf("%q: %s %s, want %s %s", r.Text, *s.Label, s.Operator, r.Selector.Label, r.Selector.Op)
		}
		if diff := cmp.Diff(r.Selector.Operand, s.Operand); diff != "" {
			t.Errorf("%q: operand (-want +got):\n%s", r.Text, diff)
		}
		for i, value := range r.Values {
			if got := s.Matches(map[string]string{"other": "x", *s.Label: value}); got != r.Matches[i] {
				t.Errorf("%q matches %q: %v", r.Text, value, got)
			}
		}
	}
	t.Logf("%d records; by quirk 18: %d refused, %d with lists without tabs", len(records), refused, withoutTabs)
}

func TestHostsAreSelectedAsRecorded(t *testing.T) {
	t.Parallel()
	type record struct {
		Selectors []string
		Hosts     map[string]map[string]string
		Selected  []string
	}
	records := vectors[record](t, "matching.jsonl")
	for _, r := range records {
		if got := Select(selectors(t, r.Selectors...), r.Hosts); !slices.Equal(got, r.Selected) {
			t.Errorf("%q select %q, want %q", r.Selectors, got, r.Selected)
		}
	}
	t.Logf("%d records", len(records))
}

func selectors(t *testing.T, texts ...string) []Selector {
	t.Helper()
	var selectors []Selector
	for _, text := range texts {
		s, err := ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		selectors = append(selectors, s)
	}
	return selectors
}

// The hosts and selectors of zookeeper §14.1.
func TestSelectFollowsTheSpecifiedExamples(t *testing.T) {
	t.Parallel()
	hosts := map[string]map[string]string{
		"foo-a1": {"role": "foo"},
		"foo-a2": {"role": "foo", "special": "yes"},
		"bar-a1": {"role": "bar", "pool": "a"},
		"bar-b1": {"role": "bar", "pool": "b"},
		"bar-c1": {"role": "bar", "pool": "c"},
	}
	for name, test := range map[string]struct{ selectors, want []string }{
		"one label":   {[]string{"role=foo"}, []string{"foo-a1", "foo-a2"}},
		"both labels": {[]string{"role=foo", "special=yes"}, []string{"foo-a2"}},
		"a host without the label is never chosen":   {[]string{"role=foo", "special!=yes"}, nil},
		"the order of selectors has no meaning":      {[]string{"pool=a", "role=bar"}, []string{"bar-a1"}},
		"one of two labels is not enough":            {[]string{"pool=c", "role=awesome"}, nil},
		"no selectors choose no host":                {nil, nil},
		"a list excludes, but not what lacks labels": {[]string{"pool notin (a, c)"}, []string{"bar-b1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Select(selectors(t, test.selectors...), hosts); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestASelectorThatMakesNoSenseMatchesNoHost(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"a": "b", "null": document.NullText}
	for _, text := range []string{
		`null`, `{}`, `{"label":"a"}`, `{"label":"a","operator":"EQUALS"}`, `{"label":"a","operator":"NOT_EQUALS"}`,
		`{"label":"a","operator":"IN"}`, `{"label":"a","operator":"IN","operand":"b"}`,
		`{"label":"a","operator":"IN","operand":{"b":"b"}}`, `{"label":"a","operator":"IN","operand":[["b"]]}`,
		`{"label":"a","operator":"NOT_IN","operand":"x"}`, `{"operator":"NOT_EQUALS","operand":"x"}`,
		`{"label":"null","operator":"NOT_EQUALS","operand":"x"}`,
	} {
		if s := read(t, text); s.Matches(labels) {
			t.Errorf("%s matches", text)
		}
	}
}

func TestOtherJSONInAnOperandIsKept(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`null`,
		`{"label":null,"operand":null,"operator":null}`,
		`{"label":"a","operand":5,"operator":"NOT_EQUALS"}`,
		`{"label":"a","operand":{"x":[1,null,1.5,true,"",{}]},"operator":"IN"}`,
		`{"label":"a","operand":["b",1,"a"],"operator":"IN"}`,
		`{"label":"a","operand":["b","a","b"],"operator":"EQUALS"}`,
		`{"label":"a","operand":12345678901234567890,"operator":"EQUALS"}`,
	} {
		s := read(t, text)
		if got := document.Compact(s.JSON()); got != text {
			t.Errorf("%s is written as %s", text, got)
		}
	}
}

func TestListsOfInAndNotInAreSets(t *testing.T) {
	t.Parallel()
	s := read(t, `{"label":"a","operator":"NOT_IN","operand":["y","x","y"]}`)
	if got, want := document.Compact(s.JSON()), `{"label":"a","operand":["x","y"],"operator":"NOT_IN"}`; got != want {
		t.Errorf("written as %s, want %s", got, want)
	}
	if same := selectors(t, "a notin (x, y)")[0]; !s.Equal(same) {
		t.Errorf("%s and %s are not equal", s, same)
	}
	for _, other := range selectors(t, "a in (x, y)", "b notin (x, y)", "a notin (x)") {
		if s.Equal(other) {
			t.Errorf("%s and %s are equal", s, other)
		}
	}
}

func TestDisplayForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"A!=B":            "A != B",
		"a=(x, y)":        "a = (x, y)",
		"a in (foo,bar)":  "a in [bar, foo]",
		"a notin (foo)":   "a notin [foo]",
		"a in ()":         "a in []",
		"a notin (,)":     "a notin []",
		"a in (,x)":       "a in [, x]",
		"x\t=\r\n  y.z-1": "x = y.z-1",
	} {
		if got := selectors(t, text)[0].String(); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got, want := read(t, `{"operand":[1,null,"x"]}`).String(), "null null [1, null, x]"; got != want {
		t.Errorf("shown as %q, want %q", got, want)
	}
}

func read(t testing.TB, text string) Selector {
	t.Helper()
	var s Selector
	if err := document.Read([]byte(text), s.JSON()); err != nil {
		t.Fatal(err)
	}
	return s
}

func FuzzSelector(f *testing.F) {
	for _, r := range vectors[selectorRecord](f, "selectors.jsonl") {
		f.Add(r.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			return
		}
		again := read(t, document.Compact(s.JSON()))
		if !again.Equal(s) || again.String() != s.String() {
			t.Errorf("%q is read as %s, and after writing as %s", text, s, again)
		}
		if _, ok := symbols[s.Operator]; !ok {
			t.Errorf("%q has operator %q", text, s.Operator)
		}
		if list, ok := s.Operand.([]any); !ok || len(list) > 0 {
			shown, err := ParseSelector(strings.NewReplacer("[", "(", "]", ")").Replace(s.String()))
			if err != nil || !shown.Equal(s) {
				t.Errorf("%q is shown as %s, which is read as %s, %v", text, s, shown, err)
			}
		}
		value := "b"
		if s.Matches(map[string]string{"not " + *s.Label: value}) {
			t.Errorf("%q matches a host without the label", text)
		}
		if s.Operator == NotEquals || s.Operator == NotIn {
			opposite := s
			opposite.Operator = map[Operator]Operator{NotEquals: Equals, NotIn: In}[s.Operator]
			labels := map[string]string{*s.Label: value}
			if s.Matches(labels) == opposite.Matches(labels) {
				t.Errorf("%s and %s agree on %q", s, opposite, value)
			}
		}
	})
}
