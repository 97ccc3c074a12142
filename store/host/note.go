package host

import (
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// noteVersion is the form of notes and acceptances that this version writes and understands.
const noteVersion = 1

// Note is what an agent leaves in the store about its wishes, in a node that 0.9 does not know: how far it has seen the
// store, and what it doubts.
type Note struct {
	Agent string // id of the agent
	// Line is the count of the first note since the agent found a store that did not follow from its last note.
	Line  int64
	Count int64  // of its notes: a store that has a lower count than the agent wrote is an older one
	Doubt *Doubt // nil: the agent follows what is stored
	Ended *Acceptance
}

// Doubt is what an agent does not follow, because it cannot tell whether somebody wished it (decisions 10).
type Doubt struct {
	Since  int64  // ms
	Reason string // in words
	Token  string // names the doubt: another one has another token
	// Tasks are the tasks in doubt, by the names of their nodes: full ids where Helios made them.
	Tasks map[string]Difference
}

// Difference is what an agent holds on to, and what is stored instead.
type Difference struct {
	Followed   job.Goal // "": the task is not followed
	Stored     job.Goal // "": the task is not stored, or not readable
	Unreadable bool
}

// Acceptance is a person's word that ends a doubt.
type Acceptance struct {
	Token string // of the doubt
	Mode  Mode
	User  string // who says so
	At    int64  // ms
}

// Mode says which side of a doubt is true.
type Mode string

// The modes.
const (
	Keep   Mode = "keep"   // what the agent holds on to; it is written to the store
	Follow Mode = "follow" // what is stored
)

// Words are the modes in the order of their ordinals.
func (Mode) Words() []string { return modes }

var modes = []string{string(Keep), string(Follow)}

// JSON describes the node's document.
func (n *Note) JSON() document.Value {
	return document.Object(
		document.Version(noteVersion),
		document.Member{Name: "agent", Value: document.Text(&n.Agent), Required: true},
		document.Member{Name: "count", Value: document.Long(&n.Count), Required: true},
		document.Member{Name: "line", Value: document.Long(&n.Line), Required: true},
		document.Member{Name: "doubt", Value: document.Optional(&n.Doubt, (*Doubt).JSON)},
		document.Member{Name: "ended", Value: document.Optional(&n.Ended, (*Acceptance).JSON)},
	)
}

// ReadNote reads a note; one of a newer form is a document.NewerError.
func ReadNote(data []byte) (n Note, err error) {
	err = document.ReadVersioned(data, noteVersion, n.JSON())
	return n, err
}

// JSON describes a doubt.
func (d *Doubt) JSON() document.Value {
	return document.Object(
		document.Member{Name: "since", Value: document.Long(&d.Since), Required: true},
		document.Member{Name: "reason", Value: document.Text(&d.Reason), Required: true},
		document.Member{Name: "token", Value: document.Text(&d.Token), Required: true},
		document.Member{Name: "tasks", Value: document.Map(&d.Tasks, document.TextKeys, (*Difference).JSON)},
	)
}

// JSON describes a difference.
func (d *Difference) JSON() document.Value {
	return document.Object(
		document.Member{Name: "followed", Value: document.Enum(&d.Followed)},
		document.Member{Name: "stored", Value: document.Enum(&d.Stored)},
		document.Member{Name: "unreadable", Value: document.Bool(&d.Unreadable)},
	)
}

// JSON describes an acceptance.
func (a *Acceptance) JSON() document.Value {
	return document.Object(
		document.Version(noteVersion),
		document.Member{Name: "token", Value: document.Text(&a.Token), Required: true},
		document.Member{Name: "mode", Value: document.Enum(&a.Mode), Required: true},
		document.Member{Name: "user", Value: document.Text(&a.User)},
		document.Member{Name: "at", Value: document.Long(&a.At)},
	)
}

// ReadAcceptance reads an acceptance; one of a newer form is a document.NewerError.
func ReadAcceptance(data []byte) (a Acceptance, err error) {
	err = document.ReadVersioned(data, noteVersion, a.JSON())
	return a, err
}
