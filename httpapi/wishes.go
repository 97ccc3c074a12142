package httpapi

import (
	"maps"
	"slices"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// Paths of our own (decisions 3). Masters have the first, agents the second, and both the third.
const (
	PathDoubts      = "/v1/doubts"
	PathAgentWishes = "/v1/wishes"
	PathViews       = "/v1/views"
)

// HostWishesPath is the path of what there is about a host's wishes, AcceptPath that of a word that ends a doubt.
func HostWishesPath(name string) string { return "/v1" + HostPath(name) + "/wishes" }
func AcceptPath(name string) string     { return "/v1" + HostPath(name) + "/accept" }

// HostWishes is what a master knows of a host's wishes.
type HostWishes struct {
	Up      bool
	Silent  bool                // the agent says nothing of them, as 0.9's do not, or it has never run
	Newer   bool                // what the agent says was written by a newer version
	Missing bool                // there is no task list
	Doubt   *host.Doubt         // nil: what is stored is followed
	Stored  map[string]job.Goal // by names of tasks; "" for one that cannot be read
}

// JSON describes the document.
func (w *HostWishes) JSON() document.Value {
	return document.Object(
		document.Member{Name: "up", Value: document.Bool(&w.Up)},
		document.Member{Name: "silent", Value: document.Bool(&w.Silent)},
		document.Member{Name: "newer", Value: document.Bool(&w.Newer)},
		document.Member{Name: "missing", Value: document.Bool(&w.Missing)},
		document.Member{Name: "doubt", Value: document.Optional(&w.Doubt, (*host.Doubt).JSON)},
		document.Member{Name: "stored", Value: document.Map(&w.Stored, document.TextKeys, func(g *job.Goal) document.Value { return document.Enum(g) })},
	)
}

// AgentWishes is what an agent says of its own wishes.
type AgentWishes struct {
	Known    bool // a task list was read since the agent began
	Doubt    *host.Doubt
	Followed map[job.ID]job.Goal
}

// JSON describes the document.
func (w *AgentWishes) JSON() document.Value {
	return document.Object(
		document.Member{Name: "known", Value: document.Bool(&w.Known)},
		document.Member{Name: "doubt", Value: document.Optional(&w.Doubt, (*host.Doubt).JSON)},
		document.Member{Name: "followed", Value: document.Map(&w.Followed, job.IDKeys, func(g *job.Goal) document.Value { return document.Enum(g) })},
	)
}

// WishDifference is one task of a comparison of what a host holds on to with what is stored.
type WishDifference struct {
	Task       string
	Remembered job.Goal // ""
	Stored     job.Goal // ""
	Verdict    string   // in words
}

// The verdicts.
const (
	WishSame        = "same"
	WishNotStored   = "runs here, not stored"
	WishOtherGoal   = "stored with another goal"
	WishNotAccepted = "stored, not accepted"
	WishUnreadable  = "stored, cannot be read"
)

// Differences compares, in the order of the tasks.
func (w *HostWishes) Differences() []WishDifference {
	tasks := make(map[string]WishDifference)
	for name, goal := range w.Stored {
		tasks[name] = WishDifference{Task: name, Remembered: goal, Stored: goal, Verdict: WishSame}
		if goal == "" {
			tasks[name] = WishDifference{Task: name, Verdict: WishUnreadable}
		}
	}
	if w.Doubt != nil {
		for name, d := range w.Doubt.Tasks {
			goal, stored := w.Stored[name]
			row := WishDifference{Task: name, Remembered: d.Followed, Stored: goal}
			switch {
			case stored && goal == "":
				row.Verdict = WishUnreadable
			case !stored && d.Followed == "":
				continue // gone meanwhile
			case !stored && d.Followed == job.Start:
				row.Verdict = WishNotStored
			case !stored:
				row.Verdict = "not stored"
			case d.Followed == "":
				row.Verdict = WishNotAccepted
			case d.Followed != goal:
				row.Verdict = WishOtherGoal
			default:
				row.Verdict = WishSame
			}
			tasks[name] = row
		}
	}
	var rows []WishDifference
	for _, name := range slices.Sorted(maps.Keys(tasks)) {
		rows = append(rows, tasks[name])
	}
	return rows
}
