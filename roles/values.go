package roles

//lint:file-ignore ST1005 the messages are the original's

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
)

// The readers of option values (operations §1.4, §1.6, agent §1.4). Their messages are the original's.

// pairs reads KEY=VALUE words; a later one wins. hint follows the message of a word without "=".
func pairs(option string, words []string, hint string) (map[string]string, error) {
	m := make(map[string]string, len(words))
	for _, word := range words {
		key, value, found := strings.Cut(word, "=")
		if !found {
			return nil, fmt.Errorf("Bad --%s value: %s%s", option, word, hint)
		}
		m[key] = value
	}
	return m, nil
}

// portRange reads start:end, end exclusive.
func portRange(text string) (first, end int, err error) {
	bad := fmt.Errorf("Bad port range: %s", text)
	from, to, found := strings.Cut(text, ":")
	if !found {
		return 0, 0, bad
	}
	first, err1 := strconv.Atoi(from)
	end, err2 := strconv.Atoi(to)
	if err1 != nil || err2 != nil || first < 1 || end > 65536 || end <= first {
		return 0, 0, bad
	}
	return first, end, nil
}

// listenURL reads the address of a listener: a URL of which only host and port count.
func listenURL(text string) (string, error) {
	u, err := url.Parse(text)
	if e, ok := errors.AsType[*url.Error](err); ok && strings.Contains(e.Err.Error(), "invalid port") {
		u, err = &url.URL{}, nil // java.net.URI then finds no host
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("Bad address: %s", text)
	case u.Hostname() == "" || strings.Contains(u.Hostname(), "_"):
		return "", errors.New("hostname can't be null")
	case u.Port() == "":
		return "", errors.New("port out of range:-1")
	}
	if _, err := strconv.ParseUint(u.Port(), 10, 16); err != nil {
		return "", fmt.Errorf("port out of range:%s", u.Port())
	}
	return net.JoinHostPort(u.Hostname(), u.Port()), nil
}

// listenAddress reads an address of solo: host:port, or a URL.
func listenAddress(option, text string) (string, error) {
	if strings.Contains(text, "://") {
		address, err := listenURL(text)
		if err != nil {
			return "", fmt.Errorf("--%s %s: %w", option, text, err)
		}
		return address, nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("--%s %s: want host:port or a URL", option, text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("--%s %s: port %q is not a number from 0 to 65535", option, text, port)
	} else if host == "" {
		return "", fmt.Errorf("--%s %s: host is missing before :%d", option, text, n)
	}
	return text, nil
}

func addresses(words []string) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, word := range words {
		address, err := netip.ParseAddr(word)
		if err != nil || address.Zone() != "" {
			return nil, fmt.Errorf("Invalid IP address %s", word)
		}
		list = append(list, address)
	}
	return list, nil
}

// volumeName is what Docker takes as the name of a volume.
var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// binds reads [source:]path[:ro|rw] words, as they go to Docker. What Docker would refuse makes every task of the host fail,
// so it is refused here.
func binds(words []string) ([]string, error) {
	taken := map[string]string{}
	for _, word := range words {
		at, err := bindPath(word)
		if err != nil {
			return nil, err
		}
		if other, ok := taken[at]; ok {
			return nil, fmt.Errorf("--bind %q: %s is the path of --bind %q already", word, at, other)
		}
		taken[at] = word
	}
	return words, nil
}

// bindPath is where in a container a bind appears.
func bindPath(word string) (string, error) {
	parts := strings.Split(strings.TrimRight(word, ":"), ":")
	valid := parts[0] != "" && len(parts) <= 3 && (len(parts) < 2 || parts[1] != "") &&
		(len(parts) < 3 || parts[2] == "ro" || parts[2] == "rw")
	if !valid {
		return "", fmt.Errorf("Invalid bind %s", word)
	}
	at := parts[min(len(parts), 2)-1]
	switch {
	case strings.HasSuffix(word, ":"):
		return "", fmt.Errorf("--bind %q: nothing stands behind the last colon", word)
	case !path.IsAbs(at):
		return "", fmt.Errorf("--bind %q: the path in the container, %q, must be absolute", word, at)
	case path.Clean(at) == "/":
		return "", fmt.Errorf("--bind %q: the path in the container must not be its root", word)
	case len(parts) > 1 && !path.IsAbs(parts[0]) && !volumeName.MatchString(parts[0]):
		return "", fmt.Errorf("--bind %q: the source, %q, must be an absolute path or the name of a volume", word, parts[0])
	}
	return path.Clean(at), nil
}

// extraHosts reads host:ip words, in which an IPv6 address stands in brackets, and gives them the form that Docker wants.
// A name is one word of a line of /etc/hosts.
func extraHosts(words []string) ([]string, error) {
	var list []string
	for _, word := range words {
		bad := fmt.Errorf("Invalid ExtraHost %s", word)
		name, text, found := strings.Cut(strings.TrimRight(word, ":"), ":")
		if inner, bracketed := strings.CutPrefix(text, "["); bracketed {
			text, bracketed = strings.CutSuffix(inner, "]")
			found = found && bracketed
		} else if strings.Contains(text, ":") {
			return nil, bad
		}
		address, err := netip.ParseAddr(text)
		switch {
		case err != nil || !found || name == "" || address.Zone() != "":
			return nil, bad
		case strings.HasSuffix(word, ":"):
			return nil, fmt.Errorf("--add-host %q: nothing stands behind the last colon", word)
		case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '#' }):
			return nil, fmt.Errorf("--add-host %q: a host name has neither spaces nor control characters nor #", word)
		}
		list = append(list, name+":"+address.String())
	}
	return list, nil
}

// checkSyslog refuses what Docker's syslog driver cannot send to. Without a port it sends to 514.
func checkSyslog(text string) error {
	if text == "" {
		return nil
	}
	bad := fmt.Errorf("--syslog-redirect-to %q: want host:port, the port from 1 to 65535", text)
	u, err := url.Parse("udp://" + text)
	if err != nil || u.Host == "" {
		return bad
	}
	address := u.Host
	if u.Port() == "" {
		address += ":514"
	}
	_, port, err := net.SplitHostPort(address)
	if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || n == 0 {
		return bad
	}
	return nil
}

// registrationTTL reads --zk-registration-ttl, which is in minutes; more than a duration holds is as good as for ever.
func registrationTTL(minutes int64) (time.Duration, error) {
	if minutes < 0 {
		return 0, fmt.Errorf("--zk-registration-ttl %d: want 0 minutes or more", minutes)
	}
	return time.Duration(min(minutes, int64(math.MaxInt64/time.Minute))) * time.Minute, nil
}

// pollEvery reads HELIOS_WAIT_INSPECT_INTERVAL_MILLIS: how often running containers are looked at. Empty is zero.
func pollEvery(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("HELIOS_WAIT_INSPECT_INTERVAL_MILLIS: %q is not a positive number of milliseconds", text)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// checkStatsd refuses what is not host:port.
func checkStatsd(text string) error {
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ":")
	if len(parts) != 2 {
		return errors.New("Specification of statsd host port has wrong number of parts. Should be host:port")
	}
	if _, err := strconv.ParseInt(parts[1], 10, 32); err != nil {
		return fmt.Errorf("For input string: %q", parts[1])
	}
	return nil
}

// checkFFWD refuses an address without a port.
func checkFFWD(text string) error {
	if text == "" || isHostPort(text) {
		return nil
	}
	return fmt.Errorf("--ffwd-address %s: want host:port", text)
}

// checkBrokers refuses what is no list of host:port; one word may be such a list too.
func checkBrokers(words []string) error {
	for _, broker := range strings.Split(strings.Join(words, ","), ",") {
		if broker = strings.TrimSpace(broker); broker != "" && !isHostPort(broker) {
			return fmt.Errorf("--kafka %s: want host:port", broker)
		}
	}
	return nil
}

func isHostPort(text string) bool {
	host, port, err := net.SplitHostPort(text)
	_, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && host != ""
}

// fileProblem says what is wrong with the file that an option names, nil for nothing.
func fileProblem(name string) error {
	file, err := os.Open(name)
	switch {
	case err == nil:
		return file.Close()
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("Insufficient permissions to read file: '%s'", name)
	default:
		return fmt.Errorf("File not found: '%s'", name)
	}
}

// hostName is what the process is called in the cluster: --name, else the name that the machine has for itself, that of
// uname -n.
func hostName(flags *cli.Context) (string, error) {
	if flags.IsSet("name") {
		return checkName(flags.String("name"))
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("host name: %w; give --name", err)
	}
	return checkName(strings.TrimSpace(name))
}

// checkName refuses a host name that cannot be one component of a path in the store.
func checkName(name string) (string, error) {
	bad := func(r rune) bool { return r == '/' || unicode.IsControl(r) || r == unicode.ReplacementChar }
	if name == "" || name == "." || name == ".." || strings.ContainsFunc(name, bad) {
		return "", fmt.Errorf("--name %q: a host name is not empty and has neither slashes nor control characters", name)
	}
	return name, nil
}
