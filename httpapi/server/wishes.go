package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// GET /v1/doubts: the doubts of all hosts that are in doubt.
func (m *master) listDoubts(c echo.Context) error {
	ctx, cancel := m.stored(c)
	defer cancel()
	doubts, err := m.store.Doubts(ctx)
	if err != nil {
		return err
	}
	return answer(c, document.Map(&doubts, document.TextKeys, (*host.Doubt).JSON))
}

// GET /v1/hosts/{host}/wishes: what the host holds on to, and what is stored.
func (m *master) readWishes(c echo.Context) error {
	ctx, cancel := m.stored(c)
	defer cancel()
	w, err := m.store.Wishes(ctx, param(c, "host"))
	if err != nil {
		return unlessMissing(err, host.ErrNotFound)
	}
	r := httpapi.HostWishes{Up: w.Up, Silent: w.Note == nil, Newer: w.Newer, Missing: w.Missing, Stored: w.Stored}
	if w.Note != nil {
		r.Doubt = w.Note.Doubt
	}
	return answer(c, r.JSON())
}

// POST /v1/hosts/{host}/accept: a person's word, which names the doubt by its token.
func (m *master) acceptWishes(c echo.Context) error {
	var a host.Acceptance
	if err := readBody(c, a.JSON()); err != nil {
		return err
	}
	if a.Mode == "" {
		return refuse(http.StatusBadRequest, "An acceptance has a mode, keep or follow.")
	}
	a.At, a.User = time.Now().UnixMilli(), ""
	if name := user(c); name != nil {
		a.User = *name
	}
	ctx, cancel := m.stored(c)
	defer cancel()
	err := m.store.Accept(ctx, param(c, "host"), a)
	for _, refused := range []error{
		host.ErrDown, host.ErrNoDoubt, host.ErrOtherDoubt, host.ErrAccepting, host.ErrNothingStored, host.ErrUnanswered,
		job.ErrPortConflict, job.ErrExists,
	} {
		if errors.Is(err, refused) {
			return refuse(http.StatusConflict, "%v", err)
		}
	}
	if err != nil {
		return unlessMissing(err, host.ErrNotFound)
	}
	return answer(c, a.JSON())
}
