package roles

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/roles/master"
	"github.com/helios-go/helios/roles/solo"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/supervisor/docker"
)

// openMaster makes a master from the options of helios master.
func openMaster(flags *cli.Context, log zerolog.Logger) (func(context.Context) error, error) {
	name, err := hostName(flags)
	if err != nil {
		return nil, err
	}
	addr, admin, err := listeners(flags, "http://0.0.0.0:5801", "http://0.0.0.0:5802")
	if err != nil {
		return nil, err
	}
	st, err := storeOptions("master", flags, log)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cmp.Or(flags.String("state-dir"), "."), 0o755); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	m, err := master.New(master.Options{
		Name: name, Store: st, Addr: addr, AdminAddr: admin, NoRegistration: flags.Bool("no-zk-registration"),
		Capabilities: flags.StringSlice("whitelisted-capability"), CORSOrigins: flags.StringSlice("cors-origin"),
		Version: version, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return m.Run, nil
}

// listeners are the addresses of the two ports of a daemon.
func listeners(flags *cli.Context, api, adminAPI string) (addr, admin string, err error) {
	if addr, err = listenURL(cmp.Or(flags.String("http"), api)); err != nil {
		return "", "", err
	}
	admin, err = listenURL(cmp.Or(flags.String("admin"), adminAPI))
	return addr, admin, err
}

// openAgent makes an agent from the options of helios agent.
func openAgent(flags *cli.Context, log zerolog.Logger) (func(context.Context) error, error) {
	opts, err := agentOptions(flags)
	if err != nil {
		return nil, err
	}
	if opts.Name, err = hostName(flags); err != nil {
		return nil, err
	}
	if opts.Store, err = storeOptions("agent", flags, log); err != nil {
		return nil, err
	}
	addr, admin, err := listeners(flags, "http://0.0.0.0:5803", "http://0.0.0.0:5804")
	if err != nil {
		return nil, err
	}
	if !flags.Bool("no-http") {
		opts.Addr, opts.AdminAddr = addr, admin
	}
	if flags.IsSet("zk-registration-ttl") {
		ttl, err := registrationTTL(flags.Int64("zk-registration-ttl"))
		if err != nil {
			return nil, err
		}
		opts.TTL = &ttl
	}
	opts.ID, opts.StateDir = flags.String("id"), cmp.Or(flags.String("state-dir"), ".")
	opts.Version, opts.Logger = version, log
	a, err := agent.New(opts)
	if err != nil {
		return nil, err
	}
	return a.Run, nil
}

// openSolo makes a solo from the options of helios solo, and says where it listens.
func openSolo(flags *cli.Context, log zerolog.Logger) (func(context.Context) error, error) {
	var err error
	opts := solo.Options{
		StateDir: flags.String("state-dir"), Name: flags.String("name"),
		Capabilities: flags.StringSlice("whitelisted-capability"), Version: version, Logger: log,
	}
	if opts.StateDir == "" {
		if opts.StateDir, err = defaultSoloDir(); err != nil {
			return nil, err
		}
	}
	if flags.IsSet("name") {
		if opts.Name, err = checkName(opts.Name); err != nil {
			return nil, err
		}
	}
	for _, listener := range []struct {
		option, standard string
		into             *string
	}{
		{"http", "127.0.0.1:5801", &opts.Addr},
		{"admin", "127.0.0.1:5802", &opts.AdminAddr},
		{"zk", "127.0.0.1:2181", &opts.StoreAddr},
	} {
		text := cmp.Or(flags.String(listener.option), listener.standard)
		if *listener.into, err = listenAddress(listener.option, text); err != nil {
			return nil, err
		}
	}
	if opts.Agent, err = agentOptions(flags); err != nil {
		return nil, err
	}
	s, err := solo.New(opts)
	if err != nil {
		return nil, err
	}
	fmt.Printf("master http://%s\nadmin http://%s\nzookeeper %s\nstate %s\n",
		s.Addr(), s.AdminAddr(), s.StoreAddr(), opts.StateDir)
	return s.Run, nil
}

// defaultSoloDir is the state directory of a solo that is not told another one (decisions 16).
func defaultSoloDir() (string, error) {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "helios", "solo"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", errors.New("no home directory to keep state in: give --state-dir")
	}
	return filepath.Join(home, ".local", "state", "helios", "solo"), nil
}

// agentOptions reads the options that agent and solo share.
func agentOptions(flags *cli.Context) (agent.Options, error) {
	var opts agent.Options
	var err error
	if opts.Env, err = pairs("env", flags.StringSlice("env"), ""); err != nil {
		return opts, err
	}
	const hint = "\nLabels need to be in the format key=value."
	if opts.Labels, err = pairs("labels", flags.StringSlice("labels"), hint); err != nil {
		return opts, err
	}
	ports := "20000:32768"
	if flags.IsSet("port-range") {
		ports = flags.String("port-range")
	}
	if opts.FirstPort, opts.EndPort, err = portRange(ports); err != nil {
		return opts, err
	}
	if err = checkSyslog(flags.String("syslog-redirect-to")); err != nil {
		return opts, err
	}
	opts.DisableHistory = flags.Bool("disable-job-history")
	opts.Docker = docker.Options{
		Endpoint:         cmp.Or(flags.String("docker"), os.Getenv("DOCKER_HOST")),
		CertPath:         cmp.Or(flags.String("docker-cert-path"), os.Getenv("DOCKER_CERT_PATH")),
		SyslogRedirectTo: flags.String("syslog-redirect-to"),
		ClientConfig:     dockerConfig(),
		RemoveRefused:    flags.Bool("remove-refused"),
	}
	_, opts.Docker.LogStats = os.LookupEnv("CONTAINER_STATS")
	if opts.Docker.Poll, err = pollEvery(os.Getenv("HELIOS_WAIT_INSPECT_INTERVAL_MILLIS")); err != nil {
		return opts, err
	}
	if opts.Docker.DNS, err = addresses(flags.StringSlice("dns")); err != nil {
		return opts, err
	}
	if opts.Docker.Binds, err = binds(flags.StringSlice("bind")); err != nil {
		return opts, err
	}
	opts.Docker.ExtraHosts, err = extraHosts(flags.StringSlice("add-host"))
	return opts, err
}

// dockerConfig is where Docker's client keeps its configuration, with the credentials for registries.
func dockerConfig() string {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".docker")
	}
	return filepath.Join(dir, "config.json")
}

// storeServers is the connection string.
func storeServers(flags *cli.Context) string {
	if flags.IsSet("zk") {
		return flags.String("zk") // an empty one is nobody's, not the default's
	}
	return "localhost:2181"
}

// storeOptions says where the store is, and who the process is there.
func storeOptions(role string, flags *cli.Context, log zerolog.Logger) (store.Options, error) {
	st := store.Options{
		Servers:        storeServers(flags),
		SessionTimeout: time.Duration(flags.Int64("zk-session-timeout")) * time.Millisecond,
		ConnectTimeout: time.Duration(flags.Int64("zk-connection-timeout")) * time.Millisecond,
	}
	for _, option := range []string{"zk-session-timeout", "zk-connection-timeout"} {
		if flags.IsSet(option) && flags.Int64(option) <= 0 {
			return st, fmt.Errorf("--%s: %d is not a positive number of milliseconds", option, flags.Int64(option))
		}
	}
	if st.ClusterID = flags.String("zk-cluster-id"); st.ClusterID == "" && flags.IsSet("zk-cluster-id") {
		return st, errors.New("--zk-cluster-id: an empty id is none: name one or leave the option out")
	}
	account, err := readCredentials(role, flags)
	if err != nil {
		return st, err
	}
	if path := flags.String(passwordFile); flags.IsSet(passwordFile) && openToAll(path) {
		log.Warn().Str("file", path).Msg("every user of this machine may read the zookeeper password (chmod o-r)")
	}
	account.into(&st)
	return st, nil
}
