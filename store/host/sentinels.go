package host

import "errors"

// Outcomes that a caller acts on.
var (
	// ErrNotFound says that no host of the name is known.
	ErrNotFound = errors.New("host not found")
	// ErrConflict says that a host of the name is registered with another agent id.
	ErrConflict = errors.New("host is registered with another id")
	// ErrDown says that the host's agent is away.
	ErrDown = errors.New("host is down")
	// ErrNoDoubt says that the host's agent is in no doubt: it follows what is stored.
	ErrNoDoubt = errors.New("host is not in doubt")
	// ErrOtherDoubt says that an acceptance was given for another doubt than the present one.
	ErrOtherDoubt = errors.New("the doubt is another one by now")
	// ErrAccepting says that somebody else accepts at this moment.
	ErrAccepting = errors.New("somebody else accepts at this moment")
	// ErrNothingStored says that a host has no task list that could be followed.
	ErrNothingStored = errors.New("host has no task list in the store")
	// ErrUnanswered says that the agent did not act on an acceptance in time.
	ErrUnanswered = errors.New("the agent did not answer")
)
