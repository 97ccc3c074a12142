package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"

	"github.com/helios-go/helios/store/job"
)

// ErrNoPort says that a job's ports cannot all be had on this host at the moment.
var ErrNoPort = errors.New("no port available")

// HostPort is a port of the host. TCP and UDP ports of one number are two ports.
type HostPort struct {
	Protocol string
	Number   int
}

// hostPort gives a mapping its port of the host. A mapping that was not read may lack its protocol.
func hostPort(m job.PortMapping, number int) HostPort {
	return HostPort{cmp.Or(m.Protocol, "tcp"), number}
}

// String returns the port as Docker writes it: "53/udp".
func (p HostPort) String() string { return strconv.Itoa(p.Number) + "/" + p.Protocol }

// PublishedPort is a port of a container that is a port of the host, too.
type PublishedPort struct {
	Protocol        string
	Container, Host int
}

// BoundPorts tells which port of the host each port name of a job has in a container of it that publishes these; false if
// they do not say it of all. Names that share a port of the container are taken in their order.
func BoundPorts(mappings map[string]job.PortMapping, published []PublishedPort) (map[string]int, bool) {
	bound := make(map[string]int, len(mappings))
	left := slices.Clone(published)
	for _, name := range slices.Sorted(maps.Keys(mappings)) {
		internal := hostPort(mappings[name], int(mappings[name].InternalPort))
		i := slices.IndexFunc(left, func(p PublishedPort) bool {
			return p.Protocol == internal.Protocol && p.Container == internal.Number && p.Host > 0
		})
		if i < 0 {
			return nil, false
		}
		bound[name] = left[i].Host
		left = slices.Delete(left, i, i+1)
	}
	return bound, true
}

// HeldPorts is the set of host ports that the executions of an agent hold.
type HeldPorts map[HostPort]bool

// Hold adds the ports of one execution: those given to the port names of its job.
func (h HeldPorts) Hold(mappings map[string]job.PortMapping, ports map[string]int) {
	for name, number := range ports {
		h[hostPort(mappings[name], number)] = true
	}
}

// Release takes the ports of one execution out.
func (h HeldPorts) Release(mappings map[string]job.PortMapping, ports map[string]int) {
	for name, number := range ports {
		delete(h, hostPort(mappings[name], number))
	}
}

// Holds tells whether a port of an execution is in the set.
func (h HeldPorts) Holds(mappings map[string]job.PortMapping, ports map[string]int) bool {
	for name, number := range ports {
		if h[hostPort(mappings[name], number)] {
			return true
		}
	}
	return false
}

// Ports hands out the host ports of an agent (testdata/spec/4-agent.md §2.6). It goes round through its range in an
// order shuffled once, so that a port that was freed is not used again soon. It is for one goroutine.
type Ports struct {
	order      []int
	next       int
	first, end int
	free       func(HostPort) bool
}

// NewPorts makes the allocator of the ports first to end-1. free tells whether a port can be opened on the host; it is
// asked only for ports that are not held. [Free] asks the system.
func NewPorts(first, end int, free func(HostPort) bool) (*Ports, error) {
	if first < 1 || end > 65536 || first >= end {
		//lint:ignore ST1005 the words of the original
		return nil, fmt.Errorf("Bad port range: %d:%d", first, end)
	}
	order := make([]int, 0, end-first)
	for port := first; port < end; port++ {
		order = append(order, port)
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return &Ports{order: order, first: first, end: end, free: free}, nil
}

// Allocate gives every port name of a job its host port: the job's own where it names one, else the next free one of
// the range that is neither held nor named by the job itself. Static ports are not probed and may lie outside the
// range; two names may share one. The error wraps ErrNoPort and names the ports that cannot be had.
func (p *Ports) Allocate(mappings map[string]job.PortMapping, held HeldPorts) (map[string]int, error) {
	given := make(map[string]int, len(mappings))
	taken := maps.Clone(held)
	if taken == nil {
		taken = HeldPorts{}
	}
	var errs []error
	names := slices.Sorted(maps.Keys(mappings))
	for _, name := range names {
		m := mappings[name]
		if m.ExternalPort == nil {
			continue
		}
		port := hostPort(m, int(*m.ExternalPort))
		if held[port] {
			errs = append(errs, fmt.Errorf("%w: port %s of %q is held by another job", ErrNoPort, port, name))
		}
		given[name], taken[port] = port.Number, true
	}
	for _, name := range names {
		m := mappings[name]
		if m.ExternalPort != nil {
			continue
		}
		port, ok := p.draw(hostPort(m, 0).Protocol, taken)
		if !ok {
			errs = append(errs, fmt.Errorf("%w: no free %s port for %q in %d:%d", ErrNoPort, port.Protocol, name, p.first, p.end))
			continue
		}
		given[name], taken[port] = port.Number, true
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return given, nil
}

// draw walks at most once round the range.
func (p *Ports) draw(protocol string, taken HeldPorts) (HostPort, bool) {
	for range p.order {
		port := HostPort{protocol, p.order[p.next]}
		p.next = (p.next + 1) % len(p.order)
		if !taken[port] && p.free(port) {
			return port, true
		}
	}
	return HostPort{Protocol: protocol}, false
}

// Free tells whether a port of the host can be opened on all addresses: it opens and closes it.
func Free(port HostPort) bool {
	address := ":" + strconv.Itoa(port.Number)
	if port.Protocol == "udp" {
		conn, err := net.ListenPacket("udp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
