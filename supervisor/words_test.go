package supervisor

import (
	"slices"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
)

// dies ends a container without anybody noticing; what is said of it comes from lie.
func (e *fakeEngine) dies(id string, code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.containers[id]
	c.Running, c.ExitCode, c.FinishedAt = false, code, time.Now()
}

func TestAnEndIsReportedBeforeItCanBeSeen(t *testing.T) {
	t.Parallel()
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.begin(job.Start)
		after(time.Minute)
		e.dies("id001", 137)
		ended := time.Now()
		after(40 * time.Millisecond)
		told := time.Now()
		e.set(func(b *behaviour) {
			b.findTakes = 160 * time.Millisecond
			b.lies = Container{ID: "id001", ExitCode: 137, FinishedAt: told}
		})
		after(0)
		exited := k.last()
		if exited.State != job.Exited || *exited.ExitCode != 137 || *exited.FinishedAt != told.UnixMilli() || exited.at != told {
			t.Errorf("%s %s after the word", exited.State, exited.at.Sub(told))
		}
		after(200 * time.Millisecond)
		e.set(func(b *behaviour) { b.findTakes = 0 })
		after(time.Minute)
		if got := k.states(4); got != "EXITED PULLING_IMAGE CREATING STARTING RUNNING" {
			t.Errorf("reports %s", got)
		}
		next := k.seen()[5]
		if next.at.Sub(ended) != time.Second || *next.FinishedAt != ended.UnixMilli() {
			t.Errorf("next run %s after the end, which is said to be %s late", next.at.Sub(ended), time.UnixMilli(*next.FinishedAt).Sub(ended))
		}
	})
}

func TestAWordThatIsNotTrueMakesNoSecondContainer(t *testing.T) {
	t.Parallel()
	for name, finished := range map[string]time.Duration{"now": 0, "an hour ago": -time.Hour, "in an hour": time.Hour} {
		in(t, func(t *testing.T, e *fakeEngine, k *task) {
			k.begin(job.Start)
			after(time.Minute)
			e.lie(Container{ID: "id001", ExitCode: 1, OOMKilled: true, FinishedAt: time.Now().Add(finished)})
			after(time.Minute)
			got := k.last()
			if k.states(4) != "EXITED RUNNING" || *got.ContainerID != "id001" || got.ExitCode != nil || got.FinishedAt != nil || got.OOMKilled != nil {
				t.Errorf("ended %s: %s, %+v", name, k.states(4), got)
			}
			if len(e.called("create")) != 1 || !slices.Equal(e.running(), []string{"id001"}) {
				t.Errorf("ended %s: %v", name, e.called(""))
			}
		})
	}
	in(t, func(t *testing.T, e *fakeEngine, k *task) {
		k.begin(job.Start)
		after(time.Minute)
		e.set(func(b *behaviour) { b.findTakes = time.Millisecond })
		e.lie(Container{ID: "id001"})
		after(0)
		e.setAway(true)
		after(10 * time.Minute)
		e.setAway(false)
		after(time.Minute)
		if got := k.states(4); got != "EXITED FAILED RUNNING" || len(e.called("create")) != 1 {
			t.Errorf("with the engine away after it: %s, %v", got, e.called("create"))
		}
	})
}

func TestAStopIsCompleteWhenThatIsSeen(t *testing.T) {
	t.Parallel()
	for _, order := range []string{"goal first", "word first"} {
		in(t, func(t *testing.T, e *fakeEngine, k *task) {
			k.begin(job.Start)
			after(time.Minute)
			e.set(func(b *behaviour) { b.unkillable = true })
			steps := []func(){func() { k.goal(job.Undeploy) }, func() { e.lie(Container{ID: "id001"}) }}
			if order == "word first" {
				slices.Reverse(steps)
			}
			for _, do := range steps {
				do()
				after(time.Second / 2)
			}
			after(time.Minute)
			if k.release() || k.last().State != job.Stopping || len(e.called("stop")) != 1 || len(e.called("kill")) == 0 {
				t.Errorf("%s: %s, %v", order, k.states(4), e.called(""))
			}
			e.set(func(b *behaviour) { b.unkillable = false })
			after(time.Minute)
			if !k.release() || k.last().State != job.Stopped {
				t.Errorf("%s: %s", order, k.states(4))
			}
		})
	}
}

func TestWhatAWordGetsWrongIsPutRight(t *testing.T) {
	t.Parallel()
	for name, word := range map[string]Container{
		"exit code":     {ID: "id001", ExitCode: 1, OOMKilled: true},
		"out of memory": {ID: "id001", ExitCode: 137},
	} {
		in(t, func(t *testing.T, e *fakeEngine, k *task) {
			k.begin(job.Start)
			after(time.Minute)
			e.dies("id001", 137)
			e.mu.Lock()
			e.containers["id001"].OOMKilled = true
			e.mu.Unlock()
			e.lie(word)
			after(time.Second / 2)
			first, second := k.seen()[4], k.last()
			if k.states(4) != "EXITED EXITED" || *second.ExitCode != 137 || !*second.OOMKilled || second.FinishedAt == nil {
				t.Errorf("%s: %s, %+v", name, k.states(4), second)
			}
			if int(*first.ExitCode) != word.ExitCode || *first.OOMKilled != word.OOMKilled {
				t.Errorf("%s: what was reported has changed: %+v", name, first)
			}
			after(time.Minute)
			if got := k.states(6); got != "PULLING_IMAGE CREATING STARTING RUNNING" {
				t.Errorf("%s: then %s", name, got)
			}
		})
	}
}
