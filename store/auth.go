package store

import (
	"errors"
	"fmt"
	"strings"
)

// Credential is who a process is to ZooKeeper, by the digest scheme (zookeeper §5.1). It prints without the password.
type Credential struct {
	User     string
	Password string // empty: nobody in particular
}

// String is the user's name.
func (c Credential) String() string { return c.User }

// GoString keeps the password out of what %#v prints.
func (c Credential) GoString() string { return fmt.Sprintf("store.Credential{User:%q}", c.User) }

// check refuses what ZooKeeper would understand as another user.
func (c Credential) check() error {
	switch {
	case c.Password == "":
		return nil
	case c.User == "":
		return errors.New("a zookeeper password needs a user")
	case strings.Contains(c.User, ":"):
		return fmt.Errorf("zookeeper user %q contains a colon", c.User)
	}
	return nil
}

// errRefused says that a server does not take our credential. It says so of the connection, not of a node.
var errRefused = errors.New("refused the credential")

type refusedError struct{ user string }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the server refused the credential of user %s", e.user)
}
func (e *refusedError) Unwrap() error { return errRefused }
