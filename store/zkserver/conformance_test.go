package zkserver_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/helios-go/helios/store/storetest"
)

var update = flag.Bool("update", false, "record the transcripts of the conformance cases from a real ZooKeeper")

// transcripts holds a section for each case, begun by a line "== name".
const transcripts = "testdata/conformance.txt"

// conformance is every case by its name.
func conformance() map[string]func(*script) {
	all := map[string]func(*script){}
	for _, group := range []map[string]func(*script){nodeCases, frameCases, multiCases, sessionCases, watchCases, accessCases, clientCases, greetingCases, matrixCases()} {
		maps.Copy(all, group)
	}
	return all
}

// TestConformance runs every case on the embedded server and on a real ZooKeeper 3.8. The transcripts must be the
// recorded ones, on both.
func TestConformance(t *testing.T) {
	recorded := map[string]string{}
	if !*update {
		for section := range strings.SplitSeq("\n"+string(must(os.ReadFile(transcripts))), "\n== ") {
			name, text, _ := strings.Cut(section, "\n")
			recorded[name] = strings.TrimRight(text, "\n") + "\n"
		}
		delete(recorded, "")
	}
	cases := conformance()
	fresh := map[string]*string{}
	for name := range cases {
		fresh[name] = new(string)
	}
	for server, start := range map[string]func(testing.TB) string{
		"embedded":  storetest.Start,
		"zookeeper": storetest.ZooKeeper,
	} {
		if *update && server == "embedded" {
			continue
		}
		t.Run(server, func(t *testing.T) {
			addr := start(t)
			for name, run := range cases {
				t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
					t.Parallel()
					got := play(t, addr, name, run)
					if *update {
						*fresh[name] = got
						return
					}
					if diff := cmp.Diff(strings.Split(recorded[name], "\n"), strings.Split(got, "\n")); diff != "" {
						t.Error(diff)
					}
				})
			}
		})
	}
	if *update && !t.Failed() {
		var text strings.Builder
		for _, name := range slices.Sorted(maps.Keys(fresh)) {
			fmt.Fprintf(&text, "== %s\n%s\n", name, *fresh[name])
		}
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(transcripts, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name := range recorded {
		if cases[name] == nil {
			t.Errorf("there is a transcript, but no case %q", name)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// play runs one case below a root of its own.
func play(t *testing.T, addr, name string, run func(*script)) string {
	s := &script{T: t, addr: addr, root: fmt.Sprintf("/conformance-%08d-%s", os.Getpid(), strings.ReplaceAll(name, " ", "-"))}
	defer func() {
		for _, c := range s.conns {
			c.Close()
		}
	}()
	setup := s.connect()
	setup.send(create, "/", []byte("root"), open, 0)
	if b, err := setup.readFrame(); err != nil || len(b) < 16 || string(b[12:16]) != "\x00\x00\x00\x00" {
		t.Fatalf("create %s: %x, %v", s.root, b, err)
	}
	setup.send(closeSession)
	if _, err := setup.readFrame(); err != nil {
		t.Fatal(err)
	}
	s.sessions = nil
	run(s)
	return s.transcript()
}
