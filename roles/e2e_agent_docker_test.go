package roles_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// inspect reads what Docker shows of a container.
func (h *hostCase) inspect(container string, into any) {
	h.t.Helper()
	if err := json.Unmarshal(h.docker.Inspect(container), into); err != nil {
		h.t.Fatal(err)
	}
}

// dockerProxy is a way to the Docker daemon; it returns its endpoint. Each request is handled by between, which may pass
// it on to the daemon, and each answer of the daemon is changed last; nil does neither.
func dockerProxy(t testing.TB, between func(w http.ResponseWriter, r *http.Request, daemon http.Handler), change func(*http.Response) error) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		ErrorLog: log.New(io.Discard, "", 0),
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", "/var/run/docker.sock")
		}},
		FlushInterval: -1, ModifyResponse: change,
	}
	server := &http.Server{ReadHeaderTimeout: inTime, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if between == nil {
			through.ServeHTTP(w, r)
		} else {
			between(w, r, through)
		}
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return "unix://" + socket
}

// TestDockerRestarts is the case of a daemon that is replaced under an agent, with its containers running on: the machine's
// own is left alone.
func TestDockerRestarts(t *testing.T) {
	t.Parallel()
	t.Run("AGT-049 container of a daemon that restarts runs on as it was", func(t *testing.T) {
		docker := dockertest.StartPrivate(t, "--live-restore")
		c, _ := startMaster(t, storetest.ZooKeeper(t))
		h := &hostCase{cluster: c, docker: docker.Daemon}
		h.image = *shell(t, h.docker)
		h.start("--docker", docker.Endpoint)
		id := h.create(job.Job{Image: &h.image, Command: idle})
		container := *h.run(id).ContainerID
		docker.Stop()
		h.awaitState(id, h.docker.Host, job.Failed)
		docker.Start()
		storetest.Eventually(t, inTime, func() error {
			return errors.Join(h.runs(id, h.docker.Host, container), runsOnly(h.docker, id, container))
		})
		holds(t, 2*time.Second, func() error {
			return errors.Join(h.runs(id, h.docker.Host, container), runsOnly(h.docker, id, container))
		})
		if list := h.docker.Containers(); len(list) != 1 {
			t.Errorf("containers: %+v", list)
		}
		if l := lifetimes(t, h.docker, id); len(l) != 1 || !l[0].State.Running || l[0].RestartCount != 0 {
			t.Errorf("lifetimes: %+v", l)
		}
	})
}
