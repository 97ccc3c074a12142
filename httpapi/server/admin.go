package server

import (
	"bytes"
	"net/http"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
)

const menu = `<!DOCTYPE html>
<html><head><title>Helios master</title></head><body>
<h1>Operational Menu</h1>
<ul><li><a href="/ping">Ping</a></li><li><a href="/threads">Threads</a></li><li><a href="/healthcheck">Healthcheck</a></li></ul>
</body></html>
`

// newAdmin answers the admin port (http §10, operations §3).
func (s *Server) newAdmin() *echo.Echo {
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
		"/healthcheck": s.readHealth,
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

// readHealth answers what a load balancer asks: 500 as long as something is wrong (operations §3.3). The connection is
// looked at, nothing is sent. Go's runtime ends a process whose goroutines are all deadlocked, so that check is
// always well; it stays for who reads it.
func (s *Server) readHealth(c echo.Context) error {
	deadlocks, zookeeper := check{healthy: true}, check{healthy: s.store.Connected()}
	code := http.StatusOK
	if !zookeeper.healthy {
		zookeeper.message = new("CuratorZookeeperClient reports that it is not connected") // scripts look for this text
		code = http.StatusInternalServerError
	}
	checks := map[string]check{"deadlocks": deadlocks, "zookeeper": zookeeper}
	v := document.Map(&checks, document.TextKeys, (*check).JSON)
	body := document.HTTP(v)
	if httpapi.ParseQuery(c.Request().URL.RawQuery).First("pretty") == "true" {
		body = []byte(document.Pretty(v))
	}
	return send(c, code, typeJSON, body)
}

// check is one entry of the health document.
type check struct {
	healthy bool
	message *string
}

// JSON describes the entry (http §10).
func (h *check) JSON() document.Value {
	return document.Object(
		document.Member{Name: "healthy", Value: document.Bool(&h.healthy)},
		document.Member{Name: "message", Value: document.OptionalText(&h.message), OmitNull: true},
	)
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
