// Report reads the output of `go test -json` and prints what a person wants of it: go's own line of each package, the
// output of failed tests, and at the end which tests failed or were skipped, and how many.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// key names a test, or with an empty test its package's own output.
type key struct{ pkg, test string }

type report struct {
	output          map[key][]string // of what has not ended yet
	failed, skipped []string
	passed          int
}

func main() {
	r := report{output: make(map[key][]string)}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		var e event
		if json.Unmarshal(line, &e) == nil {
			r.add(e)
		} else {
			os.Stdout.Write(line) // not of go test: whatever it says may matter
		}
		if err != nil {
			break
		}
	}
	r.close()
}

func (r *report) add(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Print(e.Output)
	case "output":
		if e.Test == "" && packageLine(e.Output) {
			fmt.Print(e.Output)
		} else {
			r.output[k] = append(r.output[k], e.Output)
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(k, e.Action)
		}
	}
}

// packageLine says whether a package's output is one of go's own closing lines.
func packageLine(text string) bool {
	return strings.HasPrefix(text, "ok  \t") || strings.HasPrefix(text, "FAIL\t") || strings.HasPrefix(text, "?   \t")
}

func (r *report) endTest(k key, action string) {
	lines := r.output[k]
	delete(r.output, k)
	name := k.pkg + " " + k.test
	switch action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped = append(r.skipped, name+": "+reason(lines))
	case "fail":
		r.failed = append(r.failed, name)
		show(lines)
	}
}

// reason is the last thing that a skipped test said.
func reason(lines []string) string {
	said := "no reason given"
	for _, line := range lines {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "===") && !strings.HasPrefix(text, "---") {
			said = text
		}
	}
	return said
}

// show prints the output of a failed test or package without the lines that say only how far it is.
func show(lines []string) {
	for _, line := range lines {
		if !strings.HasPrefix(line, "=== ") && line != "PASS\n" && line != "FAIL\n" {
			fmt.Print(line)
		}
	}
}

// endPackage shows of a failed package also its own output and that of the tests that it took down with it. A package
// that fails without a failed test, because it does not compile, counts as one.
func (r *report) endPackage(e event) {
	for k, lines := range r.output {
		if k.pkg != e.Package {
			continue
		}
		delete(r.output, k)
		if e.Action != "fail" {
			continue
		}
		show(lines)
		if k.test != "" {
			r.failed = append(r.failed, k.pkg+" "+k.test+" (did not end)")
		}
	}
	ofPackage := func(name string) bool { return strings.HasPrefix(name, e.Package+" ") }
	if e.Action == "fail" && !slices.ContainsFunc(r.failed, ofPackage) {
		r.failed = append(r.failed, e.Package)
	}
}

func (r *report) close() {
	fmt.Println()
	for _, name := range r.skipped {
		fmt.Println("skipped:", name)
	}
	for _, name := range r.failed {
		fmt.Println("failed:", name)
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skipped))
	if len(r.failed) > 0 {
		fmt.Println("FAIL")
	}
}
