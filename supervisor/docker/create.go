package docker

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

// createBody translates one run of a job into the container to create (testdata/spec/4-agent.md §5). It is pure. What a
// job says that no container can have is an error.
func createBody(spec supervisor.Spec, host Options) (client.ContainerCreateOptions, error) {
	j := spec.Job
	exposed, bindings, err := portMaps(j.Ports, spec.Ports)
	if err != nil {
		return client.ContainerCreateOptions{}, err
	}
	anonymous, binds := volumes(j.Volumes)
	labels := maps.Clone(j.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, spec.Labels)
	config := &container.Config{
		Image:        text(j.Image),
		Cmd:          j.Command,
		Hostname:     text(j.Hostname),
		Env:          environment(spec.Env),
		ExposedPorts: exposed,
		Volumes:      anonymous,
		Labels:       labels,
	}
	hostConfig := &container.HostConfig{
		Binds:        append(binds, host.Binds...),
		PortBindings: bindings,
		DNS:          host.DNS,
		SecurityOpt:  j.SecurityOpt,
		Runtime:      text(j.Runtime),
		NetworkMode:  container.NetworkMode(text(j.NetworkMode)),
		Tmpfs:        j.Ramdisks,
		CapAdd:       j.AddCapabilities,
		CapDrop:      j.DropCapabilities,
		ExtraHosts:   host.ExtraHosts,
	}
	if r := j.Resources; r != nil {
		hostConfig.Memory, hostConfig.MemorySwap = number(r.Memory), number(r.MemorySwap)
		hostConfig.CPUShares, hostConfig.CpusetCpus = number(r.CPUShares), text(r.CPUSet)
	}
	if host.SyslogRedirectTo != "" {
		hostConfig.LogConfig = container.LogConfig{Type: "syslog", Config: map[string]string{
			"syslog-address": "udp://" + host.SyslogRedirectTo, "syslog-facility": "local0", "tag": j.ID.String(),
		}}
	}
	return client.ContainerCreateOptions{Name: spec.Name, Config: config, HostConfig: hostConfig}, nil
}

// portMaps publishes every port name of a job, also several on one port of the container (Q10).
func portMaps(mappings map[string]job.PortMapping, given map[string]int) (network.PortSet, network.PortMap, error) {
	exposed, bindings := network.PortSet{}, network.PortMap{}
	for _, name := range slices.Sorted(maps.Keys(mappings)) {
		m := mappings[name]
		external, ok := given[name]
		if !ok {
			return nil, nil, fmt.Errorf("port %q was given no host port", name)
		}
		if m.InternalPort < 0 || m.InternalPort > math.MaxUint16 || external < 0 || external > math.MaxUint16 {
			return nil, nil, fmt.Errorf("port %q: %d:%d is out of range", name, external, m.InternalPort)
		}
		internal, _ := network.PortFrom(uint16(m.InternalPort), network.IPProtocol(cmp.Or(m.Protocol, "tcp")))
		binding := network.PortBinding{HostPort: strconv.Itoa(external)}
		if m.IP != nil {
			ip, err := netip.ParseAddr(*m.IP)
			if err != nil {
				return nil, nil, fmt.Errorf("port %q: %w", name, err)
			}
			binding.HostIP = ip
		}
		exposed[internal] = struct{}{}
		bindings[internal] = append(bindings[internal], binding)
	}
	return exposed, bindings, nil
}

// volumes splits a job's volumes into anonymous ones, whose path takes no mode (Q11), and binds.
func volumes(volumes map[string]string) (map[string]struct{}, []string) {
	anonymous, binds := map[string]struct{}{}, []string{}
	for _, path := range slices.Sorted(maps.Keys(volumes)) {
		if source := volumes[path]; source != "" {
			binds = append(binds, source+":"+path)
			continue
		}
		path, _, _ = strings.Cut(path, ":")
		anonymous[path] = struct{}{}
	}
	return anonymous, binds
}

func environment(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for _, key := range slices.Sorted(maps.Keys(env)) {
		list = append(list, key+"="+env[key])
	}
	return list
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}
