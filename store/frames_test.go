package store

import (
	"encoding/binary"
	"io"
)

// frameReader is what a server says, handed on frame by frame.
type frameReader struct{ rest []byte }

// read gives p what is left of a frame, or of the next one. What each becomes, pass says: nothing for one that is lost.
func (f *frameReader) read(p []byte, server io.Reader, pass func(frame []byte) ([]byte, error)) (int, error) {
	for len(f.rest) == 0 {
		frame := make([]byte, 4)
		if _, err := io.ReadFull(server, frame); err != nil {
			return 0, err
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
		if _, err := io.ReadFull(server, frame[4:]); err != nil {
			return 0, err
		}
		var err error
		if f.rest, err = pass(frame); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}
