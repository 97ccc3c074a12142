package roles_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/helios-go/helios"

var (
	domain = []string{"store/document", "store/job", "store/host", "store/group"}
	daemon = append([]string{
		"store", "supervisor", "supervisor/docker", "supervisor/evidence", "supervisor/health", "httpapi", "httpapi/auth",
		"httpapi/client", "httpapi/server", "httpapi/web", "roles/announce", "roles/events", "roles/rollout", "roles/telemetry",
	}, domain...)
)

// layers says which other packages of the module each package may import.
var layers = map[string][]string{
	".":                     {"roles"},
	"store/document":        {},
	"store/job":             {"store/document"},
	"store/host":            {"store/document", "store/job"},
	"store/group":           {"store/document", "store/job", "store/host"},
	"store":                 domain,
	"store/zkserver":        {},
	"store/storetest":       {"store/document", "store/job", "store/zkserver"},
	"supervisor":            {"store/job"},
	"supervisor/evidence":   {"store/job"},
	"supervisor/health":     {"store/job"},
	"supervisor/docker":     {"supervisor", "store/job"},
	"supervisor/dockertest": {"supervisor/docker", "store/storetest"},
	"httpapi":               domain,
	"httpapi/auth":          {"httpapi"},
	"httpapi/client":        append([]string{"httpapi", "httpapi/auth"}, domain...),
	"httpapi/servertest":    {},
	"httpapi/web":           append([]string{"httpapi"}, domain...),
	"httpapi/server":        append([]string{"httpapi", "httpapi/auth", "httpapi/web", "store"}, domain...),
	"cliui/term":            {},
	"cliui/manual":          {},
	"cliui/clitest":         {},
	"cliui":                 append([]string{"cliui/term", "cliui/manual", "httpapi", "httpapi/client"}, domain...),
	"roles/workload":        {},
	"roles/rollout":         domain,
	"roles/announce":        domain,
	"roles/events":          domain,
	"roles/telemetry":       domain,
	"roles/fleettest":       append([]string{"store"}, domain...),
	"roles/master":          daemon,
	"roles/agent":           daemon,
	"roles/solo":            {"store", "store/zkserver", "roles/master", "roles/agent"},
	"roles": append([]string{
		"cliui", "cliui/manual", "cliui/term", "store/zkserver", "roles/master", "roles/agent", "roles/solo", "roles/workload",
	}, daemon...),
}

// pure packages import the standard library and the module's own packages only.
var pure = append([]string{"httpapi", "roles/rollout", "roles/workload"}, domain...)

// owners says which packages alone may import the packages at or below a path, and why.
var owners = map[string]struct {
	packages []string
	why      string
}{
	"github.com/moby/moby":                   {[]string{"supervisor/docker", "supervisor/dockertest"}, "all else sees Docker as supervisor.Engine"},
	"github.com/containerd/errdefs":          {[]string{"supervisor/docker", "supervisor/dockertest"}, "Docker's errors become ours in its adapter"},
	"github.com/google/go-containerregistry": {[]string{"supervisor/dockertest"}, "only tests have a registry"},
	"github.com/go-zookeeper/zk":             {[]string{"store", "store/storetest", "roles/fleettest"}, "the znode layout and the session are the store's"},
	"github.com/labstack/echo":               {[]string{"httpapi/server"}, "the wire types serve the client too"},
	"github.com/urfave/cli":                  {[]string{"cliui", "roles"}, "options end where an Options struct begins"},
	"charm.land/lipgloss":                    {[]string{"cliui/term"}, "only term knows terminals"},
	"github.com/vbauerster/mpb":              {[]string{"cliui/term"}, "only term knows terminals"},
	"golang.org/x/term":                      {[]string{"cliui/term", "roles"}, "only term, and the log, know terminals"},
	"golang.org/x/crypto":                    {[]string{"httpapi/auth"}, "signing and its verification stay together"},
	"testing":                                {[]string{"store/storetest", "supervisor/dockertest", "roles/fleettest"}, "the binary holds no test code"},
}

// listed is a package as go list describes it; ImportPath is made relative to the module.
type listed struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
}

// list returns all packages of the module, also those that do not compile: that is the compiler's to say.
func list(t *testing.T) []listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,Imports,GoFiles", "./...")
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath = strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/"); p.ImportPath == "" {
			p.ImportPath = "."
		}
		all = append(all, p)
	}
}

// TestLayers holds the architecture: what a package may import, of ours and of others. Imports of tests are free.
func TestLayers(t *testing.T) {
	for _, p := range list(t) {
		may, known := layers[p.ImportPath]
		if !known {
			t.Errorf("%s is not in the table of layers: say what it may import", p.ImportPath)
			continue
		}
		for _, path := range p.Imports {
			if ours, ok := strings.CutPrefix(path, module+"/"); ok {
				if !slices.Contains(may, ours) {
					t.Errorf("%s must not import %s: it may import only %v of ours", p.ImportPath, ours, may)
				}
				continue
			}
			first, _, _ := strings.Cut(path, "/")
			if strings.Contains(first, ".") && slices.Contains(pure, p.ImportPath) {
				t.Errorf("%s must not import %s: it is pure and needs the standard library only", p.ImportPath, path)
			}
			for library, owner := range owners {
				if (path == library || strings.HasPrefix(path, library+"/")) && !slices.Contains(owner.packages, p.ImportPath) {
					t.Errorf("%s must not import %s: only %v may, since %s", p.ImportPath, path, owner.packages, owner.why)
				}
			}
		}
	}
}

// TestEveryPackageHasOneComment wants the package comment in exactly one file, so that it can be found and stays one.
func TestEveryPackageHasOneComment(t *testing.T) {
	for _, p := range list(t) {
		var with []string
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if file.Doc == nil {
				continue
			}
			with = append(with, name)
			if want := "Package " + file.Name.Name + " "; file.Name.Name != "main" && !strings.HasPrefix(file.Doc.Text(), want) {
				t.Errorf("%s/%s: the package comment does not begin with %q", p.ImportPath, name, want)
			}
		}
		if len(p.GoFiles) > 0 && len(with) != 1 {
			t.Errorf("%s has a package comment in %v, want exactly one file", p.ImportPath, with)
		}
	}
}
