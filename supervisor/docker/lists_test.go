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
		const takes = 20 * time.Millisecond
		asked, answer := 0, make(chan error)
		shared := shared[[]supervisor.Container]{apart: time.Second, ask: func(context.Context) ([]supervisor.Container, error) {
			asked++
			number := asked
			err := <-answer
			time.Sleep(takes)
			if err != nil {
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
			time.Sleep(takes)
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
	})
}

// TestListsTakeATenthOfTheDaemonsTime has somebody want a list all the time.
func TestListsTakeATenthOfTheDaemonsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var began []time.Duration
		takes := []time.Duration{5 * time.Millisecond, 0, 50 * time.Millisecond, 2 * time.Second, 0}
		start := time.Now()
		shared := shared[int]{apart: 100 * time.Millisecond, ask: func(context.Context) (int, error) {
			began = append(began, time.Since(start).Round(time.Millisecond))
			time.Sleep(takes[len(began)-1])
			return len(began), nil
		}}
		for range takes {
			if _, err := shared.get(t.Context()); err != nil {
				t.Error(err)
			}
		}
		// after five milliseconds forty-five are free, but never more than a hundred from one to the next
		if want := []time.Duration{0, 50 * time.Millisecond, 50 * time.Millisecond, 150 * time.Millisecond, 2150 * time.Millisecond}; !slices.Equal(began, want) {
			t.Errorf("lists began at %v, want %v", began, want)
		}
	})
}
