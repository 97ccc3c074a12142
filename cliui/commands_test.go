package cliui

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/cliui/clitest"
	"github.com/helios-go/helios/cliui/term"
)

// exchange is a request that a command must send next, and the answer to it.
type exchange struct {
	request string // METHOD PATH[?QUERY], decoded, without the user
	body    string // what must be sent; empty: not looked at
	answer  string // with a status in front unless it is 200: "404 {...}"
}

// scripted is a master that expects these exchanges and no others.
func scripted(t *testing.T, exchanges ...exchange) string {
	t.Helper()
	next := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		query := r.URL.Query()
		if query.Get("user") != "root" {
			t.Errorf("%s %s: no user", r.Method, r.RequestURI)
		}
		query.Del("user")
		got := r.Method + " " + r.URL.Path
		if len(query) > 0 {
			decoded := strings.NewReplacer("%2C", ",", "%28", "(", "%29", ")", "%3A", ":", "+", " ").Replace(query.Encode())
			got += "?" + decoded
		}
		if next == len(exchanges) {
			t.Errorf("unexpected: %s", got)
			w.WriteHeader(http.StatusTeapot)
			return
		}
		want := exchanges[next]
		next++
		if got != want.request || want.body != "" && string(body) != want.body {
			t.Errorf("request %d:\ngot  %s %s\nwant %s %s", next, got, body, want.request, want.body)
		}
		answer := want.answer
		if len(answer) > 4 && answer[0] == '4' && answer[3] == ' ' || strings.HasPrefix(answer, "500 ") {
			code := 0
			_, _ = fmt.Sscan(answer[:3], &code)
			w.WriteHeader(code)
			answer = answer[4:]
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(func() {
		server.Close()
		if next != len(exchanges) {
			t.Errorf("only %d of %d requests were sent", next, len(exchanges))
		}
	})
	return server.URL
}

const (
	testjob  = "testjob:1:4f7125bff35d3cecaac237da3ab17efca8a765f9"
	testjob2 = "testjob:2:aaaa25bff35d3cecaac237da3ab17efca8a765f9"
	fullJob  = `{"id":"` + testjob + `","image":"ubuntu:12.04","command":["/bin/sh","-c","while true; do date; sleep 60; done"],"created":1407760000000,"expires":"2030-01-02T03:04:05.000+0000","hostname":"myhost","env":{"ALPHA":"x","ZED":"a b"},"healthCheck":{"type":"http","path":"/ping","port":"http"},"gracePeriod":60,"secondsToWaitBeforeKill":10,"metadata":{"GIT_COMMIT":"abc def","foo":"bar"},"ports":{"dns":{"internalPort":53,"protocol":"udp"},"http":{"ip":"127.0.0.1","internalPort":80,"externalPort":8080,"protocol":"tcp"}},"registration":{"api/http":{"ports":{"http":{}}},"website/tcp":{"ports":{"dns":{},"http":{}}}},"securityOpt":["label:user:dxia","apparmor:foo"],"networkMode":"host","token":"tok","volumes":{"/data":"","/dst:ro":"/src","/z":"named"},"addCapabilities":["IPC_LOCK","SYSLOG"],"dropCapabilities":["KILL"],"runtime":"nvidia","rolloutOptions":{"parallelism":2,"overlap":true,"ignoreFailures":false}}`
	oneJob   = `{"` + testjob + `":{"id":"` + testjob + `","image":"ubuntu:12.04"}}`
	twoJobs  = `{"` + testjob + `":{"id":"` + testjob + `","image":"i","command":["/bin/sh","-c","while true; do date; sleep 60; done"],"env":{"FOO":"bar"}},"` + testjob2 + `":{"id":"` + testjob2 + `","image":"i","env":{"A":"1","B":"2"}}}`
	deployed = `{"goal":"START","jobId":"` + testjob + `"}`
)

func task(state, more string) string {
	return `{"job":{"id":"` + testjob + `","image":"i"},"state":"` + state + `","goal":"START"` + more + `}`
}

func TestCommands(t *testing.T) {
	find := exchange{request: "GET /jobs?q=testjob", answer: oneJob}
	statuses := exchange{request: "POST /jobs/statuses", answer: `{"` + testjob + `":{"job":null,"deployments":{"192.168.33.10":` + deployed + `,"host2.example.com":` + deployed + `},"taskStatuses":{}},"` + testjob2 + `":{"job":null,"deployments":{},"taskStatuses":{}}}`}
	for _, c := range []struct {
		name      string
		args      []string
		stdin     string
		exchanges []exchange
		want      clitest.Result
	}{
		{
			name: "create sends the job without its hash",
			args: []string{"create", "testjob:1", "ubuntu:12.04", "--", "sh", "-c", "a b"},
			exchanges: []exchange{{
				request: "POST /jobs/",
				body:    `{"addCapabilities":[],"command":["sh","-c","a b"],"created":null,"creatingUser":null,"dropCapabilities":[],"env":{},"expires":null,"gracePeriod":null,"healthCheck":null,"hostname":null,"id":"testjob:1","image":"ubuntu:12.04","labels":{},"metadata":{},"networkMode":null,"ports":{},"ramdisks":{},"registration":{},"registrationDomain":"","resources":null,"rolloutOptions":null,"runtime":null,"secondsToWaitBeforeKill":null,"securityOpt":[],"token":"","volumes":{}}`,
				answer:  `{"status":"OK","errors":[],"id":"` + testjob + `"}`,
			}},
			want: clitest.Result{Stdout: `Creating job: {"addCapabilities":[],"command":["sh","-c","a b"],"created":null,"creatingUser":null,"dropCapabilities":[],"env":{},"expires":null,"gracePeriod":null,"healthCheck":null,"hostname":null,"id":"testjob:1","image":"ubuntu:12.04","labels":{},"metadata":{},"networkMode":null,"ports":{},"ramdisks":{},"registration":{},"registrationDomain":"","resources":null,"rolloutOptions":null,"runtime":null,"secondsToWaitBeforeKill":null,"securityOpt":[],"token":"","volumes":{}}` + "\nDone.\n" + testjob + "\n"},
		},
		{
			name:      "create -q says why a job is refused, on stderr",
			args:      []string{"create", "-q", "a:1", "busybox"},
			exchanges: []exchange{{request: "POST /jobs/", answer: `400 {"status":"JOB_ALREADY_EXISTS","errors":[],"id":"a:1:x"}`}},
			want:      clitest.Result{Exit: 1, Stderr: "Failed: CreateJobResponse{status=JOB_ALREADY_EXISTS, errors=[], id='a:1:x'}\n"},
		},
		{
			name:      "create warns when a typed hash is not the job's",
			args:      []string{"create", "-q", "a:1:beef", "busybox"},
			exchanges: []exchange{{request: "POST /jobs/", answer: `{"status":"OK","errors":[],"id":"a:1:cafe"}`}},
			want:      clitest.Result{Stdout: "a:1:cafe\n", Stderr: "helios: warning: the hash beef was ignored: the job's id is a:1:cafe\n"},
		},
		{
			name:      "remove asks first",
			args:      []string{"remove", "testjob"},
			stdin:     "y\n",
			exchanges: []exchange{find, {request: "DELETE /jobs/" + testjob + "?token=", answer: `{"status":"OK"}`}},
			want: clitest.Result{Stdout: "This will remove the job " + testjob + "\nDo you want to continue? [y/N]\nRemoving job " + testjob + "\n" +
				testjob + ": done\n"},
		},
		{
			name:      "remove does nothing when declined",
			args:      []string{"remove", "testjob"},
			stdin:     "no\n",
			exchanges: []exchange{find},
			want:      clitest.Result{Exit: 1, Stdout: "This will remove the job " + testjob + "\nDo you want to continue? [y/N]\n"},
		},
		{
			name:      "remove does nothing without an answer",
			args:      []string{"remove", "testjob"},
			exchanges: []exchange{find},
			want: clitest.Result{
				Exit: 1, Stdout: "This will remove the job " + testjob + "\nDo you want to continue? [y/N]\n",
				Stderr: "no answer on standard input; nothing was done\n",
			},
		},
		{
			name:      "remove reports a refusal",
			args:      []string{"remove", "--yes", "testjob", "--token", "t&=+ %"},
			exchanges: []exchange{find, {request: "DELETE /jobs/" + testjob + "?token=t%26%3D%2B %25", answer: `400 {"status":"STILL_IN_USE"}`}},
			want: clitest.Result{Exit: 1, Stdout: "Removing job " + testjob + "\n" + testjob +
				": failed: JobDeleteResponse{status=STILL_IN_USE}\n"},
		},
		{
			name:      "remove --json prints the answer without line feed",
			args:      []string{"remove", "--yes", "--json", "testjob"},
			exchanges: []exchange{find, {request: "DELETE /jobs/" + testjob + "?token=", answer: `{"status":"OK"}`}},
			want:      clitest.Result{Stdout: `{"status":"OK"}`},
		},
		{
			name:      "inspect prints the original's lines and then its own",
			args:      []string{"inspect", "testjob"},
			exchanges: []exchange{{request: "GET /jobs?q=testjob", answer: `{"` + testjob + `":` + fullJob + `}`}},
			want: clitest.Result{Stdout: `Id: testjob:1:4f7125bff35d3cecaac237da3ab17efca8a765f9
Image: ubuntu:12.04
Created: Mon, 11 Aug 2014 12:26:40 +0000
Expires: Wed, 2 Jan 2030 03:04:05 +0000
Hostname: myhost
Command: [/bin/sh, -c, "while true; do date; sleep 60; done"]
Env:   ALPHA=x
       ZED="a b"
Health check: type: http, port: http, path: /ping
Grace period (seconds): 60
Time to wait before kill (seconds): 10
Metadata: GIT_COMMIT="abc def"
          foo=bar
Ports: dns=:53/udp
       http=127.0.0.1:80:8080/tcp
Reg: api/http=http
     website/tcp=dns, http
Security options: [label:user:dxia, apparmor:foo]
Network mode: host
Token: tok
Volumes: :/data
         /src:/dst:ro
         named:/z
Add capabilities: IPC_LOCK, SYSLOG
Drop capabilities: KILL
Runtime: nvidia
Rollout options (null options will fallback to defaults at rolling-update time): timeout: null, parallelism: 2, migrate: null, overlap: true, token: null, ignoreFailures: false
Creating user: null
Labels: ` + `
Ramdisks: ` + `
Resources: ` + `
Registration domain: ` + `
`},
		},
		{
			name: "inspect of an empty job says null and never",
			args: []string{"inspect", "testjob"},
			exchanges: []exchange{{request: "GET /jobs?q=testjob", answer: `{"` + testjob + `":{"id":"` + testjob +
				`","image":"ubuntu:12.04","labels":{"a":"b","c":"d e"},"ramdisks":{"/r":"rw"},"resources":{"memory":5},"registrationDomain":"dom","creatingUser":"joe"}}`}},
			want: clitest.Result{Stdout: strings.ReplaceAll(`Id: testjob:1:4f7125bff35d3cecaac237da3ab17efca8a765f9
Image: ubuntu:12.04
Created: ¶
Expires: never
Hostname: null
Command: []
Env:   ¶
Health check: ¶
Grace period (seconds): null
Time to wait before kill (seconds): null
Metadata: ¶
Ports: ¶
Reg: ¶
Security options: []
Network mode: null
Token: ¶
Volumes: ¶
Add capabilities: ¶
Drop capabilities: ¶
Runtime: null
Rollout options (null options will fallback to defaults at rolling-update time): ¶
Creating user: joe
Labels: a=b
        c="d e"
Ramdisks: /r=rw
Resources: memory: 5, memorySwap: null, cpuShares: null, cpuset: null
Registration domain: dom
`, "¶", "")},
		},
		{
			name: "deploy completes names and goes on after a refusal",
			args: []string{"deploy", "testjob", "192.168.33.10", "host2", "nope"},
			exchanges: []exchange{
				find,
				{request: "GET /hosts/", answer: `["192.168.33.10","host2.example.com"]`},
				{request: "PUT /hosts/192.168.33.10/jobs/" + testjob + "?token=", body: `{"deployerUser":null,"goal":"START","jobId":"` + testjob + `"}`, answer: `{"status":"OK","job":"` + testjob + `","host":"192.168.33.10"}`},
				{request: "PUT /hosts/host2.example.com/jobs/" + testjob + "?token=", answer: `400 {"status":"JOB_ALREADY_DEPLOYED","job":"` + testjob + `","host":"host2.example.com"}`},
				{request: "PUT /hosts/nope/jobs/" + testjob + "?token=", answer: `400 {"status":"HOST_NOT_FOUND","job":"` + testjob + `","host":"nope"}`},
			},
			want: clitest.Result{Exit: 1, Stdout: "Deploying Deployment{jobId=" + testjob + ", goal=START, deployerUser='null', deployerMaster='null', deploymentGroupName='null'} on [192.168.33.10, host2, nope]\n" +
				"192.168.33.10: done\n" +
				"host2.example.com: failed: JobDeployResponse{status=JOB_ALREADY_DEPLOYED, job=" + testjob + ", host='host2.example.com'}\n" +
				"nope: failed: JobDeployResponse{status=HOST_NOT_FOUND, job=" + testjob + ", host='nope'}\n"},
		},
		{
			name: "deploy --json to several hosts ends with a line feed",
			args: []string{"deploy", "--json", "--no-start", "testjob", "h1", "h2"},
			exchanges: []exchange{
				find,
				{request: "GET /hosts/", answer: `["h1"]`},
				{request: "PUT /hosts/h1/jobs/" + testjob + "?token=", body: `{"deployerUser":null,"goal":"STOP","jobId":"` + testjob + `"}`, answer: `{"status":"OK","job":"` + testjob + `","host":"h1"}`},
				{request: "PUT /hosts/h2/jobs/" + testjob + "?token=", answer: `400 {"status":"HOST_NOT_FOUND","job":"` + testjob + `","host":"h2"}`},
			},
			want: clitest.Result{Exit: 1, Stdout: `{"host":"h1","job":"` + testjob + `","status":"OK"}{"host":"h2","job":"` + testjob + `","status":"HOST_NOT_FOUND"}` + "\n"},
		},
		{
			name: "deploy stops at a failure of the master",
			args: []string{"deploy", "testjob", "h1", "h2"},
			exchanges: []exchange{
				find,
				{request: "GET /hosts/", answer: `["h1"]`},
				{request: "PUT /hosts/h1/jobs/" + testjob + "?token=", answer: `500 {"message":"broken"}`},
			},
			want: clitest.Result{Exit: 1, Stdout: "Deploying Deployment{jobId=" + testjob + ", goal=START, deployerUser='null', deployerMaster='null', deploymentGroupName='null'} on [h1, h2]\n", Stderr: "request failed: "},
		},
		{
			name: "undeploy -a takes the hosts from the master and asks",
			args: []string{"undeploy", "-a", "testjob", "ignored"}, stdin: "yes\n",
			exchanges: []exchange{
				find,
				{request: "GET /jobs/" + testjob + "/status", answer: `{"job":null,"deployments":{"host2.example.com":` + deployed + `,"192.168.33.10":` + deployed + `},"taskStatuses":{}}`},
				{request: "GET /hosts/", answer: `["192.168.33.10","host2.example.com"]`},
				{request: "DELETE /hosts/192.168.33.10/jobs/" + testjob + "?token=", answer: `{"status":"OK","job":"` + testjob + `","host":"192.168.33.10"}`},
				{request: "DELETE /hosts/host2.example.com/jobs/" + testjob + "?token=", answer: `{"status":"OK","job":"` + testjob + `","host":"host2.example.com"}`},
			},
			want: clitest.Result{Stdout: "This will undeploy " + testjob + " from [192.168.33.10, host2.example.com]\nDo you want to continue? [y/N]\n" +
				"Undeploying " + testjob + " from [192.168.33.10, host2.example.com]\n192.168.33.10: done\nhost2.example.com: done\n"},
		},
		{
			name: "undeploy -a of a job deployed nowhere is a success",
			args: []string{"undeploy", "--all", "testjob"},
			exchanges: []exchange{
				find,
				{request: "GET /jobs/" + testjob + "/status", answer: `{"job":null,"deployments":{},"taskStatuses":{}}`},
			},
			want: clitest.Result{Stdout: testjob + " is not currently deployed on any hosts."},
		},
		{
			name: "stop completes names",
			args: []string{"stop", "testjob", "192.168.33.10", "nope"},
			exchanges: []exchange{
				find,
				{request: "GET /hosts/", answer: `["192.168.33.10"]`},
				{request: "PATCH /hosts/192.168.33.10/jobs/" + testjob + "?token=", body: `{"deployerUser":null,"goal":"STOP","jobId":"` + testjob + `"}`, answer: `{"status":"OK","job":"` + testjob + `","host":"192.168.33.10"}`},
				{request: "PATCH /hosts/nope/jobs/" + testjob + "?token=", answer: `404 {"status":"HOST_NOT_FOUND","job":"` + testjob + `","host":"nope"}`},
			},
			want: clitest.Result{Exit: 1, Stdout: "Stopping " + testjob + " on [192.168.33.10, nope]\n192.168.33.10: done\n" +
				"nope: failed: SetGoalResponse{status=HOST_NOT_FOUND, job=" + testjob + ", host='nope'}\n"},
		},
		{
			name: "start --json prints the answer",
			args: []string{"start", "--json", "testjob", "h1"},
			exchanges: []exchange{
				find,
				{request: "GET /hosts/", answer: `["h1"]`},
				{request: "PATCH /hosts/h1/jobs/" + testjob + "?token=", body: `{"deployerUser":null,"goal":"START","jobId":"` + testjob + `"}`, answer: `{"status":"OK","job":"` + testjob + `","host":"h1"}`},
			},
			want: clitest.Result{Stdout: `{"host":"h1","job":"` + testjob + `","status":"OK"}`},
		},
		{
			name:      "jobs prints a table",
			args:      []string{"jobs"},
			exchanges: []exchange{{request: "GET /jobs", answer: twoJobs}, {request: statuses.request, body: `["` + testjob + `","` + testjob2 + `"]`, answer: statuses.answer}},
			want: clitest.Result{Stdout: "" +
				"JOB ID               NAME       VERSION    HOSTS    COMMAND                                             ENVIRONMENT    \n" +
				"testjob:1:4f7125b    testjob    1          2        /bin/sh -c \"while true; do date; sleep 60; done\"    FOO=bar        \n" +
				"testjob:2:aaaa25b    testjob    2          0                                                            A=1 B=2        \n"},
		},
		{
			name:      "jobs -q -y prints the ids of deployed jobs",
			args:      []string{"jobs", "-q", "-y"},
			exchanges: []exchange{{request: "GET /jobs", answer: twoJobs}, statuses},
			want:      clitest.Result{Stdout: testjob + "\n"},
		},
		{
			name:      "jobs -q --json prints a list",
			args:      []string{"jobs", "-q", "--json"},
			exchanges: []exchange{{request: "GET /jobs", answer: twoJobs}, statuses},
			want:      clitest.Result{Stdout: `[ "` + testjob + `", "` + testjob2 + "\" ]\n"},
		},
		{
			name:      "a word that urfave/cli would understand is a pattern like others",
			args:      []string{"jobs", "-q", "help"},
			exchanges: []exchange{{request: "GET /jobs?q=help", answer: twoJobs}, statuses},
			want:      clitest.Result{Stdout: testjob + "\n" + testjob2 + "\n"},
		},
		{
			name:      "and so is one that begins with a dash",
			args:      []string{"jobs", "-q", "--", "--help"},
			exchanges: []exchange{{request: "GET /jobs?q=--help", answer: twoJobs}, statuses},
			want:      clitest.Result{Stdout: testjob + "\n" + testjob2 + "\n"},
		},
		{
			name:      "jobs leaves out a job that is gone meanwhile",
			args:      []string{"jobs", "-q", "test"},
			exchanges: []exchange{{request: "GET /jobs?q=test", answer: twoJobs}, {request: "POST /jobs/statuses", answer: `{"` + testjob2 + `":{"job":null,"deployments":{},"taskStatuses":{}}}`}},
			want:      clitest.Result{Stdout: testjob2 + "\n"},
		},
		{
			name: "status prints a table",
			args: []string{"status", "-j", "testjob"},
			exchanges: []exchange{find, {request: "POST /jobs/statuses", answer: `{"` + testjob + `":{"job":null,"deployments":{"192.168.33.10":` + deployed + `,"host2.example.com":` + deployed + `},"taskStatuses":{"192.168.33.10":` +
				task("RUNNING", `,"throttled":"NO","containerId":"60671498ae98c0ffee","ports":{"admin":{"internalPort":81,"externalPort":20002,"protocol":"tcp"},"http":{"internalPort":80,"externalPort":20001,"protocol":"tcp"}}`) + `}}}`}},
			want: clitest.Result{Stdout: "" +
				"JOB ID               HOST                  GOAL     STATE      CONTAINER ID    PORTS                           \n" +
				"testjob:1:4f7125b    192.168.33.10.        START    RUNNING    6067149         admin=81:20002 http=80:20001    \n" +
				"testjob:1:4f7125b    host2.example.com.    START                                                               \n"},
		},
		{
			name: "status shows throttling, undeployed tasks and full names",
			args: []string{"status", "-f", "--host", "h[12]"},
			exchanges: []exchange{{request: "GET /jobs?hostPattern=h%5B12%5D", answer: oneJob}, {request: "POST /jobs/statuses", answer: `{"` + testjob + `":{"job":null,"deployments":{},"taskStatuses":{"h3":` +
				task("RUNNING", "") + `,"h2":` + task("EXITED", `,"throttled":"FLAPPING","containerId":"60671498ae98c0ffee","ports":{"x":{"internalPort":1}}`) + `}}}`}},
			want: clitest.Result{Stdout: "" +
				"JOB ID                                                HOST    GOAL    STATE                CONTAINER ID          PORTS       \n" +
				testjob + "    h2              EXITED (FLAPPING)    60671498ae98c0ffee    x=1:null    \n"},
		},
		{
			name: "status --host --json leaves out jobs that are not deployed there",
			args: []string{"status", "--host", "h1", "--json"},
			exchanges: []exchange{{request: "GET /jobs?hostPattern=h1", answer: twoJobs}, {request: "POST /jobs/statuses", answer: `{"` + testjob + `":{"job":null,"deployments":{"h1":` + deployed + `,"h2":` + deployed + `},"taskStatuses":{}},"` +
				testjob2 + `":{"job":null,"deployments":{},"taskStatuses":{"h1":` + task("RUNNING", "") + `}}}`}},
			want: clitest.Result{Stdout: "{\n  \"" + testjob + "\" : {\n    \"deployments\" : {\n      \"h1\" : {\n        \"deployerUser\" : null,\n        \"goal\" : \"START\",\n        \"jobId\" : \"" + testjob + "\"\n      }\n    },\n    \"job\" : null,\n    \"taskStatuses\" : { }\n  }\n}\n"},
		},
		{
			name: "history prints a table in local time",
			args: []string{"history", "testjob"},
			exchanges: []exchange{find, {request: "GET /history/jobs/" + testjob, answer: `{"status":"OK","events":[{"host":"192.168.33.10","timestamp":1407767864987,"status":` + task("CREATING", `,"throttled":"NO"`) +
				`},{"host":"192.168.33.10","timestamp":1407767865202,"status":` + task("STARTING", `,"containerId":"60671498ae98"`) + `},{"host":"192.168.33.10","timestamp":1407767865387,"status":` + task("RUNNING", `,"throttled":"FLAPPING","containerId":"60671498ae98"`) + `}]}`}},
			want: clitest.Result{Stdout: "" +
				"HOST             TIMESTAMP                  STATE       THROTTLED    CONTAINERID     \n" +
				"192.168.33.10    2014-08-11 14:37:44.987    CREATING    NO           <none>          \n" +
				"192.168.33.10    2014-08-11 14:37:45.202    STARTING    NO           60671498ae98    \n" +
				"192.168.33.10    2014-08-11 14:37:45.387    RUNNING     FLAPPING     60671498ae98    \n"},
		},
		{
			name:      "history of a job that has none prints the header",
			args:      []string{"history", "testjob"},
			exchanges: []exchange{find, {request: "GET /history/jobs/" + testjob, answer: `{"status":"OK","events":[]}`}},
			want:      clitest.Result{Stdout: "HOST    TIMESTAMP    STATE    THROTTLED    CONTAINERID    \n"},
		},
		{
			name:      "history says that there is none",
			args:      []string{"history", "testjob"},
			exchanges: []exchange{find, {request: "GET /history/jobs/" + testjob, answer: `404 {"status":"JOB_ID_NOT_FOUND","events":null}`}},
			want:      clitest.Result{Exit: 1, Stderr: "the master has no history of job " + testjob + "\n"},
		},
		{
			name:      "history --json of an unknown job is a document",
			args:      []string{"history", "--json", "nope"},
			exchanges: []exchange{{request: "GET /jobs?q=nope", answer: `{}`}},
			want:      clitest.Result{Exit: 1, Stdout: `{"host":null,"job":null,"status":"JOB_NOT_FOUND"}`},
		},
		{
			name:      "hosts sends each selector once",
			args:      []string{"hosts", "host2", "-s", "role=foo", "-s", "zone in (a, b)", "-s", "role=foo", "-q"},
			exchanges: []exchange{{request: "GET /hosts/?namePattern=host2&selector=role%3Dfoo&selector=zone in (a, b)", answer: `["b","a"]`}},
			want:      clitest.Result{Stdout: "a.\nb.\n"},
		},
		{
			name:      "hosts -q --status applies the filter",
			args:      []string{"hosts", "-q", "-f", "--status", "DOWN"},
			exchanges: []exchange{{request: "GET /hosts/", answer: `["b","a"]`}, {request: "POST /hosts/statuses?status=DOWN", body: `["b","a"]`, answer: `{"a":{"status":"DOWN","jobs":{},"statuses":{}}}`}},
			want:      clitest.Result{Stdout: "a\n"},
		},
		{
			name:      "hosts says that a pattern matches none",
			args:      []string{"hosts", "framazama"},
			exchanges: []exchange{{request: "GET /hosts/?namePattern=framazama", answer: `[]`}},
			want:      clitest.Result{Exit: 1, Stdout: "host pattern framazama matched no hosts\n"},
		},
		{
			name:      "hosts of an empty cluster fail silently",
			args:      []string{"hosts"},
			exchanges: []exchange{{request: "GET /hosts/", answer: `[]`}},
			want:      clitest.Result{Exit: 1},
		},
		{
			name:      "hosts -q --json of an empty cluster is an empty list",
			args:      []string{"hosts", "-q", "--json"},
			exchanges: []exchange{{request: "GET /hosts/", answer: `[]`}},
			want:      clitest.Result{Exit: 1, Stdout: "[ ]\n"},
		},
		{
			name:      "hosts refuses a name that is none",
			args:      []string{"hosts", "-q"},
			exchanges: []exchange{{request: "GET /hosts/", answer: `["a..b"]`}},
			want:      clitest.Result{Exit: 1, Stderr: "Invalid hostname 'a..b'\n"},
		},
		{
			name:      "masters prints short names",
			args:      []string{"masters"},
			exchanges: []exchange{{request: "GET /masters/", answer: `["m1.example.com","m2"]`}},
			want:      clitest.Result{Stdout: "m1.example.com.\nm2.\n"},
		},
		{
			name:      "masters --json sorts them",
			args:      []string{"masters", "--json", "-f"},
			exchanges: []exchange{{request: "GET /masters/", answer: `["m2","m1.example.com"]`}},
			want:      clitest.Result{Stdout: "[ \"m1.example.com\", \"m2\" ]\n"},
		},
		{
			name:      "version shows both versions",
			args:      []string{"version"},
			exchanges: []exchange{{request: "GET /version/", answer: `"0.9.1"`}},
			want:      clitest.Result{Stdout: "Client Version: 0.9.283\nMaster Version: 0.9.1\n"},
		},
		{
			name:      "an answer that is no document is an error",
			args:      []string{"masters"},
			exchanges: []exchange{{request: "GET /masters/", answer: `<html>`}},
			want:      clitest.Result{Exit: 1, Stderr: "bad reply: "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			endpoint := scripted(t, c.exchanges...)
			got := run(t, append([]string{"-z", endpoint}, c.args...), nil, c.stdin)
			if c.want.Stderr != "" && !strings.HasSuffix(c.want.Stderr, "\n") {
				got.Stderr, _, _ = strings.Cut(got.Stderr, endpoint)
				got.Stderr = got.Stderr[:min(len(got.Stderr), len(c.want.Stderr))]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestHostsTable(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	info := `{"cpus":4,"loadAvg":0.1,"memoryFreeBytes":500000000,"memoryTotalBytes":1073741824,"osName":"Linux","osVersion":"3.15.3","dockerVersion":{"version":"1.7.0","apiVersion":"1.18"}}`
	endpoint := scripted(t,
		exchange{request: "GET /hosts/", answer: `["host2.example.com","192.168.33.10","noinfo","bare"]`},
		exchange{request: "POST /hosts/statuses", answer: `{"host2.example.com":{"status":"UP","jobs":{"` + testjob + `":` + deployed + `},"statuses":{"` + testjob + `":` + task("RUNNING", "") +
			`},"labels":{"zone":"a","role":"foo"},"hostInfo":` + info + fmt.Sprintf(`,"agentInfo":{"startTime":%d,"uptime":1,"version":"0.9.283"}}`, ago(19*time.Minute)) +
			`,"192.168.33.10":{"status":"DOWN","jobs":{"` + testjob + `":` + deployed + `},"statuses":{},"hostInfo":` + info + fmt.Sprintf(`,"agentInfo":{"startTime":%d,"uptime":%d,"version":"0.9.283"}}`, ago(48*time.Hour), 23*time.Hour.Milliseconds()) +
			`,"noinfo":{"status":"UP","jobs":{},"statuses":{"` + testjob + `":` + task("RUNNING", "") + `},"labels":{"a":"1"}` + fmt.Sprintf(`,"agentInfo":{"startTime":%d,"uptime":1,"version":"0.9.283"}}`, ago(time.Minute)) +
			`,"bare":{"status":"DOWN","jobs":{},"statuses":{}}}`})
	got := run(t, []string{"hosts", "-z", endpoint}, nil, "")
	want := clitest.Result{Stdout: strings.ReplaceAll(`HOST                  STATUS           DEPLOYED    RUNNING    CPUS    MEM     LOAD AVG    MEM USAGE    OS              HELIOS     DOCKER          LABELS              ¶
192.168.33.10.        Down 1 day       1           0          4       1 gb    0.10        0.53         Linux 3.15.3    0.9.283    1.7.0 (1.18)                        ¶
bare.                 Down             0           0                                                                                                                  ¶
host2.example.com.    Up 19 minutes    1           1          4       1 gb    0.10        0.53         Linux 3.15.3    0.9.283    1.7.0 (1.18)    role=foo, zone=a    ¶
noinfo.               Up 1 minute      0           0                                                                   0.9.283                    a=1                 ¶
`, "¶", "")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTablesOnATerminal(t *testing.T) {
	running := task("RUNNING", `,"containerId":"60671498ae98c0ffee","ports":{"http":{"internalPort":80,"externalPort":20001}}`)
	status := scripted(t,
		exchange{request: "GET /jobs?q=testjob", answer: oneJob},
		exchange{request: "POST /jobs/statuses", answer: `{"` + testjob + `":{"job":null,"deployments":{"h1":` + deployed + `},"taskStatuses":{"h1":` + running + `,"h2":` + task("FAILED", "") + `}}}`})
	terminal := func(o *Options) { o.Streams.TTY, o.Streams.Color, o.Streams.Width = true, true, 60 }
	got := run(t, []string{"status", "-j", "testjob", "-z", status}, nil, "", terminal)
	want := "\x1b[1mJOB ID\x1b[0m             \x1b[1mHOST\x1b[0m  \x1b[1mGOAL\x1b[0m   \x1b[1mSTATE\x1b[0m    \x1b[1mPORTS\x1b[0m\n" +
		"testjob:1:4f7125b  h1.   START  \x1b[32mRUNNING\x1b[0m  http=80:20001\n" +
		"testjob:1:4f7125b  h2.          \x1b[31mFAILED\x1b[0m\n"
	if got.Stdout != want {
		t.Errorf("status:\ngot\n%s\nwant\n%s", got.Stdout, want)
	}

	history := scripted(t,
		exchange{request: "GET /jobs?q=testjob", answer: oneJob},
		exchange{request: "GET /history/jobs/" + testjob, answer: fmt.Sprintf(`{"status":"OK","events":[{"host":"h1","timestamp":%d,"status":%s}]}`, time.Now().Add(-2*time.Hour).UnixMilli(), running)})
	got = run(t, []string{"history", "testjob", "-z", history}, nil, "", func(o *Options) { o.Streams.TTY = true })
	want = "HOST  TIMESTAMP    STATE    THROTTLED  CONTAINERID\nh1    2 hours ago  RUNNING  NO         60671498ae98c0ffee\n"
	if got.Stdout != want {
		t.Errorf("history:\ngot\n%s\nwant\n%s", got.Stdout, want)
	}
}

func TestSearchListShortensNames(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.1\nsearch example.com foo.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	endpoint := scripted(t, exchange{request: "GET /masters/", answer: `["m1.example.com","m4.bar.com"]`})
	got := run(t, []string{"masters", "-z", endpoint}, nil, "", func(o *Options) { o.ResolvConf = conf })
	if want := "m1\nm4.bar.com.\n"; got.Stdout != want {
		t.Errorf("got %q, want %q", got.Stdout, want)
	}
}

// run runs the client once, in changed surroundings perhaps.
func run(t *testing.T, args []string, env map[string]string, stdin string, change ...func(*Options)) clitest.Result {
	t.Helper()
	location, err := time.LoadLocation(env["TZ"])
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	opts := Options{
		Version: "0.9.283",
		Streams: term.Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs},
		LookupEnv: func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		},
		User:       "root",
		ResolvConf: "/nonexistent",
		Location:   location,
		RetryDelay: time.Millisecond,
	}
	for _, c := range change {
		c(&opts)
	}
	exit := Run(t.Context(), args, opts)
	return clitest.Result{Exit: exit, Stdout: out.String(), Stderr: errs.String()}
}
