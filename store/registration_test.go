package store

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestJudgeTellsADeregisteredHostFromAForgottenOne(t *testing.T) {
	hosts, own := Mark{Created: 3, Changes: 7, Time: 1000}, Mark{Created: 20, Changes: 3, Time: 2000}
	known := &Registration{Hosts: hosts, Host: &own}
	// with is the mark of the same directory after more changes.
	with := func(m Mark, more int32) *Mark { m.Changes += more; return &m }
	for name, c := range map[string]struct {
		known *Registration
		found finding
		want  verdict
	}{
		"an agent that never was registered registers":          {nil, finding{current: true, hosts: &hosts}, register},
		"even by a server that is behind":                       {nil, finding{}, register},
		"an id that came meanwhile is looked at anew":           {known, finding{current: true, registered: true, hosts: &hosts, host: &own}, askAgain},
		"also by an agent that never was registered":            {nil, finding{current: true, registered: true}, askAgain},
		"a server that is behind proves nothing":                {known, finding{hosts: with(hosts, -1)}, askAgain},
		"an empty store was wiped":                              {known, finding{current: true}, register},
		"a list made anew is another store's":                   {known, finding{current: true, hosts: &Mark{Created: 4, Changes: 90, Time: 5000}}, register},
		"a list made anew by the same steps, too":               {known, finding{current: true, hosts: &Mark{Created: 3, Changes: 90, Time: 5000}}, register},
		"a list with fewer changes was restored":                {known, finding{current: true, hosts: with(hosts, -1)}, register},
		"the same list without the host, no change seen":        {known, finding{current: true, hosts: &hosts}, deregistered},
		"one change more is the host's going":                   {known, finding{current: true, hosts: with(hosts, 1)}, deregistered},
		"many changes are, too":                                 {known, finding{current: true, hosts: with(hosts, 400)}, deregistered},
		"a node without a list is no state of a store":          {known, finding{current: true, host: &own}, askAgain},
		"half a registration of this host was restored":         {known, finding{current: true, hosts: &hosts, host: with(own, -1)}, register},
		"the id alone was deleted":                              {known, finding{current: true, hosts: &hosts, host: with(own, 1)}, deregistered},
		"half a registration was begun after the host had gone": {known, finding{current: true, hosts: with(hosts, 2), host: &Mark{Created: 50, Changes: 1, Time: 9000}}, deregistered},
		"files without the host's own node":                     {&Registration{Hosts: hosts}, finding{current: true, hosts: &hosts, host: with(own, -1)}, deregistered},
		"files without times":                                   {&Registration{Hosts: Mark{Created: 3, Changes: 7}}, finding{current: true, hosts: with(hosts, 1)}, deregistered},
	} {
		t.Run(name, func(t *testing.T) {
			if got := judge(c.known, c.found); got != c.want {
				t.Errorf("judged %d, want %d", got, c.want)
			}
		})
	}
}

// hostList is a list of hosts as it came about, one change after the other. Each change has a number of its own.
type hostList struct {
	changes []int64
	own     *Mark // the agent's host in it
}

func (l hostList) changed(number int64) hostList {
	l.changes = append(slices.Clone(l.changes), number)
	return l
}

func (l hostList) registered(number int64) hostList {
	l = l.changed(number)
	l.own = &Mark{Created: number, Changes: 3, Time: number}
	return l
}

func (l hostList) mark() *Mark {
	if len(l.changes) == 0 {
		return nil
	}
	first := l.changes[0]
	return &Mark{Created: first % 3, Changes: int32(len(l.changes)), Time: first} // zxids repeat in a new store
}

// inCommon is how many changes two lists began with together.
func (l hostList) inCommon(other hostList) int {
	n := 0
	for n < min(len(l.changes), len(other.changes)) && l.changes[n] == other.changes[n] {
		n++
	}
	return n
}

// TestJudgeIsRightInEveryHistory lets a store go through registrations, backups, restores and losses, and an agent look
// at it from time to time. What really happened is told by the numbers of the changes, which the agent does not know.
func TestJudgeIsRightInEveryHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var clock int64
		next := func() int64 { clock++; return clock }
		now := hostList{}.registered(next())
		remembered := now
		backup := hostList{}
		t.Repeat(map[string]func(*rapid.T){
			"another host comes or goes": func(*rapid.T) { now = now.changed(next()) },
			"the host is deregistered": func(t *rapid.T) {
				if now.own == nil {
					t.Skip("it is not there")
				}
				now = now.changed(next())
				now.own = nil
			},
			"a backup is made":       func(*rapid.T) { backup = now },
			"the backup is restored": func(*rapid.T) { now = backup },
			"the store is wiped":     func(*rapid.T) { now = hostList{} },
			"the agent looks": func(t *rapid.T) {
				known := &Registration{Hosts: *remembered.mark(), Host: remembered.own}
				found := finding{registered: now.own != nil, hosts: now.mark(), host: now.own}
				if got := judge(known, found); got != askAgain {
					t.Fatalf("by a server that may be behind: %d", got)
				}
				found.current = true
				got := judge(known, found)
				common := now.inCommon(remembered)
				lost, since := len(remembered.changes)-common, len(now.changes)-common
				switch {
				case now.own != nil && got != askAgain:
					t.Fatalf("a registered host is judged %d", got)
				case now.own != nil: // so it is
				case lost == 0 && got != deregistered:
					t.Fatalf("what the agent knows is still true but for its host, and is judged %d", got)
				case common == 0 && got != register:
					t.Fatalf("another store is judged %d", got)
				case lost > since && got != register:
					t.Fatalf("%d changes were lost and %d made since: judged %d", lost, since, got)
				case got == register:
					now = now.registered(next())
				}
				if now.own != nil {
					remembered = now
				}
			},
		})
	})
}

func TestNameIsHeldForTheTTLAfterTheLastReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		silent, ttl, want time.Duration
	}{
		"just reported":                                {0, 2 * time.Minute, 2 * time.Minute},
		"silent for longer":                            {4 * time.Minute, 2 * time.Minute, -2 * time.Minute},
		"silent for exactly as long":                   {2 * time.Minute, 2 * time.Minute, 0},
		"a TTL of nothing":                             {0, 0, 0},
		"a TTL of nothing and a clock that is behind":  {-time.Hour, 0, time.Hour},
		"a clock that is an hour behind":               {-time.Hour, 10 * time.Minute, 70 * time.Minute},
		"a clock that is an hour ahead frees the name": {time.Hour, 10 * time.Minute, -50 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			if got := holdLeft(c.silent, c.ttl); got != c.want {
				t.Errorf("held for another %s, want %s", got, c.want)
			}
		})
	}
}

func TestHostIsRegisteredAnewOnlyInTheListItStoodIn(t *testing.T) {
	known := Registration{Hosts: Mark{Created: 5, Changes: 7, Time: 9}, Host: &Mark{Created: 30, Time: 40}}
	for name, c := range map[string]struct {
		now  Registration
		want bool
	}{
		"as before":                           {known, false},
		"by a later registration":             {Registration{Mark{5, 9, 9}, &Mark{Created: 50}}, true},
		"in a list that was restored":         {Registration{Mark{5, 6, 9}, &Mark{Created: 50}}, false},
		"in a list that was made anew":        {Registration{Mark{45, 9, 60}, &Mark{Created: 50}}, false},
		"by a registration older than before": {Registration{Mark{5, 9, 9}, &Mark{Created: 20}}, false},
		"without a node of its own":           {Registration{Hosts: Mark{5, 9, 9}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.now.Anew(known); got != c.want {
				t.Errorf("registered anew: %v, want %v", got, c.want)
			}
		})
	}
}
