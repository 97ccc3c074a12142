package job

import (
	"strings"

	"github.com/helios-go/helios/store/document"
)

// CheckType is how a health check asks the container.
type CheckType string

// The types of health checks. A HealthCheck always has one of them.
const (
	CheckExec CheckType = "exec" // a command in the container ends with status 0
	CheckHTTP CheckType = "http" // a path answers with a good status
	CheckTCP  CheckType = "tcp"  // a port accepts a connection
)

// HealthCheck is how the agent learns that a container has become healthy. §3.2.
type HealthCheck struct {
	Type    CheckType
	Command []string // of CheckExec; nil is null
	Path    *string  // of CheckHTTP
	Port    *string  // of CheckHTTP and CheckTCP: the name of a port of the job
}

// NewExecCheck is a check by a command. The errors of this and the other two
// functions are the texts of §3.2.
func NewExecCheck(command []string) (*HealthCheck, error) {
	if len(command) == 0 {
		return nil, recorded("You must specify a command for an exec health check.")
	}
	return &HealthCheck{Type: CheckExec, Command: command}, nil
}

// NewHTTPCheck is a check by a request of path on the port of that name.
func NewHTTPCheck(path, port string) (*HealthCheck, error) {
	switch {
	case path == "":
		return nil, recorded("You must specify a URL path for an HTTP health check.")
	case !strings.HasPrefix(path, "/"):
		return nil, recorded("The path for an HTTP health check must begin with '/'.")
	case port == "":
		return nil, recorded("You must specify a port for an HTTP health check.")
	}
	return &HealthCheck{Type: CheckHTTP, Path: &path, Port: &port}, nil
}

// NewTCPCheck is a check by connecting to the port of that name.
func NewTCPCheck(port string) (*HealthCheck, error) {
	if port == "" {
		return nil, recorded("You must specify the name of a port you opened to the container for a TCP health check.")
	}
	return &HealthCheck{Type: CheckTCP, Port: &port}, nil
}

// JSON describes the document of §3.2: the type first and once (quirk 1).
func (h *HealthCheck) JSON() document.Value { return healthCheckValue{h} }

type healthCheckValue struct{ h *HealthCheck }

func (v healthCheckValue) document() document.Value {
	checkType := document.Member{Name: "type", Value: document.Const(string(v.h.Type)), First: true}
	port := document.Member{Name: "port", Value: document.OptionalText(&v.h.Port)}
	switch v.h.Type {
	case CheckExec:
		return document.Object(checkType, document.Member{Name: "command", Value: document.NullableTexts(&v.h.Command)})
	case CheckHTTP:
		return document.Object(checkType, document.Member{Name: "path", Value: document.OptionalText(&v.h.Path)}, port)
	case CheckTCP:
		return document.Object(checkType, port)
	}
	return document.Object(checkType)
}

func (v healthCheckValue) ReadFrom(r *document.Reader) error {
	word, found, err := r.Lookup("type")
	switch checkType := CheckType(word); {
	case err != nil:
		return err
	case !found:
		return recorded("Missing type id when trying to resolve subtype of HealthCheck: missing type id property 'type' (for POJO property 'healthCheck')")
	case checkType != CheckExec && checkType != CheckHTTP && checkType != CheckTCP:
		return recorded("Could not resolve type id '" + word + "' as a subtype of HealthCheck: known type ids = [exec, http, tcp] (for POJO property 'healthCheck')")
	default:
		*v.h = HealthCheck{Type: checkType}
		return v.document().ReadFrom(r)
	}
}

func (v healthCheckValue) WriteTo(w *document.Writer)  { v.document().WriteTo(w) }
func (v healthCheckValue) Presence() document.Presence { return document.Filled }
