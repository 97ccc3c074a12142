package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/helios-go/helios/supervisor"
)

func TestListsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, make(chan error)
		var began []time.Duration
		start := time.Now()
		shared := shared[[]supervisor.Container]{ask: func(context.Context) ([]supervisor.Container, error) {
			began = append(began, time.Since(start))
			asked++
			number := asked
			if err := <-answer; err != nil {
				return nil, err
			}
			return []supervisor.Container{{ID: fmt.Sprint("list ", number)}}, nil
		}}
		type reply struct {
			who  string
			id   string
			fail error
		}
		replies := make(chan reply, 10)
		ask := func(ctx context.Context, who string) {
			go func() {
				containers, err := shared.get(ctx)
				r := reply{who: who, fail: err}
				if err == nil {
					r.id = containers[0].ID
				}
				replies <- r
			}()
			synctest.Wait()
		}
		heard := func(want map[string]string) {
			t.Helper()
			synctest.Wait()
			got := map[string]string{}
			for range len(replies) {
				r := <-replies
				got[r.who] = r.id
				if r.fail != nil {
					got[r.who] = r.fail.Error()
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("heard %v, want %v", got, want)
			}
		}
		ask(t.Context(), "first")
		impatient, leave := context.WithCancelCause(t.Context())
		ask(impatient, "impatient")
		ask(t.Context(), "second")
		ask(t.Context(), "third")
		heard(nil)
		answer <- nil
		heard(map[string]string{"first": "list 1"}) // which is older than the questions of the others
		ask(t.Context(), "fourth")                  // in time: the next list has not begun
		leave(errors.New("no time"))
		heard(map[string]string{"impatient": "no time"})
		answer <- nil
		heard(map[string]string{"second": "list 2", "third": "list 2", "fourth": "list 2"})
		ask(t.Context(), "fifth")
		answer <- errors.New("broken")
		heard(map[string]string{"fifth": "broken"})
		if asked != 3 {
			t.Errorf("%d lists were asked for, want 3", asked)
		}
		ask(t.Context(), "last")
		ask(t.Context(), "the very last") // comes while the list waits to begin
		answer <- nil
		heard(map[string]string{"last": "list 4", "the very last": "list 4"})
		time.Sleep(time.Hour)
		ask(t.Context(), "late")
		answer <- nil
		heard(map[string]string{"late": "list 5"})
		apart := listsApart
		if want := []time.Duration{0, apart, 2 * apart, 3 * apart, 3*apart + time.Hour}; !slices.Equal(began, want) {
			t.Errorf("lists began at %v, want %v", began, want)
		}
	})
}
