package roles_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestFaultsOfRegistries breaks the registry of a job that is deployed meanwhile, and of one whose container dies and whose
// image is there.
func TestFaultsOfRegistries(t *testing.T) {
	const soon, late = 40 * time.Second, 130 * time.Second // the pauses between pulls, and what a pull takes
	promises(t, []promise{
		{"a registry that hangs keeps no image that is there from running", soon, false, registryFault(registryHang)},
		{"a registry that answers 401 keeps no image that is there from running", soon, false, registryFault(answering(http.StatusUnauthorized, "UNAUTHORIZED"))},
		{"a registry that answers 404 keeps no image that is there from running", late, false, registryFault(answering(http.StatusNotFound, "MANIFEST_UNKNOWN"))},
		{"a registry that answers 500 keeps no image that is there from running", soon, false, registryFault(answering(http.StatusInternalServerError, "UNKNOWN"))},
		{"a registry with wrong digests keeps no image that is there from running", soon, false, registryFault(wrongDigests)},
		{"an image is pulled from a slow registry", 90 * time.Second, false, registrySlow},
	})
}

func registryHang(http.Handler) http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// answering refuses all but the first question of a client, which is whether this is a registry.
func answering(status int, code string) func(http.Handler) http.Handler {
	return func(whole http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.TrimSuffix(r.URL.Path, "/") == "/v2" {
				whole.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"as the test wants it"}]}`, code)
		})
	}
}

// isBlob tells whether a request is for the content of an image.
func isBlob(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/")
}

func wrongDigests(whole http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isBlob(r) {
			whole.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		whole.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		if len(body) > 0 {
			body[len(body)/2] ^= 0xff
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
	})
}

func registryFault(fault func(http.Handler) http.Handler) func(tr *trial) {
	return func(tr *trial) {
		c := tr.start(setup{})
		docker := c.agents[0].docker
		registry := docker.Registry("127.0.0.1:0")
		there, absent := registry.Push("there:1", dockertest.Probe(tr)), registry.Push("absent:1", dockertest.Heavy(tr, dockertest.Busybox(tr), 1<<20))
		pulled := c.create(job.Job{Image: &there})
		c.deploy(pulled, docker.Host)
		c.awaitState(pulled, docker.Host, job.Running)
		tr.watch(docker, pulled)

		registry.Break(fault)
		tr.hurt(docker, pulled)
		before := running(docker, pulled)[0].ID
		docker.Kill(before)
		waiting := c.create(job.Job{Image: &absent, Command: idle})
		c.deploy(waiting, docker.Host)
		storetest.Eventually(tr, inTime, func() error {
			if runsOnly(docker, pulled, before) == nil {
				return errors.New("it still runs")
			}
			return runsOnly(docker, pulled, "")
		})
		status := c.awaitState(waiting, docker.Host, job.Failed)
		tr.Logf("a job whose image is not there: %s", describe(status))
		if status.Throttled == job.NotThrottled || status.ContainerError == "" {
			tr.Errorf("the reason is not shown: %s", describe(status))
		}
		tr.goesOn(time.Second)

		registry.Mend()
		tr.ends()
		tr.reaches(func() error {
			return errors.Join(c.wished(), c.runs(waiting, docker.Host, ""), tr.startsOnce(docker, waiting))
		})
		c.recovers()
	}
}

// registrySlow gives out an image for longer than the agent waits for any word of a pull.
func registrySlow(tr *trial) {
	c := tr.start(setup{})
	docker := c.agents[0].docker
	registry := docker.Registry("127.0.0.1:0")
	image := registry.Push("slow:1", dockertest.Heavy(tr, dockertest.Busybox(tr), 1<<20))
	registry.Break(func(whole http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isBlob(r) {
				whole.ServeHTTP(w, r)
				return
			}
			answer := httptest.NewRecorder()
			whole.ServeHTTP(answer, r)
			body := answer.Body.Bytes()
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(answer.Code)
			const parts = 40
			pace := time.NewTicker(time.Second)
			defer pace.Stop()
			for part := len(body)/parts + 1; len(body) > 0; body = body[min(part, len(body)):] {
				if _, err := w.Write(body[:min(part, len(body))]); err != nil {
					return
				}
				w.(http.Flusher).Flush()
				if len(body) > 10<<10 { // the image itself, not its configuration
					<-pace.C
				}
			}
		})
	})
	id := c.create(job.Job{Image: &image, Command: idle})
	tr.ends()
	c.deploy(id, docker.Host)
	tr.reaches(func() error {
		if s, err := c.task(id, docker.Host); err == nil && s != nil && s.State == job.Failed {
			tr.Errorf("the pull was given up: %s", describe(s))
		}
		return errors.Join(c.runs(id, docker.Host, ""), tr.startsOnce(docker, id))
	})
	c.recovers()
}
