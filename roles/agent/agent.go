// Package agent is the process of one Docker host: it makes the containers there follow the tasks that masters put into
// the store, and writes back what it saw (testdata/spec/4-agent.md, 3-zookeeper.md §7, §10–§12).
//
// It owns the state directory, the executions (what was once accepted for this host, durable), the passes that bring
// supervisors in line with the tasks, the registration of the host, and the local statuses and history events that
// are published while it is registered. It never stops a container because it ends, or because the store, Docker or
// its own files are away, empty, new or damaged: only a task that was taken out of the list it stood in ends one.
//
//	store ── WatchTasks ──▶ reading ──▶ wishes ──▶ executions ──▶ supervisors ──▶ Docker
//	  ▲                                   (pass: wishes.go, notes.go, executions.go, reconcile.go)
//	  └── publisher ◀── statuses, history ◀─────────── report ◀────────┘
package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/supervisor"
	"github.com/helios-go/helios/supervisor/docker"
	"github.com/helios-go/helios/supervisor/health"
)

// Options are the settings of an agent. Name, StateDir and Store.Servers are required.
type Options struct {
	// Name is the host name: the agent's identity in the cluster.
	Name string
	// StateDir is the directory with the agent's files; only one agent at a time may use it.
	StateDir string
	// ID is the agent id of a new state directory; a random one by default. An id that is there already stays.
	ID string
	// Store says where the cluster's store is.
	Store store.Options
	// Docker says where the engine is, and what is added to every container.
	Docker docker.Options
	// FirstPort to EndPort-1 are the dynamic host ports; 20000 to 32767 by default.
	FirstPort, EndPort int
	// Env is the environment that every container gets.
	Env map[string]string
	// Labels are the labels of the host.
	Labels map[string]string
	// Addr and AdminAddr are what New listens on for HTTP requests, host:port; port 0 takes a free one. "" does without.
	Addr, AdminAddr string
	// TTL is how long another agent's hold on the host name lasts after its last report; nil means ten minutes.
	TTL *time.Duration
	// Registrar tells a service registry what runs here, in services of Domain by default; nil: nobody is told.
	Registrar Registrar
	Domain    string
	// DisableHistory leaves the history of tasks unwritten.
	DisableHistory bool
	// Version is what the agent reports as its own.
	Version string
	// Logger gets what changes.
	Logger zerolog.Logger
}

// Agent is one agent. New makes it, Run does its work.
type Agent struct {
	opts       Options
	id         string
	dir        *stateDir
	store      *store.Store
	engine     *docker.Engine
	prober     *health.Prober
	statuses   *statuses
	history    *history
	memory     *memory
	reconciler *reconciler
	registrar  *registrar
	publisher  *publisher
	attempts   *attempts
	server     *server.Server
	reap       chan struct{} // rings when strays may be looked for
	alone      chan struct{} // closed when the host is registered
	inherited  bool          // the state directory is that of an agent of the original
	log        zerolog.Logger
}

// New locks the state directory, reads its files and begins to connect to the store. Neither the store nor Docker need
// be there. After an error nothing is left open.
func New(opts Options) (*Agent, error) {
	if opts.Name == "" || opts.StateDir == "" {
		return nil, errors.New("an agent needs a host name and a state directory")
	}
	if opts.FirstPort == 0 && opts.EndPort == 0 {
		opts.FirstPort, opts.EndPort = 20000, 32768
	}
	if opts.TTL == nil {
		opts.TTL = new(10 * time.Minute)
	}
	log := opts.Logger.With().Str("role", "agent").Str("host", opts.Name).Logger()
	opts.Store.Logger, opts.Docker.Logger = log, log

	ports, err := supervisor.NewPorts(opts.FirstPort, opts.EndPort, supervisor.Free)
	if err != nil {
		return nil, err
	}
	engine, err := docker.New(opts.Docker)
	if err != nil {
		return nil, err
	}
	dir, err := openStateDir(opts.StateDir, log)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		opts: opts, dir: dir, engine: engine, reap: make(chan struct{}, 1), alone: make(chan struct{}), attempts: newAttempts(time.Now()), log: log,
	}
	_, err = os.Stat("/.dockerenv") // an agent in a container finds published ports elsewhere
	a.prober = &health.Prober{Host: engine.Endpoint().Address, Inside: err == nil && engine.Endpoint().Socket, Exec: engine.Exec}
	if err := a.open(ports); err != nil {
		dir.close()
		return nil, err
	}
	return a, nil
}

// open reads the state files and wires the parts, in the order in which they need each other.
func (a *Agent) open(ports *supervisor.Ports) error {
	var err error
	if a.id, err = a.dir.agentID(a.opts.ID); err != nil {
		return err
	}
	here, err := a.dir.place()
	if err != nil {
		return err
	}
	if a.memory, err = openMemory(a.dir, here); err != nil {
		return err
	}
	if a.memory.newer != nil {
		a.log.Error().Err(a.memory.newer).Msg("the file stays as it is, and so does what runs: a host without a registration is not registered anew")
	}
	a.inherited = a.memory.Hosts == nil && a.memory.newer == nil
	executions, err := openExecutions(a.dir)
	if err != nil {
		return err
	}
	wishes, file, err := openWishes(a.dir, a.opts.Name, executions, !a.inherited)
	if err != nil {
		return err
	}
	if a.statuses, err = openStatuses(a.dir, a.log); err != nil {
		return err
	}
	if a.history, err = openHistory(a.dir, a.opts.Name, a.log); err != nil {
		return err
	}
	a.statuses.events = a.history.keep
	if a.store, err = store.Open(a.opts.Store); err != nil {
		return err
	}
	a.reconciler = &reconciler{
		dir: a.dir, host: a.opts.Name, id: a.id, ports: ports, statuses: a.statuses, file: file, log: a.log,
		supervise: a.supervise, containers: a.engine.Running, report: a.report,
		agents: func() []string { return append([]string{a.id}, a.memory.former()...) },
		note: func(ctx context.Context, n host.Note, held map[job.ID]job.Task) error {
			return a.store.PutNote(ctx, a.opts.Name, n, held)
		},
		answer: func(ctx context.Context) error { return a.store.EndAcceptance(ctx, a.opts.Name) },
		passed: func(known bool) {
			if known {
				ring(a.reap)
			}
		},
		bell: make(chan struct{}, 1), running: make(map[job.ID]*supervisor.Supervisor),
		rebound: make(map[job.ID]map[string]int),
		told:    wishes, wishes: wishes, executions: executions,
	}
	started := time.Now()
	a.publisher = &publisher{
		store: a.store, host: a.opts.Name, statuses: a.statuses, log: a.log,
		environment: a.opts.Env, labels: a.opts.Labels,
		hostInfo: func(ctx context.Context) host.Info { return hostInfo(ctx, a.engine, a.opts.Docker.CertPath) },
		agentInfo: func() host.AgentInfo {
			return agentInfo(started, time.Now(), a.opts.Version, a.opts.Name)
		},
	}
	a.registrar = &registrar{
		store: a.store, host: a.opts.Name, id: a.id, ttl: *a.opts.TTL, log: a.log,
		memory: a.memory, duties: a.duties(), readmitted: a.reconciler.readmit,
		registered: func() { close(a.alone) },
	}
	a.server, err = server.NewAgent(server.AgentOptions{
		Addr: a.opts.Addr, AdminAddr: a.opts.AdminAddr,
		Tasks: a.reconciler.tasks, Wishes: a.reconciler.describe, Views: a.store.Views, Statuses: a.statuses.all, Health: a.health,
		Logger: a.log,
	})
	if err != nil {
		a.store.Close()
		return err
	}
	return nil
}

// Addr is the address of the agent's API, AdminAddr of its admin port; nil without a listener.
func (a *Agent) Addr() net.Addr      { return a.server.Addr() }
func (a *Agent) AdminAddr() net.Addr { return a.server.AdminAddr() }

// duties is what only a registered agent does: following the host's tasks and writing about the host. One that is
// refused leaves both to the agent that holds the name (zookeeper Q2).
func (a *Agent) duties() []func(context.Context) error {
	duties := []func(context.Context) error{
		a.followTasks,
		a.heedAcceptances,
		a.publisher.publishStatuses,
		a.publisher.publishFacts,
	}
	if !a.opts.DisableHistory {
		duties = append(duties, func(ctx context.Context) error {
			return a.history.run(ctx, func(ctx context.Context, id job.ID, events []job.TaskStatusEvent) (int, error) {
				return a.store.AppendHistory(ctx, a.opts.Name, id, events)
			})
		})
	}
	return duties
}

// followTasks has the reconciler follow the host's tasks.
func (a *Agent) followTasks(ctx context.Context) error {
	defer a.reconciler.ignore()
	return a.store.WatchTasks(ctx, a.opts.Name, a.reconciler.names, a.reconciler.observe)
}

// heedAcceptances hands on what people say about the doubt. One who keeps what this agent remembers works himself, and
// is seen by what becomes of the tasks.
func (a *Agent) heedAcceptances(ctx context.Context) error {
	return a.store.WatchAcceptance(ctx, a.opts.Name, func(said host.Acceptance, err error) {
		switch {
		case err != nil:
			a.log.Error().Err(err).Msg("an acceptance cannot be read: it is void")
			if err := a.store.EndAcceptance(ctx, a.opts.Name); err != nil {
				a.log.Warn().Err(err).Msg("an acceptance cannot be answered")
			}
		case said.Mode == host.Follow:
			a.log.Info().Str("user", said.User).Str("mode", string(said.Mode)).Str("token", said.Token).Msg("a doubt is accepted")
			a.reconciler.accept(said)
		}
	})
}

// Run works until ctx ends, and then takes the host's up node away and leaves every container running. It returns nil
// after an orderly end.
func (a *Agent) Run(ctx context.Context) error {
	starts := a.log.Info().Str("id", a.id).Str("version", a.opts.Version).Str("state", a.opts.StateDir).
		Str("docker", a.engine.Endpoint().URL)
	if a.Addr() != nil {
		starts = starts.Stringer("http", a.Addr())
	}
	if a.AdminAddr() != nil {
		starts = starts.Stringer("admin", a.AdminAddr())
	}
	starts.Msg("agent starts")
	var parts sync.WaitGroup
	for _, run := range []func(context.Context) error{
		a.serve, a.engine.Run, a.reconcile, a.registrar.run, a.reapStrays, a.judgeDocker,
	} {
		parts.Go(func() { _ = run(ctx) }) // each ends with ctx and logs its own troubles
	}
	parts.Wait()
	a.statuses.writing.Wait()
	if a.opts.Registrar != nil {
		a.opts.Registrar.Close()
	}
	a.store.Close()
	a.engine.Close()
	if err := a.dir.close(); err != nil {
		return fmt.Errorf("unlock state directory: %w", err)
	}
	a.log.Info().Msg("agent ends, its containers go on running")
	return nil
}

// reconcile runs the tasks: at once, whether ZooKeeper is there or not, but for a state directory that was copied. Its
// tasks may be run by the other agent, until the registration shows that it is not there.
func (a *Agent) reconcile(ctx context.Context) error {
	if a.memory.copied() != "" {
		select {
		case <-a.alone:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return a.reconciler.run(ctx)
}

// serve answers HTTP requests. The tasks do not depend on it.
func (a *Agent) serve(ctx context.Context) error {
	if err := a.server.Run(ctx); err != nil {
		a.log.Error().Err(err).Msg("HTTP requests are no longer answered")
	}
	return nil
}

// supervise makes the supervisor of a task.
func (a *Agent) supervise(e execution, last *job.TaskStatus) (*supervisor.Supervisor, error) {
	opts := supervisor.Options{
		Engine: counted{a.engine, a.attempts}, Job: &e.Job, Goal: e.Goal, Ports: e.hostPorts(), Last: last,
		Host: a.opts.Name, Agent: a.id, Former: a.memory.former(), Env: a.opts.Env,
		Report: a.report, Probe: a.probe, Logger: a.log,
		Rebound: func(ports map[string]int) { a.reconciler.rebind(e.Job.ID, ports) },
	}
	if a.opts.Registrar != nil {
		opts.Announce = a.announce
	}
	return supervisor.New(opts)
}

// probe asks once whether the container of a task is well.
func (a *Agent) probe(ctx context.Context, status job.TaskStatus, c supervisor.Container) error {
	return a.prober.Probe(ctx, *status.Job.HealthCheck, health.Target{
		Container: c.ID, Ports: status.Ports, Address: c.Address, Gateway: c.Gateway,
	})
}

// report takes a new status of a task. That a container of the original runs on is no news for the history.
func (a *Agent) report(status job.TaskStatus) {
	last, known := a.statuses.last(status.Job.ID)
	old := a.inherited && known && sameStatus(last, status)
	if !a.opts.DisableHistory && !old {
		a.history.add(status, time.Now())
	}
	a.statuses.put(status)
}

// reapStrays ends running containers in this agent's namespace that belong to none of its tasks (agent §7): after each
// pass, once the tasks are known.
func (a *Agent) reapStrays(ctx context.Context) error {
	for {
		select {
		case <-a.reap:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		killed, err := supervisor.Reap(ctx, a.engine, a.id, a.reconciler.owns)
		for _, id := range killed {
			a.log.Warn().Str("container", id).Msg("killed a container in this agent's namespace that no task owns")
		}
		if err != nil && ctx.Err() == nil {
			a.log.Debug().Err(err).Msg("strays may be left")
		}
	}
}

// pretty is the form of a state file.
func pretty(v document.Value) []byte { return []byte(document.Pretty(v)) }
