package job_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

const (
	badHostname = "Invalid hostname (%), only [a-z0-9][a-z0-9-] are allowed, size between 1 and 63"
	badMode     = "A Docker container's network mode must be bridge, host, or container:<name|id>."
	bothPorts   = "Job has both grace period and static/external ports. External ports will prevent new containers from deploying during the gracePeriod because of port conflicts. Please choose one or the other."
)

// examples are those of §13.1 that the recorded vectors do not have. A "%" in a
// message is the argument.
var examples = []struct {
	name, members string
	want          []string
}{
	{"an empty hostname", `"hostname":""`, nil},
	{"a hostname of 63 characters", `"hostname":"` + strings.Repeat("a", 63) + `"`, nil},
	{"a hostname of 64 characters", `"hostname":"` + strings.Repeat("a", 64) + `"`, []string{strings.Replace(badHostname, "%", strings.Repeat("a", 64), 1)}},
	{"a hostname that begins with a dash", `"hostname":"-a"`, []string{strings.Replace(badHostname, "%", "-a", 1)}},
	{"a hostname in capitals", `"hostname":"D34DB33F"`, []string{strings.Replace(badHostname, "%", "D34DB33F", 1)}},
	{"one external port twice", `"ports":{"1":{"internalPort":1,"externalPort":1},"2":{"internalPort":2,"externalPort":1}}`, []string{"Duplicate external port mapping: tcp:1"}},
	{"one external port with two protocols", `"ports":{"1":{"internalPort":1,"externalPort":1},"2":{"internalPort":1,"externalPort":1,"protocol":"udp"}}`, nil},
	{"an external port 0 beside one that the agent picks", `"ports":{"x":{"internalPort":1,"externalPort":0},"y":{"internalPort":2},"a":{"internalPort":3}}`, nil},
	{
		"a port with everything wrong", `"ports":{"p q":{"internalPort":-1,"externalPort":65536,"protocol":"TCP"}}`,
		[]string{"Invalid port mapping protocol: TCP", "Invalid internal port: -1", "Invalid external port: 65536", "Invalid port mapping endpoint name: p q"},
	},
	{"a registration without ports", `"registration":{"volumes":{"/some/path:ro":"/another/path"}}`, []string{"registration for 'volumes' is malformed: does not have a port mapping"}},
	{"a registration of a missing port", `"registration":{"b.d/tcp":{"ports":{"x":{}}}}`, []string{"Service registration refers to missing port mapping: b.d/tcp=x", "Invalid service registration name: b.d"}},
	{"a registration of no port", `"registration":{"b.d/tcp":{"ports":{}}}`, nil},
	{"good volumes", `"volumes":{"/a":"bar","/b":"","/c":"/","/d:ro":"/","/e":"/bar","/f:zz":"/bar"}`, nil},
	{"the root as a volume", `"volumes":{"/":"","/:ro":""}`, []string{"Invalid volume path: /", "Invalid volume path: /:ro"}},
	{"volumes with colons", `"volumes":{"/foo:":"/bar","/a:b:c":"","/a::":""}`, []string{"Invalid volume path: /a::", "Invalid volume path: /a:b:c", "Invalid volume path: /foo:"}},
	{"relative volumes", `"volumes":{"foo":"a/b","":"","/foo":"bar/baz"}`, []string{"Volume path is not absolute: ", "Volume source is not absolute: bar/baz", "Volume path is not absolute: foo"}},
	{"a relative ramdisk", `"ramdisks":{"relative-path":""}`, []string{"Ramdisk mount point is not absolute: relative-path"}},
	{
		"ramdisks on volumes", `"ramdisks":{"/herp":"","/a":"","/derp":""},"volumes":{"/herp":"","/a:ro":"","/derp:rw":""}`,
		[]string{"Ramdisk mount point used by volume: /a", "Ramdisk mount point used by volume: /derp", "Ramdisk mount point used by volume: /herp"},
	},
	{"a health check of a missing port", `"healthCheck":{"type":"http","path":"/","port":"1"},"ports":{"b":80,"a":81}`, []string{"Health check port '1' not defined in the job. Known ports are 'a, b'"}},
	{"a health check without port", `"healthCheck":{"type":"tcp"}`, []string{"A port must be defined for HTTP and TCP health checks."}},
	{"a health check without command", `"healthCheck":{"type":"exec","command":[]}`, []string{"A command must be defined for `docker exec`-based health checks."}},
	{"good network modes", `"networkMode":"container:"`, nil},
	{"a bad network mode", `"networkMode":"chocolate"`, []string{badMode}},
	{"an empty network mode", `"networkMode":""`, []string{badMode}},
	{"a grace period with an external port", `"gracePeriod":500,"ports":{"a":{"externalPort":1,"internalPort":1},"b":{"externalPort":2,"internalPort":1}}`, []string{bothPorts}},
	{"no grace period with an external port", `"gracePeriod":0,"ports":{"a":{"externalPort":1,"internalPort":1}}`, nil},
	{"a negative grace period with an external port", `"gracePeriod":-1,"ports":{"a":{"externalPort":1,"internalPort":1}}`, nil},
	{"an expiry", `"expires":"1970-01-01"`, []string{"Job expires in the past - Thu Jan 01 00:00:00 UTC 1970 is before Sun Jun 01 12:00:00 UTC 2014"}},
	{"no image", `"image":null`, []string{"Image was not specified."}},
	{"no id", `"id":null`, []string{"Job id was not specified."}},
	{"a bad name and version", `"id":"foo@bar:17&bar"`, []string{"Job name may only contain [0-9a-zA-Z-_.] in job name [foo@bar].", "Job version may only contain [0-9a-zA-Z-_.] in job version [17&bar]."}},
	{
		"null wherever it can be",
		`"command":[null],"securityOpt":["a",null],"env":{"A":null},"labels":{"l":null,"k":null},"metadata":{"m":null},"ramdisks":{"/r":null},"volumes":{"/v":null},` +
			`"ports":{"p":null},"registration":{"s":null},"addCapabilities":[null],"dropCapabilities":[null]`,
		[]string{
			"Null is not allowed in command.",
			"Null is not allowed in securityOpt.",
			"Null is not allowed in addCapabilities.",
			"Null is not allowed in dropCapabilities.",
			"Null is not allowed as the value of 'A' in env.",
			"Null is not allowed as the value of '/v' in volumes.",
			"Null is not allowed as the value of 'm' in metadata.",
			"Null is not allowed as the value of 'k' in labels.",
			"Null is not allowed as the value of 'l' in labels.",
			"Null is not allowed as the value of '/r' in ramdisks.",
			"Null is not allowed as the value of 'p' in ports.",
			"Null is not allowed as the value of 's/http' in registration.",
		},
	},
	{"null in the command of a health check", `"healthCheck":{"type":"exec","command":[null]}`, []string{"Null is not allowed in the command of healthCheck."}},
	{"null among tags", `"ports":{"p":80},"registration":{"s":{"ports":{"p":{"tags":[null]}}}}`, []string{"Null is not allowed in the tags of 's/http=p'."}},
	{"null parameters of a registered port", `"ports":{"p":80},"registration":{"s":{"ports":{"p":null}}}`, nil},
}

func TestValidationGivesTheMessagesOfSection13InOrder(t *testing.T) {
	checks := job.Checks{Capabilities: true, Now: time.Date(2014, 6, 1, 12, 0, 0, 0, time.UTC)}
	for _, test := range examples {
		t.Run(test.name, func(t *testing.T) {
			j := read(t, `{"id":"foo:1","image":"foobar",`+test.members+`}`)
			if diff := cmp.Diff(test.want, j.Validate(checks)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			document.Canonical(j.JSON())
			j.ComputedID()
		})
	}
}

func TestTheHashOfAnIDIsCheckedOnlyOnDemand(t *testing.T) {
	for _, test := range []struct {
		id   job.ID
		want []string
	}{
		{job.ID{Version: "1"}, []string{"Job name was not specified.", "Job hash was not specified in job id [null:1]."}},
		{job.ID{Name: "foo"}, []string{"Job version was not specified in job id [foo:null].", "Job hash was not specified in job id [foo:null]."}},
		{job.ID{Name: "a", Version: "b", Hash: "c"}, []string{"Id hash mismatch: c != a5fa3852fa623a47da4b916bcb48a53ad77de4e1"}},
	} {
		j := job.Job{ID: test.id, Image: new("a")}
		if diff := cmp.Diff(test.want, j.Validate(job.Checks{Hash: true})); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.id, diff)
		}
		for _, message := range j.Validate(job.Checks{}) {
			if strings.Contains(message, "hash") {
				t.Errorf("%v without the check: %s", test.id, message)
			}
		}
	}
}

func TestCapabilitiesMustBeInTheWhitelist(t *testing.T) {
	j := read(t, `{"id":"foo:1","image":"foobar","addCapabilities":["cap2","cap1"],"dropCapabilities":["cap3"]}`)
	for _, test := range []struct{ whitelist, want []string }{
		{nil, []string{"The following Linux capabilities aren't allowed by the Helios master: 'cap1, cap2'. The allowed capabilities are: ''."}},
		{[]string{"cap1"}, []string{"The following Linux capabilities aren't allowed by the Helios master: 'cap2'. The allowed capabilities are: 'cap1'."}},
		{[]string{"cap2", "cap1"}, nil},
	} {
		if diff := cmp.Diff(test.want, j.Validate(job.Checks{Capabilities: true, Whitelist: test.whitelist})); diff != "" {
			t.Errorf("whitelist %s (-want +got):\n%s", test.whitelist, diff)
		}
	}
	if messages := j.Validate(job.Checks{}); len(messages) > 0 {
		t.Errorf("without the check: %s", messages)
	}
}

func TestHealthChecksAreConstructedWithAllTheyNeed(t *testing.T) {
	for _, test := range []struct {
		check func() (*job.HealthCheck, error)
		want  string // the document, or the error
	}{
		{func() (*job.HealthCheck, error) { return job.NewExecCheck([]string{"touch", "/this"}) }, `{"type":"exec","command":["touch","/this"]}`},
		{func() (*job.HealthCheck, error) { return job.NewExecCheck(nil) }, "You must specify a command for an exec health check."},
		{func() (*job.HealthCheck, error) { return job.NewHTTPCheck("/hello", "p") }, `{"type":"http","path":"/hello","port":"p"}`},
		{func() (*job.HealthCheck, error) { return job.NewHTTPCheck("", "") }, "You must specify a URL path for an HTTP health check."},
		{func() (*job.HealthCheck, error) { return job.NewHTTPCheck("hello", "") }, "The path for an HTTP health check must begin with '/'."},
		{func() (*job.HealthCheck, error) { return job.NewHTTPCheck("/hello", "") }, "You must specify a port for an HTTP health check."},
		{func() (*job.HealthCheck, error) { return job.NewTCPCheck("p") }, `{"type":"tcp","port":"p"}`},
		{func() (*job.HealthCheck, error) { return job.NewTCPCheck("") }, "You must specify the name of a port you opened to the container for a TCP health check."},
	} {
		check, err := test.check()
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = string(document.Canonical(check.JSON()))
		}
		if got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}

func read(t *testing.T, text string) *job.Job {
	t.Helper()
	j, err := job.Read([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return j
}
