package roles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPasswordFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p")
	for _, c := range []struct{ text, password, err string }{
		{"secret\n", "secret", ""},
		{"secret", "secret", ""},
		{"secret\r\n", "secret", ""},
		{" a b:ü ", " a b:ü ", ""},
		{"", "", "password: " + path + " is empty"},
		{"\n", "", "password: " + path + " is empty"},
		{"secret\nmore\n", "", "password: " + path + " has more than one line"},
		{"secret\x00", "", "password: " + path + " has more than one line"},
		{"secret\xff", "", "password: " + path + " is not UTF-8"},
		{strings.Repeat("s", maxPassword), strings.Repeat("s", maxPassword), ""},
		{strings.Repeat("s", 1<<20), "", "password: " + path + " is longer than 4096 bytes"},
		{strings.Repeat("s", maxPassword+1), "", "password: " + path + " is longer than 4096 bytes"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		password, err := readPassword(path)
		judge(t, c.text[:min(20, len(c.text))], password, err, c.password, c.err)
	}
	for what, path := range map[string]string{"a directory": t.TempDir(), "nothing": path + "-missing"} {
		if password, err := readPassword(path); err == nil || !strings.HasPrefix(err.Error(), "password: ") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s is a password: %q, %v", what, password, err)
		}
	}
	for mode, open := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o444: true, 0o604: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if openToAll(path) != open {
			t.Errorf("mode %o: open to all is %v", mode, !open)
		}
	}
}
