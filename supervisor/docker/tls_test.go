package docker_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
	"github.com/helios-go/helios/supervisor/docker"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestATaskOnADaemonOverTLS is the life of a container with every kind of request: short ones, a stream, and a command
// whose output has a connection of its own.
func TestATaskOnADaemonOverTLS(t *testing.T) {
	t.Parallel()
	daemon := dockertest.New(t)
	secured := daemon.Secure()
	e, err := docker.New(docker.Options{Endpoint: secured.Endpoint, CertPath: secured.CertPath})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*limit)
	defer cancel()
	insist := func(what string, request func() error) { // a daemon that is busy is asked again, as supervisors do
		t.Helper()
		err := request()
		for errors.Is(err, supervisor.ErrUnavailable) && ctx.Err() == nil {
			err = request()
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	listening := make(chan error, 1)
	go func() { listening <- e.Run(ctx) }()
	image := "127.0.0.1:1/" + daemon.Host + "/probe:1"
	daemon.Load(image, dockertest.Probe(t))
	insist("pull", func() error { return e.Pull(ctx, image) })
	ref := supervisor.Ref{Host: daemon.Host, Agents: []string{"tls"}, Job: job.ID{Name: "tls", Version: "1", Hash: strings.Repeat("0123456789", 4)}}
	spec := supervisor.Spec{Labels: ref.Labels(), Job: &job.Job{ID: ref.Job, Image: &image, Command: []string{"ignoreterm"}}}
	id := ""
	insist("create", func() (err error) { id, err = e.Create(ctx, spec); return err })
	insist("start", func() error { return e.Start(ctx, id) })
	var found supervisor.Container
	insist("find", func() (err error) { found, err = e.Find(ctx, ref); return err })
	if found.ID != id || !found.Running {
		t.Errorf("found %+v", found)
	}
	code := 0
	insist("a command in it", func() (err error) { code, err = e.Exec(ctx, id, []string{"/probe", "nonsense"}); return err })
	if code != 2 {
		t.Errorf("the command ended with %d, want 2", code)
	}
	ended := make(chan error, 1)
	go func() {
		c, err := e.Wait(ctx, id)
		if err == nil && (c.ID != id || c.Running) {
			err = errors.New("it waited for something else")
		}
		ended <- err
	}()
	insist("stop", func() error { return e.Stop(ctx, id, 0) })
	if err := <-ended; err != nil {
		t.Errorf("wait: %v", err)
	}
	cancel()
	<-listening
}

// TestWhoIsNotTrustedIsNotSpokenTo has an endpoint that is no daemon of ours: whatever is wrong is said in one sentence,
// and says nothing about containers.
func TestWhoIsNotTrustedIsNotSpokenTo(t *testing.T) {
	t.Parallel()
	certs, config := dockertest.Certificates(t)
	others, _ := dockertest.Certificates(t)
	spoken := func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Api-Version", "1.41") }
	secure := httptest.NewUnstartedServer(http.HandlerFunc(spoken))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail
	secure.TLS = config
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(http.HandlerFunc(spoken))
	t.Cleanup(plain.Close)
	stranger := t.TempDir() // the right authority, and a client of another one
	for name, from := range map[string]string{"ca.pem": certs, "cert.pem": others, "key.pem": others} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(stranger, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	endpoint := func(s *httptest.Server) string { return "tcp://" + s.Listener.Addr().String() }
	for _, c := range []struct {
		name, endpoint, certs, says string
	}{
		{"all is right", endpoint(secure), certs, ""},
		{"the server is of another authority", endpoint(secure), others, "certificate signed by unknown authority"},
		{"the client is of another authority", endpoint(secure), stranger, "tls: "},
		{"the server is known by another name", strings.Replace(endpoint(secure), "127.0.0.1", "localhost", 1), certs, "wanted to match localhost"},
		{"TLS is not spoken where it must be", endpoint(secure), "", "HTTP request to an HTTPS server"},
		{"TLS is spoken where it is not", endpoint(plain), certs, "server gave HTTP response to HTTPS client"},
		{"plain is right", endpoint(plain), "", ""},
	} {
		e, err := docker.New(docker.Options{Endpoint: c.endpoint, CertPath: c.certs})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		err = e.Ping(t.Context())
		switch {
		case c.says == "":
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		case !errors.Is(err, supervisor.ErrUnavailable) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: it says %v, want %q in one line", c.name, err, c.says)
		}
		e.Close()
	}
	if _, err := docker.New(docker.Options{Endpoint: endpoint(secure), CertPath: t.TempDir()}); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("no certificates: %v", err)
	}
}
