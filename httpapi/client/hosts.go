package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
)

// Hosts lists the hosts whose name matches the regular expression namePattern, "" for all, and whose labels satisfy
// every selector, given as text (a=b, a in (b, c)).
func (c *Client) Hosts(ctx context.Context, namePattern string, selectors ...string) ([]string, error) {
	var query httpapi.Query
	if namePattern != "" {
		query = append(query, httpapi.Param{Name: httpapi.ParamNamePattern, Value: namePattern})
	}
	for _, s := range selectors {
		query = append(query, httpapi.Param{Name: httpapi.ParamSelector, Value: s})
	}
	var hosts []string
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.PathHosts + "/", query: query})
	if err == nil {
		err = a.read(document.Texts(&hosts), nil)
	}
	return hosts, err
}

// HostStatus reads all that is known of a host; host.ErrNotFound.
func (c *Client) HostStatus(ctx context.Context, name string) (host.Status, error) {
	var s host.Status
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.HostStatusPath(name)})
	if err == nil {
		err = a.read(s.JSON(), host.ErrNotFound)
	}
	return s, err
}

// HostStatuses is HostStatus of many hosts in one request. Unknown hosts are left out, those that the answer says nothing
// of (null), and those of another state than state; "" asks for any.
func (c *Client) HostStatuses(ctx context.Context, names []string, state host.State) (map[string]host.Status, error) {
	var query httpapi.Query
	if state != "" {
		query = append(query, httpapi.Param{Name: httpapi.ParamStatus, Value: string(state)})
	}
	var found map[string]*host.Status
	body := document.Canonical(document.Texts(&names))
	a, err := c.do(ctx, request{method: http.MethodPost, path: httpapi.PathHostStatuses, query: query, body: body})
	if err == nil {
		err = a.read(document.Map(&found, document.TextKeys, func(s **host.Status) document.Value {
			return document.Optional(s, (*host.Status).JSON)
		}), nil)
	}
	if err != nil {
		return nil, err
	}
	statuses := make(map[string]host.Status, len(found))
	for name, s := range found {
		if s != nil {
			statuses[name] = *s
		}
	}
	return statuses, nil
}

// RegisterHost registers the agent with the given id as host name, before the agent itself does. The code is the
// answer's HTTP status, 0 without an answer; the error is nil for 200 and a *StatusError for others:
// httpapi.ErrInvalidID, host.ErrConflict.
func (c *Client) RegisterHost(ctx context.Context, name, id string) (code int, err error) {
	a, err := c.do(ctx, request{
		method: http.MethodPut,
		path:   httpapi.HostPath(name),
		query:  httpapi.Query{{Name: httpapi.ParamID, Value: id}},
	})
	if err != nil || a.status == http.StatusOK {
		return a.status, err
	}
	e := a.statusError()
	var r httpapi.HostRegisterResponse
	if a.status == http.StatusConflict {
		e.Outcome = host.ErrConflict
	} else if document.Read(a.body, r.JSON()) == nil {
		if o, ok := httpapi.Meaning(httpapi.RegisterHost, r.Status); ok {
			e.Outcome = o.Err
		}
	}
	return a.status, e
}

// DeregisterHost removes a host with its deployments, statuses and history, up or not; host.ErrNotFound.
func (c *Client) DeregisterHost(ctx context.Context, name string) (httpapi.HostDeregisterResponse, error) {
	var r httpapi.HostDeregisterResponse
	a, err := c.do(ctx, request{method: http.MethodDelete, path: httpapi.HostPath(name)})
	if err == nil {
		err = a.outcome(httpapi.DeregisterHost, r.JSON(), &r.Status, http.StatusNotFound)
	}
	return r, err
}

// Masters lists the masters that are up.
func (c *Client) Masters(ctx context.Context) ([]string, error) {
	var masters []string
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.PathMasters + "/"})
	if err == nil {
		err = a.read(document.Texts(&masters), nil)
	}
	return masters, err
}

// Version tells the client's version and the master's, or a sentence why that is not known (http §12.8).
func (c *Client) Version(ctx context.Context) httpapi.VersionResponse {
	v := httpapi.VersionResponse{ClientVersion: c.opts.Version}
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.PathVersion + "/"})
	switch {
	case err != nil:
		v.MasterVersion = "Unable to connect to master"
	case a.status != http.StatusOK:
		v.MasterVersion = fmt.Sprintf("Master replied with error code %d", a.status)
	case a.decode(document.Text(&v.MasterVersion)) != nil:
		v.MasterVersion = "Unable to read the master's answer"
	}
	v.MasterVersion = printable(v.MasterVersion)
	return v
}
