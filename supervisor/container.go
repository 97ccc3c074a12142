package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/helios-go/helios/store/job"
)

// The labels that say whose a container is (testdata/spec/4-agent.md Q51). Containers made by the Java agent have none.
const (
	LabelHost  = "helios.host"  // host name of the agent
	LabelAgent = "helios.agent" // agent id
	LabelJob   = "helios.job"   // full job id
)

// Ref says which container is meant when a task's container is looked for.
type Ref struct {
	Container string // id recorded for the task, empty if none
	Job       job.ID
	Host      string
	// Agents are the ids whose containers are this agent's: its own first, then those of agents whose host name it
	// took over.
	Agents []string
}

// Labels returns the labels of a new container of the task.
func (r Ref) Labels() map[string]string {
	return map[string]string{LabelHost: r.Host, LabelAgent: r.agent(), LabelJob: r.Job.String()}
}

func (r Ref) agent() string {
	if len(r.Agents) == 0 {
		return ""
	}
	return r.Agents[0]
}

// NamePrefixes returns what the names of the task's containers begin with, one prefix an agent id.
func (r Ref) NamePrefixes() []string {
	prefixes := make([]string, 0, len(r.Agents))
	for _, agent := range r.Agents {
		prefixes = append(prefixes, Namespace(agent)+nameSafe(r.Job.Display())+"_")
	}
	return prefixes
}

// Matches tells whether a container is one of the task's: by our labels where it has them, else by its name.
func (r Ref) Matches(c Container) bool {
	if agent, ok := c.Labels[LabelAgent]; ok {
		return c.Labels[LabelJob] == r.Job.String() && c.Labels[LabelHost] == r.Host && slices.Contains(r.Agents, agent)
	}
	return slices.ContainsFunc(r.NamePrefixes(), func(prefix string) bool {
		suffix, ok := strings.CutPrefix(c.Name, prefix)
		return ok && nameSuffix.MatchString(suffix)
	})
}

var (
	unsafeInName = regexp.MustCompile(`[^a-zA-Z0-9_-]`)
	validName    = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)
	nameSuffix   = regexp.MustCompile(`^[0-9a-f]{1,8}$`)
)

func nameSafe(s string) string { return unsafeInName.ReplaceAllString(s, "_") }

// Namespace returns what the names of all containers of an agent begin with.
func Namespace(agent string) string { return "helios-" + agent + "-" }

// Name makes the name of a new container: "helios-", the agent id, "-", the short job id with every character that
// names do not allow replaced by "_", "_" and a random number in hex (testdata/spec/4-agent.md §3.5).
func Name(agent string, id job.ID) (string, error) {
	name := Namespace(agent) + nameSafe(id.Display()) + "_" + strconv.FormatUint(uint64(rand.Uint32()), 16)
	if !validName.MatchString(name) {
		//lint:ignore ST1005 the words of the original
		return "", fmt.Errorf("Invalid container name: %q", name)
	}
	return name, nil
}

// Env returns the environment of a container: the agent's, then HELIOS_PORT_<name> = <host>:<port> for every port of
// the job, then the job's own, later ones winning (testdata/spec/4-agent.md §5.3).
func Env(agent map[string]string, host string, ports map[string]int, j *job.Job) map[string]string {
	env := make(map[string]string, len(agent)+len(ports)+len(j.Env))
	maps.Copy(env, agent)
	for name, port := range ports {
		env["HELIOS_PORT_"+name] = host + ":" + strconv.Itoa(port)
	}
	maps.Copy(env, j.Env)
	return env
}

// Strays returns the ids of the running containers that an agent must end: those in its namespace that nobody owns.
// A container with our labels is in the namespace of the agent that they name; others go by name.
func Strays(agent string, running []Container, owned func(Container) bool) []string {
	var strays []string
	for _, c := range running {
		if !c.Running || c.ID == "" || !strings.HasPrefix(c.Name, Namespace(agent)) {
			continue
		}
		if label, ok := c.Labels[LabelAgent]; ok && label != agent {
			continue
		}
		if !owned(c) {
			strays = append(strays, c.ID)
		}
	}
	return strays
}

// Reap ends the running containers in an agent's namespace that no task owns (testdata/spec/4-agent.md §7). It lists
// first and asks for the owners afterwards, so that a container started meanwhile is not taken for a stray: owned must
// look at the supervisors of the moment, see [Supervisor.Owns]. It returns the ids it ended; a kill that fails does not
// keep it from the others.
func Reap(ctx context.Context, engine Engine, agent string, owned func(Container) bool) ([]string, error) {
	running, err := engine.Running(ctx)
	if err != nil {
		return nil, fmt.Errorf("list running containers: %w", err)
	}
	var killed []string
	var errs []error
	for _, id := range Strays(agent, running, owned) {
		if err := engine.Kill(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("kill stray container %s: %w", id, err))
			continue
		}
		killed = append(killed, id)
	}
	return killed, errors.Join(errs...)
}
