package group

import "errors"

// Outcomes that a caller acts on.
var (
	// ErrNotFound says that no deployment group of the name exists.
	ErrNotFound = errors.New("deployment group not found")
	// ErrExists says that a deployment group of the name exists already.
	ErrExists = errors.New("deployment group exists")
)
