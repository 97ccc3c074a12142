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
	options: append(agentAccountOptions(": look at the access lists, too"),
		cliui.Option{Long: "zk-cluster-id", Takes: cliui.One, Help: "the cluster id that the tree must have"},
		cliui.Option{Long: "json", Help: "one JSON object a line for each finding"}),
	run: func(ctx context.Context, flags *cli.Context, out io.Writer) error {
		account, err := storeAccount(flags, flags.IsSet("zk-acl-agent-digest"))
		if err != nil {
			return err
		}
		with := store.Examining{ClusterID: flags.String("zk-cluster-id"), ACLs: account.lists()}
		st, err := openStore(flags, account)
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
			return fmt.Errorf("%s in %s", counted(len(findings), "finding"), counted(nodes, "node"))
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

// counted is a number of things.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func findingJSON(f store.Finding) string {
	return document.Compact(document.Object(
		document.Member{Name: "kind", Value: document.Text(&f.Kind)},
		document.Member{Name: "node", Value: document.Text(&f.Node)},
		document.Member{Name: "means", Value: document.Text(&f.Means)},
		document.Member{Name: "heals", Value: document.Text(&f.Heals)},
	))
}
