package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/cliui"
	"github.com/helios-go/helios/store"
)

// The commands about the tree in ZooKeeper: helios store init and others. They speak to ZooKeeper themselves, without a
// master. They end with the statuses of our own commands (decisions 12), where 3 says that ZooKeeper did not answer.

// storeCommand is one of them.
type storeCommand struct {
	name, summary string
	options       []cliui.Option // beside those of all
	local         bool           // it does not speak to ZooKeeper, and takes no options about that
	run           func(ctx context.Context, flags *cli.Context, out io.Writer) error
}

var storeCommands = []storeCommand{storeInit, storeCheck, storeACL, storeDigest}

// helpOption is an option of every command.
var helpOption = cliui.Option{Short: "h", Long: "help", Takes: cliui.Ends, Help: "show this help message and exit"}

// storeOptionsOfAll are the options of every store command that speaks to ZooKeeper. It does so as a master.
var storeOptionsOfAll = append([]cliui.Option{
	{Long: "zk", Takes: cliui.One, Help: "zookeeper connection string (default: localhost:2181)"},
	{Long: "timeout", Takes: cliui.One, Kind: cliui.Integer, Help: "seconds to wait for zookeeper (default: 30)"},
}, accountOptions...)

// accountOptions name a master's account, as the options of helios master do.
var accountOptions = []cliui.Option{
	{Long: "zk-acl-master-user", Takes: cliui.One, Help: "zookeeper user of masters (default: helios-master)"},
	{Long: "zk-acl-master-password", Takes: cliui.One, Help: "its password (better in a file, or in $HELIOS_ZK_MASTER_PASSWORD)"},
	passwordFileOption,
}

// agentAccountOptions name the agents' account, as the options of helios master do; digest says what knowing it is for.
func agentAccountOptions(digest string) []cliui.Option {
	return []cliui.Option{
		{Long: "zk-acl-agent-user", Takes: cliui.One, Help: "zookeeper user of agents (default: helios-agent)"},
		{Long: "zk-acl-agent-digest", Takes: cliui.One, Help: "digest of the agents' password (helios store digest)" + digest},
	}
}

// storeMain runs the store command that words name and returns the exit status.
func storeMain(words []string, out, complaints io.Writer) int {
	if len(words) == 0 || words[0] == "-h" || words[0] == "--help" {
		fmt.Fprint(out, storeHelp())
		return 0
	}
	if words[0] == "diff" {
		return clientMain(append([]string{"store"}, words...)) // it asks a master
	}
	for _, c := range storeCommands {
		if c.name == words[0] {
			return c.main(words[1:], out, complaints)
		}
	}
	fmt.Fprintf(complaints, "helios store: no such command: %q (see helios store --help)\n", words[0])
	return 2
}

func storeHelp() string {
	var b strings.Builder
	b.WriteString("usage: helios store COMMAND ...\n\nTend what Helios keeps in ZooKeeper\n\ncommands:\n")
	for _, c := range storeCommands {
		fmt.Fprintf(&b, "  %-20s  %s\n", c.name, c.summary)
	}
	fmt.Fprintf(&b, "  %-20s  %s\n", "diff", "show what a host holds on to beside what is stored for it; asks a master")
	b.WriteString("\nhelios store COMMAND --help shows the options.\n")
	return b.String()
}

func (c storeCommand) main(words []string, out, complaints io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	syntax := &cliui.Syntax{
		Program: "helios store " + c.name, Summary: c.summary, Options: append([]cliui.Option{helpOption}, c.options...),
	}
	if !c.local {
		syntax.Options = append(syntax.Options, storeOptionsOfAll...)
	}
	err := parsed(syntax, words, out, func(flags *cli.Context) error { return c.run(ctx, flags, out) })
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[*cliui.SyntaxError](err); ok {
		fmt.Fprint(complaints, syntax.Usage(nil))
	}
	fmt.Fprintf(complaints, "%s: %v\n", syntax.Program, err)
	return storeStatus(err)
}

// storeStatus is the exit status of a store command that ended with an error.
func storeStatus(err error) int {
	if _, ok := errors.AsType[*cliui.SyntaxError](err); ok {
		return 2
	}
	switch {
	case errors.Is(err, store.ErrUnavailable):
		return 3
	case errors.Is(err, store.ErrDenied):
		return 4
	default:
		return 1
	}
}

// storeAccount reads the account of a store command, which is a master's. With access lists it needs the agents', too.
func storeAccount(flags *cli.Context, acls bool) (credentials, error) {
	account, err := readCredentials("master", flags)
	if err != nil {
		return account, err
	}
	account.acls = acls
	if err := account.check(); err != nil {
		return account, &cliui.SyntaxError{Message: err.Error()}
	}
	return account, nil
}

// openStore connects to the tree that the options name. The timeout holds for each connection and for each answer. more
// sets what else there is to be set.
func openStore(flags *cli.Context, account credentials, more ...func(*store.Options)) (*store.Store, error) {
	seconds := int64(30)
	if flags.IsSet("timeout") {
		if seconds = flags.Int64("timeout"); seconds <= 0 || seconds > 24*60*60 {
			return nil, &cliui.SyntaxError{Message: fmt.Sprintf("argument --timeout: %d is not a number of seconds to wait", seconds)}
		}
	}
	timeout := time.Duration(seconds) * time.Second
	opts := store.Options{Servers: storeServers(flags), ConnectTimeout: timeout, FailFast: timeout}
	account.into(&opts)
	for _, set := range more {
		set(&opts)
	}
	st, err := store.Open(opts)
	if err != nil {
		return nil, &cliui.SyntaxError{Message: err.Error()}
	}
	return st, nil
}
