package cliui

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// parseExpiry reads a moment in ISO 8601 as the original's -e does: a date,
// of which month and day may be missing, then perhaps T, a time down to
// fractions, and an offset. What is missing is the least there is; a moment
// without offset is one in the given zone (testdata/spec/5-cli.md §8.1).
func parseExpiry(text string, zone *time.Location) (time.Time, error) {
	p := isoParser{text: text, zone: zone, month: 1, day: 1, year: 1970}
	if !p.letter('T') {
		p.year = p.number("year", 9, math.MinInt32, math.MaxInt32)
		if p.skip('-') {
			p.month = p.number("monthOfYear", 2, 1, 12)
			if p.skip('-') {
				p.day = p.number("dayOfMonth", 2, 1, 31)
			}
		}
		if p.err == nil && p.at < len(text) && !p.letter('T') {
			p.malformed()
		}
	}
	p.clock()
	p.offset()
	if p.err == nil && p.at < len(text) {
		p.malformed()
	}
	if p.err != nil {
		return time.Time{}, p.err
	}
	moment := time.Date(p.year, time.Month(p.month), p.day, 0, 0, 0, 0, p.zone)
	if moment.Day() != p.day {
		last := moment.AddDate(0, 0, -moment.Day()).Day()
		return time.Time{}, originalf("Cannot parse \"%s\": Value %d for dayOfMonth must be in the range [1,%d]", text, p.day, last)
	}
	hour, minute, second := p.parts[0], p.parts[1], p.parts[2]
	moment = time.Date(p.year, time.Month(p.month), p.day, hour, minute, second, 0, p.zone)
	return moment.Add(p.fraction).Truncate(time.Millisecond).UTC(), nil
}

// isoParser reads a text from left to right; after the first error nothing is
// read any more.
type isoParser struct {
	text string
	at   int
	err  error

	year, month, day int
	parts            [3]int // hour, minute, second
	fraction         time.Duration
	zone             *time.Location
}

// clock reads hours, minutes and seconds, as many as there are, the last of
// them with a fraction.
func (p *isoParser) clock() {
	fields := []struct {
		name    string
		highest int
		unit    time.Duration
	}{{"hourOfDay", 23, time.Hour}, {"minuteOfHour", 59, time.Minute}, {"secondOfMinute", 59, time.Second}}
	for i, field := range fields {
		if i == 0 && !p.digitNext() || i > 0 && !p.skip(':') {
			return
		}
		p.parts[i] = p.number(field.name, 2, 0, field.highest)
		if p.skip('.') || p.skip(',') {
			digits := p.digits(9)
			value, _ := strconv.ParseFloat("0."+digits, 64)
			p.fraction = time.Duration(math.Round(value * float64(field.unit)))
			if digits == "" {
				p.malformed()
			}
			return
		}
	}
}

// offset reads Z, ±HH, ±HH:mm or nothing.
func (p *isoParser) offset() {
	if p.letter('Z') {
		p.zone = time.UTC
		return
	}
	sign := 1
	if p.skip('-') {
		sign = -1
	} else if !p.skip('+') {
		return
	}
	seconds := p.number("hour of offset", 2, 0, 23) * 3600
	if p.skip(':') || p.digitNext() {
		seconds += p.number("minute of offset", 2, 0, 59) * 60
	}
	p.zone = time.FixedZone("", sign*seconds)
}

// letter skips a letter of either case.
func (p *isoParser) letter(c byte) bool { return p.skip(c) || p.skip(c|0x20) }

func (p *isoParser) skip(c byte) bool {
	if p.err != nil || p.at == len(p.text) || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

func (p *isoParser) digitNext() bool {
	return p.err == nil && p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9'
}

// digits takes the digits that come next, up to a number of them.
func (p *isoParser) digits(most int) string {
	start := p.at
	for p.digitNext() && p.at-start < most {
		p.at++
	}
	return p.text[start:p.at]
}

// number reads a field, which must lie in a range.
func (p *isoParser) number(field string, digits, lowest, highest int) int {
	text := p.digits(digits)
	if text == "" {
		p.malformed()
		return lowest
	}
	n, _ := strconv.Atoi(text) // at most nine digits
	if p.err == nil && (n < lowest || n > highest) {
		p.err = originalf("Cannot parse \"%s\": Value %d for %s must be in the range [%d,%d]", p.text, n, field, lowest, highest)
	}
	return n
}

func (p *isoParser) malformed() {
	switch {
	case p.err != nil:
	case p.at == 0:
		p.err = originalf("Invalid format: \"%s\"", p.text)
	case p.at == len(p.text):
		p.err = originalf("Invalid format: \"%s\" is too short", p.text)
	default:
		p.err = originalf("Invalid format: \"%s\" is malformed at \"%s\"", p.text, strings.ToValidUTF8(p.text[p.at:], "?"))
	}
}
