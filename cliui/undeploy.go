package cliui

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/helios-go/helios/httpapi"
)

var undeployCommand = Command{
	Name:    "undeploy",
	Summary: "undeploy a job from hosts",
	Options: []Option{
		tokenOption,
		{Short: "a", Long: "all", Help: "undeploy from all hosts"},
		yesOption,
	},
	Operands: []Operand{jobOperand, {Name: "hosts", Optional: true, List: true}},
	run:      undeploy,
}

// undeploy ends the deployment of a job on the given hosts, or wherever it is
// deployed (testdata/spec/5-cli.md §8.5).
func undeploy(ctx context.Context, k *call) error {
	id, _, err := k.findJob(ctx, k.operand(0))
	if err != nil {
		return err
	}
	hosts := k.operands(1)
	switch all := k.flags.Bool("all"); {
	case all:
		status, err := k.client.JobStatus(ctx, id)
		if err != nil {
			return err
		}
		hosts = slices.Sorted(maps.Keys(status.Deployments))
		if len(hosts) == 0 {
			fmt.Fprintf(k.out.Out, "%s is not currently deployed on any hosts.", id)
			return nil
		}
		if !k.flags.Bool("yes") {
			if err := k.confirm(fmt.Sprintf("This will undeploy %s from %s", id, listText(hosts))); err != nil {
				return err
			}
		}
	case len(hosts) == 0:
		fmt.Fprintln(k.out.Out, "Please either specify a list of hosts or use the -a/--all flag.")
		return errSaid
	}
	if !k.json {
		fmt.Fprintf(k.out.Out, "Undeploying %s from %s\n", id, listText(hosts))
	}
	return k.onHosts(ctx, hosts, func(host string) (answer, httpapi.Status, error) {
		r, err := k.client.Undeploy(ctx, host, id, k.flags.String("token"))
		return &r, r.Status, err
	})
}
