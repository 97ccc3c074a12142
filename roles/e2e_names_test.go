package roles_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// TestNamesThatWouldLeadElsewhereAreRefused smuggles slashes, dots, control characters and very long names into every
// request that names a host, a job or a group (zookeeper Q40). None is a failure of the server, none does anything.
func TestNamesThatWouldLeadElsewhereAreRefused(t *testing.T) {
	t.Parallel()
	servers, chroot, conn := ownChroot(t)
	c, _ := startMaster(t, servers)
	c.awaitMaster() // all that it makes at its start is there
	c.must("register", "h1", "id1")
	web := c.create(job.Job{Image: new("127.0.0.1:1/web:1")})
	c.deploy(web, "h1")
	stable := func() storetest.Tree { return storetest.ReadTree(t, conn, chroot) }
	before := stable()
	deployment := `{"job":"` + web.String() + `","goal":"START"}`
	for _, name := range []string{
		"a/b", "/", "../h1", "h1/jobs", "h1/id", "..", ".", "a\x00b", "a\nb", "\x7f", "\xff", "\ue000", "\ufff0", strings.Repeat("n", 5000),
		"/config/hosts/h1", "%2e%2e", "h1/",
	} {
		at := url.PathEscape(name)
		if name == "%2e%2e" {
			at = name // as it is: the dots themselves are encoded
		}
		for _, request := range []struct {
			method, path, body string
			bad                bool // it would make a node: 400
		}{
			{"PUT", "/hosts/" + at + "?id=x", "", true},
			{"GET", "/hosts/" + at + "/status", "", false},
			{"DELETE", "/hosts/" + at, "", false},
			{"PUT", "/hosts/" + at + "/jobs/" + url.PathEscape(web.String()), deployment, true},
			{"PATCH", "/hosts/" + at + "/jobs/" + url.PathEscape(web.String()), deployment, false},
			{"GET", "/hosts/" + at + "/jobs/" + url.PathEscape(web.String()), "", false},
			{"DELETE", "/hosts/" + at + "/jobs/" + url.PathEscape(web.String()), "", false},
			{"GET", "/jobs/" + at, "", false},
			{"DELETE", "/jobs/" + at, "", false},
			{"GET", "/jobs/" + at + "/status", "", false},
			{"POST", "/jobs", `{"id":"` + jsonText(name) + `:1","image":"i"}`, true},
		} {
			if request.method == "POST" && (strings.HasSuffix(name, "\xff") || strings.Trim(name, ".") == "") {
				continue // no text of JSON; or a job of dots, which is one component of a path and allowed
			}
			code, body := do(t, request.method, c.api+request.path, request.body)
			if code >= 500 || request.bad && code != http.StatusBadRequest && code != http.StatusNotFound {
				t.Errorf("%s %.80q for %.40q: %d %.200s", request.method, request.path, name, code, body)
			}
		}
	}
	if diff := cmp.Diff(before, stable()); diff != "" {
		t.Errorf("the tree was changed:\n%s", diff)
	}
}

func jsonText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\x00", `\u0000`, "\n", `\n`).Replace(s)
}

// do sends a request whose path is as it is written.
func do(t *testing.T, method, address, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
