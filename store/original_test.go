package store

import (
	"maps"
	"strings"
	"testing"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/store/zkserver"
)

// What tests take for transactions of the original's masters leads from each recorded tree to the next one: in the parts
// of the tree that only masters write, as far as it is theirs.
func TestTransactionsOfTheOriginalMakeTheRecordedTrees(t *testing.T) {
	const host1, host2 = "host1.example.com", "host2.example.com"
	for _, c := range []struct {
		from, to string
		parts    []string // that are compared
		do       func(r replay, o *storetest.Original, to storetest.Tree) error
	}{
		{"04-agent2-registered", "05-job-create", []string{"/"}, func(r replay, o *storetest.Original, to storetest.Tree) error {
			return o.CreateJob(in(r.T, to, configJob(r.find(to, "app:1")), (*job.Job).JSON))
		}},
		{"06-more-jobs", "07-deployed-no-start", []string{"/config/"}, func(r replay, o *storetest.Original, to storetest.Tree) error {
			return o.Deploy(host1, job.Deployment{JobID: r.find(to, "app:1"), Goal: job.Stop, DeployerUser: new("root")})
		}},
		{"07-deployed-no-start", "08-running", []string{"/config/"}, func(r replay, o *storetest.Original, to storetest.Tree) error {
			return o.SetGoal(host1, r.find(to, "app:1"), job.Start)
		}},
		{"08-running", "09-stopped", []string{"/config/"}, func(r replay, o *storetest.Original, to storetest.Tree) error {
			return o.SetGoal(host1, r.find(to, "app:1"), job.Stop)
		}},
		{"10-started-again", "11-undeployed", []string{"/config/"}, func(r replay, o *storetest.Original, to storetest.Tree) error {
			return o.Undeploy(host1, r.find(to, "app:1"))
		}},
		{"11-undeployed", "12-job-removed", []string{"/"}, func(r replay, o *storetest.Original, _ storetest.Tree) error {
			return o.RemoveJob(r.find(golden(r.T, "plain", "11-undeployed"), "app:1"))
		}},
		{"12-job-removed", "13-deployed-token", []string{"/config/"}, func(r replay, o *storetest.Original, to storetest.Tree) error {
			return o.Deploy(host2, job.Deployment{JobID: r.find(to, "tok:1"), Goal: job.Start, DeployerUser: new("root")})
		}},
		{"27-host-left-done", "28-deregistered", []string{"/config/", "/history/", "/status/hosts/"}, func(_ replay, o *storetest.Original, _ storetest.Tree) error {
			return o.DeregisterHost(host2)
		}},
		{"28-deregistered", "29-registered-by-master", []string{"/"}, func(_ replay, o *storetest.Original, _ storetest.Tree) error {
			return o.RegisterHost("host3.example.com", "id3")
		}},
		{"30-group-removed", "31-all-removed", []string{"/config/", "/history/"}, func(r replay, o *storetest.Original, _ storetest.Tree) error {
			before := golden(r.T, "plain", "30-group-removed")
			must(r, o.Undeploy(host1, r.find(before, "app:2")))
			for _, name := range []string{"app:2", "bad:1", "tok:1"} {
				must(r, o.RemoveJob(r.find(before, name)))
			}
			return nil
		}},
	} {
		t.Run(c.to, func(t *testing.T) {
			t.Parallel()
			o := storetest.OpenOriginal(t, storetest.Serve(t, zkserver.Options{}).Dial)
			o.Load(t, golden(t, "plain", c.from))
			want := golden(t, "plain", c.to)
			must(t, c.do(replay{T: t, sequence: "plain"}, o, want))
			got := o.Tree(t)
			for _, tree := range []storetest.Tree{want, got} {
				maps.DeleteFunc(tree, func(path string, _ storetest.Node) bool {
					for _, part := range c.parts {
						if strings.HasPrefix(path, part) {
							return false
						}
					}
					return true
				})
			}
			if diff := want.Diff(got, storetest.Rewritten); diff != "" {
				t.Errorf("(- recorded, + ours):\n%s", diff)
			}
		})
	}
}
