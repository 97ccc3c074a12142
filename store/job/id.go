package job

import (
	"cmp"
	"errors"
	"strings"
	"unicode/utf16"

	"github.com/helios-go/helios/store/document"
)

// ID names a job: name, version and the hash of its configuration. It is
// comparable and serves as a map key. A part that is "" is missing; the zero ID
// is no id. §2.
type ID struct {
	Name    string
	Version string
	Hash    string // 40 lower-case hexadecimal digits when Helios made it

	// blank marks parts that are there but empty, as in ":1" and "a::b": in
	// ids and their hashes they differ from missing ones.
	blank blank
}

type blank uint8

const (
	blankName blank = 1 << iota
	blankVersion
)

// ParseID reads an id as paths and node names have it: one to three parts, one
// part being the name alone. The errors are "Invalid Job id: <text>" and "name
// is empty".
func ParseID(text string) (ID, error) {
	if text == "" {
		return ID{}, errors.New("name is empty")
	}
	return parseID(text, 1)
}

// ReadID reads an id as documents have it, values and keys alike: two or three
// parts. The error is "Invalid Job id: <text>".
func ReadID(text string) (ID, error) { return parseID(text, 2) }

func parseID(text string, fewest int) (ID, error) {
	trimmed := strings.TrimRight(text, ":")
	parts := strings.Count(trimmed, ":") + 1
	if trimmed == "" || parts < fewest || parts > 3 {
		return ID{}, recorded("Invalid Job id: " + text)
	}
	var id ID
	id.Name, trimmed, _ = strings.Cut(trimmed, ":")
	id.Version, id.Hash, _ = strings.Cut(trimmed, ":")
	if id.Name == "" {
		id.blank |= blankName
	}
	if id.Version == "" && parts > 1 {
		id.blank |= blankVersion
	}
	return id, nil
}

// String is the text form name:version:hash, without the hash if there is none.
// A missing name or version shows as the word null; documents never contain that.
func (id ID) String() string {
	text := id.name() + ":" + id.version()
	if id.Hash != "" {
		text += ":" + id.Hash
	}
	return text
}

// Display is the text form with the first seven characters of the hash: what
// tables show and container names begin with.
func (id ID) Display() string {
	short := id
	if hash := []rune(id.Hash); len(hash) > 7 {
		short.Hash = string(hash[:7])
	}
	return short.String()
}

// Short is the id without its hash.
func (id ID) Short() ID {
	id.Hash = ""
	return id
}

// FullyQualified says whether the id has all parts and a hash of 40 characters,
// as all paths that name one job must.
func (id ID) FullyQualified() bool {
	return id.complete() && len(utf16.Encode([]rune(id.Hash))) == 40
}

// Matches says whether the text form contains q: the rule of GET /jobs?q=.
func (id ID) Matches(q string) bool { return strings.Contains(id.String(), q) }

// Compare orders ids by name, version and hash, as Java compares strings.
func (id ID) Compare(other ID) int {
	return cmp.Or(
		document.Ascending(id.Name, other.Name),
		document.Ascending(id.Version, other.Version),
		document.Ascending(id.Hash, other.Hash),
		cmp.Compare(id.blank, other.blank),
	)
}

// Equal says whether the ids are the same; it is ==.
func (id ID) Equal(other ID) bool { return id == other }

// complete says whether the id has a name and a version, be they empty.
func (id ID) complete() bool {
	return (id.Name != "" || id.blank&blankName != 0) && (id.Version != "" || id.blank&blankVersion != 0)
}

func (id ID) name() string {
	if id.Name == "" && id.blank&blankName == 0 {
		return "null"
	}
	return id.Name
}

func (id ID) version() string {
	if id.Version == "" && id.blank&blankVersion == 0 {
		return "null"
	}
	return id.Version
}

// IDKeys are the names of JSON objects whose keys are job ids.
var IDKeys = document.Keys[ID]{Parse: ReadID, Format: ID.String}

// JSON describes the id: one string. An id without name or version is null
// (quirk 10).
func (id *ID) JSON() document.Value { return idValue{id} }

type idValue struct{ id *ID }

func (v idValue) ReadFrom(r *document.Reader) error {
	*v.id = ID{}
	if null, err := r.Null(); null {
		return err
	}
	if kind := r.Kind(); kind != document.KindText {
		return errors.New("a job id must be a string, not " + kind.String())
	}
	text, err := r.Text()
	if err != nil {
		return err
	}
	*v.id, err = ReadID(text)
	return err
}

func (v idValue) WriteTo(w *document.Writer) {
	if !v.id.complete() {
		w.Null()
		return
	}
	w.Text(v.id.String())
}

func (v idValue) Presence() document.Presence {
	if !v.id.complete() {
		return document.Null
	}
	return document.Filled
}
