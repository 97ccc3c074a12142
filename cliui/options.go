package cliui

import "slices"

// clientSyntax is the command line of the client: the original's 24 commands
// in its order, which its messages show.
func clientSyntax(roles []Command) *Syntax {
	return &Syntax{
		Own:     []Command{acceptCommand, manualCommand},
		Roles:   roles,
		Program: "helios",
		Summary: "Helios runs Docker containers on a fleet of hosts.",
		Options: globalOptions,
		Commands: []Command{
			createCommand,
			removeCommand,
			inspectCommand,
			deployCommand,
			undeployCommand,
			startCommand,
			stopCommand,
			historyCommand,
			jobsCommand,
			statusCommand,
			watchCommand,
			hostsCommand,
			registerCommand,
			deregisterCommand,
			mastersCommand,
			createGroupCommand,
			removeGroupCommand,
			listGroupsCommand,
			inspectGroupCommand,
			groupStatusCommand,
			watchGroupCommand,
			rollingUpdateCommand,
			stopGroupCommand,
			versionCommand,
		},
	}
}

// command returns the command of a name, nil if there is none.
func (s *Syntax) command(name string) *Command {
	i := slices.IndexFunc(s.Commands, func(c Command) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Commands[i]
}

// globalOptions are those of every command (testdata/spec/5-cli.md §3).
var globalOptions = []Option{
	{Short: "h", Long: "help", Takes: Ends, Help: "show this help message and exit"},
	{Short: "z", Long: "master", Takes: One, Repeat: true, Help: "master endpoint, http(s)://HOST:PORT; may be repeated"},
	{Short: "d", Long: "domains", Takes: One, Repeat: true, Help: "domains to look masters up in by DNS, separated by commas; may be repeated"},
	{Long: "srv-name", Takes: One, Help: "the service name to look up in DNS (default: helios)"},
	{Short: "u", Long: "username", Takes: One, Help: "user to act as (default: the login name)"},
	{Long: "google-credentials", Takes: One, Help: "accepted for compatibility; has no effect"},
	{Short: "v", Long: "verbose", Takes: Count, Help: "accepted for compatibility; has no effect"},
	{Long: "version", Takes: Ends, Help: "print the version and exit"},
	{Long: "json", Help: "print JSON where the command supports it"},
	{Long: "no-log-setup", Hidden: true},
	{Short: "k", Long: "insecure", Help: "do not verify the host name of an https master"},
	{Long: "http-timeout", Takes: One, Kind: Integer, Metavar: "SECONDS", Help: "how long to wait for a connection or an answer (default: $HELIOS_CLI_HTTP_TIMEOUT, else 60)"},
	{Long: "retry-timeout", Takes: One, Kind: Integer, Metavar: "SECONDS", Help: "how long to retry failing requests (default: $HELIOS_CLI_TOTAL_TIMEOUT, else 240)"},
}

// Options that several commands have.
var (
	tokenOption = Option{Long: "token", Takes: Optional, Help: "access token of the job"}
	yesOption   = Option{Long: "yes", Help: "do not ask for confirmation"}
	fullOption  = Option{Short: "f", Help: "print full names and ids"}
)

var jobOperand = Operand{Name: "job"}

// The original's commands that this version does not have. Their words are
// checked all the same.
var (
	createGroupCommand = Command{
		Name:     "create-deployment-group",
		Summary:  "create a deployment group",
		Options:  []Option{{Short: "q", Help: "print less"}},
		Operands: []Operand{{Name: "name"}, {Name: "host_selectors", List: true}},
	}
	removeGroupCommand = Command{
		Name:     "remove-deployment-group",
		Summary:  "remove a deployment group",
		Operands: []Operand{{Name: "name"}},
	}
	listGroupsCommand = Command{
		Name:    "list-deployment-groups",
		Summary: "list deployment groups",
	}
	inspectGroupCommand = Command{
		Name:     "inspect-deployment-group",
		Summary:  "show a deployment group",
		Operands: []Operand{{Name: "name"}},
	}
	groupStatusCommand = Command{
		Name:     "deployment-group-status",
		Summary:  "show the status of a deployment group",
		Options:  []Option{fullOption},
		Operands: []Operand{{Name: "name"}},
	}
	watchGroupCommand = Command{
		Name:    "watch-deployment-group",
		Summary: "watch the status of a deployment group",
		Options: []Option{
			fullOption,
			{Long: "interval", Takes: One, Kind: Integer, Metavar: "SECONDS", Help: "time between two reports"},
		},
		Operands: []Operand{{Name: "name"}},
	}
	rollingUpdateCommand = Command{
		Name:    "rolling-update",
		Summary: "update the job of a deployment group, host by host",
		Options: []Option{
			{Short: "t", Long: "timeout", Takes: One, Kind: Long, Metavar: "SECONDS", Help: "how long a job may take to run on a host"},
			{Short: "p", Long: "par", Takes: One, Kind: Integer, Help: "number of hosts updated at the same time"},
			{Long: "async", Help: "do not wait for the update"},
			{Short: "T", Long: "rollout-timeout", Takes: One, Kind: Long, Metavar: "MINUTES", Help: "how long this command waits"},
			{Long: "migrate", Help: "take over hosts that have the job already"},
			{Long: "overlap", Help: "deploy the new job before the old one is undeployed"},
			tokenOption,
			{Long: "ignore-failures", Help: "continue after hosts that fail"},
		},
		Operands: []Operand{jobOperand, {Name: "deployment-group-name"}},
	}
	stopGroupCommand = Command{
		Name:     "stop-deployment-group",
		Summary:  "stop the update of a deployment group",
		Operands: []Operand{{Name: "name"}},
	}
)
