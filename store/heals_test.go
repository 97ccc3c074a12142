package store

import (
	"context"
	"errors"
	"testing"

	"github.com/helios-go/helios/store/job"
)

// TestWhatIsSaidToHealHeals makes each leftover by hand in a tree that is in use, wants the check to name it, does what
// the check says, and wants nothing to be left. A host of its own, h2, and a job, db, are not to be disturbed.
func TestWhatIsSaidToHealHeals(t *testing.T) {
	t.Parallel()
	web, db := sample("web", 80), sample("db", 81)
	gone := sample("gone", 82)
	undeploy := func(ctx context.Context, s *Store) error {
		_, err := s.Undeploy(ctx, "h1", web.ID, "")
		return err
	}
	deploy := func(ctx context.Context, s *Store) error { return s.Deploy(ctx, "h1", start(web), "") }
	create := func(ctx context.Context, s *Store) error { return s.CreateJob(ctx, web) }
	deregister := func(ctx context.Context, s *Store) error { return s.DeregisterHost(ctx, "h1") }
	remove := func(ctx context.Context, s *Store) error { return s.RemoveJob(ctx, web.ID, "") }
	register := func(ctx context.Context, s *Store) error {
		_, err := s.RegisterAgent(ctx, Registering{Host: "h1", ID: "id1"})
		return err
	}
	type does = []func(ctx context.Context, s *Store) error
	for name, c := range map[string]struct {
		deletes, adds []string
		finds         string
		heals         does
	}{
		"job lists a host without a task: deployed again":   {deletes: []string{configHostJob("h1", web.ID.String())}, finds: "host-without-task", heals: does{deploy}},
		"job lists a host without a task: removed":          {deletes: []string{configHostJob("h1", web.ID.String()), configHostPort("h1", 80)}, finds: "host-without-task", heals: does{remove}},
		"job does not list its host: undeployed":            {deletes: []string{configJobHost(web.ID, "h1")}, finds: "task-without-host", heals: does{undeploy, deploy}},
		"job is gone: undeployed":                           {deletes: []string{configJob(web.ID), configJobRef(web.ID)}, finds: "task-without-job", heals: does{undeploy, create, remove}},
		"port is gone: undeployed":                          {deletes: []string{configHostPort("h1", 80)}, finds: "no-port", heals: does{undeploy, deploy}},
		"port, reference and list are gone: undeployed":     {deletes: []string{configHostPort("h1", 80), configJobRef(web.ID), configJobHosts(web.ID)}, finds: "no-port", heals: does{undeploy, remove}},
		"port of a job that is not deployed: taken over":    {deletes: []string{configHostJob("h1", web.ID.String()), configJobHost(web.ID, "h1")}, finds: "orphan-port", heals: does{deploy}},
		"port of a job that is gone: goes with the host":    {adds: []string{configHostPort("h1", 82), string(quoted(gone.ID))}, finds: "orphan-port", heals: does{deregister}},
		"job was created twice: removed":                    {adds: []string{configJobCreation(web.ID, "2"), ""}, finds: "creations", heals: does{undeploy, remove}},
		"reference is gone: removed":                        {deletes: []string{configJobRef(web.ID)}, finds: "no-jobref", heals: does{undeploy, remove}},
		"list of hosts is gone: removed":                    {deletes: []string{configJobHosts(web.ID)}, finds: "no-host-list", heals: does{undeploy, remove}},
		"list of hosts is gone: undeployed, deployed again": {deletes: []string{configJobHosts(web.ID)}, finds: "no-host-list", heals: does{undeploy, deploy}},
		"host without id: deregistered":                     {deletes: []string{configHostID("h1")}, finds: "half-registered", heals: does{deregister}},
		"host without id: its agent starts":                 {deletes: []string{configHostID("h1")}, finds: "half-registered", heals: does{register}},
		"host of one node: deregistered":                    {deletes: []string{configHostJobs("h1"), configHostPorts("h1"), configHostID("h1"), statusHost("h1"), configJobHost(web.ID, "h1")}, finds: "half-registered", heals: does{deregister}},
		"host without directories: its agent starts":        {deletes: []string{configHostPorts("h1"), statusHost("h1")}, finds: "no-host-node", heals: does{register, undeploy, deploy}},
		"status of an unknown host: registered":             {adds: []string{statusHost("h3"), ""}, finds: "status-without-host", heals: does{func(ctx context.Context, s *Store) error { return s.RegisterHost(ctx, "h3", "id3") }}},
		"status of a task that was undeployed, agent away":  {adds: []string{statusHostJob("h1", gone.ID.String()), statusText(gone.ID)}, finds: "status-without-task", heals: does{deregister}},
		"history of a job that is gone": {adds: []string{historyJob(gone.ID), ""}, finds: "orphan-history", heals: does{
			func(ctx context.Context, s *Store) error {
				return errors.Join(s.CreateJob(ctx, gone), s.RemoveJob(ctx, gone.ID, ""))
			},
		}},
		"unreadable reference: removed":       {deletes: []string{configJobRef(web.ID)}, adds: []string{configJobRef(web.ID), "{"}, finds: "unreadable", heals: does{undeploy, remove}},
		"base node is gone: a master starts":  {deletes: []string{statusMasters}, finds: "no-base", heals: does{func(ctx context.Context, s *Store) error { return s.ensureBase(ctx) }}},
		"port with a node below it: deployed": {deletes: []string{configHostJob("h1", web.ID.String())}, adds: []string{configHostPort("h1", 80) + "/x", ""}, finds: "foreign", heals: does{deploy}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEachServer(t, func(t *testing.T, address string) {
				s, ctx := open(t, Options{Servers: address}), t.Context()
				must(t, s.ensureBase(ctx))
				deployed(t, s, web)
				must(t, s.RegisterHost(ctx, "h2", "id2"))
				must(t, s.CreateJob(ctx, db))
				must(t, s.Deploy(ctx, "h2", start(db), ""))
				for _, path := range c.deletes {
					must(t, s.session.removeTree(ctx, path))
				}
				for i := 0; i < len(c.adds); i += 2 {
					must(t, s.session.create(ctx, c.adds[i], []byte(c.adds[i+1]), 0))
				}
				if found := kindsFound(t, s); found[c.finds] == "" {
					t.Errorf("found %v, want %s", found, c.finds)
				}
				for _, heal := range c.heals {
					must(t, heal(ctx, s))
				}
				if found := kindsFound(t, s); len(found) > 0 {
					t.Errorf("it is not healed: %v", found)
				}
				if d, err := s.Deployment(ctx, "h2", db.ID); err != nil || d.Goal != job.Start {
					t.Errorf("a neighbour was disturbed: %v, %v", d, err)
				}
			})
		})
	}
}

// kindsFound are the findings in a tree: a node by each kind.
func kindsFound(t *testing.T, s *Store) map[string]string {
	t.Helper()
	tree, err := s.Snapshot(t.Context(), false)
	must(t, err)
	found := make(map[string]string)
	for _, f := range Examine(tree, Examining{}) {
		found[f.Kind] = f.Node
	}
	return found
}
