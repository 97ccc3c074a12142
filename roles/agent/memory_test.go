package agent

import (
	"slices"
	"testing"
)

// TestFormerAgentsAreRemembered: after a restart too, since their containers may run for years.
func TestFormerAgentsAreRemembered(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir := open(t, path)
	m, err := openMemory(dir, place{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second", "first"} {
		if err := m.takeOver(id); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openMemory(dir, place{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*memory{m, again} {
		if got := m.former(); !slices.Equal(got, []string{"second", "first"}) {
			t.Errorf("former agents %q", got)
		}
	}
}

// TestMemoryOfBeforeThereWereVersionsIsRead: such files are in use.
func TestMemoryOfBeforeThereWereVersionsIsRead(t *testing.T) {
	t.Parallel()
	dir := open(t, t.TempDir())
	if err := dir.write(memoryFile, []byte(`{"former": ["x"], "hosts": {"created": 5, "changes": 1}}`)); err != nil {
		t.Fatal(err)
	}
	m, err := openMemory(dir, place{})
	if err != nil || m.newer != nil || m.Hosts == nil || m.Hosts.Created != 5 || !slices.Equal(m.former(), []string{"x"}) {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestCopiedStateDirectoriesAreToldFromMovedOnes(t *testing.T) {
	t.Parallel()
	before := place{Machine: "m", Path: "/a", Inode: 1}
	for _, c := range []struct {
		name   string
		now    place
		copied bool
	}{
		{"as it was", before, false},
		{"renamed", place{"m", "/b", 1}, false},
		{"on a disk that was put into another machine", place{"n", "/a", 1}, false},
		{"in a file system that numbers its files anew at every mount", place{"m", "/a", 2}, false},
		{"copied on the machine", place{"m", "/b", 2}, true},
		{"copied to the same place of another machine", place{"n", "/a", 2}, true},
	} {
		if got := c.now.copied(before); got != c.copied {
			t.Errorf("%s: copied is %t", c.name, got)
		}
	}
	dir := open(t, t.TempDir())
	if _, err := dir.agentID("x"); err != nil {
		t.Fatal(err)
	}
	here, err := dir.place()
	if err != nil || here.Path == "" || here.Inode == 0 {
		t.Errorf("place %+v, %v", here, err)
	}
}
