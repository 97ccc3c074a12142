package docker

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
)

func TestWhatLastsIsSaidOnce(t *testing.T) {
	t.Parallel()
	var n news
	for i, c := range []struct {
		subject, text string
		want          bool
	}{
		{"a", "dial 127.0.0.1:5000: refused", true},
		{"a", "dial 127.0.0.1:5000: refused", false},
		{"b", "dial 127.0.0.1:5000: refused", true},
		{"a", "dial 127.0.0.1:5001: refused", false},
		{"a", "unauthorized", true},
		{"a", "dial 127.0.0.1:5000: refused", true},
		{"a", "", false},
		{"a", "", false},
		{"a", "dial 127.0.0.1:5000: refused", true},
		{"b", "dial 127.0.0.1:5000: refused", false},
	} {
		if got := n.is(c.subject, c.text); got != c.want {
			t.Errorf("step %d, %q of %s: %v", i, c.text, c.subject, got)
		}
	}
	for i := range 3 * subjects {
		n.is(fmt.Sprint("subject ", i), "x")
	}
	if len(n.said) > subjects {
		t.Errorf("%d are remembered", len(n.said))
	}
}

// TestARegistryThatIsAwayIsSaidOnce has a task that fails each second, and so pulls each second.
func TestARegistryThatIsAwayIsSaidOnce(t *testing.T) {
	t.Parallel()
	var cause atomic.Value
	cause.Store("500 connection refused")
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]string{"images/a/json": "200 {}", "images/b/json": "200 {}"}
		status, text, _ := strings.Cut(cause.Load().(string), " ")
		answers["images/create"] = fmt.Sprintf(`%s {"message":%q}`, status, text)
		daemon("1.41", answers)(w, r)
	})
	var log bytes.Buffer
	e.log = zerolog.New(&log)
	pull := func(images ...string) {
		t.Helper()
		for _, image := range images {
			if err := e.Pull(t.Context(), image); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		cause string
		want  int // lines
	}{{"500 connection refused", 2}, {"500 unauthorized", 2}, {"200 fetched", 0}, {"500 unauthorized", 2}} {
		cause.Store(c.cause)
		log.Reset()
		pull("a", "b", "a", "a", "b")
		if got := strings.Count(log.String(), "\n"); got != c.want {
			t.Errorf("%s: %d lines, want %d:\n%s", c.cause, got, c.want, log.String())
		}
	}
}
