package httpapi

import (
	"errors"
	"net/http"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// Outcomes of a request that are not outcomes of the store.
var (
	// ErrInvalidJob is a job that breaks a rule of model §13; the answer's Errors say which.
	ErrInvalidJob = errors.New("invalid job definition")
	// ErrInvalidID is an id that is not complete: not NAME:VERSION:HASH, or an empty agent id.
	ErrInvalidID = errors.New("id is not complete")
	// ErrIDMismatch is a document that names another job than the request's path.
	ErrIDMismatch = errors.New("ids of path and document differ")
	// ErrAmbiguous is a job reference that several jobs answer to.
	ErrAmbiguous = errors.New("ambiguous job reference")
)

// Status is the outcome that an answer document names. A Java client cannot read a word that is not listed for its
// document (model §9), so the table of outcomes is the whole vocabulary.
type Status string

// The words of model §9.
const (
	OK                    Status = "OK"
	JobAlreadyExists      Status = "JOB_ALREADY_EXISTS"
	InvalidJobDefinition  Status = "INVALID_JOB_DEFINITION"
	UnknownJob            Status = "UNKNOWN_JOB"
	AmbiguousJobReference Status = "AMBIGUOUS_JOB_REFERENCE"
	IDMismatch            Status = "ID_MISMATCH"
	StillInUse            Status = "STILL_IN_USE"
	JobNotFound           Status = "JOB_NOT_FOUND"
	JobIDNotFound         Status = "JOB_ID_NOT_FOUND"
	Forbidden             Status = "FORBIDDEN"
	PortConflict          Status = "PORT_CONFLICT"
	HostNotFound          Status = "HOST_NOT_FOUND"
	JobAlreadyDeployed    Status = "JOB_ALREADY_DEPLOYED"
	JobNotDeployed        Status = "JOB_NOT_DEPLOYED"
	InvalidID             Status = "INVALID_ID"
	NotFound              Status = "NOT_FOUND"
	JobsStillDeployed     Status = "JOBS_STILL_DEPLOYED"
)

// Operation is a request that can be refused with an answer document. Its text is how errors name it.
type Operation string

// The operations on jobs, deployments and hosts.
const (
	CreateJob      Operation = "create job"
	RemoveJob      Operation = "remove job"
	JobHistory     Operation = "history of job"
	Deploy         Operation = "deploy"
	SetGoal        Operation = "set goal"
	Undeploy       Operation = "undeploy"
	RegisterHost   Operation = "register host"
	DeregisterHost Operation = "deregister host"
)

// Outcome is one way in which an operation ends: the error that names it in a program (nil for OK), its word in the
// answer document, and the HTTP status of the answer.
type Outcome struct {
	Operation Operation
	Err       error
	Status    Status
	Code      int
}

// outcomes is the table of http §1.9 with the words of model §9. Where two rows of an operation have the same error,
// masters answer with the first; where two have the same word, clients take the first. A row with code 0 is never
// sent: its word must be readable all the same.
var outcomes = []Outcome{
	{CreateJob, nil, OK, http.StatusOK},
	{CreateJob, ErrInvalidJob, InvalidJobDefinition, http.StatusBadRequest},
	{CreateJob, job.ErrExists, JobAlreadyExists, http.StatusBadRequest},
	{CreateJob, ErrIDMismatch, IDMismatch, 0},
	{CreateJob, job.ErrNotFound, UnknownJob, 0},
	{CreateJob, ErrAmbiguous, AmbiguousJobReference, 0},

	{RemoveJob, nil, OK, http.StatusOK},
	{RemoveJob, job.ErrNotFound, JobNotFound, http.StatusNotFound},
	{RemoveJob, job.ErrForbidden, Forbidden, http.StatusForbidden},
	{RemoveJob, job.ErrInUse, StillInUse, http.StatusBadRequest},

	{JobHistory, nil, OK, http.StatusOK},
	{JobHistory, job.ErrNotFound, JobIDNotFound, http.StatusOK},

	{Deploy, nil, OK, http.StatusOK},
	{Deploy, ErrInvalidID, InvalidID, http.StatusBadRequest},
	{Deploy, ErrIDMismatch, IDMismatch, http.StatusBadRequest},
	{Deploy, job.ErrNotFound, JobNotFound, http.StatusBadRequest},
	{Deploy, job.ErrForbidden, Forbidden, http.StatusForbidden},
	{Deploy, job.ErrAlreadyDeployed, JobAlreadyDeployed, http.StatusBadRequest},
	{Deploy, host.ErrNotFound, HostNotFound, http.StatusBadRequest},
	{Deploy, job.ErrPortConflict, PortConflict, http.StatusBadRequest},
	{Deploy, ErrAmbiguous, AmbiguousJobReference, 0},

	{SetGoal, nil, OK, http.StatusOK},
	{SetGoal, ErrIDMismatch, IDMismatch, http.StatusBadRequest},
	{SetGoal, job.ErrForbidden, Forbidden, http.StatusForbidden},
	{SetGoal, host.ErrNotFound, HostNotFound, http.StatusNotFound},
	{SetGoal, job.ErrNotDeployed, JobNotDeployed, http.StatusNotFound},
	{SetGoal, job.ErrNotFound, JobNotDeployed, http.StatusNotFound},
	{SetGoal, job.ErrNotFound, JobNotFound, 0},
	{SetGoal, ErrInvalidID, InvalidID, 0},

	{Undeploy, nil, OK, http.StatusOK},
	{Undeploy, ErrInvalidID, InvalidID, http.StatusBadRequest},
	{Undeploy, host.ErrNotFound, HostNotFound, http.StatusNotFound},
	{Undeploy, job.ErrNotDeployed, JobNotFound, http.StatusNotFound},
	{Undeploy, job.ErrNotFound, JobNotFound, http.StatusNotFound},
	{Undeploy, job.ErrForbidden, Forbidden, http.StatusForbidden},

	{RegisterHost, nil, OK, http.StatusOK},
	{RegisterHost, ErrInvalidID, InvalidID, http.StatusBadRequest},

	{DeregisterHost, nil, OK, http.StatusOK},
	{DeregisterHost, host.ErrNotFound, NotFound, http.StatusNotFound},
	{DeregisterHost, job.ErrInUse, JobsStillDeployed, http.StatusBadRequest},
}

// OutcomeOf finds what a master answers to an operation that ended with err. There is none for a failure that is no
// outcome of the operation; such an answer has no document.
func OutcomeOf(op Operation, err error) (Outcome, bool) {
	for _, o := range outcomes {
		if o.Operation == op && o.Code != 0 && matches(err, o.Err) {
			return o, true
		}
	}
	return Outcome{}, false
}

func matches(err, outcome error) bool {
	if outcome == nil {
		return err == nil
	}
	return errors.Is(err, outcome)
}

// Meaning finds what a word in the answer to an operation means. There is nothing for a word that is not of this
// operation's document.
func Meaning(op Operation, s Status) (Outcome, bool) {
	for _, o := range outcomes {
		if o.Operation == op && o.Status == s {
			return o, true
		}
	}
	return Outcome{}, false
}
