package store

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/group"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// form judges the document of the node at path: nil, or why no reader understands it.
type form func(path string, data []byte) error

// The forms of the node map.
var (
	jobForm         = formOf(func(name string, j *job.Job) error { return holds(j.ID, name) }, (*job.Job).JSON)
	taskForm        = formOf(func(name string, t *job.Task) error { return holds(t.Job.ID, name) }, (*job.Task).JSON)
	idForm          = formOf(nil, (*job.ID).JSON)
	statusForm      = formOf(nil, (*job.TaskStatus).JSON)
	hostInfoForm    = formOf(nil, (*host.Info).JSON)
	agentInfoForm   = formOf(nil, (*host.AgentInfo).JSON)
	textsForm       = formOf(nil, document.TextMap)
	noteForm        = versioned(host.ReadNote)
	rememberedForm  = formOf(nil, (*job.Task).JSON)
	acceptanceForm  = versioned(host.ReadAcceptance)
	groupForm       = formOf(nil, (*group.Group).JSON)
	groupTasksForm  = formOf(nil, (*group.Tasks).JSON)
	hostListForm    = formOf(nil, document.Texts)
	groupStatusForm = orEmpty(formOf(nil, (*group.Status).JSON))
)

// formOf reads the document, and lets agrees compare it with the node's name.
func formOf[T any](agrees func(name string, v *T) error, describe func(*T) document.Value) form {
	return func(path string, data []byte) error {
		v, err := read(node{path: path, data: data}, describe)
		if unreadable, ok := errors.AsType[*UnreadableError](err); ok {
			return unreadable.Err
		}
		if err != nil || agrees == nil {
			return err
		}
		return agrees(path[strings.LastIndexByte(path, '/')+1:], &v)
	}
}

func holds(id job.ID, name string) error {
	if id.String() != name {
		return fmt.Errorf("it holds job %s", id)
	}
	return nil
}

func orEmpty(inner form) form {
	return func(path string, data []byte) error {
		if len(bytes.TrimSpace(data)) == 0 {
			return nil
		}
		return inner(path, data)
	}
}

// versioned is for documents of our own. One that a newer version wrote is in order, for that version.
func versioned[T any](read func(data []byte) (T, error)) form {
	return func(_ string, data []byte) error {
		_, err := read(data)
		if _, newer := errors.AsType[*document.NewerError](err); newer {
			return nil
		}
		return err
	}
}
