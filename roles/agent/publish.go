package agent

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/supervisor"
)

const (
	statusesEvery = time.Minute // until the status directory is read and compared again, without any other reason
	factsEvery    = time.Minute // between two reports of host and agent information
)

// publisher writes what this agent has to say into the store, while the host is registered.
type publisher struct {
	store    *store.Store
	host     string
	statuses *statuses
	log      zerolog.Logger

	environment, labels map[string]string
	hostInfo            func(context.Context) host.Info
	agentInfo           func() host.AgentInfo
}

// publishStatuses makes the host's status directory equal to the local statuses (zookeeper §10.2), whatever it held: at
// first, after each reconnection, and whenever one changes. Intermediate values may be skipped.
func (p *publisher) publishStatuses(ctx context.Context) error {
	connections := p.store.Connections(ctx)
	hush(connections)
	backoff := supervisor.Backoff{}
	var there map[string][]byte // what the directory holds; nil: not known
	var reminder store.Reminder
	for {
		pause := statusesEvery
		var err error
		if there == nil {
			there, err = p.store.TaskStatuses(ctx, p.host)
		}
		if err == nil {
			err = p.push(ctx, there)
		}
		switch {
		case err == nil:
			backoff.Reset()
			reminder.Reset()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			there = nil
			pause = backoff.Next()
			if reminder.Due(time.Now()) {
				p.log.Warn().Err(err).Msg("task statuses cannot be published: they wait")
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-p.statuses.bell:
		case <-connections:
			there = nil
		case <-timer.C:
			there = nil
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// push writes the difference between the local statuses and what is there, and notes in there what it wrote. One that
// cannot be written does not keep the others back.
func (p *publisher) push(ctx context.Context, there map[string][]byte) error {
	var errs []error
	local := p.statuses.snapshot()
	wanted := make(map[string]bool, len(local))
	for id, status := range local {
		name := id.String()
		wanted[name] = true
		if bytes.Equal(there[name], status) {
			continue
		}
		if err := p.store.PutTaskStatus(ctx, p.host, name, status); err != nil {
			errs = append(errs, err)
			continue
		}
		there[name] = status
	}
	for name := range there {
		if wanted[name] {
			continue
		}
		if err := p.store.RemoveTaskStatus(ctx, p.host, name); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(there, name)
	}
	return errors.Join(errs...)
}

// facts are what changes in what this agent says of its host.
type facts struct {
	agent host.AgentInfo
	host  host.Info
}

// publishFacts reports what the host is: at first and once a minute. After each reconnection it sees to it that the last
// report is there: a store that was restored may have lost it. Each time labels and environment are written, too, where
// they differ (zookeeper Q4).
func (p *publisher) publishFacts(ctx context.Context) error {
	connections := p.store.Connections(ctx)
	due := time.NewTimer(0) // when the next report is to be made
	defer due.Stop()
	backoff := supervisor.Backoff{}
	var last *facts
	var reminder store.Reminder
	for {
		var err error
		select {
		case <-due.C:
			due.Reset(factsEvery)
			last = &facts{p.agentInfo(), p.hostInfo(ctx)}
			err = p.putFacts(ctx, *last)
		case <-connections:
			if last != nil {
				err = p.keepFacts(ctx, *last)
			}
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			backoff.Reset()
			reminder.Reset()
		} else {
			due.Reset(backoff.Next())
			if reminder.Due(time.Now()) {
				p.log.Warn().Err(err).Msg("host information cannot be published: it waits")
			}
		}
	}
}

// putFacts makes a report. The host information comes last: by its age others judge whether this agent is alive.
func (p *publisher) putFacts(ctx context.Context, f facts) error {
	if err := p.putConstants(ctx); err != nil {
		return err
	}
	if err := p.store.PutAgentInfo(ctx, p.host, f.agent); err != nil {
		return err
	}
	return p.store.PutHostInfo(ctx, p.host, f.host)
}

// keepFacts writes what is missing of a report.
func (p *publisher) keepFacts(ctx context.Context, f facts) error {
	if err := p.putConstants(ctx); err != nil {
		return err
	}
	if err := p.store.KeepAgentInfo(ctx, p.host, f.agent); err != nil {
		return err
	}
	return p.store.KeepHostInfo(ctx, p.host, f.host)
}

func (p *publisher) putConstants(ctx context.Context) error {
	if err := p.store.PutLabels(ctx, p.host, p.labels); err != nil {
		return err
	}
	return p.store.PutEnvironment(ctx, p.host, p.environment)
}
