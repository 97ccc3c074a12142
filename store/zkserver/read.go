package zkserver

import (
	"maps"
	"slices"
	"strings"
)

// read answers a request that changes nothing. The tree is locked for reading until the answer is queued, so that an
// event of a later change cannot overtake it.
func (p *pipeline) read(c *conn, xid, kind int32, d *decoder) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	body, err := p.readBody(c, kind, d)
	if d.bad {
		body, err = nil, codeMarshalling
	}
	c.reply(xid, p.tree.zxid, err, body)
}

func (p *pipeline) readBody(c *conn, kind int32, d *decoder) ([]byte, code) {
	switch kind {
	case opExists, opGetData, opGetChildren, opGetChildren2:
		path, watch := d.string(), d.bool()
		if d.bad {
			return nil, codeMarshalling
		}
		return p.readNode(c, kind, path, watch)
	case opGetACL:
		return p.readACL(c, d.string())
	case opMultiRead:
		return p.multiRead(c, d)
	case opSetWatches, opSetWatches2:
		return nil, p.setWatches(c, kind, d)
	case opAddWatch:
		path, mode := d.string(), d.int32()
		if d.bad {
			return nil, codeMarshalling
		}
		return appendInt32(nil, 0), p.addWatch(c, path, mode)
	case opCheckWatches, opRemoveWatches:
		path, which := d.string(), d.int32()
		if d.bad {
			return nil, codeMarshalling
		}
		return nil, p.removeWatches(c, kind, path, watchesOfType(which))
	case opGetEphemerals:
		prefix := string(d.buffer())
		list := p.tree.ephemeralsOf(c.session)
		return appendStrings(nil, slices.DeleteFunc(list, func(path string) bool { return !strings.HasPrefix(path, prefix) })), codeOK
	case opCountChildren:
		n, err := p.readable(c, d.string())
		if err != codeOK {
			return nil, err
		}
		return appendInt32(nil, int32(count(n))), codeOK
	case opWhoAmI:
		return whoAmI(c.ids), codeOK
	}
	return nil, codeUnimplemented
}

// readNode answers exists, getData and the two getChildren, and leaves a watch where one is asked for. A refused read
// leaves none, but exists of a missing node does.
func (p *pipeline) readNode(c *conn, kind int32, path string, watch bool) ([]byte, code) {
	if kind == opExists && strings.IndexByte(path, 0) >= 0 {
		return nil, codeBadArguments
	}
	n := p.tree.lookup(path)
	table := watchData
	if kind == opGetChildren || kind == opGetChildren2 {
		table = watchChildren
	}
	if n != nil && kind != opExists && !allowed(n.acl, permRead, c.ids) {
		return nil, codeNoAuth
	}
	if watch && (n != nil || kind == opExists) {
		p.watches.add(c, path, table)
	}
	if n == nil {
		return nil, codeNoNode
	}
	switch kind {
	case opExists:
		return appendStat(nil, n.stat()), codeOK
	case opGetData:
		return appendStat(appendBuffer(make([]byte, 0, len(n.data)+80), n.data), n.stat()), codeOK
	}
	body := appendInt32(nil, int32(len(n.children)))
	for name := range n.children {
		body = appendString(body, name)
	}
	if kind == opGetChildren2 {
		body = appendStat(body, n.stat())
	}
	return body, codeOK
}

func (n *node) stat() stat { return statOf(n.record, len(n.children)) }

// readable finds a node that the caller may read.
func (p *pipeline) readable(c *conn, path string) (*node, code) {
	n := p.tree.lookup(path)
	switch {
	case n == nil:
		return nil, codeNoNode
	case !allowed(n.acl, permRead, c.ids):
		return nil, codeNoAuth
	}
	return n, codeOK
}

func (p *pipeline) readACL(c *conn, path string) ([]byte, code) {
	n := p.tree.lookup(path)
	switch {
	case n == nil:
		return nil, codeNoNode
	case !allowed(n.acl, permRead|permAdmin, c.ids):
		return nil, codeNoAuth
	}
	acl := n.acl
	if !allowed(acl, permAdmin, c.ids) {
		acl = maskDigests(acl)
	}
	return appendStat(appendACLs(nil, acl), n.stat()), codeOK
}

// count is the number of nodes below n.
func count(n *node) int {
	total := len(n.children)
	for _, child := range n.children {
		total += count(child)
	}
	return total
}

// multiRead answers a list of getData and getChildren, each on its own.
func (p *pipeline) multiRead(c *conn, d *decoder) ([]byte, code) {
	var body []byte
	for {
		kind, done := d.int32(), d.bool()
		d.int32()
		if d.bad || done {
			return endMulti(body), codeOK
		}
		if kind != opGetData && kind != opGetChildren {
			d.bad = true
			return nil, codeMarshalling
		}
		path := d.string()
		d.bool() // a watch cannot be left by this request
		if d.bad {
			return nil, codeMarshalling
		}
		result, err := p.readNode(c, kind, path, false)
		if err != codeOK {
			body = appendInt32(appendBool(appendInt32(body, opError), false), int32(err))
			body = appendInt32(body, int32(err))
			continue
		}
		body = append(appendInt32(appendBool(appendInt32(body, kind), false), 0), result...)
		if len(body) > outboxLimit/2 {
			return nil, codeMarshalling
		}
	}
}

// setWatches arms watches again after a reconnect, or sends the event at once where the client has missed one.
func (p *pipeline) setWatches(c *conn, kind int32, d *decoder) code {
	since := d.int64()
	data, exist, children := d.strings(), d.strings(), d.strings()
	var persistent, recursive []string
	if kind == opSetWatches2 {
		persistent, recursive = d.strings(), d.strings()
	}
	if d.bad {
		return codeMarshalling
	}
	missed := func(kind eventType, path string) { c.event(eventFrame(event{kind, path})) }
	for _, path := range data {
		switch n := p.tree.lookup(path); {
		case n == nil:
			missed(eventDeleted, path)
		case n.mzxid > since:
			missed(eventDataChanged, path)
		default:
			p.watches.add(c, path, watchData)
		}
	}
	for _, path := range exist {
		if p.tree.lookup(path) != nil {
			missed(eventCreated, path)
		} else {
			p.watches.add(c, path, watchData)
		}
	}
	for _, path := range children {
		switch n := p.tree.lookup(path); {
		case n == nil:
			missed(eventDeleted, path)
		case n.pzxid > since:
			missed(eventChildrenChanged, path)
		default:
			p.watches.add(c, path, watchChildren)
		}
	}
	for _, path := range persistent {
		p.watches.arm(c, path, modePersistentWatch)
	}
	for _, path := range recursive {
		p.watches.arm(c, path, modeRecursiveWatch)
	}
	return codeOK
}

func (p *pipeline) addWatch(c *conn, path string, mode int32) code {
	if mode != modePersistentWatch && mode != modeRecursiveWatch {
		return codeMarshalling
	}
	p.watches.arm(c, path, mode)
	return codeOK
}

// removeWatches takes the client's watches of some kinds on a path away, or only tells whether there are any. There, 3.8
// also counts those of other clients: a defect that is not copied.
func (p *pipeline) removeWatches(c *conn, kind int32, path string, which []watchKind) code {
	if which == nil {
		return codeMarshalling
	}
	found := false
	for _, w := range which {
		if kind == opRemoveWatches {
			found = p.watches.remove(c, path, w) || found
		} else {
			found = found || p.watches.has(c, path, w)
		}
	}
	if !found {
		return codeNoWatcher
	}
	return codeOK
}

func whoAmI(ids []identity) []byte {
	body := appendInt32(nil, int32(len(ids)))
	for _, id := range ids {
		user := id.id
		if id.scheme == "digest" {
			user, _, _ = strings.Cut(user, ":")
		}
		body = appendString(appendString(body, id.scheme), user)
	}
	return body
}

func appendStrings(b []byte, list []string) []byte {
	b = appendInt32(b, int32(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// emptyContainers lists the containers that have had children and have none any more.
func (p *pipeline) emptyContainers() []string {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(p.tree.containers)), func(path string) bool {
		n := p.tree.lookup(path)
		return n == nil || len(n.children) > 0 || n.created == 0
	})
}
