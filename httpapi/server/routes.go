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

func (s *Server) newAPI() *echo.Echo {
	e := s.newEcho()
	e.Pre(s.checkVersion, s.allowOrigins, knownMethods, plainPath)

	e.GET("/jobs", s.json(s.listJobs))
	e.HEAD("/jobs", s.json(s.listJobs))
	e.POST("/jobs", s.json(s.createJob))
	e.GET("/jobs/:id", s.json(s.readJob))
	e.HEAD("/jobs/:id", s.json(s.readJob))
	e.DELETE("/jobs/:id", s.json(s.removeJob))
	e.GET("/jobs/:id/status", s.json(s.readJobStatus))
	e.HEAD("/jobs/:id/status", s.json(s.readJobStatus))
	only(e, "/jobs/statuses", http.MethodPost, s.json(s.readJobStatuses))
	e.GET("/history/jobs/:id", s.json(s.readHistory))
	e.HEAD("/history/jobs/:id", s.json(s.readHistory))
	only(e, "/history", "", nil)

	e.GET("/hosts", s.json(s.listHosts))
	e.HEAD("/hosts", s.json(s.listHosts))
	e.PUT("/hosts/:host", s.json(s.registerHost))
	e.DELETE("/hosts/:host", s.json(s.deregisterHost))
	e.GET("/hosts/:host/status", s.json(s.readHostStatus))
	e.HEAD("/hosts/:host/status", s.json(s.readHostStatus))
	only(e, "/hosts/statuses", http.MethodPost, s.json(s.readHostStatuses))

	e.GET("/hosts/:host/jobs/:id", s.json(s.readDeployment))
	e.HEAD("/hosts/:host/jobs/:id", s.json(s.readDeployment))
	e.PUT("/hosts/:host/jobs/:id", s.json(s.deploy))
	e.PATCH("/hosts/:host/jobs/:id", s.json(s.setGoal))
	e.DELETE("/hosts/:host/jobs/:id", s.json(s.undeploy))

	e.GET("/masters", s.json(s.listMasters))
	e.HEAD("/masters", s.json(s.listMasters))
	e.GET("/version", s.produces(typeText, s.readVersion))
	e.HEAD("/version", s.produces(typeText, s.readVersion))
	e.GET("/version/check", s.json(s.readVersionCheck))
	e.HEAD("/version/check", s.json(s.readVersionCheck))
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

// bound turns a panic into an error, and limits how long a request's body and answer may take. A body that an endpoint
// does not read is thus bounded as well.
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
		if c.Request().ContentLength != 0 {
			_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Now().Add(bodyTime))
		}
		return next(c)
	}
}

// checkVersion compares the client's version with the server's, whatever the path (http §1.6). The refusal has a body
// where the original has a page.
func (s *Server) checkVersion(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		status := s.version.Check(r.Header.Get(httpapi.HeaderVersion))
		h.Set(httpapi.HeaderServerVersion, s.opts.Version)
		h.Set(httpapi.HeaderVersionStatus, string(status))
		code, message := status.Refusal(s.version)
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
func (s *Server) allowOrigins(next echo.HandlerFunc) echo.HandlerFunc {
	const headers = "X-Requested-With,Content-Type,Accept,Origin"
	const allowed = "OPTIONS,GET,PUT,POST,DELETE,HEAD"
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		origin := r.Header.Get("Origin")
		if origin == "" || !slices.Contains(s.opts.CORSOrigins, origin) && !slices.Contains(s.opts.CORSOrigins, "*") {
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
