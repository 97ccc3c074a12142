package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/cliui"
	"github.com/helios-go/helios/store"
)

// storeACL does what the original's tool for existing clusters does (zookeeper §5.4), with options in the place of its
// six operands, so that no password need stand in ps.
var storeACL = storeCommand{
	name:    "acl",
	summary: "protect an existing tree: give every node the access list of its path",
	options: append(agentAccountOptions(""),
		cliui.Option{Long: "zk-cluster-id", Takes: cliui.One, Help: "id of the cluster that it must be (default: any)"},
		cliui.Option{Long: "superuser", Takes: cliui.One, Help: "superuser of zookeeper (default: super)"},
		cliui.Option{Long: "superuser-password-file", Takes: cliui.One, Help: "file with the superuser's password: work as superuser, who alone may change what is protected already"},
		cliui.Option{Short: "q", Long: "quiet", Help: "print the totals alone"}),
	run: func(ctx context.Context, flags *cli.Context, out io.Writer) error {
		account, err := storeAccount(flags, true)
		if err != nil {
			return err
		}
		superuser := store.Credential{User: "super"}
		if flags.IsSet("superuser") {
			superuser.User = flags.String("superuser")
		}
		if path := flags.String("superuser-password-file"); path != "" {
			if superuser.Password, err = readPassword(path); err != nil {
				return err
			}
		} else if flags.IsSet("superuser") {
			return &cliui.SyntaxError{Message: "argument --superuser: its password is missing: --superuser-password-file"}
		}
		st, err := openStore(flags, account, func(opts *store.Options) {
			opts.ClusterID = flags.String("zk-cluster-id")
			if superuser.Password != "" {
				opts.Credential = superuser
			}
		})
		if err != nil {
			return err
		}
		defer st.Close()
		told := func(path string) { fmt.Fprintln(out, path) }
		if flags.Bool("quiet") {
			told = nil
		}
		done, err := st.Protect(ctx, told)
		if errors.Is(err, store.ErrDenied) && superuser.Password == "" {
			return fmt.Errorf("%w: nobody but zookeeper's superuser can change what is protected already (helios manual acls); %d nodes were set", err, done.Set)
		}
		if err != nil {
			return fmt.Errorf("%w; %d nodes were set", err, done.Set)
		}
		fmt.Fprintf(out, "%d nodes have a new access list, %d had the right one\n", done.Set, done.Kept)
		for _, path := range done.Left {
			fmt.Fprintf(out, "%s is left as it is: zookeeper keeps it to its superuser\n", path)
		}
		return nil
	},
}

// storeDigest makes what one role has to know of the other's password.
var storeDigest = storeCommand{
	name:    "digest",
	summary: "print the digest of a zookeeper user's password, for --zk-acl-agent-digest and --zk-acl-master-digest",
	options: []cliui.Option{
		{Long: "user", Takes: cliui.One, Help: "the user, helios-agent or helios-master unless you chose others"},
		{Long: "password-file", Takes: cliui.One, Help: "file with the password, one line"},
	},
	local: true,
	run: func(_ context.Context, flags *cli.Context, out io.Writer) error {
		user, path := flags.String("user"), flags.String("password-file")
		if user == "" || path == "" {
			return &cliui.SyntaxError{Message: "--user and --password-file are needed"}
		}
		if strings.Contains(user, ":") {
			return &cliui.SyntaxError{Message: fmt.Sprintf("argument --user: %q contains a colon", user)}
		}
		password, err := readPassword(path)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, store.NewIdentity(user, password).Digest)
		return nil
	},
}
