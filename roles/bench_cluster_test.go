package roles_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// BenchmarkClusterBars is BenchmarkBars for one master and one agent over one ZooKeeper as Debian sets it up, each a
// process.
func BenchmarkClusterBars(b *testing.B) {
	l := &clusterLab{lab: newLab(b, "speed bars of a cluster")}
	l.cluster, l.master = startMaster(b, storetest.StartZooKeeper(b).Addr())
	l.agent, _, _ = startServingAgent(l.cluster, l.docker)
	l.cluster.await(l.docker.Host, host.Up)
	l.measure(l.idle, l.deploy, l.together, l.replace, l.undeploy, l.status, l.many, l.list)
}

type clusterLab struct {
	*lab
	master *process
	agent  *agent
}

// idle is what the daemons need while there is nothing to do.
func (l *clusterLab) idle() []bar {
	<-time.After(settle)
	return []bar{
		{what: "idle master, resident memory", unit: "MB", limit: 40, ours: []float64{l.master.resident()}},
		{what: "idle agent, resident memory", unit: "MB", limit: 40, ours: []float64{l.agent.resident()}},
	}
}

// together is the time from the first of twenty deployments, all requested at once, to the start of the last container,
// beside that of as many docker run at once.
func (l *clusterLab) together() []bar {
	const jobs, times = 20, 5
	last := func(began time.Time, containers []string) float64 {
		var latest time.Time
		for _, container := range containers {
			if at := l.moments(container).StartedAt; at.After(latest) {
				latest = at
			}
		}
		return milliseconds(latest.Sub(began))
	}
	helios := func() float64 {
		ids, containers := make([]job.ID, jobs), make([]string, jobs)
		for i := range ids {
			ids[i] = l.cluster.create(l.job())
		}
		said, began := len(l.agent.log()), time.Now()
		l.atOnce(jobs, func(i int) error {
			_, err := l.cluster.Deploy(l.b.Context(), l.docker.Host, ids[i], job.Start, "")
			return err
		})
		l.agent.awaitRunning(l.b, said, jobs)
		for i, id := range ids {
			containers[i] = *l.cluster.awaitState(id, l.docker.Host, job.Running).ContainerID
		}
		took := last(began, containers)
		l.clearAll(ids, containers)
		return took
	}
	docker := func() float64 {
		names, clients := make([]string, jobs), make([]*exec.Cmd, jobs)
		for i := range names {
			names[i] = unique("bench")
			clients[i] = l.dockerRunning(names[i], l.freePort())
		}
		began := time.Now()
		l.atOnce(jobs, func(i int) error {
			l.run(clients[i])
			return nil
		})
		took := last(began, names)
		l.atOnce(jobs, func(i int) error { return exec.Command("docker", "rm", "-f", names[i]).Run() })
		return took
	}
	took := inTurn(times, helios, docker)
	return []bar{{what: "20 jobs deployed at once to start of last; 20 docker run", unit: "ms", times: 1.15, ours: took[0], floor: took[1]}}
}

// replace is the time from the end of a killed container to the start of the one that replaces it. The second that the
// agent waits is in the limit.
func (l *clusterLab) replace() []bar {
	helios := func() float64 {
		id := l.cluster.create(l.job())
		l.cluster.deploy(id, l.docker.Host)
		first := *l.cluster.awaitState(id, l.docker.Host, job.Running).ContainerID
		l.run(exec.Command("docker", "kill", first))
		second := first
		storetest.Eventually(l.b, inTime, func() error {
			second = *l.cluster.awaitState(id, l.docker.Host, job.Running).ContainerID
			if second == first {
				return errors.New("not replaced yet")
			}
			return nil
		})
		took := milliseconds(l.moments(second).StartedAt.Sub(l.moments(first).FinishedAt))
		l.clear(id, second)
		l.docker.Remove(first)
		return took
	}
	took := inTurn(rounds, helios, l.dockerRun)
	return []bar{{what: "docker kill: end of container to start of the next; docker run", unit: "ms", limit: 1000, times: 1.3, ours: took[0], floor: took[1]}}
}

// undeploy is the time from the request to undeploy a job whose container obeys at once until the API knows nothing of it,
// beside that of docker stop.
func (l *clusterLab) undeploy() []bar {
	helios := func() float64 {
		id := l.cluster.create(l.job())
		l.cluster.deploy(id, l.docker.Host)
		task := l.cluster.awaitState(id, l.docker.Host, job.Running)
		l.obeys(fmt.Sprint(*task.Ports["http"].ExternalPort))
		began := time.Now()
		l.cluster.undeploy(id, l.docker.Host)
		l.soon(func() bool {
			status, err := l.cluster.HostStatus(l.b.Context(), l.docker.Host)
			return err == nil && status.Jobs[id] == nil && status.Statuses[id] == nil
		})
		took := milliseconds(time.Since(began))
		l.remove(id, *task.ContainerID)
		return took
	}
	docker := func() float64 {
		name, port := unique("bench"), l.freePort()
		l.run(l.dockerRunning(name, port))
		defer l.docker.Remove(name)
		l.obeys(port)
		return milliseconds(l.run(exec.Command("docker", "stop", name)))
	}
	took := inTurn(rounds, helios, docker)
	return []bar{{what: "undeploy to gone from the API; docker stop", unit: "ms", limit: 100, times: 1, ours: took[0], floor: took[1]}}
}

// obeys waits until the container at the port serves: before that it may not hear the signal to stop.
func (l *clusterLab) obeys(port string) {
	l.soon(func() bool { return get("http://127.0.0.1:"+port+"/") == nil })
}

// status is what the master needs to answer for the status of a deployed job, 500 times a second on 32 connections. A
// request that is sent late because earlier ones are not answered yet is counted from when it was due.
func (l *clusterLab) status() []bar {
	const connections, pause, requests = 32, 2 * time.Millisecond, 5000
	id := l.cluster.create(l.job())
	l.cluster.deploy(id, l.docker.Host)
	container := *l.cluster.awaitState(id, l.docker.Host, job.Running).ContainerID
	url := l.cluster.api + "/jobs/" + id.String() + "/status"
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	l.atOnce(connections, func(int) error { return fetch(l.b.Context(), client, url) })

	var costs, latest []float64
	for range 3 {
		took := make([]float64, requests)
		next := make(chan int)
		before, began := l.master.cpu(), time.Now()
		go func() {
			defer close(next)
			for i := range requests {
				next <- i
			}
		}()
		l.atOnce(connections, func(int) error {
			for i := range next {
				due := began.Add(time.Duration(i) * pause)
				<-time.After(time.Until(due))
				if err := fetch(l.b.Context(), client, url); err != nil {
					return err
				}
				took[i] = milliseconds(time.Since(due))
			}
			return nil
		})
		slices.Sort(took)
		costs = append(costs, milliseconds(l.master.cpu()-before)/requests)
		latest = append(latest, took[requests*99/100])
	}
	l.clear(id, container)
	return []bar{
		{what: "GET /jobs/{id}/status, time of the master's processor", unit: "ms", limit: 0.5, ours: costs},
		{what: "the same, 99 of 100 are answered within", unit: "ms", limit: 50, ours: latest},
	}
}

func fetch(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}

// many is what an agent needs that looks after fifty containers while nothing changes.
func (l *clusterLab) many() []bar {
	const jobs = 50
	ids, containers := make([]job.ID, jobs), make([]string, jobs)
	for i := range ids {
		ids[i] = l.cluster.create(job.Job{Image: &l.image})
		l.cluster.deploy(ids[i], l.docker.Host)
	}
	for i, id := range ids {
		containers[i] = *l.cluster.awaitState(id, l.docker.Host, job.Running).ContainerID
	}
	<-time.After(settle)
	before, began := l.agent.cpu(), time.Now()
	<-time.After(watched)
	share := 100 * (l.agent.cpu() - before).Seconds() / time.Since(began).Seconds()
	memory := l.agent.resident()
	l.clearAll(ids, containers)
	return []bar{
		{what: "agent of 50 containers, resident memory", unit: "MB", limit: 60, ours: []float64{memory}},
		{what: "agent of 50 containers, share of a core", unit: "%", limit: 1, ours: []float64{share}},
	}
}

// list is how long the commands take that list a hundred jobs and hosts.
func (l *clusterLab) list() []bar {
	const each = 100
	for i := range each {
		l.cluster.create(job.Job{Image: &l.image})
		if i == 0 {
			continue // the agent's is the first host
		}
		name := unique("host")
		if _, err := l.cluster.RegisterHost(l.b.Context(), name, "id-"+name); err != nil {
			l.b.Fatal(err)
		}
	}
	listing := func(what string) func() float64 {
		return func() float64 { return milliseconds(l.run(command(l.b, nil, "-z", l.cluster.api, what))) }
	}
	took := inTurn(rounds, listing("jobs"), listing("hosts"))
	return []bar{
		{what: "helios jobs, 100 jobs", unit: "ms", limit: 60, ours: took[0]},
		{what: "helios hosts, 100 registered hosts", unit: "ms", limit: 100, ours: took[1]},
	}
}

// atOnce does so many things at a time, which must succeed.
func (l *clusterLab) atOnce(times int, do func(i int) error) {
	var all sync.WaitGroup
	for i := range times {
		all.Go(func() {
			if err := do(i); err != nil {
				l.b.Error(err)
			}
		})
	}
	all.Wait()
	if l.b.Failed() {
		l.b.FailNow()
	}
}

// clearAll is clear for many jobs.
func (l *clusterLab) clearAll(ids []job.ID, containers []string) {
	l.atOnce(len(ids), func(i int) error {
		_, err := l.cluster.Undeploy(l.b.Context(), l.docker.Host, ids[i], "")
		return err
	})
	for i, id := range ids {
		l.cluster.awaitGone(id, l.docker.Host)
		l.remove(id, containers[i])
	}
}
