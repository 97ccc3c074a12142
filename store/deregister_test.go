package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/storetest"
)

// TestHostOfAThousandJobsAndTheirHistoryIsDeregistered is a host of which no request could hold all, nor even what is
// configured (zookeeper Q11).
func TestHostOfAThousandJobsAndTheirHistoryIsDeregistered(t *testing.T) {
	const jobs, events = 1000, 10
	s := open(t, Options{Servers: ownTree(t, storetest.ZooKeeper(t))})
	must(t, s.ensureBase(t.Context()))
	must(t, s.RegisterHost(t.Context(), "h1", "id1"))
	size := 0
	batches := make([]string, jobs/10)
	must(t, each(t.Context(), batches, func(ctx context.Context, i int, _ string) error {
		var t txn
		for k := range 10 {
			j := sample(fmt.Sprintf("job-%d-%s", 10*i+k, strings.Repeat("x", 230)))
			id := j.ID.String()
			for _, path := range []string{
				configJob(j.ID), configJobHosts(j.ID), configJobHost(j.ID, "h1"), configHostJob("h1", id),
				configHostJobCreation("h1", j.ID, "0123"), configHostPort("h1", int32(20000+10*i+k)), statusHostJob("h1", id),
				historyJob(j.ID), historyJobHosts(j.ID), historyJobHost(j.ID, "h1"), historyEvents(j.ID, "h1"),
			} {
				t.create(path, nil)
			}
			for at := range int64(events) {
				t.create(historyEvent(j.ID, "h1", at), nil)
			}
		}
		_, err := s.session.commit(ctx, &t)
		return err
	}))
	all, err := s.session.tree(t.Context(), configHost("h1"))
	must(t, err)
	for _, path := range all {
		size += len(path)
	}
	begin := time.Now()
	must(t, s.DeregisterHost(t.Context(), "h1"))
	took := time.Since(begin)
	left, err := s.session.tree(t.Context(), "/config")
	must(t, err)
	for _, root := range []string{"/status", "/history"} {
		more, err := s.session.tree(t.Context(), root)
		must(t, err)
		left = append(left, more...)
	}
	for _, path := range left {
		if strings.HasSuffix(path, "/h1") || strings.Contains(path, "/h1/") {
			t.Fatalf("%s is left", path)
		}
	}
	t.Logf("%d nodes of configuration with %d bytes of paths, %d events: %s", len(all), size, jobs*events, took)
}
