package roles_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestFaultsOfMasters ends and stops masters, also in the middle of what they were told to do.
func TestFaultsOfMasters(t *testing.T) {
	promises(t, []promise{
		{"all masters may be gone, and containers that die meanwhile are replaced", 5 * time.Second, true, mastersGone},
		{"all masters may hang for longer than their sessions", 5 * time.Second, false, mastersHang},
		{"all masters may be killed in the middle of ten deploys, each of which takes effect once", time.Minute, true, mastersKilledInDeploys},
		{"all masters may be killed in the middle of ten undeploys, which stop nothing else", time.Minute, false, mastersKilledInUndeploys},
	})
}

func mastersGone(tr *trial) {
	c := tr.start(setup{masters: 2, tasks: 2})
	docker, id := c.agents[0].docker, c.ids[0]
	for _, m := range c.masters {
		m.process.kill()
	}
	tr.hurt(docker, id)
	first := running(docker, id)[0].ID
	docker.Kill(first)
	storetest.Eventually(tr, inTime, func() error {
		if runsOnly(docker, id, first) == nil {
			return errors.New("it still runs")
		}
		return runsOnly(docker, id, "")
	})
	tr.goesOn(3 * time.Second)
	for _, m := range c.masters {
		m.process.restart()
	}
	c.recovers()
}

func mastersHang(tr *trial) {
	c := tr.start(setup{masters: 2, agents: 2, tasks: 2})
	conn := c.tree()
	defer conn.Close()
	for _, m := range c.masters {
		m.process.signal(syscall.SIGSTOP)
	}
	for _, m := range c.masters {
		storetest.Eventually(tr, inTime, func() error {
			if up, _, err := conn.Exists("/status/masters/" + m.name + "/up"); err != nil || up {
				return fmt.Errorf("%s is up, %v", m.name, err)
			}
			return nil
		})
	}
	tr.goesOn(2 * time.Second)
	for _, m := range c.masters {
		m.process.signal(syscall.SIGCONT)
	}
	c.recovers()
}

// tenJobs are created, and the agent that each is for.
func (c *faultCluster) tenJobs() (ids []job.ID, agents []*agent) {
	c.trial.Helper()
	for i := range 10 {
		ids = append(ids, c.create(job.Job{Image: &c.image}))
		agents = append(agents, c.agents[i%len(c.agents)])
	}
	return ids, agents
}

// amid gives ten commands at once, kills all masters when the first is done, starts them again, and waits for the end of
// the commands: their client goes on trying.
func (c *faultCluster) amid(command func(i int) error) {
	c.trial.Helper()
	var commands errgroup.Group
	done := make(chan struct{}, 10)
	for i := range 10 {
		commands.Go(func() error {
			defer func() { done <- struct{}{} }()
			return command(i)
		})
	}
	<-done
	for _, m := range c.masters {
		m.process.kill()
	}
	c.Logf("the masters are killed when %d of ten commands are done", 1+len(done))
	for _, m := range c.masters {
		m.process.restart()
	}
	c.ends()
	if err := commands.Wait(); err != nil {
		c.trial.Error(err)
	}
}

func mastersKilledInDeploys(tr *trial) {
	c := tr.start(setup{masters: 2, agents: 2})
	ids, agents := c.tenJobs()
	c.amid(func(i int) error {
		_, err := c.Deploy(tr.Context(), agents[i].docker.Host, ids[i], job.Start, "")
		if errors.Is(err, job.ErrAlreadyDeployed) {
			return nil // by the master that could not say so any more
		}
		return err
	})
	tr.reaches(func() error {
		for i, id := range ids {
			if err := errors.Join(c.runs(id, agents[i].docker.Host, ""), runsOnly(agents[i].docker, id, "")); err != nil {
				return err
			}
		}
		return c.wished()
	})
	for i, id := range ids {
		tr.watch(agents[i].docker, id) // from its beginning, for the host is watched already
	}
}

func mastersKilledInUndeploys(tr *trial) {
	c := tr.start(setup{masters: 2, agents: 2})
	ids, agents := c.tenJobs()
	for i, id := range ids {
		c.deploy(id, agents[i].docker.Host)
	}
	for i, id := range ids {
		c.awaitState(id, agents[i].docker.Host, job.Running)
	}
	c.amid(func(i int) error {
		_, err := c.Undeploy(tr.Context(), agents[i].docker.Host, ids[i], "")
		if errors.Is(err, job.ErrNotDeployed) {
			return nil
		}
		return err
	})
	tr.reaches(func() error {
		for i, id := range ids {
			if list := running(agents[i].docker, id); len(list) > 0 {
				return fmt.Errorf("running containers of %s: %+v", id, list)
			}
			if s, err := c.task(id, agents[i].docker.Host); err != nil || s != nil {
				return fmt.Errorf("%s: %s, %v", id, describe(s), err)
			}
		}
		return c.wished()
	})
}
