package group

import (
	"slices"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// RollingUpdateReason is why a group was rolled out last; "" is null: never. §8.1.
type RollingUpdateReason string

// The reasons.
const (
	Manual       RollingUpdateReason = "MANUAL"
	HostsChanged RollingUpdateReason = "HOSTS_CHANGED"
)

// Words are the reasons in the order of their ordinals.
func (RollingUpdateReason) Words() []string { return reasons }

var reasons = []string{string(Manual), string(HostsChanged)}

// Group is a set of hosts, chosen by selectors, that run one job. §8.1
// (DeploymentGroup).
type Group struct {
	Name                *string
	HostSelectors       []host.Selector // nil is null
	RolloutOptions      *job.RolloutOptions
	RollingUpdateReason RollingUpdateReason
	JobID               job.ID // zero is none
}

// JSON describes the document of §8.1. What is null is left out. Both jobId and
// job are read (quirk 7).
func (g *Group) JSON() document.Value {
	return document.Object(
		document.Member{Name: "name", Value: document.OptionalText(&g.Name), OmitNull: true},
		document.Member{
			Name: "hostSelectors", Value: document.NullableList(&g.HostSelectors, (*host.Selector).JSON), OmitNull: true,
		},
		document.Member{
			Name: "rolloutOptions", Value: document.Optional(&g.RolloutOptions, (*job.RolloutOptions).JSON), OmitNull: true,
		},
		document.Member{Name: "rollingUpdateReason", Value: document.Enum(&g.RollingUpdateReason), OmitNull: true},
		document.Member{Name: "jobId", Alias: "job", Value: g.JobID.JSON(), OmitNull: true, Last: true},
	)
}

// SameSelectors says whether two groups choose hosts by the same selectors,
// whatever their order (quirk 19; http quirk 33).
func (g *Group) SameSelectors(other *Group) bool {
	return contained(g.HostSelectors, other.HostSelectors) && contained(other.HostSelectors, g.HostSelectors)
}

func contained(selectors, in []host.Selector) bool {
	for _, s := range selectors {
		if !slices.ContainsFunc(in, s.Equal) {
			return false
		}
	}
	return true
}
