package job

import (
	"crypto/sha1"
	"encoding/hex"

	"github.com/helios-go/helios/store/document"
)

// ComputedID is the id with the hash of the job's configuration, whatever hash
// the job has. Without a name or a version there is no hash. §11.
func (j *Job) ComputedID() ID { return j.hashedOver(configs.Of(j)) }

var configs = document.Describe(func(j *Job) document.Value { return j.config(document.TextSet) })

// EffectiveID is the job's id, with the computed hash if it has none.
func (j *Job) EffectiveID() ID {
	if j.ID.Hash != "" {
		return j.ID
	}
	return j.ComputedID()
}

// hashed is ComputedID where capabilities describes the two sets.
func (j *Job) hashed(capabilities func(*[]string) document.Value) ID {
	return j.hashedOver(j.config(capabilities))
}

// hashedOver is the id with the hash of the configuration.
func (j *Job) hashedOver(config document.Value) ID {
	id := j.ID.Short()
	if !id.complete() {
		return id
	}
	inner := hash(document.Normalised(config))
	id.Hash = hash([]byte(id.Name + ":" + id.Version + ":" + inner))
	return id
}

// config is what the hash covers. §11.2.
func (j *Job) config(capabilities func(*[]string) document.Value) document.Value {
	members := j.members()
	config := members[:0]
	for _, m := range members {
		switch m.Name {
		case "id", "created", "creatingUser":
			continue
		case "addCapabilities":
			m.Value = capabilities(&j.AddCapabilities)
		case "dropCapabilities":
			m.Value = capabilities(&j.DropCapabilities)
		}
		config = append(config, m)
	}
	return document.Object(append(config,
		document.Member{Name: "name", Value: document.Text(&j.ID.Name)},
		document.Member{Name: "version", Value: document.Text(&j.ID.Version)},
	)...)
}

// hash is the SHA-1 of text in lower-case hexadecimal digits.
func hash(text []byte) string {
	var digits [2 * sha1.Size]byte
	sum := sha1.Sum(text)
	hex.Encode(digits[:], sum[:])
	return string(digits[:])
}
