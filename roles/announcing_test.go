package roles_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	agentrole "github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/roles/announce"
)

// announcing is the name by which the test binary is an agent with a service registry. The binary has no registry yet that
// an option would name.
const announcing = "announcing-agent"

// announces has the agent go on as one with a service registry, which it tells of in its log.
func (a *agent) announces() {
	a.t.Helper()
	program, err := exec.LookPath(announcing)
	if err != nil {
		a.t.Fatal(err)
	}
	a.stop()
	a.program = program
	a.restart()
}

// announcingAgent is that agent. It takes those options of an agent's that the tests use.
func announcingAgent(args []string) (status int) {
	flags := flag.NewFlagSet(announcing, flag.ExitOnError)
	var opts agentrole.Options
	flags.StringVar(&opts.Name, "name", "", "")
	flags.StringVar(&opts.ID, "id", "", "")
	flags.StringVar(&opts.StateDir, "state-dir", "", "")
	flags.StringVar(&opts.Store.Servers, "zk", "", "")
	flags.Func("port-range", "", func(text string) error {
		_, err := fmt.Sscanf(text, "%d:%d", &opts.FirstPort, &opts.EndPort)
		return err
	})
	session := flags.Int("zk-session-timeout", 60000, "")
	flags.Bool("no-http", false, "")
	_ = flags.Parse(args) // ends after an error
	opts.Store.SessionTimeout = time.Duration(*session) * time.Millisecond
	opts.Logger = zerolog.New(os.Stderr)
	opts.Registrar = told{opts.Logger}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a, err := agentrole.New(opts)
	if err == nil {
		err = a.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// told is a service registry that puts what it is told into the log.
type told struct{ log zerolog.Logger }

func (t told) Register(_ context.Context, r announce.Registration) (withdraw func(), err error) {
	say := func(what string) {
		t.log.Info().Msg(fmt.Sprintf("%s: %d of a container", what, len(r.Endpoints)))
	}
	say("announced")
	return func() { say("withdrawn") }, nil
}

func (told) Close() {}
