package store

import (
	"context"
	"testing"
	"time"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

func TestLosingTheLeaderLosesNothing(t *testing.T) {
	t.Parallel()
	ensemble := storetest.StartEnsemble(t, 3)
	leader := ensemble.AwaitLeader()
	agent, master := open(t, Options{Servers: ensemble.Servers()}), open(t, Options{Servers: ensemble.Servers()})
	j := sample("web")
	deployed(t, master, j)
	background(t, func(ctx context.Context) error { return agent.KeepHostUp(ctx, "h1", "id1") })
	eventuallyUp(t, master, "h1", true)
	told := watch(t, agent)
	told.await(t, "web START")

	ensemble.Kill(leader)
	storetest.Eventually(t, time.Minute, func() error {
		return master.SetGoal(t.Context(), "h1", j.ID, job.Stop, "")
	})
	told.await(t, "web STOP")
	if up, err := master.HostUp(t.Context(), "h1"); !up || err != nil {
		t.Errorf("up: %v, %v", up, err)
	}
	if told.count() != 2 {
		t.Errorf("told %d times", told.count())
	}
}
