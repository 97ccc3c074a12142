// Package workload is the program inside the containers of the demo and of the tests: it serves HTTP, sleeps, exits with
// a status, ignores SIGTERM or answers a health check, as its arguments say. The helios binary is this program when it is
// called by its name. It knows nothing of Helios and uses the standard library only, so that it runs in an empty image.
package workload

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// Name is the base name of argv[0] by which the helios binary is called as the workload.
const Name = "probe"

const usage = `usage: probe http [-listen ADDRESS] [-fail-healthz N] [-print S] [-every N] [-exit-after N] [-code N]
       probe sleep SECONDS
       probe exit CODE [SECONDS]
       probe ignoreterm
       probe healthcheck
`

// errUsage is an argument that the workload does not know; the usage text follows it.
var errUsage = errors.New("bad arguments")

// Main runs the workload that args (without argv[0]) name and returns its exit status: the one that was asked for, 0 at
// once after SIGTERM or SIGINT (`ignoreterm` ends by SIGINT alone), 1 if it could not serve, 2 for wrong arguments.
// The arguments are those of testdata/golden/cli/README.md; times are seconds and may be fractions.
func Main(args []string, stdout, stderr io.Writer) int {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if len(args) > 0 && args[0] == "ignoreterm" {
		signal.Ignore(syscall.SIGTERM)
		ends = ends[:1]
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	code, err := run(ctx, args, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "probe: %v\n", err)
	}
	if errors.Is(err, errUsage) {
		fmt.Fprint(stderr, usage)
	}
	return code
}

// run is Main after the signals: ctx ends when one came. A status comes with every error.
func run(ctx context.Context, args []string, stdout io.Writer) (code int, err error) {
	if len(args) == 0 {
		return 2, errUsage
	}
	verb, args := args[0], args[1:]
	switch {
	case verb == "http":
		return runHTTP(ctx, args, stdout)
	case verb == "ignoreterm" && len(args) == 0:
		fmt.Fprintln(stdout, "ignoring SIGTERM")
		<-ctx.Done()
		return 0, nil
	case verb == "healthcheck" && len(args) == 0:
		return 0, nil
	case verb == "sleep" && len(args) == 1:
		return after(ctx, args[0], 0)
	case verb == "exit" && (len(args) == 1 || len(args) == 2):
		code, err := strconv.Atoi(args[0])
		if err != nil {
			return 2, fmt.Errorf("%w: exit %s: not a number", errUsage, args[0])
		}
		if len(args) == 1 {
			return code, nil
		}
		return after(ctx, args[1], code)
	}
	return 2, fmt.Errorf("%w: %s", errUsage, verb)
}

// after returns code when the time, in seconds, is over, or 0 when ctx ends before.
func after(ctx context.Context, text string, code int) (int, error) {
	wait, err := seconds(text)
	if err != nil {
		return 2, fmt.Errorf("%w: %w", errUsage, err)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return code, nil
	case <-ctx.Done():
		return 0, nil
	}
}

// seconds reads a number of seconds, such as 3600 or 0.5.
func seconds(text string) (time.Duration, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: not a number of seconds", text)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// secondsFlag defines a flag that is a number of seconds.
func secondsFlag(flags *flag.FlagSet, name string) *time.Duration {
	value := new(time.Duration)
	flags.Func(name, "", func(text string) (err error) {
		*value, err = seconds(text)
		return err
	})
	return value
}
