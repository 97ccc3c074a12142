package job

import (
	"maps"
	"slices"
)

// Over lays a partial job over a base (§15.2) and returns the result. Neither is
// changed; the result has maps and lists of its own, but points to the same
// health check, resources and rollout options.
//
// What the partial job has replaces what the base has; empty texts and empty
// collections clear nothing. The entries of env, ports, registration, volumes,
// metadata and ramdisks are joined; labels, as the lists, the health check,
// resources and rollout options, are replaced as a whole. The version is the
// base's if the partial job has none, and the hash is dropped.
func (j *Job) Over(base *Job) *Job {
	return &Job{
		ID:                      j.ID.over(base.ID),
		Image:                   first(j.Image, base.Image),
		Hostname:                firstText(j.Hostname, base.Hostname),
		Created:                 first(j.Created, base.Created),
		Command:                 replaced(j.Command, base.Command),
		Env:                     joined(j.Env, base.Env),
		Resources:               first(j.Resources, base.Resources),
		Ports:                   joined(j.Ports, base.Ports),
		Registration:            joined(j.Registration, base.Registration),
		GracePeriod:             first(j.GracePeriod, base.GracePeriod),
		Volumes:                 joined(j.Volumes, base.Volumes),
		Expires:                 first(j.Expires, base.Expires),
		RegistrationDomain:      *firstText(&j.RegistrationDomain, &base.RegistrationDomain),
		CreatingUser:            firstText(j.CreatingUser, base.CreatingUser),
		Token:                   *firstText(&j.Token, &base.Token),
		HealthCheck:             first(j.HealthCheck, base.HealthCheck),
		SecurityOpt:             replaced(j.SecurityOpt, base.SecurityOpt),
		NetworkMode:             firstText(j.NetworkMode, base.NetworkMode),
		Metadata:                joined(j.Metadata, base.Metadata),
		AddCapabilities:         replaced(j.AddCapabilities, base.AddCapabilities),
		DropCapabilities:        replaced(j.DropCapabilities, base.DropCapabilities),
		Labels:                  replacedMap(j.Labels, base.Labels),
		SecondsToWaitBeforeKill: first(j.SecondsToWaitBeforeKill, base.SecondsToWaitBeforeKill),
		Ramdisks:                joined(j.Ramdisks, base.Ramdisks),
		RolloutOptions:          first(j.RolloutOptions, base.RolloutOptions),
		Runtime:                 firstText(j.Runtime, base.Runtime),
	}
}

func (id ID) over(base ID) ID {
	if id.Name == "" && id.blank&blankName == 0 {
		id.Name, id.blank = base.Name, id.blank|base.blank&blankName
	}
	if id.Version == "" && id.blank&blankVersion == 0 {
		id.Version, id.blank = base.Version, id.blank|base.blank&blankVersion
	}
	return id.Short()
}

// firstText is the first text that is not empty, else the last one.
func firstText(text, base *string) *string {
	if text == nil || *text == "" && base != nil {
		return base
	}
	return text
}

func replaced(items, base []string) []string {
	if len(items) > 0 {
		return slices.Clone(items)
	}
	return slices.Clone(base)
}

func replacedMap(entries, base map[string]string) map[string]string {
	if len(entries) > 0 {
		return maps.Clone(entries)
	}
	return maps.Clone(base)
}

func joined[K comparable, V any](entries, base map[K]V) map[K]V {
	result := maps.Clone(base)
	if result == nil {
		return maps.Clone(entries)
	}
	maps.Copy(result, entries)
	return result
}
