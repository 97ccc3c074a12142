package server

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
)

// Unwell is the reason of a check that has come to a verdict of its own; the health document shows it as the message. Any
// other error is one that the check met: the document shows the error too, as the original does.
type Unwell string

func (u Unwell) Error() string { return string(u) }

// ZooKeeper is the check of the store's connection: that is looked at, nothing is sent.
func ZooKeeper(s *store.Store) error {
	if s.Connected() {
		return nil
	}
	return Unwell("CuratorZookeeperClient reports that it is not connected") // scripts look for this text
}

// writeHealth answers what a load balancer asks: 500 as long as something is wrong (operations §3.3). Go's runtime ends a
// process whose goroutines are all deadlocked, so that check is always well; it stays for who reads it.
func writeHealth(c echo.Context, results map[string]error) error {
	checks := map[string]check{"deadlocks": {}}
	code := http.StatusOK
	for name, err := range results {
		checks[name] = check{err}
		if err != nil {
			code = http.StatusInternalServerError
		}
	}
	v := document.Map(&checks, document.TextKeys, (*check).JSON)
	body := document.HTTP(v)
	if query(c).First("pretty") == "true" {
		body = []byte(document.Pretty(v))
	}
	return send(c, code, typeJSON, body)
}

// check is one entry of the health document: what is wrong, nil for nothing.
type check struct{ err error }

// JSON describes the entry (operations §3.3).
func (h *check) JSON() document.Value {
	healthy := h.err == nil
	members := []document.Member{{Name: "healthy", Value: document.Bool(&healthy)}}
	if h.err != nil {
		text := h.err.Error()
		members = append(members, document.Member{Name: "message", Value: document.Text(&text)})
		if _, verdict := errors.AsType[Unwell](h.err); !verdict {
			members = append(members, document.Member{Name: "error", Value: document.Object(
				document.Member{Name: "message", Value: document.Text(&text)},
				document.Member{Name: "stack", Value: document.Texts(new([]string))}, // ours have none
			)})
		}
	}
	return document.Object(members...)
}
