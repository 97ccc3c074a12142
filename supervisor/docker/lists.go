package docker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/helios-go/helios/supervisor"
)

// A list is work for a daemon, the more the more containers there are, and where many die at once it has enough to do:
// lists take one part of its time in listShare, and begin at most listsApart after each other.
const (
	listShare  = 10
	listsApart = 100 * time.Millisecond
)

// shared asks the daemon once for all who want its answer at a time: those who come while it is asked share the next
// answer, so that none is older than its question.
type shared[T any] struct {
	ask   func(context.Context) (T, error)
	apart time.Duration // the most that the beginning of a question waits after that of the one before; zero: it does not
	due   time.Time     // when the next one may begin; belongs to serve

	mu     sync.Mutex  // guards what follows
	next   *outcome[T] // to a question that has not been asked
	asking bool        // another has
}

type outcome[T any] struct {
	ended chan struct{} // closed when the rest is known
	value T
	err   error
}

// get returns the answer, which is for reading only. Whoever leaves because ctx ends leaves it to the others.
func (s *shared[T]) get(ctx context.Context) (T, error) {
	o := s.join(ctx)
	select {
	case <-o.ended:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (s *shared[T]) join(ctx context.Context) *outcome[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &outcome[T]{ended: make(chan struct{})}
	}
	if !s.asking {
		s.asking = true
		go s.serve(context.WithoutCancel(ctx))
	}
	return s.next
}

// serve asks as long as somebody wants an answer.
func (s *shared[T]) serve(ctx context.Context) {
	for s.wanted() {
		time.Sleep(time.Until(s.due))
		began := time.Now()
		o := s.begin()
		o.value, o.err = s.ask(ctx)
		s.due = began.Add(min(s.apart, listShare*time.Since(began)))
		close(o.ended)
	}
}

func (s *shared[T]) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = s.next != nil
	return s.asking
}

// begin takes the answer that was wanted: whoever comes from now on waits for another.
func (s *shared[T]) begin() *outcome[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.next
	s.next = nil
	return o
}

// candidates lists what runs, or was made and not started, whosever it is: filters for names and labels would cost the
// daemon more than the whole list, which is asked for once for many tasks. What runs comes first.
func (e *Engine) candidates(ctx context.Context) ([]supervisor.Container, error) {
	filters := make(client.Filters)
	for _, state := range []container.ContainerState{container.StateCreated, container.StateRunning, container.StatePaused} {
		filters.Add("status", string(state))
	}
	listed, err := e.list(ctx, filters)
	later := func(c supervisor.Container) int {
		if c.Running {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(listed, func(a, b supervisor.Container) int { return later(a) - later(b) })
	return listed, err
}

// vouched is the answer of a daemon whose lists can be believed.
type vouched struct{}

// vouch fails if the daemon lists no running container and yet counts some: then its lists say nothing. Without a recorded
// container nothing but a list tells that there is none. One may start or end between the two answers, so they are
// compared more than once. To count is work for a daemon: it runs other programs to describe itself.
func (e *Engine) vouch(ctx context.Context) (vouched, error) {
	counted := 0
	for range 3 {
		running, err := e.Running(ctx)
		if err != nil || len(running) > 0 {
			return vouched{}, err
		}
		var answer client.SystemInfoResult
		err = e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) (err error) {
			answer, err = cli.Info(ctx, client.InfoOptions{})
			return err
		})
		if err != nil {
			return vouched{}, fmt.Errorf("count containers: %w", err)
		}
		if counted = answer.Info.ContainersRunning + answer.Info.ContainersPaused; counted == 0 {
			return vouched{}, nil
		}
	}
	return vouched{}, fmt.Errorf("%w sensibly: it lists no container, and counts %d that run", supervisor.ErrUnavailable, counted)
}

// Running lists the running containers.
func (e *Engine) Running(ctx context.Context) ([]supervisor.Container, error) {
	return e.list(ctx, nil)
}

func (e *Engine) list(ctx context.Context, filters client.Filters) ([]supervisor.Container, error) {
	var answer client.ContainerListResult
	err := e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) (err error) {
		answer, err = cli.ContainerList(ctx, client.ContainerListOptions{Filters: filters})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	if answer.Items == nil { // a daemon says [] when there are none
		return nil, fmt.Errorf("list containers: %w: no list in its answer", supervisor.ErrUnavailable)
	}
	containers := make([]supervisor.Container, 0, len(answer.Items))
	for _, item := range answer.Items {
		c := supervisor.Container{
			ID: item.ID, Labels: item.Labels,
			Running:   item.State == container.StateRunning || item.State == container.StatePaused,
			Unstarted: item.State == container.StateCreated && time.Since(time.Unix(item.Created, 0)) < fresh,
		}
		for _, p := range item.Ports {
			port := supervisor.PublishedPort{Protocol: p.Type, Container: int(p.PrivatePort), Host: int(p.PublicPort)}
			if port.Host > 0 && !slices.Contains(c.Ports, port) { // each is listed for each family of addresses
				c.Ports = append(c.Ports, port)
			}
		}
		for _, name := range item.Names {
			// A linked container has further names with a path.
			if name = strings.TrimPrefix(name, "/"); !strings.Contains(name, "/") {
				c.Name = name
			}
		}
		containers = append(containers, c)
	}
	return containers, nil
}
