package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	random "github.com/google/uuid"

	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// Original changes a tree as a master of the original does, to the letter (testdata/spec/3-zookeeper.md §8): the same
// nodes with the same content, in the same transactions, in the same order. That these lead from each recorded tree to
// the next one is tested in package store. It neither retries nor verifies tokens; what the original refuses fails with
// ZooKeeper's own error.
type Original struct{ conn *zk.Conn }

// OpenOriginal connects to the server that dial reaches, for the duration of the test.
func OpenOriginal(t testing.TB, dial zk.Dialer) *Original {
	t.Helper()
	conn, _, err := zk.Connect([]string{"127.0.0.1:1"}, 10*time.Second, zk.WithLogInfo(false), zk.WithDialer(dial))
	if err != nil {
		t.Fatal(err)
	}
	o := &Original{conn}
	t.Cleanup(o.Close)
	return o
}

// Close ends the connection, if that has not been done.
func (o *Original) Close() {
	if o.conn != nil {
		o.conn.Close()
		o.conn = nil
	}
}

const anyVersion = -1

// open is the access list of a tree without any.
var open = zk.WorldACL(zk.PermAll)

// address is what the original puts into the directories that it makes (zookeeper Q1).
var address = []byte("127.0.0.1")

func create(path string, data []byte) *zk.CreateRequest {
	if data == nil {
		data = []byte{}
	}
	return &zk.CreateRequest{Path: path, Data: data, Acl: open}
}

func remove(path string) *zk.DeleteRequest { return &zk.DeleteRequest{Path: path, Version: anyVersion} }

// touch is the change of the list of jobs.
func touch() *zk.SetDataRequest {
	return &zk.SetDataRequest{Path: "/config/jobs", Data: []byte(random.NewString()), Version: anyVersion}
}

func (o *Original) ensure(path string) error {
	at := ""
	for name := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		at += "/" + name
		if _, err := o.conn.Create(at, address, 0, open); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return fmt.Errorf("make %s: %w", at, err)
		}
	}
	return nil
}

// Start makes the directories that a master makes when it starts (§6).
func (o *Original) Start() error {
	for _, path := range []string{
		"/config/hosts", "/config/jobs", "/config/jobrefs", "/status/hosts", "/status/masters", "/history/jobs",
		"/config/deployment-groups", "/status/deployment-groups",
	} {
		if err := o.ensure(path); err != nil {
			return err
		}
	}
	return nil
}

// RegisterHost registers a host for an agent with that id (§8.8).
func (o *Original) RegisterHost(host, id string) error {
	for _, path := range []string{
		"/config/hosts/" + host, "/config/hosts/" + host + "/jobs", "/config/hosts/" + host + "/ports",
		"/status/hosts/" + host, "/status/hosts/" + host + "/jobs",
	} {
		if err := o.ensure(path); err != nil {
			return err
		}
	}
	_, err := o.conn.Create("/config/hosts/"+host+"/id", []byte(id), 0, open)
	return err
}

// CreateJob adds a job (§8.1).
func (o *Original) CreateJob(j job.Job) error {
	if err := o.ensure("/history/jobs/" + j.ID.String()); err != nil {
		return err
	}
	path := "/config/jobs/" + j.ID.String()
	_, err := o.conn.Multi(
		create(path, document.Canonical(j.JSON())),
		create("/config/jobrefs/"+j.ID.Name+":"+j.ID.Version, document.Canonical(j.ID.JSON())),
		create(path+"/hosts", nil),
		create(path+"/creation-"+random.NewString(), nil),
		touch(),
	)
	return err
}

// RemoveJob removes a job that is deployed nowhere (§8.3).
func (o *Original) RemoveJob(id job.ID) error {
	path := "/config/jobs/" + id.String()
	names, _, err := o.conn.Children(path)
	if err != nil {
		return err
	}
	var operations []any
	for _, name := range names {
		if strings.HasPrefix(name, "creation-") {
			operations = append(operations, remove(path+"/"+name))
			break
		}
	}
	operations = append(operations, remove(path+"/hosts"), remove("/config/jobrefs/"+id.Name+":"+id.Version), remove(path), touch())
	if _, err := o.conn.Multi(operations...); err != nil {
		return err
	}
	history, err := o.tree("/history/jobs/" + id.String())
	for _, path := range slices.Backward(history) {
		err = errors.Join(err, o.conn.Delete(path, anyVersion))
	}
	return err
}

// Deploy deploys a job that exists (§8.4).
func (o *Original) Deploy(host string, d job.Deployment) error {
	id := d.JobID
	j, err := o.job(id)
	if err != nil {
		return err
	}
	operations := []any{&zk.CheckVersionRequest{Path: "/config/jobs/" + id.String(), Version: anyVersion}}
	for _, port := range ports(j) {
		operations = append(operations, create(fmt.Sprintf("/config/hosts/%s/ports/%d", host, port), document.Canonical(id.JSON())))
	}
	operations = append(operations, create("/config/jobs/"+id.String()+"/hosts/"+host, nil))
	path := taskPath(host, id)
	if exists, _, err := o.conn.Exists(path); err != nil || exists {
		return errors.Join(zk.ErrNodeExists, err)
	}
	task := job.Task{
		Job: j, Goal: d.Goal, DeployerUser: d.DeployerUser, DeployerMaster: d.DeployerMaster, DeploymentGroupName: d.DeploymentGroupName,
	}
	_, err = o.conn.Multi(append(operations, create(path, document.Canonical(task.JSON())), create(path+"/creation-"+random.NewString(), nil))...)
	return err
}

// SetGoal gives a task another goal, whatever became of its node since it was read (§8.5).
func (o *Original) SetGoal(host string, id job.ID, goal job.Goal) error {
	j, err := o.job(id)
	if err != nil {
		return err
	}
	data, _, err := o.conn.Get(taskPath(host, id))
	if err != nil {
		return err
	}
	var task job.Task
	if err := document.Read(data, task.JSON()); err != nil {
		return err
	}
	task.Job, task.Goal = j, goal
	_, err = o.conn.Multi(&zk.SetDataRequest{Path: taskPath(host, id), Data: document.Canonical(task.JSON()), Version: anyVersion})
	return err
}

// Undeploy takes a task away (§8.7).
func (o *Original) Undeploy(host string, id job.ID) error {
	j, err := o.job(id)
	if err != nil {
		return err
	}
	operations, err := o.removals(taskPath(host, id))
	if err != nil {
		return err
	}
	operations = append(operations, remove("/config/jobs/"+id.String()+"/hosts/"+host))
	for _, port := range ports(j) {
		operations = append(operations, remove(fmt.Sprintf("/config/hosts/%s/ports/%d", host, port)))
	}
	_, err = o.conn.Multi(operations...)
	return err
}

// DeregisterHost takes a host off the list, with all its tasks (§8.9).
func (o *Original) DeregisterHost(host string) error {
	at := "/config/hosts/" + host
	var operations []any
	add := func(path string) error {
		removals, err := o.removals(path)
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		operations = append(operations, removals...)
		return err
	}
	var errs []error
	jobs, _, _ := o.conn.Children(at + "/jobs") // an error counts as none
	slices.Sort(jobs)
	for _, name := range jobs {
		errs = append(errs, add(at+"/jobs/"+name), add("/config/jobs/"+name+"/hosts/"+host), add("/history/jobs/"+name+"/hosts/"+host))
	}
	operations = append(operations, remove(at+"/jobs"))
	errs = append(errs, add("/status/hosts/"+host), add(at+"/ports"), add(at+"/id"))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := o.conn.Multi(append(operations, remove(at))...)
	return err
}

func taskPath(host string, id job.ID) string { return "/config/hosts/" + host + "/jobs/" + id.String() }

func (o *Original) job(id job.ID) (j job.Job, err error) {
	data, _, err := o.conn.Get("/config/jobs/" + id.String())
	if err != nil {
		return j, err
	}
	return j, document.Read(data, j.JSON())
}

// ports are the job's static ports (§8).
func ports(j job.Job) []int32 {
	static := make(map[int32]bool)
	for _, mapping := range j.Ports {
		if mapping.ExternalPort != nil {
			static[*mapping.ExternalPort] = true
		}
	}
	return slices.Sorted(maps.Keys(static))
}

// tree lists a node and all below it, each before what is below it.
func (o *Original) tree(path string) ([]string, error) {
	names, _, err := o.conn.Children(path)
	if err != nil {
		return nil, err
	}
	paths := []string{path}
	for _, name := range names {
		below, err := o.tree(path + "/" + name)
		if err != nil {
			return nil, err
		}
		paths = append(paths, below...)
	}
	return paths, nil
}

// removals delete a node and all below it, leaves first.
func (o *Original) removals(path string) ([]any, error) {
	paths, err := o.tree(path)
	var operations []any
	for _, path := range slices.Backward(paths) {
		operations = append(operations, remove(path))
	}
	return operations, err
}

// Load makes a recorded tree in an empty store, with the versions of its data. What is ephemeral in it belongs to this
// session.
func (o *Original) Load(t testing.TB, tree Tree) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		n := tree[path]
		if path == "/" {
			continue
		}
		data, flags := []byte(n.Data), int32(0)
		if n.Data == "null" {
			data = nil
		}
		if n.Ephemeral {
			flags = zk.FlagEphemeral
		}
		_, err := o.conn.Create(path, data, flags, open)
		for range n.Version {
			if err == nil {
				_, err = o.conn.Set(path, data, anyVersion)
			}
		}
		if err != nil {
			t.Fatalf("load %s: %v", path, err)
		}
	}
}

// Tree reads all nodes.
func (o *Original) Tree(t testing.TB) Tree { return ReadTree(t, o.conn, "") }
