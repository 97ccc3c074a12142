package rollout

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/helios-go/helios/store/group"
	"github.com/helios-go/helios/store/job"
)

// planRecord is a line of testdata/vectors/rollout-plans.jsonl.
type planRecord struct {
	Kind    string
	Hosts   []string
	Options struct {
		Parallelism *int32
		Overlap     *bool
	}
	Tasks []string
}

func texts(tasks []group.RolloutTask) []string {
	var texts []string
	for _, task := range tasks {
		texts = append(texts, string(task.Action)+" "+task.Target)
	}
	return texts
}

func everyHostUp(string) bool { return true }

func TestPlansAreAsRecorded(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../testdata/vectors/rollout-plans.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	records := 0
	for line := range bytes.Lines(data) {
		var r planRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		records++
		hosts := Hosts{Up: everyHostUp}
		switch r.Kind {
		case "update":
			hosts.Update = r.Hosts
		case "undeploy":
			hosts.Undeploy = r.Hosts
		default:
			t.Fatalf("unknown kind %s", r.Kind)
		}
		options := &job.RolloutOptions{Parallelism: r.Options.Parallelism, Overlap: r.Options.Overlap}
		if got := texts(Plan(hosts, options)); !slices.Equal(got, r.Tasks) {
			t.Errorf("%s\n got %q", line, got)
		}
	}
	t.Logf("%d plans", records)
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hosts   Hosts
		options *job.RolloutOptions
		want    []string
	}{
		"hosts that left the group come before those that stay": {
			hosts: Hosts{Update: []string{"b"}, Undeploy: []string{"a"}, Up: everyHostUp},
			want: []string{
				"FORCE_UNDEPLOY_JOBS a", "AWAIT_UNDEPLOYED a", "MARK_UNDEPLOYED a",
				"UNDEPLOY_OLD_JOBS b", "DEPLOY_NEW_JOB b", "AWAIT_RUNNING b",
			},
		},
		"partly null options are filled up, for both parts of the plan": {
			hosts:   Hosts{Update: []string{"b"}, Undeploy: []string{"a"}, Up: everyHostUp},
			options: &job.RolloutOptions{Overlap: new(true)},
			want: []string{
				"FORCE_UNDEPLOY_JOBS a", "AWAIT_UNDEPLOYED a", "MARK_UNDEPLOYED a",
				"DEPLOY_NEW_JOB b", "AWAIT_RUNNING b", "UNDEPLOY_OLD_JOBS b",
			},
		},
		"a host that is to be updated is not undeployed": {
			hosts: Hosts{Update: []string{"a"}, Undeploy: []string{"a"}, Up: everyHostUp},
			want:  []string{"UNDEPLOY_OLD_JOBS a", "DEPLOY_NEW_JOB a", "AWAIT_RUNNING a"},
		},
		"a host that is to be updated is not undeployed even if it is down": {
			hosts: Hosts{
				Update: []string{"a"}, Undeploy: []string{"a"},
				Up: func(string) bool { return false },
			},
		},
		"hosts that are down are left out before partitions are cut": {
			hosts: Hosts{
				Update: []string{"a", "b", "c"}, Undeploy: []string{"x", "y", "z"},
				Up: func(host string) bool { return host != "b" && host != "y" },
			},
			options: &job.RolloutOptions{Parallelism: new(int32(2))},
			want: []string{
				"FORCE_UNDEPLOY_JOBS x", "FORCE_UNDEPLOY_JOBS z",
				"AWAIT_UNDEPLOYED x", "MARK_UNDEPLOYED x", "AWAIT_UNDEPLOYED z", "MARK_UNDEPLOYED z",
				"UNDEPLOY_OLD_JOBS a", "DEPLOY_NEW_JOB a", "UNDEPLOY_OLD_JOBS c", "DEPLOY_NEW_JOB c",
				"AWAIT_RUNNING a", "AWAIT_RUNNING c",
			},
		},
		"a parallelism below one counts as one": {
			hosts:   Hosts{Update: []string{"a", "b"}, Up: everyHostUp},
			options: &job.RolloutOptions{Parallelism: new(int32(-2))},
			want: []string{
				"UNDEPLOY_OLD_JOBS a", "DEPLOY_NEW_JOB a", "AWAIT_RUNNING a",
				"UNDEPLOY_OLD_JOBS b", "DEPLOY_NEW_JOB b", "AWAIT_RUNNING b",
			},
		},
		"without hosts there are no tasks": {hosts: Hosts{Up: everyHostUp}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := texts(Plan(test.hosts, test.options)); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestPlanLeavesItsInputAlone(t *testing.T) {
	t.Parallel()
	update, undeploy := []string{"a", "b"}, []string{"c", "d"}
	Plan(Hosts{Update: update, Undeploy: undeploy, Up: func(host string) bool { return host == "b" }}, nil)
	if !slices.Equal(update, []string{"a", "b"}) || !slices.Equal(undeploy, []string{"c", "d"}) {
		t.Errorf("the lists are now %q and %q", update, undeploy)
	}
}
