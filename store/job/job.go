// Package job is the vocabulary of jobs: the job itself and its id, where it
// shall run (Goal, Deployment, Task) and how it does (TaskStatus), with the
// rules that belong to them: the hash in the id, validation, and how one
// configuration is laid over another (testdata/spec/1-model.md §2–5, 7, 11–15).
//
// The types are the znode JSON, the HTTP JSON and the command line's JSON at
// once. The package does no I/O and knows no host, no store and no container.
package job

import (
	"errors"
	"time"

	"github.com/helios-go/helios/store/document"
)

// The outcomes of operations on jobs that a caller acts on.
var (
	// ErrExists is creating a job whose id is taken.
	ErrExists = errors.New("job already exists")
	// ErrNotFound is naming a job that does not exist.
	ErrNotFound = errors.New("job not found")
	// ErrInUse is removing a job that is deployed somewhere.
	ErrInUse = errors.New("job is still deployed")
	// ErrForbidden is a token that differs from the job's.
	ErrForbidden = errors.New("wrong job token")
	// ErrNotDeployed is changing or ending a deployment that does not exist.
	ErrNotDeployed = errors.New("job is not deployed on the host")
	// ErrAlreadyDeployed is deploying a job to a host that has it.
	ErrAlreadyDeployed = errors.New("job is already deployed on the host")
	// ErrPortConflict is deploying a job to a host where another one has its external port.
	ErrPortConflict = errors.New("an external port is already taken on the host")
)

// recorded is an error in the words of the original.
type recorded string

func (e recorded) Error() string { return string(e) }

// Job describes a container to run. A pointer that is nil is a member that is
// null; nil lists and maps are empty ones. Nulls inside lists and maps are kept
// (document.NullText, PortMapping.IsNull, ServicePorts.IsNull) until validation
// refuses them. §3.
type Job struct {
	ID       ID      // the zero ID is none
	Image    *string // container image reference; needed to be valid
	Hostname *string // of the container
	Created  *int64  // milliseconds since 1970; set by the master
	Command  []string
	Env      map[string]string
	// Resources limits CPU and memory.
	Resources *Resources
	// Ports are the container's ports by name.
	Ports map[string]PortMapping
	// Registration says which ports are announced as which service endpoints.
	Registration map[Endpoint]ServicePorts
	// GracePeriod is the time in seconds between deregistration and stop.
	GracePeriod *int32
	// Volumes maps container paths, with an optional ":mode", to host paths; "" is an anonymous volume.
	Volumes map[string]string
	// Expires is when the job is undeployed everywhere and removed; UTC, milliseconds.
	Expires            *time.Time
	RegistrationDomain string
	CreatingUser       *string // set by the master
	// Token guards the job: operations on it need the same one. It is a secret.
	Token       string
	HealthCheck *HealthCheck
	SecurityOpt []string
	// NetworkMode is "bridge", "host" or "container:…"; nil is Docker's default.
	NetworkMode *string
	Metadata    map[string]string
	// AddCapabilities and DropCapabilities are sets of Linux capabilities. They
	// have the order of the document; document.SetOrder is the original's.
	AddCapabilities  []string
	DropCapabilities []string
	Labels           map[string]string // of the container
	// SecondsToWaitBeforeKill is the time for an orderly stop; nil is the agent's default.
	SecondsToWaitBeforeKill *int32
	// Ramdisks maps mount points in the container to mount options.
	Ramdisks map[string]string
	// RolloutOptions are the job's own defaults for rolling updates.
	RolloutOptions *RolloutOptions
	Runtime        *string // name of the container runtime
}

// Resources limits a container. §3.3.
type Resources struct {
	Memory     *int64 // bytes
	MemorySwap *int64 // bytes, memory included
	CPUShares  *int64
	CPUSet     *string // such as "0-1"
}

// Read reads a job as the command line, the client and the owners of znodes do.
func Read(data []byte) (*Job, error) {
	var j Job
	if err := document.Read(data, j.JSON()); err != nil {
		return nil, err
	}
	return &j, nil
}

// ReadFile reads a job configuration file: as Read, but the id "null:null",
// which Java programs write for a job without one, is none (quirk 10).
func ReadFile(data []byte) (*Job, error) {
	j, err := Read(data)
	if err == nil && j.ID == (ID{Name: "null", Version: "null"}) {
		j.ID = ID{}
	}
	return j, err
}

// JSON describes the document of §3.
func (j *Job) JSON() document.Value { return jobDocuments.Of(j) }

var jobDocuments = document.Describe(func(j *Job) document.Value { return document.Object(j.members()...) })

// members are in the order of the master's answers.
func (j *Job) members() []document.Member {
	return []document.Member{
		{Name: "id", Value: j.ID.JSON()},
		{Name: "image", Value: document.OptionalText(&j.Image)},
		{Name: "hostname", Value: document.OptionalText(&j.Hostname)},
		{Name: "created", Value: document.OptionalLong(&j.Created)},
		{Name: "command", Value: document.Texts(&j.Command)},
		{Name: "env", Value: document.TextMap(&j.Env)},
		{Name: "resources", Value: document.Optional(&j.Resources, (*Resources).JSON)},
		{Name: "ports", Value: document.Map(&j.Ports, document.TextKeys, (*PortMapping).JSON)},
		{Name: "registration", Value: document.Map(&j.Registration, endpointKeys, (*ServicePorts).JSON)},
		{Name: "gracePeriod", Value: document.OptionalInt(&j.GracePeriod)},
		{Name: "volumes", Value: document.TextMap(&j.Volumes)},
		{Name: "expires", Value: document.OptionalDate(&j.Expires)},
		{Name: "registrationDomain", Value: document.Text(&j.RegistrationDomain)},
		{Name: "creatingUser", Value: document.OptionalText(&j.CreatingUser)},
		{Name: "token", Value: document.Text(&j.Token)},
		{Name: "healthCheck", Value: document.Optional(&j.HealthCheck, (*HealthCheck).JSON)},
		{Name: "securityOpt", Value: document.Texts(&j.SecurityOpt)},
		{Name: "networkMode", Value: document.OptionalText(&j.NetworkMode)},
		{Name: "metadata", Value: document.TextMap(&j.Metadata)},
		{Name: "addCapabilities", Value: document.TextSet(&j.AddCapabilities)},
		{Name: "dropCapabilities", Value: document.TextSet(&j.DropCapabilities)},
		{Name: "labels", Value: document.TextMap(&j.Labels)},
		{Name: "secondsToWaitBeforeKill", Value: document.OptionalInt(&j.SecondsToWaitBeforeKill)},
		{Name: "ramdisks", Value: document.TextMap(&j.Ramdisks)},
		{Name: "rolloutOptions", Value: document.Optional(&j.RolloutOptions, (*RolloutOptions).JSON)},
		{Name: "runtime", Value: document.OptionalText(&j.Runtime)},
	}
}

// JSON describes the document of §3.3.
func (r *Resources) JSON() document.Value { return resourcesDocuments.Of(r) }

var resourcesDocuments = document.Describe(func(r *Resources) document.Value {
	return document.Object(
		document.Member{Name: "memory", Value: document.OptionalLong(&r.Memory)},
		document.Member{Name: "memorySwap", Value: document.OptionalLong(&r.MemorySwap)},
		document.Member{Name: "cpuShares", Value: document.OptionalLong(&r.CPUShares)},
		document.Member{Name: "cpuset", Value: document.OptionalText(&r.CPUSet)},
	)
})
