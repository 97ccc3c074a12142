package roles_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// heldRequests keep what an agent asks of Docker for certain jobs from being done, or what was done from being answered. See
// heldRequests.handle.
type heldRequests struct {
	over chan struct{} // closed when nothing is held any more: what was held is dropped

	mu      sync.Mutex        // guards what follows
	jobs    map[string]string // what is held of a job, by its name: "before create", "after start" and so on
	made    map[string]string // names of the jobs of containers, by container id
	reached map[string]bool
}

func newHolds() *heldRequests {
	return &heldRequests{
		over: make(chan struct{}), jobs: make(map[string]string), made: make(map[string]string), reached: make(map[string]bool),
	}
}

// hold begins to hold something of a job.
func (h *heldRequests) hold(what string, id job.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jobs[id.Name] = what
}

// await waits until something is held.
func (h *heldRequests) await(tr *trial, what string) {
	tr.Helper()
	storetest.Eventually(tr, inTime, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !h.reached[what] {
			return fmt.Errorf("%s was not reached yet", what)
		}
		return nil
	})
}

// release drops what is held, and holds nothing more.
func (h *heldRequests) release() { close(h.over) }

// handle passes requests on, or holds them.
func (h *heldRequests) handle(w http.ResponseWriter, r *http.Request, daemon http.Handler) {
	_, path, _ := strings.Cut(r.URL.Path, "/containers/")
	container, verb, found := strings.Cut(path, "/")
	if !found {
		verb = container
	}
	if r.Method != http.MethodPost || verb != "create" && verb != "start" {
		daemon.ServeHTTP(w, r)
		return
	}
	h.stop("before "+verb, r, container)
	answer := httptest.NewRecorder()
	daemon.ServeHTTP(answer, r)
	if verb == "create" {
		var made struct{ ID string }
		if json.Unmarshal(answer.Body.Bytes(), &made) == nil {
			h.mu.Lock()
			h.made[made.ID] = r.URL.Query().Get("name")
			h.mu.Unlock()
		}
	}
	h.stop("after "+verb, r, container)
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// stop stays, if that is to be held, until nothing is held any more.
func (h *heldRequests) stop(what string, r *http.Request, container string) {
	h.mu.Lock()
	name := r.URL.Query().Get("name")
	if name == "" {
		name = h.made[container]
	}
	held := false
	for jobName, hold := range h.jobs {
		held = held || hold == what && strings.Contains(name, jobName)
	}
	if held {
		h.reached[what] = true
	}
	h.mu.Unlock()
	if !held {
		return
	}
	select {
	case <-h.over:
	default:
		select {
		case <-h.over:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	}
}
