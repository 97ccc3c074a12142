package host

import (
	"cmp"
	"slices"
	"strings"
)

// Compare orders host names in the natural order of a deployment group's hosts (zookeeper §14.1): runs of digits by
// their number, everything else as Java's English collator has it. It answers -1, 0 or +1; names whose leading zeros
// merely change places, such as a01b1 and a1b01, are equal.
//
// The order is part of the stored form of a group's host list, so it is followed exactly. It is not transitive for
// some names with leading zeros; [Sort] takes that into account.
func Compare(a, b string) int {
	s, t := a, b
	for s != "" && t != "" {
		var x, y run
		x, s = nextRun(s)
		y, t = nextRun(t)
		if c := compareRuns(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b)) // leading zeros counted: host1 < host01
}

// Sort puts host names in natural order. It is stable.
func Sort(names []string) {
	slices.SortStableFunc(names, Compare)
}

// run is a maximal run of digits or of anything else. Digits are without their leading zeros.
type run struct {
	text   string
	digits bool
}

func nextRun(s string) (run, string) {
	digits := isDigit(s[0])
	end := 1
	for end < len(s) && isDigit(s[end]) == digits {
		end++
	}
	text := s[:end]
	if digits {
		for len(text) > 1 && text[0] == '0' {
			text = text[1:]
		}
	}
	return run{text, digits}, s[end:]
}

func compareRuns(x, y run) int {
	if x.digits && y.digits {
		return cmp.Or(cmp.Compare(len(x.text), len(y.text)), strings.Compare(x.text, y.text))
	}
	return collate(x.text, y.text)
}

// collate compares as Java's collator does at its tertiary strength: the first difference of primary weight decides;
// without one the first of secondary weight (white space and hyphens), and without that the first of case.
func collate(s, t string) int {
	result := 0
	secondary, tertiary := false, false
	mark := func(sign int) {
		if !secondary {
			result, secondary = sign, true
		}
	}
	i, j := 0, 0
	for i < len(s) && j < len(t) {
		x, y := s[i], t[j]
		if x == y {
			i++
			j++
			continue
		}
		p, q := primary(x), primary(y)
		switch {
		case p == 0 && q != 0:
			mark(+1)
			i++
		case q == 0 && p != 0:
			mark(-1)
			j++
		case p != q:
			return cmp.Compare(p, q)
		default: // a blank against a hyphen, or one letter in its two cases
			if p == 0 {
				mark(cmp.Compare(x, y)) // the blank is smaller
			} else if !secondary && !tertiary {
				result, tertiary = cmp.Compare(y, x), true // the lower case is smaller
			}
			i++
			j++
		}
	}
	for ; i < len(s); i++ {
		if primary(s[i]) != 0 {
			return +1
		}
		mark(+1)
	}
	for ; j < len(t); j++ {
		if primary(t[j]) != 0 {
			return -1
		}
		mark(-1)
	}
	return result
}

// collationOrder holds the characters below the letters, in ascending order of primary weight.
const collationOrder = "_,;:!?/.`^~'\"()[]{}@$*\\&#%+<=>|0123456789abcdefghijklmnopqrstuvwxyz"

// primary is the primary weight of a byte of a name, 0 for none. What is not printable ASCII comes after the letters,
// in the order of its UTF-8 bytes, which is that of its code points.
func primary(c byte) int {
	if c == ' ' || c == '-' {
		return 0
	}
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	if at := strings.IndexByte(collationOrder, c); at >= 0 {
		return 1 + at
	}
	return 1 + len(collationOrder) + int(c)
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9'
}
