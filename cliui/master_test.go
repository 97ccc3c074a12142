package cliui

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/helios-go/helios/cliui/clitest"
	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// master is as much of a master as the transcripts of the client need: it
// keeps jobs and deployments and answers with the documents of the API. What
// tasks do is told to it.
type master struct {
	name      string
	version   string
	whitelist []string
	hosts     []string
	labels    map[string]map[string]string

	environment map[string]map[string]string // of containers, by host

	mu          sync.Mutex // guards all below
	jobs        map[job.ID]job.Job
	deployments map[string]map[job.ID]*job.Deployment
	tasks       map[string]map[job.ID]*job.TaskStatus
	requests    []clitest.Request
}

func newMaster(name string) *master {
	return &master{
		name:        name,
		version:     "0.9.283",
		labels:      map[string]map[string]string{},
		environment: map[string]map[string]string{},
		jobs:        map[job.ID]job.Job{},
		deployments: map[string]map[job.ID]*job.Deployment{},
		tasks:       map[string]map[job.ID]*job.TaskStatus{},
	}
}

func (m *master) register(name string, labels, environment map[string]string) {
	m.environment[name] = environment
	m.hosts = append(m.hosts, name)
	m.labels[name] = labels
	m.deployments[name] = map[job.ID]*job.Deployment{}
	m.tasks[name] = map[job.ID]*job.TaskStatus{}
}

// serve starts the master and returns its endpoint.
func (m *master) serve(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	for pattern, handler := range map[string]func(*http.Request, []byte) (int, document.Value){
		"GET /masters/": func(*http.Request, []byte) (int, document.Value) { return 200, document.Texts(&[]string{m.name}) },
		"GET /version/": func(*http.Request, []byte) (int, document.Value) { return 200, document.Text(&m.version) },
		"GET /jobs":     m.listJobs,
		"POST /jobs/":   m.createJob,
		"GET /hosts/":   m.listHosts,
		"GET /history/": func(*http.Request, []byte) (int, document.Value) {
			return 200, (&httpapi.TaskStatusEvents{Status: httpapi.OK}).JSON()
		},
		"/":                              func(*http.Request, []byte) (int, document.Value) { return 404, nil },
		"DELETE /jobs/{id}":              m.removeJob,
		"GET /jobs/{id}/status":          m.jobStatus,
		"POST /jobs/statuses":            m.jobStatuses,
		"POST /hosts/statuses":           m.hostStatuses,
		"PUT /hosts/{host}/jobs/{id}":    m.deploy,
		"PATCH /hosts/{host}/jobs/{id}":  m.setGoal,
		"DELETE /hosts/{host}/jobs/{id}": m.undeploy,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			m.mu.Lock()
			defer m.mu.Unlock()
			seen := clitest.Request{Method: r.Method, Path: r.RequestURI}
			_ = json.Unmarshal(body, &seen.Body)
			m.requests = append(m.requests, seen)
			code, value := handler(r, body)
			w.WriteHeader(code)
			if value != nil {
				_, _ = w.Write(document.HTTP(value))
			}
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func (m *master) seen() []clitest.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	requests := m.requests
	m.requests = nil
	return requests
}

func (m *master) listJobs(r *http.Request, _ []byte) (int, document.Value) {
	q := httpapi.ParseQuery(r.URL.RawQuery)
	pattern, err := regexp.Compile(q.First(httpapi.ParamHostPattern))
	if err != nil {
		return 500, nil
	}
	found := map[job.ID]job.Job{}
	for id, j := range m.jobs {
		where := m.status(id).Deployments
		on := slices.ContainsFunc(slices.Collect(maps.Keys(where)), pattern.MatchString)
		if id.Matches(q.First(httpapi.ParamQuery)) && (on || q.First(httpapi.ParamHostPattern) == "") {
			found[id] = j
		}
	}
	return 200, document.Map(&found, job.IDKeys, (*job.Job).JSON)
}

func (m *master) createJob(r *http.Request, body []byte) (int, document.Value) {
	answer := httpapi.CreateJobResponse{Status: httpapi.OK, Errors: []string{}}
	code := 200
	j, err := job.Read(body)
	if err != nil {
		return 400, nil
	}
	id := j.ComputedID()
	j.ID = id
	answer.ID = new(id.String())
	problems := j.Validate(job.Checks{Hash: true, Capabilities: true, Whitelist: m.whitelist})
	exists := func(other job.ID) bool { return other.Short() == id.Short() }
	switch {
	case len(problems) > 0:
		code, answer.Status, answer.Errors = 400, httpapi.InvalidJobDefinition, problems
	case slices.ContainsFunc(slices.Collect(maps.Keys(m.jobs)), exists):
		code, answer.Status = 400, httpapi.JobAlreadyExists
	default:
		j.Created = new(time.Now().UnixMilli())
		j.CreatingUser = new(httpapi.ParseQuery(r.URL.RawQuery).First(httpapi.ParamUser))
		m.jobs[id] = *j
	}
	return code, answer.JSON()
}

// job finds the job a path names and checks the token.
func (m *master) job(r *http.Request) (job.ID, httpapi.Status) {
	id, err := job.ParseID(r.PathValue("id"))
	j, exists := m.jobs[id]
	switch {
	case err != nil || !exists:
		return id, httpapi.JobNotFound
	case httpapi.ParseQuery(r.URL.RawQuery).First(httpapi.ParamToken) != j.Token:
		return id, httpapi.Forbidden
	default:
		return id, httpapi.OK
	}
}

var codes = map[httpapi.Status]int{httpapi.OK: 200, httpapi.Forbidden: 403, httpapi.JobNotFound: 404, httpapi.HostNotFound: 404, httpapi.JobNotDeployed: 404}

func code(status httpapi.Status) int {
	if c, ok := codes[status]; ok {
		return c
	}
	return 400
}

func (m *master) removeJob(r *http.Request, _ []byte) (int, document.Value) {
	id, status := m.job(r)
	switch {
	case status != httpapi.OK:
	case len(m.status(id).Deployments) > 0:
		status = httpapi.StillInUse
	default:
		delete(m.jobs, id)
	}
	return code(status), (&httpapi.JobDeleteResponse{Status: status}).JSON()
}

func (m *master) status(id job.ID) job.Status {
	j := m.jobs[id]
	s := job.Status{Job: &j, Deployments: map[string]*job.Deployment{}, TaskStatuses: map[string]*job.TaskStatus{}}
	for _, name := range m.hosts {
		if d := m.deployments[name][id]; d != nil {
			s.Deployments[name] = d
		}
		if t := m.tasks[name][id]; t != nil {
			s.TaskStatuses[name] = t
		}
	}
	return s
}

func (m *master) jobStatus(r *http.Request, _ []byte) (int, document.Value) {
	id, status := m.job(r)
	if status == httpapi.JobNotFound {
		return 404, nil
	}
	s := m.status(id)
	return 200, s.JSON()
}

func (m *master) jobStatuses(_ *http.Request, body []byte) (int, document.Value) {
	var ids []job.ID
	if document.Read(body, document.List(&ids, (*job.ID).JSON)) != nil {
		return 400, nil
	}
	statuses := map[job.ID]job.Status{}
	for _, id := range ids {
		statuses[id] = m.status(id)
	}
	return 200, document.Map(&statuses, job.IDKeys, (*job.Status).JSON)
}

func (m *master) listHosts(r *http.Request, _ []byte) (int, document.Value) {
	q := httpapi.ParseQuery(r.URL.RawQuery)
	pattern, err := regexp.Compile(q.First(httpapi.ParamNamePattern))
	if err != nil {
		return 500, nil
	}
	found := slices.DeleteFunc(slices.Clone(m.hosts), func(name string) bool { return !pattern.MatchString(name) })
	for _, text := range q.All(httpapi.ParamSelector) {
		selector, err := host.ParseSelector(text)
		if err != nil {
			return 400, nil
		}
		found = slices.DeleteFunc(found, func(name string) bool { return !selector.Matches(m.labels[name]) })
	}
	return 200, document.Texts(&found)
}

func (m *master) hostStatuses(r *http.Request, body []byte) (int, document.Value) {
	var names []string
	if document.Read(body, document.Texts(&names)) != nil {
		return 400, nil
	}
	statuses := map[string]host.Status{}
	if httpapi.ParseQuery(r.URL.RawQuery).First(httpapi.ParamStatus) != string(host.Down) {
		for _, name := range names {
			statuses[name] = host.Status{
				Status: host.Up, Jobs: m.deployments[name], Statuses: m.tasks[name],
				Labels: m.labels[name], Environment: m.environment[name],
				HostInfo: &host.Info{
					CPUs: 2, LoadAvg: 5.91, MemoryTotalBytes: 23 << 30, MemoryFreeBytes: 20 << 30,
					OSName: new("Linux"), OSVersion: new("6.18.44"), DockerVersion: &host.DockerVersion{Version: new("20.10.24"), APIVersion: new("1.41")},
				},
				AgentInfo: &host.AgentInfo{StartTime: time.Now().Add(-20 * time.Second).UnixMilli(), Version: new("0.9.283")},
			}
		}
	}
	return 200, document.Map(&statuses, document.TextKeys, (*host.Status).JSON)
}

func (m *master) deploy(r *http.Request, body []byte) (int, document.Value) {
	name := r.PathValue("host")
	id, status := m.job(r)
	var d job.Deployment
	if document.Read(body, d.JSON()) != nil {
		return 400, nil
	}
	switch {
	case status != httpapi.OK:
	case m.deployments[name] == nil:
		status = httpapi.HostNotFound
	case m.deployments[name][id] != nil:
		status = httpapi.JobAlreadyDeployed
	default:
		d.DeployerUser = new(httpapi.ParseQuery(r.URL.RawQuery).First(httpapi.ParamUser))
		m.deployments[name][id] = &d
		if d.Goal == job.Start {
			m.report(name, id, job.Running, job.NotThrottled)
		}
	}
	return code(status), (&httpapi.JobDeployResponse{Status: status, Host: &name, Job: id}).JSON()
}

func (m *master) setGoal(r *http.Request, body []byte) (int, document.Value) {
	name := r.PathValue("host")
	id, status := m.job(r)
	var d job.Deployment
	if document.Read(body, d.JSON()) != nil {
		return 400, nil
	}
	switch {
	case status != httpapi.OK:
	case m.deployments[name] == nil:
		status = httpapi.HostNotFound
	case m.deployments[name][id] == nil:
		status = httpapi.JobNotDeployed
	default:
		m.deployments[name][id].Goal = d.Goal
		m.report(name, id, map[job.Goal]job.State{job.Start: job.Running, job.Stop: job.Stopped}[d.Goal], job.NotThrottled)
	}
	return code(status), (&httpapi.SetGoalResponse{Status: status, Host: &name, Job: id}).JSON()
}

func (m *master) undeploy(r *http.Request, _ []byte) (int, document.Value) {
	name := r.PathValue("host")
	id, status := m.job(r)
	switch {
	case m.deployments[name] == nil:
		status = httpapi.HostNotFound
	case status == httpapi.OK && m.deployments[name][id] == nil:
		status = httpapi.JobNotFound
	case status == httpapi.OK:
		delete(m.deployments[name], id)
		delete(m.tasks[name], id)
	}
	return code(status), (&httpapi.JobUndeployResponse{Status: status, Host: &name, Job: id}).JSON()
}

// act lets a task come into the state that a scenario waits for.
func (m *master) act(a clitest.Action) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.jobs {
		switch {
		case m.deployments[a.Host] == nil, !id.Matches(a.Job):
		case a.State == nil:
			delete(m.tasks[a.Host], id)
		default:
			m.report(a.Host, id, job.State(*a.State), cmp.Or(job.Throttle(a.Throttled), job.NotThrottled))
		}
	}
}

// report is what an agent would say of a task.
func (m *master) report(name string, id job.ID, state job.State, throttled job.Throttle) {
	task := &job.TaskStatus{
		Job: m.jobs[id], Goal: job.Start, State: state, Throttled: throttled,
		ContainerID: new(strings.Repeat("0123456789abcdef", 4)), Ports: map[string]job.PortMapping{},
		Env: maps.Clone(m.environment[name]),
	}
	for port, p := range task.Job.Ports {
		if p.ExternalPort == nil {
			p.ExternalPort = new(int32(20000 + len(task.Ports)))
		}
		task.Ports[port] = p
		task.Env["HELIOS_PORT_"+port] = fmt.Sprintf("%s:%d", name, *p.ExternalPort)
	}
	m.tasks[name][id] = task
}
