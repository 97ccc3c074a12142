package cliui

import (
	"context"
	"fmt"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/job"
)

var startCommand = Command{
	Name:     "start",
	Summary:  "start a deployed job",
	Options:  []Option{tokenOption},
	Operands: []Operand{jobOperand, {Name: "hosts", List: true}},
	run: func(ctx context.Context, k *call) error {
		return setGoal(ctx, k, job.Start, "Starting")
	},
}

var stopCommand = Command{
	Name:     "stop",
	Summary:  "stop a deployed job without undeploying it",
	Options:  []Option{tokenOption},
	Operands: []Operand{jobOperand, {Name: "hosts", List: true}},
	run: func(ctx context.Context, k *call) error {
		return setGoal(ctx, k, job.Stop, "Stopping")
	},
}

// setGoal changes the goal of a deployed job (testdata/spec/5-cli.md §8.6).
// Host names are completed, unlike the original's (Q18).
func setGoal(ctx context.Context, k *call, goal job.Goal, doing string) error {
	id, _, err := k.findJob(ctx, k.operand(0))
	if err != nil {
		return err
	}
	hosts := k.operands(1)
	if !k.json {
		fmt.Fprintf(k.out.Out, "%s %s on %s\n", doing, id, listText(hosts))
	}
	return k.onHosts(ctx, hosts, func(host string) (answer, httpapi.Status, error) {
		r, err := k.client.SetGoal(ctx, host, id, goal, k.flags.String("token"))
		return &r, r.Status, err
	})
}
