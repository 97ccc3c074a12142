package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/storetest"
)

// This file says what operations do one at a time, and finds out whether answers that were given to many at once are
// those of some order.

// kind is what an operation does.
type kind string

const (
	creates     kind = "create"
	removes     kind = "remove"
	deploys     kind = "deploy"
	setsGoal    kind = "set goal"
	undeploys   kind = "undeploy"
	registers   kind = "register"
	deregisters kind = "deregister"
	joins       kind = "join" // an agent registers itself
	reports     kind = "report"
	remembers   kind = "write history"
	looks       kind = "look"   // for a deployment
	recalls     kind = "recall" // a job's history
)

// operation is one of them, and what came of it.
type operation struct {
	kind  kind
	job   job.Job
	host  string
	id    string // of an agent
	goal  job.Goal
	known bool // the agent was registered before
	event int  // which one is written
	at    int64

	begin, end int // steps
	answer     error
	found      job.Goal // what the operation said of the deployment
	history    []job.TaskStatusEvent
	losses     int // of connections meanwhile
}

func (o *operation) String() string {
	return fmt.Sprintf("%d–%d %s %s %s %s%s: %v (%s, %d lost)", o.begin, o.end, o.kind, o.job.ID.Name, o.host, o.goal, o.id, o.answer, o.found, o.losses)
}

// ledger is all that counts in the tree: keys like "task h1 a:1:…", and what stands there.
type ledger map[string]string

func (w ledger) has(key ...string) bool {
	_, ok := w[strings.Join(key, " ")]
	return ok
}

func (w ledger) set(value string, key ...string) { w[strings.Join(key, " ")] = value }

func (w ledger) drop(key ...string) { delete(w, strings.Join(key, " ")) }

func (w ledger) String() string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(w)) {
		fmt.Fprintf(&text, "%s=%s; ", key, w[key])
	}
	return text.String()
}

// ledgerOf is what a tree comes to.
func ledgerOf(tree storetest.Tree) ledger {
	w := make(ledger)
	for path, n := range tree {
		switch at := strings.Split(path[1:], "/"); {
		case len(at) == 3 && at[0] == "config" && at[1] == "jobs":
			w.set("", "job", at[2])
		case len(at) == 5 && at[0] == "config" && at[1] == "jobs" && at[3] == "hosts":
			w.set("", "link", at[4], at[2])
		case len(at) == 3 && at[1] == "jobrefs":
			w.set(n.Data, "ref", at[2])
		case len(at) == 3 && at[0] == "config" && at[1] == "hosts":
			w.set("", "host", at[2])
		case len(at) == 4 && at[0] == "config" && at[1] == "hosts" && at[3] == "id":
			w.set(n.Data, "id", at[2])
		case len(at) == 4 && at[1] == "hosts" && at[3] != "up":
			w.set("", at[0]+"-"+at[3], at[2]) // config-jobs, config-ports, status-jobs
		case len(at) == 5 && at[0] == "config" && at[1] == "hosts" && at[3] == "jobs":
			_, goal, _ := strings.Cut(n.Data, `"goal":"`)
			goal, _, _ = strings.Cut(goal, `"`)
			w.set(goal, "task", at[2], at[4])
		case len(at) == 5 && at[0] == "config" && at[1] == "hosts" && at[3] == "ports":
			w.set(strings.Trim(n.Data, `"`), "port", at[2], at[4])
		case len(at) == 3 && at[0] == "status" && at[1] == "hosts":
			w.set("", "status", at[2])
		}
	}
	return w
}

// tidied is w without the ports of no task, which whoever finds them may delete.
func (w ledger) tidied() ledger {
	for key, owner := range w {
		if at := strings.Fields(key); at[0] == "port" && !w.has("task", at[1], owner) {
			delete(w, key)
		}
	}
	return w
}

// after is the ledger after an operation that gave its answer in w; false if it cannot have done so. Of several reasons
// for a refusal any will do: those who come in between decide which is seen first.
func (w ledger) after(o *operation) (ledger, bool) {
	id := o.job.ID.String()
	switch {
	case o.answer == nil:
		next, ok := w.done(o)
		return next.tidied(), ok
	case errors.Is(o.answer, job.ErrExists):
		return w, w.has("job", id) || w.has("ref", o.job.ID.Name+":"+o.job.ID.Version)
	case errors.Is(o.answer, job.ErrNotFound):
		return w, !w.has("job", id)
	case errors.Is(o.answer, job.ErrInUse):
		return w, slices.ContainsFunc(w.hosts(), func(name string) bool { return w.has("link", name, id) && w.has("task", name, id) })
	case errors.Is(o.answer, job.ErrAlreadyDeployed):
		return w, w.has("task", o.host, id)
	case errors.Is(o.answer, job.ErrNotDeployed):
		return w, !w.has("task", o.host, id) || o.kind == setsGoal && !w.has("job", id)
	case errors.Is(o.answer, job.ErrPortConflict):
		return w, w.portHeld(o.host, o.job)
	case errors.Is(o.answer, host.ErrNotFound):
		return w, !w.has("host", o.host) || o.kind == reports && !w.has("status-jobs", o.host)
	case errors.Is(o.answer, host.ErrConflict):
		return w, w.has("id", o.host) && w["id "+o.host] != o.id
	case errors.Is(o.answer, ErrDeregistered):
		return w, o.known && !w.has("id", o.host)
	}
	return w, gaveUp(o.answer)
}

// gaveUp says that an operation came to nothing because others came in between.
func gaveUp(err error) bool { return errors.Is(err, errRaces) || raced(err) }

// unclear says that an operation may or may not have done its work.
func (o *operation) unclear() bool {
	if o.kind == joins { // an agent tries again, whatever it was but these
		return o.answer != nil && !errors.Is(o.answer, ErrDeregistered) && !errors.Is(o.answer, host.ErrConflict)
	}
	return errors.Is(o.answer, ErrUnavailable) || errors.Is(o.answer, errOvertaken) || gaveUp(o.answer) && o.losses > 0
}

func (w ledger) hosts() []string {
	var names []string
	for key := range w {
		if name, ok := strings.CutPrefix(key, "host "); ok {
			names = append(names, name)
		}
	}
	return names
}

func (w ledger) portHeld(hostName string, j job.Job) bool {
	for _, port := range staticPorts(j) {
		if owner, taken := w[fmt.Sprint("port ", hostName, " ", port)]; taken && w.has("task", hostName, owner) {
			return true
		}
	}
	return false
}

// done is the ledger after an operation that was successful in w.
func (w ledger) done(o *operation) (ledger, bool) {
	next, id := maps.Clone(w), o.job.ID.String()
	ref := o.job.ID.Name + ":" + o.job.ID.Version
	// Who takes something away and hears nothing of it cannot know who it was that did.
	goneAnyway := func(gone bool) (ledger, bool) { return w, gone && o.losses > 0 }
	switch o.kind {
	case creates:
		next.set("", "job", id)
		next.set(string(quoted(o.job.ID)), "ref", ref)
		return next, !w.has("job", id) && !w.has("ref", ref)
	case removes:
		if !w.has("job", id) {
			return goneAnyway(true)
		}
		for key := range w {
			if at := strings.Fields(key); at[0] == "link" && at[2] == id {
				if w.has("task", at[1], id) {
					return w, false
				}
				next.drop(key)
			}
		}
		next.drop("job", id)
		next.drop("ref", ref)
		return next, true
	case deploys:
		next.set(string(o.goal), "task", o.host, id)
		next.set("", "link", o.host, id)
		for _, port := range staticPorts(o.job) {
			next.set(id, "port", o.host, fmt.Sprint(port))
		}
		return next, w.has("job", id) && w.has("host", o.host) && !w.has("task", o.host, id) && !w.portHeld(o.host, o.job)
	case setsGoal:
		next.set(string(o.goal), "task", o.host, id)
		return next, w.has("job", id) && w.has("task", o.host, id)
	case undeploys:
		if !w.has("task", o.host, id) {
			return goneAnyway(true)
		}
		next.undeploy(o.host, o.job)
		return next, o.losses > 0 || string(o.found) == w["task "+o.host+" "+id]
	case registers:
		if held, registered := w["id "+o.host]; registered && held != o.id {
			return w, false
		}
		next.register(o.host, o.id)
		return next, true
	case deregisters:
		if !w.has("host", o.host) {
			return goneAnyway(true)
		}
		for key := range w {
			switch at := strings.Fields(key); {
			case len(at) == 3 && at[0] == "task" && at[1] == o.host:
				next.drop("link", o.host, at[2])
				next.drop(key)
			case at[0] != "link" && len(at) > 1 && at[1] == o.host:
				next.drop(key)
			}
		}
		return next, true
	case joins:
		next.register(o.host, o.id)
		return next, w.has("id", o.host) || !o.known
	case reports:
		return w, w.has("status-jobs", o.host)
	case looks:
		return w, w["task "+o.host+" "+id] == string(o.found)
	}
	return w, true
}

func (w ledger) undeploy(hostName string, j job.Job) {
	id := j.ID.String()
	w.drop("task", hostName, id)
	w.drop("link", hostName, id)
	for _, port := range staticPorts(j) {
		if key := fmt.Sprint("port ", hostName, " ", port); w[key] == id {
			w.drop(key)
		}
	}
}

func (w ledger) register(hostName, id string) {
	w.set(id, "id", hostName)
	for _, key := range []string{"host", "config-jobs", "config-ports", "status", "status-jobs"} {
		w.set("", key, hostName)
	}
}

// explain finds an order of the operations, of which each one has its place between its begin and its end, that gives
// all their answers and leads from the one ledger to the other.
func explain(operations []*operation, before, after ledger) bool {
	tried := make(map[string]bool)
	var search func(w ledger, left uint64) bool
	search = func(w ledger, left uint64) bool {
		key := fmt.Sprint(left, w)
		if tried[key] {
			return false
		}
		tried[key] = true
		end := int(^uint(0) >> 1) // of the first that must come next
		must := false
		for i, o := range operations {
			if left&(1<<i) != 0 && !o.unclear() {
				end, must = min(end, o.end), true
			}
		}
		if !must && w.String() == after.String() {
			return true
		}
		for i, o := range operations {
			if left&(1<<i) == 0 || o.begin > end {
				continue
			}
			if o.unclear() {
				success := *o
				success.answer = nil
				if next, ok := w.after(&success); ok && search(next, left&^(1<<i)) {
					return true
				}
				continue
			}
			if next, ok := w.after(o); ok && search(next, left&^(1<<i)) {
				return true
			}
		}
		return false
	}
	return search(before, 1<<len(operations)-1)
}

// complaints are what is wrong with a tree by the node map (zookeeper §2), by what it is about.
func complaints(tree storetest.Tree, jobs []job.Job) map[string]string {
	w, wrong := ledgerOf(tree), make(map[string]string)
	complain := func(text string, about ...string) { wrong[strings.Join(about, " ")] += text + "; " }
	byID := make(map[string]job.Job)
	for _, j := range jobs {
		byID[j.ID.String()] = j
	}
	for key, value := range w {
		at := strings.Fields(key)
		switch at[0] {
		case "job":
			j := byID[at[1]]
			if ref := j.ID.Name + ":" + j.ID.Version; w["ref "+ref] != string(quoted(j.ID)) {
				complain("no reference", "job", at[1])
			}
			if names := childrenIn(tree, configJob(j.ID)); len(names) != 2 || !strings.HasPrefix(names[0], creationPrefix) || names[1] != "hosts" {
				complain(fmt.Sprint("has ", names), "job", at[1])
			}
		case "ref":
			if !w.has("job", strings.Trim(value, `"`)) {
				complain("reference to no job", "job", strings.Trim(value, `"`))
			}
		case "link":
			if !w.has("task", at[1], at[2]) {
				complain("no task", "deployment", at[1], at[2])
			}
		case "task":
			if !w.has("link", at[1], at[2]) || !w.has("job", at[2]) {
				complain("not in the job's list", "deployment", at[1], at[2])
			}
			if names := childrenIn(tree, configHostJob(at[1], at[2])); len(names) != 1 || !strings.HasPrefix(names[0], creationPrefix) {
				complain(fmt.Sprint("has ", names), "deployment", at[1], at[2])
			}
			for _, port := range staticPorts(byID[at[2]]) {
				if w[fmt.Sprint("port ", at[1], " ", port)] != at[2] {
					complain("of another", "port", at[1], fmt.Sprint(port))
				}
			}
		case "port":
			j := byID[value]
			if !w.has("task", at[1], value) || !slices.ContainsFunc(staticPorts(j), func(port int32) bool { return fmt.Sprint(port) == at[2] }) {
				complain("of no task", "port", at[1], at[2])
			}
		case "host":
			for _, part := range []string{"id", "config-jobs", "config-ports", "status", "status-jobs"} {
				if !w.has(part, at[1]) {
					complain("no "+part, "host", at[1])
				}
			}
		case "status":
			if !w.has("host", at[1]) {
				complain("no host", "host", at[1])
			}
		}
	}
	return wrong
}

func childrenIn(tree storetest.Tree, path string) []string {
	var names []string
	for at := range tree {
		if parentOf(at) == path {
			names = append(names, at[len(path)+1:])
		}
	}
	slices.Sort(names)
	return names
}
