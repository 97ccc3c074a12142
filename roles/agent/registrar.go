package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/supervisor"
)

// registrar keeps the host registered and up (zookeeper §7).
type registrar struct {
	store  *store.Store
	memory *memory
	host   string
	id     string
	ttl    time.Duration
	log    zerolog.Logger
	// duties are done while the host is registered.
	duties []func(context.Context) error
	// readmitted is called before them when somebody registered the host anew.
	readmitted func()
	// registered is called before them the first time.
	registered func()
	begin      sync.Once

	mu      sync.Mutex // guards refusal
	refusal string     // why the store does not take the host, in words; "" if it does, or was not asked yet
}

// refused tells why the host is not registered, though the store could be asked; "" if it is.
func (r *registrar) refused() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusal
}

func (r *registrar) setRefusal(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusal = text
}

// run registers, keeps the host up, and registers again whenever that is lost, until ctx ends.
func (r *registrar) run(ctx context.Context) error {
	backoff := supervisor.Backoff{}
	said := "" // and again when reminder says so
	var reminder store.Reminder
	connections := r.store.Connections(ctx)
	for {
		hush(connections)
		wish := r.wish()
		var reg store.Registration
		err := r.alone(ctx)
		if err == nil {
			reg, err = r.store.RegisterAgent(ctx, wish)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			backoff.Reset()
			said = ""
			reminder.Reset()
			r.setRefusal("")
			r.log.Info().Msg("registered")
			if wish.Known != nil && reg.Anew(*wish.Known) {
				r.readmitted()
			}
			r.remember(reg)
			r.begin.Do(r.registered)
			err = r.hold(ctx)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			r.log.Warn().Err(err).Msg("registration lost")
		default:
			reason := r.reason(err)
			if reason != said {
				reminder.Reset()
			}
			if said = reason; reminder.Due(time.Now()) {
				r.log.Warn().Err(err).Msg(said)
			}
			if isRefusal(err) {
				r.setRefusal(said)
			}
		}
		r.wait(ctx, backoff.Next(), connections)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// errCopy says that the state directory is a copy of one that is in use.
var errCopy = errors.New("the agent of the state directory that this one was copied from is up")

// alone returns errCopy while the agent is up whose state directory this one was copied from: the two would do the same
// twice.
func (r *registrar) alone(ctx context.Context) error {
	name := r.memory.copied()
	if name == "" {
		return nil
	}
	_, err := r.store.Registration(ctx, name, r.id)
	if errors.Is(err, host.ErrNotFound) || errors.Is(err, host.ErrConflict) {
		return nil // it is another one's by now
	}
	up := false
	if err == nil {
		up, err = r.store.HostUp(ctx, name)
	}
	if up {
		return errCopy
	}
	return err
}

// wait ends after the pause, when there is a new connection, or when the host's id comes, goes or becomes another: what a
// person does for a host that is refused shows at once.
func (r *registrar) wait(ctx context.Context, pause time.Duration, connections <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	if r.refused() != "" {
		watch.Go(func() {
			_ = r.store.AwaitHost(ctx, r.host) // whatever ends it, the next attempt tells
			cancel()
		})
	}
	select {
	case <-connections:
		cancel()
	case <-ctx.Done():
	}
}

// hold keeps the host up and does the duties until the registration is lost or ctx ends.
func (r *registrar) hold(ctx context.Context) error {
	duty, cancel := context.WithCancel(ctx)
	var duties sync.WaitGroup
	defer duties.Wait()
	defer cancel()
	for _, run := range append(r.duties, r.keepRemembering) {
		duties.Go(func() { _ = run(duty) }) // each ends with its context and logs its own troubles
	}
	return r.store.KeepHostUp(ctx, r.host, r.id)
}

// keepRemembering remembers what the list of hosts has become: soon after the registration, when others may be
// registering, too, and at last once a minute.
func (r *registrar) keepRemembering(ctx context.Context) error {
	pauses := supervisor.Backoff{Min: 2 * time.Second, Max: time.Minute}
	for sleep(ctx, pauses.Next()) {
		if reg, err := r.store.Registration(ctx, r.host, r.id); err == nil {
			r.remember(reg)
		}
	}
	return context.Cause(ctx)
}

// remember makes a registration durable.
func (r *registrar) remember(reg store.Registration) {
	if err := r.memory.settle(r.host, reg); err != nil {
		r.log.Error().Err(err).Msg("registration cannot be remembered")
	}
}

// wish says what is remembered, so that a host that was deregistered is told from a store that was emptied.
func (r *registrar) wish() store.Registering {
	wish := store.Registering{
		Host: r.host, ID: r.id, TTL: r.ttl, TakingOver: r.memory.takeOver, Forgot: r.memory.newer != nil,
	}
	r.memory.mu.Lock()
	defer r.memory.mu.Unlock()
	if hosts := r.memory.Hosts; hosts != nil {
		wish.Known = &store.Registration{Hosts: *hosts, Host: r.memory.Host}
	}
	return wish
}

// isRefusal reports whether the store was there and did not take the host, for a reason that does not go by itself.
func isRefusal(err error) bool {
	return slices.ContainsFunc([]error{store.ErrDeregistered, store.ErrForgotten, host.ErrConflict, store.ErrDenied, store.ErrNoCluster, errCopy},
		func(refusal error) bool { return errors.Is(err, refusal) })
}

// reason puts why registration fails in words that stay the same while the reason does.
func (r *registrar) reason(err error) string {
	if other, ok := errors.AsType[*store.OtherAgentError](err); ok {
		return fmt.Sprintf("another agent (%s) holds the host name: nothing is done for it until it gives the name up", other.ID)
	}
	switch {
	case errors.Is(err, store.ErrDeregistered):
		return fmt.Sprintf("the host was deregistered: its containers go on running; helios register %s %s takes it back", r.host, r.id)
	case errors.Is(err, errCopy):
		return fmt.Sprintf("the state directory is a copy of that of the agent of %s, which is up: nothing is done until that has ended", r.memory.copied())
	case errors.Is(err, store.ErrForgotten):
		return fmt.Sprintf("the host has no registration, and whether it had one only a newer version of Helios can read in %s: "+
			"its containers go on running; helios register %s %s takes it back", memoryFile, r.host, r.id)
	case errors.Is(err, host.ErrConflict):
		return "another agent holds the host name"
	case errors.Is(err, store.ErrDenied):
		return "zookeeper does not let this agent register, whose credentials do not fit (helios manual acls): its containers go on running"
	case errors.Is(err, store.ErrNoCluster):
		return "zookeeper has no tree of this cluster (helios manual cluster-id): the tasks go on as they are"
	case errors.Is(err, store.ErrUnavailable):
		return "zookeeper is away: the tasks go on as they are"
	default:
		return "registration will be tried again"
	}
}
