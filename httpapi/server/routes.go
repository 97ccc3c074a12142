package server

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/httpapi"
)

// methods are those that the API knows; all others are 405 wherever they go (http §1.2 step 3).
var methods = []string{
	http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPatch,
}

func (m *master) newAPI() *echo.Echo {
	e := m.newEcho()
	e.Pre(m.checkVersion, m.allowOrigins, knownMethods, plainPath)

	const jobPath, hostPath = httpapi.PathJobs + "/:id", httpapi.PathHosts + "/:host"
	const deploymentPath = hostPath + jobPath
	for _, r := range []struct {
		method, path string
		endpoint     echo.HandlerFunc
	}{
		{http.MethodGet, httpapi.PathJobs, m.listJobs},
		{http.MethodPost, httpapi.PathJobs, m.createJob},
		{http.MethodGet, jobPath, m.readJob},
		{http.MethodDelete, jobPath, m.removeJob},
		{http.MethodGet, jobPath + "/status", m.readJobStatus},
		{http.MethodGet, httpapi.PathHistory + "/:id", m.readHistory},
		{http.MethodGet, httpapi.PathHosts, m.listHosts},
		{http.MethodPut, hostPath, m.registerHost},
		{http.MethodDelete, hostPath, m.deregisterHost},
		{http.MethodGet, hostPath + "/status", m.readHostStatus},
		{http.MethodGet, deploymentPath, m.readDeployment},
		{http.MethodPut, deploymentPath, m.deploy},
		{http.MethodPatch, deploymentPath, m.setGoal},
		{http.MethodDelete, deploymentPath, m.undeploy},
		{http.MethodGet, httpapi.PathMasters, m.listMasters},
		{http.MethodGet, httpapi.PathVersionCheck, m.readVersionCheck},
		{http.MethodGet, httpapi.PathDoubts, m.listDoubts},
		{http.MethodGet, httpapi.PathViews, func(c echo.Context) error { return answerViews(c, m.store.Views()) }},
		{http.MethodGet, "/v1" + hostPath + "/wishes", m.readWishes},
		{http.MethodPost, "/v1" + hostPath + "/accept", m.acceptWishes},
	} {
		e.Add(r.method, r.path, produces(typeJSON, r.endpoint))
		if r.method == http.MethodGet {
			e.HEAD(r.path, produces(typeJSON, r.endpoint))
		}
	}
	e.Match([]string{http.MethodGet, http.MethodHead}, httpapi.PathVersion, produces(typeText, m.readVersion))
	only(e, httpapi.PathJobStatuses, http.MethodPost, produces(typeJSON, m.readJobStatuses))
	only(e, httpapi.PathHostStatuses, http.MethodPost, produces(typeJSON, m.readHostStatuses))
	only(e, "/history", "", nil)
	return e
}

func (s *Server) newEcho() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = s.handleError
	e.Pre(s.bound)
	return e
}

// only registers an endpoint of one method, or of none, whose path a parameter of another endpoint would match as
// well: a literal segment wins, so the other methods of the path are 405 (http §1.2).
func only(e *echo.Echo, path, method string, endpoint echo.HandlerFunc) {
	allow := http.MethodOptions
	if method != "" {
		allow += ", " + method
		e.Add(method, path, endpoint)
	}
	others := slices.DeleteFunc(slices.Clone(methods), func(m string) bool { return m == method })
	e.Match(others, path, func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderAllow, allow)
		if c.Request().Method == http.MethodOptions {
			return c.NoContent(http.StatusNoContent)
		}
		return empty(http.StatusMethodNotAllowed)
	})
}

// bound turns a panic into an error, and limits how long a request's body may take to arrive, be it read or not, and its
// answer to leave.
func (s *Server) bound(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				if r == http.ErrAbortHandler {
					panic(r)
				}
				err = newPanicError(r)
			}
		}()
		conn := http.NewResponseController(c.Response())
		_ = conn.SetWriteDeadline(time.Now().Add(answerTime))
		if c.Request().ContentLength != 0 {
			_ = conn.SetReadDeadline(time.Now().Add(bodyTime))
		}
		return next(c)
	}
}

// checkVersion compares the client's version with the server's, whatever the path (http §1.6). The refusal has a body
// where the original has a page.
func (m *master) checkVersion(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		status := m.version.Check(r.Header.Get(httpapi.HeaderVersion))
		h.Set(httpapi.HeaderServerVersion, m.opts.Version)
		h.Set(httpapi.HeaderVersionStatus, string(status))
		code, message := status.Refusal(m.version)
		switch {
		case code == 0:
			return next(c)
		case r.Method == http.MethodGet || r.Method == http.MethodPost:
			return refuse(code, "%s", message)
		default:
			return empty(code)
		}
	}
}

// allowOrigins lets pages of the allowed origins call the API (http §1.8, quirk 29). It forbids nothing: browsers do.
func (m *master) allowOrigins(next echo.HandlerFunc) echo.HandlerFunc {
	const headers = "X-Requested-With,Content-Type,Accept,Origin"
	const allowed = "OPTIONS,GET,PUT,POST,DELETE,HEAD"
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		origin := r.Header.Get("Origin")
		if origin == "" || !slices.Contains(m.opts.CORSOrigins, origin) && !slices.Contains(m.opts.CORSOrigins, "*") {
			return next(c)
		}
		h.Add("Vary", "Origin")
		method := r.Header.Get("Access-Control-Request-Method")
		preflight := r.Method == http.MethodOptions && method != ""
		if preflight && !(contains(allowed, method) && containsAll(headers, r.Header.Get("Access-Control-Request-Headers"))) {
			return next(c)
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		if preflight {
			h.Set("Access-Control-Max-Age", "1800")
			h.Set("Access-Control-Allow-Methods", allowed)
			h.Set("Access-Control-Allow-Headers", headers)
		} else {
			h.Set("Access-Control-Expose-Headers", "")
		}
		return next(c)
	}
}

func contains(list, item string) bool { return slices.Contains(strings.Split(list, ","), item) }

func containsAll(list, items string) bool {
	list = strings.ToLower(list)
	for item := range strings.SplitSeq(strings.ToLower(items), ",") {
		if item = strings.TrimSpace(item); item != "" && !contains(list, item) {
			return false
		}
	}
	return true
}

func knownMethods(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !slices.Contains(methods, c.Request().Method) {
			return empty(http.StatusMethodNotAllowed)
		}
		return next(c)
	}
}

// plainPath makes the raw path what the router compares: without a fragment, the last slash and the ";name=value" of
// its segments. An empty segment is no path of the API (http §1.2).
func plainPath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		raw := r.URL.EscapedPath()
		if strings.HasPrefix(r.RequestURI, "/") {
			raw = r.RequestURI
			if end := strings.IndexAny(raw, "?#"); end >= 0 {
				raw = raw[:end]
			}
		}
		segments := strings.Split(strings.TrimPrefix(raw, "/"), "/")
		if last := len(segments) - 1; last > 0 && segments[last] == "" {
			segments = segments[:last]
		}
		for i, segment := range segments {
			if segments[i], _, _ = strings.Cut(segment, ";"); segments[i] == "" {
				return empty(http.StatusNotFound)
			}
		}
		r.URL.RawPath = "/" + strings.Join(segments, "/")
		return next(c)
	}
}
