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
	m, err := openMemory(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second", "first"} {
		if err := m.takeOver(id); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openMemory(dir)
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
	m, err := openMemory(dir)
	if err != nil || m.newer != nil || m.Hosts == nil || m.Hosts.Created != 5 || !slices.Equal(m.former(), []string{"x"}) {
		t.Errorf("%+v, %v", m, err)
	}
}
