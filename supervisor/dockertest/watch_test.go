package dockertest

import (
	"errors"
	"slices"
	"testing"

	"github.com/helios-go/helios/store/storetest"
)

func TestWatchNotesWhatHappensToTheContainersOfTheTest(t *testing.T) {
	t.Parallel()
	d, other := New(t), New(t)
	w := d.Watch()
	image := "127.0.0.1:1/" + d.Host + ":1"
	d.Load(image, Busybox(t))
	run(t, other, image, "sh", "-c", "exit 0")
	if status := run(t, d, image, "sh", "-c", "exit 3"); status != 3 {
		t.Fatalf("exit status %d", status)
	}
	id := d.Containers()[0].ID
	d.Remove(id)
	var actions []string
	storetest.Eventually(t, patience, func() error {
		actions = nil
		for _, e := range w.Events() {
			if e.Container != id || e.Labels["k"] != "v" {
				t.Fatalf("event of another container: %+v", e)
			}
			actions = append(actions, e.Action)
		}
		if !slices.Contains(actions, "destroy") {
			return errors.New("not seen removed")
		}
		return nil
	})
	if want := []string{"create", "start", "die", "destroy"}; !slices.Equal(actions, want) {
		t.Errorf("actions %v, want %v", actions, want)
	}
}

func TestWatchGoesOnWithADaemonThatWasStartedAgain(t *testing.T) {
	t.Parallel()
	p := StartPrivate(t)
	w := p.Watch()
	image := "127.0.0.1:1/" + p.Host + ":1"
	p.Load(image, Busybox(t))
	p.Crash()
	p.Start()
	id := create(t, p.Daemon, image)
	storetest.Eventually(t, patience, func() error {
		for _, e := range w.Events() {
			if e.Container == id && e.Action == "create" {
				return nil
			}
		}
		return errors.New("not seen created")
	})
}
