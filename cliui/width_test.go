package cliui

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
)

// TestTablesFitTheTerminal holds every table at every usual width: no line is
// wider, and of names and states enough is left to know them.
func TestTablesFitTheTerminal(t *testing.T) {
	const machine = `"hostInfo":{"architecture":"amd64","cpus":16,"hostname":"h","loadAvg":0.25,"memoryFreeBytes":1073741824,"memoryTotalBytes":68719476736,` +
		`"osName":"Linux","osVersion":"6.1.0-28-amd64","uname":"u","dockerVersion":{"apiVersion":"1.41","version":"20.10.24+dfsg1"}}`
	statuses := map[string]string{}
	for i, name := range []string{"db1.example.com", "web-frontend-17.lon3.example.com"} {
		statuses[name] = fmt.Sprintf(`{"agentInfo":{"inputArguments":[],"name":"n","specName":"s","specVendor":"v","specVersion":"1","startTime":%d,"uptime":1,"vmName":"v","vmVendor":"v","vmVersion":"1","version":"0.10.0"},`+
			`"environment":{},"jobs":{},"labels":%s,"status":"UP","statuses":{},%s}`,
			time.Now().Add(-time.Duration(i+3)*time.Minute).UnixMilli(), []string{`{}`, `{"role":"frontend","zone":"lon3"}`}[i], machine)
	}
	hosts := `{"db1.example.com":` + statuses["db1.example.com"] + `,"web-frontend-17.lon3.example.com":` + statuses["web-frontend-17.lon3.example.com"] + `}`
	unlabelled := `{"db1.example.com":` + statuses["db1.example.com"] + `}`
	doubts := fmt.Sprintf(`{"db1.example.com":{"since":%d,"reason":"r","token":"t","tasks":{}}}`, time.Now().Add(-3*time.Hour).UnixMilli())
	running := task("RUNNING", `,"containerId":"60671498ae98c0ffee60671498ae98c0ffee60671498ae98c0ffee6067149811","ports":{"http":{"internalPort":80,"externalPort":20001},"admin":{"internalPort":81,"externalPort":20002}}`)
	pulling := task("PULLING_IMAGE", `,"throttled":"IMAGE_PULL_FAILED"`)
	tasks := `{"` + testjob + `":{"job":null,"deployments":{"db1.example.com":` + deployed + `},"taskStatuses":{"db1.example.com":` + running + `,"web-frontend-17.lon3.example.com":` + pulling + `}}}`
	events := fmt.Sprintf(`{"status":"OK","events":[{"host":"db1.example.com","timestamp":%[1]d,"status":%[2]s},{"host":"web-frontend-17.lon3.example.com","timestamp":%[1]d,"status":%[3]s}]}`,
		time.Now().Add(-2*time.Hour).UnixMilli(), running, pulling)

	for _, c := range []struct {
		name      string
		args      []string
		exchanges []exchange
		known     []string // what begins a name or a state in the table
	}{
		{"hosts", []string{"hosts"}, []exchange{{request: "GET /hosts/", answer: `["db1.example.com","web-frontend-17.lon3.example.com"]`}, {request: "POST /hosts/statuses", answer: hosts}, {request: "GET /v1/doubts", answer: doubts}}, []string{"HOST", "IN DOUBT", "3 hours", "db1.examp", "web-front", "Up 3 ", "Up 4 "}},
		{"hosts without labels", []string{"hosts"}, []exchange{{request: "GET /hosts/", answer: `["db1.example.com"]`}, {request: "POST /hosts/statuses", answer: unlabelled}, {request: "GET /v1/doubts", answer: "404 "}}, []string{"HOST", "STATUS", "db1.example.com.", "Up 3 minutes"}},
		{"jobs", []string{"jobs"}, []exchange{{request: "GET /jobs", answer: oneJob}, {request: "POST /jobs/statuses", answer: tasks}}, []string{"JOB ID", "testjob:1:4f7125b", "HOSTS", "1"}},
		{"status", []string{"status", "-j", "testjob"}, []exchange{{request: "GET /jobs?q=testjob", answer: oneJob}, {request: "POST /jobs/statuses", answer: tasks}}, []string{"JOB ID", "HOST", "STATE", "testjob:1:4f7125", "db1.examp", "web-front", "RUNNING", "PULLING"}},
		{"status of whole ids", []string{"status", "-f", "-j", "testjob"}, []exchange{{request: "GET /jobs?q=testjob", answer: oneJob}, {request: "POST /jobs/statuses", answer: tasks}}, []string{"JOB ID", "HOST", "STATE", "testjob:1:4f7125", "db1.examp", "web-front", "RUNNING", "PULLING"}},
		{"history", []string{"history", "testjob"}, []exchange{{request: "GET /jobs?q=testjob", answer: oneJob}, {request: "GET /history/jobs/" + testjob, answer: events}}, []string{"HOST", "STATE", "db1.examp", "web-front", "RUNNING", "PULLING"}},
	} {
		for _, width := range []int{40, 60, 80, 120, 200} {
			t.Run(fmt.Sprintf("%s at %d columns", c.name, width), func(t *testing.T) {
				got := run(t, append(c.args, "-z", scripted(t, c.exchanges...)), nil, "", func(o *Options) { o.Streams.TTY, o.Streams.Width = true, width })
				heldTo(t, got.Stdout, width, c.known)
			})
		}
	}
	for _, width := range []int{40, 60, 80, 120, 200} {
		t.Run(fmt.Sprintf("watch at %d columns", width), func(t *testing.T) {
			report := [][]watched{{
				{id: job.ID{Name: "web", Version: "1", Hash: strings.Repeat("a", 40)}, host: "db1.example.com", task: &job.TaskStatus{State: job.Running, Throttled: job.NotThrottled}},
				{id: job.ID{Name: "web", Version: "1", Hash: strings.Repeat("a", 40)}, host: "web-frontend-17.lon3.example.com", task: &job.TaskStatus{State: job.Failed, Throttled: job.Flapping, ContainerError: strings.Repeat("no such image ", 20)}},
			}}
			var out strings.Builder
			w := watching{calls: []*call{{session: newSession(Options{Location: time.UTC})}}, interval: time.Second}
			s := w.calls[0].out
			s.Out, s.TTY, s.Width = &out, true, width
			if err := w.paint(s, report, time.Now()); err != nil {
				t.Fatal(err)
			}
			heldTo(t, out.String(), width, []string{"JOB", "HOST", "STATE", "web:1:aaaaaaa", "db1.examp", "web-front", "RUNNING", "FAILED", "every 1 second"})
		})
	}
}

func heldTo(t *testing.T, text string, width int, known []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > width {
			t.Errorf("%q is wider than %d", line, width)
		}
	}
	for _, word := range known {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not to be read in\n%s", word, text)
		}
	}
}

// TestHostsGivesUpColumnsBeforeItCutsNames holds which columns are left where
// there is not room for all.
func TestHostsGivesUpColumnsBeforeItCutsNames(t *testing.T) {
	k := &call{session: newSession(Options{ResolvConf: "/nonexistent"})}
	var info host.Info
	info.CPUs, info.MemoryTotalBytes, info.OSName, info.OSVersion = 4, 1<<34, new("Linux"), new("6.1.0-28-amd64")
	table, err := k.hostsTable([]string{"db1.example.com"}, map[string]host.Status{"db1.example.com": {Status: host.Up, HostInfo: &info}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for width, want := range map[int]string{
		20:  "HOST          STATUS",
		40:  "HOST              STATUS  RUNNING",
		80:  "HOST              STATUS  DEPLOYED  RUNNING  CPUS  MEM    LOAD AVG  MEM USAGE",
		120: "HOST              STATUS  DEPLOYED  RUNNING  CPUS  MEM    LOAD AVG  MEM USAGE  OS                    HELIOS  LABELS",
	} {
		var out strings.Builder
		s := k.out
		s.Out, s.TTY, s.Width = &out, true, width
		if err := table.Print(s); err != nil {
			t.Fatal(err)
		}
		if head, _, _ := strings.Cut(out.String(), "\n"); head != want {
			t.Errorf("at %d columns\n%s\nwant\n%s", width, head, want)
		}
	}
}
