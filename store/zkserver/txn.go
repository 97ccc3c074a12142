package zkserver

// effectKind says what an effect changes. The numbers are stored in the log.
type effectKind uint8

const (
	effectCreate       effectKind = 1
	effectDelete       effectKind = 2
	effectSetData      effectKind = 3
	effectSetACL       effectKind = 4
	effectOpenSession  effectKind = 5
	effectCloseSession effectKind = 6
)

// effect is one change as the log holds it: the result, never a difference.
type effect struct {
	kind     effectKind
	path     string
	data     []byte
	acl      []ACL
	owner    int64 // owner of a created node; the session that opens or closes
	count    int32 // creation: the parent's counter afterwards; data, ACL: the new version; session: time-out in ms
	password [passwordSize]byte
}

// txn is one committed change of the tree, a whole multi for instance.
type txn struct {
	zxid    int64
	time    int64 // Unix milliseconds
	effects []effect
}

// appendTxn encodes a transaction for the log.
func appendTxn(b []byte, x txn) []byte {
	b = appendInt32(appendInt64(appendInt64(b, x.zxid), x.time), int32(len(x.effects)))
	for _, e := range x.effects {
		b = append(b, byte(e.kind))
		switch e.kind {
		case effectCreate:
			b = appendBuffer(appendString(b, e.path), e.data)
			b = appendInt32(appendInt64(appendACLs(b, e.acl), e.owner), e.count)
		case effectDelete:
			b = appendString(b, e.path)
		case effectSetData:
			b = appendInt32(appendBuffer(appendString(b, e.path), e.data), e.count)
		case effectSetACL:
			b = appendInt32(appendACLs(appendString(b, e.path), e.acl), e.count)
		case effectOpenSession:
			b = append(appendInt32(appendInt64(b, e.owner), e.count), e.password[:]...)
		case effectCloseSession:
			b = appendInt64(b, e.owner)
		}
	}
	return b
}

// decodeTxn reads what appendTxn wrote. ok is false for anything else.
func decodeTxn(b []byte) (x txn, ok bool) {
	d := &decoder{rest: b}
	x.zxid, x.time = d.int64(), d.int64()
	for range d.count(1) {
		e := effect{}
		if kind := d.take(1); kind != nil {
			e.kind = effectKind(kind[0])
		}
		switch e.kind {
		case effectCreate:
			e.path, e.data, e.acl, e.owner, e.count = d.string(), d.buffer(), decodeACLs(d), d.int64(), d.int32()
		case effectDelete:
			e.path = d.string()
		case effectSetData:
			e.path, e.data, e.count = d.string(), d.buffer(), d.int32()
		case effectSetACL:
			e.path, e.acl, e.count = d.string(), decodeACLs(d), d.int32()
		case effectOpenSession:
			e.owner, e.count = d.int64(), d.int32()
			copy(e.password[:], d.take(passwordSize))
		case effectCloseSession:
			e.owner = d.int64()
		default:
			d.bad = true
		}
		onNode := e.kind <= effectSetACL
		if d.bad || onNode && !validPath(e.path) || e.path == "/" && e.kind <= effectDelete {
			return txn{}, false
		}
		x.effects = append(x.effects, e)
	}
	return x, !d.bad && len(d.rest) == 0
}
