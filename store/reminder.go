package store

import "time"

// Reminder says when a failure that lasts is worth a line in the log: at first, and again a minute later, then after two,
// four and so on, at last once an hour. The zero value has seen no failure. It is for one goroutine.
type Reminder struct {
	next  time.Time
	pause time.Duration
}

// Due reports whether to speak of the failure now.
func (r *Reminder) Due(now time.Time) bool {
	if now.Before(r.next) {
		return false
	}
	r.pause = min(max(2*r.pause, time.Minute), time.Hour)
	r.next = now.Add(r.pause)
	return true
}

// Reset begins anew, after a success or with another failure, and reports whether there had been one.
func (r *Reminder) Reset() (was bool) {
	was = r.pause > 0
	*r = Reminder{}
	return was
}
