package cliui

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
)

// searchList reads the domains that the resolver tries: those of the last
// "search" line, or of the first "domain" line before one.
func searchList(path string) []string {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var domains []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		switch words := strings.Fields(lines.Text()); {
		case len(words) == 0:
		case words[0] == "search":
			domains = words[1:]
		case words[0] == "domain" && len(words) > 1 && len(domains) == 0:
			domains = words[1:2]
		}
	}
	return domains
}

// shortHostname is a host's name as lists show it: without a domain of the
// search list, else as an absolute DNS name with a final dot
// (testdata/spec/5-cli.md §6.3).
func shortHostname(name string, search []string) (string, error) {
	labels, err := dnsLabels(name)
	if err != nil {
		return "", err
	}
	for _, domain := range search {
		suffix, err := dnsLabels(domain)
		if err != nil || len(suffix) == 0 || len(suffix) > len(labels) {
			continue
		}
		head := labels[:len(labels)-len(suffix)]
		switch {
		case !slices.EqualFunc(labels[len(head):], suffix, strings.EqualFold):
		case len(head) == 0:
			return "@", nil
		default:
			return strings.Join(head, "."), nil
		}
	}
	return strings.Join(labels, ".") + ".", nil
}

// dnsLabels splits a name at its dots and writes each label the way DNS
// programs do, with escapes.
func dnsLabels(name string) ([]string, error) {
	invalid := originalf("Invalid hostname '%s'", name)
	if name == "." {
		return nil, nil
	}
	var labels []string
	total := 1
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		var text strings.Builder
		length := 0
		for _, r := range label {
			switch {
			case r > 0xff:
				return nil, invalid
			case r <= ' ' || r >= 0x7f:
				fmt.Fprintf(&text, `\%03d`, r)
			case strings.ContainsRune(`"();\@$`, r):
				text.WriteString(`\` + string(r))
			default:
				text.WriteRune(r)
			}
			length++
		}
		if length == 0 || length > 63 {
			return nil, invalid
		}
		total += length + 1
		labels = append(labels, text.String())
	}
	if total > 255 {
		return nil, invalid
	}
	return labels, nil
}

// searchRank is the place in the search list of the first domain that a host is
// in; one that is in none ranks last.
func searchRank(host string, search []string) int {
	host = strings.TrimSuffix(host, ".")
	for i, domain := range search {
		domain = strings.TrimSuffix(domain, ".")
		if strings.EqualFold(host, domain) || len(host) > len(domain) && strings.EqualFold(host[len(host)-len(domain)-1:], "."+domain) {
			return i
		}
	}
	return math.MaxInt
}

// completeHost finds the registered host that a text stands for: the one of
// that name, the only one that begins with it, or among several the only one
// in the earliest domain of the search list. Otherwise the text stays as it is
// (5-cli §7.2, Q13).
func completeHost(text string, hosts, search []string) string {
	if slices.Contains(hosts, text) {
		return text
	}
	score := func(host string) int { return searchRank(host, search) }
	var best []string
	for _, host := range hosts {
		if !strings.HasPrefix(host, text) {
			continue
		}
		switch {
		case len(best) == 0 || score(host) < score(best[0]):
			best = []string{host}
		case score(host) == score(best[0]):
			best = append(best, host)
		}
	}
	if len(best) == 1 {
		return best[0]
	}
	return text
}
