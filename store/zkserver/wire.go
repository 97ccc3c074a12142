package zkserver

import "encoding/binary"

// decoder reads the protocol's big-endian records. The first value that does not fit sets bad, and everything after it
// reads as zero: callers decode a whole record and look once.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.rest) {
		d.bad = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) bool() bool {
	b := d.take(1)
	return b != nil && b[0] != 0
}

func (d *decoder) int32() int32 {
	if b := d.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (d *decoder) int64() int64 {
	if b := d.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// buffer returns a slice of the frame, nil for a null buffer.
func (d *decoder) buffer() []byte {
	n := d.int32()
	if n == -1 {
		return nil
	}
	return d.take(int(n))
}

// string reads a string; a null string is a bad record, since no request may have one.
func (d *decoder) string() string { return string(d.take(int(d.int32()))) }

// count reads the length of a list whose elements take at least size bytes each, so that a forged length cannot make
// the server allocate more than the frame's own size. A null list is -1.
func (d *decoder) count(size int) int {
	n := int(d.int32())
	if n < -1 || n > len(d.rest)/size {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) strings() []string {
	n := d.count(4)
	if n <= 0 {
		return nil
	}
	list := make([]string, 0, n)
	for range n {
		list = append(list, d.string())
	}
	return list
}

func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendBuffer writes nil as a null buffer, which clients keep apart from an empty one.
func appendBuffer(b, v []byte) []byte {
	if v == nil {
		return appendInt32(b, -1)
	}
	return append(appendInt32(b, int32(len(v))), v...)
}

func appendString(b []byte, v string) []byte { return append(appendInt32(b, int32(len(v))), v...) }

// appendFrame puts the length before body, which build appends.
func appendFrame(b []byte, build func([]byte) []byte) []byte {
	start := len(b)
	b = build(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}
