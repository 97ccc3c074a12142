package document_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/document"
)

// branch and twig are described by shared descriptions.
type branch struct {
	name   *string
	leaves []string
	twigs  map[string]*twig
}

type twig struct{ leaves []string }

var branches = document.Describe(func(b *branch) document.Value {
	element := func(p **twig) document.Value { return document.Optional(p, twigs.Of) }
	return document.Object(
		document.Member{Name: "name", Value: document.OptionalText(&b.name)},
		document.Member{Name: "leaves", Value: document.Texts(&b.leaves)},
		document.Member{Name: "twigs", Value: document.Map(&b.twigs, document.TextKeys, element)},
	)
})

var twigs = document.Describe(func(t *twig) document.Value {
	return document.Object(document.Member{Name: "leaves", Value: document.Texts(&t.leaves)})
})

func TestValuesOfOneDescriptionShareNothing(t *testing.T) {
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			text := fmt.Sprintf(`{"leaves":["a%d","b"],"name":"n%[1]d","twigs":{"x":{"leaves":[]},"y":{"leaves":["c%[1]d"]}}}`, n)
			for range 100 {
				var b branch
				if err := document.Read([]byte(text), branches.Of(&b)); err != nil {
					t.Error(err)
					return
				}
				var other branch
				if err := document.Read([]byte(`{"leaves":["z"],"twigs":{"z":{}}}`), branches.Of(&other)); err != nil {
					t.Error(err)
					return
				}
				if got := string(document.Canonical(branches.Of(&b))); got != text {
					t.Errorf("got %s, want %s", got, text)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestNothingOfOneValueIsLeftForTheNextOfTheDescription(t *testing.T) {
	for range 10 {
		var full, partial, empty branch
		if err := document.Read([]byte(`{"name":"secret","leaves":["a"],"twigs":{"x":{}}}`), branches.Of(&full)); err != nil {
			t.Fatal(err)
		}
		if err := document.Read([]byte(`{"name":"secret","leaves":[{}]}`), branches.Of(&partial)); err == nil {
			t.Fatal("an object was read as a text")
		}
		if err := document.Read([]byte(`{}`), branches.Of(&empty)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(branch{}, empty, cmp.AllowUnexported(branch{}, twig{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
