package store

import (
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// damage leaves in the tree what masters of 0.9, or people, may leave there: nodes of deployments, jobs and hosts without
// the others that belong to them.
func (p *play) damage() {
	for range 1 + p.random.IntN(4) {
		j, name := p.jobs[p.random.IntN(2)], playHosts[p.random.IntN(2)]
		id := j.ID.String()
		port := fmt.Sprint(staticPorts(j)[0])
		switch p.random.IntN(9) {
		case 0:
			p.leave(configJobHost(j.ID, name), "")
		case 1:
			p.lose(configJobHost(j.ID, name))
		case 2:
			p.leave(configHosts+"/"+name+"/ports/"+port, string(quoted(j.ID)))
		case 3:
			p.lose(configHosts + "/" + name + "/ports/" + port)
		case 4:
			p.lose(configJob(j.ID))
			p.lose(configJobRef(j.ID))
		case 5:
			p.lose(configHostID(name))
		case 6:
			p.lose(configHostPorts(name))
		case 7:
			p.lose(statusHostJobs(name))
		case 8:
			p.leave(configHostJobCreation(name, j.ID, "of somebody"), "")
			p.leave(configJobCreation(j.ID, "of somebody"), "")
		}
		p.say("damaged: %s on %s", id, name)
	}
}

// leave makes a node, if it has a parent and is not there.
func (p *play) leave(path, data string) {
	err := p.watcher.session.create(p.t.Context(), path, []byte(data), 0)
	if err != nil && !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrNodeExists) {
		p.t.Fatal(err)
	}
}

// lose deletes a node and all below it.
func (p *play) lose(path string) { must(p.t, p.watcher.session.removeTree(p.t.Context(), path)) }
