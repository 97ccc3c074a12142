package cliui

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// overlay is what the command line says about the job to create: a partial job
// to be laid over the base, whose ports registrations may name
// (testdata/spec/5-cli.md §8.1, steps 3 to 17).
func (k *call) overlay(base *job.Job) (*job.Job, error) {
	flags := k.flags
	j := &job.Job{
		Command:            k.operands(2),
		RegistrationDomain: flags.String("registration-domain"),
		Token:              flags.String("token"),
		SecurityOpt:        flags.StringSlice("security-opt"),
		AddCapabilities:    flags.StringSlice("add-capability"),
		DropCapabilities:   flags.StringSlice("drop-capability"),
	}
	for _, text := range []struct {
		value  string
		member **string
	}{
		{k.operand(1), &j.Image},
		{flags.String("hostname"), &j.Hostname},
		{flags.String("network-mode"), &j.NetworkMode},
		{flags.String("runtime"), &j.Runtime},
	} {
		if text.value != "" {
			*text.member = new(text.value)
		}
	}
	if flags.IsSet("grace-period") {
		j.GracePeriod = new(int32(flags.Int64("grace-period"))) // Normalize has checked the range
	}
	var err error
	if flags.NArg() > 0 {
		if j.ID, err = job.ParseID(k.operand(0)); err != nil {
			return nil, originalf("Invalid Job id: %s", k.operand(0))
		}
	}
	if j.Env, err = keyValues("environment variable", flags.StringSlice("env")); err != nil {
		return nil, err
	}
	if j.Metadata, err = keyValues("metadata", flags.StringSlice("metadata")); err != nil {
		return nil, err
	}
	if j.Ports, err = parsePorts(flags.StringSlice("port")); err != nil {
		return nil, err
	}
	ports := j.Over(base).Ports
	if j.Registration, err = parseRegistrations(flags.StringSlice("register"), ports); err != nil {
		return nil, err
	}
	j.Volumes = parseVolumes(flags.StringSlice("volume"))
	if flags.IsSet("expires") {
		expires, err := parseExpiry(flags.String("expires"), k.opts.Location)
		if err != nil {
			return nil, err
		}
		j.Expires = &expires
	}
	if j.HealthCheck, err = k.healthCheck(); err != nil {
		return nil, err
	}
	if j.Labels, err = keyValues("labels", flags.StringSlice("labels")); err != nil {
		return nil, err
	}
	if j.RolloutOptions, err = parseRollout(flags.StringSlice("rollout-options")); err != nil {
		return nil, err
	}
	return j, nil
}

// keyValues splits KEY=VALUE words; what names them in a complaint.
func keyValues(what string, words []string) (map[string]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	m := make(map[string]string, len(words))
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, originalf("Bad format for %s: '%s', expecting =-delimited pairs", what, word)
		}
		m[key] = value
	}
	return m, nil
}

// portSyntax is name=[ip:]internal[:external][/protocol].
var portSyntax = regexp.MustCompile(`^([_\-\w]+)=(?:((?:[0-9]{1,3}\.){3}[0-9]{1,3}):)?(\d+)(?::(\d+))?(?:/(\w+))?$`)

func parsePorts(specs []string) (map[string]job.PortMapping, error) {
	ports := make(map[string]job.PortMapping, len(specs))
	for _, spec := range specs {
		m := portSyntax.FindStringSubmatch(spec)
		if m == nil {
			return nil, originalf("Bad port mapping: %s", spec)
		}
		p := job.PortMapping{Protocol: "tcp"}
		if m[2] != "" {
			if _, err := netip.ParseAddr(m[2]); err != nil {
				return nil, originalf("%s is not a valid IP address.", m[2])
			}
			p.IP = &m[2]
		}
		var err error
		if p.InternalPort, err = javaInt(m[3]); err != nil {
			return nil, err
		}
		if m[4] != "" {
			external, err := javaInt(m[4])
			if err != nil {
				return nil, err
			}
			p.ExternalPort = &external
		}
		if m[5] != "" {
			p.Protocol = m[5]
		}
		if _, taken := ports[m[1]]; taken {
			return nil, originalf("Duplicate port mapping name: %s", m[1])
		}
		ports[m[1]] = p
	}
	return ports, nil
}

// javaInt reads a number and complains as Java does.
func javaInt(text string) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, originalf("For input string: %q", text)
	}
	return int32(n), nil
}

// registrationSyntax is service[/protocol][=port name].
var registrationSyntax = regexp.MustCompile(`^([a-zA-Z][_\-\w]+)(?:/(\w+))?(?:=([_\-\w]+))?$`)

// parseRegistrations reads services to register; one that names no port means
// the job's only one.
func parseRegistrations(specs []string, ports map[string]job.PortMapping) (map[job.Endpoint]job.ServicePorts, error) {
	registrations := make(map[job.Endpoint]job.ServicePorts, len(specs))
	for _, spec := range specs {
		m := registrationSyntax.FindStringSubmatch(spec)
		if m == nil {
			return nil, originalf("Bad registration: %s", spec)
		}
		if len(ports) == 0 {
			return nil, originalf("Need port mappings for service registration.")
		}
		endpoint, port := job.Endpoint{Service: m[1], Protocol: m[2]}, m[3]
		if endpoint.Protocol == "" {
			endpoint.Protocol = "http"
		}
		if port == "" {
			if len(ports) != 1 {
				return nil, originalf("Need exactly one port mapping for implicit service registration")
			}
			port = slices.Collect(maps.Keys(ports))[0]
		}
		registrations[endpoint] = job.ServicePorts{Ports: map[string]*job.ServicePortParameters{port: {}}}
	}
	return registrations, nil
}

// parseVolumes reads PATH, a data volume, or SOURCE:PATH with a mode perhaps.
func parseVolumes(specs []string) map[string]string {
	volumes := make(map[string]string, len(specs))
	for _, spec := range specs {
		if source, path, ok := strings.Cut(spec, ":"); ok {
			volumes[path] = source
		} else {
			volumes[spec] = ""
		}
	}
	return volumes
}

// healthCheck reads the options of health checks, of which only one may say
// something.
func (k *call) healthCheck() (*job.HealthCheck, error) {
	var command []string
	if k.flags.IsSet("exec-check") {
		command = splitCommand(k.flags.String("exec-check"))
	}
	http, tcp := k.flags.String("http-check"), k.flags.String("tcp-check")
	given := 0
	for _, is := range []bool{len(command) > 0, http != "", tcp != ""} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, originalf("Only one health check may be specified.")
	case len(command) > 0:
		return job.NewExecCheck(command)
	case http != "":
		port, path, ok := strings.Cut(http, ":")
		if !ok {
			return nil, originalf("Invalid HTTP health check: %s", http)
		}
		return job.NewHTTPCheck(path, port)
	case tcp != "":
		return job.NewTCPCheck(tcp)
	default:
		return nil, nil
	}
}

// splitCommand splits at each blank and drops empty words at the end; nothing
// at all is one empty word.
func splitCommand(text string) []string {
	if text == "" {
		return []string{""}
	}
	words := strings.Split(text, " ")
	for len(words) > 0 && words[len(words)-1] == "" {
		words = words[:len(words)-1]
	}
	return words
}

// parseRollout reads options of rolling updates: as a document, so that values
// are read as those of a job file.
func parseRollout(words []string) (*job.RolloutOptions, error) {
	values, err := keyValues("rollout_options", words)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	var options job.RolloutOptions
	if err := document.Read(document.Canonical(document.TextMap(&values)), options.JSON()); err != nil {
		return nil, fmt.Errorf("rollout options: %w", err)
	}
	return &options, nil
}
