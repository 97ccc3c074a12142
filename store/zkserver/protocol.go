package zkserver

// Operation codes of the client protocol.
const (
	opCreate          int32 = 1
	opDelete          int32 = 2
	opExists          int32 = 3
	opGetData         int32 = 4
	opSetData         int32 = 5
	opGetACL          int32 = 6
	opSetACL          int32 = 7
	opGetChildren     int32 = 8
	opSync            int32 = 9
	opPing            int32 = 11
	opGetChildren2    int32 = 12
	opCheck           int32 = 13
	opMulti           int32 = 14
	opCreate2         int32 = 15
	opReconfig        int32 = 16
	opCheckWatches    int32 = 17
	opRemoveWatches   int32 = 18
	opCreateContainer int32 = 19
	opDeleteContainer int32 = 20
	opCreateTTL       int32 = 21
	opMultiRead       int32 = 22
	opAuth            int32 = 100
	opSetWatches      int32 = 101
	opSASL            int32 = 102
	opGetEphemerals   int32 = 103
	opCountChildren   int32 = 104
	opSetWatches2     int32 = 105
	opAddWatch        int32 = 106
	opWhoAmI          int32 = 107
	opOpenSession     int32 = -10
	opCloseSession    int32 = -11
	opError           int32 = -1
)

// code is the error number of a reply. It is an error so that the tree's functions can return it.
type code int32

const (
	codeOK             code = 0
	codeSystem         code = -1
	codeInconsistency  code = -2
	codeConnectionLoss code = -4 // never sent: the connection is closed instead
	codeMarshalling    code = -5
	codeUnimplemented  code = -6
	codeBadArguments   code = -8
	codeNoNode         code = -101
	codeNoAuth         code = -102
	codeBadVersion     code = -103
	codeNoChildren     code = -108 // ephemeral nodes may not have children
	codeNodeExists     code = -110
	codeNotEmpty       code = -111
	codeSessionExpired code = -112
	codeInvalidACL     code = -114
	codeAuthFailed     code = -115
	codeNoWatcher      code = -121
	codeReconfigOff    code = -123
)

// xids of packets that are no request of the caller's own numbering.
const (
	xidEvent int32 = -1
	xidPing  int32 = -2
	xidAuth  int32 = -4
)

// eventType is the kind of a watch event.
type eventType int32

const (
	eventCreated         eventType = 1
	eventDeleted         eventType = 2
	eventDataChanged     eventType = 3
	eventChildrenChanged eventType = 4
)

// syncConnected is the session state that every watch event carries.
const syncConnected = 3

// Creation flags.
const (
	modePersistent           int32 = 0
	modeEphemeral            int32 = 1
	modeSequential           int32 = 2
	modeEphemeralSequential  int32 = 3
	modeContainer            int32 = 4
	modeTTL                  int32 = 5
	modePersistentSequentTTL int32 = 6
)

// Permissions of an ACL entry.
const (
	permRead   int32 = 1
	permWrite  int32 = 2
	permCreate int32 = 4
	permDelete int32 = 8
	permAdmin  int32 = 16
	permAll    int32 = 31
)

// op is one operation that changes the tree, or checks it: a request of its own or a part of a multi. Which fields mean
// something depends on kind.
type op struct {
	kind    int32
	path    string
	data    []byte
	acl     []ACL
	flags   int32
	version int32
}

// decodeOp reads the operation of a kind that a multi may contain. data is a slice of the frame.
func decodeOp(kind int32, d *decoder) op {
	o := op{kind: kind}
	switch kind {
	case opSync: // of any path, null among them
		o.data = d.buffer()
		return o
	case opCheck:
		o.path = string(d.buffer())
	default:
		o.path = d.string()
	}
	switch kind {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL:
		o.data, o.acl, o.flags = d.buffer(), decodeACLs(d), d.int32()
		if kind == opCreateTTL {
			d.int64()
		}
	case opDelete, opCheck:
		o.version = d.int32()
	case opSetData:
		o.data, o.version = d.buffer(), d.int32()
	case opSetACL:
		o.acl, o.version = decodeACLs(d), d.int32()
	}
	return o
}

// decodeMulti reads the operations of a multi. A kind that a multi may not contain is a bad record.
func decodeMulti(d *decoder) []op {
	var ops []op
	for {
		kind, done := d.int32(), d.bool()
		d.int32() // an error number, without meaning in a request
		if d.bad || done {
			return ops
		}
		switch kind {
		case opCreate, opCreate2, opCreateContainer, opCreateTTL:
			o := decodeOp(kind, d)
			o.kind = opCreate // in a multi the flags alone say what is created
			if o.flags == modeContainer {
				o.kind = opCreateContainer
			}
			ops = append(ops, o)
		case opDelete, opSetData, opCheck:
			ops = append(ops, decodeOp(kind, d))
		default:
			d.bad = true
		}
	}
}

// appendStat writes the stat record of a node.
func appendStat(b []byte, s stat) []byte {
	b = appendInt64(b, s.czxid)
	b = appendInt64(b, s.mzxid)
	b = appendInt64(b, s.ctime)
	b = appendInt64(b, s.mtime)
	b = appendInt32(b, s.version)
	b = appendInt32(b, s.cversion)
	b = appendInt32(b, s.aversion)
	b = appendInt64(b, s.owner)
	b = appendInt32(b, s.dataLength)
	b = appendInt32(b, s.children)
	return appendInt64(b, s.pzxid)
}
