package server

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/job"
)

// readDeploymentBody reads the deployment of a request on path id (http §6.1). The ids of path and body must be the
// same (http quirks 4 and 8).
func readDeploymentBody(c echo.Context) (host string, id job.ID, d job.Deployment, err error) {
	host = param(c, "host")
	if id, err = job.ParseID(param(c, "id")); err != nil {
		return host, id, d, empty(http.StatusNotFound)
	}
	err = readBody(c, d.JSON())
	return host, id, d, err
}

// consistent reports why a deployment cannot be carried out as it stands. A missing goal matters only for a job that
// exists (http §6.2, §6.3).
func (m *master) consistent(ctx context.Context, id job.ID, d job.Deployment) error {
	switch {
	case d.JobID == job.ID{}:
		return refuse(http.StatusBadRequest, "Job id was not specified.")
	case d.JobID != id:
		return httpapi.ErrIDMismatch
	case d.Goal != "":
		return nil
	}
	if _, err := m.store.Job(ctx, id); err != nil {
		return err
	}
	return refuse(http.StatusBadRequest, "Goal was not specified.")
}

// PUT /hosts/{host}/jobs/{job} (http §6.2).
func (m *master) deploy(c echo.Context) error {
	host, id, d, err := readDeploymentBody(c)
	if err != nil {
		return err
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	if !id.FullyQualified() {
		err = httpapi.ErrInvalidID
	} else if err = m.consistent(ctx, id, d); err == nil {
		d = job.Deployment{JobID: id, Goal: d.Goal, DeployerUser: user(c)}
		err = m.store.Deploy(ctx, host, d, query(c).First(httpapi.ParamToken))
	}
	r := httpapi.JobDeployResponse{Host: &host, Job: id}
	return concluded(c, httpapi.Deploy, err, &r.Status, r.JSON())
}

// PATCH /hosts/{host}/jobs/{job} (http §6.3).
func (m *master) setGoal(c echo.Context) error {
	host, id, d, err := readDeploymentBody(c)
	if err != nil {
		return err
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	if err = m.consistent(ctx, id, d); err == nil {
		err = m.store.SetGoal(ctx, host, id, d.Goal, query(c).First(httpapi.ParamToken))
	}
	r := httpapi.SetGoalResponse{Host: &host, Job: id}
	return concluded(c, httpapi.SetGoal, err, &r.Status, r.JSON())
}

// DELETE /hosts/{host}/jobs/{job} (http §6.4).
func (m *master) undeploy(c echo.Context) error {
	host := param(c, "host")
	id, err := pathID(c, httpapi.ErrInvalidID)
	ctx, cancel := m.stored(c)
	defer cancel()
	if err == nil {
		_, err = m.store.Undeploy(ctx, host, id, query(c).First(httpapi.ParamToken))
	}
	r := httpapi.JobUndeployResponse{Host: &host, Job: id}
	return concluded(c, httpapi.Undeploy, err, &r.Status, r.JSON())
}

// GET /hosts/{host}/jobs/{job} (http §6.5).
func (m *master) readDeployment(c echo.Context) error {
	id, err := pathID(c, empty(http.StatusBadRequest))
	if err != nil {
		return err
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	d, err := m.store.Deployment(ctx, param(c, "host"), id)
	if err != nil {
		return unlessMissing(err, job.ErrNotDeployed)
	}
	return answer(c, d.JSON())
}
