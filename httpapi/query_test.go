package httpapi

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQueriesAreReadAsTheOriginalReadsThem(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      Query
	}{
		{"nothing", "", nil},
		{"a name without value is an empty value", "q", Query{{"q", ""}}},
		{"the first of several counts, and all are kept", "q=a&q=b", Query{{"q", "a"}, {"q", "b"}}},
		{"semicolons are ordinary", "token=a;b=c", Query{{"token", "a;b=c"}}},
		{"only the first equals sign divides", "selector=x!=y", Query{{"selector", "x!=y"}}},
		{"plus and percent are decoded", "a+b=c%20d%2B%26", Query{{"a b", "c d+&"}}},
		{"malformed sequences stand for themselves", "q=%zz%4&p=100%", Query{{"q", "%zz%4"}, {"p", "100%"}}},
		{"UTF-8, raw and escaped", "q=ü%C3%BC", Query{{"q", "üü"}}},
		{"bytes that are no UTF-8 are replaced", "q=%FFa", Query{{"q", "\uFFFDa"}}},
	} {
		if diff := cmp.Diff(c.want, ParseQuery(c.raw)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestQueriesAreWrittenSoThatTheyAreReadBack(t *testing.T) {
	q := Query{{"token", "a+b c&d=e;f%"}, {"user", "ü"}, {"user", ""}}
	if diff := cmp.Diff(q, ParseQuery(q.Encode())); diff != "" {
		t.Errorf("%s\nin %s", diff, q.Encode())
	}
	if got, want := q.Redacted(), "token=...&user=%C3%BC&user="; got != want {
		t.Errorf("redacted: %s, want %s", got, want)
	}
}

func FuzzQueryIsReadBack(f *testing.F) {
	f.Add("a=b&c=%20+;%zz")
	f.Fuzz(func(t *testing.T, raw string) {
		q := ParseQuery(raw)
		again := ParseQuery(q.Encode())
		if len(q) == 0 {
			q, again = nil, nil
		}
		if diff := cmp.Diff(q, again); diff != "" {
			t.Errorf("%q: %s", raw, diff)
		}
	})
}
