package docker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/helios-go/helios/supervisor"
)

func TestListsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, answer := 0, make(chan error)
		shared := sharedList{ask: func(context.Context) ([]supervisor.Container, error) {
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
		ask(t.Context(), "fourth")
		leave(errors.New("no time"))
		heard(map[string]string{"impatient": "no time"})
		answer <- nil
		heard(map[string]string{"second": "list 2", "third": "list 2"})
		answer <- errors.New("broken")
		heard(map[string]string{"fourth": "broken"})
		if asked != 3 {
			t.Errorf("%d lists were asked for, want 3", asked)
		}
		ask(t.Context(), "last")
		answer <- nil
		heard(map[string]string{"last": "list 4"})
	})
}
