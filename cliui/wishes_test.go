package cliui

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/cliui/clitest"
)

const (
	otherJob = "other:1:aaaa25bff35d3cecaac237da3ab17efca8a765f9"
	newJob   = "newer:1:bbbb25bff35d3cecaac237da3ab17efca8a765f9"
	inDoubt  = `{"up":true,"silent":false,"missing":false,"doubt":{"since":1700000000000,"reason":"the task list was made anew","token":"t1","tasks":{` +
		`"` + testjob + `":{"followed":"START","stored":null,"unreadable":false},"` + otherJob + `":{"followed":"START","stored":"STOP","unreadable":false},` +
		`"` + newJob + `":{"followed":null,"stored":"START","unreadable":false}}},` +
		`"stored":{"` + otherJob + `":"STOP","` + newJob + `":"START","` + testjob2 + `":"START"}}`
	sure = `{"up":true,"doubt":null,"stored":{"` + testjob + `":"START"}}`
)

func TestDoubtsAreShownAndEnded(t *testing.T) {
	hosts := exchange{request: "GET /hosts/", answer: `["db1.example.com","db2.example.com"]`}
	wishes := func(answer string) exchange {
		return exchange{request: "GET /v1/hosts/db1.example.com/wishes", answer: answer}
	}
	said := func(mode, answer string) exchange {
		return exchange{request: "POST /v1/hosts/db1.example.com/accept", body: `{"at":0,"mode":"` + mode + `","token":"t1","user":"","version":1}`, answer: answer}
	}
	const asked = "\nDo you want to continue? [y/N]\n"
	for _, c := range []struct {
		name      string
		args      []string
		stdin     string
		exchanges []exchange
		want      clitest.Result
	}{
		{
			name: "the comparison", args: []string{"store", "diff", "db1"}, exchanges: []exchange{hosts, wishes(inDoubt)},
			want: clitest.Result{Stdout: "db1.example.com: in doubt since 2023-11-14T22:13:20Z: the task list was made anew\n" +
				"JOB                  REMEMBERED    STORED    DIFFERENCE                  \n" +
				"newer:1:bbbb25b      -             START     stored, not accepted        \n" +
				"other:1:aaaa25b      START         STOP      stored with another goal    \n" +
				"testjob:1:4f7125b    START         -         runs here, not stored       \n" +
				"testjob:2:aaaa25b    START         START     same                        \n"},
		},
		{
			name: "of a host in no doubt", args: []string{"store", "diff", "-f", "db1"}, exchanges: []exchange{hosts, wishes(sure)},
			want: clitest.Result{Stdout: "db1.example.com: in no doubt: it follows what is stored\n" +
				"JOB                                                   REMEMBERED    STORED    DIFFERENCE    \n" + testjob + "    START         START     same          \n"},
		},
		{
			name: "of a host of 0.9", args: []string{"store", "diff", "db1"}, exchanges: []exchange{hosts, wishes(`{"up":false,"silent":true,"stored":{}}`)},
			want: clitest.Result{Stdout: "db1.example.com: its agent says nothing of its wishes: it has never run, or is older (the host is down: this is what it said last)\n"},
		},
		{
			name: "of a host that nobody knows", args: []string{"store", "diff", "x"},
			exchanges: []exchange{hosts, {request: "GET /v1/hosts/x/wishes", answer: `404 {"message":"no"}`}},
			want:      clitest.Result{Exit: exitRefused, Stderr: "helios: store diff x: host not found\n"},
		},
		{
			name: "by a master that is older", args: []string{"store", "diff", "db1"}, exchanges: []exchange{hosts, wishes("500 {}")},
			want: clitest.Result{Exit: exitFailed, Stderr: "helios: store diff db1: request failed: GET URL: status 500: {}\n"},
		},
		{
			name: "to follow what is stored, after a question", args: []string{"accept", "db1", "--follow"}, stdin: "y\n",
			exchanges: []exchange{hosts, wishes(inDoubt), said("follow", `{"token":"t1","mode":"follow"}`)},
			want: clitest.Result{Stdout: "This will, on db1.example.com,\n  begin as START " + newJob + "\n  change to STOP " + otherJob + "\n  end " + testjob + asked +
				"db1.example.com: done\n"},
		},
		{
			name: "not to follow it after all", args: []string{"accept", "db1", "--follow"}, stdin: "n\n",
			exchanges: []exchange{hosts, wishes(inDoubt)},
			want:      clitest.Result{Exit: 1, Stdout: "This will, on db1.example.com,\n  begin as START " + newJob + "\n  change to STOP " + otherJob + "\n  end " + testjob + asked},
		},
		{
			name: "to keep what is remembered", args: []string{"accept", "--keep", "db1"}, stdin: "y\n",
			exchanges: []exchange{hosts, wishes(inDoubt), said("keep", `{"token":"t1","mode":"keep"}`)},
			want: clitest.Result{Stdout: "This will, on db1.example.com,\n  undeploy from the store " + newJob + "\n  store as START " + otherJob + "\n  store as START " + testjob + asked +
				"db1.example.com: done\n"},
		},
		{
			name: "somebody else was faster", args: []string{"accept", "--keep", "--yes", "db1"},
			exchanges: []exchange{hosts, wishes(inDoubt), said("keep", `409 {"message":"somebody else accepts at this moment: bob, to follow"}`)},
			want:      clitest.Result{Exit: exitRefused, Stderr: "helios: accept db1: somebody else accepts at this moment: bob, to follow\n"},
		},
		{
			name: "of a host that was deregistered", args: []string{"accept", "--keep", "--yes", "x"},
			exchanges: []exchange{hosts, {request: "GET /v1/hosts/x/wishes", answer: `404 {"message":"no"}`}},
			want:      clitest.Result{Exit: exitRefused, Stderr: "helios: accept x: host not found: one that was deregistered is taken back by the command that its agent logs\n"},
		},
		{
			name: "nothing to accept", args: []string{"accept", "--keep", "--yes", "db1"}, exchanges: []exchange{hosts, wishes(sure)},
			want: clitest.Result{Exit: exitRefused, Stderr: "helios: accept db1: host is not in doubt: it follows what is stored\n"},
		},
		{
			name: "neither of two", args: []string{"accept", "db1"}, want: clitest.Result{Exit: exitUsage, Stderr: "helios: accept: one of --keep and --follow says what is true\n"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := scripted(t, c.exchanges...)
			got := run(t, append(c.args, "-z", url), nil, c.stdin)
			at := strings.Index(got.Stderr, url)
			if at >= 0 {
				end := at + strings.IndexByte(got.Stderr[at:], ' ') - 1
				got.Stderr = got.Stderr[:at] + "URL" + got.Stderr[end:]
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	t.Run("no host", func(t *testing.T) {
		if got := run(t, []string{"accept", "--keep"}, nil, ""); got.Exit != exitUsage || !strings.Contains(got.Stderr, "helios accept: too few arguments") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("help", func(t *testing.T) {
		if got := run(t, []string{"store", "diff", "--help"}, nil, ""); got.Exit != 0 || !strings.Contains(got.Stdout, "usage: helios store diff") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("no master", func(t *testing.T) {
		got := run(t, []string{"store", "diff", "db1", "-z", "http://127.0.0.1:1", "--retry-timeout", "0"}, nil, "")
		if got.Exit != exitUnreachable {
			t.Errorf("%+v", got)
		}
	})
}
