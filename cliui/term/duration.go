package term

import (
	"strconv"
	"time"
)

// Duration writes a span the way the original's tables do: the largest unit
// alone, never rounded up, no weeks or years (testdata/spec/5-cli.md §6.2). A
// negative span, which only clocks that disagree produce, counts as none.
func Duration(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return count(d/time.Second, "second")
	case d < time.Hour:
		return count(d/time.Minute, "minute")
	case d < 24*time.Hour:
		return count(d/time.Hour, "hour")
	default:
		return count(d/(24*time.Hour), "day")
	}
}

func count(n time.Duration, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return strconv.FormatInt(int64(n), 10) + " " + unit
}

// Ago writes how long before now a moment was, for terminals.
func Ago(now, then time.Time) string {
	return Duration(now.Sub(then)) + " ago"
}
