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

// listsApart is how long after the beginning of a list the next one begins at the earliest. A list is work for a daemon, the
// more the more containers there are, and where many die at once it has enough to do.
const listsApart = 100 * time.Millisecond

// sharedList asks once for all who want a list at a time: those who come while the daemon is asked share the next answer,
// so that none is older than its question.
type sharedList struct {
	ask  func(context.Context) ([]supervisor.Container, error)
	last time.Time // when the last list began; belongs to serve

	mu     sync.Mutex // guards what follows
	next   *listing   // has not begun
	asking bool       // another has
}

type listing struct {
	ended      chan struct{} // closed when the rest is known
	containers []supervisor.Container
	err        error
}

// get returns the list, which is for reading only. Whoever leaves because ctx ends leaves it to the others.
func (s *sharedList) get(ctx context.Context) ([]supervisor.Container, error) {
	l := s.join(ctx)
	select {
	case <-l.ended:
		return l.containers, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (s *sharedList) join(ctx context.Context) *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &listing{ended: make(chan struct{})}
	}
	if !s.asking {
		s.asking = true
		go s.serve(context.WithoutCancel(ctx))
	}
	return s.next
}

// serve makes lists as long as somebody wants one.
func (s *sharedList) serve(ctx context.Context) {
	for s.wanted() {
		time.Sleep(time.Until(s.last.Add(listsApart)))
		s.last = time.Now()
		l := s.begin()
		l.containers, l.err = s.ask(ctx)
		close(l.ended)
	}
}

func (s *sharedList) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = s.next != nil
	return s.asking
}

// begin takes the list that was wanted: whoever comes from now on waits for another.
func (s *sharedList) begin() *listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.next
	s.next = nil
	return l
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

// vouch fails if the daemon lists no running container and yet counts some: then its lists say nothing. Without a recorded
// container nothing but a list tells that there is none. One may start or end between the two answers, so they are
// compared more than once.
func (e *Engine) vouch(ctx context.Context) error {
	counted := 0
	for range 3 {
		running, err := e.Running(ctx)
		if err != nil || len(running) > 0 {
			return err
		}
		var answer client.SystemInfoResult
		err = e.ask(ctx, patience, func(ctx context.Context, cli *client.Client) (err error) {
			answer, err = cli.Info(ctx, client.InfoOptions{})
			return err
		})
		if err != nil {
			return fmt.Errorf("count containers: %w", err)
		}
		if counted = answer.Info.ContainersRunning + answer.Info.ContainersPaused; counted == 0 {
			return nil
		}
	}
	return fmt.Errorf("%w sensibly: it lists no container, and counts %d that run", supervisor.ErrUnavailable, counted)
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
