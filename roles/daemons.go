package roles

import "github.com/helios-go/helios/cliui"

// The options of the daemons are the original's (operations §1.2–§1.4): every one is understood. What this version has
// nothing behind yet stands in later.go.

// common are the options of master and agent.
func common(program string) []cliui.Option {
	return []cliui.Option{
		{Short: "h", Long: "help", Takes: cliui.Ends, Help: "show this help message and exit"},
		{Long: "name", Takes: cliui.One, Help: "hostname to register as (default: uname -n)"},
		{Long: "domain", Takes: cliui.One, Help: "Service registration domain."},
		{Long: "service-registry", Takes: cliui.One, Help: "Service registry address. Overrides domain."},
		{Long: "service-registrar-plugin", Takes: cliui.One, Help: "Service registration plugin."},
		{Long: "zk", Takes: cliui.One, Help: "zookeeper connection string (default: localhost:2181)"},
		{Long: "zk-session-timeout", Takes: cliui.One, Kind: cliui.Integer, Help: "zookeeper session timeout, ms (default: 60000)"},
		{Long: "zk-connection-timeout", Takes: cliui.One, Kind: cliui.Integer, Help: "zookeeper connection timeout, ms (default: 15000)"},
		{Long: "zk-cluster-id", Takes: cliui.One, Help: "zookeeper cluster ID"},
		{Long: "no-zk-registration", Help: "do not register this master in zookeeper"},
		{Long: "zk-enable-acls", Help: "enable zookeeper ACLs"},
		{Long: "zk-acl-master-user", Takes: cliui.One, Help: "zookeeper master username used for ACLs (default: helios-master)"},
		{Long: "zk-acl-agent-user", Takes: cliui.One, Help: "zookeeper agent user used for ACLs (default: helios-agent)"},
		passwordFileOption,
		{Long: "no-metrics", Help: "Turn off all collection and reporting of metrics"},
		{Long: "statsd-host-port", Takes: cliui.One, Help: "host:port of where to send statsd metrics"},
		{Short: "v", Long: "verbose", Takes: cliui.Count, Help: "log more: debug, then everything"},
		{Long: "syslog", Help: "Log to syslog."},
		{Long: "logconfig", Takes: cliui.One, Help: "Logging configuration file: has no effect."},
		{Long: "no-log-setup", Hidden: true},
		{Long: "sentry-dsn", Takes: cliui.One, Help: "The sentry data source name"},
		{Long: "kafka", Takes: cliui.One, Repeat: true, Help: "Kafka brokers to bootstrap with"},
		{Long: "pubsub-topic-prefix", Takes: cliui.One, Repeat: true, Help: "The prefix of Pub/Sub topics to send events to"},
		{Long: "state-dir", Takes: cliui.One, Help: "Directory for persisting state locally. (default: .)"},
		{Long: "ffwd-enabled", Help: "Enable reporting metrics to FastForward."},
		{Long: "ffwd-address", Takes: cliui.One, Help: "Address of the FastForward agent"},
		{Long: "ffwd-interval-secs", Takes: cliui.One, Kind: cliui.Integer, Help: "interval for reporting to FastForward (default: 30)"},
		{Long: "ffwd-key", Takes: cliui.One, Help: "FastForward metric key (default: " + program + ")"},
	}
}

// masterSyntax is the command line of helios master.
func masterSyntax() *cliui.Syntax {
	return &cliui.Syntax{
		Program: "helios-master",
		Summary: "Spotify Helios Master",
		Options: append(common("helios-master"),
			cliui.Option{Long: "http", Takes: cliui.One, Help: "http endpoint (default: http://0.0.0.0:5801)"},
			cliui.Option{Long: "admin", Takes: cliui.One, Help: "admin http endpoint (default: http://0.0.0.0:5802)"},
			cliui.Option{Long: "zk-acl-agent-digest", Takes: cliui.One, Help: "zookeeper agent digest used for ACLs"},
			cliui.Option{Long: "zk-acl-master-password", Takes: cliui.One, Help: "zookeeper master password used for ACLs"},
			cliui.Option{Long: "agent-reaping-timeout", Takes: cliui.One, Kind: cliui.Long, Help: "hours after which agents that are down are deregistered (default: 336)"},
			cliui.Option{Long: "job-retention", Takes: cliui.One, Kind: cliui.Long, Help: "days after which unused jobs are removed (default: -1, never)"},
			cliui.Option{Long: "whitelisted-capability", Takes: cliui.One, Repeat: true, Help: "Linux capability that jobs may add"},
			cliui.Option{Long: "reap-history", Help: "remove the histories of jobs that do not exist"},
			cliui.Option{Long: "cors-origin", Takes: cliui.One, Repeat: true, Help: "origin that browsers may call the API from"},
		),
	}
}

// containerOptions are the options of an agent that say how containers are run.
func containerOptions() []cliui.Option {
	return []cliui.Option{
		{Long: "docker", Takes: cliui.One, Help: "docker endpoint (default: $DOCKER_HOST, else unix:///var/run/docker.sock)"},
		{Long: "docker-cert-path", Takes: cliui.One, Help: "directory with certificates for docker (default: $DOCKER_CERT_PATH)"},
		{Long: "env", Takes: cliui.Many, Help: "environment variables for every container, KEY=VALUE"},
		{Long: "syslog-redirect-to", Takes: cliui.One, Help: "send container output to syslog at host:port"},
		{Long: "port-range", Takes: cliui.One, Help: "dynamic host ports, start:end, end exclusive (default: 20000:32768)"},
		{Long: "dns", Takes: cliui.One, Repeat: true, Help: "DNS server for every container"},
		{Long: "bind", Takes: cliui.One, Repeat: true, Help: "volume to bind into every container"},
		{Long: "add-host", Takes: cliui.One, Repeat: true, Help: "entry of every container's /etc/hosts, host:ip"},
		{Long: "labels", Takes: cliui.Many, Help: "labels of this host, key=value"},
		{Long: "remove-refused", Help: "remove containers that docker refused to start and that have never run"},
		{Long: "disable-job-history", Help: "do not write the history of tasks"},
	}
}

// agentSyntax is the command line of helios agent.
func agentSyntax() *cliui.Syntax {
	options := append(common("helios-agent"), containerOptions()...)
	return &cliui.Syntax{
		Program: "helios-agent",
		Summary: "Spotify Helios Agent",
		Options: append(options,
			cliui.Option{Long: "no-http", Help: "do not listen for HTTP requests"},
			cliui.Option{Long: "http", Takes: cliui.One, Help: "http endpoint (default: http://0.0.0.0:5803)"},
			cliui.Option{Long: "admin", Takes: cliui.One, Help: "admin http endpoint (default: http://0.0.0.0:5804)"},
			cliui.Option{Long: "id", Takes: cliui.One, Help: "agent id of a new state directory (default: generated)"},
			cliui.Option{Long: "zk-registration-ttl", Takes: cliui.One, Kind: cliui.Integer, Help: "minutes after which a silent agent's host name may be taken over (default: 10)"},
			cliui.Option{Long: "zk-acl-master-digest", Takes: cliui.One, Help: "zookeeper master digest used for ACLs"},
			cliui.Option{Long: "zk-acl-agent-password", Takes: cliui.One, Help: "zookeeper agent password used for ACLs"},
			cliui.Option{Long: "docker-connection-pool-size", Takes: cliui.One, Kind: cliui.Integer, Help: "has no effect"},
			cliui.Option{Long: "docker-gcp-account-credentials", Takes: cliui.One, Help: "Google credentials for pulls from *gcr.io"},
			cliui.Option{Long: "docker-use-gcp-application-default-credentials", Help: "use Google application default credentials"},
		),
	}
}

// soloSyntax is the command line of helios solo, which is ours alone.
func soloSyntax() *cliui.Syntax {
	return &cliui.Syntax{
		Program: "helios solo",
		Summary: "A whole cluster in one process, for local development; helios solo backup, restore and check tend its state",
		Options: append([]cliui.Option{
			{Short: "h", Long: "help", Takes: cliui.Ends, Help: "show this help message and exit"},
			{Long: "name", Takes: cliui.One, Help: "name of the one host (default: solo)"},
			{Long: "state-dir", Takes: cliui.One, Help: "directory of all state (default: $XDG_STATE_HOME/helios/solo or ~/.local/state/helios/solo)"},
			{Long: "http", Takes: cliui.One, Help: "API of the master, host:port (default: 127.0.0.1:5801; port 0: any)"},
			{Long: "admin", Takes: cliui.One, Help: "admin port of the master (default: 127.0.0.1:5802)"},
			{Long: "zk", Takes: cliui.One, Help: "ZooKeeper protocol for further agents (default: 127.0.0.1:2181)"},
			{Long: "whitelisted-capability", Takes: cliui.One, Repeat: true, Help: "Linux capability that jobs may add"},
			{Short: "v", Long: "verbose", Takes: cliui.Count, Help: "log more: debug, then everything"},
		}, containerOptions()...),
	}
}

// files are the options that name a file, which must be there and readable. One with a password is not among them: it may
// be a pipe, which can be opened once.
var files = []string{"service-registrar-plugin", "logconfig", "docker-gcp-account-credentials"}
