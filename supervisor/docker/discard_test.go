package docker_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
	"github.com/helios-go/helios/supervisor/docker"
	"github.com/helios-go/helios/supervisor/dockertest"
)

func TestARealDaemonKeepsNothingThatItRefusedToStart(t *testing.T) {
	t.Parallel()
	daemon := dockertest.New(t)
	image := "127.0.0.1:1/" + daemon.Host + "/probe:1"
	daemon.Load(image, dockertest.Calling(t, dockertest.Probe(t), nil))
	var log strings.Builder
	e, err := docker.New(docker.Options{RemoveRefused: true, Logger: zerolog.New(&log)})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	ref := supervisor.Ref{Host: daemon.Host, Agents: []string{"a"}, Job: job.ID{Name: "refused", Version: "1", Hash: strings.Repeat("0123456789", 4)}}
	id, err := e.Create(t.Context(), supervisor.Spec{
		Labels: ref.Labels(), Job: &job.Job{ID: ref.Job, Image: &image, Command: []string{"/nonexistent"}, Volumes: map[string]string{"/data": ""}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for err = supervisor.ErrUnavailable; errors.Is(err, supervisor.ErrUnavailable) && t.Context().Err() == nil; {
		err = e.Start(t.Context(), id)
	}
	if err == nil || !strings.Contains(err.Error(), "nonexistent") {
		t.Errorf("start: %v", err)
	}
	ref.Container = id
	for err = supervisor.ErrUnavailable; errors.Is(err, supervisor.ErrUnavailable) && t.Context().Err() == nil; {
		_, err = e.Find(t.Context(), ref)
	}
	if err != nil {
		t.Errorf("find: %v", err)
	}
	if left := daemon.Containers(); len(left) > 0 {
		t.Errorf("left: %+v\n%s", left, log.String())
	}
}
