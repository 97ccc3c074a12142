package document_test

import (
	"bytes"
	"cmp"
	"slices"
	"testing"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/helios-go/helios/store/document"
)

func TestAscendingIsTheOrderOfUTF16(t *testing.T) {
	text := rapid.StringOf(rapid.SampledFrom([]rune("aAz\x00é中\uffff\ue000\ud7ff😀😁𝄞\U0010ffff")))
	rapid.Check(t, func(t *rapid.T) {
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		want := slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
		if got := cmp.Compare(document.Ascending(a, b), 0); got != want {
			t.Fatalf("%q and %q: got %d, want %d", a, b, got, want)
		}
	})
}

func TestAscendingIsTotalOnAnyBytes(t *testing.T) {
	raw := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "bytes")) })
	rapid.Check(t, func(t *rapid.T) {
		a, b := raw.Draw(t, "a"), raw.Draw(t, "b")
		if ab, ba := document.Ascending(a, b), document.Ascending(b, a); cmp.Compare(ab, 0) != -cmp.Compare(ba, 0) || (ab == 0) != (a == b) {
			t.Fatalf("%q and %q: %d and %d", a, b, ab, ba)
		}
	})
}

func TestAnyStringSurvivesWritingAndReading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		for _, written := range [][]byte{document.Canonical(document.Text(&text)), []byte(document.Compact(document.Text(&text)))} {
			var got string
			if err := document.Read(written, document.Text(&got)); err != nil || got != text {
				t.Fatalf("%q was written as %s and read as %q, %v", text, written, got, err)
			}
		}
	})
}

func TestSetOrderKeepsTheElementsAndIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOf(rapid.StringN(0, 4, -1)).Draw(t, "items")
		ordered := document.SetOrder(items)
		if again := document.SetOrder(ordered); !slices.Equal(ordered, again) {
			t.Fatalf("%q became %q", ordered, again)
		}
		for _, item := range items {
			if !slices.Contains(ordered, item) {
				t.Fatalf("%q is lost", item)
			}
		}
	})
}

func FuzzAnyDocument(f *testing.F) {
	for _, seed := range []string{filled, `[1,1.50,-0,1e999,"\ud83d\ude00",{"a":[{}]}] x`, "\ufeff{}\x00", `{"a":1,"a":2}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var value any
		if document.Read(data, document.Any(&value)) != nil {
			return
		}
		written := document.Canonical(document.Any(&value))
		if !utf8.Valid(written) {
			t.Fatalf("written is no UTF-8: %q", written)
		}
		forms := [][]byte{written, []byte(document.Compact(document.Any(&value))), []byte(document.Pretty(document.Any(&value)))}
		for _, form := range forms {
			var again any
			if err := document.Read(form, document.Any(&again)); err != nil {
				t.Fatalf("%s cannot be read: %v", form, err)
			}
			if rewritten := document.Canonical(document.Any(&again)); !bytes.Equal(written, rewritten) {
				t.Fatalf("%s became %s", written, rewritten)
			}
		}
	})
}

func FuzzTypedDocument(f *testing.F) {
	f.Add([]byte(filled))
	for _, c := range coercions {
		f.Add([]byte(`{"` + c.member + `":` + c.text + `}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range []func([]byte, document.Value) error{document.Read, document.ReadHTTP} {
			var s, again sample
			if read(data, s.JSON()) != nil {
				continue
			}
			written := document.Canonical(s.JSON())
			if err := read(written, again.JSON()); err != nil {
				t.Fatalf("%s cannot be read: %v", written, err)
			}
			if rewritten := document.Canonical(again.JSON()); !bytes.Equal(written, rewritten) {
				t.Fatalf("%s became %s", written, rewritten)
			}
		}
	})
}

func FuzzDate(f *testing.F) {
	for _, seed := range []string{"2014-06-01T12:00:00.1+02:00", "2014-06-01", "-1", "Sun, 01 Jun 2014 12:00:00 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		date, err := document.ParseDate(text)
		if err != nil {
			return
		}
		p := &date
		written := document.Canonical(document.OptionalDate(&p))
		var again *time.Time
		if err := document.Read(written, document.OptionalDate(&again)); err != nil || !again.Equal(date) {
			t.Fatalf("%q is %v, was written as %s and read as %v, %v", text, date, written, again, err)
		}
	})
}
