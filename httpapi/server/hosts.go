package server

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// matchingHosts lists the hosts whose name matches a regular expression somewhere, in natural order (http §5.1,
// quirks 7 and 18).
func (m *master) matchingHosts(ctx context.Context, pattern string) ([]string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%v", err)
	}
	hosts, err := m.store.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	hosts = slices.DeleteFunc(hosts, func(name string) bool { return !re.MatchString(name) })
	host.Sort(hosts)
	return hosts, nil
}

// jobsOnHosts lists the jobs deployed on the hosts whose name matches, each once, in the order of their ids.
func (m *master) jobsOnHosts(ctx context.Context, pattern string) ([]job.ID, error) {
	hosts, err := m.matchingHosts(ctx, pattern)
	if err != nil {
		return nil, err
	}
	jobs, err := m.store.HostJobs(ctx, hosts)
	if err != nil {
		return nil, err
	}
	var ids []job.ID
	for _, name := range hosts {
		ids = append(ids, jobs[name]...)
	}
	slices.SortFunc(ids, job.ID.Compare)
	return slices.Compact(ids), nil
}

// GET /hosts (http §5.1).
func (m *master) listHosts(c echo.Context) error {
	q := query(c)
	var selectors []host.Selector
	for _, text := range q.All(httpapi.ParamSelector) {
		selector, err := host.ParseSelector(text)
		if err != nil {
			return refuse(http.StatusBadRequest, "Invalid host selector: %s", text)
		}
		selectors = append(selectors, selector)
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	hosts, err := m.matchingHosts(ctx, q.First(httpapi.ParamNamePattern))
	if err != nil {
		return err
	}
	if len(selectors) > 0 {
		labels, err := each(ctx, m, hosts, m.store.HostLabels, host.ErrNotFound)
		if err != nil {
			return err
		}
		hosts = host.Select(selectors, labels)
	}
	return answer(c, document.Texts(&hosts))
}

// PUT /hosts/{host} (http §5.2). Registering again with the same id is success, with another one it is 409 (http
// quirk 12).
func (m *master) registerHost(c echo.Context) error {
	name, id := param(c, "host"), query(c).First(httpapi.ParamID)
	if id == "" {
		r := httpapi.HostRegisterResponse{Host: &name}
		return concluded(c, httpapi.RegisterHost, httpapi.ErrInvalidID, &r.Status, r.JSON())
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	switch err := m.store.RegisterHost(ctx, name, id); {
	case errors.Is(err, host.ErrConflict):
		return refuse(http.StatusConflict, "Host %s is already registered with another id.", name)
	case err != nil:
		return err
	}
	return answer(c, document.Text(new("OK")))
}

// DELETE /hosts/{host} (http §5.3).
func (m *master) deregisterHost(c echo.Context) error {
	name := param(c, "host")
	ctx, cancel := m.stored(c)
	defer cancel()
	err := m.store.DeregisterHost(ctx, name)
	r := httpapi.HostDeregisterResponse{Host: &name}
	return concluded(c, httpapi.DeregisterHost, err, &r.Status, r.JSON())
}

// GET /hosts/{host}/status (http §5.4).
func (m *master) readHostStatus(c echo.Context) error {
	ctx, cancel := m.stored(c)
	defer cancel()
	status, err := m.store.HostStatus(ctx, param(c, "host"))
	if err != nil {
		return unlessMissing(err, host.ErrNotFound)
	}
	if !wanted(c, status) {
		return empty(http.StatusNotFound)
	}
	return answer(c, status.JSON())
}

// wanted reports whether a host is of the state that the request asks for, if it asks for one.
func wanted(c echo.Context, s host.Status) bool {
	state := query(c).First(httpapi.ParamStatus)
	return state == "" || state == string(s.Status)
}

// POST /hosts/statuses (http §5.5).
func (m *master) readHostStatuses(c echo.Context) error {
	var names []string
	if err := readBody(c, document.NullableTexts(&names)); err != nil {
		return err
	}
	if names == nil {
		return errNoDocument
	}
	if slices.Contains(names, document.NullText) {
		return refuse(http.StatusBadRequest, "A host name is null.")
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	statuses, err := each(ctx, m, names, m.store.HostStatus, host.ErrNotFound)
	if err != nil {
		return err
	}
	for name, status := range statuses {
		if !wanted(c, status) {
			delete(statuses, name)
		}
	}
	return answer(c, document.Map(&statuses, document.TextKeys, (*host.Status).JSON))
}
