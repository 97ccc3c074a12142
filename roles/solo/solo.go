// Package solo is a whole cluster in one process: an embedded coordination server, one master, one agent, for local
// development. They are the same pieces that servers run, and speak to each other as they do there.
//
// It owns the state directory that the three share, the order in which they start and end, and the file by which a
// client of the same user finds the master. When it ends, containers go on running; when it starts again, it takes them
// up.
package solo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/helios-go/helios/roles/agent"
	"github.com/helios-go/helios/roles/master"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/zkserver"
)

// Options are the settings of a solo. StateDir and Version are required.
type Options struct {
	// StateDir is the directory of all state.
	StateDir string
	// Name is the name of the one host; "solo" by default.
	Name string
	// Addr, AdminAddr and StoreAddr are what the master's two ports and the coordination server listen on, host:port;
	// port 0 takes a free one.
	Addr, AdminAddr, StoreAddr string
	// Capabilities are the Linux capabilities that jobs may add.
	Capabilities []string
	// Agent are the settings of the agent; its name, directory and store are solo's.
	Agent agent.Options
	// Version is what all roles report as their own.
	Version string
	// Logger gets what changes.
	Logger zerolog.Logger
}

// Solo is one solo. New makes it, Run does its work.
type Solo struct {
	server *zkserver.Server
	master *master.Master
	agent  *agent.Agent
	client *clientFile
}

// New takes the state directory, binds all listeners and reads the state. Docker need not be there. After an error
// nothing is left open.
func New(opts Options) (*Solo, error) {
	if opts.StateDir == "" {
		return nil, errors.New("solo needs a state directory")
	}
	if opts.Name == "" {
		opts.Name = "solo"
	}
	client, err := openClientFile(opts.StateDir)
	if err != nil {
		return nil, err
	}
	s := &Solo{client: client}
	if err := s.open(opts); err != nil {
		s.client.close()
		return nil, err
	}
	return s, nil
}

// ErrInUse is in the chain where a running solo holds the state directory.
var ErrInUse = errors.New("in use by another solo")

// StoreDir is the directory of the coordination server's state in a state directory.
func StoreDir(stateDir string) string { return filepath.Join(stateDir, "store") }

// Restore makes the coordination server's state in a state directory from a backup, see [zkserver.Restore]. A solo that
// runs there would go on writing to the state that was moved away, so it keeps the directory to itself meanwhile.
func Restore(file, stateDir string) (zkserver.Report, error) {
	client, err := lockClientFile(stateDir, 0)
	switch {
	case err == nil:
		defer client.close()
	case !errors.Is(err, fs.ErrNotExist): // without the file no solo was ever there
		return zkserver.Report{}, err
	}
	return zkserver.Restore(file, StoreDir(stateDir))
}

func (s *Solo) open(opts Options) error {
	var err error
	s.server, err = zkserver.New(zkserver.Options{
		Addr: opts.StoreAddr, Dir: StoreDir(opts.StateDir), Logger: opts.Logger,
	})
	if err != nil {
		return err
	}
	st := store.Options{Servers: s.server.Addr()}
	s.master, err = master.New(master.Options{
		Name: opts.Name, Store: st, Addr: opts.Addr, AdminAddr: opts.AdminAddr,
		Capabilities: opts.Capabilities, StoreRefusal: s.server.Refusal, Version: opts.Version, Logger: opts.Logger,
	})
	if err != nil {
		s.drain()
		return err
	}
	a := opts.Agent
	a.Name, a.StateDir, a.Store = opts.Name, filepath.Join(opts.StateDir, "agent"), st
	a.Version, a.Logger = opts.Version, opts.Logger
	if s.agent, err = agent.New(a); err != nil {
		s.drain()
		return err
	}
	if err := s.client.write(s.master.Addr()); err != nil {
		s.drain()
		return err
	}
	return nil
}

// drain runs what was made with an end that has come: each closes what it opened.
func (s *Solo) drain() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Run(ended)
}

// Addr is the address of the API, AdminAddr of the master's admin port, StoreAddr of the coordination server.
func (s *Solo) Addr() net.Addr      { return s.master.Addr() }
func (s *Solo) AdminAddr() net.Addr { return s.master.AdminAddr() }
func (s *Solo) StoreAddr() string   { return s.server.Addr() }

// Run works until ctx ends; the coordination server ends last. It returns nil after an orderly end.
func (s *Solo) Run(ctx context.Context) error {
	defer s.client.close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var g errgroup.Group
	g.Go(func() error {
		defer cancel() // nothing works without it
		if err := s.server.Run(serving); err != nil {
			return fmt.Errorf("coordination server: %w", err)
		}
		return nil
	})
	roles, running := errgroup.WithContext(ctx)
	if s.master != nil {
		roles.Go(func() error { return s.master.Run(running) })
	}
	if s.agent != nil {
		roles.Go(func() error { return s.agent.Run(running) })
	}
	err := roles.Wait()
	stop()
	return errors.Join(err, g.Wait())
}

// clientFile is client.json in the state directory: a configuration file for the client, which uses it as long as the
// solo that wrote it holds it locked (decisions 17). The lock also keeps a second solo out.
type clientFile struct{ file *os.File }

func openClientFile(stateDir string) (*clientFile, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	return lockClientFile(stateDir, os.O_CREATE)
}

func lockClientFile(stateDir string, create int) (*clientFile, error) {
	file, err := os.OpenFile(filepath.Join(stateDir, "client.json"), os.O_RDWR|create, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open client file: %w", err)
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_SETLK, &whole); err != nil {
		file.Close()
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("state directory %s is %w", stateDir, ErrInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return &clientFile{file}, nil
}

// write names the master. It writes in place: a new file would not be the one that is locked.
func (c *clientFile) write(api net.Addr) error {
	text := fmt.Sprintf("{\"masterEndpoints\":[\"http://%s\"]}\n", api)
	if err := c.file.Truncate(0); err != nil {
		return fmt.Errorf("write client file: %w", err)
	}
	if _, err := c.file.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("write client file: %w", err)
	}
	return nil
}

func (c *clientFile) close() { _ = c.file.Close() }
