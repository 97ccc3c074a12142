package document

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Ascending compares by UTF-16 code units, as Java compares strings (§1.1). For
// text without characters above U+FFFF that is the order of the bytes.
func Ascending(a, b string) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] == b[i] {
			continue
		}
		// The same characters stand before i, so at i or shortly before it
		// both texts begin the character that differs.
		for i > 0 && (!utf8.RuneStart(a[i]) || !utf8.RuneStart(b[i])) {
			i--
		}
		ca, _ := utf8.DecodeRuneInString(a[i:])
		cb, _ := utf8.DecodeRuneInString(b[i:])
		if ua, ub := firstUnit(ca), firstUnit(cb); ua != ub {
			return int(ua) - int(ub)
		}
		if ca != cb {
			return int(ca) - int(cb)
		}
		return strings.Compare(a, b) // no UTF-8
	}
	return len(a) - len(b)
}

func firstUnit(char rune) rune {
	if char > 0xFFFF {
		char, _ = utf16.EncodeRune(char)
	}
	return char
}

// SetOrder is the order in which a Java hash set that was filled with items
// gives them back, duplicates removed (§11.4).
func SetOrder(items []string) []string {
	items = unique(slices.Clone(items))
	capacity := 16
	for len(items) > capacity*3/4 {
		capacity *= 2
	}
	bucket := func(s string) int {
		h := hash32(s)
		return int((h ^ h>>16) & uint32(capacity-1))
	}
	slices.SortStableFunc(items, func(a, b string) int { return bucket(a) - bucket(b) })
	return items
}

// hash32 is Java's String.hashCode; that of null is 0.
func hash32(s string) (h uint32) {
	if s == NullText {
		return 0
	}
	for _, char := range s {
		if char > 0xFFFF {
			high, low := utf16.EncodeRune(char)
			h = 31*h + uint32(high)
			char = low
		}
		h = 31*h + uint32(char)
	}
	return h
}

// unique removes later duplicates from items, in place; no items are nil.
func unique(items []string) []string {
	if len(items) == 0 {
		return nil
	}
	out := items[:0]
	const few = 40 // Linux has as many capabilities
	if len(items) <= few {
		for _, item := range items {
			if !slices.Contains(out, item) {
				out = append(out, item)
			}
		}
		return out
	}
	seen := make(map[string]bool, len(items))
	for _, item := range items {
		if !seen[item] {
			seen[item] = true
			out = append(out, item)
		}
	}
	return out
}
