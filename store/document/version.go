package document

import "fmt"

// Version is the member of a document of our own that says in which form it is: numbers that grow. The original's
// documents have none.
func Version(version int32) Member { return Member{Name: "version", Value: Int(&version)} }

// NewerError is a document in a form that a later version of Helios wrote.
type NewerError struct{ Version int32 }

// Error says so.
func (e *NewerError) Error() string {
	return fmt.Sprintf("a newer version of Helios wrote it, in form %d", e.Version)
}

// ReadVersioned is Read for a document that has a Version. One of a later form than this is a NewerError, and nothing of
// it is taken for something else. One without a Version was written before there was one, in the first form.
func ReadVersioned(data []byte, version int32, v Value) error {
	var found int32
	err := Read(data, Object(Member{Name: "version", Value: Int(&found)}))
	if err != nil {
		return err
	}
	if found > version {
		return &NewerError{Version: found}
	}
	return Read(data, v)
}
