package workload

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// runHTTP is the workload `http`: a server that may print a line every so often, fail its health check for a while and
// end by itself.
func runHTTP(ctx context.Context, args []string, stdout io.Writer) (int, error) {
	flags := flag.NewFlagSet("http", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	listen := flags.String("listen", ":8080", "")
	failFor := secondsFlag(flags, "fail-healthz")
	text := flags.String("print", "", "")
	every := secondsFlag(flags, "every")
	exitAfter := secondsFlag(flags, "exit-after")
	code := flags.Int("code", 0, "")
	if err := flags.Parse(args); err != nil {
		return 2, fmt.Errorf("%w: http: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return 2, fmt.Errorf("%w: http: %s", errUsage, flags.Arg(0))
	}

	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return 1, err
	}
	server := &http.Server{Handler: handler(time.Now(), *failFor), ReadHeaderTimeout: 10 * time.Second}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- server.Serve(listener)
	}()

	status := talk(ctx, stdout, *text, *every, *exitAfter, *code)
	server.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return 1, err
	}
	return status, nil
}

// talk prints text once, and again every so often if that is asked for, until the time to exit, if there is one, or the
// end of ctx. It returns the exit status.
func talk(ctx context.Context, stdout io.Writer, text string, every, exitAfter time.Duration, code int) int {
	if text != "" {
		fmt.Fprintln(stdout, text)
	}
	var again, exit <-chan time.Time
	if text != "" && every > 0 {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		again = ticker.C
	}
	if exitAfter > 0 {
		timer := time.NewTimer(exitAfter)
		defer timer.Stop()
		exit = timer.C
	}
	for {
		select {
		case <-again:
			fmt.Fprintln(stdout, text)
		case <-exit:
			return code
		case <-ctx.Done():
			return 0
		}
	}
}

// handler greets with the container's host name on every path. On /healthz it answers 500 until failFor has passed since
// start, or for ever if failFor is negative.
func handler(start time.Time, failFor time.Duration) http.Handler {
	name, _ := os.Hostname()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "hello from %s\n", name)
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		if failFor < 0 || time.Since(start) < failFor {
			http.Error(w, "not yet healthy", http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "healthy")
	})
	return mux
}
