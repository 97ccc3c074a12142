package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// parallel bounds how many entries of one request are read from the store at a time.
const parallel = 8

// pathID is the job of a path: 404 for what is no id, and for one that is not complete what incomplete says
// (http §1.4).
func pathID(c echo.Context, incomplete error) (job.ID, error) {
	id, err := job.ParseID(param(c, "id"))
	switch {
	case err != nil:
		return id, empty(http.StatusNotFound)
	case !id.FullyQualified():
		return id, incomplete
	}
	return id, nil
}

// errIncomplete is the answer to a partial id where the original writes a bare text (http quirk 2).
var errIncomplete = refuse(http.StatusBadRequest, "Invalid id")

// GET /jobs (http §3.1).
func (m *master) listJobs(c echo.Context) error {
	ctx, cancel := m.stored(c)
	defer cancel()
	q := query(c)
	pattern := q.First(httpapi.ParamHostPattern)
	var ids []job.ID
	var err error
	if pattern == "" {
		ids, err = m.store.JobIDs(ctx)
	} else {
		ids, err = m.jobsOnHosts(ctx, pattern)
	}
	if err != nil {
		return err
	}
	ids = slices.DeleteFunc(ids, func(id job.ID) bool { return !id.Matches(q.First(httpapi.ParamQuery)) })
	jobs, err := m.store.Jobs(ctx, ids)
	if err != nil {
		return err
	}
	return answer(c, document.Map(&jobs, job.IDKeys, (*job.Job).JSON))
}

// POST /jobs (http §3.2).
func (m *master) createJob(c echo.Context) error {
	var j job.Job
	if err := readBody(c, j.JSON()); err != nil {
		return err
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	j.CreatingUser = user(c)
	j.Created = new(time.Now().UnixMilli())
	j.ID = j.EffectiveID()
	r := httpapi.CreateJobResponse{Errors: j.Validate(job.Checks{Hash: true, Capabilities: true, Whitelist: m.opts.Capabilities})}
	if j.ID != (job.ID{}) {
		r.ID = new(j.ID.String())
	}
	err := httpapi.ErrInvalidJob
	if len(r.Errors) == 0 {
		r.Errors = []string{}
		err = m.store.CreateJob(ctx, j)
	}
	return concluded(c, httpapi.CreateJob, err, &r.Status, r.JSON())
}

// GET /jobs/{id} (http §3.3).
func (m *master) readJob(c echo.Context) error {
	id, err := pathID(c, errIncomplete)
	if err != nil {
		return err
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	j, err := m.store.Job(ctx, id)
	if err != nil {
		return unlessMissing(err, job.ErrNotFound)
	}
	return answer(c, j.JSON())
}

// unlessMissing makes an empty 404 of an error that means missing.
func unlessMissing(err, missing error) error {
	if errors.Is(err, missing) {
		return empty(http.StatusNotFound)
	}
	return err
}

// DELETE /jobs/{id} (http §3.4).
func (m *master) removeJob(c echo.Context) error {
	id, err := pathID(c, errIncomplete)
	if err != nil {
		return err
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	err = m.store.RemoveJob(ctx, id, query(c).First(httpapi.ParamToken))
	var r httpapi.JobDeleteResponse
	return concluded(c, httpapi.RemoveJob, err, &r.Status, r.JSON())
}

// GET /jobs/{id}/status (http §3.5).
func (m *master) readJobStatus(c echo.Context) error {
	id, err := pathID(c, errIncomplete)
	if err != nil {
		return err
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	status, err := m.store.JobStatus(ctx, id)
	if err != nil {
		return unlessMissing(err, job.ErrNotFound)
	}
	return answer(c, status.JSON())
}

// POST /jobs/statuses (http §3.6).
func (m *master) readJobStatuses(c echo.Context) error {
	var ids []job.ID
	if err := readBody(c, document.NullableList(&ids, (*job.ID).JSON)); err != nil {
		return err
	}
	if ids == nil {
		return errNoDocument
	}
	for _, id := range ids {
		if !id.FullyQualified() {
			return refuse(http.StatusBadRequest, "Invalid id %s", id)
		}
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	statuses, err := each(ctx, m, ids, m.store.JobStatus, job.ErrNotFound)
	if err != nil {
		return err
	}
	return answer(c, document.Map(&statuses, job.IDKeys, (*job.Status).JSON))
}

// each reads one entry for each key. Missing ones are left out, and unreadable ones: they are no reason to refuse the
// others (decision 7). So are those that ZooKeeper denies, since one agent with a wrong digest makes nodes that masters
// cannot read; a master who is denied all that it finds has nothing to say.
func each[K comparable, V any](ctx context.Context, m *master, keys []K, read func(context.Context, K) (V, error), missing error) (map[K]V, error) {
	found := make(map[K]V, len(keys))
	var denied error
	var mu sync.Mutex // guards found and denied
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	asked := make(map[K]bool, len(keys))
	for _, key := range keys {
		if asked[key] {
			continue
		}
		asked[key] = true
		g.Go(func() error {
			v, err := read(ctx, key)
			if e, ok := errors.AsType[*store.UnreadableError](err); ok {
				m.report(e.Node, e.Err)
				return nil
			}
			if errors.Is(err, store.ErrDenied) {
				m.report(fmt.Sprint(key), err)
				mu.Lock()
				defer mu.Unlock()
				denied = err
				return nil
			}
			if errors.Is(err, missing) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found[key] = v
			return nil
		})
	}
	if err := g.Wait(); err != nil || len(found) > 0 {
		return found, err
	}
	return found, denied
}

// report logs once that an entry is left out of lists because of a node, or of all there is of it.
func (m *master) report(node string, err error) {
	if _, known := m.reported.LoadOrStore(node, true); !known {
		m.log.Error().Err(err).Str("node", node).Msg("unreadable node: left out of lists")
	}
}

// GET /history/jobs/{id} (http §4).
func (m *master) readHistory(c echo.Context) error {
	id, err := pathID(c, errIncomplete)
	if err != nil {
		return err
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	var r httpapi.TaskStatusEvents
	r.Events, err = m.store.History(ctx, id)
	return concluded(c, httpapi.JobHistory, err, &r.Status, r.JSON())
}
