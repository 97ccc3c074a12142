package client

import (
	"context"
	"net/http"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
)

// Doubts are the doubts of all hosts that are in doubt. A master of 0.9 does not know: its answer is a *StatusError.
func (c *Client) Doubts(ctx context.Context) (map[string]host.Doubt, error) {
	var doubts map[string]host.Doubt
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.PathDoubts})
	if err == nil {
		err = a.read(document.Map(&doubts, document.TextKeys, (*host.Doubt).JSON), nil)
	}
	return doubts, err
}

// HostWishes reads what a host holds on to and what is stored for it; host.ErrNotFound.
func (c *Client) HostWishes(ctx context.Context, name string) (httpapi.HostWishes, error) {
	var w httpapi.HostWishes
	a, err := c.do(ctx, request{method: http.MethodGet, path: httpapi.HostWishesPath(name)})
	if err == nil {
		err = a.read(w.JSON(), host.ErrNotFound)
	}
	return w, err
}

// Accept ends the doubt of a host that has that token. A refusal is a *StatusError whose message says why.
func (c *Client) Accept(ctx context.Context, name, token string, mode host.Mode) error {
	said := host.Acceptance{Token: token, Mode: mode}
	a, err := c.do(ctx, request{method: http.MethodPost, path: httpapi.AcceptPath(name), body: document.Canonical(said.JSON())})
	if err == nil {
		err = a.read(said.JSON(), host.ErrNotFound)
	}
	return err
}
