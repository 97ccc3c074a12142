package docker

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/types/container"

	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
)

// recording is one file of testdata/golden/containers.
type recording struct {
	Agent struct {
		ID, Name string
		Options  []string
	}
	Job    json.RawMessage
	Create struct {
		Path string
		Body map[string]any
	}
	TaskStatus struct {
		Env   map[string]string
		Ports map[string]struct{ ExternalPort int }
	}
}

// options reads the agent's options of a recording.
func (r recording) options(t *testing.T) (host Options, env map[string]string) {
	t.Helper()
	env = map[string]string{}
	option := ""
	for _, word := range r.Agent.Options {
		if strings.HasPrefix(word, "--") {
			option = word
			continue
		}
		switch option {
		case "--env":
			key, value, _ := strings.Cut(word, "=")
			env[key] = value
		case "--dns":
			host.DNS = append(host.DNS, netip.MustParseAddr(word))
		case "--bind":
			host.Binds = append(host.Binds, word)
		case "--add-host":
			host.ExtraHosts = append(host.ExtraHosts, word)
		case "--syslog-redirect-to":
			host.SyslogRedirectTo = word
		case "--labels":
		default:
			t.Fatalf("option %s %s", option, word)
		}
	}
	return host, env
}

// TestJobsBecomeTheContainersOfTheOriginal compares what would be sent to Docker with what the original sent.
func TestJobsBecomeTheContainersOfTheOriginal(t *testing.T) {
	files, err := filepath.Glob("../../testdata/golden/containers/*.json")
	if err != nil || len(files) < 30 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var r recording
			if err := json.Unmarshal(text, &r); err != nil {
				t.Fatal(err)
			}
			j, err := job.Read(r.Job)
			if err != nil {
				t.Fatal(err)
			}
			ports := map[string]int{}
			for name, port := range r.TaskStatus.Ports {
				ports[name] = port.ExternalPort
			}
			host, agentEnv := r.options(t)
			env := supervisor.Env(agentEnv, r.Agent.Name, ports, j)
			if diff := cmp.Diff(r.TaskStatus.Env, env); diff != "" {
				t.Errorf("environment (-recorded +ours):\n%s", diff)
			}
			name, err := supervisor.Name(r.Agent.ID, j.ID)
			if err != nil {
				t.Fatal(err)
			}
			path, err := url.Parse(r.Create.Path)
			if err != nil {
				t.Fatal(err)
			}
			random := regexp.MustCompile(`_[0-9a-f]{1,8}$`)
			if got, want := random.ReplaceAllString(name, ""), random.ReplaceAllString(path.Query().Get("name"), ""); got != want {
				t.Errorf("name %s, want %s", got, want)
			}
			ref := supervisor.Ref{Job: j.ID, Host: r.Agent.Name, Agents: []string{r.Agent.ID}}
			body, err := createBody(supervisor.Spec{Name: name, Job: j, Ports: ports, Env: env, Labels: ref.Labels()}, host)
			if err != nil {
				t.Fatal(err)
			}
			if !ref.Matches(supervisor.Container{Name: path.Query().Get("name")}) {
				t.Errorf("the original's container %s is not recognised", path.Query().Get("name"))
			}
			got := plain(t, container.CreateRequest{Config: body.Config, HostConfig: body.HostConfig})
			labels := got["Labels"].(map[string]any)
			for key, value := range ref.Labels() {
				if labels[key] != value {
					t.Errorf("label %s is %v, want %s", key, labels[key], value)
				}
				delete(labels, key)
			}
			want := plain(t, r.Create.Body)
			if filepath.Base(file) == "08-port-two-names-one-internal.json" { // Q10
				bindings := want["HostConfig"].(map[string]any)["PortBindings"].(map[string]any)
				bindings["8080/tcp"] = []any{map[string]any{"HostPort": "30668"}, map[string]any{"HostPort": "30792"}}
			}
			if diff := cmp.Diff(prune(want), prune(got)); diff != "" {
				t.Errorf("create (-recorded +ours):\n%s", diff)
			}
		})
	}
}

// plain makes a plain value of a document.
func plain(t *testing.T, document any) map[string]any {
	t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// prune drops what says nothing, and the order of lists that have none.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for key, member := range v {
			if list, ok := member.([]any); ok && key != "Cmd" && key != "Dns" {
				slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
			member = prune(member)
			// That a path or port is there is a fact, though nothing is said of it.
			if member != nil || strings.Contains(key, "/") {
				kept[key] = member
			}
		}
		if len(kept) > 0 {
			return kept
		}
		return nil
	case []any:
		var kept []any
		for _, element := range v {
			if element = prune(element); element != nil {
				kept = append(kept, element)
			}
		}
		if len(kept) > 0 {
			return kept
		}
		return nil
	case nil:
		return nil
	default:
		if reflect.ValueOf(v).IsZero() {
			return nil
		}
		return v
	}
}

func TestWhatNoContainerCanHaveIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mapping job.PortMapping
		ports   map[string]int
	}{
		"a port of the container above 65535": {job.PortMapping{InternalPort: 70000, Protocol: "tcp"}, map[string]int{"p": 1}},
		"a negative port of the container":    {job.PortMapping{InternalPort: -1, Protocol: "tcp"}, map[string]int{"p": 1}},
		"a host port above 65535":             {job.PortMapping{InternalPort: 1, Protocol: "tcp"}, map[string]int{"p": 65536}},
		"a port that was given no host port":  {job.PortMapping{InternalPort: 1, Protocol: "tcp"}, nil},
		"an address that is none":             {job.PortMapping{IP: new("x"), InternalPort: 1, Protocol: "tcp"}, map[string]int{"p": 1}},
	} {
		j := &job.Job{Ports: map[string]job.PortMapping{"p": c.mapping}}
		if _, err := createBody(supervisor.Spec{Job: j, Ports: c.ports}, Options{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestAnonymousVolumesTakeNoMode(t *testing.T) {
	t.Parallel()
	j := &job.Job{Volumes: map[string]string{"/foo:ro": "", "/bar": "", "/cfg:ro": "/etc/app"}}
	body, err := createBody(supervisor.Spec{Job: j}, Options{Binds: []string{"/a:/b"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]struct{}{"/foo": {}, "/bar": {}}, body.Config.Volumes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/etc/app:/cfg:ro", "/a:/b"}, body.HostConfig.Binds); diff != "" {
		t.Error(diff)
	}
}
