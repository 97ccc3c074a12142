package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// overdue is the age of a view at which something is wrong whatever the connection says: one that is well is looked at
// more than once in that time.
const overdue = 2 * resyncEvery

// View is something in the tree that a process keeps in sight: it is read again at each change, at each connection and
// twice a minute. It knows its age. It is a value.
type View struct {
	What      string    // is done, in words that name the host or master
	Begun     time.Time // of the watching
	Confirmed time.Time // when the last look that succeeded began; zero: none did
	Err       error     // what the last look met; nil: it succeeded, or there was none
}

// Views are what is kept in sight at present, in the order of their words.
func (s *Store) Views() []View { return s.session.views.all() }

// Stale reports whether a view can no longer be taken for what is stored: it is too old, or the last look was refused. Any
// other failure may be over with the next look, and that there is no connection is told by Connected.
func (v View) Stale(now time.Time) bool {
	return now.Sub(v.known()) > overdue || errors.Is(v.Err, ErrDenied) || errors.Is(v.Err, ErrNoCluster)
}

// known is when the view was confirmed last, or else when it began.
func (v View) known() time.Time {
	if v.Confirmed.IsZero() {
		return v.Begun
	}
	return v.Confirmed
}

// String says how old a view is, and why it is not younger.
func (v View) String() string {
	text := v.What + ": never confirmed"
	if !v.Confirmed.IsZero() {
		text = v.What + ": confirmed last at " + v.Confirmed.UTC().Format(time.RFC3339)
	}
	if v.Err != nil {
		return fmt.Sprintf("%s: %v", text, v.Err)
	}
	return text
}

// sights are the views of one store. A View that is in it is changed by learn alone.
type sights struct {
	mu   sync.Mutex // guards open and what it holds
	open map[*View]struct{}
}

func (s *sights) begin(what string) *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	view := &View{What: what, Begun: time.Now()}
	if s.open == nil {
		s.open = make(map[*View]struct{})
	}
	s.open[view] = struct{}{}
	return view
}

func (s *sights) end(view *View) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, view)
}

// learn notes what the look that began then has come to, and returns since when the view had not been confirmed.
func (s *sights) learn(view *View, looked time.Time, err error) (since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since = view.known()
	if view.Err = err; err == nil {
		view.Confirmed = looked
	}
	return since
}

func (s *sights) all() []View {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]View, 0, len(s.open))
	for view := range s.open {
		list = append(list, *view)
	}
	slices.SortFunc(list, func(a, b View) int { return cmp.Compare(a.What, b.What) })
	return list
}
