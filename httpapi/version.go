package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Headers of the version check, which precedes every request to the master's API port (model §14.3).
const (
	HeaderVersion       = "Helios-Version"        // of a request: the client's version
	HeaderServerVersion = "Helios-Server-Version" // of every answer: the master's version
	HeaderVersionStatus = "Helios-Version-Status" // of every answer: a VersionStatus
)

// VersionStatus is what a master thinks of a client's version. Java clients fail on any value but these six.
type VersionStatus string

// The values of VersionStatus (model §14.2).
const (
	VersionEqual        VersionStatus = "EQUAL"
	VersionCompatible   VersionStatus = "COMPATIBLE"
	VersionMaybe        VersionStatus = "MAYBE" // the client is of a later minor version than the master
	VersionIncompatible VersionStatus = "INCOMPATIBLE"
	VersionInvalid      VersionStatus = "INVALID"
	VersionMissing      VersionStatus = "MISSING"
)

// Version is a release number: MAJOR.MINOR.PATCH, or a snapshot before that release (model §14.1).
type Version struct {
	Major, Minor, Patch int32
	Snapshot            bool
}

const snapshotSuffix = "-SNAPSHOT"

var errVersionFormat = errors.New("Version string format is invalid")

// ParseVersion reads a version text: three 32-bit decimal numbers, signs and leading zeros allowed, and perhaps
// -SNAPSHOT. The error is the original's sentence.
func ParseVersion(text string) (Version, error) {
	number, snapshot := strings.CutSuffix(text, snapshotSuffix)
	parts := strings.Split(number, ".")
	if len(parts) != 3 {
		return Version{}, errVersionFormat
	}
	var numbers [3]int32
	for i, part := range parts {
		n, err := strconv.ParseInt(part, 10, 32)
		if err != nil {
			return Version{}, fmt.Errorf("Version portions are not numbers! %s", text)
		}
		numbers[i] = int32(n)
	}
	return Version{Major: numbers[0], Minor: numbers[1], Patch: numbers[2], Snapshot: snapshot}, nil
}

// String is the normalised text of the version.
func (v Version) String() string {
	text := fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
	if v.Snapshot {
		text += snapshotSuffix
	}
	return text
}

// Compare orders versions: by major, minor and patch, a snapshot before its release. It answers -1, 0 or +1.
func (v Version) Compare(w Version) int {
	release := func(v Version) int {
		if v.Snapshot {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(v.Major, w.Major),
		cmp.Compare(v.Minor, w.Minor),
		cmp.Compare(v.Patch, w.Patch),
		cmp.Compare(release(v), release(w)),
	)
}

// Check is the status that a master of version v gives to a client's version text, "" when the client sent none
// (http §1.6).
func (v Version) Check(client string) VersionStatus {
	if client == "" {
		return VersionMissing
	}
	c, err := ParseVersion(client)
	switch {
	case err != nil:
		return VersionInvalid
	case c == v:
		return VersionEqual
	case c.Major != v.Major:
		return VersionIncompatible
	case v.Minor >= c.Minor:
		return VersionCompatible
	default:
		return VersionMaybe
	}
}

// Refusal is the HTTP status and the message with which a master of the given version turns away a client of this
// status. A status of 0 means that the request is handled (model §14.3).
func (s VersionStatus) Refusal(server Version) (status int, message string) {
	switch s {
	case VersionInvalid:
		return http.StatusBadRequest, "Helios client version format is bogus - expect n.n.n"
	case VersionIncompatible:
		return http.StatusUpgradeRequired, "Your client version is incompatible with the server version " + server.String()
	default:
		return 0, ""
	}
}
