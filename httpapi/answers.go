package httpapi

import (
	"fmt"
	"strings"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// Document is the body of an answer that has a status word.
type Document interface {
	JSON() document.Value
}

// CreateJobResponse answers the creation of a job (model §9).
type CreateJobResponse struct {
	Status Status
	Errors []string // what breaks a rule; nil is null
	ID     *string  // the full id as the master evaluated it
}

// JSON describes the document.
func (r *CreateJobResponse) JSON() document.Value {
	return document.Object(
		document.Member{Name: "status", Value: statusOf(CreateJob, &r.Status)},
		document.Member{Name: "errors", Value: document.NullableTexts(&r.Errors)},
		document.Member{Name: "id", Value: document.OptionalText(&r.ID)},
	)
}

// String is the text that the command line prints (cli §6.5).
func (r *CreateJobResponse) String() string {
	errors := "null"
	if r.Errors != nil {
		errors = "[" + strings.Join(r.Errors, ", ") + "]"
	}
	return fmt.Sprintf("CreateJobResponse{status=%s, errors=%s, id='%s'}", word(r.Status), errors, text(r.ID))
}

// JobDeleteResponse answers the removal of a job (model §9).
type JobDeleteResponse struct{ Status Status }

// JSON describes the document.
func (r *JobDeleteResponse) JSON() document.Value {
	return document.Object(document.Member{Name: "status", Value: statusOf(RemoveJob, &r.Status)})
}

// String is the text that the command line prints (cli §6.5).
func (r *JobDeleteResponse) String() string {
	return fmt.Sprintf("JobDeleteResponse{status=%s}", word(r.Status))
}

// JobDeployResponse answers a deployment (model §9).
type JobDeployResponse struct {
	Status Status
	Host   *string
	Job    job.ID // the zero id is null
}

// JSON describes the document.
func (r *JobDeployResponse) JSON() document.Value {
	return onHost(Deploy, &r.Status, &r.Host, &r.Job)
}

// String is the text that the command line prints (cli §6.5).
func (r *JobDeployResponse) String() string {
	return onHostText("JobDeployResponse", r.Status, r.Host, r.Job)
}

// SetGoalResponse answers a change of a deployment's goal (model §9).
type SetGoalResponse struct {
	Status Status
	Host   *string
	Job    job.ID // the zero id is null
}

// JSON describes the document.
func (r *SetGoalResponse) JSON() document.Value {
	return onHost(SetGoal, &r.Status, &r.Host, &r.Job)
}

// String is the text that the command line prints (cli §6.5).
func (r *SetGoalResponse) String() string {
	return onHostText("SetGoalResponse", r.Status, r.Host, r.Job)
}

// JobUndeployResponse answers the end of a deployment (model §9).
type JobUndeployResponse struct {
	Status Status
	Host   *string
	Job    job.ID // the zero id is null
}

// JSON describes the document.
func (r *JobUndeployResponse) JSON() document.Value {
	return onHost(Undeploy, &r.Status, &r.Host, &r.Job)
}

// String is the text that the command line prints (cli §6.5).
func (r *JobUndeployResponse) String() string {
	return onHostText("JobUndeployResponse", r.Status, r.Host, r.Job)
}

// HostRegisterResponse refuses the registration of a host; success is the bare JSON text "OK" (model §9).
type HostRegisterResponse struct {
	Status Status
	Host   *string
}

// JSON describes the document.
func (r *HostRegisterResponse) JSON() document.Value {
	return document.Object(
		document.Member{Name: "status", Value: statusOf(RegisterHost, &r.Status)},
		document.Member{Name: "host", Value: document.OptionalText(&r.Host)},
	)
}

// HostDeregisterResponse answers the deregistration of a host (model §9).
type HostDeregisterResponse struct {
	Status Status
	Host   *string
}

// JSON describes the document.
func (r *HostDeregisterResponse) JSON() document.Value {
	return document.Object(
		document.Member{Name: "status", Value: statusOf(DeregisterHost, &r.Status)},
		document.Member{Name: "host", Value: document.OptionalText(&r.Host)},
	)
}

// String is the text that the command line prints (cli §6.5).
func (r *HostDeregisterResponse) String() string {
	return fmt.Sprintf("HostDeregisterResponse{status=%s, host='%s'}", word(r.Status), text(r.Host))
}

// TaskStatusEvents answers for the history of a job: the events of all hosts, oldest first (model §9).
type TaskStatusEvents struct {
	Events []job.TaskStatusEvent
	Status Status
}

// JSON describes the document.
func (r *TaskStatusEvents) JSON() document.Value {
	return document.Object(
		document.Member{Name: "events", Value: document.List(&r.Events, (*job.TaskStatusEvent).JSON)},
		document.Member{Name: "status", Value: statusOf(JobHistory, &r.Status)},
	)
}

// RollingUpdateRequest asks for a rolling update of a deployment group (model §9). Options that are null are the job's.
type RollingUpdateRequest struct {
	Job            job.ID
	RolloutOptions *job.RolloutOptions
}

// JSON describes the document. The job is required.
func (r *RollingUpdateRequest) JSON() document.Value {
	return document.Object(
		document.Member{Name: "job", Value: r.Job.JSON(), Required: true},
		document.Member{Name: "rolloutOptions", Value: document.Optional(&r.RolloutOptions, (*job.RolloutOptions).JSON)},
	)
}

// VersionResponse is what the command version prints with --json; no master sends it (model §9).
type VersionResponse struct {
	ClientVersion string
	MasterVersion string // or a sentence that says why it is not known
}

// JSON describes the document.
func (r *VersionResponse) JSON() document.Value {
	return document.Object(
		document.Member{Name: "clientVersion", Value: document.Text(&r.ClientVersion)},
		document.Member{Name: "masterVersion", Value: document.Text(&r.MasterVersion)},
	)
}

// VersionCheckResponse answers GET /version/check (model §9, §14.5).
type VersionCheckResponse struct {
	Status             VersionStatus
	ServerVersion      Version
	RecommendedVersion string
}

// JSON describes the document.
func (r *VersionCheckResponse) JSON() document.Value {
	v := &r.ServerVersion
	return document.Object(
		document.Member{Name: "status", Value: document.Enum(&r.Status)},
		document.Member{Name: "serverVersion", Alias: "version", Last: true, Value: document.Object(
			document.Member{Name: "snapshot", Value: document.Bool(&v.Snapshot)},
			document.Member{Name: "major", Value: document.Int(&v.Major)},
			document.Member{Name: "minor", Value: document.Int(&v.Minor)},
			document.Member{Name: "patch", Value: document.Int(&v.Patch)},
		)},
		document.Member{Name: "recommendedVersion", Value: document.Text(&r.RecommendedVersion)},
	)
}

// Words are the six status words of model §14.2.
func (VersionStatus) Words() []string {
	return []string{
		string(VersionEqual), string(VersionCompatible), string(VersionMaybe), string(VersionIncompatible),
		string(VersionInvalid), string(VersionMissing),
	}
}

func onHost(op Operation, s *Status, host **string, id *job.ID) document.Value {
	return document.Object(
		document.Member{Name: "status", Value: statusOf(op, s)},
		document.Member{Name: "host", Value: document.OptionalText(host)},
		document.Member{Name: "job", Value: id.JSON()},
	)
}

func onHostText(name string, s Status, host *string, id job.ID) string {
	shown := "null"
	if id != (job.ID{}) {
		shown = id.String()
	}
	return fmt.Sprintf("%s{status=%s, job=%s, host='%s'}", name, word(s), shown, text(host))
}

// word and text show what is absent as null, as the original's texts do.
func word(s Status) string {
	if s == "" {
		return "null"
	}
	return string(s)
}

func text(p *string) string {
	if p == nil {
		return "null"
	}
	return *p
}

// status is a status word in the answer to an operation: one of the operation's words, or null.
type status struct {
	op   Operation
	word *Status
}

func statusOf(op Operation, word *Status) document.Value { return status{op, word} }

func (s status) ReadFrom(r *document.Reader) error {
	*s.word = ""
	if null, err := r.Null(); null {
		return err
	}
	text, err := r.Text()
	if err != nil {
		return err
	}
	if _, ok := Meaning(s.op, Status(text)); !ok {
		return fmt.Errorf("%q is no answer to %s", text, s.op)
	}
	*s.word = Status(text)
	return nil
}

func (s status) WriteTo(w *document.Writer) {
	if *s.word == "" {
		w.Null()
		return
	}
	w.Text(string(*s.word))
}

func (s status) Presence() document.Presence {
	if *s.word == "" {
		return document.Null
	}
	return document.Filled
}
