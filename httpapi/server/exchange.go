package server

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
)

// answer writes a document with status 200.
func answer(c echo.Context, v document.Value) error { return write(c, http.StatusOK, v) }

// write sends an answer of type JSON, or one without a body.
func write(c echo.Context, code int, v document.Value) error {
	if v == nil {
		return c.NoContent(code)
	}
	return send(c, code, typeJSON, document.HTTP(v))
}

// send sends an answer, packed if the client wants that.
func send(c echo.Context, code int, mediaType string, body []byte) error {
	h := c.Response().Header()
	h.Set(echo.HeaderContentType, mediaType)
	if code < 300 {
		h.Add(echo.HeaderVary, "Accept-Encoding")
	}
	if e := encoding(c.Request(), code, body); e != "" {
		h.Set(echo.HeaderContentEncoding, e)
		body = pack(body, e)
	}
	c.Response().WriteHeader(code)
	_, err := c.Response().Write(body)
	return err
}

// readBody reads a request's document: 415 for another type, 422 for none, 400 for one that is not understood
// (http §1.3).
func readBody(c echo.Context, v document.Value) error {
	r := c.Request()
	switch json, valid := isJSON(r.Header.Get(echo.HeaderContentType)); {
	case !valid:
		return refuse(http.StatusBadRequest, "Content-Type is no media type.")
	case !json:
		return empty(http.StatusUnsupportedMediaType)
	}
	data, err := readAll(c)
	if err != nil {
		return err
	}
	// With the body read, only the client's going away is left to be noticed: that must not time out.
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Time{})
	err = document.ReadHTTP(data, v)
	if errors.Is(err, document.ErrNull) {
		return errNoDocument
	}
	if unknown, ok := errors.AsType[*document.UnknownWordError](err); ok {
		err = unknown // the whole message (http §1.3)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	return nil
}

// readAll reads a request's body, unpacked and bounded.
func readAll(c echo.Context) ([]byte, error) {
	r := c.Request()
	body := io.Reader(http.MaxBytesReader(c.Response(), r.Body, maxBody))
	switch coding := strings.ToLower(r.Header.Get(echo.HeaderContentEncoding)); coding {
	case "", "identity":
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, bodyError(err)
		}
		body = unpacked
	default:
		return nil, empty(http.StatusUnsupportedMediaType)
	}
	data, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err != nil {
		return nil, bodyError(err)
	}
	if len(data) > maxBody {
		return nil, bodyError(&http.MaxBytesError{Limit: maxBody})
	}
	return data, nil
}

func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "The body is larger than %d bytes", maxBody)
	}
	return refuse(http.StatusBadRequest, "read the body: %v", err)
}

// produces wraps an endpoint: the client must accept the type of its answer (http §1.2 step 6).
func produces(mediaType string, endpoint echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !acceptable(c.Request().Header.Values(echo.HeaderAccept), mediaType) {
			return empty(http.StatusNotAcceptable)
		}
		return endpoint(c)
	}
}

// stored limits the time that a request waits for the store (http quirk 27).
func (m *master) stored(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(c.Request().Context(), m.opts.StoreTimeout, errStoreTimeout)
}

// user is who asks, nil if nobody says so (http quirk 1).
func user(c echo.Context) *string {
	if name, ok := query(c).Lookup(httpapi.ParamUser); ok {
		return &name
	}
	return nil
}

// param is a path parameter, decoded once.
func param(c echo.Context, name string) string {
	text, err := url.PathUnescape(c.Param(name))
	if err != nil { // net/http lets no such path through
		text = c.Param(name)
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

func query(c echo.Context) httpapi.Query { return httpapi.ParseQuery(c.Request().URL.RawQuery) }
