package storetest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// SuperCredential may do everything on the servers that Start and ZooKeeper give, after AddAuth("digest", …).
const (
	SuperCredential = "super:secret"
	superDigest     = "super:lK75jTNcA+U9vtVEw5vB51mj/w4="
)

const zookeeperJar = "/usr/share/java/zookeeper.jar"

// startLimit is how long a Java process may take to serve. It is long because test machines may be busy.
const startLimit = 3 * time.Minute

var shared struct {
	sync.Mutex
	member *member
}

// ZooKeeper returns the address of a real, standalone Apache ZooKeeper with the usual settings (session time-outs from 4
// to 40 s). It is started once for all tests of the binary, which share its tree: use a path of your own. Without an
// installed ZooKeeper the test is skipped, or fails if HELIOS_E2E is 1.
func ZooKeeper(t testing.TB) string {
	t.Helper()
	requireZooKeeper(t)
	shared.Lock()
	defer shared.Unlock()
	if shared.member != nil {
		return shared.member.addr
	}
	dir, err := os.MkdirTemp("", "zookeeper")
	if err != nil {
		t.Fatalf("start ZooKeeper: %v", err)
	}
	m := &member{dir: dir, addr: FreeAddr(t), throwAway: true}
	m.configure(t, "tickTime=2000\n")
	m.start(t)
	Eventually(t, startLimit, m.serving)
	shared.member = m
	return m.addr
}

func requireZooKeeper(t testing.TB) {
	t.Helper()
	_, noJava := exec.LookPath("java")
	_, noJar := os.Stat(zookeeperJar)
	switch missing := errors.Join(noJava, noJar); {
	case missing == nil:
	case os.Getenv("HELIOS_E2E") == "1":
		t.Fatalf("ZooKeeper is not installed: %v", missing)
	default:
		t.Skipf("ZooKeeper is not installed: %v", missing)
	}
}

// Ensemble is a group of real Apache ZooKeeper servers of one test.
type Ensemble struct {
	t       testing.TB
	members []*member
}

// StartEnsemble starts n servers for the duration of the test and waits until they serve. Their ticks are short (half a
// second) so that they notice failures quickly; session time-outs go from 1 to 60 s.
func StartEnsemble(t testing.TB, n int) *Ensemble {
	t.Helper()
	requireZooKeeper(t)
	e := &Ensemble{t: t}
	var config strings.Builder
	config.WriteString("tickTime=500\ninitLimit=20\nsyncLimit=6\nminSessionTimeout=1000\nmaxSessionTimeout=60000\n")
	for i := range n {
		e.members = append(e.members, &member{dir: t.TempDir(), addr: FreeAddr(t)})
		if n > 1 {
			_, quorum, _ := net.SplitHostPort(FreeAddr(t))
			_, election, _ := net.SplitHostPort(FreeAddr(t))
			fmt.Fprintf(&config, "server.%d=127.0.0.1:%s:%s\n", i+1, quorum, election)
		}
	}
	for i, m := range e.members {
		m.configure(t, config.String())
		if err := os.WriteFile(filepath.Join(m.dir, "data", "myid"), fmt.Appendln(nil, i+1), 0o600); err != nil {
			t.Fatalf("start ZooKeeper: %v", err)
		}
		m.start(t)
	}
	t.Cleanup(func() {
		for i := range e.members {
			e.Kill(i)
		}
	})
	for _, m := range e.members {
		Eventually(t, startLimit, m.serving)
	}
	return e
}

// Servers is the connect string of all members.
func (e *Ensemble) Servers() string {
	addrs := make([]string, len(e.members))
	for i, m := range e.members {
		addrs[i] = m.addr
	}
	return strings.Join(addrs, ",")
}

// Addr is the address of one member, counted from 0.
func (e *Ensemble) Addr(i int) string { return e.members[i].addr }

// Leader is the member that leads, or the only one; -1 if there is none at present.
func (e *Ensemble) Leader() int {
	for i, m := range e.members {
		if mode := m.mode(); mode == "leader" || mode == "standalone" {
			return i
		}
	}
	return -1
}

// Kill ends a member with SIGKILL and waits until it is gone. A member that is not running stays so.
func (e *Ensemble) Kill(i int) {
	e.t.Helper()
	e.members[i].kill(e.t)
}

// Restart starts a killed member again, with its data. It does not wait until it serves: there may be no quorum yet.
func (e *Ensemble) Restart(i int) {
	e.t.Helper()
	e.members[i].kill(e.t)
	e.members[i].start(e.t)
}

// Wipe removes the data of a killed member, as the loss of its disk would.
func (e *Ensemble) Wipe(i int) {
	e.t.Helper()
	if err := os.RemoveAll(e.data(i)); err != nil {
		e.t.Fatalf("wipe ZooKeeper: %v", err)
	}
}

// AwaitServing waits until a member serves: alone, as the leader, or as a follower, and then until every member that serves
// has what the leader has. ZooKeeper 3.8 may lose what was acknowledged when its leader dies while another member is still
// catching up, which no client can mend.
func (e *Ensemble) AwaitServing(i int) {
	e.t.Helper()
	Eventually(e.t, startLimit, e.members[i].serving)
	leader := e.Leader()
	if leader < 0 {
		return
	}
	done := e.members[leader].zxid()
	for _, m := range e.members {
		Eventually(e.t, startLimit, func() error {
			if zxid := m.zxid(); m.mode() != "" && zxid < done {
				return fmt.Errorf("ZooKeeper at %s has %x, the leader has %x", m.addr, zxid, done)
			}
			return nil
		})
	}
}

// AwaitLeader waits until the ensemble has a leader and returns it.
func (e *Ensemble) AwaitLeader() int {
	e.t.Helper()
	leader := -1
	Eventually(e.t, startLimit, func() error {
		if leader = e.Leader(); leader < 0 {
			return errors.New("no leader")
		}
		return nil
	})
	return leader
}

// member is one Java process. A shell between it and the test kills it when its standard input ends, so that none
// outlives the test binary, however that ends.
type member struct {
	dir       string
	addr      string
	throwAway bool     // remove dir with the process
	java      []string // what Java is told of itself; frugal by default
	cmd       *exec.Cmd
	leash     io.Closer
}

// frugal is how Java runs in tests: small, quick to start, without fsync.
var frugal = []string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.forceSync=no"}

const leashed = `"$@" & pid=$!; cat >/dev/null; kill -9 $pid; wait $pid 2>/dev/null; [ -z "$THROW_AWAY" ] || rm -rf "$THROW_AWAY"`

func (m *member) configure(t testing.TB, config string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(m.addr)
	config += fmt.Sprintf("dataDir=%s/data\nclientPort=%s\nclientPortAddress=%s\nmaxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=*\n", m.dir, port, host)
	err := errors.Join(os.MkdirAll(filepath.Join(m.dir, "data"), 0o700), os.WriteFile(filepath.Join(m.dir, "zoo.cfg"), []byte(config), 0o600))
	if err != nil {
		t.Fatalf("start ZooKeeper: %v", err)
	}
}

func (m *member) start(t testing.TB) {
	t.Helper()
	java := m.java
	if java == nil {
		java = frugal
	}
	m.cmd = exec.Command("sh", slices.Concat([]string{"-c", leashed, "sh", "java"}, java, []string{
		"-Dzookeeper.DigestAuthenticationProvider.superDigest=" + superDigest,
		"-cp", zookeeperJar, "org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(m.dir, "zoo.cfg"),
	})...)
	if m.throwAway {
		m.cmd.Env = append(os.Environ(), "THROW_AWAY="+m.dir)
	}
	out, err := os.OpenFile(filepath.Join(m.dir, "out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatalf("start ZooKeeper: %v", err)
	}
	defer out.Close()
	m.cmd.Stdout, m.cmd.Stderr = out, out
	m.leash, err = m.cmd.StdinPipe()
	if err := errors.Join(err, m.cmd.Start()); err != nil {
		t.Fatalf("start ZooKeeper: %v", err)
	}
}

func (m *member) kill(t testing.TB) {
	t.Helper()
	if m.cmd == nil {
		return
	}
	m.leash.Close()
	if err := m.cmd.Wait(); err != nil {
		t.Errorf("kill ZooKeeper: %v", err)
	}
	m.cmd = nil
}

// serving tells why the member cannot be used yet.
func (m *member) serving() error {
	if m.mode() != "" {
		return nil
	}
	out, _ := os.ReadFile(filepath.Join(m.dir, "out"))
	return fmt.Errorf("ZooKeeper at %s does not serve; it said: %s", m.addr, out)
}

// mode is what the member says it is: leader, follower, standalone, or nothing while it does not serve.
func (m *member) mode() string { return m.says("Mode") }

// zxid is the last transaction that the member has carried out; 0 while it does not serve.
func (m *member) zxid() int64 {
	zxid, _ := strconv.ParseInt(strings.TrimPrefix(m.says("Zxid"), "0x"), 16, 64)
	return zxid
}

// says is what the member says of itself under a name; nothing while it does not serve.
func (m *member) says(name string) string {
	answer, err := FourLetterWord(m.addr, "srvr")
	if err != nil {
		return ""
	}
	_, value, _ := strings.Cut(answer, "\n"+name+": ")
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// FourLetterWord sends one of ZooKeeper's four-letter words and returns the answer.
func FourLetterWord(addr, word string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(word)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}
