package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
)

// errStoreTimeout is the cause of a request's context that ended because the store did not answer.
var errStoreTimeout = errors.New("the store did not answer in time")

// refusal is an answer other than success. Endpoints return it as an error; handleError writes it.
type refusal struct {
	code   int
	answer document.Value // the body; nil: none
}

func (r *refusal) Error() string { return fmt.Sprintf("refused with status %d", r.code) }

// empty refuses without a body, as the original does where no client reads one.
func empty(code int) error { return &refusal{code: code} }

// refuse answers {"message":…}.
func refuse(code int, format string, args ...any) error {
	return &refusal{code, message(fmt.Sprintf(format, args...))}
}

func message(text string) document.Value {
	return document.Object(document.Member{Name: "message", Value: document.Text(&text)})
}

// errNoDocument is the answer to a body that is empty or null.
var errNoDocument error = &refusal{http.StatusUnprocessableEntity, document.Object(
	document.Member{Name: "errors", Value: document.Texts(new([]string))},
)}

// concluded turns the end of an operation into its answer: the document with the outcome's status word, as success or
// as refusal. status is the document's status word. Other failures stay errors.
func concluded(c echo.Context, op httpapi.Operation, err error, status *httpapi.Status, answer document.Value) error {
	o, ok := httpapi.OutcomeOf(op, err)
	if !ok {
		return err
	}
	*status = o.Status
	if err != nil && o.Code >= 300 {
		return &refusal{o.Code, answer}
	}
	return write(c, o.Code, answer)
}

// panicError is a bug: what was thrown, and where.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func newPanicError(value any) error { return &panicError{value, debug.Stack()} }

// handleError is the only place that writes the body of an error (http §1.9). What is not the client's doing is
// logged under an id that the client is told, and told nothing else.
func (s *Server) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		_ = write(c, r.code, r.answer)
		return
	}
	if e, ok := errors.AsType[*echo.HTTPError](err); ok && e.Code < http.StatusInternalServerError {
		_ = write(c, e.Code, nil) // the router's 404 and 405
		return
	}
	if errors.Is(err, store.ErrName) {
		_ = write(c, http.StatusBadRequest, message(err.Error()))
		return
	}
	if errors.Is(err, context.Canceled) { // the client has gone
		_ = write(c, http.StatusBadRequest, nil)
		return
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	logged := hex.EncodeToString(id)
	entry := s.log.Error().Err(err).Str("id", logged).Str("method", c.Request().Method).Str("path", c.Request().URL.Path)
	if p, ok := errors.AsType[*panicError](err); ok {
		entry = entry.Bytes("stack", p.stack)
	}
	entry.Msg("request failed")

	code, text := http.StatusInternalServerError, "There was an error processing your request."
	switch {
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrClosed), errors.Is(err, errStoreTimeout), errors.Is(err, context.DeadlineExceeded):
		code, text = http.StatusServiceUnavailable, "ZooKeeper cannot be reached."
	case errors.Is(err, store.ErrNoCluster):
		text = "ZooKeeper cluster ID does not exist."
	case errors.Is(err, store.ErrDenied):
		text = "ZooKeeper denies it to this master."
	case errors.Is(err, store.ErrTooLarge):
		code, text = http.StatusRequestEntityTooLarge, "The document is too large for ZooKeeper."
	}
	if e, ok := errors.AsType[*store.UnreadableError](err); ok {
		text = "Node " + e.Node + " is damaged."
	}
	_ = write(c, code, message(text+" It has been logged (ID "+logged+")."))
}
