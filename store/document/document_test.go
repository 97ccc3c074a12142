package document_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/document"
)

// direction is an enum of the tests.
type direction string

func (direction) Words() []string { return []string{"UP", "DOWN", "LEFT_OVER"} }

// sample has a member of each kind.
type sample struct {
	name     string
	owner    *string
	protocol string
	count    int32
	size     *int64
	load     float64
	on       *bool
	until    *time.Time
	way      direction
	turn     direction
	items    []string
	extra    []string
	set      []string
	env      map[string]string
	inner    *inner
	last     *string
}

type inner struct{ text string }

func (i *inner) JSON() document.Value {
	return document.Object(document.Member{Name: "text", Value: document.Text(&i.text), Required: true})
}

func (s *sample) JSON() document.Value {
	return document.Object(
		document.Member{Name: "name", Value: document.Text(&s.name)},
		document.Member{Name: "owner", Value: document.OptionalText(&s.owner), OmitNull: true},
		document.Member{Name: "protocol", Value: document.TextOr(&s.protocol, "tcp")},
		document.Member{Name: "count", Value: document.Int(&s.count)},
		document.Member{Name: "size", Value: document.OptionalLong(&s.size)},
		document.Member{Name: "load", Value: document.Double(&s.load)},
		document.Member{Name: "on", Value: document.OptionalBool(&s.on)},
		document.Member{Name: "until", Value: document.OptionalDate(&s.until)},
		document.Member{Name: "way", Value: document.Enum(&s.way)},
		document.Member{Name: "turn", Value: document.EnumOr(&s.turn, "DOWN", true)},
		document.Member{Name: "items", Value: document.Texts(&s.items)},
		document.Member{Name: "extra", Value: document.NullableTexts(&s.extra)},
		document.Member{Name: "set", Value: document.TextSet(&s.set)},
		document.Member{Name: "env", Value: document.TextMap(&s.env)},
		document.Member{Name: "inner", Value: document.Optional(&s.inner, (*inner).JSON)},
		document.Member{Name: "last", Alias: "final", Value: document.OptionalText(&s.last), Last: true},
	)
}

func TestAnEmptyObjectGetsAllDefaults(t *testing.T) {
	s := sample{name: "left from before", items: []string{"x"}, size: new(int64(1))}
	if err := document.Read([]byte(`{}`), s.JSON()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample{protocol: "tcp", turn: "DOWN"}, s, cmp.AllowUnexported(sample{}, inner{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const want = `{"count":0,"env":{},"extra":null,"inner":null,"items":[],"load":0.0,"name":"","on":null,"protocol":"tcp","set":[],"size":null,"turn":"DOWN","until":null,"way":null,"last":null}`
	if got := string(document.Canonical(s.JSON())); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// filled is a text with all members, in canonical form.
const filled = `{"count":7,"env":{"10":"x","9":"y","B":null},"extra":[],"inner":{"text":"t"},"items":["b","",null],"load":1.0E-4,"name":"n","on":false,"owner":"o","protocol":"","set":["A","Z"],"size":-5,"turn":"UP","until":"2014-06-01T12:00:00.000+0000","way":"LEFT_OVER","last":"z"}`

func TestWhatIsWrittenReadsAsTheSame(t *testing.T) {
	var s sample
	if err := document.Read([]byte(filled), s.JSON()); err != nil {
		t.Fatal(err)
	}
	if got := string(document.Canonical(s.JSON())); got != filled {
		t.Errorf("got  %s\nwant %s", got, filled)
	}
}

func TestEachWriterHasItsForm(t *testing.T) {
	var s sample
	if err := document.Read([]byte(filled), s.JSON()); err != nil {
		t.Fatal(err)
	}
	if got, want := string(document.HTTP(s.JSON())), `{"name":"n","owner":"o","protocol":"","count":7,"size":-5,"load":1.0E-4,"on":false,"until":1401624000000,"way":"LEFT_OVER","turn":"UP","items":["b","",null],"extra":[],"set":["A","Z"],"env":{"10":"x","9":"y","B":null},"inner":{"text":"t"},"last":"z"}`; got != want {
		t.Errorf("answer:\ngot  %s\nwant %s", got, want)
	}
	if got, want := string(document.Normalised(s.JSON())), `{"count":7,"env":{"10":"x","9":"y","B":null},"inner":{"text":"t"},"items":["b","",null],"last":"z","load":1.0E-4,"name":"n","on":false,"owner":"o","set":["A","Z"],"size":-5,"turn":"UP","until":"2014-06-01T12:00:00.000+0000","way":"LEFT_OVER"}`; got != want {
		t.Errorf("normalised:\ngot  %s\nwant %s", got, want)
	}
}

func TestPrettyFormIndentsObjectsAndKeepsArraysOnOneLine(t *testing.T) {
	const text = `{"a":[],"b":{},"c":[1,2],"d":[{"x":1}],"e":null}`
	const want = `{
  "a" : [ ],
  "b" : { },
  "c" : [ 1, 2 ],
  "d" : [ {
    "x" : 1
  } ],
  "e" : null
}`
	if got := document.Pretty(anyOf(t, text)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := document.Pretty(anyOf(t, `{"foo":"bar"}`)); got != "{\n  \"foo\" : \"bar\"\n}" {
		t.Errorf("got:\n%s", got)
	}
}

func TestTheNormalisedTextOfTheOriginalsTest(t *testing.T) {
	var a, empty *string
	none := []string(nil)
	b := int32(17)
	hello := "hello"
	c := map[string]any{"2": "two", "1": document.Number("1")}
	var boxed any = c
	nothing := map[string]string{}
	foo := document.Object(
		document.Member{Name: "b", Value: document.Int(&b)},
		document.Member{Name: "a", Value: document.Text(&hello)},
		document.Member{Name: "c", Value: document.Any(&boxed)},
		document.Member{Name: "d", Value: document.OptionalText(&a)},
		document.Member{Name: "e", Value: document.Text(new(string))},
		document.Member{Name: "f", Value: document.Texts(&none)},
		document.Member{Name: "g", Value: document.TextMap(&nothing)},
	)
	bar := "bar"
	all := document.Object(
		document.Member{Name: "foo", Value: foo},
		document.Member{Name: "c", Value: document.Text(&bar)},
		document.Member{Name: "n", Value: document.OptionalText(&empty)},
	)
	if got, want := string(document.Normalised(all)), `{"c":"bar","foo":{"a":"hello","b":17,"c":{"1":1,"2":"two"}}}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStringsAreEscapedAsInSection12(t *testing.T) {
	for _, test := range []struct{ name, text, bytes, compact string }{
		{"quotes, backslash and short escapes", "\"\\\b\t\n\f\r", `"\"\\\b\t\n\f\r"`, ""},
		{"other controls in upper-case hex", "\x00\x01\x1f\x0b", "\"\\u0000\\u0001\\u001F\\u000B\"", ""},
		{"what others escape stands for itself", "/<>&'\x7f\u2028\u2029é中\uffff", "\"/<>&'\x7f\u2028\u2029é中\uffff\"", ""},
		{"above U+FFFF a pair in bytes, itself in text", "a😀b", "\"a\\uD83D\\uDE00b\"", `"a😀b"`},
		{"no UTF-8", "a\xffb", "\"a\uFFFDb\"", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.compact == "" {
				test.compact = test.bytes
			}
			if got := string(document.Canonical(document.Text(&test.text))); got != test.bytes {
				t.Errorf("bytes: got %s, want %s", got, test.bytes)
			}
			if got := document.Compact(document.Text(&test.text)); got != test.compact {
				t.Errorf("text: got %s, want %s", got, test.compact)
			}
		})
	}
}

// coercions are the rules of §1.4: what a member reads as, written again; "" is an error.
var coercions = []struct{ name, member, text, plain, http string }{
	{"text of a number", "name", `1.50`, `"1.50"`, `"1.50"`},
	{"text of a boolean", "name", `true`, `"true"`, `"true"`},
	{"text null", "name", `null`, `""`, `""`},
	{"text of an object", "name", `{}`, "", ""},
	{"text of an array", "name", `["a"]`, "", ""},
	{"optional text of a number", "owner", `-0`, `"-0"`, `"-0"`},
	{"default of null", "protocol", `null`, `"tcp"`, `"tcp"`},
	{"no default for the empty text", "protocol", `""`, `""`, `""`},
	{"int of a string", "count", `" 3 "`, `3`, `3`},
	{"int of a string with a sign", "count", `"+3"`, `3`, `3`},
	{"int of the empty string", "count", `""`, `0`, `0`},
	{"int of the string null", "count", `"null"`, `0`, `0`},
	{"int null", "count", `null`, `0`, `0`},
	{"int of a string with a fraction", "count", `"3.0"`, "", ""},
	{"int of a fraction", "count", `-10.7`, `-10`, `-10`},
	{"int of an exponent", "count", `1e3`, `1000`, `1000`},
	{"int at its limit", "count", `2147483647`, `2147483647`, `2147483647`},
	{"int above its limit", "count", `2147483648`, "", ""},
	{"int above its limit with a fraction", "count", `2147483647.5`, "", ""},
	{"int out of all limits", "count", `1e999`, "", ""},
	{"int of a boolean", "count", `true`, "", ""},
	{"int of an array", "count", `[1]`, "", ""},
	{"long of the empty string", "size", `""`, `null`, `null`},
	{"long of the string null", "size", `"null"`, `null`, `null`},
	{"long at its limit", "size", `9223372036854775807`, `9223372036854775807`, `9223372036854775807`},
	{"long above its limit", "size", `9223372036854775808`, "", ""},
	{"long of a fraction at its limit", "size", `9223372036854775808.0`, `9223372036854775807`, `9223372036854775807`},
	{"long of a fraction above its limit", "size", `1e19`, "", ""},
	{"long at its lower limit", "size", `-9223372036854775808`, `-9223372036854775808`, `-9223372036854775808`},
	{"double of an int", "load", `12`, `12.0`, `12.0`},
	{"double of a string", "load", `"1e3"`, `1000.0`, `1000.0`},
	{"double that is no number", "load", `"NaN"`, `"NaN"`, `"NaN"`},
	{"double of a word", "load", `"abc"`, "", ""},
	{"double in hexadecimal", "load", `"0x1p3"`, "", ""},
	{"double of a boolean", "load", `true`, "", ""},
	{"bool of a string", "on", `" True "`, `true`, `true`},
	{"bool of another string", "on", `"False"`, `false`, `false`},
	{"bool in capitals", "on", `"TRUE"`, "", ""},
	{"bool of yes", "on", `"yes"`, "", ""},
	{"bool of zero", "on", `0`, `false`, `false`},
	{"bool of another integer", "on", `-1`, `true`, `true`},
	{"bool of a fraction", "on", `1.0`, "", ""},
	{"bool of the empty string", "on", `""`, `null`, `null`},
	{"enum", "way", `"UP"`, `"UP"`, `"UP"`},
	{"enum in small letters", "way", `"left-over"`, "", `"LEFT_OVER"`},
	{"enum with white space", "way", `" d o\twn "`, "", `"DOWN"`},
	{"enum ordinal", "way", `1`, `"DOWN"`, ""},
	{"enum ordinal as a string", "way", `"2"`, `"LEFT_OVER"`, ""},
	{"enum ordinal out of range", "way", `3`, "", ""},
	{"enum of a fraction", "way", `1.0`, "", ""},
	{"enum of a boolean", "way", `true`, "", ""},
	{"enum of an object", "way", `{}`, "", ""},
	{"empty enum", "way", `""`, "", ""},
	{"lenient enum", "turn", `"SIDEWAYS"`, `"DOWN"`, `"DOWN"`},
	{"lenient enum of an object", "turn", `{}`, "", ""},
	{"list of a scalar", "items", `"a"`, "", ""},
	{"list of an object", "items", `{}`, "", ""},
	{"list with scalars", "items", `[1,true,"x",null]`, `["1","true","x",null]`, `["1","true","x",null]`},
	{"list in a list", "items", `[["a"]]`, "", ""},
	{"set", "set", `["Z","A","Z",null]`, `[null,"A","Z"]`, `[null,"A","Z"]`},
	{"map of scalars", "env", `{"b":1,"a":false,"":null}`, `{"":null,"a":"false","b":"1"}`, `{"":null,"a":"false","b":"1"}`},
	{"map of the empty string", "env", `""`, "", ""},
	{"object of an array", "inner", `["x"]`, "", ""},
	{"object of a string", "inner", `""`, "", ""},
	{"object without a required member", "inner", `{}`, "", ""},
	{"object with null for a required member", "inner", `{"text":null}`, "", ""},
	{"object with unknown members", "inner", `{"x":[{"y":[1]}],"text":"a"}`, `{"text":"a"}`, `{"text":"a"}`},
	{"duplicate members", "inner", `{"text":"a","text":"b"}`, `{"text":"b"}`, `{"text":"b"}`},
	{"a required member that becomes null", "inner", `{"text":"a","text":null}`, "", ""},
}

func TestReadersCoerceAsInSection14(t *testing.T) {
	for _, test := range coercions {
		t.Run(test.name, func(t *testing.T) {
			document1 := []byte(`{"` + test.member + `":` + test.text + `}`)
			for reader, want := range map[string]string{"plain": test.plain, "http": test.http} {
				read := document.Read
				if reader == "http" {
					read = document.ReadHTTP
				}
				var s sample
				err := read(document1, s.JSON())
				if want == "" {
					if err == nil {
						t.Errorf("%s: read as %s, want an error", reader, document.Canonical(s.JSON()))
					}
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", reader, err)
					continue
				}
				var members map[string]json.RawMessage
				if err := json.Unmarshal(document.Canonical(s.JSON()), &members); err != nil {
					t.Fatal(err)
				}
				if got := string(members[test.member]); got != want {
					t.Errorf("%s: got %s, want %s", reader, got, want)
				}
			}
		})
	}
}

func TestAnAliasYieldsToTheName(t *testing.T) {
	for text, want := range map[string]string{
		`{"final":"a"}`:              `"a"`,
		`{"final":"a","last":"b"}`:   `"b"`,
		`{"last":"b","final":"a"}`:   `"b"`,
		`{"last":null,"final":"a"}`:  `null`,
		`{"final":"a","last":null}`:  `null`,
		`{"final":"a","final":null}`: `null`,
	} {
		var s sample
		if err := document.Read([]byte(text), s.JSON()); err != nil {
			t.Fatal(err)
		}
		if got := string(document.Canonical(document.OptionalText(&s.last))); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestErrorsSayWhereAndWhatButNotTheContent(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"an unknown word", `{"way":"sideways"}`, "way: sideways was not one of [UP, DOWN, LEFT_OVER]"},
		{"a required member", `{"inner":{}}`, "inner: text is missing"},
		{"null in a list of objects", `{"env":[]}`, "env: expected an object, found an array"},
		{"a number out of range", `{"count":99999999999}`, "count: the integer does not fit into 32 bits"},
		{"a secret string for a number", `{"count":"s3cret"}`, "count: the string is no integer of 32 bits"},
		{"a secret string for a date", `{"until":"s3cret"}`, "until: the text is no date"},
		{"an element", `{"items":["a",{}]}`, "items: element 1: expected a string, a number or a boolean, found an object"},
		{"broken text", `{"name":"s3cret`, "name: invalid JSON: unexpected end of the text at line 1, column 16"},
		{"an open object", "{", "invalid JSON: unexpected end of the text at line 1, column 2"},
		{"an end in a later line", "{\n  \"items\": [\"é\",\n  \"ö\"", "items: invalid JSON: unexpected end of the text at line 3, column 6"},
		{"an end where a value is missing", "{\"name\":\n", "name: invalid JSON: unexpected end of the text at line 2, column 1"},
		{"a long name", `{"env":{"` + strings.Repeat("é", 100) + `":[]}}`, "env: " + strings.Repeat("é", 40) + "…: expected a string, a number or a boolean, found an array"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s sample
			err := document.Read([]byte(test.text), s.JSON())
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	var s sample
	err := document.Read([]byte(`{"inner":{}}`), s.JSON())
	if missing, ok := errors.AsType[*document.MissingError](err); !ok || missing.Member != "text" {
		t.Errorf("a missing member is %v", err)
	}
}

func TestTheDocumentItselfCannotBeNull(t *testing.T) {
	var s sample
	if err := document.Read([]byte(" null "), s.JSON()); !errors.Is(err, document.ErrNull) {
		t.Errorf("null: got %v", err)
	}
	if err := document.ReadHTTP([]byte("  "), s.JSON()); !errors.Is(err, document.ErrNull) {
		t.Errorf("an empty body: got %v", err)
	}
	if err := document.Read(nil, s.JSON()); err == nil || errors.Is(err, document.ErrNull) {
		t.Errorf("an empty text for the plain reader: got %v", err)
	}
	var list []inner
	if err := document.Read([]byte("[null]"), document.List(&list, (*inner).JSON)); err == nil || errors.Is(err, document.ErrNull) {
		t.Errorf("null as an element: got %v", err)
	}
}

func TestSyntaxIsStrictUpToTheEndOfTheValue(t *testing.T) {
	for _, text := range []string{
		`{} trailing`, "{}\x00\x00", `{}{`, `{},`, "\ufeff{}", ` [ 1 , 2 ] x`, `"a"b`, `-0.5e+10 `, `1E2`, "5\n]", `"\u00e9\ud83d\ude00\/"`, `true`, "null]",
	} {
		if err := document.Read([]byte(text), document.Any(new(any))); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		``, ` `, `{`, `[`, `[1`, `[1,]`, `{"a":1,}`, `{,}`, `[,1]`, `{"a"}`, `{"a" 1}`, `{a:1}`, `{'a':1}`, `{"a":1 "b":2}`, `[1 2]`, `{"a":}`,
		`01`, `-`, `-a`, `+1`, `.5`, `5.`, `5.e1`, `1e`, `1e+`, `0x10`, `5x`, `5,`, `NaN`, `Infinity`, `tru`, `truex`, `nul`, `nullé`, `/**/1`, `//c`,
		`"a`, `"\x"`, `"\u12g4"`, `"\u12`, `"\`, "\"a\nb\"", "\"\x00\"", "\"\\\n\"", `"\ud83d"`, `"\ude00"`, `"\ud83d\u0041"`, `"\ud83d\ud83d"`,
		"\"\xff\"", "\"\\n\xc3\"", "\"\xed\xa0\x80\"", "{\"\xff\":1}",
	} {
		var got any
		if err := document.Read([]byte(text), document.Any(&got)); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestNestingAndSizeAreBounded(t *testing.T) {
	nested := func(depth int) []byte {
		return []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
	}
	if err := document.Read(nested(document.MaxDepth), document.Any(new(any))); err != nil {
		t.Errorf("the deepest document: %v", err)
	}
	if err := document.Read(nested(document.MaxDepth+1), document.Any(new(any))); err == nil {
		t.Error("a document that is too deep was read")
	}
	var s sample
	if err := document.Read([]byte(`{"x":`+strings.Repeat(`{"x":[`, 100_000)), s.JSON()); err == nil {
		t.Error("an unknown member that is too deep was skipped")
	}
	if err := document.Read(make([]byte, document.MaxSize+1), s.JSON()); err == nil {
		t.Error("a document that is too large was read")
	}
}

func TestDoublesAreWrittenAsJavaDoes(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1: "-1.0", 0.28: "0.28", 0.001: "0.001", 0.0001: "1.0E-4", 0.00012: "1.2E-4",
		9999999: "9999999.0", 1e7: "1.0E7", 12345678.5: "1.23456785E7", 9223372036854775808: "9.223372036854776E18",
		math.Inf(1): `"Infinity"`, math.Inf(-1): `"-Infinity"`, math.Copysign(0, -1): "-0.0",
	} {
		if got := string(document.Canonical(document.Double(&f))); got != want && !(f == 0 && strings.HasSuffix(got, "0.0")) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := string(document.Canonical(document.Double(new(math.NaN())))); got != `"NaN"` {
		t.Errorf("not a number: got %s", got)
	}
}

func TestHashSetOrderIsJavas(t *testing.T) {
	f, err := os.Open("../../testdata/vectors/hash-set-order.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	passed := 0
	for lines := bufio.NewScanner(f); lines.Scan(); passed++ {
		var record struct{ In, Out []string }
		if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(record.Out, append([]string{}, document.SetOrder(record.In)...)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", lines.Text(), diff)
		}
	}
	t.Logf("hash-set-order.jsonl: %d passed", passed)
}

// anyOf reads a value of any shape.
func anyOf(t *testing.T, text string) document.Value {
	t.Helper()
	value := new(any)
	if err := document.Read([]byte(text), document.Any(value)); err != nil {
		t.Fatal(err)
	}
	return document.Any(value)
}
