package roles_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestContainerOptions are the options of an agent that change every container, and what becomes of its tasks.
func TestContainerOptions(t *testing.T) {
	t.Parallel()
	shared, _ := startMaster(t, storetest.ZooKeeper(t))
	// run runs a case beside the others, on a host whose agent has the options.
	run := func(name string, options []string, test func(t *testing.T, c *cluster, docker *dockertest.Daemon)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, docker := shared.seenBy(t), dockertest.New(t)
			startAgent(c, docker, nil, options...)
			c.await(docker.Host, host.Up)
			test(t, c, docker)
		})
	}
	// printed runs a command of the shell in a task until it exits, and returns what it wrote, and its status.
	printed := func(t *testing.T, c *cluster, docker *dockertest.Daemon, command string, env map[string]string) (string, *job.TaskStatus) {
		t.Helper()
		id := c.create(job.Job{Image: shell(t, docker), Command: []string{"sh", "-c", command}, Env: env})
		c.deploy(id, docker.Host)
		status := c.awaitState(id, docker.Host, job.Exited)
		c.undeploy(id, docker.Host)
		return docker.Logs(*status.ContainerID), status
	}

	run("SYS-057, AGT-060 environment of the agent stands below that of the job", []string{
		"--env", "SPOTIFY_POD=PODNAME", "SPOTIFY_ROLE=ROLENAME", "BAR=badfood",
	}, func(t *testing.T, c *cluster, docker *dockertest.Daemon) {
		text, status := printed(t, c, docker, `echo pod: $SPOTIFY_POD; echo role: $SPOTIFY_ROLE; echo foo: $FOO; echo bar: $BAR`,
			map[string]string{"FOO": "4711", "BAR": "deadbeef"})
		if diff := cmp.Diff("pod: PODNAME\nrole: ROLENAME\nfoo: 4711\nbar: deadbeef\n", text); diff != "" {
			t.Error(diff)
		}
		merged := map[string]string{"SPOTIFY_POD": "PODNAME", "SPOTIFY_ROLE": "ROLENAME", "FOO": "4711", "BAR": "deadbeef"}
		if diff := cmp.Diff(merged, status.Env); diff != "" {
			t.Errorf("task: %s", diff)
		}
		h, err := c.HostStatus(t.Context(), docker.Host)
		if err != nil {
			t.Fatal(err)
		}
		own := map[string]string{"SPOTIFY_POD": "PODNAME", "SPOTIFY_ROLE": "ROLENAME", "BAR": "badfood"}
		if diff := cmp.Diff(own, h.Environment); diff != "" {
			t.Errorf("host: %s", diff)
		}
	})
	for _, test := range []struct {
		name    string
		options []string
		file    string
		want    []string
	}{
		{"SYS-001, AGT-066 added hosts are known in every container", []string{"--add-host", "secrethost:169.254.169.254", "--add-host", "six:[2001:db8::5]"}, "/etc/hosts", []string{"169.254.169.254\tsecrethost\n", "2001:db8::5\tsix\n"}},
		{"SYS-007, AGT-067 binds are in every container", []string{"--bind", "/etc/hostname:/mnt/hostname:ro"}, "/mnt/hostname", []string{strings.TrimSpace(read("/etc/hostname"))}},
	} {
		run(test.name, test.options, func(t *testing.T, c *cluster, docker *dockertest.Daemon) {
			text, _ := printed(t, c, docker, "busybox cat "+test.file, nil)
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("%s is %q, want %q in it", test.file, text, want)
				}
			}
		})
	}
	run("SYS-055, SYS-056, AGT-068 name servers are asked by every container, others when none are given", []string{
		"--dns", "127.0.0.1", "--dns", "127.0.0.2",
	}, func(t *testing.T, c *cluster, docker *dockertest.Daemon) {
		const file = "busybox cat /etc/resolv.conf"
		text, _ := printed(t, c, docker, file, nil)
		if !strings.Contains(text, "nameserver 127.0.0.1\n") || !strings.Contains(text, "nameserver 127.0.0.2\n") {
			t.Errorf("with the option: %q", text)
		}
		plain := dockertest.New(t)
		startAgent(c, plain, nil)
		c.await(plain.Host, host.Up)
		if text, _ := printed(t, c, plain, file, nil); !strings.Contains(text, "nameserver ") || strings.Contains(text, "127.0.0.2") {
			t.Errorf("without the option: %q", text)
		}
	})
	run("SYS-070, AGT-010 without history a task comes and goes, and none is kept", []string{"--disable-job-history"}, func(t *testing.T, c *cluster, docker *dockertest.Daemon) {
		id := c.create(job.Job{Image: shell(t, docker), Command: idle})
		c.deploy(id, docker.Host)
		c.awaitState(id, docker.Host, job.Running)
		c.undeploy(id, docker.Host)
		c.awaitGone(id, docker.Host)
		if history, err := c.History(t.Context(), id); err != nil || len(history.Events) != 0 {
			t.Errorf("%+v, %v", history, err)
		}
	})

	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	redirected := func(t *testing.T, c *cluster, docker *dockertest.Daemon) {
		id := c.create(job.Job{Image: shell(t, docker), Command: []string{"sh", "-c", "echo should-be-redirected; sleep 1000"}})
		c.deploy(id, docker.Host)
		container := *c.awaitState(id, docker.Host, job.Running).ContainerID
		var seen struct {
			HostConfig struct {
				LogConfig struct {
					Type   string
					Config map[string]string
				}
			}
		}
		if err := json.Unmarshal(docker.Inspect(container), &seen); err != nil {
			t.Fatal(err)
		}
		if l := seen.HostConfig.LogConfig; l.Type != "syslog" || l.Config["tag"] != id.String() {
			t.Errorf("log config %+v", l)
		}
		line := make([]byte, 2048)
		_ = sink.SetReadDeadline(time.Now().Add(inTime))
		n, _, err := sink.ReadFrom(line)
		if text := string(line[:n]); err != nil || !strings.Contains(text, "should-be-redirected") {
			t.Errorf("received %q, %v", text, err)
		}
	}
	run("AGT-069 output goes to a syslog server", []string{"--syslog-redirect-to", sink.LocalAddr().String()}, redirected)
	run("AGT-069 output goes to a syslog server, the option being abbreviated", []string{"--syslog-redirect", sink.LocalAddr().String()}, redirected)
}
