package job

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	addressPattern = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){3}$`)
	domainPattern  = regexp.MustCompile(`^([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])` +
		`(\.([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*\.?$`)
)

const badRepository = `Invalid repository name (ex: "registry.domain.tld/myrepos")`

// CheckImage returns what is wrong with an image reference (§13.2). An empty
// component at the end of the name is refused (quirk 13).
func CheckImage(ref string) []string {
	var messages []string
	name := ref
	at := strings.LastIndexByte(ref, '@')
	if at >= 0 {
		name = ref[:at]
		messages = append(messages, checkDigest(ref[at+1:])...)
	}
	if colon := strings.LastIndexByte(name, ':'); colon >= 0 && !strings.Contains(name[colon+1:], "/") {
		messages = append(messages, checkTag(name[colon+1:])...)
		name = name[:colon]
	}
	return append(messages, checkName(ref, name)...)
}

func checkDigest(digest string) []string {
	kind, value, _ := strings.Cut(digest, ":")
	switch {
	case digest == "":
		return []string{"Digest cannot be empty"}
	case kind == "" || value == "" || strings.Contains(value, ":"):
		return []string{fmt.Sprintf(`Illegal digest: "%s"`, digest)}
	}
	return nil
}

func checkTag(tag string) []string {
	switch {
	case tag == "":
		return []string{"Tag cannot be empty"}
	case !isName(tag) || tag[0] == '.' || tag[0] == '-' || len(tag) > 128:
		return []string{fmt.Sprintf(`Illegal tag: "%s", must match [\w][\w.-]{0,127}`, tag)}
	}
	return nil
}

// checkName checks a reference without tag and digest.
func checkName(ref, name string) []string {
	if strings.Contains(name, "://") {
		return []string{badRepository}
	}
	first, rest, found := strings.Cut(name, "/")
	if first != "localhost" && !strings.ContainsAny(first, ".:") {
		return checkComponents(ref, name)
	}
	if !found {
		return []string{badRepository}
	}
	return append(checkRegistry(first), checkComponents(ref, rest)...)
}

func checkRegistry(endpoint string) []string {
	address, port, hasPort := strings.Cut(endpoint, ":")
	domain := domainPattern.MatchString(address) && !consistsOf(address, digits+".")
	if !domain && !addressPattern.MatchString(address) {
		return []string{fmt.Sprintf(`Invalid domain name: "%s"`, address)}
	}
	if n, err := strconv.ParseInt(port, 10, 32); hasPort && (err != nil || n < 0 || n > 65535) {
		return []string{fmt.Sprintf(`Invalid port in endpoint: "%s"`, endpoint)}
	}
	return nil
}

func checkComponents(ref, name string) []string {
	for component := range strings.SplitSeq(name, "/") {
		if !consistsOf(component, digits+lower+"._-") {
			return []string{fmt.Sprintf(`Invalid image name (%s), only ^([a-z0-9._-]+)$ is allowed for each `+
				`slash-separated name component (failed on "%s")`, ref, component)}
		}
	}
	if len(name) > 255 {
		return []string{fmt.Sprintf("Invalid image name (%s), repository name cannot be larger than 255 characters", ref)}
	}
	return nil
}
