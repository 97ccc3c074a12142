package document

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var errDate = errors.New("the text is no date")

type date struct{}

func (date) write(w *Writer, value time.Time) { w.Date(value) }

// read takes all forms of §1.5 but refuses fields that are out of range (quirk
// 24).
func (date) read(r *Reader) (value time.Time, ok bool, err error) {
	text, kind, ok, err := r.coercible()
	if err != nil || !ok {
		return time.Time{}, false, err
	}
	switch kind {
	case KindNumber:
		var millis int64
		millis, err = strconv.ParseInt(text, 10, 64)
		value = time.UnixMilli(millis)
	case KindText:
		value, err = ParseDate(text)
	default:
		err = r.unexpected("a date", kind)
	}
	if err != nil {
		return time.Time{}, false, errDate
	}
	return value.UTC(), true, nil
}

// ParseDate reads a date in one of the text forms of §1.5: milliseconds since
// 1970, ISO 8601 where no zone means UTC, or RFC 1123. Beyond the original, it
// reads the years with a sign that all writers put out.
func ParseDate(text string) (time.Time, error) {
	if strings.Trim(strings.TrimPrefix(text, "-"), "0123456789") == "" {
		millis, err := strconv.ParseInt(text, 10, 64)
		return time.UnixMilli(millis).UTC(), err
	}
	switch {
	case text[0] == '+' || text[0] == '-':
		return parseSignedYear(text)
	case !isDigit(text[0]):
		return parseRFC1123(text)
	case len(text) == len(time.DateOnly):
		return time.Parse(time.DateOnly, text)
	}
	return parseISO(text)
}

// parseSignedYear reads dates before the year 1 and after 9999, as appendDate
// writes them. The calendar repeats itself every 400 years.
func parseSignedYear(text string) (time.Time, error) {
	digits, rest, _ := strings.Cut(text[1:], "-")
	year, err := strconv.ParseInt(text[:1]+digits, 10, 32)
	if err != nil || len(digits) < 4 || !isDigit(digits[0]) {
		return time.Time{}, errDate
	}
	const cycle = 400
	inCycle := 2*cycle + year%cycle
	moment, err := parseISO(fmt.Sprintf("%04d-%s", inCycle, rest))
	return moment.AddDate(int(year-inCycle), 0, 0), err
}

func parseISO(text string) (time.Time, error) {
	const minutes = "2006-01-02T15:04"
	if len(text) < len(minutes) {
		return time.Time{}, errDate
	}
	moment, err := time.Parse(minutes, text[:len(minutes)])
	if err != nil {
		return time.Time{}, err
	}
	rest := text[len(minutes):]
	if strings.HasPrefix(rest, ":") {
		seconds, ok := twoDigits(rest[1:], 59)
		if !ok {
			return time.Time{}, errDate
		}
		moment = moment.Add(time.Duration(seconds) * time.Second)
		rest = rest[3:]
	}
	if strings.HasPrefix(rest, ".") {
		digits := 0
		for digits+1 < len(rest) && isDigit(rest[digits+1]) {
			digits++
		}
		if digits < 1 || digits > 9 {
			return time.Time{}, errDate
		}
		millis, _ := strconv.Atoi((rest[1:digits+1] + "00")[:3]) // three digits
		moment = moment.Add(time.Duration(millis) * time.Millisecond)
		rest = rest[digits+1:]
	}
	offset, ok := parseZone(rest)
	if !ok {
		return time.Time{}, errDate
	}
	return moment.Add(-offset), nil
}

// parseZone reads Z, ±HH, ±HHmm, ±HH:mm or nothing.
func parseZone(text string) (offset time.Duration, ok bool) {
	if text == "" || text == "Z" {
		return 0, true
	}
	sign := time.Duration(1)
	switch text[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return 0, false
	}
	hours, ok := twoDigits(text[1:], 23)
	if !ok {
		return 0, false
	}
	minutes := 0
	if rest := text[3:]; rest != "" {
		rest = strings.TrimPrefix(rest, ":")
		if minutes, ok = twoDigits(rest, 59); !ok || len(rest) != 2 {
			return 0, false
		}
	}
	return sign * (time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute), true
}

// twoDigits reads the number with which text begins.
func twoDigits(text string, highest int) (int, bool) {
	if len(text) < 2 || !isDigit(text[0]) || !isDigit(text[1]) {
		return 0, false
	}
	n := int(text[0]-'0')*10 + int(text[1]-'0')
	return n, n <= highest
}

func parseRFC1123(text string) (time.Time, error) {
	if strings.Contains(text, ".") { // time.Parse takes fractions anywhere
		return time.Time{}, errDate
	}
	if moment, err := time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", text); err == nil {
		return moment, nil
	}
	for _, zone := range []string{" GMT", " UTC"} {
		if rest, ok := strings.CutSuffix(text, zone); ok {
			return time.Parse("Mon, 2 Jan 2006 15:04:05", rest)
		}
	}
	return time.Time{}, errDate
}

// appendDate writes yyyy-MM-ddTHH:mm:ss.SSS+0000; years above 9999 have a sign.
func appendDate(buf []byte, t time.Time) []byte {
	t = t.UTC()
	year := t.Year()
	switch {
	case year > 9999 || year == 0:
		buf = append(buf, '+')
	case year < 0:
		buf = append(buf, '-')
		year = -year
	}
	digits := strconv.Itoa(year)
	for range 4 - len(digits) {
		buf = append(buf, '0')
	}
	buf = append(buf, digits...)
	return t.AppendFormat(buf, "-01-02T15:04:05.000+0000")
}
