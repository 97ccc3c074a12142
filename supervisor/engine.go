package supervisor

import (
	"context"
	"errors"
	"time"

	"github.com/helios-go/helios/store/job"
)

// Errors of an [Engine], told apart by the policy. Any other error is a refusal of what was asked (a port that is taken,
// a command that does not exist): the run failed, and the next one is tried after the restart delay.
var (
	// ErrUnavailable says that the engine did not answer: it says nothing about any container.
	ErrUnavailable = errors.New("docker does not answer")
	// ErrUnsupported says that the engine is too old to be used at all.
	ErrUnsupported = errors.New("docker is too old")
	// ErrImageMissing says that no registry and no local store has the image.
	ErrImageMissing = errors.New("image not found")
	// ErrPullFailed says that an image that is not there could not be fetched.
	ErrPullFailed = errors.New("image pull failed")
)

// Engine is the container engine in the words of a supervisor. Every verb may be repeated: "already so" is success. An
// error that leaves the truth open wraps [ErrUnavailable].
type Engine interface {
	// Find tells which container belongs to a task: the recorded one if it runs, else one that runs and carries the
	// task's labels or, made by the Java agent, its name; else one that was made and never started; else the recorded
	// one as it lies there. The zero Container means that there is none.
	Find(ctx context.Context, ref Ref) (Container, error)
	// Pull fetches an image. A pull that fails is a success if the image is there all the same; otherwise the error
	// wraps ErrImageMissing, ErrPullFailed or ErrUnavailable.
	Pull(ctx context.Context, image string) error
	// Create makes a container and returns its id. A missing image is ErrImageMissing.
	Create(ctx context.Context, spec Spec) (string, error)
	// Start starts a container that was created.
	Start(ctx context.Context, id string) error
	// Wait returns as soon as the container does not run, or is not there, any more, and how it ended if that is known:
	// else the zero Container. It may take a word for an end that it has not seen. Such a word may be wrong: it is good
	// for reporting the end, and for nothing else.
	Wait(ctx context.Context, id string) (Container, error)
	// Stop asks the container to end, and has it killed after so many seconds; a negative number is no limit. It
	// returns when the container has ended. One that does not run or does not exist is a success.
	Stop(ctx context.Context, id string, seconds int) error
	// Kill ends the container at once. One that does not run or does not exist is a success.
	Kill(ctx context.Context, id string) error
	// Running lists all containers of the engine that run, whoever made them.
	Running(ctx context.Context) ([]Container, error)
}

// Container is what the engine shows of one container. The zero value is no container.
type Container struct {
	ID     string
	Name   string // without the engine's leading slash
	Labels map[string]string

	Running   bool // also while paused
	Unstarted bool // created, and no start of it has failed

	// How the last run ended; meaningful when it neither runs nor is unstarted.
	ExitCode   int
	OOMKilled  bool
	Error      string // the engine's own words, often empty
	FinishedAt time.Time

	// Ports are those it publishes, several of one port of the container in the order in which they were asked for. An
	// engine may leave them out of a list.
	Ports []PublishedPort

	// Where health checks find it: its own address and the gateway of its (first) network, both empty when it has none.
	Address, Gateway string
}

// Spec is all that the engine needs to know to create the container of one run.
type Spec struct {
	Name   string
	Job    *job.Job
	Ports  map[string]int    // host port by port name, static ones included
	Env    map[string]string // complete, see [Env]
	Labels map[string]string // ours, laid over the job's own
}
