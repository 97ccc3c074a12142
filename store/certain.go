package store

import (
	"cmp"
	"context"
	"errors"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// Each server of an ensemble answers from what it has, which may be a moment behind what another one has answered. A
// write is safe from that: the leader checks it. A refusal, and a list that lacks something, are not: whoever did a thing
// through one master must find it done at the next. So these are only given by a server that has caught up.

// refusals are the outcomes that rest on a reading alone, or on one that was behind each time: then the leader refuses what
// was planned by it as if others had come in between.
var refusals = []error{
	job.ErrNotFound, job.ErrNotDeployed, job.ErrAlreadyDeployed, job.ErrPortConflict, job.ErrInUse, host.ErrNotFound, errRaces,
}

// certain carries out an operation, and one that is refused once more after the server has caught up.
func certain[T any](ctx context.Context, s *Store, operation func() (T, error)) (T, error) {
	answer, err := operation()
	for _, refusal := range refusals {
		if !errors.Is(err, refusal) {
			continue
		}
		if err := s.session.catchUp(ctx); err != nil {
			return answer, err
		}
		return operation()
	}
	return answer, err
}

// certainly is certain for an operation without an answer.
func certainly(ctx context.Context, s *Store, operation func() error) error {
	_, err := certain(ctx, s, func() (struct{}, error) { return struct{}{}, operation() })
	return err
}

// childrenNow is childrenIfAny by a server that has caught up.
func (s *session) childrenNow(ctx context.Context, path string) ([]string, error) {
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	return s.childrenIfAny(ctx, path)
}

// catchUp waits until the server that we are connected to has all that was committed before.
func (s *session) catchUp(ctx context.Context) error {
	_, _, err := call(ctx, s, func(c *zk.Conn) (string, error) { return c.Sync(cmp.Or(s.chroot, "/")) })
	return named("catch up at", cmp.Or(s.chroot, "/"), err)
}
