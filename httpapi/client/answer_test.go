package client

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

func TestRefusalsCarryTheDocumentAndTheSentinel(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		code int
		body string
		call func(*Client) (httpapi.Status, error)
		want error
	}{
		{400, `{"status":"JOB_ALREADY_EXISTS","errors":[],"id":"a:1"}`, func(c *Client) (httpapi.Status, error) {
			r, err := c.CreateJob(ctx, job.Job{})
			return r.Status, err
		}, job.ErrExists},
		{403, `{"status":"FORBIDDEN"}`, func(c *Client) (httpapi.Status, error) {
			r, err := c.RemoveJob(ctx, id, "")
			return r.Status, err
		}, job.ErrForbidden},
		{400, `{"status":"PORT_CONFLICT","host":"h","job":"a:1"}`, func(c *Client) (httpapi.Status, error) {
			r, err := c.Deploy(ctx, "h", id, job.Start, "")
			return r.Status, err
		}, job.ErrPortConflict},
		{404, `{"status":"HOST_NOT_FOUND","host":"h","job":"a:1"}`, func(c *Client) (httpapi.Status, error) {
			r, err := c.SetGoal(ctx, "h", id, job.Start, "")
			return r.Status, err
		}, host.ErrNotFound},
		{404, `{"status":"JOB_NOT_FOUND","host":"h","job":"a:1"}`, func(c *Client) (httpapi.Status, error) {
			r, err := c.Undeploy(ctx, "h", id, "")
			return r.Status, err
		}, job.ErrNotDeployed},
		{404, `{"status":"NOT_FOUND","host":"h"}`, func(c *Client) (httpapi.Status, error) {
			r, err := c.DeregisterHost(ctx, "h")
			return r.Status, err
		}, host.ErrNotFound},
		{200, `{"events":[],"status":"JOB_ID_NOT_FOUND"}`, func(c *Client) (httpapi.Status, error) {
			r, err := c.History(ctx, id)
			return r.Status, err
		}, job.ErrNotFound},
	} {
		status, err := c.call(newClient(t, Options{Masters: []string{newMaster(t, says(c.code, c.body)).URL}}))
		if status == "" || !errors.Is(err, c.want) {
			t.Errorf("%s: status %q, error %v", c.body, status, err)
		}
	}
}

func TestMissingThingsAreErrorsThatSayWhichKind(t *testing.T) {
	c := newClient(t, Options{Masters: []string{newMaster(t, says(404, "")).URL}})
	ctx := t.Context()
	_, noJob := c.Job(ctx, id)
	_, noStatus := c.JobStatus(ctx, id)
	_, noHost := c.HostStatus(ctx, "h")
	_, noDeployment := c.Deployment(ctx, "h", id)
	_, noMasters := c.Masters(ctx)
	for _, x := range []struct{ err, want error }{
		{noJob, job.ErrNotFound}, {noStatus, job.ErrNotFound}, {noHost, host.ErrNotFound}, {noDeployment, job.ErrNotDeployed},
	} {
		if !errors.Is(x.err, x.want) {
			t.Errorf("%v is no %v", x.err, x.want)
		}
	}
	if e, ok := errors.AsType[*StatusError](noMasters); !ok || e.Code != 404 {
		t.Errorf("failed with %v", noMasters)
	}
}

func TestHostsOfWhichNothingIsSaidAreLeftOut(t *testing.T) {
	c := newClient(t, Options{Masters: []string{newMaster(t, says(200, `{"a":null,"b":{"status":"UP","jobs":{},"statuses":{}}}`)).URL}})
	got, err := c.HostStatuses(t.Context(), []string{"a", "b"}, "")
	if _, known := got["b"]; err != nil || !known || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRegistrationGivesTheStatusNumber(t *testing.T) {
	for _, c := range []struct {
		code int
		body string
		want error
	}{
		{200, `"OK"`, nil},
		{400, `{"status":"INVALID_ID","host":"h"}`, httpapi.ErrInvalidID},
		{409, `{"message":"taken"}`, host.ErrConflict},
	} {
		code, err := newClient(t, Options{Masters: []string{newMaster(t, says(c.code, c.body)).URL}}).RegisterHost(t.Context(), "h", "x")
		if code != c.code || !errors.Is(err, c.want) {
			t.Errorf("%d %s: %d, %v", c.code, c.body, code, err)
		}
	}
}

func TestVersionNeverFails(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{newMaster(t, says(200, `"0.9.1"`)).URL, "0.9.1"},
		{newMaster(t, says(426, "")).URL, "Master replied with error code 426"},
		{newMaster(t, says(200, "{")).URL, "Unable to read the master's answer"},
		{refusing(t), "Unable to connect to master"},
	} {
		got := newClient(t, Options{Masters: []string{c.url}}).Version(t.Context())
		if want := (httpapi.VersionResponse{ClientVersion: "0.10.0", MasterVersion: c.want}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

func TestAClientAheadOfItsMasterIsWarnedOnce(t *testing.T) {
	m := newMaster(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("helios-version-status", "MAYBE")
		w.Header().Set(httpapi.HeaderServerVersion, "0.9.283")
		_, _ = io.WriteString(w, "[]")
	})
	var warnings []string
	c := newClient(t, Options{Masters: []string{m.URL}, Warn: func(text string) { warnings = append(warnings, text) }})
	for range 3 {
		if _, err := c.Masters(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "0.10.0") || !strings.Contains(warnings[0], "0.9.283") {
		t.Errorf("warned %q", warnings)
	}
}

func TestGarbageIsAnErrorOfOneLine(t *testing.T) {
	ctx := t.Context()
	bodies := []string{
		"", "null", "{", "[", `"x"`, "17", "[]", "{}", `{"a":{}}`, `{"status":"NOPE"}`, `{"status":null}`, `{"status":"OK","host":[],"errors":{},"events":{}}`, "\x00\x1b[2J\xff",
		strings.Repeat("[", 100000), `<html>no</html>`, `{"message":"\u001b[31mred\nline"}`,
	}
	for _, body := range bodies {
		for _, code := range []int{200, 204, 301, 400, 403, 404, 418, 500, 503} {
			m := newMaster(t, says(code, body))
			c := newClient(t, Options{Masters: []string{m.URL}})
			var errs []error
			note := func(_ any, err error) { errs = append(errs, err) }
			v, err := c.CreateJob(ctx, job.Job{})
			note(v, err)
			if code != 200 || body != "{}" && body != `{"a":{}}` {
				m, err := c.Jobs(ctx, "", "")
				note(m, err)
			}
			h, err := c.HostStatus(ctx, "h")
			note(h, err)
			d, err := c.Deploy(ctx, "h", id, job.Start, "")
			note(d, err)
			if d.Status != "" {
				t.Errorf("%d %.20q has status %s", code, body, d.Status)
			}
			e, err := c.History(ctx, id)
			note(e, err)
			c.Version(ctx)
			for _, err := range errs {
				if err == nil {
					t.Errorf("%d %.20q was taken for success", code, body)
				} else if text := err.Error(); strings.ContainsAny(text, "\n\x1b\x00") {
					t.Errorf("%d %.20q gives %q", code, body, text)
				}
			}
			c.Close()
			m.Close()
		}
	}
}
