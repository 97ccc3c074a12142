package server

import (
	"bytes"
	"context"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"
)

const menu = `<!DOCTYPE html>
<html><head><title>Helios</title></head><body>
<h1>Operational Menu</h1>
<ul><li><a href="/ping">Ping</a></li><li><a href="/threads">Threads</a></li><li><a href="/healthcheck">Healthcheck</a></li></ul>
</body></html>
`

// newAdmin answers the admin port (http §10, operations §3). health tells what is well, by the name of the check.
func (s *Server) newAdmin(health func(context.Context) map[string]error) *echo.Echo {
	e := s.newEcho()
	e.Pre(knownMethods)
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		c.Response().Header().Del(echo.HeaderAllow) // the original's pages do without
		s.handleError(err, c)
	}
	pages := map[string]echo.HandlerFunc{
		"/":     func(c echo.Context) error { return send(c, http.StatusOK, "text/html", []byte(menu)) },
		"/ping": func(c echo.Context) error { return send(c, http.StatusOK, typeText, []byte("pong\n")) },
		"/threads": func(c echo.Context) error {
			var dump bytes.Buffer
			if err := pprof.Lookup("goroutine").WriteTo(&dump, 2); err != nil {
				return err
			}
			return send(c, http.StatusOK, typeText, dump.Bytes())
		},
		"/healthcheck": func(c echo.Context) error { return writeHealth(c, health(c.Request().Context())) },
	}
	for path, page := range pages {
		uncached := func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderCacheControl, "must-revalidate,no-cache,no-store")
			return page(c)
		}
		e.Match([]string{http.MethodGet, http.MethodHead}, path, uncached)
		e.OPTIONS(path, func(c echo.Context) error {
			c.Response().Header().Set(echo.HeaderAllow, "GET, HEAD, TRACE, OPTIONS")
			return c.NoContent(http.StatusOK)
		})
	}
	e.POST("/tasks/gc", collectGarbage)
	return e
}

func collectGarbage(c echo.Context) error {
	const most = 10 // runs asked for beyond this are not worth a stall
	runs, err := strconv.Atoi(query(c).First("runs"))
	if err != nil {
		runs = 1
	}
	for range min(max(runs, 0), most) {
		runtime.GC()
	}
	body := strings.Repeat("Running GC...\n", min(max(runs, 0), most)) + "Done!\n"
	return send(c, http.StatusOK, "text/plain; charset=utf-8", []byte(body))
}
