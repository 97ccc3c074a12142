package store

import (
	"encoding/binary"
	"time"
)

// What transport understands of ZooKeeper's frames: a length of four bytes and a body, in which numbers are big-endian,
// and texts, byte arrays and lists begin with their length.
const (
	codeCreate      = 1
	codeDelete      = 2
	codeGetData     = 4
	codeSetData     = 5
	codeGetACL      = 6
	codeGetChildren = 12 // with the node's stat
	codeCheck       = 13
	codeMulti       = 14
	codeAuth        = 100
	codeSetWatches  = 101
	codeError       = -1

	xidEvent = -1
	xidAuth  = -4

	requestHeaderSize = 12 // with the length: xid and operation
	replyHeaderSize   = 16 // without: xid, zxid and error
	maxWelcome        = 1 << 10
	statSize          = 68
	minACLSize        = 12
)

func requestHeader(frame []byte) (xid, operation int32, ok bool) {
	if len(frame) < requestHeaderSize {
		return 0, 0, false
	}
	return number(frame[4:]), number(frame[8:]), true
}

func replyHeader(body []byte) (xid, code int32, ok bool) {
	if len(body) < replyHeaderSize {
		return 0, 0, false
	}
	return number(body), number(body[12:]), true
}

// takeZxid takes the zxid out of a reply, which then says nothing of one.
func takeZxid(body []byte) int64 {
	field := body[4:12]
	zxid := int64(binary.BigEndian.Uint64(field))
	clear(field)
	return zxid
}

// setLastSeen sets in a connect request the zxid that the client has seen last.
func setLastSeen(frame []byte, zxid int64) {
	if len(frame) >= 16 {
		binary.BigEndian.PutUint64(frame[8:], uint64(zxid))
	}
}

// welcomed takes the answer to a connect request apart: protocol version, time-out, session (0 for none), password.
func welcomed(body []byte) (session int64, timeout time.Duration, ok bool) {
	if len(body) < 20 {
		return 0, 0, false
	}
	timeout = time.Duration(number(body[4:])) * time.Millisecond
	session = int64(binary.BigEndian.Uint64(body[8:]))
	password := number(body[16:])
	return session, timeout, password >= 0 && int(password) <= len(body)-20 && (session == 0 || timeout > 0)
}

// authRequest is the frame that authenticates by the digest scheme.
func authRequest(c Credential) []byte {
	frame := appendNumbers(nil, 0, xidAuth, codeAuth, 0)
	frame = appendText(frame, "digest")
	return sized(appendText(frame, c.User+":"+c.Password))
}

// emptySetWatches is the frame of a request that sets no watch.
func emptySetWatches(xid int32) []byte {
	return sized(appendNumbers(nil, 0, xid, codeSetWatches, 0, 0, 0, 0, 0))
}

// watchedNodes are the paths in the three lists of a request to set watches. Each is there once.
func watchedNodes(frame []byte) []string {
	var paths []string
	seen := make(map[string]bool)
	d := frames{rest: frame[requestHeaderSize:]}
	d.skip(8) // the zxid
	for range 3 {
		for range d.number() {
			path := string(d.bytes())
			if d.short {
				return paths
			}
			if !seen[path] {
				seen[path] = true
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// appendEvent appends the frame of an event that ends every kind of watch on a node.
func appendEvent(frames []byte, path string) []byte {
	const nodeDeleted, connected = 2, 3
	frame := appendNumbers(nil, 0, xidEvent, -1, -1, 0, nodeDeleted, connected)
	return append(frames, sized(appendText(frame, path))...)
}

// decodable reports whether the library can decode the answer to an operation. It allocates what a list or an array
// claims to have, and panics at a bool that is not there.
func decodable(operation int32, body []byte) bool {
	d := frames{rest: body}
	switch operation {
	case codeGetData:
		d.bytes()
		return !d.short
	case codeGetChildren:
		count := d.number()
		return !d.short && count >= 0 && int(count) <= len(d.rest)/4
	case codeGetACL:
		count := d.number()
		return !d.short && count >= 0 && int(count) <= len(d.rest)/minACLSize
	case codeMulti:
		for {
			kind, done := d.number(), d.skip(1)
			d.skip(4)
			switch {
			case d.short:
				return false
			case done[0] != 0:
				return true
			case kind == codeError:
				d.skip(4)
			case kind == codeCreate:
				d.bytes()
			case kind == codeSetData:
				d.skip(statSize)
			case kind != codeDelete && kind != codeCheck:
				return false
			}
		}
	}
	return true
}

// frames reads the parts of a body. short is set, and stays so, when there is less than was asked for.
type frames struct {
	rest  []byte
	short bool
}

func (d *frames) skip(n int) []byte {
	if n > len(d.rest) {
		d.short, d.rest = true, nil
		return make([]byte, 1)
	}
	part := d.rest[:n]
	d.rest = d.rest[n:]
	return part
}

func (d *frames) number() int32 {
	if part := d.skip(4); !d.short {
		return number(part)
	}
	return 0
}

func (d *frames) bytes() []byte {
	size := d.number()
	return d.skip(max(int(size), 0)) // -1 stands for none
}

func number(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) }

func appendNumbers(b []byte, numbers ...int32) []byte {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

func appendText(b []byte, text string) []byte {
	return append(appendNumbers(b, int32(len(text))), text...)
}

// sized sets a frame's length.
func sized(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}
