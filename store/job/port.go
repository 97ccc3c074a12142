package job

import (
	"net/netip"

	"github.com/helios-go/helios/store/document"
)

// PortMapping publishes a port of the container on the host. §3.1.
type PortMapping struct {
	IP           *string // host address to publish on
	InternalPort int32
	ExternalPort *int32 // host port; nil means that the agent picks one
	Protocol     string // "tcp" or "udp"; reading fills in "tcp", composing does not

	null bool
}

// IsNull says whether null stood in the place of the mapping; such a job is not
// valid.
func (p PortMapping) IsNull() bool { return p.null }

// Equal compares what the mappings say.
func (p PortMapping) Equal(other PortMapping) bool {
	return same(p.IP, other.IP) && same(p.ExternalPort, other.ExternalPort) &&
		p.InternalPort == other.InternalPort && p.Protocol == other.Protocol && p.null == other.null
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// JSON describes the document of §3.1. A bare integer is read as the internal
// port.
func (p *PortMapping) JSON() document.Value { return portValue{p} }

type portValue struct{ p *PortMapping }

func (v portValue) document() document.Value { return portDocuments.Of(v.p) }

var portDocuments = document.Describe(func(p *PortMapping) document.Value {
	return document.Object(
		document.Member{Name: "ip", Value: ipValue{document.OptionalText(&p.IP), p}},
		document.Member{Name: "internalPort", Value: document.Int(&p.InternalPort)},
		document.Member{Name: "externalPort", Value: document.OptionalInt(&p.ExternalPort)},
		document.Member{Name: "protocol", Value: document.TextOr(&p.Protocol, "tcp")},
	)
})

func (v portValue) ReadFrom(r *document.Reader) error {
	*v.p = PortMapping{}
	if null, err := r.Null(); null {
		v.p.null = true
		return err
	}
	if r.Kind() != document.KindNumber {
		return v.document().ReadFrom(r)
	}
	v.p.Protocol = "tcp"
	return r.Integer(&v.p.InternalPort)
}

func (v portValue) WriteTo(w *document.Writer) {
	if v.p.null {
		w.Null()
		return
	}
	v.document().WriteTo(w)
}

func (v portValue) Presence() document.Presence {
	if v.p.null {
		return document.Null
	}
	return document.Filled
}

// ipValue is an address, checked when it is read.
type ipValue struct {
	document.Value
	p *PortMapping
}

func (v ipValue) ReadFrom(r *document.Reader) error {
	if err := v.Value.ReadFrom(r); err != nil || v.p.IP == nil {
		return err
	}
	if ip, err := netip.ParseAddr(*v.p.IP); err != nil || ip.Zone() != "" {
		return recorded(*v.p.IP + " is not a valid IP address.")
	}
	return nil
}
