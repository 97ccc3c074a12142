package httpapi

import (
	"net/url"
	"strings"
)

// Query is a query string: named values in order, names repeated at will (http §1.2). It is not url.Values because
// that one drops parameters with a raw ";", which Java clients send, and refuses malformed percent sequences.
type Query []Param

// Param is one name and its value, decoded.
type Param struct{ Name, Value string }

// ParseQuery splits a raw query at "&" only and decodes "+" and percent sequences; a malformed sequence stands for
// itself. It accepts every text.
func ParseQuery(raw string) Query {
	var q Query
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		q = append(q, Param{unescape(name), unescape(value)})
	}
	return q
}

// Lookup is the first value of a parameter, and whether there is one.
func (q Query) Lookup(name string) (value string, ok bool) {
	for _, p := range q {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// First is the first value of a parameter, "" without one.
func (q Query) First(name string) string {
	value, _ := q.Lookup(name)
	return value
}

// All are the values of a parameter in order.
func (q Query) All(name string) []string {
	var values []string
	for _, p := range q {
		if p.Name == name {
			values = append(values, p.Value)
		}
	}
	return values
}

// Encode writes the query in order, each name and value escaped once.
func (q Query) Encode() string {
	var b strings.Builder
	for i, p := range q {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.Name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p.Value))
	}
	return b.String()
}

// Redacted is Encode for messages and logs: values of tokens are left out.
func (q Query) Redacted() string {
	shown := make(Query, len(q))
	for i, p := range q {
		if p.Name == ParamToken && p.Value != "" {
			p.Value = "..."
		}
		shown[i] = p
	}
	return shown.Encode()
}

func unescape(text string) string {
	if !strings.ContainsAny(text, "+%") {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	b := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '+':
			b = append(b, ' ')
		case c == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]):
			b = append(b, hexValue(text[i+1])<<4|hexValue(text[i+2]))
			i += 2
		default:
			b = append(b, c)
		}
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}
