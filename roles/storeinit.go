package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/cliui"
	"github.com/helios-go/helios/store"
)

// storeInit does what the original's bootstrap tool does, with its words and its exit status, which is 1 for a refusal,
// too (zookeeper §4.1, operations §1.8).
var storeInit = storeCommand{
	name:    "init",
	summary: "give a new cluster its id, for --zk-cluster-id of masters and agents",
	options: append(agentAccountOptions(": protect the nodes by access lists"),
		cliui.Option{Long: "force", Help: "also where some of the nodes exist: create the missing ones"}),
	run: func(ctx context.Context, flags *cli.Context, out io.Writer) error {
		account, err := storeAccount(flags, flags.IsSet("zk-acl-agent-digest"))
		if err != nil {
			return err
		}
		st, err := openStore(flags, account)
		if err != nil {
			return err
		}
		defer st.Close()
		id := uuid.NewString()
		err = st.CreateClusterID(ctx, id, flags.Bool("force"))
		if occupied, ok := errors.AsType[*store.OccupiedError](err); ok {
			//lint:ignore ST1005 the original's words
			return fmt.Errorf("Aborting, some nodes already exist: %s", strings.Join(occupied.Nodes, ", "))
		}
		if errors.Is(err, store.ErrUnavailable) {
			//lint:ignore ST1005 the original's words
			return fmt.Errorf("Timed out while connecting to Zookeeper (%v)", err)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "Cluster has been successfully bootstrapped, cluster id is: %s\n", id)
		return nil
	},
}
