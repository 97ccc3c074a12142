package roles_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestContainersOfAnAgent are the cases of what a job says about its container.
func TestContainersOfAnAgent(t *testing.T) {
	t.Parallel()
	cases(t, []agentCase{
		{"SYS-118, AGT-061 volumes are there, of a job of the client", func(t *testing.T, h *hostCase) { volumes(t, h, h.byClient) }},
		{"SYS-119 volumes are there, of a job of the command line", func(t *testing.T, h *hostCase) { volumes(t, h, h.byCommand) }},
		{"SYS-025, AGT-063 host name of the job is the container's", hostNameOfJob},
		{"SYS-100, AGT-064 limits of the job are the container's", limits},
		{"SYS-097, AGT-065 ramdisk is there, of a job of the client", func(t *testing.T, h *hostCase) { ramdisk(t, h, h.byClient) }},
		{"SYS-098 ramdisk is there, of a job of the command line", func(t *testing.T, h *hostCase) { ramdisk(t, h, h.byCommand) }},
		{"AGT-070 capabilities, security options, labels and runtime of the job are the container's", securityOfJob},
		{"SYS-101 output of an image's own command goes to a syslog server", imagesOutput},
		{"Docker is reached over TLS as options or variables say", dockerOverTLS},
	}, "--whitelisted-capability", "IPC_LOCK")
}

// A maker stores a job in one of two ways, and returns its id.
type maker func(job.Job) job.ID

func (h *hostCase) byClient(j job.Job) job.ID { return h.create(j) }

func (h *hostCase) byCommand(j job.Job) job.ID {
	h.t.Helper()
	j.ID = job.ID{Name: unique("job"), Version: "1"}
	file := filepath.Join(h.t.TempDir(), "job.json")
	if err := os.WriteFile(file, document.Canonical(j.JSON()), 0o600); err != nil {
		h.t.Fatal(err)
	}
	id, err := job.ReadID(strings.TrimSpace(h.must("create", "-q", "-f", file)))
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// stored wants the stored job to be the one that was created, but for what the master adds.
func (h *hostCase) stored(id job.ID, created job.Job) {
	h.t.Helper()
	stored, err := h.Job(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	created.ID, created.Created, created.CreatingUser = id, stored.Created, stored.CreatingUser
	if diff := cmp.Diff(string(document.Canonical(created.JSON())), string(document.Canonical(stored.JSON()))); diff != "" {
		h.t.Errorf("stored otherwise than created: %s", diff)
	}
}

// wrote runs the job until it exits, and returns what its container wrote.
func (h *hostCase) wrote(id job.ID) string {
	h.t.Helper()
	h.deploy(id, h.docker.Host)
	status := h.awaitState(id, h.docker.Host, job.Exited)
	h.undeploy(id, h.docker.Host)
	return h.docker.Logs(*status.ContainerID)
}

func volumes(t *testing.T, h *hostCase, create maker) {
	h.start()
	named := unique("volume")
	h.docker.OwnVolume(named)
	j := job.Job{
		Image:   &h.image,
		Command: []string{"sh", "-c", "echo random >/random-vol/a; echo named >/named-vol/b; busybox cat /random-vol/a /named-vol/b /hostname"},
		Volumes: map[string]string{"/random-vol": "", "/named-vol": named, "/hostname": "/etc/hostname"},
	}
	id := create(j)
	h.stored(id, j)
	if got, want := h.wrote(id), "random\nnamed\n"+read("/etc/hostname"); got != want {
		t.Errorf("the container wrote %q, want %q", got, want)
	}
}

func hostNameOfJob(t *testing.T, h *hostCase) {
	h.start()
	id := h.create(job.Job{Image: &h.image, Hostname: new("test-host"), Command: []string{"sh", "-c", "busybox hostname -f"}})
	if got := h.wrote(id); !strings.Contains(got, "test-host") {
		t.Errorf("the container wrote %q", got)
	}
}

func limits(t *testing.T, h *hostCase) {
	h.start()
	id := h.create(job.Job{Image: &h.image, Command: idle, Resources: &job.Resources{
		Memory: new(int64(10485760)), MemorySwap: new(int64(10485763)), CPUShares: new(int64(512)), CPUSet: new("0-1"),
	}})
	status := h.run(id)
	type limits struct {
		Memory, MemorySwap, CPUShares int64
		CpusetCpus                    string
	}
	var seen struct{ HostConfig limits }
	h.inspect(*status.ContainerID, &seen)
	if want := (limits{10485760, 10485763, 512, "0-1"}); seen.HostConfig != want {
		t.Errorf("%+v, want %+v", seen.HostConfig, want)
	}
}

func ramdisk(t *testing.T, h *hostCase, create maker) {
	h.start()
	j := job.Job{
		Image: &h.image, Command: []string{"sh", "-c", "busybox df"},
		Ramdisks: map[string]string{"/much-volatile": "rw,noexec,nosuid,size=1"},
	}
	id := create(j)
	h.stored(id, j)
	if got := h.wrote(id); !regexp.MustCompile(`(?m)^tmpfs .* /much-volatile$`).MatchString(got) {
		t.Errorf("df says %s", got)
	}
}

func securityOfJob(t *testing.T, h *hostCase) {
	h.start()
	status := h.run(h.create(job.Job{
		Image: &h.image, Command: idle, AddCapabilities: []string{"IPC_LOCK"}, DropCapabilities: []string{"KILL"},
		SecurityOpt: []string{"no-new-privileges"}, Labels: map[string]string{"team": "x"}, Runtime: new("runc"),
	}))
	var seen struct {
		Config     struct{ Labels map[string]string }
		HostConfig struct {
			CapAdd, CapDrop, SecurityOpt []string
			Runtime                      string
		}
	}
	h.inspect(*status.ContainerID, &seen)
	c := seen.HostConfig // Docker writes capabilities in full
	if !slices.Equal(c.CapAdd, []string{"CAP_IPC_LOCK"}) || !slices.Equal(c.CapDrop, []string{"CAP_KILL"}) ||
		!slices.Equal(c.SecurityOpt, []string{"no-new-privileges"}) || c.Runtime != "runc" || seen.Config.Labels["team"] != "x" {
		t.Errorf("%+v", seen)
	}
}

// imagesOutput is of a job that has no command: the image's own entry point and command print the text. What old Dockers
// needed for it, the variable names.
func imagesOutput(t *testing.T, h *hostCase) {
	sink, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	startAgent(h.cluster, h.docker, nil, "--syslog-redirect", sink.LocalAddr().String())
	h.await(h.docker.Host, host.Up)
	image := "127.0.0.1:1/" + unique("printing") + ":1"
	h.docker.Load(image, dockertest.Calling(t, dockertest.Busybox(t), []string{"/bin/busybox", "echo"}, "should-be-redirected"))
	id := h.create(job.Job{Image: &image, Env: map[string]string{"SYSLOG_REDIRECTOR": "/syslog-redirector"}})
	h.deploy(id, h.docker.Host)
	container := *h.awaitState(id, h.docker.Host, job.Exited).ContainerID
	h.undeploy(id, h.docker.Host)
	var seen struct {
		HostConfig struct{ LogConfig struct{ Type string } }
	}
	h.inspect(container, &seen)
	if seen.HostConfig.LogConfig.Type != "syslog" {
		t.Errorf("log driver %q", seen.HostConfig.LogConfig.Type)
	}
	line := make([]byte, 2048)
	_ = sink.SetReadDeadline(time.Now().Add(inTime))
	n, _, err := sink.ReadFrom(line)
	if text := string(line[:n]); err != nil || !strings.Contains(text, "should-be-redirected") {
		t.Errorf("received %q, %v", text, err)
	}
}

func dockerOverTLS(t *testing.T, h *hostCase) {
	secured := h.docker.Secure()
	options := []string{"--docker", secured.Endpoint, "--docker-cert-path", secured.CertPath}
	a := h.start(options...)
	id := h.create(job.Job{Image: &h.image, Command: idle, SecondsToWaitBeforeKill: new(int32(1))})
	container := *h.run(id).ContainerID
	a.stop()
	a.args = a.args[:len(a.args)-len(options)]
	a.env = append(a.env, "DOCKER_HOST="+secured.Endpoint, "DOCKER_CERT_PATH="+secured.CertPath)
	a.restart()
	h.setGoal(id, h.docker.Host, job.Stop)
	if status := h.awaitState(id, h.docker.Host, job.Stopped); *status.ContainerID != container {
		t.Errorf("stopped: %s, want %s", describe(status), container)
	}
	if running, _ := h.isRunning(container); running {
		t.Error("it runs on")
	}
}
