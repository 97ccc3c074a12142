package roles_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestCommandCases are the cases of client commands: one after the other, since some see all jobs of the cluster. They
// share a solo.
func TestCommandCases(t *testing.T) {
	t.Parallel()
	docker := dockertest.New(t)
	shared := startSoloCluster(t, docker, nil).cluster
	image := shell(t, docker)
	for _, c := range []struct {
		name string
		test func(*commandCase)
	}{
		{"SYS-071 lists of jobs are narrowed by name and by being deployed", jobsAreListed},
		{"SYS-008 job lives its life by commands", jobLives},
		{"SYS-016 file and operands make a job together", fileAndOperands},
		{"SYS-018 invalid job is refused in JSON", invalidJob},
		{"SYS-019 unknown template is refused in JSON", unknownTemplate},
		{"SYS-020 ambiguous template is refused in JSON", ambiguousTemplate},
		{"SYS-021 environment of the command line wins over the file's", environmentWins},
		{"SYS-024 job file has all its values listed", fileIsListed},
		{"SYS-063 job with a wrong hash is refused", wrongHash},
		{"SYS-065 invalid host name is refused", invalidHostname},
		{"SYS-066 port with an address is accepted", portWithAddress},
		{"SYS-067 port with a bad address is refused by the client", portWithBadAddress},
		{"SYS-073 removing a job deletes its history", historyIsDeleted},
		{"SYS-075 watch --exact shows also the host that there is not", watchExact},
		{"SYS-076 watch shows the state on the host", watchAll},
		{"SYS-083 statuses are narrowed by job and host", statusesAreNarrowed},
		{"SYS-084 statuses of several jobs are asked for at once", statusesInBulk},
		{"SYS-086 container knows its port", portInEnvironment},
		{"SYS-092 quiet list of hosts is empty where none matches", func(c *commandCase) { c.prints("", "hosts", "-q", "framazama") }},
		{"SYS-094 quiet list of jobs is empty where none matches", func(c *commandCase) { c.prints("", "jobs", "-q", "framazama") }},
		{"SYS-095 status says that no job matches", func(c *commandCase) { c.says("matched no jobs", "status", "-j", "framazama") }},
		{"SYS-096 status says that no host matches", func(c *commandCase) {
			c.create(job.Job{Image: new(noImage)})
			c.says("There are no jobs deployed to hosts with the host pattern", "status", "--host", "framazama")
		}},
		{"SYS-104 job with a token obeys that token only", func(c *commandCase) { tokens(c, "sesame", "", "wrong") }},
		{"SYS-105 job without token refuses any", func(c *commandCase) { tokens(c, "", "wrong") }},
		{"SYS-109 version is told of client and master", versions},
		{"SYS-110 versions are told in JSON", versionsInJSON},
		{"SYS-111 version of a master that refuses says so", versionRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.test(&commandCase{cluster: shared.seenBy(t), t: t, docker: docker, image: image, dir: t.TempDir()})
		})
	}
}

// commandCase is what a case works with: the cluster, its one host, and an image with a shell.
type commandCase struct {
	*cluster
	t      *testing.T
	docker *dockertest.Daemon
	image  *string
	dir    string
}

// says wants a text in the output of a command.
func (c *commandCase) says(want string, args ...string) {
	c.t.Helper()
	if r := c.helios(args...); !strings.Contains(r.out, want) {
		c.t.Errorf("helios %v: %s, want %q", args, r, want)
	}
}

// prints wants a text to be the whole output of a command.
func (c *commandCase) prints(want string, args ...string) {
	c.t.Helper()
	if r := c.helios(args...); r.out != want {
		c.t.Errorf("helios %v: %s, want %q", args, r, want)
	}
}

// parsed is the JSON document that a command prints.
func (c *commandCase) parsed(args ...string) map[string]any {
	c.t.Helper()
	return parse(c.t, c.helios(args...).out)
}

// file writes a job file and returns its path.
func (c *commandCase) file(text string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, "job.json")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// deployed creates and deploys a job that idles, and waits until it runs. It is undeployed when the case ends.
func (c *commandCase) deployed(j job.Job) job.ID {
	c.t.Helper()
	j.Image, j.Command = c.image, idle
	id := c.create(j)
	c.deploy(id, c.docker.Host)
	c.awaitState(id, c.docker.Host, job.Running)
	c.t.Cleanup(func() { c.must("undeploy", "-a", "--yes", id.String()) })
	return id
}

func jobsAreListed(c *commandCase) {
	id := strings.TrimSpace(c.must("create", "-q", unique("job_")+":1", *c.image, "--", "sleep", "600"))
	if _, listed := c.parsed("jobs", "ob_", "--json")[id]; !listed {
		c.t.Errorf("%s is not listed by a part of its name", id)
	}
	for _, args := range [][]string{{"jobs", "FramAZaMaWonTF1nD", "--json"}, {"jobs", "-y", "--json"}} {
		if list := c.parsed(args...); len(list) != 0 {
			c.t.Errorf("helios %v: %v", args, list)
		}
	}
	c.must("deploy", id, c.docker.Host)
	if list := c.parsed("jobs", "-y", "--json"); len(list) != 1 || list[id] == nil {
		c.t.Errorf("deployed are %v", list)
	}
	c.must("undeploy", id, c.docker.Host)
}

func jobLives(c *commandCase) {
	name, h := unique("job"), c.docker.Host
	ref := name + ":17"
	spec := fmt.Sprintf(`{"id":%q,"image":%q,"command":["sh","-c","sleep 600"],"env":{"BAR":"f00d","FOO":"4711"},
		"ports":{"foo":{"internalPort":4711,"protocol":"tcp"},"bar":{"internalPort":5000,"externalPort":24711,"protocol":"tcp"}},
		"registration":{"foo-svc/foo-proto":{"ports":{"foo":{}}},"bar-svc/bar-proto":{"ports":{"bar":{}}}}}`, ref, *c.image)
	id := strings.TrimSpace(c.must("create", "-q", "-f", c.file(spec)))

	want := parse(c.t, spec)
	want["id"] = id
	contains(c.t, c.parsed("inspect", "--json", id), want)
	c.prints(id+"\n", "jobs", name, "-q")
	c.prints(id+"\n", "jobs", ref, "-q")
	c.prints("job pattern foozbarz matched no jobs\n", "jobs", "foozbarz")
	c.prints("", "jobs", "foozbarz", "-q")
	clone := strings.TrimSpace(c.must("create", "-q", "-t", id, name+":18"))
	want["id"] = clone
	contains(c.t, c.parsed("inspect", "--json", clone), want)
	want["id"] = id
	contains(c.t, c.parsed("status", "--job", id, "--json")[id].(map[string]any)["job"].(map[string]any), want)

	c.says("JOB_ALREADY_EXISTS", "create", "-f", c.file(spec))
	c.says("JOB_NOT_DEPLOYED", "stop", id, h)
	c.says(h+": done", "deploy", id, h)
	c.says("HOST_NOT_FOUND", "stop", id, "BOGUS_HOST")
	c.says("Unknown job", "stop", bogus, h)
	c.says(h+": done", "stop", id, h)
	c.says("HOST_NOT_FOUND", "undeploy", id, "BOGUS_HOST")
	c.says("Unknown job", "undeploy", bogus, h)
	c.says(h+": done", "undeploy", id, h)
}

// contains wants all members of want in a document, with their values.
func contains(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name, value := range want {
		inner, isObject := value.(map[string]any)
		switch has, _ := got[name].(map[string]any); {
		case isObject:
			contains(t, has, inner)
		case !reflect.DeepEqual(got[name], value):
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
}

func fileAndOperands(c *commandCase) {
	spec := `{"command":["sh","-c","true"],"env":{"BAD":"f00d"},"ports":{"foo":{"internalPort":4711,"externalPort":24712,"protocol":"tcp"}},
		"registration":{"foo-svc/foo-proto":{"ports":{"foo":{}}}},"registrationDomain":"example.net","volumes":{"/vol":"","/mnt:ro":"/etc"},
		"token":"foo-token","networkMode":"bridge","securityOpt":["label:user:dxia","apparmor:foo"]}`
	name := unique("job") + ":1"
	id := strings.TrimSpace(c.must("create", "-q", "--file", c.file(spec), name, *c.image))
	want := parse(c.t, spec)
	want["id"], want["image"] = id, *c.image
	contains(c.t, c.parsed("inspect", "--json", id), want)
	if !strings.HasPrefix(id, name+":") {
		c.t.Errorf("id %s", id)
	}
}

func invalidJob(c *commandCase) {
	name := unique("job") + ":1"
	answer := c.parsed("create", "--json", name, "DOES_NOT_LIKE_AT_ALL-CAPITALS")
	if id, _ := answer["id"].(string); answer["status"] != "INVALID_JOB_DEFINITION" || !strings.HasPrefix(id, name) {
		c.t.Errorf("%v", answer)
	}
}

func unknownTemplate(c *commandCase) {
	if answer := c.parsed("create", "--json", "--template", "non-existant-job", unique("job")+":1", *c.image); answer["status"] != "UNKNOWN_JOB" {
		c.t.Errorf("%v", answer)
	}
}

func ambiguousTemplate(c *commandCase) {
	name := unique("job") + ":v"
	c.must("create", name, *c.image)
	c.must("create", name+"1", *c.image)
	if answer := c.parsed("create", "--json", "--template", name, name, *c.image); answer["status"] != "AMBIGUOUS_JOB_REFERENCE" {
		c.t.Errorf("%v", answer)
	}
}

func environmentWins(c *commandCase) {
	spec := fmt.Sprintf(`{"id":"%s:1","image":%q,"command":["sh"],"env":{"BAD":"f00d","GOOD":"x"},"metadata":{"a":"b"}}`, unique("job"), *c.image)
	id := strings.TrimSpace(c.must("create", "-q", "-f", c.file(spec), "--env", "BAD=FOOD"))
	want := parse(c.t, spec)
	want["id"] = id
	want["env"] = map[string]any{"BAD": "FOOD", "GOOD": "x"}
	contains(c.t, c.parsed("inspect", "--json", id), want)
}

func fileIsListed(c *commandCase) {
	spec := fmt.Sprintf(`{"id":"%s:1","image":%q,"env":{"FOO":"4711","BAR":"deadbeef"},"registration":{"foo_service/foo_proto":{"ports":{"foo":{}}}},
		"ports":{"foo":{"internalPort":4711,"externalPort":24713,"protocol":"tcp"},"foo_udp":{"internalPort":4711,"externalPort":24713,"protocol":"udp"},
		"dyn":{"internalPort":5000,"protocol":"tcp"},"dyn_udp":{"internalPort":5000,"protocol":"udp"}}}`, unique("job"), *c.image)
	id := strings.TrimSpace(c.must("create", "-q", "-f", c.file(spec)))
	want := parse(c.t, spec)
	want["id"] = id
	got, _ := c.parsed("jobs", id, "--json")[id].(map[string]any)
	contains(c.t, got, want)
}

func wrongHash(c *commandCase) {
	answer, err := c.CreateJob(c.t.Context(), job.Job{ID: job.ID{Name: "bad", Version: "job", Hash: "deadbeef"}, Image: c.image})
	if answer.Status != httpapi.InvalidJobDefinition {
		c.t.Errorf("%v, %v", &answer, err)
	}
}

func invalidHostname(c *commandCase) {
	c.says("Invalid hostname ", "create", unique("job")+":1", *c.image, "--hostname", "$%^&")
}

func portWithAddress(c *commandCase) {
	id := strings.TrimSpace(c.must("create", "-q", unique("job")+":1", *c.image, "-p", "foo=127.0.0.1:80:24714"))
	ports, _ := c.parsed("inspect", "--json", id)["ports"].(map[string]any)
	contains(c.t, ports, map[string]any{"foo": map[string]any{"ip": "127.0.0.1", "internalPort": 80.0, "externalPort": 24714.0}})
}

func portWithBadAddress(c *commandCase) {
	spec := fmt.Sprintf(`{"id":"%s:1","image":%q,"ports":{"dns":{"ip":"foobar","internalPort":53,"externalPort":53,"protocol":"udp"}}}`, unique("job"), *c.image)
	nobody := "http://127.0.0.1:1" // that a master refuses it would not do
	if r := helios(c.t, nil, "create", "-f", c.file(spec), "-z", nobody); r.exit != 1 || !strings.Contains(r.err, "foobar is not a valid IP address.") {
		c.t.Error(r)
	}
}

func historyIsDeleted(c *commandCase) {
	conn := c.tree()
	defer conn.Close()
	id := c.create(job.Job{Image: c.image, Command: idle})
	exists := func() error {
		there, _, err := conn.Exists("/history/jobs/" + id.String())
		if err == nil && !there {
			err = fmt.Errorf("no history of %s", id)
		}
		return err
	}
	c.deploy(id, c.docker.Host)
	c.awaitState(id, c.docker.Host, job.Running)
	c.undeploy(id, c.docker.Host)
	c.awaitGone(id, c.docker.Host)
	storetest.Eventually(c.t, inTime, exists)
	if answer, err := c.RemoveJob(c.t.Context(), id, ""); answer.Status != httpapi.OK {
		c.t.Errorf("%v, %v", &answer, err)
	}
	storetest.Eventually(c.t, inTime, func() error {
		if exists() == nil {
			return fmt.Errorf("/history/jobs/%s is still there", id)
		}
		return nil
	})
}

// watched runs watch until its output has a match for each pattern, interrupts it, and wants it to say what goes on.
func (c *commandCase) watched(args []string, patterns ...string) {
	c.t.Helper()
	p := start(c.t, nil, append([]string{"watch", "-z", c.api}, args...)...)
	for _, pattern := range patterns {
		awaitMatch(c.t, p.out, pattern)
	}
	p.signal(syscall.SIGINT)
	if exit := p.end(); exit != 130 || !strings.Contains(p.log(), "the jobs go on in the cluster") {
		c.t.Errorf("watch ended with %d and said %q", exit, p.log())
	}
}

func watchExact(c *commandCase) {
	id := c.deployed(job.Job{})
	c.watched([]string{"--exact", id.String(), c.docker.Host, "FAKE_TEST_AGENT"},
		`\n\S+ +`+regexp.QuoteMeta(c.docker.Host)+` +(RUNNING|STARTING|CREATING|PULLING_IMAGE) +NO\n`,
		`\n\S+ +FAKE_TEST_AGENT +UNKNOWN +UNKNOWN\n`)
}

func watchAll(c *commandCase) {
	id := c.deployed(job.Job{})
	c.watched([]string{id.String()}, `\n\S+ +`+regexp.QuoteMeta(c.docker.Host)+` +(RUNNING|STARTING|CREATING|PULLING_IMAGE) +NO\n`)
}

func statusesAreNarrowed(c *commandCase) {
	other := dockertest.New(c.t)
	startAgent(c.cluster, other, nil)
	c.await(other.Host, host.Up)
	a, b := c.docker.Host, other.Host
	wanted := strings.TrimSpace(c.must("create", "-q", "I_WANT_THIS_ONE"+unique("")+":1", *c.image, "--", "sleep", "600"))
	another := strings.TrimSpace(c.must("create", "-q", unique("another")+":1", *c.image, "--", "sleep", "600"))
	c.must("deploy", wanted, a, b)
	c.must("deploy", another, a)
	storetest.Eventually(c.t, inTime, func() error {
		found := c.parsed("status", "--job", "I_WANT_THIS_ONE", "--host", a, "--json")
		status, _ := found[wanted].(map[string]any)
		deployments, _ := status["deployments"].(map[string]any)
		tasks, _ := status["taskStatuses"].(map[string]any)
		only := func(m map[string]any) bool { return slices.Equal(slices.Collect(maps.Keys(m)), []string{a}) }
		if len(found) != 1 || !only(deployments) || !only(tasks) {
			return fmt.Errorf("%v", found)
		}
		return nil
	})
	for _, id := range []string{wanted, another} {
		c.must("undeploy", "-a", "--yes", id)
	}
}

func statusesInBulk(c *commandCase) {
	first, second := c.deployed(job.Job{}), c.deployed(job.Job{})
	statuses, err := c.JobStatuses(c.t.Context(), []job.ID{first, second})
	if err != nil || len(statuses) != 2 || statuses[first].TaskStatuses == nil || statuses[second].TaskStatuses == nil {
		c.t.Errorf("%v, %v", statuses, err)
	}
}

func portInEnvironment(c *commandCase) {
	port := lastingPort(c.t)
	id := c.create(job.Job{
		Image: c.image, Command: []string{"sh", "-c", "echo $HELIOS_PORT_bar; exec sleep 600"},
		Ports: map[string]job.PortMapping{"bar": {InternalPort: 4712, ExternalPort: &port, Protocol: "tcp"}},
	})
	c.deploy(id, c.docker.Host)
	container := *c.awaitState(id, c.docker.Host, job.Running).ContainerID
	storetest.Eventually(c.t, inTime, func() error {
		if log := c.docker.Logs(container); log != fmt.Sprintf("%s:%d\n", c.docker.Host, port) {
			return fmt.Errorf("log %q", log)
		}
		return nil
	})
	c.undeploy(id, c.docker.Host)
}

// tokens deploys, stops, undeploys and removes a job, each with all wrong tokens and then with the right one.
func tokens(c *commandCase, right string, wrong ...string) {
	args := []string{"create", "-q", unique("job") + ":1", *c.image}
	if right != "" {
		args = append(args, "--token", right)
	}
	id := strings.TrimSpace(c.must(append(args, "--", "sleep", "600")...))
	for _, step := range [][]string{{"deploy", id, c.docker.Host}, {"stop", id, c.docker.Host}, {"undeploy", id, c.docker.Host}, {"remove", "--yes", id}} {
		for _, token := range append(slices.Clone(wrong), right) {
			args := append([]string{}, step...)
			if token != "" {
				args = append(args, "--token", token)
			}
			want := "FORBIDDEN"
			if token == right {
				want = "OK"
			}
			if answer := c.parsed(append(args, "--json")...); answer["status"] != want {
				c.t.Errorf("helios %v: %v, want %s", args, answer, want)
			}
		}
	}
}

func versions(c *commandCase) {
	if text := c.must("version"); strings.Count(text, "0.10.0") != 2 {
		c.t.Error(text)
	}
}

func versionsInJSON(c *commandCase) {
	if got := c.parsed("version", "--json"); got["clientVersion"] != "0.10.0" || got["masterVersion"] != "0.10.0" {
		c.t.Errorf("%v", got)
	}
}

func versionRefused(c *commandCase) {
	got := parse(c.t, helios(c.t, nil, "version", "--json", "-z", c.api+"/badPath").out)
	if got["clientVersion"] != "0.10.0" || got["masterVersion"] != "Master replied with error code 404" {
		c.t.Errorf("%v", got)
	}
}

// TestClosedPipe wants a command to end well when nobody reads any more.
func TestClosedPipe(t *testing.T) {
	t.Parallel()
	master, _ := startMaster(t, storetest.Start(t))
	id := master.create(job.Job{Image: new(noImage)})
	c := command(t, nil, "watch", "-z", master.api, "--interval", "0", id.String())
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	out.Close()
	if err := c.Wait(); err != nil || errs.Len() > 0 {
		t.Errorf("%v: %s", err, errs.String())
	}
}
