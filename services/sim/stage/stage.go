// Package stage is the system's logs in memory, with what a host of each needs to be run from one goroutine.
//
// It promises that every core reads here what it reads in a real system, by the same Machine and in causal order. It
// leaves time, faults and who acts when to its callers: services/sim under a seed, services/scenario by a script.
package stage

import (
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/eventstore"
	"github.com/droverhq/drover/eventstore/memory"
	"github.com/droverhq/drover/projections/kv"
	"github.com/droverhq/drover/projections/tally"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/execution"
	"github.com/droverhq/drover/services/host"
	"github.com/droverhq/drover/services/job"
	"github.com/droverhq/drover/services/rollout"
	"github.com/droverhq/drover/services/targeting"
)

// Log is one log in memory, with the core that writes it.
type Log struct {
	Name    id.Log
	Backend *memory.Backend
	Log     *eventstore.Log
	// Core makes its core anew.
	Core func() core.Core
	// Upstream are the logs that the core reads.
	Upstream []*Log

	homes uint32
}

// Limits are those of the cores.
type Limits struct {
	Job       job.Limits
	Targeting targeting.Limits
	Rollout   rollout.Limits
}

// DefaultLimits are those of a system that is told nothing else.
func DefaultLimits() Limits {
	return Limits{job.DefaultLimits(), targeting.DefaultLimits(), rollout.DefaultLimits()}
}

// AWSLimits are AWS's.
func AWSLimits() Limits {
	return Limits{job.AWSLimits(), targeting.AWSLimits(), rollout.AWSLimits()}
}

// Logs are those of a system: job, targeting, rollout, then one per home.
func Logs(homes uint32, limits Limits) []*Log {
	var logs []*Log
	for _, name := range id.Logs(homes) {
		b := memory.New()
		logs = append(logs, &Log{Name: name, Backend: b, Log: eventstore.New(name, b), homes: homes})
	}
	jobs, fleet, rollouts := logs[0], logs[1], logs[2]
	jobs.Core, jobs.Upstream = func() core.Core { return job.New(limits.Job) }, []*Log{rollouts}
	fleet.Core, fleet.Upstream = func() core.Core { return targeting.New(limits.Targeting) }, []*Log{jobs}
	rollouts.Core = func() core.Core { return rollout.New(homes, limits.Rollout) }
	rollouts.Upstream = append([]*Log{jobs, fleet}, logs[3:]...)
	for _, l := range logs[3:] {
		l.Core = func() core.Core { return execution.New(uint32(l.Name.Home), homes) }
		l.Upstream = []*Log{rollouts}
	}
	return logs
}

// Config is a host's, but for its clock, its head and when it may speak. Only a home has somebody to tell.
func (l *Log) Config(state kv.Store, owner string, tells host.Notifier) host.Config {
	cfg := host.Config{
		Log: l.Log, Core: l.Core(), State: state, Homes: l.homes, Owner: owner, IsQuery: IsQuery,
		LogID: fmt.Appendf(nil, "%-16s", l.Name.String()), Logger: slog.New(slog.DiscardHandler),
	}
	for _, u := range l.Upstream {
		cfg.Upstream = append(cfg.Upstream, u.Log)
	}
	if l.Name.Service == v1.Service_SERVICE_EXECUTION {
		cfg.Tally, cfg.Notifier = tally.Of, tells
	}
	return cfg
}

// IsQuery tells the questions that owners answer from commands.
func IsQuery(m proto.Message) bool {
	switch m.(type) {
	case *v1.GetPending, *v1.DescribeExecution, *v1.CheckTargets, *v1.GetHolding, *v1.GetThingHolding:
		return true
	}
	return false
}
