package roles

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"
)

// The options that this version has nothing behind (decisions 15). Their values are checked all the same.

// refused are those that protect, or change what a process does for others.
var refused = []string{
	"service-registry", "service-registrar-plugin", "zk-enable-acls", "zk-acl-agent-digest",
	"zk-acl-master-password", "zk-acl-master-digest", "zk-acl-agent-password", "docker-gcp-account-credentials",
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
	if c, ok := d.credentials(flags); ok {
		if err := c.check(); err != nil {
			return err
		}
		if c.password != "" {
			return errors.New("a password for ZooKeeper: this version does not authenticate")
		}
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

// credentials are what the options and the environment of a master or an agent say of its account at ZooKeeper.
func (d daemon) credentials(flags *cli.Context) (credentials, bool) {
	own, other := d.name, ""
	switch own {
	case "master":
		other = "agent"
	case "agent":
		other = "master"
	default:
		return credentials{}, false
	}
	user := func(role string) string {
		if option := "zk-acl-" + role + "-user"; flags.IsSet(option) {
			return flags.String(option)
		}
		return "helios-" + role
	}
	c := credentials{
		role: own, other: other, acls: flags.Bool("zk-enable-acls"),
		user: user(own), password: flags.String("zk-acl-" + own + "-password"),
		otherUser: user(other), otherDigest: flags.String("zk-acl-" + other + "-digest"),
	}
	if password, set := os.LookupEnv(map[string]string{
		"master": "HELIOS_ZK_MASTER_PASSWORD", "agent": "HELIOS_ZK_AGENT_PASSWORD",
	}[own]); set {
		c.password = password
	}
	return c, true
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
