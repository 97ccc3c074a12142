package roles_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/helios-go/helios/cliui/manual"
)

// TestManualNamesAllPromises wants helios manual promises to list the fault suite's tests as they are, in their order.
func TestManualNamesAllPromises(t *testing.T) {
	t.Parallel()
	page, ok := manual.Find("promises")
	if !ok {
		t.Fatal("there is no such page")
	}
	told, tested := toldPromises(page.Text), testedPromises(t)
	if len(tested) == 0 {
		t.Fatal("no promise was found in the fault suite")
	}
	for name := range told {
		if tested[name] == nil {
			t.Errorf("the manual names %s, which is no test of the fault suite", name)
		}
	}
	for name, promises := range tested {
		for _, p := range promises {
			if !slices.Contains(told[name], p) {
				t.Errorf("%s: the manual does not tell: %s", name, p)
			}
		}
		for _, p := range told[name] {
			if !slices.Contains(promises, p) {
				t.Errorf("%s: the manual promises what no test tests: %s", name, p)
			}
		}
		if !slices.Equal(told[name], promises) {
			t.Errorf("%s: the manual has not the order of the tests", name)
		}
	}
}

// toldPromises are the lists of a page, each below a line that names a test, by that name.
func toldPromises(page string) map[string][]string {
	lists := make(map[string][]string)
	name := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		list := lists[name]
		switch first, isFirst := strings.CutPrefix(line, "- "); {
		case strings.HasPrefix(line, "`TestFaultsOf"):
			name = strings.Trim(line, "`:")
		case strings.HasPrefix(line, "#"):
			name = ""
		case name == "":
		case isFirst:
			lists[name] = append(list, first)
		case strings.HasPrefix(line, "  ") && len(list) > 0:
			list[len(list)-1] += " " + strings.TrimSpace(line)
		}
	}
	return lists
}

// testedPromises are the sentences of the fault suite, by the names of the tests that put them to the test.
func testedPromises(t *testing.T) map[string][]string {
	t.Helper()
	files, err := filepath.Glob("faults*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	lists := make(map[string][]string)
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "TestFaultsOf") {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				list, ok := n.(*ast.CompositeLit)
				if !ok || list.Type != nil || len(list.Elts) == 0 { // elements of the list have no type of their own
					return true
				}
				if says, ok := list.Elts[0].(*ast.BasicLit); ok && says.Kind == token.STRING {
					sentence, err := strconv.Unquote(says.Value)
					if err != nil {
						t.Fatal(err)
					}
					lists[f.Name.Name] = append(lists[f.Name.Name], sentence)
				}
				return true
			})
		}
	}
	return lists
}
