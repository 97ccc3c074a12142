package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/helios-go/helios/store/job"
)

// Finding is something in a tree that should not be as it is.
type Finding struct {
	Kind  string // one word for programs, such as orphan-port
	Node  string // the node that is there, or is missing
	Means string // what it is, and what comes of it
	Heals string // what mends it
}

// Examining says what a tree is compared with, beside the node map.
type Examining struct {
	ClusterID string // the id that the tree must have; empty for any or none
	ACLs      *ACLs  // the access lists that nodes must have; nil for any. The tree must hold them.
}

// What mends most findings.
const (
	byHand       = "hand: with zkCli.sh, put a whole document there or delete the node (helios manual ensemble)"
	byDeleting   = "deleting it by hand (zkCli.sh deleteall)"
	byAgent      = "itself when the agent of the host registers again (its next start, or a reconnection)"
	byMaster     = "itself at the start of a master"
	byUndeploy   = "undeploying the job and deploying it again"
	byRedeploy   = "itself when the job is deployed there again, or removed"
	byDeregister = "itself when the agent of the host starts; or helios deregister, if there is no such host any more"
)

// Examine judges a tree: all leftovers of 0.9 and of crashes (zookeeper Q9, Q10), damaged documents, and nodes that
// nobody made. It is the whole judgement: no I/O, no clock. What it finds is sorted by node.
func Examine(tree Tree, with Examining) []Finding {
	e := examination{tree: tree, below: make(map[string][]string)}
	for path := range tree {
		if parent := parentOf(path); parent != "" {
			e.below[parent] = append(e.below[parent], path[len(parent)+1:])
		}
	}
	if !slices.ContainsFunc(basePaths, e.has) {
		e.add("empty", "/", "there is nothing of Helios here, or no more than a cluster id", "starting a master, if this is the right server and chroot")
	} else {
		for _, path := range basePaths {
			if !e.has(path) {
				e.add("no-base", path, "a node that everything else stands on is missing", byMaster)
			}
		}
	}
	e.places()
	e.cluster(with.ClusterID)
	for _, name := range e.in(configJobs) {
		if id, err := nodeID(configJobs, name); err == nil {
			e.job(id)
		}
	}
	e.jobRefs()
	for _, name := range e.in(configHosts) {
		e.host(name)
	}
	e.statuses()
	e.groups()
	if with.ACLs != nil {
		e.access(with.ACLs.rules())
	}
	slices.SortFunc(e.found, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Kind, b.Kind)) })
	return e.found
}

// Lasting are the findings of one examination that a later one has, too. What is being changed while a tree is read
// looks like a leftover, and is none.
func Lasting(findings, later []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return !slices.Contains(later, f) })
}

// examination is the work of Examine.
type examination struct {
	tree  Tree
	below map[string][]string // the children of each node
	found []Finding
}

func (e *examination) add(kind, node, means, heals string) {
	e.found = append(e.found, Finding{Kind: kind, Node: node, Means: means, Heals: heals})
}

func (e *examination) has(path string) bool {
	_, ok := e.tree[path]
	return ok
}

// in are the names of a node's children, sorted.
func (e *examination) in(path string) []string {
	return slices.Sorted(slices.Values(e.below[path]))
}

// id is the job id that a node holds, "" if it holds none.
func (e *examination) id(path string) job.ID {
	id, err := read(node{path: path, data: e.tree[path].Data}, (*job.ID).JSON)
	if err != nil {
		return job.ID{}
	}
	return id
}

// places judges each node by its kind. Of foreign nodes, the highest is named.
func (e *examination) places() {
	for _, path := range slices.Sorted(maps.Keys(e.tree)) {
		kind := kindOf(path)
		n := e.tree[path]
		switch {
		case kind == nil && kindOf(parentOf(path)) != nil:
			e.add("foreign", path, "no program of Helios makes such a node; those of 0.9 may take it for a job, a host or a task, or fail to delete the node above", byDeleting)
		case kind == nil:
		case kind.Ephemeral && !n.Ephemeral:
			e.add("never-down", path, "it does not end with a session: what it stands for seems to be up for ever", byDeleting)
		case !kind.Ephemeral && n.Ephemeral && !kind.either:
			e.add("ephemeral", path, "it vanishes with the session that made it", byDeleting)
		case n.Null:
			e.add("null", path, "it has null instead of data of no length: programs of 0.9 fail when they read it", "setting it to any data, or deleting it by hand (zkCli.sh)")
		case kind.form != nil:
			if err := kind.form(path, n.Data); err != nil {
				means, heals := consequence(kind)
				e.add("unreadable", path, fmt.Sprintf("its %s cannot be understood (%v): %s", kind.Holds, err, means), heals)
			}
		}
	}
}

// consequence says what comes of an unreadable document, and what mends it.
func consequence(kind *NodeKind) (means, heals string) {
	switch kind.Path {
	case "/config/jobs/<job>":
		return "lists leave the job out, and nothing can be done with it", byHand
	case "/config/hosts/<host>/jobs/<job>":
		return "the agent goes on with what it knows of the task, and nothing can be done with it", byHand
	case "/config/jobrefs/<name:version>":
		return "name and version stay taken", "removing the job and creating it again"
	case "/config/hosts/<host>/ports/<port>":
		return "the port stays taken", byDeleting
	case "/status/hosts/<host>/jobs/<job>":
		return "lists leave the status out", "itself when the task's state changes, or the agent connects again"
	case "/status/hosts/<host>/hostinfo", "/status/hosts/<host>/agentinfo":
		return "the status of the host cannot be shown", "itself within a minute while the agent runs"
	case "/status/hosts/<host>/environment", "/status/hosts/<host>/labels":
		return "the status of the host cannot be shown", byAgent
	case "/status/hosts/<host>/wishes", "/status/hosts/<host>/remembered-<job>":
		return "the agent goes by the files on its host", "itself when the agent next writes it"
	case "/status/hosts/<host>/accept":
		return "the agent does not act on it", byDeleting
	case "/history/jobs/<job>/hosts/<host>/events/<ms>":
		return "the history leaves the event out", "itself after thirty more events, or when the job is removed"
	default:
		return "rollouts of the deployment group cannot go on", byHand
	}
}

// kindOf is the line of the node map for a path; nil if it has none.
func kindOf(path string) *NodeKind {
	parts := strings.Split(path, "/")
	for i := range nodeMap {
		if pattern := strings.Split(nodeMap[i].Path, "/"); len(pattern) == len(parts) && fits(pattern, parts) {
			return &nodeMap[i]
		}
	}
	return nil
}

func fits(pattern, parts []string) bool {
	for i, word := range pattern {
		part, ok := parts[i], true
		switch word {
		case "<job>":
			_, err := nodeID("", part)
			ok = err == nil
		case "<name:version>":
			ok = strings.Count(part, ":") == 1
		case "<port>":
			port, err := strconv.ParseUint(part, 10, 16)
			ok = err == nil && port > 0 && strconv.FormatUint(port, 10) == part
		case "<ms>":
			ok = len(eventTimes([]string{part})) == 1
		case "creation-<uuid>":
			ok = strings.HasPrefix(part, creationPrefix)
		case "hold-<uuid>":
			ok = strings.HasPrefix(part, holdPrefix)
		case "remembered-<job>":
			ok = strings.HasPrefix(part, rememberedPrefix)
		case "<cluster>", "<host>", "<group>", "<master>":
		default:
			ok = part == word
		}
		if !ok {
			return false
		}
	}
	return true
}
