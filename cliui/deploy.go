package cliui

import (
	"context"
	"fmt"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/job"
)

var deployCommand = Command{
	Name:    "deploy",
	Summary: "deploy a job to hosts",
	Options: []Option{
		tokenOption,
		{Long: "no-start", Help: "deploy the job without starting it"},
		{Long: "watch", Help: "watch the job on the hosts once it is deployed on all"},
		intervalOption,
	},
	Operands: []Operand{jobOperand, {Name: "hosts", List: true}},
	run:      deploy,
}

// deploy deploys a job to hosts (testdata/spec/5-cli.md §8.4, Q17).
func deploy(ctx context.Context, k *call) error {
	id, _, err := k.findJob(ctx, k.operand(0))
	if err != nil {
		return err
	}
	goal := job.Start
	if k.flags.Bool("no-start") {
		goal = job.Stop
	}
	hosts := k.operands(1)
	if !k.json {
		fmt.Fprintf(k.out.Out, "Deploying Deployment{jobId=%s, goal=%s, deployerUser='null', deployerMaster='null', deploymentGroupName='null'} on %s\n",
			id, goal, listText(hosts))
	}
	var names []string // completed
	err = k.onHosts(ctx, hosts, func(host string) (answer, httpapi.Status, error) {
		names = append(names, host)
		r, err := k.client.Deploy(ctx, host, id, goal, k.flags.String("token"))
		return &r, r.Status, err
	})
	if err != nil || !k.flags.Bool("watch") {
		return err
	}
	w := watching{calls: []*call{k}, ids: []job.ID{id}, hosts: names, exact: true, interval: interval(k.flags)}
	return w.run(ctx, k.out)
}
