package roles

import (
	"errors"
	"fmt"
	"slices"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"
)

// The options that this version has nothing behind (decisions 15). Their values are checked all the same.

// refused are those that protect, or change what a process does for others.
var refused = []string{
	"service-registry", "service-registrar-plugin", "docker-gcp-account-credentials",
	"docker-use-gcp-application-default-credentials", "reap-history",
}

// periods are refused too, unless they are not positive: then they ask for nothing.
var periods = []string{"agent-reaping-timeout", "job-retention"}

// idle are those that only send something somewhere, or tune what is not there.
var idle = []string{
	"statsd-host-port", "sentry-dsn", "kafka", "pubsub-topic-prefix", "ffwd-enabled", "ffwd-address", "ffwd-interval-secs",
	"ffwd-key", "syslog", "logconfig", "no-log-setup", "docker-connection-pool-size",
}

// metricSinks are ignored with --no-metrics.
var metricSinks = []string{"statsd-host-port", "ffwd-enabled", "ffwd-address", "ffwd-interval-secs", "ffwd-key"}

// checkLater refuses wrong values of such options, and those that may not be ignored; of the others it warns once.
func (d daemon) checkLater(flags *cli.Context, log zerolog.Logger) error {
	if err := checkSinks(flags); err != nil {
		return err
	}
	if flags.IsSet("docker-gcp-account-credentials") && flags.Bool("docker-use-gcp-application-default-credentials") {
		//lint:ignore ST1005 the original's words
		return errors.New("Cannot set both docker_gcp_account_credentials and docker_use_gcp_application_default_credentials")
	}
	for _, name := range refused {
		if flags.IsSet(name) {
			return fmt.Errorf("--%s: this version does not have what it asks for", name)
		}
	}
	for _, name := range periods {
		if flags.Int64(name) > 0 {
			return fmt.Errorf("--%s: this version does not remove anything by itself; 0 says so", name)
		}
	}
	d.warnOfIdle(flags, log)
	return nil
}

// checkSinks refuses sinks that nothing could be sent to.
func checkSinks(flags *cli.Context) error {
	if !flags.Bool("no-metrics") {
		if err := checkStatsd(flags.String("statsd-host-port")); err != nil {
			return err
		}
		if flags.Bool("ffwd-enabled") {
			if err := checkFFWD(flags.String("ffwd-address")); err != nil {
				return err
			}
		}
	}
	return checkBrokers(flags.StringSlice("kafka"))
}

func (d daemon) warnOfIdle(flags *cli.Context, log zerolog.Logger) {
	var without []string
	for _, name := range idle {
		if flags.IsSet(name) && !(flags.Bool("no-metrics") && slices.Contains(metricSinks, name)) {
			without = append(without, "--"+name)
		}
	}
	if d.name == "agent" && flags.Bool("no-zk-registration") {
		without = append(without, "--no-zk-registration")
	}
	if len(without) > 0 {
		log.Warn().Strs("options", without).Msg("options have no effect in this version")
	}
}
