package roles_test

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// majorityDies leaves one server of ZooKeeper alone: masters refuse everything soon and in a sentence, none of it is done
// later, and when there is a majority again, of which one has lost its data, all goes on by itself.
func majorityDies(t *testing.T, e *ensembleCluster) {
	c := e.cluster.seenBy(t)
	id, name, nobody := c.create(job.Job{Image: new(noImage)}), e.agents[0].docker.Host, unique("host")
	if _, err := c.Deploy(t.Context(), name, id, job.Stop, ""); err != nil {
		t.Fatal(err)
	}
	e.zookeeper.Kill(0)
	e.zookeeper.Kill(1)
	killed := time.Now()
	deployment := "/hosts/" + name + "/jobs/" + id.String()
	for _, m := range e.masters {
		for i := range 3 {
			for _, request := range []struct{ method, path, body string }{
				{http.MethodGet, "/hosts/", ""},
				{http.MethodGet, "/jobs", ""},
				{http.MethodPost, "/jobs?user=tester", `{"id":"` + unique("job") + `:1","image":"` + noImage + `"}`},
				{http.MethodDelete, "/jobs/" + id.String(), ""},
				{http.MethodPut, "/hosts/" + e.agents[1].docker.Host + "/jobs/" + id.String(), `{"job":"` + id.String() + `","goal":"STOP"}`},
				{http.MethodPatch, deployment, `{"job":"` + id.String() + `","goal":"START"}`},
				{http.MethodDelete, deployment, ""},
				{http.MethodPut, "/hosts/" + nobody + "?id=nobody", ""},
				{http.MethodDelete, "/hosts/" + name, ""},
			} {
				begin := time.Now()
				code, text := m.ask(t, request.method, request.path, request.body)
				took := time.Since(begin)
				unnoticed := code == http.StatusOK && i == 0 && request.method == http.MethodGet // by the one that is left
				if !unnoticed && (code != http.StatusServiceUnavailable || !strings.Contains(text, "ZooKeeper cannot be reached.")) {
					t.Errorf("%d: %s %s is answered with %d: %s", i, request.method, request.path, code, text)
				}
				// A master waits for ZooKeeper for five seconds, and no longer once it knows.
				if limit := 20 * time.Second; took > limit || took > 4*time.Second && begin.Sub(killed) > limit {
					t.Errorf("%d: %s %s is answered after %s", i, request.method, request.path, took)
				}
			}
		}
	}
	e.zookeeper.Wipe(0)
	e.zookeeper.Restart(0)
	for _, a := range e.agents {
		c.await(a.docker.Host, host.Up)
	}
	storetest.Eventually(t, inTime, e.mastersAgree)
	status, err := c.JobStatus(t.Context(), id)
	if err != nil || len(status.Deployments) != 1 || status.Deployments[name] == nil || status.Deployments[name].Goal != job.Stop {
		t.Errorf("what was refused was done: %+v, %v", status, err)
	}
	if hosts, err := c.Hosts(t.Context(), ""); err != nil || slices.Contains(hosts, nobody) {
		t.Errorf("what was refused was done: %v, %v", hosts, err)
	}
	e.reachesAgents(t)
	c.undeploy(id, name)
	e.zookeeper.Restart(1)
	e.zookeeper.AwaitServing(1)
}

// peersDie is the original's failover cases, one after the other: a server of ZooKeeper is dead, or has lost its data.
func peersDie(t *testing.T, e *ensembleCluster) {
	c, name := newCluster(t, e.masters[0].api, e.zk, e.masters[1].api), e.agents[0].docker.Host
	runs := func() job.ID {
		t.Helper()
		id := c.create(job.Job{Image: &e.image})
		c.deploy(id, name)
		c.awaitState(id, name, job.Running)
		return id
	}
	ends := func(id job.ID) {
		t.Helper()
		c.undeploy(id, name)
		c.awaitGone(id, name)
	}
	// serve waits until both masters are connected to what is left.
	serve := func() {
		t.Helper()
		for _, m := range e.masters {
			storetest.Eventually(t, inTime, func() error { _, err := m.Hosts(t.Context(), ""); return err })
		}
	}
	first := runs()
	e.zookeeper.Kill(0)
	serve()
	ends(first) // one peer is dead
	second := runs()
	written, err := c.Job(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}

	e.zookeeper.Wipe(0)
	e.zookeeper.Restart(0)
	e.zookeeper.AwaitServing(0)
	e.zookeeper.Kill(1)
	serve()
	if j, err := c.Job(t.Context(), second); err != nil || !reflect.DeepEqual(j, written) {
		t.Errorf("job %+v, %v, was %+v", j, err, written)
	}
	ends(second) // one peer has lost its data, and another one is dead
	ends(runs())
	e.zookeeper.Restart(1)
	e.zookeeper.AwaitServing(1)
}

// manyHosts deploys one job to many hosts without waiting for any.
func manyHosts(t *testing.T, e *ensembleCluster) {
	c := newCluster(t, e.masters[0].api, e.zk, e.masters[1].api)
	var hosts []string
	for i := range 10 {
		docker := dockertest.New(t)
		startAgent(c, docker, nil, "--no-metrics", "--port-range", fmt.Sprintf("%d:%d", 18300+10*i, 18310+10*i))
		hosts = append(hosts, docker.Host)
	}
	for _, name := range hosts {
		c.await(name, host.Up)
	}
	id := c.create(job.Job{Image: &e.image, Ports: map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}})
	c.must(append([]string{"deploy", id.String()}, hosts...)...)
	for _, name := range hosts {
		c.awaitState(id, name, job.Running)
	}
	c.must(append([]string{"undeploy", id.String()}, hosts...)...)
	for _, name := range hosts {
		c.awaitGone(id, name)
	}
}

// ask sends one request to the master and returns the status of the answer, and what it says.
func (m *masterNode) ask(t *testing.T, method, path, body string) (code int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, m.api+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(said)
}
