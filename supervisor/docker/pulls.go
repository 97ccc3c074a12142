package docker

import (
	"context"
	"errors"
	"sync"

	"github.com/distribution/reference"
	"golang.org/x/sync/semaphore"
)

// pullsAtOnce is how many images are pulled from one registry at a time, so that a host that starts with many tasks does
// not take them all in pieces. One registry that hangs keeps nobody from the others.
const pullsAtOnce = 4

// errUnwanted ends a pull that nobody waits for any more.
var errUnwanted = errors.New("nobody waits for the image any more")

// pulls has each image fetched once for all who want it at a time. The zero value is ready.
type pulls struct {
	mu         sync.Mutex // guards what follows
	underway   map[string]*fetch
	registries map[string]*semaphore.Weighted
}

// fetch is one pull, and how many wait for it.
type fetch struct {
	waiting int
	cancel  context.CancelCauseFunc
	ended   chan struct{} // closed at its end; err is known then
	err     error
}

// share fetches an image, or waits for the fetch that is underway. Whoever leaves because ctx ends leaves it to the
// others; with the last of them it ends.
func (p *pulls) share(ctx context.Context, image string, pull func(context.Context, string) error) error {
	f := p.join(ctx, image, pull)
	select {
	case <-f.ended:
		p.leave(image, f)
		return f.err
	case <-ctx.Done():
		if last := p.leave(image, f); last {
			f.cancel(errUnwanted)
			<-f.ended
		}
		return context.Cause(ctx)
	}
}

func (p *pulls) join(ctx context.Context, image string, pull func(context.Context, string) error) *fetch {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.underway[image]
	if f == nil {
		f = &fetch{ended: make(chan struct{})}
		if p.underway == nil {
			p.underway = make(map[string]*fetch)
		}
		p.underway[image] = f
		ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		go func() {
			defer close(f.ended)
			f.err = pull(ctx, image)
			f.cancel(nil)
			p.forget(image, f)
		}()
	}
	f.waiting++
	return f
}

// leave tells whether nobody waits any more; then nobody joins either.
func (p *pulls) leave(image string, f *fetch) (last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.waiting--
	if f.waiting == 0 && p.underway[image] == f {
		delete(p.underway, image)
	}
	return f.waiting == 0
}

// forget lets the next one who wants the image fetch it anew.
func (p *pulls) forget(image string, f *fetch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.underway[image] == f {
		delete(p.underway, image)
	}
}

// turns are those of an image's registry; a name that is none has turns of its own.
func (p *pulls) turns(image string) *semaphore.Weighted {
	registry := ""
	if named, err := reference.ParseNormalizedNamed(image); err == nil {
		registry = reference.Domain(named)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := p.registries[registry]
	if turn == nil {
		turn = semaphore.NewWeighted(pullsAtOnce)
		if p.registries == nil {
			p.registries = make(map[string]*semaphore.Weighted)
		}
		p.registries[registry] = turn
	}
	return turn
}
