package client

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
)

// StatusError is an answer whose status the request does not expect: 404 for a path or thing that is not there, 400
// and 500 where no document says more, 426 for a client that is too new.
type StatusError struct {
	Request string // method and URL, without secrets
	Code    int
	Message string // what the master says about it; may be empty
	Outcome error  // the sentinel of the outcome, if the status alone tells it
}

// Error begins as the original's message does.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("request failed: %s: status %d", e.Request, e.Code)
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Unwrap makes the outcome known to errors.Is.
func (e *StatusError) Unwrap() error { return e.Outcome }

// read decodes an answer of status 200 into v. Status 404 means missing, if that is an error.
func (a answer) read(v document.Value, missing error) error {
	if a.status != http.StatusOK {
		e := a.statusError()
		if a.status == http.StatusNotFound {
			e.Outcome = missing
		}
		return e
	}
	return a.decode(v)
}

// outcome decodes the answer document of an operation into v, whose status word is s. Statuses other than 200 and the
// listed ones have no document (http §12.8). The error is the outcome that the status word names, nil for OK.
func (a answer) outcome(op httpapi.Operation, v document.Value, s *httpapi.Status, decodable ...int) error {
	if a.status != http.StatusOK && !slices.Contains(decodable, a.status) {
		return a.statusError()
	}
	if err := a.decode(v); err != nil {
		*s = "" // what was read before the fault is no answer
		return err
	}
	o, ok := httpapi.Meaning(op, *s)
	switch {
	case !ok: // absent or null
		return a.badReply(errors.New("no status"))
	case o.Err != nil:
		return fmt.Errorf("%s: %w", op, o.Err)
	}
	return nil
}

func (a answer) decode(v document.Value) error {
	switch string(bytes.TrimSpace(a.body)) {
	case "", "null": // nothing known is not the same as nothing there
		return a.badReply(errors.New("empty"))
	}
	if err := document.Read(a.body, v); err != nil {
		return a.badReply(err)
	}
	return nil
}

func (a answer) badReply(err error) error {
	return fmt.Errorf("bad reply: %s %s: status %d: %w", a.method, a.url, a.status, err)
}

func (a answer) statusError() *StatusError {
	return &StatusError{Request: a.method + " " + a.url, Code: a.status, Message: a.message()}
}

// message is what an error's body says: its member message, or the beginning of its text.
func (a answer) message() string {
	var text string
	if document.Read(a.body, document.Object(document.Member{Name: "message", Value: document.Text(&text)})) == nil && text != "" {
		return printable(text)
	}
	if strings.HasPrefix(strings.TrimSpace(string(a.body[:min(len(a.body), 64)])), "<") {
		return "" // an HTML page
	}
	return printable(string(a.body))
}

// printable makes a master's text fit for a terminal: one line of at most 1024 bytes without control characters.
func printable(text string) string {
	text = text[:min(len(text), 1024)]
	text = strings.TrimSpace(strings.ToValidUTF8(text, ""))
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
