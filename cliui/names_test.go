package cliui

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestShortHostname(t *testing.T) {
	search := []string{"example.com", "foo.com."}
	for _, c := range []struct{ name, want string }{
		{"m1.example.com", "m1"},
		{"m7.example.com.", "m7"},
		{"m2.foo.com", "m2"},
		{"m3.sub.example.com", "m3.sub"},
		{"M6.EXAMPLE.COM", "M6"},
		{"example.com", "@"},
		{"m4.bar.com", "m4.bar.com."},
		{"xexample.com", "xexample.com."},
		{"m5", "m5."},
		{"127.0.0.1", "127.0.0.1."},
		{"a@b c", `a\@b\032c.`},
		{"é", `\233.`},
		{".", "."},
		{"", "Invalid hostname ''"},
		{"a..b", "Invalid hostname 'a..b'"},
		{".a", "Invalid hostname '.a'"},
		{strings.Repeat("x", 64), "Invalid hostname '" + strings.Repeat("x", 64) + "'"},
		{strings.Repeat("x.", 130), "Invalid hostname '" + strings.Repeat("x.", 130) + "'"},
		{"日", "Invalid hostname '日'"},
	} {
		got, err := shortHostname(c.name, search)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		}
	}
	if got, err := shortHostname("host1", nil); got != "host1." || err != nil {
		t.Errorf("without search list: got %q, %v", got, err)
	}
}

func TestCompleteHost(t *testing.T) {
	both := []string{"bar.com", "foo.com"}
	hosts := []string{"host1.foo.com", "host1.bar.com"}
	for _, c := range []struct {
		name, text string
		hosts      []string
		search     []string
		want       string
	}{
		{"a registered name is itself", "host1.bar.com", hosts, nil, "host1.bar.com"},
		{"a name that is none stays", "whee.bar.com", hosts, nil, "whee.bar.com"},
		{"the only one that begins so", "host1.b", hosts, nil, "host1.bar.com"},
		{"several without a search list stay", "host1", hosts, nil, "host1"},
		{"the earliest domain of the search list wins", "ho", hosts, both, "host1.bar.com"},
		{"domains are compared without final dots", "ho", []string{"host1.bar.com.", "host1.foo.com"}, []string{"foo.com.", "bar.com"}, "host1.foo.com"},
		{"and at label boundaries", "ho", []string{"host1.crowbar.com", "host1.foo.com"}, both, "host1.foo.com"},
		{"two in the same domain stay", "ho", []string{"host1.foo.com", "host2.foo.com"}, both, "ho"},
		{"a domain itself is in it", "f", []string{"foo.com", "foo.net"}, both, "foo.com"},
	} {
		if got := completeHost(c.text, c.hosts, c.search); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSearchList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	for _, c := range []struct {
		text string
		want []string
	}{
		{"nameserver 1.1.1.1\nsearch a.com b.com\n", []string{"a.com", "b.com"}},
		{"domain a.com\n", []string{"a.com"}},
		{"domain a.com\nsearch b.com", []string{"b.com"}},
		{"search b.com\ndomain a.com", []string{"b.com"}},
		{"search a.com\nsearch b.com", []string{"b.com"}},
		{"domain\n\n", nil},
	} {
		write(t, path, c.text)
		if got := searchList(path); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
	if got := searchList(path + "x"); got != nil {
		t.Errorf("of no file: %q", got)
	}
}
