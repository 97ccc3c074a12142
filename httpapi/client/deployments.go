package client

import (
	"context"
	"net/http"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// Deploy deploys a job on a host with a goal; the agent acts later. job.ErrNotFound, job.ErrForbidden,
// job.ErrAlreadyDeployed, host.ErrNotFound, job.ErrPortConflict.
func (c *Client) Deploy(ctx context.Context, host string, id job.ID, goal job.Goal, token string) (httpapi.JobDeployResponse, error) {
	var r httpapi.JobDeployResponse
	a, err := c.do(ctx, deployment(http.MethodPut, host, id, goal, token))
	if err == nil {
		err = a.outcome(httpapi.Deploy, r.JSON(), &r.Status,
			http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed)
	}
	return r, err
}

// SetGoal changes the goal of a deployed job. job.ErrNotDeployed, job.ErrForbidden, host.ErrNotFound.
func (c *Client) SetGoal(ctx context.Context, host string, id job.ID, goal job.Goal, token string) (httpapi.SetGoalResponse, error) {
	var r httpapi.SetGoalResponse
	a, err := c.do(ctx, deployment(http.MethodPatch, host, id, goal, token))
	if err == nil {
		err = a.outcome(httpapi.SetGoal, r.JSON(), &r.Status, http.StatusForbidden, http.StatusNotFound)
	}
	return r, err
}

// Undeploy ends a deployment; the container stops later. job.ErrNotDeployed, job.ErrForbidden, host.ErrNotFound.
func (c *Client) Undeploy(ctx context.Context, host string, id job.ID, token string) (httpapi.JobUndeployResponse, error) {
	var r httpapi.JobUndeployResponse
	a, err := c.do(ctx, request{method: http.MethodDelete, path: httpapi.DeploymentPath(host, id.String()), query: withToken(token)})
	if err == nil {
		err = a.outcome(httpapi.Undeploy, r.JSON(), &r.Status, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound)
	}
	return r, err
}

// Deployment reads a job's deployment on a host; job.ErrNotDeployed, also for an unknown job or host.
func (c *Client) Deployment(ctx context.Context, host string, id job.ID) (job.Deployment, error) {
	var d job.Deployment
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.DeploymentPath(host, id.String())})
	if err == nil {
		err = a.read(d.JSON(), job.ErrNotDeployed)
	}
	return d, err
}

func deployment(method, host string, id job.ID, goal job.Goal, token string) request {
	d := job.Deployment{JobID: id, Goal: goal}
	return request{
		method: method,
		path:   httpapi.DeploymentPath(host, id.String()),
		query:  withToken(token),
		body:   document.Canonical(d.JSON()),
	}
}
