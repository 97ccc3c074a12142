package roles_test

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// rounds is how often a thing is measured; the median counts.
const rounds = 15

// BenchmarkBars holds Helios to what people are promised of its speed and size: it measures all that, prints one table,
// and fails if a promise is not kept. It needs Docker, the daemon and the command.
func BenchmarkBars(b *testing.B) {
	l := newLab(b, "speed bars")
	l.solo = startSoloCluster(b, l.docker, nil)
	l.cluster = l.solo.cluster
	l.measure(l.binary, l.version, l.hash, l.deploy, l.exit, l.idle, l.start)
}

// bar is a promise about speed or size, with what was measured of it.
type bar struct {
	what  string
	unit  string
	limit float64 // in the unit
	times float64 // so many times the floor may come on top of the limit
	ours  []float64
	floor []float64 // the same by Docker alone, where there is such a thing
}

func show(b *testing.B, bars []bar) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "BAR\tUNIT\tHELIOS\tDOCKER ALONE\tRATIO\tLIMIT\t")
	for _, m := range bars {
		value, allowed, limit, ratio, verdict := median(m.ours), m.limit, fmt.Sprint(m.limit), "-", "met"
		if m.floor != nil {
			ratio = fmt.Sprintf("%.2f", value/median(m.floor))
			allowed += m.times * median(m.floor)
		}
		switch {
		case m.times > 0 && m.limit > 0:
			limit += fmt.Sprintf(" + %v ×", m.times)
		case m.times > 0:
			limit = fmt.Sprintf("%v ×", m.times)
		}
		if value > allowed {
			verdict = "MISSED"
			b.Errorf("%s: missed", m.what)
		}
		fmt.Fprintln(table, strings.Join([]string{m.what, m.unit, spread(m.ours), spread(m.floor), ratio, limit, verdict}, "\t"))
	}
	table.Flush()
	fmt.Println()
}

// inTurn measures each thing so many times, one after the other in turn: what disturbs the machine disturbs all.
func inTurn(times int, things ...func() float64) [][]float64 {
	measured := make([][]float64, len(things))
	for range times {
		for i, measure := range things {
			measured[i] = append(measured[i], measure())
		}
	}
	return measured
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func spread(values []float64) string {
	switch len(values) {
	case 0:
		return "-"
	case 1:
		return fmt.Sprintf("%.2f", values[0])
	}
	return fmt.Sprintf("%.1f [%.1f–%.1f]", median(values), slices.Min(values), slices.Max(values))
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

func load() string {
	first, _, _ := strings.Cut(read("/proc/loadavg"), " ")
	return first
}

// settle is how long daemons are left alone before they are watched for so long.
const settle, watched = 5 * time.Second, 25 * time.Second

// lab is what the measurements share.
type lab struct {
	b       *testing.B
	docker  *dockertest.Daemon
	label   string // of the containers that Docker alone runs
	image   string // with the workload, in a registry
	cluster *cluster
	solo    *soloCluster
	bars    []bar
	ports   map[string]bool // given out by freePort
}

// newLab prepares Docker, and the table that is printed at the end.
func newLab(b *testing.B, title string) *lab {
	b.Setenv("HELIOS_E2E", "1") // without Docker it fails
	before, l := load(), &lab{b: b, ports: make(map[string]bool)}
	b.Cleanup(func() { // the last of all: for a missed bar nobody wants to see the logs of all processes
		if !b.Failed() {
			fmt.Printf("\n\n%s: median [least–most] of up to %d; %d cores, load average %s before and %s after\n\n",
				title, rounds, runtime.NumCPU(), before, load())
			show(b, l.bars)
		}
	})
	if _, err := exec.LookPath("docker"); err != nil {
		b.Fatalf("no docker command to compare with: %v", err)
	}
	l.docker = dockertest.New(b)
	l.label = "helios.bench=" + l.docker.Host
	l.docker.Own(l.label)
	l.image = l.docker.Registry("127.0.0.1:0").Push("probe:1", dockertest.Probe(b))
	return l
}

func (l *lab) measure(things ...func() []bar) {
	for _, measure := range things {
		l.bars = append(l.bars, measure()...)
	}
}

// binary is the size of the program, which is to be static and stripped.
func (l *lab) binary() []bar {
	path, err := binary()
	if err != nil {
		l.b.Fatal(err)
	}
	file, err := elf.Open(path)
	if err != nil {
		l.b.Fatal(err)
	}
	defer file.Close()
	dynamic := func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC }
	if slices.ContainsFunc(file.Progs, dynamic) || file.Section(".symtab") != nil {
		l.b.Errorf("%s is not static and stripped", path)
	}
	info, err := os.Stat(path)
	if err != nil {
		l.b.Fatal(err)
	}
	return []bar{{what: "static binary", unit: "MB", limit: 30, ours: []float64{float64(info.Size()) / 1e6}}}
}

func (l *lab) version() []bar {
	took := inTurn(rounds, func() float64 { return milliseconds(l.run(command(l.b, nil, "--version"))) })
	return []bar{{what: "helios --version", unit: "ms", limit: 20, ours: took[0]}}
}

var perOperation = regexp.MustCompile(`([0-9.]+) ns/op`)

// hash takes the figures of the benchmark in store/job.
func (l *lab) hash() []bar {
	out, err := exec.Command("go", "test", "-run=^$", "-bench=^BenchmarkReadValidateHash$", "-benchtime=100ms",
		"-count="+strconv.Itoa(rounds), "../store/job").CombinedOutput()
	var took []float64
	for _, figure := range perOperation.FindAllSubmatch(out, -1) {
		ns, _ := strconv.ParseFloat(string(figure[1]), 64)
		took = append(took, ns/1000)
	}
	if err != nil || len(took) != rounds {
		l.b.Fatalf("benchmark of store/job: %v\n%s", err, out)
	}
	return []bar{{what: "reading, validating and hashing a job", unit: "µs", limit: 25, ours: took}}
}

// deploy is the time from the start of the client to the start of the container, beside that of docker run. The daemon
// has the image both times; that the agent asks the registry for a newer one is part of ours.
func (l *lab) deploy() []bar {
	helios := func() float64 {
		id := l.cluster.create(l.job())
		client := command(l.b, nil, "-z", l.cluster.api, "deploy", id.String(), l.docker.Host)
		began := time.Now()
		l.run(client)
		container := *l.cluster.awaitState(id, l.docker.Host, job.Running).ContainerID
		defer l.clear(id, container)
		return milliseconds(l.moments(container).StartedAt.Sub(began))
	}
	inTurn(1, helios, l.dockerRun) // the first one fetches the image
	took := inTurn(rounds, helios, l.dockerRun)
	return []bar{{what: "helios deploy to start of container; docker run", unit: "ms", times: 1.3, ours: took[0], floor: took[1]}}
}

// dockerRun is the time from the start of docker run to the start of the container.
func (l *lab) dockerRun() float64 {
	name := unique("bench")
	began := time.Now()
	l.run(l.dockerRunning(name, l.freePort()))
	defer l.docker.Remove(name)
	return milliseconds(l.moments(name).StartedAt.Sub(began))
}

// dockerRunning is the command that runs what job describes.
func (l *lab) dockerRunning(name, port string) *exec.Cmd {
	return exec.Command("docker", "run", "-d", "--name", name, "--label", l.label, "-p", port+":8080", l.image)
}

// exit is the time from the end of a killed container to EXITED in the API, and to the end of docker wait.
func (l *lab) exit() []bar {
	bars := []bar{
		{what: "docker kill: end of container to EXITED; docker wait", unit: "ms", limit: 100},
		{what: "the same in the network of the host", unit: "ms", limit: 100},
	}
	bridged, hosted := l.job(), l.job()
	hosted.Ports, hosted.NetworkMode = nil, new("host")
	kill := func(m *bar, j job.Job) func() float64 {
		return func() float64 {
			id := l.cluster.create(j)
			l.cluster.deploy(id, l.docker.Host)
			container := *l.cluster.awaitState(id, l.docker.Host, job.Running).ContainerID
			var told time.Time
			var clients sync.WaitGroup
			clients.Go(func() {
				l.run(exec.Command("docker", "wait", container))
				told = time.Now()
			})
			<-time.After(200 * time.Millisecond) // docker wait waits by now
			clients.Go(func() { l.run(exec.Command("docker", "kill", container)) })
			l.soon(func() bool { return l.state(id) == job.Exited })
			seen := time.Now()
			clients.Wait()
			defer l.clear(id, container)
			ended := l.moments(container).FinishedAt
			m.floor = append(m.floor, milliseconds(told.Sub(ended)))
			return milliseconds(seen.Sub(ended))
		}
	}
	took := inTurn(rounds, kill(&bars[0], bridged), kill(&bars[1], hosted))
	bars[0].ours, bars[1].ours = took[0], took[1]
	return bars
}

// idle is what a solo needs that looks after one job while nothing changes. The job goes on running.
func (l *lab) idle() []bar {
	id := l.cluster.create(l.job())
	l.cluster.deploy(id, l.docker.Host)
	l.cluster.awaitState(id, l.docker.Host, job.Running)
	<-time.After(settle)
	before, began := l.solo.cpu(), time.Now()
	<-time.After(watched)
	share := 100 * (l.solo.cpu() - before).Seconds() / time.Since(began).Seconds()
	return []bar{
		{what: "idle solo, resident memory", unit: "MB", limit: 70, ours: []float64{l.solo.resident()}},
		{what: "idle solo, share of a core", unit: "%", limit: 0.5, ours: []float64{share}},
	}
}

// start is the time from the start of a solo until the API says that its host is up.
func (l *lab) start() []bar {
	l.solo.stop()
	started := func(dir string) float64 {
		began := time.Now()
		p := start(l.b, nil, "solo", "--name", l.docker.Host, "--state-dir", dir,
			"--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--zk", "127.0.0.1:0")
		defer p.stop()
		l.soon(func() bool { return strings.Count(p.out(), "\n") == 4 })
		c := newCluster(l.b, awaitMatch(l.b, p.out, `master (http://\S+)\n`), "")
		l.soon(func() bool {
			hosts, err := c.Hosts(l.b.Context(), "")
			return err == nil && slices.Contains(hosts, l.docker.Host)
		})
		l.soon(func() bool {
			status, err := c.HostStatus(l.b.Context(), l.docker.Host)
			return err == nil && status.Status == host.Up
		})
		return milliseconds(time.Since(began))
	}
	took := inTurn(rounds,
		func() float64 { return started(l.b.TempDir()) },
		func() float64 { return started(l.solo.dir) },
	)
	return []bar{
		{what: "start of solo to host up, empty state", unit: "ms", limit: 500, ours: took[0]},
		{what: "start of solo to host up, a running job", unit: "ms", limit: 500, ours: took[1]},
	}
}

// job is one whose container serves HTTP at a port that the agent chooses.
func (l *lab) job() job.Job {
	return job.Job{Image: &l.image, Ports: map[string]job.PortMapping{"http": {InternalPort: 8080, Protocol: "tcp"}}}
}

// run runs a command, which must succeed, and returns how long it took.
func (l *lab) run(c *exec.Cmd) time.Duration {
	began := time.Now()
	out, err := c.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		l.b.Errorf("%v: %v: %s", c.Args, err, out)
	}
	return took
}

// soon asks again and again, each 5 ms, until the answer is yes.
func (l *lab) soon(reached func() bool) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(inTime); !reached(); <-ticker.C {
		if time.Now().After(deadline) {
			l.b.Fatalf("not within %s", inTime)
		}
	}
}

// clear takes the job away and leaves nothing of it.
func (l *lab) clear(id job.ID, container string) {
	l.cluster.undeploy(id, l.docker.Host)
	l.cluster.awaitGone(id, l.docker.Host)
	l.remove(id, container)
}

// remove is clear for a job that has been undeployed.
func (l *lab) remove(id job.ID, container string) {
	if _, err := l.cluster.RemoveJob(l.b.Context(), id, ""); err != nil {
		l.b.Error(err)
	}
	l.docker.Remove(container)
}

// state is that of the job's task.
func (l *lab) state(id job.ID) job.State {
	status, err := l.cluster.task(id, l.docker.Host)
	if err != nil || status == nil {
		return ""
	}
	return status.State
}

// moments are when a container started and ended, by the clock that all of the machine shares.
type moments struct{ StartedAt, FinishedAt time.Time }

func (l *lab) moments(container string) moments {
	var inspected struct{ State moments }
	if err := json.Unmarshal(l.docker.Inspect(container), &inspected); err != nil {
		l.b.Fatal(err)
	}
	return inspected.State
}

// freePort is a port that nobody listens at, and that was not given out before.
func (l *lab) freePort() string {
	for {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			l.b.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		listener.Close()
		if !l.ports[port] {
			l.ports[port] = true
			return port
		}
	}
}

// cpu is how long the process has computed.
func (p *process) cpu() time.Duration {
	stat := p.proc("stat")
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond // Linux counts in hundredths of a second
}

// resident is the memory that the process occupies, in MB.
func (p *process) resident() float64 {
	_, after, _ := strings.Cut(p.proc("status"), "VmRSS:")
	kB, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return kB * 1024 / 1e6
}

func (p *process) proc(name string) string {
	return read(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name))
}
