package cliui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
)

// configuration is what names masters when no option does: the file
// ~/.helios/config and the variable HELIOS_MASTER, which replaces the file's
// masters but not its service name (testdata/spec/5-cli.md §4.1, §4.2).
//
// Each source carries its own mistake, because a broken one matters only if it
// is needed.
type configuration struct {
	file    masterFile
	fileErr error

	fromEnv bool // HELIOS_MASTER is set: only its endpoints and domains count
	env     masterFile
	envErr  error
}

// masterFile is a file, or something like one, that names masters.
type masterFile struct {
	endpoints []string
	domains   []string
	srvName   string
}

// configuration reads both sources.
func (s *session) configuration() configuration {
	var c configuration
	if home := s.home(); home != "" {
		c.file, c.fileErr = readMasterFile(filepath.Join(home, ".helios", "config"))
	}
	if value, ok := s.opts.LookupEnv("HELIOS_MASTER"); ok {
		c.fromEnv = true
		c.env, c.envErr = parseMaster(value)
	}
	return c
}

// warn tells of mistakes in sources that are not needed.
func (c configuration) warn(s *session) {
	if err := errors.Join(c.fileErr, c.envErr); err != nil {
		for line := range strings.Lines(err.Error()) {
			s.warn(line)
		}
	}
}

// home is the user's home directory: $HOME first.
func (s *session) home() string {
	if home, _ := s.opts.LookupEnv("HOME"); home != "" {
		return home
	}
	if u, err := user.Current(); err == nil {
		return u.HomeDir
	}
	return ""
}

var domainName = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?(\.[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?)*\.?$`)

// parseMaster reads the value of HELIOS_MASTER.
func parseMaster(value string) (masterFile, error) {
	problem := func(what string) (masterFile, error) {
		return masterFile{}, originalf("Your environment variable HELIOS_MASTER=%s %s", value, what)
	}
	uri, err := url.Parse(value)
	switch {
	case strings.HasPrefix(value, "http://"), strings.HasPrefix(value, "https://"):
		return masterFile{endpoints: []string{value}}, nil
	case err != nil, uri.Scheme == "":
		return problem("is not a valid URI with a scheme.")
	case uri.Scheme != "domain":
		return problem("does not have a valid scheme.")
	case !domainName.MatchString(uri.Hostname()):
		return problem("does not name a domain.")
	default:
		return masterFile{domains: []string{uri.Hostname()}}, nil
	}
}

// maxConfig bounds the size of a configuration file.
const maxConfig = 1 << 20

// readMasterFile reads a configuration file. One that is absent, unreadable or
// empty names nothing.
func readMasterFile(path string) (masterFile, error) {
	file, err := os.Open(path)
	if err != nil {
		return masterFile{}, nil
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig))
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return masterFile{}, nil
	}
	return parseMasterFile(path, text)
}

// parseMasterFile reads a configuration in JSON. Keys it does not know are
// ignored; null stands for absent.
func parseMasterFile(path string, text []byte) (masterFile, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return masterFile{}, jsonProblem(path, text, err)
	}
	var f masterFile
	for _, member := range []struct {
		name, want string
		value      any
	}{
		{"masterEndpoints", "a list of strings", &f.endpoints},
		{"domains", "a list of strings", &f.domains},
		{"srvName", "a string", &f.srvName},
	} {
		if raw, ok := members[member.name]; ok && json.Unmarshal(raw, member.value) != nil {
			return masterFile{}, fmt.Errorf("%s: %s is not %s", path, member.name, member.want)
		}
	}
	for _, endpoint := range f.endpoints {
		if !isURI(endpoint) {
			return masterFile{}, fmt.Errorf("%s: master endpoint %q is not a valid URI", path, endpoint)
		}
	}
	return f, nil
}

// jsonProblem names the place of a mistake as path: line: message.
func jsonProblem(path string, text []byte, err error) error {
	offset, what := int64(len(text)), err.Error()
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = min(e.Offset, offset)
		if offset == int64(len(text)) && strings.HasPrefix(what, "unexpected end") {
			what = "Expecting close brace } or a comma, got end of file"
		}
	} else {
		offset, what = 0, "not a JSON object"
	}
	return fmt.Errorf("%s: %d: %s", path, 1+bytes.Count(text[:offset], []byte("\n")), what)
}
