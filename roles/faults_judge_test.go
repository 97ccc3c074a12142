package roles_test

import (
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestJudgeOfTheFaultSuite shows it what it must not overlook, and what it must not mistake for a harm.
func TestJudgeOfTheFaultSuite(t *testing.T) {
	t.Parallel()
	id := job.ID{Name: "web", Version: "1", Hash: "0123456789012345678901234567890123456789"}
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	at := func(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }
	life := func(container string, from, to int) lifetime { // to 0: it runs
		l := lifetime{ID: container}
		l.State.StartedAt = at(from)
		if l.State.Running = to == 0; l.State.Running {
			l.State.Pid = 1000 + from
		} else {
			l.State.FinishedAt = at(to)
		}
		return l
	}
	event := func(second int, action, container string) dockertest.Event {
		return dockertest.Event{At: at(second), Action: action, Container: container, Labels: map[string]string{"helios.job": id.String()}}
	}
	type events = []dockertest.Event
	for _, c := range []struct {
		name          string
		hurt          int
		lives         []lifetime
		events        events
		lost, doubled bool
	}{
		{"left alone", 0, []lifetime{life("a", 1, 0)}, nil, false, false},
		{"a health check runs in it", 0, []lifetime{life("a", 1, 0)}, events{event(2, "exec_start: true", "a")}, false, false},
		{"killed and replaced", 0, []lifetime{life("a", 1, 3), life("b", 4, 0)}, events{event(3, "die", "a"), event(4, "start", "b")}, true, false},
		{"a signal that it survives", 0, []lifetime{life("a", 1, 0)}, events{event(3, "kill", "a")}, true, false},
		{"restarted, while the events are cut", 0, []lifetime{life("a", 5, 0)}, nil, true, false},
		{"removed, while the events are cut", 0, nil, nil, true, false},
		{"a second one beside it", 0, []lifetime{life("a", 1, 0), life("b", 4, 0)}, events{event(4, "start", "b")}, false, true},
		{"a second one beside it that is gone again", 0, []lifetime{life("a", 1, 0)}, events{event(4, "start", "b"), event(5, "die", "b"), event(6, "destroy", "b")}, false, true},
		{"a second one beside it, while the events are cut", 0, []lifetime{life("a", 1, 0), life("b", 4, 6)}, nil, false, true},
		{"ended by the fault and replaced", 1, []lifetime{life("a", 1, 3), life("b", 4, 0)}, events{event(3, "die", "a"), event(4, "start", "b")}, false, false},
		{"ended by the fault and not replaced", 1, []lifetime{life("a", 1, 3)}, events{event(3, "die", "a")}, true, false},
		{"ended by the fault and replaced too early", 1, []lifetime{life("a", 1, 5), life("b", 4, 0)}, events{event(4, "start", "b"), event(5, "die", "a")}, false, true},
		{"ended by the fault and replaced twice", 1, []lifetime{life("a", 1, 3), life("b", 4, 6), life("c", 7, 0)}, events{event(3, "die", "a"), event(4, "start", "b"), event(6, "die", "b"), event(7, "start", "c")}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &charge{id: id, before: life("a", 1, 0), hurt: c.hurt}
			if err := w.harmed(c.lives, c.events); (err != nil) != c.lost {
				t.Errorf("lost: %v, want %v", err, c.lost)
			}
			if err := w.twice(c.lives, c.events); (err != nil) != c.doubled {
				t.Errorf("doubled: %v, want %v", err, c.doubled)
			}
		})
	}
}
