package zkserver_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/store/zkserver"
)

var loadAddr = flag.String("zk.addr", "", "the server, host:port, that BenchmarkLoad measures in place of the embedded one")

const watchers = 10

// workload is something that the generator does to a server, on the nodes that prepare has made below dir.
type workload struct {
	name string
	bars map[string]float64 // of ZooKeeper's figure: the least rate, the most time, the most processor time
	run  func(s *swarm, dir string, more func(int) bool) (int, time.Duration, error)
}

var workloads = []workload{
	{"creates-of-64-connections", map[string]float64{"rate": 1.5}, func(s *swarm, dir string, more func(int) bool) (int, time.Duration, error) {
		return s.drive(0, 64, 1, creating(dir, fmt.Sprint("n", time.Now().UnixNano(), "-")), more)
	}},
	{"gets-of-64-connections", map[string]float64{"rate": 1.5, "cpu": 0.5}, func(s *swarm, dir string, more func(int) bool) (int, time.Duration, error) {
		return s.drive(0, 64, 1, on(getData, dir, 1000, false), more)
	}},
	{"creates-with-100-outstanding", map[string]float64{"rate": 1.2}, func(s *swarm, dir string, more func(int) bool) (int, time.Duration, error) {
		return s.drive(0, 1, 100, creating(dir, fmt.Sprint("n", time.Now().UnixNano(), "-")), more)
	}},
	{"serial-sets", map[string]float64{"time": 1.1}, func(s *swarm, dir string, more func(int) bool) (int, time.Duration, error) {
		return s.drive(0, 1, 1, on(setData, dir, 1000, load100, int32(-1)), more)
	}},
	{"10000-watches-fired", map[string]float64{"time": 1.1}, fireWatches},
}

// fireWatches arms 1,000 data watches of each of 10 clients and has another client change the nodes. What is timed is from
// the first change to the last event.
func fireWatches(s *swarm, dir string, _ func(int) bool) (int, time.Duration, error) {
	if _, _, err := s.drive(0, watchers, 100, on(getData, dir, 1000, true), times(1000)); err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if _, _, err := s.drive(watchers, 1, 100, on(setData, dir, 1000, load100, int32(-1)), times(1000)); err != nil {
		return 0, 0, err
	}
	for {
		events := 0
		for _, d := range s.conns[:watchers] {
			events += d.events
		}
		if events == watchers*1000 {
			return events, time.Since(start), nil
		}
		if err := s.await(func(int, int) error { return nil }); err != nil {
			return events, time.Since(start), fmt.Errorf("after %d events: %w", events, err)
		}
	}
}

// prepare makes the nodes that workloads expect below dir.
func prepare(tb testing.TB, s *swarm, dir string) {
	tb.Helper()
	_, _, err := s.drive(0, 1, 1, creatingOne(dir), times(1))
	if err == nil {
		_, _, err = s.drive(0, 1, 100, creating(dir, "x"), times(1000))
	}
	if err != nil {
		tb.Fatalf("prepare %s: %v", dir, err)
	}
}

// BenchmarkLoad measures each workload on one server: the embedded one, with fsync, or the one of -zk.addr.
func BenchmarkLoad(b *testing.B) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			addr := *loadAddr
			if addr == "" {
				addr = zkserver.StartChild(b, b.TempDir(), 0).Addr
			}
			s := attack(b, addr, 64)
			dir := fmt.Sprintf("/load-%d", time.Now().UnixNano())
			prepare(b, s, dir)
			var done int
			var took time.Duration
			for b.Loop() {
				n, t, err := w.run(s, dir, during(300*time.Millisecond))
				if err == nil {
					err = s.refresh() // some have been idle
				}
				if err != nil {
					b.Fatal(err)
				}
				done, took = done+n, took+t
			}
			b.ReportMetric(float64(done)/took.Seconds(), "ops/s")
		})
	}
}

// cpu is the processor time that a process has taken, all its threads together.
func cpu(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	stat := must(os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	ticks := must(strconv.Atoi(fields[11])) + must(strconv.Atoi(fields[12]))
	return time.Duration(ticks) * 10 * time.Millisecond
}

func median(list []float64) float64 {
	return slices.Sorted(slices.Values(list))[len(list)/2]
}

// side is one of two servers that are measured in turns.
type side struct {
	s   *swarm
	pid int
}

// result is what a server has done in some time.
type result struct {
	operations  int
	took, spent time.Duration // spent is processor time
}

func (r result) rate() float64 { return float64(r.operations) / r.took.Seconds() }
func (r result) cost() float64 { return float64(r.spent.Microseconds()) / float64(r.operations) }

// run adds one run of a workload to the result.
func (x side) run(b *testing.B, w workload, d time.Duration, r *result) {
	b.Helper()
	if err := x.s.refresh(); err != nil {
		b.Fatal(err)
	}
	before := cpu(b, x.pid)
	n, took, err := w.run(x.s, "/bars", during(d))
	if err != nil {
		b.Fatal(err)
	}
	r.operations, r.took, r.spent = r.operations+n, r.took+took, r.spent+cpu(b, x.pid)-before
}

// pair runs a workload on both in turns, in slices so short that whatever else the machine does slows both.
func pair(b *testing.B, w workload, ours, theirs side) (r, their result) {
	b.Helper()
	for range 8 {
		ours.run(b, w, 60*time.Millisecond, &r)
		theirs.run(b, w, 60*time.Millisecond, &their)
	}
	return r, their
}

const rounds = 9

// BenchmarkBeside measures the embedded server beside Debian's ZooKeeper: the same generator, both with fsync, in turns,
// after a warm-up. The figures are medians, and the ratios medians of the pairs. Each must keep its bar.
func BenchmarkBeside(b *testing.B) {
	java := storetest.StartZooKeeper(b)
	child := zkserver.StartChild(b, b.TempDir(), 0)
	ours, theirs := side{attack(b, child.Addr, 64), child.PID()}, side{attack(b, java.Addr(), 64), java.PID()}
	for _, x := range []side{ours, theirs} {
		prepare(b, x.s, "/bars")
	}
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			if b.N > 1 {
				return // it has been measured, by all rounds
			}
			var warm result
			theirs.run(b, w, 3*time.Second, &warm) // Java compiles what it runs often
			ours.run(b, w, 500*time.Millisecond, &warm)
			var rates, costs [2][]float64
			var faster, cheaper []float64
			for range rounds {
				r, their := pair(b, w, ours, theirs)
				rates[0], rates[1] = append(rates[0], r.rate()), append(rates[1], their.rate())
				costs[0], costs[1] = append(costs[0], r.cost()), append(costs[1], their.cost())
				faster, cheaper = append(faster, r.rate()/their.rate()), append(cheaper, r.cost()/their.cost())
			}
			b.Logf("%.0f operations/s, ZooKeeper %.0f; processor %.1f µs each, ZooKeeper %.1f; of the pairs: rate %.2f, processor %.2f",
				median(rates[0]), median(rates[1]), median(costs[0]), median(costs[1]), median(faster), median(cheaper))
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(median(rates[0]), "ops/s")
			b.ReportMetric(median(rates[1]), "zk-ops/s")
			b.ReportMetric(median(costs[0]), "cpu-µs")
			b.ReportMetric(median(costs[1]), "zk-cpu-µs")
			b.ReportMetric(median(faster), "rate-ratio")
			b.ReportMetric(median(cheaper), "cpu-ratio")
			for name, bar := range w.bars {
				is := map[string]float64{"rate": median(faster), "time": 1 / median(faster), "cpu": median(cheaper)}[name]
				if name == "rate" && is < bar || name != "rate" && is > bar {
					b.Errorf("the bar for the %s is %.2f of ZooKeeper's, not %.2f", name, bar, is)
				}
			}
		})
	}
}

// BenchmarkBeside100000Nodes measures the memory that 100,000 nodes of 100 bytes take, beside ZooKeeper, and how long the
// embedded server takes to start with them, as a process, until it listens.
func BenchmarkBeside100000Nodes(b *testing.B) {
	if b.N > 1 {
		return
	}
	java, dir := storetest.StartZooKeeper(b), b.TempDir()
	child := zkserver.StartChild(b, dir, 0)
	for _, addr := range []string{child.Addr, java.Addr()} {
		fillWith100000(b, attack(b, addr, 1))
	}
	full, theirs := resident(b, child.PID()), resident(b, java.PID())
	var starts, fresh []float64
	for range rounds {
		child.Kill()
		start := time.Now()
		child = zkserver.StartChild(b, dir, 0)
		starts = append(starts, time.Since(start).Seconds())
		fresh = append(fresh, resident(b, child.PID()))
	}
	java.Restart()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(full, "MB")
	b.ReportMetric(theirs, "zk-MB")
	b.ReportMetric(median(fresh), "MB-restarted")
	b.ReportMetric(resident(b, java.PID()), "zk-MB-restarted")
	b.ReportMetric(full/theirs, "memory-ratio")
	b.ReportMetric(median(starts), "s-start")
	if full/theirs > 0.25 {
		b.Errorf("the bar for memory is 0.25 of ZooKeeper's, not %.2f", full/theirs)
	}
	if median(starts) > 0.5 {
		b.Errorf("the bar for a start is 0.5 s, not %.2f s", median(starts))
	}
}

func fillWith100000(b *testing.B, s *swarm) {
	b.Helper()
	tail := encode(load100, open, int32(0))
	for dir := range 100 {
		_, _, err := s.drive(0, 1, 1, creatingOne(fmt.Sprint("/d", dir)), times(1))
		if err == nil {
			_, _, err = s.drive(0, 1, 100, func(b []byte, _, nth int) []byte {
				return append(append(b, encode(int32(create), fmt.Sprintf("/d%d/node-%d", dir, nth))...), tail...)
			}, times(1000))
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// resident is the memory of a process in MB.
func resident(tb testing.TB, pid int) float64 {
	tb.Helper()
	status := string(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))))
	_, rest, _ := strings.Cut(status, "VmRSS:")
	return float64(must(strconv.Atoi(strings.Fields(rest)[0]))) / 1024
}
