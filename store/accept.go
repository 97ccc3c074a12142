package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// answerTime is how long an agent has to act on an acceptance.
const answerTime = 15 * time.Second

// Accept ends a host's doubt by a person's word. To follow is up to the agent, which is told; to keep is to write what
// the agent holds on to into the store, jobs included, by the transactions of deployments: after each of them the doubt
// is smaller, so that one that is not finished has done no harm and can be repeated. It blocks until the agent has
// answered.
//
// It returns host.ErrNotFound, host.ErrDown, host.ErrNoDoubt, host.ErrOtherDoubt when the acceptance is of another doubt
// than the present one, host.ErrNothingStored, host.ErrAccepting when somebody else was faster, host.ErrUnanswered, or
// what hinders a deployment. They do not name the host: they are answers to one who has just named it.
func (s *Store) Accept(ctx context.Context, name string, a host.Acceptance) error {
	w, err := s.Wishes(ctx, name)
	if err != nil {
		return err
	}
	if err := acceptable(w, a); err != nil {
		return err
	}
	// A keeper works himself: should he vanish, so does his node.
	kind := int32(0)
	if a.Mode == host.Keep {
		kind = zk.FlagEphemeral
	}
	err = s.session.create(ctx, statusHostAccept(name), document.Canonical(a.JSON()), kind)
	if errors.Is(err, zk.ErrNodeExists) {
		return s.accepting(ctx, name)
	}
	if err != nil {
		return err
	}
	if a.Mode == host.Keep {
		defer s.session.farewell(ctx, statusHostAccept(name))
		if err := s.keep(ctx, name, *w.Note.Doubt); err != nil {
			return err
		}
	}
	return s.answered(ctx, name, a)
}

// acceptable says why a doubt cannot be ended.
func acceptable(w Wishes, a host.Acceptance) error {
	switch {
	case !w.Up:
		return host.ErrDown
	case w.Note == nil || w.Note.Doubt == nil:
		return host.ErrNoDoubt
	case w.Note.Doubt.Token != a.Token:
		return host.ErrOtherDoubt
	case w.Missing && a.Mode == host.Follow:
		return host.ErrNothingStored
	}
	return nil
}

// accepting says who is faster.
func (s *Store) accepting(ctx context.Context, name string) error {
	n, err := s.session.get(ctx, statusHostAccept(name))
	if err != nil {
		return host.ErrAccepting // and is done by now
	}
	other, err := host.ReadAcceptance(n.data)
	if err != nil {
		return host.ErrAccepting
	}
	return fmt.Errorf("%w: %s, to %s", host.ErrAccepting, other.User, other.Mode)
}

// keep writes what an agent holds on to into the store, and takes away what it does not follow.
func (s *Store) keep(ctx context.Context, name string, d host.Doubt) error {
	if err := s.ensureHost(ctx, name); err != nil {
		return err
	}
	var errs []error
	for _, task := range slices.Sorted(maps.Keys(d.Tasks)) {
		id, err := nodeID(configHostJobs(name), task)
		if err != nil {
			continue // such a node is never in doubt
		}
		if d.Tasks[task].Followed == "" {
			err = s.discard(ctx, name, id)
		} else {
			err = s.restore(ctx, name, id)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// discard undeploys a task that the agent does not follow.
func (s *Store) discard(ctx context.Context, name string, id job.ID) error {
	task, _, err := s.task(ctx, name, id)
	if errors.Is(err, job.ErrNotDeployed) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.Undeploy(ctx, name, id, s.tokenOf(ctx, id, task.Job))
	if errors.Is(err, job.ErrNotDeployed) {
		return nil
	}
	return err
}

// tokenOf is the token that operations on a job ask for: a task in the store may hold an older one than the job.
func (s *Store) tokenOf(ctx context.Context, id job.ID, copied job.Job) string {
	if j, err := s.job(ctx, id); err == nil {
		return j.Token
	}
	return copied.Token
}

// restore makes a task in the store what the agent holds on to, and makes its job if there is none.
func (s *Store) restore(ctx context.Context, name string, id job.ID) error {
	path := statusHostRemembered(name, id.String())
	n, err := s.session.get(ctx, path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil // the doubt has become smaller
	}
	if err != nil {
		return err
	}
	task, err := read(n, (*job.Task).JSON)
	if err != nil {
		return err
	}
	if _, err := s.job(ctx, id); errors.Is(err, job.ErrNotFound) {
		err = s.CreateJob(ctx, task.Job)
		if err != nil && !errors.Is(err, job.ErrExists) {
			return err
		}
	}
	token := s.tokenOf(ctx, id, task.Job)
	stored, _, err := s.task(ctx, name, id)
	_, unreadable := errors.AsType[*UnreadableError](err)
	switch {
	case errors.Is(err, job.ErrNotDeployed):
		err := s.Deploy(ctx, name, deploymentOf(id, task), token)
		if errors.Is(err, job.ErrAlreadyDeployed) {
			return nil // somebody else did; its goal is another person's wish
		}
		return err
	case unreadable:
		return s.redeploy(ctx, name, id, task)
	case err != nil:
		return err
	case stored.Goal != task.Goal:
		return s.SetGoal(ctx, name, id, task.Goal, token)
	}
	return nil
}

// redeploy replaces a task whose node cannot be read, in one transaction.
func (s *Store) redeploy(ctx context.Context, name string, id job.ID, task job.Task) error {
	var t txn
	nodes, err := s.session.tree(ctx, configHostJob(name, id.String()))
	if err != nil {
		return err
	}
	j, err := s.job(ctx, id)
	if err != nil {
		return err
	}
	t.deleteTree(nodes)
	t.create(configHostJob(name, id.String()), document.Canonical(new(taskOf(deploymentOf(id, task), j)).JSON()))
	_, err = s.session.commit(ctx, &t)
	return named("replace task", id.String(), err)
}

// answered blocks until an agent has acted on an acceptance, and says how.
func (s *Store) answered(ctx context.Context, name string, a host.Acceptance) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, host.ErrUnanswered)
	defer cancel()
	err := s.session.loop(ctx, "waiting for "+name, func(ctx context.Context, w *watches) error {
		asked, err := w.stat(ctx, statusHostAccept(name))
		if err != nil {
			return err
		}
		if _, err := w.stat(ctx, statusHostWishes(name)); err != nil { // rings with the next note
			return err
		}
		n, err := s.session.get(ctx, statusHostWishes(name))
		if err != nil {
			return err
		}
		note, err := host.ReadNote(n.data)
		switch {
		case err != nil:
			return err
		case note.Doubt == nil || note.Ended != nil && note.Ended.Token == a.Token:
			return final{}
		case a.Mode == host.Follow && asked == nil:
			return final{host.ErrOtherDoubt}
		}
		return nil
	})
	if errors.Is(err, host.ErrUnanswered) && a.Mode == host.Follow {
		// Nobody waits for it any more: it must not be found later.
		withdraw, stop := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer stop()
		err = errors.Join(err, s.session.remove(withdraw, statusHostAccept(name)))
	}
	return err
}
