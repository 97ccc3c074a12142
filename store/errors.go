package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/helios-go/helios/store/job"
)

// Outcomes that a caller acts on. Those of jobs and hosts stand beside their types: job.ErrNotFound and so on.
var (
	// ErrUnavailable says that ZooKeeper did not answer. A write that ends with it may have been carried out.
	ErrUnavailable = errors.New("zookeeper is not available")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrDenied says that ZooKeeper does not let the user of this process do a thing: the credential is missing or wrong,
	// or the node has another access list than the path asks for.
	ErrDenied = errors.New("zookeeper denies it")
	// ErrNoRoot says that the node that stands for the root does not exist.
	ErrNoRoot = errors.New("the chroot does not exist, which somebody must create first")
	// ErrTooLarge says that a document, or what one transaction would have to hold, is beyond what ZooKeeper takes.
	ErrTooLarge = errors.New("too large for zookeeper")
	// ErrName says that a host or master name cannot be part of a path.
	ErrName = errors.New("illegal name")
)

// UnreadableError says that a node exists whose document cannot be understood. Lists leave such nodes out (decision 7);
// a request for that one entry ends with this error.
type UnreadableError struct {
	Node string // its path
	Err  error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("node %s is unreadable: %v", e.Node, e.Err)
}
func (e *UnreadableError) Unwrap() error { return e.Err }

// PortConflictError says that a static port of a job is taken on a host. It is a [job.ErrPortConflict].
type PortConflictError struct {
	Port  int32
	Job   job.ID // to be deployed
	Other string // full id of the job that has the port
	Host  string
}

func (e *PortConflictError) Error() string {
	return fmt.Sprintf("allocation of port %d for job %s collides with job %s on host %s", e.Port, e.Job, e.Other, e.Host)
}
func (e *PortConflictError) Unwrap() error { return job.ErrPortConflict }

// InUseError says on which hosts a job is deployed that was to be removed. It is a [job.ErrInUse].
type InUseError struct {
	Job   job.ID
	Hosts []string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("job %s still deployed on hosts [%s]", e.Job, strings.Join(e.Hosts, ", "))
}
func (e *InUseError) Unwrap() error { return job.ErrInUse }
