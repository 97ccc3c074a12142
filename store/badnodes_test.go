package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/helios-go/helios/store/job"
)

// damages are documents that no reader understands.
var damages = map[string][]byte{
	"nothing":        {},
	"half":           []byte(`{"id":"web:1:`),
	"a number":       []byte(`7`),
	"a list":         []byte(`[[1,2],{"a":null}]`),
	"binary":         {0x00, 0xff, 0xfe, 0x80, 0x1f, 0x8b},
	"900 kB":         []byte(strings.Repeat("x", 900_000)),
	"900 kB of text": []byte(`"` + strings.Repeat("x", 900_000) + `"`),
	"deep nesting":   []byte(strings.Repeat("[", 100_000)),
}

// Each document in turn is damaged in each way. Whatever does not need it must answer as before; what needs it says which
// node it is; and an agent that looks keeps its task.
func TestOneBadNodeSpoilsNothingElse(t *testing.T) {
	t.Parallel()
	web, other := sample("web", 80), sample("other", 81)
	status := job.TaskStatus{Job: web, Goal: job.Start, State: job.Running}
	task := configHostJob("h1", web.ID.String())
	cases := []struct {
		node string
		// spoiled are the requests that need the node, by their names below.
		spoiled []string
	}{
		{configJob(web.ID), []string{"job", "job status", "deploy", "set goal"}},
		{task, []string{"deployment", "set goal"}},
		{configJobRef(web.ID), nil},
		{configHostPort("h1", 80), nil},
		{statusHostJob("h1", web.ID.String()), nil},
		{statusHostInfo("h1"), []string{"host"}},
		{statusHostAgentInfo("h1"), []string{"host"}},
		{statusHostEnvironment("h1"), []string{"host"}},
		{statusHostLabels("h1"), []string{"host", "labels"}},
		{historyEvent(web.ID, "h1", 1), nil},
	}
	onEachServer(t, func(t *testing.T, address string) {
		s := open(t, Options{Servers: address})
		ctx := t.Context()
		deployed(t, s, web)
		must(t, s.RegisterHost(ctx, "h2", "id2"))
		must(t, s.CreateJob(ctx, other))
		must(t, s.Deploy(ctx, "h1", start(other), ""))
		must(t, remember(ctx, s, "h1", 1, status))
		for path, data := range map[string]string{
			statusHostInfo("h1"): hostInfo, statusHostAgentInfo("h1"): agentInfo, statusHostLabels("h1"): `{"a":"b"}`,
			statusHostEnvironment("h1"): `{}`, statusHostJob("h1", web.ID.String()): statusText(web.ID),
		} {
			must(t, s.session.put(ctx, path, []byte(data)))
		}
		told := watch(t, s)
		told.await(t, "other START, web START")
		for _, c := range cases {
			whole, err := s.session.get(ctx, c.node)
			must(t, err)
			for name, damage := range damages {
				must(t, s.session.set(ctx, c.node, damage, anyVersion))
				for _, answer := range answers(t, s, web.ID, other.ID) {
					unreadable, bad := errors.AsType[*UnreadableError](answer.err)
					switch spoiled := slices.Contains(c.spoiled, answer.to); {
					case spoiled && (!bad || unreadable.Node != c.node || len(answer.err.Error()) > 1000):
						t.Errorf("%s in %s: %s says %.300v", name, c.node, answer.to, answer.err)
					case !spoiled && answer.err != nil:
						t.Errorf("%s in %s: %s says %.300v", name, c.node, answer.to, answer.err)
					}
				}
				if c.node == task {
					told.await(t, "? "+web.ID.String()+", other START")
				}
				must(t, s.session.set(ctx, c.node, whole.data, anyVersion))
				told.await(t, "other START, web START")
			}
		}
	})
}

// answer is how a request ended.
type answer struct {
	to  string
	err error
}

// answers are those to all that can be asked about job web on host h1, and to what concerns its neighbours only.
func answers(t *testing.T, s *Store, web, other job.ID) []answer {
	t.Helper()
	ctx := t.Context()
	wants := func(what string, got, want any, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("%s: %v, want %v", what, got, want)
		}
		return err
	}
	var list []answer
	say := func(to string, err error) { list = append(list, answer{to, err}) }

	ids, err := s.JobIDs(ctx)
	say("job ids", wants("ids", len(ids), 2, err))
	jobs, err := s.Jobs(ctx, ids)
	if _, ok := jobs[other]; !ok && err == nil {
		err = errors.New("a whole job is left out")
	}
	say("jobs", err)
	_, err = s.Job(ctx, web)
	say("job", err)
	_, err = s.Job(ctx, other)
	say("other job", err)
	_, err = s.JobStatus(ctx, web)
	say("job status", err)
	_, err = s.JobStatus(ctx, other)
	say("other job status", err)
	hosts, err := s.Hosts(ctx)
	say("hosts", wants("hosts", len(hosts), 2, err))
	status, err := s.HostStatus(ctx, "h1")
	if err == nil && status.Jobs[other] == nil {
		err = errors.New("a whole deployment is left out")
	}
	say("host", err)
	_, err = s.HostStatus(ctx, "h2")
	say("other host", err)
	_, err = s.HostLabels(ctx, "h1")
	say("labels", err)
	_, err = s.Deployment(ctx, "h1", web)
	say("deployment", err)
	_, err = s.History(ctx, web)
	say("history", err)
	say("set goal", s.SetGoal(ctx, "h1", web, job.Start, ""))
	say("deploy", undeployed(s.Deploy(ctx, "h2", job.Deployment{JobID: web, Goal: job.Stop}, ""), s, web, t))
	return list
}

// undeployed takes the job off host h2 again if it came there.
func undeployed(err error, s *Store, id job.ID, t *testing.T) error {
	if err != nil {
		return err
	}
	_, err = s.Undeploy(t.Context(), "h2", id, "")
	return err
}
