package job

import "github.com/helios-go/helios/store/document"

// HashedText is the text that the hash in the id covers.
func HashedText(j *Job) string {
	return string(document.Normalised(j.config(document.TextSet)))
}

// DocumentOrderID is the id with the capabilities in the order of the document.
func DocumentOrderID(j *Job) ID { return j.hashed(document.Texts) }
