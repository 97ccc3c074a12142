package roles_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/helios-go/helios/cliui/manual"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/storetest"
	"github.com/helios-go/helios/supervisor/dockertest"
)

// TestManual does what the pages of the manual show, in a directory and with a solo of its own for each page, and wants
// to see what they say. Addresses and images of the pages are replaced by those of the test, in what is done and in what
// is seen.
func TestManual(t *testing.T) {
	t.Parallel()
	for _, page := range manual.Pages() {
		t.Run(page.Topic, func(t *testing.T) {
			t.Parallel()
			r := newReader(t)
			examples := examplesOf(t, page)
			if !strings.Contains(page.Text, " &\n") { // it starts nothing itself
				r.background(example{command: "helios solo", shows: []string{"…"}})
				newCluster(t, "http://"+r.api, "").await("solo", host.Up)
			}
			for _, e := range examples {
				r.follow(e)
			}
		})
	}
}

// example is one command of a page and what it shows.
type example struct {
	line    int
	command string
	shows   []string
	exit    int
}

// examplesOf are the commands of a page's console blocks.
func examplesOf(t *testing.T, page manual.Page) []example {
	t.Helper()
	var list []example
	console := false
	for i, line := range strings.Split(page.Text, "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		exit := regexp.MustCompile(`^\[exit (\d+)\]$`).FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "```"):
			console = line == "```console"
		case !console:
		case isCommand:
			list = append(list, example{line: i + 1, command: command})
		case len(list) == 0:
			t.Fatalf("%s:%d: output of no command", page.Topic, i+1)
		case exit != nil:
			list[len(list)-1].exit, _ = strconv.Atoi(exit[1])
		default:
			list[len(list)-1].shows = append(list[len(list)-1].shows, line)
		}
	}
	return list
}

// reader is someone who tries what a page says.
type reader struct {
	t        *testing.T
	dir, api string
	env      []string
	ours     *strings.Replacer   // what the test has for what the page says
	theirs   *strings.Replacer   // and back
	extra    map[string][]string // options that keep daemons of tests apart
}

func newReader(t *testing.T) *reader {
	t.Helper()
	docker := dockertest.New(t)
	image := "127.0.0.1:1/" + docker.Host + "/web:1"
	docker.Load(image, dockertest.Probe(t))
	dir := t.TempDir()
	api, admin, zk := storetest.FreeAddr(t), storetest.FreeAddr(t), storetest.FreeAddr(t)
	ensemble := storetest.Start(t)
	r := &reader{
		t: t, dir: dir, api: api,
		env: []string{"HOME=" + dir, "XDG_STATE_HOME=" + filepath.Join(dir, "state")},
		ours: strings.NewReplacer("registry.example.net/web:1", image, "127.0.0.1:5801", api, "0.0.0.0:5801", api,
			"master1.example.net:5801", api, "zk1.example.net:2181", ensemble, "/var/lib/helios-agent", filepath.Join(dir, "agent"),
			"/etc/helios/", dir+"/"),
		theirs: strings.NewReplacer(image, "registry.example.net/web:1", api, "127.0.0.1:5801", admin, "127.0.0.1:5802", zk, "127.0.0.1:2181"),
		extra: map[string][]string{
			"solo":   {"--http", api, "--admin", admin, "--zk", zk},
			"master": {"--admin", "http://" + admin},
			"agent":  {"--no-http"},
		},
	}
	t.Cleanup(func() {
		if id := read(filepath.Join(dir, "state", "helios", "solo", "agent", "id")); id != "" {
			docker.Own("helios.agent=" + strings.TrimSpace(id))
		}
	})
	return r
}

// follow does one example.
func (r *reader) follow(e example) {
	r.t.Helper()
	words := strings.Fields(r.ours.Replace(e.command))
	switch {
	case words[len(words)-1] == "&":
		e.command = strings.TrimSuffix(e.command, " &")
		r.background(e)
	case words[0] == "cat": // shows a file, so that there is one
		path := words[1]
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.dir, path)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(r.ours.Replace(strings.Join(e.shows, "\n")+"\n")), 0o600); err != nil {
			r.t.Fatal(err)
		}
	default:
		r.client(e, words)
	}
}

// background starts a daemon and waits until it shows what it should.
func (r *reader) background(e example) {
	r.t.Helper()
	words := strings.Fields(r.ours.Replace(e.command))[1:]
	p := start(r.t, r.env, append(words, r.extra[words[0]]...)...)
	storetest.Eventually(r.t, inTime, func() error { return e.differs(r.theirs.Replace(p.out())) })
}

// client runs a command of the client. What it shows may need time to come true; one that changes something is done once.
// watch goes on for ever, and is interrupted when it has shown enough.
func (r *reader) client(e example, words []string) {
	r.t.Helper()
	env := r.env
	for words[0] != "helios" {
		env, words = append(env, words[0]), words[1:]
	}
	words = words[1:]
	if words[0] == "watch" {
		p := start(r.t, env, words...)
		storetest.Eventually(r.t, inTime, func() error { return e.differs(r.theirs.Replace(p.out())) })
		p.signal(syscall.SIGINT)
		if exit := p.end(); exit != 130 {
			r.t.Errorf("line %d: %s ended with %d", e.line, e.command, exit)
		}
		return
	}
	once := func() error {
		c := command(r.t, env, words...)
		c.Dir = r.dir
		var text bytes.Buffer
		c.Stdout, c.Stderr = &text, &text
		if err := c.Run(); err != nil && c.ProcessState == nil {
			r.t.Fatal(err)
		}
		if exit := c.ProcessState.ExitCode(); exit != e.exit {
			return fmt.Errorf("line %d: %s ended with %d, want %d: %s", e.line, e.command, exit, e.exit, text.String())
		}
		return e.differs(r.theirs.Replace(text.String()))
	}
	if regexp.MustCompile(`\b(hosts|status|history|masters)\b`).MatchString(e.command) {
		storetest.Eventually(r.t, inTime, once)
	} else if err := once(); err != nil {
		r.t.Fatal(err)
	}
}

// differs says in what a text is not what the example shows. The number of blanks and dashes counts for nothing.
func (e example) differs(text string) error {
	even := func(line string) string {
		return regexp.MustCompile(`-{3,}`).ReplaceAllString(strings.Join(strings.Fields(line), " "), "---")
	}
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for _, line := range e.shows {
		if line == "…" {
			pattern.WriteString(`(.*\n)*`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(even(line)), "…", ".*") + `\n`)
	}
	pattern.WriteString(`$`)
	var got strings.Builder
	for line := range strings.Lines(text) {
		got.WriteString(even(line) + "\n")
	}
	if !regexp.MustCompile(pattern.String()).MatchString(got.String()) {
		return fmt.Errorf("line %d: %s shows\n%swant\n%s", e.line, e.command, text, strings.Join(e.shows, "\n"))
	}
	return nil
}
