package host

import "errors"

// Outcomes that a caller acts on.
var (
	// ErrNotFound says that no host of the name is known.
	ErrNotFound = errors.New("host not found")
	// ErrConflict says that a host of the name is registered with another agent id.
	ErrConflict = errors.New("host is registered with another id")
)
