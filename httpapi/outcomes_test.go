package httpapi

import (
	"errors"
	"fmt"
	"testing"
)

func TestOutcomesSurviveTheWire(t *testing.T) {
	for i, o := range outcomes {
		name := fmt.Sprintf("%s answered %s for %v", o.Operation, o.Status, o.Err)
		if o.Code != 0 {
			err := o.Err
			if err != nil {
				err = fmt.Errorf("in some words: %w", err)
			}
			sent, ok := OutcomeOf(o.Operation, err)
			if !ok || sent != o {
				t.Errorf("%s: a master answers with %+v, %t", name, sent, ok)
			}
		}
		read, ok := Meaning(o.Operation, o.Status)
		if !ok {
			t.Errorf("%s: clients cannot read it", name)
			continue
		}
		if (read.Err == nil) != (o.Err == nil) {
			t.Errorf("%s: clients take it for %v", name, read.Err)
		}
		for _, other := range outcomes[:i] {
			if other.Operation == o.Operation && other.Status == o.Status {
				read = o // the first row of a word is what clients take it for
			}
		}
		if !errors.Is(read.Err, o.Err) && o.Err != nil {
			t.Errorf("%s: clients take it for %v", name, read.Err)
		}
	}
}

func TestWordsOfOtherOperationsAreNotRead(t *testing.T) {
	for _, c := range []struct {
		op   Operation
		word Status
	}{
		{RemoveJob, HostNotFound}, {Undeploy, JobNotDeployed}, {DeregisterHost, HostNotFound}, {CreateJob, "ok"}, {Deploy, ""},
	} {
		if o, ok := Meaning(c.op, c.word); ok {
			t.Errorf("%s: %q means %+v", c.op, c.word, o)
		}
	}
}

func TestFailuresThatAreNoOutcomeHaveNoAnswer(t *testing.T) {
	if o, ok := OutcomeOf(RemoveJob, errors.New("lightning")); ok {
		t.Errorf("answered with %+v", o)
	}
}
