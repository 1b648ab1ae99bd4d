package rollout

import (
	"fmt"
	"testing"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// million is a core with 1,000,000 waiting things of job 7 in 16 homes, driven as a host does, without a log.
type million struct {
	core   core.Core
	state  *kv.Memory
	now    int64
	number uint64
}

func newMillion(b *testing.B, created *v1.JobCreated) *million {
	m := &million{core: New(16, DefaultLimits()), state: kv.NewMemory(), now: 1_000_000, number: 1}
	created.Job, created.JobId = 7, "job-7"
	m.call(b, func(s *core.Step) {
		m.core.React(s, nil, s.Now, &v1.Entry{Event: &v1.Event{Event: &v1.Event_JobCreated{JobCreated: created}}})
	})
	for i := range 1000 {
		e := &v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: 7, Things: things(i*1000, 1000)}}}
		m.call(b, func(s *core.Step) { m.core.React(s, nil, s.Now, &v1.Entry{Event: e}) })
	}
	return m
}

// call decides and folds one commit.
func (m *million) call(b *testing.B, f func(*core.Step)) []*v1.Entry {
	tx := kv.NewOverlay(m.state)
	s := core.NewStep(m.core, tx, id.RolloutLog, m.number, 0, m.now)
	f(s)
	batch := m.state.NewBatch()
	tx.WriteTo(batch)
	if err := batch.Commit(); err != nil {
		b.Fatal(err)
	}
	m.number++
	return s.Entries()
}

// BenchmarkReleaseOfAMillion is one release of 1,000,000 things a round: decide and fold, without the log. A careful job
// gets a current state for each commit, a paced one time.
func BenchmarkReleaseOfAMillion(b *testing.B) {
	for name, created := range map[string]*v1.JobCreated{
		"unpaced":              {},
		"6,000,000 a minute":   {Rollout: &v1.RolloutConfig{MaximumPerMinute: 6_000_000}},
		"unpaced with abort":   {Abort: abortOn(on(byFailed, 500, 200))},
		"exponential to 6e6":   {Rollout: &v1.RolloutConfig{MaximumPerMinute: 6_000_000, Exponential: &v1.ExponentialRate{BasePerMinute: 600_000, IncrementFactorTenths: 20, NotifiedThings: 1000}}},
		"continuous, withdrew": {TargetSelection: continuous},
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				m := newMillion(b, created)
				if created.TargetSelection == continuous {
					e := &v1.Event{Event: &v1.Event_ThingsDeselected{ThingsDeselected: &v1.ThingsDeselected{Job: 7, Things: things(0, 1000)}}}
					m.call(b, func(s *core.Step) { m.core.React(s, nil, s.Now, &v1.Entry{Event: e}) })
				}
				b.StartTimer()
				left, commits := 1_000_000, 0
				for left > 0 {
					next, needs := int64(0), false
					entries := m.call(b, func(s *core.Step) {
						s.Current = true
						next = m.core.Due(s)
						needs = s.NeedsCurrent()
					})
					for _, e := range entries {
						left -= len(e.GetEvent().GetExecutionsReleased().GetThings()) + int(e.GetEvent().GetThingsDropped().GetThings())
					}
					commits++
					if next > m.now && next != core.Never && !needs {
						m.now = next
					} else if len(entries) == 0 && left > 0 {
						b.Fatal(fmt.Sprint("stuck with ", left, " left"))
					}
				}
				b.ReportMetric(float64(commits), "commits/op")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/thing")
		})
	}
}
