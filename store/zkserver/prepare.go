package zkserver

import (
	"fmt"
	"maps"
	"slices"
)

// caller is who asks for a change.
type caller struct {
	session int64 // 0: the server itself
	ids     []identity
}

// pending is a node as the transactions of a batch leave it.
type pending struct {
	record
	children int
	exists   bool
}

// view is the tree with the transactions that are prepared but not applied yet on top. Preparing a request checks it
// against the view and turns it into effects; the tree itself is only read. A view lives for one batch, so nothing has to
// be undone when the log refuses the batch.
type view struct {
	tree   *tree
	batch  map[string]pending // as left by the finished transactions
	now    map[string]pending // as left by the operations of the current one
	closed map[int64]bool     // sessions closed in this batch
	zxid   int64              // of the last finished transaction
	time   int64
}

func newView(t *tree, time int64) *view {
	return &view{
		tree: t, zxid: t.zxid, time: time,
		batch: map[string]pending{}, now: map[string]pending{}, closed: map[int64]bool{},
	}
}

func (v *view) get(path string) (pending, bool) {
	p, ok := v.now[path]
	if !ok {
		p, ok = v.batch[path]
	}
	if ok {
		return p, p.exists
	}
	if n := v.tree.lookup(path); n != nil {
		return pending{n.record, len(n.children), true}, true
	}
	return pending{}, false
}

// commit makes the current operations a transaction. They are one even if they change nothing, like a multi of checks:
// it still takes its turn among the zxids.
func (v *view) commit(effects []effect) txn {
	maps.Copy(v.batch, v.now)
	clear(v.now)
	v.zxid++
	return txn{zxid: v.zxid, time: v.time, effects: effects}
}

func (v *view) rollback() { clear(v.now) }

// alive tells whether the session may change the tree.
func (v *view) alive(c caller) bool {
	_, open := v.tree.sessions[c.session]
	return c.session == 0 || open && !v.closed[c.session]
}

// change prepares one operation and returns its effects and the body of its answer.
func (v *view) change(o op, c caller) ([]effect, []byte, code) {
	switch o.kind {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL:
		return v.create(o, c)
	case opDelete:
		return v.delete(o, c)
	case opDeleteContainer:
		return v.deleteContainer(o)
	case opSetData:
		return v.setData(o, c)
	case opSetACL:
		return v.setACL(o, c)
	case opCheck:
		return nil, nil, v.check(o, c)
	}
	return nil, nil, codeUnimplemented
}

func (v *view) create(o op, c caller) ([]effect, []byte, code) {
	switch {
	case o.flags < modePersistent || o.flags > modePersistentSequentTTL:
		return nil, nil, codeBadArguments
	case o.flags == modeTTL || o.flags == modePersistentSequentTTL || o.kind == opCreateTTL:
		return nil, nil, codeUnimplemented
	}
	path := o.path
	parentPath, _, ok := splitPath(path)
	if !ok {
		return nil, nil, codeBadArguments
	}
	acl, bad := resolveACLs(o.acl, c.ids)
	if bad != codeOK {
		return nil, nil, bad
	}
	parent, ok := v.get(parentPath)
	if !ok {
		return nil, nil, codeNoNode
	}
	if !allowed(parent.acl, permCreate, c.ids) {
		return nil, nil, codeNoAuth
	}
	if o.flags == modeSequential || o.flags == modeEphemeralSequential {
		path = fmt.Sprintf("%s%010d", path, parent.created)
	}
	if !validPath(path) {
		return nil, nil, codeBadArguments
	}
	if _, exists := v.get(path); exists {
		return nil, nil, codeNodeExists
	}
	if parent.owner > 0 {
		return nil, nil, codeNoChildren
	}

	var owner int64
	switch {
	case o.flags == modeEphemeral || o.flags == modeEphemeralSequential:
		owner = c.session
	case o.kind == opCreateContainer:
		owner = containerOwner
	}
	zxid := v.zxid + 1
	parent.created++
	parent.children++
	parent.pzxid = zxid
	v.now[parentPath] = parent
	made := pending{exists: true, record: record{
		data: o.data, acl: acl, owner: owner, czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: v.time, mtime: v.time,
	}}
	v.now[path] = made

	body := appendString(nil, path)
	if o.kind != opCreate {
		body = appendStat(body, statOf(made.record, 0))
	}
	return []effect{{kind: effectCreate, path: path, data: o.data, acl: acl, owner: owner, count: parent.created}}, body, codeOK
}

func (v *view) delete(o op, c caller) ([]effect, []byte, code) {
	parentPath, _, ok := splitPath(o.path)
	if !ok || specialPath(o.path) {
		return nil, nil, codeBadArguments
	}
	parent, ok := v.get(parentPath)
	if !ok {
		return nil, nil, codeNoNode
	}
	if !allowed(parent.acl, permDelete, c.ids) {
		return nil, nil, codeNoAuth
	}
	target, ok := v.get(o.path)
	switch {
	case !ok:
		return nil, nil, codeNoNode
	case o.version != -1 && o.version != target.version:
		return nil, nil, codeBadVersion
	case target.children > 0:
		return nil, nil, codeNotEmpty
	}
	return []effect{v.remove(o.path)}, nil, codeOK
}

// deleteContainer removes a container that has had children and has none any more; it is not for clients.
func (v *view) deleteContainer(o op) ([]effect, []byte, code) {
	target, ok := v.get(o.path)
	switch {
	case !ok:
		return nil, nil, codeNoNode
	case target.owner != containerOwner || target.children > 0:
		return nil, nil, codeNotEmpty
	}
	return []effect{v.remove(o.path)}, nil, codeOK
}

// remove marks a node deleted.
func (v *view) remove(path string) effect {
	parentPath, _, _ := splitPath(path)
	parent, _ := v.get(parentPath)
	parent.children--
	parent.pzxid = v.zxid + 1
	v.now[parentPath] = parent
	v.now[path] = pending{}
	return effect{kind: effectDelete, path: path}
}

func (v *view) setData(o op, c caller) ([]effect, []byte, code) {
	if !validPath(o.path) {
		return nil, nil, codeBadArguments
	}
	target, ok := v.get(o.path)
	switch {
	case !ok:
		return nil, nil, codeNoNode
	case !allowed(target.acl, permWrite, c.ids):
		return nil, nil, codeNoAuth
	case o.version != -1 && o.version != target.version:
		return nil, nil, codeBadVersion
	}
	target.data, target.mzxid, target.mtime = o.data, v.zxid+1, v.time
	target.version++
	v.now[o.path] = target
	body := appendStat(nil, statOf(target.record, target.children))
	return []effect{{kind: effectSetData, path: o.path, data: o.data, count: target.version}}, body, codeOK
}

func (v *view) setACL(o op, c caller) ([]effect, []byte, code) {
	if !validPath(o.path) {
		return nil, nil, codeBadArguments
	}
	acl, bad := resolveACLs(o.acl, c.ids)
	if bad != codeOK {
		return nil, nil, bad
	}
	target, ok := v.get(o.path)
	switch {
	case !ok:
		return nil, nil, codeNoNode
	case !allowed(target.acl, permAdmin, c.ids):
		return nil, nil, codeNoAuth
	case o.version != -1 && o.version != target.aversion:
		return nil, nil, codeBadVersion
	}
	target.acl, target.aversion = acl, target.aversion+1
	v.now[o.path] = target
	body := appendStat(nil, statOf(target.record, target.children))
	return []effect{{kind: effectSetACL, path: o.path, acl: acl, count: target.aversion}}, body, codeOK
}

func (v *view) check(o op, c caller) code {
	if !validPath(o.path) {
		return codeBadArguments
	}
	target, ok := v.get(o.path)
	switch {
	case !ok:
		return codeNoNode
	case !allowed(target.acl, permRead, c.ids):
		return codeNoAuth
	case o.version != -1 && o.version != target.version:
		return codeBadVersion
	}
	return codeOK
}

// txnLimit is how many bytes one transaction may take, about. It is far below what the log can hold in one entry.
const txnLimit = 32 << 20

func sizeOf(effects []effect) (n int) {
	for _, e := range effects {
		n += 32 + len(e.path) + len(e.data)
		for _, a := range e.acl {
			n += a.size()
		}
	}
	return n
}

// parts divides the end of a session with very many ephemeral nodes into several transactions of the same batch. Others
// are within the limit.
func parts(effects []effect) (list [][]effect) {
	first, size := 0, 0
	for i := range effects {
		n := sizeOf(effects[i : i+1])
		if size+n > txnLimit && i > first {
			list = append(list, effects[first:i])
			first, size = i, 0
		}
		size += n
	}
	return append(list, effects[first:])
}

// multi prepares all operations as one transaction, or none. The answer lists a result for each: when one is refused, the
// ones before it have code 0 and the ones behind it codeInconsistency, and nothing is changed.
func (v *view) multi(ops []op, c caller) (effects []effect, body []byte, ok bool) {
	size := 0
	for i, o := range ops {
		made, result, refused := v.change(o, c)
		if size += sizeOf(made); size > txnLimit {
			refused = codeBadArguments // lists of the scheme auth have become that long
		}
		if refused != codeOK {
			v.rollback()
			return nil, refusedMulti(len(ops), i, refused), false
		}
		effects = append(effects, made...)
		kind := o.kind
		if kind == opCreateContainer {
			kind = opCreate2 // the result that has a stat
		}
		body = appendInt32(appendBool(appendInt32(body, kind), false), 0)
		body = append(body, result...)
	}
	return effects, endMulti(body), true
}

func refusedMulti(count, culprit int, refused code) (body []byte) {
	for i := range count {
		result := codeOK
		switch {
		case i == culprit:
			result = refused
		case i > culprit:
			result = codeInconsistency
		}
		body = appendInt32(appendBool(appendInt32(body, opError), false), int32(result))
		body = appendInt32(body, int32(result))
	}
	return endMulti(body)
}

func endMulti(body []byte) []byte {
	return appendInt32(appendBool(appendInt32(body, opError), true), -1)
}

// closeSession prepares the end of a session: its ephemeral nodes go with it, in the same transaction.
func (v *view) closeSession(id int64) []effect {
	paths := v.tree.ephemeralsOf(id)
	for path, p := range v.batch {
		if p.exists && p.owner == id {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	var effects []effect
	for _, path := range slices.Compact(paths) {
		if p, ok := v.get(path); ok && p.owner == id {
			effects = append(effects, v.remove(path))
		}
	}
	v.closed[id] = true
	return append(effects, effect{kind: effectCloseSession, owner: id})
}
