package roles

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/cliui"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
)

// checkAgainAfter is how long what was found has to last to be told: a tree that is in use changes while it is read.
const checkAgainAfter = 2 * time.Second

// storeCheck reads the tree and names what is amiss. It ends with 0 when nothing is, and with 1 otherwise.
var storeCheck = storeCommand{
	name:    "check",
	summary: "read the whole tree and name all leftovers and damage; nothing is changed",
	options: []cliui.Option{
		{Long: "zk-cluster-id", Takes: cliui.One, Help: "the cluster id that the tree must have"},
		{Long: "zk-acl-agent-user", Takes: cliui.One, Help: "zookeeper user of agents (default: helios-agent)"},
		{Long: "zk-acl-agent-digest", Takes: cliui.One, Help: "digest of the agents' password: look at the access lists, too"},
		{Long: "json", Help: "one JSON object a line for each finding"},
	},
	run: func(ctx context.Context, flags *cli.Context, out io.Writer) error {
		with := store.Examining{ClusterID: flags.String("zk-cluster-id")}
		account, err := readCredentials("master", flags)
		if err != nil {
			return err
		}
		if account.acls = flags.IsSet("zk-acl-agent-digest"); account.acls {
			if err := account.check(); err != nil {
				return &cliui.SyntaxError{Message: err.Error()}
			}
			var opts store.Options
			account.into(&opts)
			with.ACLs = opts.ACLs
		}
		st, err := openStore(flags)
		if err != nil {
			return err
		}
		defer st.Close()
		findings, nodes, err := findings(ctx, st, with)
		if err != nil {
			return err
		}
		for _, f := range findings {
			if flags.Bool("json") {
				fmt.Fprintf(out, "%s\n", findingJSON(f))
			} else {
				fmt.Fprintf(out, "%s\n  %s\n  heals by %s\n", f.Node, f.Means, f.Heals)
			}
		}
		if len(findings) > 0 {
			return fmt.Errorf("%d findings in %d nodes", len(findings), nodes)
		}
		if !flags.Bool("json") {
			fmt.Fprintf(out, "nothing is amiss in %d nodes\n", nodes)
		}
		return nil
	},
}

// findings are those that two readings of the tree have in common.
func findings(ctx context.Context, st *store.Store, with store.Examining) (lasting []store.Finding, nodes int, err error) {
	for reading := range 2 {
		tree, err := st.Snapshot(ctx, with.ACLs != nil)
		if err != nil {
			return nil, 0, err
		}
		found := store.Examine(tree, with)
		if nodes = len(tree); reading == 0 {
			lasting = found
		} else {
			lasting = store.Lasting(lasting, found)
		}
		if len(lasting) == 0 {
			break
		}
		if reading == 0 {
			select {
			case <-time.After(checkAgainAfter):
			case <-ctx.Done():
				return nil, 0, context.Cause(ctx)
			}
		}
	}
	return slices.Clip(lasting), nodes, nil
}

func findingJSON(f store.Finding) string {
	return document.Compact(document.Object(
		document.Member{Name: "kind", Value: document.Text(&f.Kind)},
		document.Member{Name: "node", Value: document.Text(&f.Node)},
		document.Member{Name: "means", Value: document.Text(&f.Means)},
		document.Member{Name: "heals", Value: document.Text(&f.Heals)},
	))
}
