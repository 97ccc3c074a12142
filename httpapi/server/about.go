package server

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
)

// GET /masters (http §8).
func (m *master) listMasters(c echo.Context) error {
	ctx, cancel := m.stored(c)
	defer cancel()
	masters, err := m.store.Masters(ctx)
	if err != nil {
		return err
	}
	return answer(c, document.Texts(&masters))
}

// GET /version (http §9.1): a text that is a JSON string as well.
func (m *master) readVersion(c echo.Context) error {
	return send(c, http.StatusOK, typeText, fmt.Appendf(nil, "%q", m.opts.Version))
}

// GET /version/check (http §9.2).
func (m *master) readVersionCheck(c echo.Context) error {
	client := query(c).First(httpapi.ParamClient)
	r := httpapi.VersionCheckResponse{
		Status:             m.version.Check(client),
		ServerVersion:      m.version,
		RecommendedVersion: m.opts.Version,
	}
	if r.Status == httpapi.VersionInvalid {
		_, err := httpapi.ParseVersion(client)
		return refuse(http.StatusBadRequest, "%v", err)
	}
	return answer(c, r.JSON())
}
