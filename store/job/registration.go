package job

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/helios-go/helios/store/document"
)

// Endpoint is a service name and protocol under which ports are announced. §3.4.
type Endpoint struct {
	Service  string
	Protocol string
}

// ParseEndpoint reads service/protocol, or a service alone, whose protocol is
// then http (quirk 15).
func ParseEndpoint(text string) (Endpoint, error) {
	service, protocol, found := strings.Cut(text, "/")
	switch {
	case strings.Contains(protocol, "/"):
		return Endpoint{}, fmt.Errorf("invalid service endpoint: %s", text)
	case !found:
		protocol = "http"
	}
	return Endpoint{Service: service, Protocol: protocol}, nil
}

// String is service/protocol.
func (e Endpoint) String() string { return e.Service + "/" + e.Protocol }

var endpointKeys = document.Keys[Endpoint]{Parse: ParseEndpoint, Format: Endpoint.String}

// ServicePorts are the job's ports that an endpoint announces, by name. A nil
// map is null, which is not valid; nil parameters are valid and mean none.
type ServicePorts struct {
	Ports map[string]*ServicePortParameters

	null bool
}

// IsNull says whether null stood in the place of the ports; such a job is not
// valid.
func (s ServicePorts) IsNull() bool { return s.null }

// Equal compares what the two say.
func (s ServicePorts) Equal(other ServicePorts) bool {
	return s.null == other.null && (s.Ports == nil) == (other.Ports == nil) &&
		maps.EqualFunc(s.Ports, other.Ports, (*ServicePortParameters).Equal)
}

// ServicePortParameters are handed to the service registration.
type ServicePortParameters struct {
	Tags []string // nil, which is omitted, differs from empty
}

// Equal compares what the two say.
func (p *ServicePortParameters) Equal(other *ServicePortParameters) bool {
	if p == nil || other == nil {
		return p == other
	}
	return (p.Tags == nil) == (other.Tags == nil) && slices.Equal(p.Tags, other.Tags)
}

// JSON describes the document of §3.4.
func (s *ServicePorts) JSON() document.Value { return servicePortsValue{s} }

// JSON describes the document of §3.4.
func (p *ServicePortParameters) JSON() document.Value { return parametersDocuments.Of(p) }

var parametersDocuments = document.Describe(func(p *ServicePortParameters) document.Value {
	return document.Object(
		document.Member{Name: "tags", Value: document.NullableTexts(&p.Tags), OmitNull: true},
	)
})

type servicePortsValue struct{ s *ServicePorts }

func (v servicePortsValue) document() document.Value { return servicePortsDocuments.Of(v.s) }

var servicePortsDocuments = document.Describe(func(s *ServicePorts) document.Value {
	element := func(p **ServicePortParameters) document.Value {
		return document.Optional(p, (*ServicePortParameters).JSON)
	}
	return document.Object(
		document.Member{Name: "ports", Value: document.NullableMap(&s.Ports, document.TextKeys, element)},
	)
})

func (v servicePortsValue) ReadFrom(r *document.Reader) error {
	*v.s = ServicePorts{}
	if null, err := r.Null(); null {
		v.s.null = true
		return err
	}
	return v.document().ReadFrom(r)
}

func (v servicePortsValue) WriteTo(w *document.Writer) {
	if v.s.null {
		w.Null()
		return
	}
	v.document().WriteTo(w)
}

func (v servicePortsValue) Presence() document.Presence {
	if v.s.null {
		return document.Null
	}
	return document.Filled
}
