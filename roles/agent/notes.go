package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
)

// What a pass does about wishes, before it does what they are: it judges the newest reading, leaves a note of that in the
// store, and hears what a person says of a doubt.

// noteTime is how long a pass waits for the store to take a note.
const noteTime = 5 * time.Second

// wish is what is wished by now, the reading that it is of, and the acceptance that it follows. The reading stays in
// place, so that a pass that failed is made again from it.
func (r *reconciler) wish(ctx context.Context) (wishes, *store.Tasks, *host.Acceptance) {
	r.mu.Lock()
	reading, noted, acceptance, readmitted := r.reading, r.noted, r.acceptance, r.readmitted
	r.taken = reading
	r.mu.Unlock()
	if reading == nil || reading == r.judged && acceptance == nil && !r.owing {
		r.owing = r.owing && reading != nil
		return r.wishes, r.judged, nil
	}
	now := time.Now()
	wished := r.wishes
	if reading != r.judged {
		n := &reading.Noted
		if left := wished.note(); left.Count > noted.Count && (noted.Count == 0 || n.Agent == r.id && n.Line == noted.Line && n.Count >= noted.Count) {
			n.Agent, n.Count, n.Line = r.id, max(n.Count, left.Count), left.Line // it was left while the list was read
		}
		wished.readmitted = readmitted
		wished = wished.read(r.id, *reading, now)
	}
	if acceptance != nil && acceptance.Mode == host.Follow && !reading.Missing && wished.doubt != nil && wished.doubt.Token == acceptance.Token {
		wished = wished.follow(*reading, now)
	}
	if r.leaveNote(ctx, &wished, reading, acceptance) {
		return wished, reading, acceptance
	}
	return r.wishes, r.judged, nil
}

// leaveNote leaves a note if there is something to say, and reports whether the wishes may be followed. A task that is
// followed from now on must have been noted: a store that forgets it again is then known to be an older one.
func (r *reconciler) leaveNote(ctx context.Context, wished *wishes, reading *store.Tasks, acceptance *host.Acceptance) bool {
	again := r.owing
	r.owing = false
	if wished.seen == nil {
		return true // no list was ever read
	}
	n := host.Note{Agent: r.id, Count: wished.note().Count, Doubt: wished.doubt}
	n.Line = wished.seen.Line
	stale := n.Line == 0 || reading.Noted.Agent != r.id || reading.Noted.Count < n.Count || reading.Noted.Line != n.Line
	doubt := ""
	if n.Doubt != nil {
		doubt = n.Doubt.Token
	}
	gains := r.wishes.gains(*wished)
	if !gains && !stale && doubt == reading.Noted.Doubt && acceptance == nil {
		return true
	}
	if reading.Noted.Agent == r.id {
		n.Count = max(n.Count, reading.Noted.Count)
	}
	n.Count = max(n.Count+1, time.Now().UnixMicro()) // an agent that forgot all its notes goes on counting
	if n.Line == 0 {
		n.Line = n.Count
	}
	if acceptance != nil && doubt != acceptance.Token {
		n.Ended = acceptance
	}
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	if err := r.note(ctx, n, wished.inDoubt()); err != nil {
		if !again {
			r.log.Warn().Err(err).Bool("waiting", gains).Msg("no note can be left in the store: new tasks wait for it")
		}
		r.owing = true
		return !gains
	}
	if !reading.Missing { // else what was seen is a list that may come back as it was, with the note of then
		seen := *wished.seen
		seen.Notes, seen.Line = n.Count, n.Line
		wished.seen = &seen
	}
	reading.Noted = store.Noted{Agent: n.Agent, Count: n.Count, Line: n.Line, Doubt: doubt}
	return true
}

// conclude answers an acceptance that was acted on, or that is void.
func (r *reconciler) conclude(ctx context.Context, acceptance *host.Acceptance) {
	if acceptance == nil {
		return
	}
	if r.wishes.doubt != nil && r.wishes.doubt.Token == acceptance.Token {
		r.log.Warn().Str("user", acceptance.User).Msg("what was accepted cannot be followed")
	}
	ctx, cancel := context.WithTimeout(ctx, noteTime)
	defer cancel()
	if err := r.answer(ctx); err != nil {
		r.log.Warn().Err(err).Msg("an acceptance cannot be answered")
	}
	r.mu.Lock()
	if r.acceptance == acceptance {
		r.acceptance = nil
	}
	r.mu.Unlock()
}

// tell logs what is in doubt, when that changes.
func (r *reconciler) tell(before, now *host.Doubt) {
	switch {
	case now == nil && before != nil:
		r.log.Info().Stringer("took", time.Since(time.UnixMilli(before.Since)).Round(time.Second)).
			Msg("the wishes are known again: what is stored is followed")
	case now != nil && (before == nil || before.Token != now.Token):
		r.log.Error().Str("reason", now.Reason).Strs("jobs", slices.Sorted(maps.Keys(now.Tasks))).Time("since", time.UnixMilli(now.Since)).
			Msg("the wishes are in doubt: these tasks stay as they are (helios store diff " + r.host + ")")
	}
}
