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
		{strings.Repeat("s", maxPassword+1), "", "password: " + path + " is longer than 4096 bytes"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		password, err := readPassword(path)
		judge(t, c.text[:min(20, len(c.text))], password, err, c.password, c.err)
	}
	if _, err := readPassword(t.TempDir()); err == nil {
		t.Error("a directory is a password")
	}
}
