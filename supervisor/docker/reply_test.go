package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor"
)

// endless answers paths that end so with JSON that has no end, at most 64 MB of it, and all else with a whole answer. It
// counts what it could send.
func endless(sent *atomic.Int64, paths ...string) http.HandlerFunc {
	whole := daemon("1.41", map[string]string{"images/img/json": "404 {}", "version": `200 {"Version":"1"}`})
	return func(w http.ResponseWriter, r *http.Request) {
		for _, path := range paths {
			if !strings.HasSuffix(r.URL.Path, path) {
				continue
			}
			w.Header().Set("Content-Type", "application/json")
			if r.Method == http.MethodPost && path != "/images/create" {
				w.WriteHeader(http.StatusCreated)
			}
			fmt.Fprint(w, `{"Id":"`)
			for chunk := []byte(strings.Repeat("x", 64<<10)); sent.Load() < 64<<20; {
				n, err := w.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}
		whole(w, r)
	}
}

func TestAReplyWithoutEndIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path string
		ask  func(context.Context, *Engine) error
		want error
	}{
		{"/containers/json", func(ctx context.Context, e *Engine) error { _, err := e.Running(ctx); return err }, supervisor.ErrUnavailable},
		{"/containers/c/json", func(ctx context.Context, e *Engine) error {
			_, err := e.Find(ctx, supervisor.Ref{Container: "c"})
			return err
		}, supervisor.ErrUnavailable},
		{"/containers/create", func(ctx context.Context, e *Engine) error {
			_, err := e.Create(ctx, supervisor.Spec{Name: "c", Job: &job.Job{Image: new("img")}})
			return err
		}, supervisor.ErrUnavailable},
		{"/version", func(ctx context.Context, e *Engine) error { _, err := e.Version(ctx); return err }, supervisor.ErrUnavailable},
		{"/exec", func(ctx context.Context, e *Engine) error { _, err := e.Exec(ctx, "c", []string{"x"}); return err }, supervisor.ErrUnavailable},
		{"/images/create", func(ctx context.Context, e *Engine) error { return e.Pull(ctx, "img") }, supervisor.ErrPullFailed},
	} {
		var sent atomic.Int64
		e := serve(t, endless(&sent, c.path))
		e.maxReply = 1 << 20
		err := c.ask(t.Context(), e)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "its reply is longer than 1048576 bytes") {
			t.Errorf("%s: %v", c.path, err)
		}
		// What else was sent lies in the buffers of the socket.
		if sent.Load() > 16<<20 {
			t.Errorf("%s: %d bytes were taken", c.path, sent.Load())
		}
		if c.path == "/version" {
			continue
		}
		if _, err := e.Version(t.Context()); err != nil {
			t.Errorf("the request after %s: %v", c.path, err)
		}
	}
}

// TestStreamsMayBeLong has a pull and the events of a long life: only one message is bounded.
func TestStreamsMayBeLong(t *testing.T) {
	t.Parallel()
	const messages, limit = 2000, 64 << 10
	var subscriptions, subscribed atomic.Int64
	over := make(chan struct{})
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/images/create"):
			for i := range messages {
				fmt.Fprintf(w, `{"status":"Downloading","id":"%d","progress":"%s"}`+"\r\n", i, strings.Repeat("=", 200))
			}
		case strings.HasSuffix(r.URL.Path, "/events"):
			if subscriptions.Add(1) > 1 {
				<-r.Context().Done()
				return
			}
			for i := range messages {
				fmt.Fprintf(w, `{"Type":"container","Action":"start","Actor":{"ID":"%d%s"}}`+"\n", i, strings.Repeat("x", 200))
			}
			fmt.Fprint(w, `{"Type":"container","Action":"die","timeNano":1,"Actor":{"ID":"c","Attributes":{"exitCode":"3"}}}`)
			w.(http.Flusher).Flush()
			<-over // then one event has no end
			for n := 0; n < 64<<20; n += 1 << 10 {
				if _, err := fmt.Fprint(w, strings.Repeat(" ", 1<<10)); err != nil {
					return
				}
				subscribed.Add(1 << 10)
			}
		}
	})
	e.maxReply = limit
	if err := e.Pull(t.Context(), "img"); err != nil {
		t.Errorf("a pull that tells much: %v", err)
	}
	w, leave := e.waiter("c")
	defer leave()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	storetest.Eventually(t, patience, func() error {
		select {
		case word := <-w.word:
			if word.ExitCode == 3 {
				return nil
			}
		default:
		}
		return errors.New("the last of many events was not heard")
	})
	if n := subscriptions.Load(); n != 1 {
		t.Errorf("%d subscriptions for one long stream", n)
	}
	close(over)
	storetest.Eventually(t, patience, func() error {
		if subscriptions.Load() < 2 {
			return errors.New("an event without end is waited for")
		}
		return nil
	})
	if subscribed.Load() > 16<<20 {
		t.Errorf("%d bytes of one event were taken", subscribed.Load())
	}
	cancel()
	<-ended
}
