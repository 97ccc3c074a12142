package supervisor

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/job"
)

// Announcement is what a service registry was told of one container.
type Announcement struct {
	// Endpoints is how many endpoints it holds; none is an announcement too.
	Endpoints int
	// Withdraw takes it back. It must return soon, whatever has become of the registry.
	Withdraw func()
}

// announcer keeps the services of a task's container announced while that runs (testdata/spec/4-agent.md §6.2). A
// registry that fails or is slow is its trouble alone: the task runs meanwhile, and the registry is told again (Q47).
type announcer struct {
	announce func(context.Context, job.TaskStatus) (Announcement, error)
	log      zerolog.Logger

	container string             // it is, or is being, announced
	cancel    context.CancelFunc // ends that
	ended     chan int           // gives the number of endpoints that were announced
}

// hold announces the container of the status, if it is not, until withdraw is called.
func (a *announcer) hold(status job.TaskStatus, container string) {
	if a.announce == nil || a.container == container {
		return
	}
	a.withdraw()
	ctx, cancel := context.WithCancel(context.Background()) // that all ends in order is withdraw's to see to
	a.container, a.cancel, a.ended = container, cancel, make(chan int, 1)
	go func(ended chan<- int) { ended <- a.run(ctx, status) }(a.ended)
}

// run announces until it is heard, waits, and withdraws.
func (a *announcer) run(ctx context.Context, status job.TaskStatus) (endpoints int) {
	backoff := Backoff{}
	for said := ""; ; {
		made, err := a.announce(ctx, status)
		if err == nil {
			<-ctx.Done()
			made.Withdraw()
			return made.Endpoints
		}
		if ctx.Err() != nil {
			return 0
		}
		if err.Error() != said {
			said = err.Error()
			a.log.Warn().Err(err).Msg("services are not registered: will be tried again")
		}
		rest(ctx, backoff.Next())
	}
}

// withdraw takes back what is announced and returns how many endpoints that were.
func (a *announcer) withdraw() (endpoints int) {
	if a.container == "" {
		return 0
	}
	a.cancel()
	a.container = ""
	return <-a.ended
}

// grace is how long a container serves on after its endpoints were withdrawn, before it is stopped: as long as the job
// says, if there were any (Q5).
func grace(j *job.Job, endpoints int) time.Duration {
	if endpoints == 0 || j.GracePeriod == nil || *j.GracePeriod <= 0 {
		return 0
	}
	return time.Duration(*j.GracePeriod) * time.Second
}
