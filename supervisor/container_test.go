package supervisor

import (
	"context"
	"errors"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/helios-go/helios/store/job"
)

var fooBar = job.ID{Name: "foo.bar", Version: "1.2", Hash: "3539b7bc223589ad3e9f0bbf7f4d1d2a7a4c0e11"}

func TestNames(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"0123ABCD": `^helios-0123ABCD-foo_bar_1_2_3539b7b_[0-9a-f]{1,8}$`,
		"a.b":      `^helios-a\.b-foo_bar_1_2_3539b7b_[0-9a-f]{1,8}$`,
	} {
		name, err := Name(agent, fooBar)
		if err != nil || !regexp.MustCompile(want).MatchString(name) {
			t.Errorf("%s: %s, %v; want %s", agent, name, err, want)
		}
	}
	if name, err := Name("a b\n", fooBar); err == nil || !strings.HasPrefix(err.Error(), `Invalid container name: "helios-a b\n-foo`) {
		t.Errorf("agent id with a blank: %s, %v", name, err)
	}
}

func TestWhoseContainerItIs(t *testing.T) {
	t.Parallel()
	ref := Ref{Job: fooBar, Host: "h", Agents: []string{"a", "former"}}
	labels := func(host, agent, id string) map[string]string {
		return map[string]string{LabelHost: host, LabelAgent: agent, LabelJob: id}
	}
	for _, c := range []struct {
		name string
		c    Container
		want bool
	}{
		{"its labels", Container{Name: "x", Labels: labels("h", "a", fooBar.String())}, true},
		{"labels of an agent whose host it took over", Container{Labels: labels("h", "former", fooBar.String())}, true},
		{"labels of another agent of that host name", Container{Labels: labels("h", "b", fooBar.String())}, false},
		{"labels of another host", Container{Labels: labels("i", "a", fooBar.String())}, false},
		{"labels of another job, under its name", Container{Name: "helios-a-foo_bar_1_2_3539b7b_1", Labels: labels("h", "a", "x:1:2")}, false},
		{"its name, without labels", Container{Name: "helios-a-foo_bar_1_2_3539b7b_9f03c1aa"}, true},
		{"the name of a former agent's", Container{Name: "helios-former-foo_bar_1_2_3539b7b_9f03c1aa"}, true},
		{"the name of another agent's", Container{Name: "helios-ab-foo_bar_1_2_3539b7b_9f03c1aa"}, false},
		{"the name of a job that begins like it", Container{Name: "helios-a-foo_bar_1_2_3539b7b_9_3539b7b_1"}, false},
		{"no random number", Container{Name: "helios-a-foo_bar_1_2_3539b7b_"}, false},
		{"nothing", Container{}, false},
	} {
		if got := ref.Matches(c.c); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if diff := cmp.Diff(labels("h", "a", fooBar.String()), ref.Labels()); diff != "" {
		t.Error(diff)
	}
	if got := (Ref{Job: fooBar}).Labels()[LabelAgent]; got != "" {
		t.Errorf("agent %q", got)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	j := &job.Job{Env: map[string]string{"FOO": "4711", "BAR": "deadbeef"}}
	got := Env(map[string]string{"SPOTIFY_POD": "PODNAME", "BAR": "badfood"}, "host1", map[string]int{"http": 20123, "a-b": 5}, j)
	want := map[string]string{
		"SPOTIFY_POD": "PODNAME", "BAR": "deadbeef", "FOO": "4711", "HELIOS_PORT_http": "host1:20123", "HELIOS_PORT_a-b": "host1:5",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReaping(t *testing.T) {
	t.Parallel()
	e := newFakeEngine(t)
	add := func(id, name string, running bool, labels map[string]string) {
		e.containers[id] = &fakeContainer{Container: Container{ID: id, Name: name, Running: running, Labels: labels}}
	}
	add("owned", "helios-a-foo_1_0123456_1", true, nil)
	add("stray", "helios-a-unwanted", true, nil)
	add("stray of its labels", "helios-a-x", true, map[string]string{LabelAgent: "a"})
	add("of agent ab", "helios-ab-foo_1_0123456_1", true, nil)
	add("of agent a-b", "helios-a-b-foo_1_0123456_1", true, map[string]string{LabelAgent: "a-b"})
	add("other", "postgres", true, nil)
	add("stopped", "helios-a-foo_1_0123456_2", false, nil)
	killed, err := Reap(t.Context(), e, "a", func(c Container) bool { return c.ID == "owned" })
	slices.Sort(killed)
	if want := []string{"stray", "stray of its labels"}; err != nil || !slices.Equal(killed, want) {
		t.Errorf("killed %q, %v; want %q", killed, err, want)
	}
	if got, want := e.running(), []string{"of agent a-b", "of agent ab", "other", "owned"}; !slices.Equal(got, want) {
		t.Errorf("running %q, want %q", got, want)
	}
	e.setAway(true)
	if _, err := Reap(t.Context(), e, "a", nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("engine away: %v", err)
	}
}

// stubborn refuses to kill the first container.
type stubborn struct{ *fakeEngine }

func (s stubborn) Kill(ctx context.Context, id string) error {
	if id == "a1" {
		return errors.New("permission denied")
	}
	return s.fakeEngine.Kill(ctx, id)
}

func TestAKillThatFailsDoesNotKeepTheReaperFromTheOthers(t *testing.T) {
	t.Parallel()
	e := newFakeEngine(t)
	for _, id := range []string{"a1", "a2", "a3"} {
		e.containers[id] = &fakeContainer{Container: Container{ID: id, Name: "helios-a-" + id, Running: true}}
	}
	killed, err := Reap(t.Context(), stubborn{e}, "a", func(Container) bool { return false })
	if len(killed) != 2 || err == nil || !slices.Equal(e.running(), []string{"a1"}) {
		t.Errorf("killed %v, %v", killed, err)
	}
}

func dynamic(protocol string) job.PortMapping {
	return job.PortMapping{InternalPort: 1, Protocol: protocol}
}

func static(port int32, protocol string) job.PortMapping {
	return job.PortMapping{InternalPort: 1, ExternalPort: &port, Protocol: protocol}
}

// TestPortAllocation holds P1 to P6 of testdata/spec/4-agent.md §13 and the fixes Q6 and Q7.
func TestPortAllocation(t *testing.T) {
	t.Parallel()
	type ports = map[string]job.PortMapping
	tcp := func(numbers ...int) HeldPorts {
		held := HeldPorts{}
		for _, n := range numbers {
			held[HostPort{"tcp", n}] = true
		}
		return held
	}
	for _, c := range []struct {
		name       string
		first, end int
		held       HeldPorts
		mappings   ports
		busy       HeldPorts
		want       map[string]int // 0: any of the range
		err        string
	}{
		{name: "P1", first: 20000, end: 20010, held: tcp(10, 11), mappings: ports{"p1": dynamic("tcp"), "p2": static(18, "tcp")}, want: map[string]int{"p1": 0, "p2": 18}},
		{name: "P2", first: 20000, end: 20010, held: tcp(10, 11), mappings: ports{"p1": dynamic("tcp"), "p-tcp": static(18, "tcp"), "p-udp": static(18, "udp")}, want: map[string]int{"p1": 0, "p-tcp": 18, "p-udp": 18}},
		{name: "P3", first: 10, end: 11, held: tcp(10, 11), mappings: ports{"p1": dynamic("tcp"), "p2": static(18, "tcp")}, err: `no port available: no free tcp port for "p1" in 10:11`},
		{name: "P4", first: 10, end: 11, mappings: ports{"a": dynamic("tcp"), "b": dynamic("tcp"), "c": dynamic("tcp"), "d": static(18, "tcp")}, err: `no port available: no free tcp port for "b" in 10:11` + "\n" + `no port available: no free tcp port for "c" in 10:11`},
		{name: "P5", first: 20000, end: 20010, held: tcp(18), mappings: ports{"p": static(18, "tcp")}, err: `no port available: port 18/tcp of "p" is held by another job`},
		{name: "P6", first: 20000, end: 20001, busy: tcp(20000), mappings: ports{"p": dynamic("tcp")}, err: `no port available: no free tcp port for "p" in 20000:20001`},
		{name: "a job without ports", first: 1, end: 65536, mappings: nil, want: map[string]int{}},
		{name: "the same number of the other protocol", first: 20000, end: 20010, held: tcp(53), mappings: ports{"p": static(53, "udp")}, want: map[string]int{"p": 53}},
		{name: "a udp port is free though the tcp port is held", first: 10, end: 11, held: tcp(10), mappings: ports{"p": dynamic("udp")}, want: map[string]int{"p": 10}},
		{name: "a udp port is probed as such", first: 10, end: 11, busy: HeldPorts{{"udp", 10}: true}, mappings: ports{"p": dynamic("udp")}, err: `no port available: no free udp port for "p" in 10:11`},
		{name: "the job's own static port is not drawn", first: 10, end: 12, mappings: ports{"a": dynamic("tcp"), "z": static(10, "tcp")}, want: map[string]int{"a": 11, "z": 10}},
		{name: "a mapping without protocol is tcp", first: 10, end: 11, held: tcp(10), mappings: ports{"p": dynamic("")}, err: `no port available: no free tcp port for "p" in 10:11`},
	} {
		p, err := NewPorts(c.first, c.end, func(port HostPort) bool { return !c.busy[port] })
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Allocate(c.mappings, c.held)
		if c.err != "" {
			if got != nil || !errors.Is(err, ErrNoPort) || err.Error() != c.err {
				t.Errorf("%s: %v, %v; want %s", c.name, got, err, c.err)
			}
			continue
		}
		if err != nil || len(got) != len(c.want) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
		for name, port := range c.want {
			if g := got[name]; g != port && (port != 0 || g < c.first || g >= c.end) {
				t.Errorf("%s: %s is %d, want %d", c.name, name, g, port)
			}
		}
	}
	for _, bad := range [][2]int{{0, 5}, {5, 5}, {5, 4}, {1, 65537}, {-1, 3}} {
		if _, err := NewPorts(bad[0], bad[1], Free); err == nil || !strings.HasPrefix(err.Error(), "Bad port range: ") {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestPortsOfAContainer(t *testing.T) {
	t.Parallel()
	type mappings = map[string]job.PortMapping
	at := func(internal int32, protocol string) job.PortMapping {
		return job.PortMapping{InternalPort: internal, Protocol: protocol}
	}
	published := []PublishedPort{{"tcp", 80, 20001}, {"tcp", 80, 20002}, {"udp", 53, 20003}, {"tcp", 81, 0}}
	for _, c := range []struct {
		name     string
		mappings mappings
		want     map[string]int
	}{
		{"each is that of its port and protocol", mappings{"a": at(80, "tcp"), "b": at(53, "udp")}, map[string]int{"a": 20001, "b": 20003}},
		{"a mapping without protocol is tcp", mappings{"a": at(80, "")}, map[string]int{"a": 20001}},
		{"names that share a port are taken in their order", mappings{"y": at(80, "tcp"), "x": at(80, "tcp")}, map[string]int{"x": 20001, "y": 20002}},
		{"a third name of a port that is published twice", mappings{"x": at(80, "tcp"), "y": at(80, "tcp"), "z": at(80, "tcp")}, nil},
		{"the port is published for the other protocol", mappings{"a": at(53, "tcp")}, nil},
		{"no port of the host is said", mappings{"a": at(81, "tcp")}, nil},
		{"a job without ports", nil, map[string]int{}},
	} {
		got, all := BoundPorts(c.mappings, published)
		if diff := cmp.Diff(c.want, got); diff != "" || all != (c.want != nil) {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, all, diff)
		}
	}
}

func TestPortsAreNotUsedAgainAtOnce(t *testing.T) {
	t.Parallel()
	p, err := NewPorts(20000, 20010, func(HostPort) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for range 10 {
		got, err := p.Allocate(map[string]job.PortMapping{"p": dynamic("tcp")}, nil)
		if err != nil || seen[got["p"]] {
			t.Fatalf("%v, %v after %v", got, err, seen)
		}
		seen[got["p"]] = true
	}
}

func TestNoTwoJobsHoldOnePort(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, err := NewPorts(1000, 1000+rapid.IntRange(1, 30).Draw(t, "size"), func(HostPort) bool { return true })
		if err != nil {
			t.Fatal(err)
		}
		held := HeldPorts{}
		for range rapid.IntRange(1, 10).Draw(t, "jobs") {
			mappings := map[string]job.PortMapping{}
			for _, name := range []string{"a", "b", "c", "d"}[:rapid.IntRange(0, 4).Draw(t, "ports")] {
				protocol := rapid.SampledFrom([]string{"tcp", "udp"}).Draw(t, "protocol")
				if mappings[name] = dynamic(protocol); rapid.Bool().Draw(t, "static") {
					mappings[name] = static(int32(rapid.IntRange(995, 1010).Draw(t, "port")), protocol)
				}
			}
			ports, err := p.Allocate(mappings, held)
			if err != nil {
				continue
			}
			for name, m := range mappings {
				port := HostPort{m.Protocol, ports[name]}
				if held[port] || m.ExternalPort != nil && int(*m.ExternalPort) != ports[name] {
					t.Fatalf("%s got %s", name, port)
				}
			}
			held.Hold(mappings, ports)
		}
	})
}

func TestFreeAsksTheSystem(t *testing.T) {
	t.Parallel()
	tcpIsFree := func() bool { // whether the number of an open udp port is free for tcp
		u, err := net.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		number := u.LocalAddr().(*net.UDPAddr).Port
		if Free(HostPort{"udp", number}) {
			t.Error("a udp port that is open counts as free")
		}
		return Free(HostPort{"tcp", number})
	}
	udpIsFree := func() bool {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		number := l.Addr().(*net.TCPAddr).Port
		if Free(HostPort{"tcp", number}) {
			t.Error("a tcp port that is open counts as free")
		}
		return Free(HostPort{"udp", number})
	}
	for what, isFree := range map[string]func() bool{"tcp": tcpIsFree, "udp": udpIsFree} {
		free := false
		for range 50 { // other processes have ports too
			free = free || isFree()
		}
		if !free {
			t.Errorf("a %s port does not count as free when its number is open for the other protocol", what)
		}
	}
}
