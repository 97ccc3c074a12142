package roles_test

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// BenchmarkAgentBars is BenchmarkBars for an agent that has much to look after.
func BenchmarkAgentBars(b *testing.B) {
	l := &agentLab{lab: newLab(b, "speed bars of an agent")}
	l.cluster, _ = startMaster(b, storetest.StartZooKeeper(b).Addr())
	l.agent = startAgent(l.cluster, l.docker, nil)
	l.cluster.await(l.docker.Host, host.Up)
	l.measure(l.pass, l.healthy, l.hundred, l.adopt, l.killed)
}

type agentLab struct {
	*lab
	agent *agent
	ids   []job.ID // of a hundred tasks
}

// pass takes the figures of the benchmark in roles/agent: the passes that find nothing changed.
func (l *agentLab) pass() []bar {
	const times = 5
	out, err := exec.Command("go", "test", "-run=^$", "-bench=^BenchmarkPass$", "-benchtime=100ms",
		"-count="+strconv.Itoa(times), "./agent").CombinedOutput()
	bars := []bar{
		{what: "a pass over a hundred tasks", unit: "ms", limit: 5}, {what: "a pass over a thousand tasks", unit: "ms", limit: 20},
	}
	for i, many := range []string{"100", "1000"} {
		figures := regexp.MustCompile(`unchanged/`+many+`\b\S*\s+\d+\s+([0-9.]+) ns/op`).FindAllSubmatch(out, -1)
		if err != nil || len(figures) != times {
			l.b.Fatalf("benchmark of roles/agent: %v\n%s", err, out)
		}
		for _, figure := range figures {
			ns, _ := strconv.ParseFloat(string(figure[1]), 64)
			bars[i].ours = append(bars[i].ours, ns/1e6)
		}
	}
	return bars
}

// healthy is the time from the moment a check can pass until the API says RUNNING. The workload is well so long after its
// process was started, which is a little later than Docker says.
func (l *agentLab) healthy() []bar {
	const sick = 1500 * time.Millisecond
	took := inTurn(5, func() float64 {
		j := l.job()
		j.Command = []string{"http", "-fail-healthz", fmt.Sprint(sick.Seconds())}
		j.HealthCheck = &job.HealthCheck{Type: job.CheckHTTP, Port: new("http"), Path: new("/healthz")}
		id := l.cluster.create(j)
		l.cluster.deploy(id, l.docker.Host)
		l.soon(func() bool { return l.state(id) == job.Running })
		seen := time.Now()
		status, err := l.cluster.task(id, l.docker.Host)
		if err != nil {
			l.b.Fatal(err)
		}
		defer l.clear(id, *status.ContainerID)
		return milliseconds(seen.Sub(l.moments(*status.ContainerID).StartedAt.Add(sick)))
	})
	return []bar{{what: "health check can pass to RUNNING", unit: "ms", limit: 250, ours: took[0]}}
}

// running waits until all tasks run in other containers than these, and returns the containers by task. It asks seldom: to
// answer for a hundred tasks is work, too, and when a container was started Docker knows.
func (l *agentLab) running(before map[job.ID]string) map[job.ID]string {
	l.b.Helper()
	var now map[job.ID]string
	storetest.Eventually(l.b, patient, func() error {
		<-time.After(time.Second)
		now = make(map[job.ID]string)
		status, err := l.cluster.HostStatus(l.b.Context(), l.docker.Host)
		if err != nil {
			return err
		}
		for _, id := range l.ids {
			if s := status.Statuses[id]; s != nil && s.State == job.Running && *s.ContainerID != before[id] {
				now[id] = *s.ContainerID
			}
		}
		if len(now) != len(l.ids) {
			return fmt.Errorf("%d of %d run", len(now), len(l.ids))
		}
		return nil
	})
	return now
}

// awaitRunning waits until the agent has said RUNNING that often after the beginning of its log. Asking the API for many
// tasks would be work that docker run is spared.
func (a *agent) awaitRunning(b *testing.B, beginning, many int) {
	b.Helper()
	storetest.Eventually(b, patient, func() error {
		<-time.After(200 * time.Millisecond)
		if n := strings.Count(a.log()[beginning:], `"state":"RUNNING"`); n < many {
			return fmt.Errorf("%d of %d run", n, many)
		}
		return nil
	})
}

// hundred is what an agent needs that looks after a hundred running containers while nothing changes. They go on running.
func (l *agentLab) hundred() []bar {
	for range 100 {
		id := l.cluster.create(job.Job{Image: &l.image, Command: []string{"sleep", "36000"}})
		l.cluster.deploy(id, l.docker.Host)
		l.ids = append(l.ids, id)
	}
	l.running(nil)
	<-time.After(settle)
	before, began := l.agent.cpu(), time.Now()
	<-time.After(watched)
	share := 100 * (l.agent.cpu() - before).Seconds() / time.Since(began).Seconds()
	return []bar{
		{what: "agent of a hundred containers, resident memory", unit: "MB", limit: 60, ours: []float64{l.agent.resident()}},
		{what: "agent of a hundred containers, share of a core", unit: "%", limit: 1, ours: []float64{share}},
	}
}

// adopt is the time from the start of the agent's program until its host is up and it has reported each of a hundred
// containers, which it found running.
func (l *agentLab) adopt() []bar {
	containers := l.running(nil)
	took := inTurn(5, func() float64 {
		l.agent.stop()
		l.cluster.await(l.docker.Host, host.Down)
		said := len(l.agent.log())
		began := time.Now()
		l.agent.restart()
		l.soon(func() bool {
			return strings.Count(l.agent.log()[said:], `"state":"RUNNING","before":"RUNNING"`) == len(l.ids)
		})
		l.soon(func() bool {
			status, err := l.cluster.HostStatus(l.b.Context(), l.docker.Host)
			return err == nil && status.Status == host.Up
		})
		return milliseconds(time.Since(began))
	})
	for id, container := range l.running(nil) {
		if containers[id] != container {
			l.b.Error(errors.New("a container was replaced"))
		}
	}
	return []bar{{what: "start of agent to a hundred containers adopted", unit: "ms", limit: 2000, ours: took[0]}}
}

// killed is the time from the end of forty containers that are killed at once, the last of them, to the start of the last
// one in their place, beside that of forty docker run at once. The second that the agent waits is in the limit.
func (l *agentLab) killed() []bar {
	const many = 40
	latest := func(began time.Time, containers []string) float64 {
		var last time.Time
		for _, container := range containers {
			if at := l.moments(container).StartedAt; at.After(last) {
				last = at
			}
		}
		return milliseconds(last.Sub(began))
	}
	all := l.ids
	l.ids = all[:many]
	helios := func() float64 {
		before, said := l.running(nil), len(l.agent.log())
		l.run(exec.Command("docker", append([]string{"kill"}, slices.Collect(maps.Values(before))...)...))
		l.agent.awaitRunning(l.b, said, many)
		after := l.running(before)
		var ended time.Time
		for _, container := range before {
			if at := l.moments(container).FinishedAt; at.After(ended) {
				ended = at
			}
		}
		return latest(ended, slices.Collect(maps.Values(after)))
	}
	docker := func() float64 {
		names := make([]string, many)
		var runs sync.WaitGroup
		began := time.Now()
		for i := range names {
			names[i] = unique("bench")
			runs.Go(func() {
				l.run(exec.Command("docker", "run", "-d", "--name", names[i], "--label", l.label, l.image, "sleep", "36000"))
			})
		}
		runs.Wait()
		defer func() {
			l.run(exec.Command("docker", append([]string{"rm", "-f"}, names...)...))
		}()
		return latest(began, names)
	}
	took := inTurn(7, helios, docker)
	l.ids = all
	return []bar{{what: "kill of forty containers to start of their successors; docker run", unit: "ms", limit: 1000, times: 1.15, ours: took[0], floor: took[1]}}
}
