// Package announce says what a service registry is told of the containers of a job (testdata/spec/4-agent.md §6,
// 6-operations.md §6). It is pure: when a registry is told, and by what means, is for others to say.
package announce

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/helios-go/helios/store/job"
)

// Registration is what a registry is told of one container; it may have no endpoints.
type Registration struct {
	Endpoints []Endpoint
}

// Endpoint is one port of a container under the name of a service. Values are compared by content.
type Endpoint struct {
	Name     string // of the service
	Protocol string
	Port     int    // of the host
	Domain   string // may be empty
	Host     string
	Tags     []string // nil when the job gives none
	Check    *Check   // nil when the registry need not check the port
}

// Check is how a registry can see whether an endpoint is well: the job's own health check, if that asks this port.
type Check struct {
	Type job.CheckType // http or tcp
	Path string        // of http
}

// Container returns what a registry is told of a task's container on a host, in the order of service, protocol and port
// name. The ports of the status are those of the host; domain is the agent's. An endpoint whose port the job does not
// map, or that was given no port, is left out, and an error names it.
func Container(status job.TaskStatus, host, domain string) (Registration, []error) {
	var made Registration
	var errs []error
	j := &status.Job
	keys := slices.SortedFunc(maps.Keys(j.Registration), func(a, b job.Endpoint) int {
		return strings.Compare(a.String(), b.String())
	})
	for _, key := range keys {
		ports := j.Registration[key].Ports
		for _, name := range slices.Sorted(maps.Keys(ports)) {
			mapping, mapped := status.Ports[name]
			if !mapped || mapping.ExternalPort == nil {
				errs = append(errs, fmt.Errorf("service %s: port %q has no port of the host", key, name))
				continue
			}
			endpoint := Endpoint{
				Name: key.Service, Protocol: key.Protocol, Port: int(*mapping.ExternalPort),
				Domain: Domain(domain, j.RegistrationDomain), Host: host, Check: check(j.HealthCheck, name),
			}
			if parameters := ports[name]; parameters != nil {
				endpoint.Tags = parameters.Tags
			}
			made.Endpoints = append(made.Endpoints, endpoint)
		}
	}
	return made, errs
}

// Domain returns where the services of a job are registered: in the job's domain if that ends with a dot, else below the
// agent's.
func Domain(agent, job string) string {
	switch {
	case strings.HasSuffix(job, "."):
		return job
	case job == "":
		return agent
	default:
		return job + "." + agent
	}
}

// check returns the health check of an endpoint, if the job's asks the port of that name.
func check(c *job.HealthCheck, port string) *Check {
	if c == nil || c.Port == nil || *c.Port != port {
		return nil
	}
	switch {
	case c.Type == job.CheckTCP:
		return &Check{Type: c.Type}
	case c.Type == job.CheckHTTP && c.Path != nil:
		return &Check{Type: c.Type, Path: *c.Path}
	}
	return nil
}
