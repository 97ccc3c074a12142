package roles_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/helios-go/helios/roles"
)

// update rewrites what the scripts expect by what they get.
var update = flag.Bool("update", false, "rewrite the expectations of testdata/script")

// TestMain lets the test binary be helios where a script calls it by that name.
func TestMain(m *testing.M) {
	testscript.Main(checked{m}, map[string]func(){"helios": func() { os.Exit(roles.Main(os.Args)) }})
}

// checked runs the tests, wants that no goroutine is left of them, and takes away what they built.
type checked struct{ *testing.M }

func (c checked) Run() int {
	flag.Parse()
	if !isSet("test.parallel") {
		_ = flag.Set("test.parallel", "8") // whole processes mostly wait
	}
	code := c.M.Run()
	cleanUpLasting()
	os.RemoveAll(buildDir)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func isSet(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// TestScripts runs the transcripts of testdata/script with the real Main. Those in which a master answers use the one of
// the solo at $MASTER; those that end before they ask any need none.
func TestScripts(t *testing.T) {
	t.Parallel()
	params := testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, ".state"))
			return nil
		},
	}
	testscript.Run(t, params)
}
