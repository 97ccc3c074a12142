package roles

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// The readers of option values (operations §1.4, §1.6, agent §1.4). Their messages are the original's.

// pairs reads KEY=VALUE words; a later one wins. hint follows the message of a word without "=".
func pairs(option string, words []string, hint string) (map[string]string, error) {
	m := make(map[string]string, len(words))
	for _, word := range words {
		key, value, found := strings.Cut(word, "=")
		if !found {
			return nil, fmt.Errorf("Bad --%s value: %s%s", option, word, hint) //nolint:staticcheck // the original's words
		}
		m[key] = value
	}
	return m, nil
}

// portRange reads start:end, end exclusive.
func portRange(text string) (first, end int, err error) {
	bad := fmt.Errorf("Bad port range: %s", text) //nolint:staticcheck // the original's words
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
	switch {
	case err != nil && strings.Contains(err.Error(), "port"):
		return "", fmt.Errorf("port out of range:%s", text[strings.LastIndex(text, ":")+1:])
	case err != nil:
		return "", fmt.Errorf("Bad address: %s", text) //nolint:staticcheck // the original's words
	case u.Hostname() == "" || strings.Contains(u.Hostname(), "_"):
		return "", fmt.Errorf("hostname can't be null")
	case u.Port() == "":
		return "", fmt.Errorf("port out of range:-1")
	}
	if port, err := strconv.ParseUint(u.Port(), 10, 64); err != nil || port > 65535 {
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
			return nil, fmt.Errorf("Invalid IP address %s", word) //nolint:staticcheck // the original's words
		}
		list = append(list, address)
	}
	return list, nil
}

// checkBinds refuses what is not source[:path[:ro|rw]]. Trailing colons count for nothing.
func checkBinds(words []string) error {
	for _, word := range words {
		parts := strings.Split(strings.TrimRight(word, ":"), ":")
		ok := parts[0] != "" && len(parts) <= 3 && (len(parts) < 2 || parts[1] != "") &&
			(len(parts) < 3 || parts[2] == "ro" || parts[2] == "rw")
		if !ok {
			return fmt.Errorf("Invalid bind %s", word) //nolint:staticcheck // the original's words
		}
	}
	return nil
}

// checkExtraHosts refuses what is not host:ip; an IPv6 address stands in brackets.
func checkExtraHosts(words []string) error {
	for _, word := range words {
		name, address, found := strings.Cut(word, ":")
		if inner, bracketed := strings.CutPrefix(address, "["); bracketed && strings.HasSuffix(inner, "]") {
			address = strings.TrimSuffix(inner, "]")
		} else if strings.Contains(address, ":") {
			found = false
		}
		if _, err := netip.ParseAddr(address); !found || name == "" || err != nil {
			return fmt.Errorf("Invalid ExtraHost %s", word) //nolint:staticcheck // the original's words
		}
	}
	return nil
}

// nodeName is the name that the machine has for itself: that of uname -n.
func nodeName() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("host name: %w; give --name", err)
	}
	return strings.TrimSpace(name), nil
}
