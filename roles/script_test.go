package roles_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/helios-go/helios/roles"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// update rewrites what the scripts expect by what they get.
var update = flag.Bool("update", false, "rewrite the expectations of testdata/script")

// TestMain lets the test binary be helios where a script calls it by that name, and an agent that announces.
func TestMain(m *testing.M) {
	testscript.Main(checked{m}, map[string]func(){
		"helios":   func() { os.Exit(roles.Main(os.Args)) },
		announcing: func() { os.Exit(announcingAgent(os.Args[2:])) },
	})
}

// checked runs the tests, wants that no goroutine is left of them, and takes away what they built.
type checked struct{ *testing.M }

func (c checked) Run() int {
	flag.Parse()
	if !isSet("test.parallel") {
		_ = flag.Set("test.parallel", "8") // whole processes mostly wait
	}
	code := c.M.Run()
	kept.print(os.Stdout)
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

// TestScripts runs the transcripts of testdata/script with the real Main. Each has a directory and a home of its own; they
// share the solo that HELIOS_MASTER names, which has no Docker and needs none.
func TestScripts(t *testing.T) {
	t.Parallel()
	s := startSoloCluster(t, &dockertest.Daemon{Host: unique("host")}, []string{"DOCKER_HOST=unix:///nonexistent"})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("HOST", s.docker.Host)
			env.Setenv("HELIOS_MASTER", s.api)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fails": fails, "says": says},
	})
}

// fails PROGRAM ARG... runs a program that ends with status 1, no other.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: fails program [arg...]")
	}
	err := ts.Exec(args[0], args[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		ts.Fatalf("%v, want exit status 1", err)
	}
}

// says TEXT wants the last program to have printed this line and no other, on whichever stream.
func says(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: says text")
	}
	if got := ts.ReadFile("stdout") + ts.ReadFile("stderr"); got != args[0]+"\n" {
		ts.Fatalf("it says %q, want the one line %q", got, args[0])
	}
}
