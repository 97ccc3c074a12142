package storetest

import (
	"maps"
	"strings"
	"testing"
)

func TestTreesDifferByMoreThanWhatIsVolatile(t *testing.T) {
	t.Parallel()
	const events = "/history/jobs/j/hosts/h/events/"
	first := Tree{
		"/config/jobs": {Data: "127.0.0.1"},
		"/config/jobs/j/creation-6a5e0e37-a236-4b3d-8eec-e70cfdeda628": {},
		events + "1000":            {Data: `{"containerId":"` + strings.Repeat("a", 64) + `","created":1,"exitCode":null,"state":"RUNNING"}`},
		events + "2000":            {Data: `{"containerId":"` + strings.Repeat("b", 64) + `","created":1,"state":"RUNNING"}`},
		"/status/hosts/h/hostinfo": {Data: `{"cpus":2}`, Version: 3},
	}
	again := Tree{
		"/config/jobs": {},
		"/config/jobs/j/creation-3c6b4bb1-8117-484c-b6eb-7af288f32ac2": {},
		events + "1500":            {Data: `{"containerId":"` + strings.Repeat("c", 64) + `","created":2,"state":"RUNNING"}`},
		events + "1700":            {Data: `{"containerId":"` + strings.Repeat("d", 64) + `","created":2,"state":"RUNNING"}`},
		"/status/hosts/h/hostinfo": {Data: `{"cpus":8}`, Version: 1},
	}
	if diff := first.Diff(again, Relived); diff != "" {
		t.Errorf("the same lived twice:\n%s", diff)
	}
	if first.Diff(again, Rewritten) == "" {
		t.Error("documents of other times pass for the same ones written again")
	}
	for name, change := range map[string]func(Tree){
		"a node more":             func(tree Tree) { tree["/config/x"] = Node{} },
		"an event more":           func(tree Tree) { tree[events+"1800"] = tree[events+"1700"] },
		"one container for two":   func(tree Tree) { tree[events+"1700"] = tree[events+"1500"] },
		"another version":         func(tree Tree) { tree["/config/jobs"] = Node{Version: 1} },
		"null data":               func(tree Tree) { tree["/config/jobs"] = Node{Data: "null"} },
		"ephemeral for ever":      func(tree Tree) { tree["/config/jobs"] = Node{Ephemeral: true} },
		"another ACL":             func(tree Tree) { tree["/config/jobs"] = Node{ACL: []string{"world:anyone:r"}} },
		"host information absent": func(tree Tree) { tree["/status/hosts/h/hostinfo"] = Node{} },
	} {
		other := maps.Clone(again)
		change(other)
		if first.Diff(other, Relived) == "" {
			t.Errorf("%s is not seen", name)
		}
	}
}
