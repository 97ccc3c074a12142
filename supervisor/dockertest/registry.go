package dockertest

import (
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Registry is an image registry in the test process, which the daemon trusts without TLS.
type Registry struct {
	// Addr is the address it listens on, the first part of its images' names.
	Addr string

	d       *Daemon
	whole   http.Handler
	handler atomic.Pointer[http.Handler] // of all requests: whole, or what a fault made of it
}

// Registry starts a registry on the address: 127.0.0.1:0 for a free port, or 127.0.0.1:5000 where recordings name it
// (one test package owns that port). It ends with the test, and the daemon then has none of its images left.
func (d *Daemon) Registry(addr string) *Registry {
	d.t.Helper()
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		d.t.Fatal(err)
	}
	r := &Registry{
		Addr: listener.Addr().String(), d: d, whole: registry.New(registry.Logger(log.New(io.Discard, "", 0))),
	}
	r.Mend()
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { (*r.handler.Load()).ServeHTTP(w, q) }),
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	d.t.Cleanup(func() {
		server.Close()
		<-served
	})
	d.images = append(d.images, listener.Addr().String()+"/*", listener.Addr().String()+"/*/*")
	return r
}

// Break has all requests handled by what fault makes of the whole registry, until Mend.
func (r *Registry) Break(fault func(whole http.Handler) http.Handler) {
	broken := fault(r.whole)
	r.handler.Store(&broken)
}

// Mend makes the registry whole again.
func (r *Registry) Mend() { r.handler.Store(&r.whole) }

// Push puts the image into the registry under the name, such as "probe:1", and returns its full reference,
// 127.0.0.1:PORT/probe:1. The daemon does not have the image until it is pulled.
func (r *Registry) Push(image string, img v1.Image) string {
	r.d.t.Helper()
	reference := r.Addr + "/" + image
	tag, err := name.NewTag(reference)
	if err != nil {
		r.d.t.Fatal(err)
	}
	ctx, cancel := r.d.request()
	defer cancel()
	if err := remote.Write(tag, r.d.unique(img), remote.WithContext(ctx)); err != nil {
		r.d.t.Fatal(err)
	}
	return reference
}

// Digest returns the digest of a pushed image, sha256:….
func (r *Registry) Digest(reference string) string {
	r.d.t.Helper()
	tag, err := name.NewTag(reference)
	if err != nil {
		r.d.t.Fatal(err)
	}
	ctx, cancel := r.d.request()
	defer cancel()
	found, err := remote.Head(tag, remote.WithContext(ctx))
	if err != nil {
		r.d.t.Fatal(err)
	}
	return found.Digest.String()
}
