package job

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/helios-go/helios/store/document"
)

// Checks are the parts of validation that depend on who validates. The zero
// value is the command line's; a master sets all.
type Checks struct {
	// Hash requires a hash in the id and compares it with the computed one.
	Hash bool
	// Computed is what ComputedID answers, if the caller knows it already.
	Computed ID
	// Capabilities allows only added capabilities that are in Whitelist.
	Capabilities bool
	Whitelist    []string
	// Now is compared with the expiry; the zero time is the present.
	Now time.Time
}

const (
	digits  = "0123456789"
	lower   = "abcdefghijklmnopqrstuvwxyz"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// consistsOf says whether s is one or more of the characters.
func consistsOf(s, characters string) bool {
	return s != "" && strings.Trim(s, characters) == ""
}

func isName(s string) bool { return consistsOf(s, digits+letters+"_.-") }

func isHostname(s string) bool {
	return consistsOf(s, digits+lower+"-") && s[0] != '-' && len(s) <= 63
}

// Validate returns all that is wrong with the job, in the order of §13.1 and
// without duplicates; a job is valid if that is nothing.
func (j *Job) Validate(c Checks) []string {
	v := validation{job: j, portNames: ascending(j.Ports), endpoints: j.endpoints()}
	v.nulls()
	v.id(c)
	if j.Image == nil {
		v.add("Image was not specified.")
	} else {
		v.add(CheckImage(*j.Image)...)
	}
	if j.Hostname != nil && *j.Hostname != "" && !isHostname(*j.Hostname) {
		v.addf("Invalid hostname (%s), only [a-z0-9][a-z0-9-] are allowed, size between 1 and 63", *j.Hostname)
	}
	v.ports()
	v.registration()
	v.volumes()
	v.expiry(c.Now)
	v.healthCheck()
	if mode := j.NetworkMode; mode != nil && *mode != "bridge" && *mode != "host" && !strings.HasPrefix(*mode, "container:") {
		v.add("A Docker container's network mode must be bridge, host, or container:<name|id>.")
	}
	if c.Capabilities {
		v.capabilities(c.Whitelist)
	}
	v.ramdisks()
	v.gracePeriod()
	return v.messages
}

// validation collects messages.
type validation struct {
	job       *Job
	portNames []string   // in ascending order
	endpoints []Endpoint // in ascending order
	messages  []string
}

func (v *validation) add(messages ...string) {
	for _, message := range messages {
		if !slices.Contains(v.messages, message) {
			v.messages = append(v.messages, message)
		}
	}
}

func (v *validation) addf(format string, args ...any) { v.add(fmt.Sprintf(format, args...)) }

// nulls refuses what the original could not handle (quirk 8).
func (v *validation) nulls() {
	j := v.job
	v.nullElements("command", j.Command)
	v.nullElements("securityOpt", j.SecurityOpt)
	v.nullElements("addCapabilities", j.AddCapabilities)
	v.nullElements("dropCapabilities", j.DropCapabilities)
	v.nullValues("env", j.Env)
	v.nullValues("volumes", j.Volumes)
	v.nullValues("metadata", j.Metadata)
	v.nullValues("labels", j.Labels)
	v.nullValues("ramdisks", j.Ramdisks)
	for _, name := range v.portNames {
		if j.Ports[name].null {
			v.addf("Null is not allowed as the value of '%s' in ports.", name)
		}
	}
	for _, endpoint := range v.endpoints {
		if j.Registration[endpoint].null {
			v.addf("Null is not allowed as the value of '%s' in registration.", endpoint)
		}
	}
}

func (v *validation) nullElements(member string, items []string) {
	if slices.Contains(items, document.NullText) {
		v.addf("Null is not allowed in %s.", member)
	}
}

func (v *validation) nullValues(member string, entries map[string]string) {
	var keys []string
	for key, value := range entries {
		if value == document.NullText {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, document.Ascending)
	for _, key := range keys {
		v.addf("Null is not allowed as the value of '%s' in %s.", key, member)
	}
}

// id is rules 1 to 4.
func (v *validation) id(c Checks) {
	id := v.job.ID
	if id == (ID{}) {
		v.add("Job id was not specified.")
		return
	}
	computed := c.Computed
	if computed == (ID{}) && (c.Hash || id.Version == "") {
		computed = v.job.ComputedID()
	}
	switch {
	case id.Name == "":
		v.add("Job name was not specified.")
	case !isName(id.Name):
		v.addf("Job name may only contain [0-9a-zA-Z-_.] in job name [%s].", id.Name)
	}
	switch {
	case id.Version == "":
		v.addf("Job version was not specified in job id [%v].", computed)
	case !isName(id.Version):
		v.addf("Job version may only contain [0-9a-zA-Z-_.] in job version [%s].", id.Version)
	}
	switch {
	case !c.Hash:
	case id.Hash == "":
		v.addf("Job hash was not specified in job id [%v].", computed)
	case id.Hash != computed.Hash && id.Hash != v.job.hashed(document.Texts).Hash:
		// The second form is that of jobs which Java programs build in memory (quirk 4).
		v.addf("Id hash mismatch: %s != %s", id.Hash, computed.Hash)
	}
}

// ports is rules 7 and 8. Ports that the agent picks do not count as duplicates
// (quirk 12).
func (v *validation) ports() {
	taken := make(map[string]bool)
	for _, name := range v.portNames {
		p := v.job.Ports[name]
		if p.ExternalPort == nil {
			continue
		}
		address := fmt.Sprintf("%s:%d", p.Protocol, *p.ExternalPort)
		if taken[address] {
			v.addf("Duplicate external port mapping: %s", address)
		}
		taken[address] = true
	}
	for _, name := range v.portNames {
		p := v.job.Ports[name]
		if p.null {
			continue
		}
		if p.Protocol != "tcp" && p.Protocol != "udp" {
			v.addf("Invalid port mapping protocol: %s", p.Protocol)
		}
		if !isPort(p.InternalPort) {
			v.addf("Invalid internal port: %d", p.InternalPort)
		}
		if p.ExternalPort != nil && !isPort(*p.ExternalPort) {
			v.addf("Invalid external port: %d", *p.ExternalPort)
		}
		if name == "" || strings.ContainsAny(name, " \t\n\v\f\r") {
			v.addf("Invalid port mapping endpoint name: %s", name)
		}
	}
}

func isPort(n int32) bool { return 0 <= n && n <= 65535 }

// registration is rule 9.
func (v *validation) registration() {
	for _, endpoint := range v.endpoints {
		ports := v.job.Registration[endpoint]
		switch {
		case ports.null:
			continue
		case ports.Ports == nil:
			v.addf("registration for '%s' is malformed: does not have a port mapping", endpoint.Service)
			continue
		}
		for _, name := range ascending(ports.Ports) {
			if _, ok := v.job.Ports[name]; !ok {
				v.addf("Service registration refers to missing port mapping: %v=%s", endpoint, name)
			}
			if parameters := ports.Ports[name]; parameters != nil && slices.Contains(parameters.Tags, document.NullText) {
				v.addf("Null is not allowed in the tags of '%v=%s'.", endpoint, name)
			}
		}
		if len(ports.Ports) > 0 && !consistsOf(endpoint.Service, digits+letters+"_-") {
			v.addf("Invalid service registration name: %s", endpoint.Service)
		}
	}
}

// volumes is rule 10; "/:ro" is refused like "/" (quirk 14).
func (v *validation) volumes() {
	for _, path := range ascending(v.job.Volumes) {
		source := v.job.Volumes[path]
		target, mode, hasMode := strings.Cut(path, ":")
		switch {
		case !strings.HasPrefix(path, "/"):
			v.addf("Volume path is not absolute: %s", path)
		case strings.Contains(source, "/") && !strings.HasPrefix(source, "/"):
			v.addf("Volume source is not absolute: %s", source)
		case target == "/" || hasMode && mode == "" || strings.Contains(mode, ":"):
			v.addf("Invalid volume path: %s", path)
		}
	}
}

// expiry is rule 11.
func (v *validation) expiry(now time.Time) {
	if v.job.Expires == nil {
		return
	}
	if now.IsZero() {
		now = time.Now()
	}
	if v.job.Expires.Before(now) {
		const layout = "Mon Jan 02 15:04:05 MST 2006"
		v.addf("Job expires in the past - %s is before %s", v.job.Expires.In(now.Location()).Format(layout), now.Format(layout))
	}
}

// healthCheck is rule 12.
func (v *validation) healthCheck() {
	check := v.job.HealthCheck
	switch {
	case check == nil:
	case check.Type == CheckExec:
		if len(check.Command) == 0 {
			v.add("A command must be defined for `docker exec`-based health checks.")
		} else if slices.Contains(check.Command, document.NullText) {
			v.add("Null is not allowed in the command of healthCheck.")
		}
	case check.Port == nil || *check.Port == "":
		v.add("A port must be defined for HTTP and TCP health checks.")
	default:
		if _, ok := v.job.Ports[*check.Port]; !ok {
			v.addf("Health check port '%s' not defined in the job. Known ports are '%s'",
				*check.Port, strings.Join(v.portNames, ", "))
		}
	}
}

// capabilities is rule 14.
func (v *validation) capabilities(whitelist []string) {
	var refused []string
	for _, capability := range v.job.AddCapabilities {
		if capability != document.NullText && !slices.Contains(whitelist, capability) {
			refused = append(refused, capability)
		}
	}
	if len(refused) == 0 {
		return
	}
	v.addf("The following Linux capabilities aren't allowed by the Helios master: '%s'. The allowed capabilities are: '%s'.",
		enumerate(refused), enumerate(whitelist))
}

// enumerate joins the sorted items.
func enumerate(items []string) string {
	return strings.Join(slices.Compact(slices.SortedFunc(slices.Values(items), document.Ascending)), ", ")
}

// ramdisks is rules 15 and 16.
func (v *validation) ramdisks() {
	if len(v.job.Ramdisks) == 0 {
		return
	}
	for _, mount := range ascending(v.job.Ramdisks) {
		if !strings.HasPrefix(mount, "/") {
			v.addf("Ramdisk mount point is not absolute: %s", mount)
		}
	}
	for _, path := range ascending(v.job.Volumes) {
		target, _, _ := strings.Cut(path, ":")
		if _, ok := v.job.Ramdisks[target]; ok {
			v.addf("Ramdisk mount point used by volume: %s", target)
		}
	}
}

// gracePeriod is rule 17.
func (v *validation) gracePeriod() {
	if v.job.GracePeriod == nil || *v.job.GracePeriod <= 0 {
		return
	}
	for _, p := range v.job.Ports {
		if p.ExternalPort != nil {
			v.add("Job has both grace period and static/external ports. External ports will prevent new containers from deploying during the gracePeriod because of port conflicts. Please choose one or the other.")
		}
	}
}

// endpoints are the keys of the registration in ascending order.
func (j *Job) endpoints() []Endpoint {
	return sortedKeys(j.Registration, func(a, b Endpoint) int {
		return document.Ascending(a.String(), b.String())
	})
}

// ascending are the keys of m in ascending order.
func ascending[V any](m map[string]V) []string { return sortedKeys(m, document.Ascending) }

func sortedKeys[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	if len(m) == 0 {
		return nil
	}
	keys := make([]K, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, compare)
	return keys
}
