package client

import (
	"context"
	"net/http"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// CreateJob creates a job. Its id may lack the hash, which the master then computes; the answer has the full id.
func (c *Client) CreateJob(ctx context.Context, j job.Job) (httpapi.CreateJobResponse, error) {
	var r httpapi.CreateJobResponse
	a, err := c.do(ctx, request{method: http.MethodPost, path: httpapi.PathJobs + "/", body: document.Canonical(j.JSON())})
	if err == nil {
		err = a.outcome(httpapi.CreateJob, r.JSON(), &r.Status, http.StatusBadRequest)
	}
	return r, err
}

// Jobs lists the jobs whose full id contains q and that are deployed on a host whose name matches the regular
// expression hostPattern; "" asks for all.
func (c *Client) Jobs(ctx context.Context, q, hostPattern string) (map[job.ID]job.Job, error) {
	var query httpapi.Query
	if hostPattern != "" {
		query = append(query, httpapi.Param{Name: httpapi.ParamHostPattern, Value: hostPattern})
	}
	if q != "" {
		query = append(query, httpapi.Param{Name: httpapi.ParamQuery, Value: q})
	}
	var jobs map[job.ID]job.Job
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.PathJobs, query: query})
	if err == nil {
		err = a.read(document.Map(&jobs, job.IDKeys, (*job.Job).JSON), nil)
	}
	return jobs, err
}

// Job reads one job; job.ErrNotFound.
func (c *Client) Job(ctx context.Context, id job.ID) (job.Job, error) {
	var j job.Job
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.JobPath(id.String())})
	if err == nil {
		err = a.read(j.JSON(), job.ErrNotFound)
	}
	return j, err
}

// JobStatus reads where a job is deployed and how it fares there; job.ErrNotFound.
func (c *Client) JobStatus(ctx context.Context, id job.ID) (job.Status, error) {
	var s job.Status
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.JobStatusPath(id.String())})
	if err == nil {
		err = a.read(s.JSON(), job.ErrNotFound)
	}
	return s, err
}

// JobStatuses is JobStatus of many jobs in one request. Unknown jobs are left out.
func (c *Client) JobStatuses(ctx context.Context, ids []job.ID) (map[job.ID]job.Status, error) {
	var statuses map[job.ID]job.Status
	body := document.Canonical(document.List(&ids, (*job.ID).JSON))
	a, err := c.do(ctx, request{method: http.MethodPost, path: httpapi.PathJobStatuses, body: body})
	if err == nil {
		err = a.read(document.Map(&statuses, job.IDKeys, (*job.Status).JSON), nil)
	}
	return statuses, err
}

// History reads what happened to a job on all hosts, oldest first; job.ErrNotFound.
func (c *Client) History(ctx context.Context, id job.ID) (httpapi.TaskStatusEvents, error) {
	var r httpapi.TaskStatusEvents
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.HistoryPath(id.String())})
	if err == nil {
		err = a.outcome(httpapi.JobHistory, r.JSON(), &r.Status, http.StatusNotFound)
	}
	return r, err
}

// RemoveJob removes a job that is deployed nowhere; job.ErrNotFound, job.ErrForbidden, job.ErrInUse.
func (c *Client) RemoveJob(ctx context.Context, id job.ID, token string) (httpapi.JobDeleteResponse, error) {
	var r httpapi.JobDeleteResponse
	a, err := c.do(ctx, request{method: http.MethodDelete, path: httpapi.JobPath(id.String()), query: withToken(token)})
	if err == nil {
		err = a.outcome(httpapi.RemoveJob, r.JSON(), &r.Status, http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound)
	}
	return r, err
}

// withToken is the query of an operation that a job's token protects: it is always sent, be it empty.
func withToken(token string) httpapi.Query {
	return httpapi.Query{{Name: httpapi.ParamToken, Value: token}}
}
