package cliui

import (
	"context"
	"fmt"
)

var removeCommand = Command{
	Name:     "remove",
	Summary:  "remove a job",
	Options:  []Option{tokenOption, yesOption},
	Operands: []Operand{jobOperand},
	run:      remove,
}

// remove removes a job that is deployed nowhere (testdata/spec/5-cli.md §8.2).
func remove(ctx context.Context, k *call) error {
	id, _, err := k.findJob(ctx, k.operand(0))
	if err != nil {
		return err
	}
	if !k.flags.Bool("yes") {
		if err := k.confirm("This will remove the job " + id.String()); err != nil {
			return err
		}
	}
	if !k.json {
		fmt.Fprintf(k.out.Out, "Removing job %s\n", id)
	}
	r, err := k.client.RemoveJob(ctx, id, k.flags.String("token"))
	return k.report(id.String(), &r, r.Status, err)
}
