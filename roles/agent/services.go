package agent

import (
	"context"

	"github.com/helios-go/helios/roles/announce"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

// Registrar is a service registry (agent §6.3). It is used by several goroutines at a time.
type Registrar interface {
	// Register announces a container, and returns what withdraws it; nil if there is nothing to withdraw. An error
	// means that nothing is announced: it is tried again. It returns when ctx ends.
	Register(ctx context.Context, r announce.Registration) (withdraw func(), err error)
	// Close ends the use of the registry, after everything was withdrawn.
	Close()
}

// announce tells the registry of the container of a task. A container of a job without services is an empty
// registration, which the registry gets too.
func (a *Agent) announce(ctx context.Context, status job.TaskStatus) (supervisor.Announcement, error) {
	registration, errs := announce.Container(status, a.opts.Name, a.opts.Domain)
	for _, err := range errs {
		a.log.Error().Err(err).Stringer("job", status.Job.ID).Msg("a service is not registered")
	}
	withdraw, err := a.opts.Registrar.Register(ctx, registration)
	if withdraw == nil {
		withdraw = func() {}
	}
	return supervisor.Announcement{Endpoints: len(registration.Endpoints), Withdraw: withdraw}, err
}
