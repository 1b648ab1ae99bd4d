package targeting

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
)

// bench is the core on kv.Memory without the comparisons of coretest.
type bench struct {
	b      *testing.B
	core   core.Core
	state  *kv.Memory
	number uint64
}

func newBench(b *testing.B) *bench {
	return &bench{b: b, core: New(DefaultLimits()), state: kv.NewMemory()}
}

func (b *bench) commit(call func(s *core.Step)) []*v1.Entry {
	b.number++
	tx := kv.NewOverlay(b.state)
	s := core.NewStep(b.core, tx, id.TargetingLog, b.number, 0, int64(b.number))
	call(s)
	batch := b.state.NewBatch()
	tx.WriteTo(batch)
	if err := batch.Commit(); err != nil {
		b.b.Fatal(err)
	}
	return s.Entries()
}

func (b *bench) decide(cmd proto.Message) {
	b.commit(func(s *core.Step) {
		if _, err := b.core.Decide(s, cmd); err != nil {
			b.b.Fatal(err)
		}
	})
}

// populate creates a group of n things.
func (b *bench) populate(n int) {
	b.decide(&v1.CreateGroup{Group: "g"})
	list := numbered(n)
	for from := 0; from < n; from += 1000 {
		b.decide(things(list[from : from+1000]...))
		b.decide(&v1.AddThings{Group: "g", Things: list[from : from+1000]})
	}
}

func (b *bench) selection(job uint64, targets ...*v1.Target) (things int) {
	b.commit(func(s *core.Step) {
		b.core.React(s, nil, s.Now, &v1.Entry{Event: &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: job, Targets: targets}}}})
	})
	for next := int64(0); next != core.Never; {
		for _, e := range b.commit(func(s *core.Step) { next = b.core.Due(s) }) {
			things += len(e.Event.GetThingsSelected().GetThings())
		}
	}
	return things
}

func benchmarkSelection(b *testing.B, targets ...*v1.Target) {
	const n = 100_000
	m := newBench(b)
	m.populate(n)
	m.decide(&v1.CreateGroup{Group: "other"})
	b.ResetTimer()
	for i := range b.N {
		if got := m.selection(uint64(i+1), targets...); got != n {
			b.Fatalf("%d things were selected", got)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "things/s")
}

func BenchmarkSelectionOfAGroup(b *testing.B) { benchmarkSelection(b, group("g")) }

// With several targets each thing's memberships are read.
func BenchmarkSelectionOfMixedTargets(b *testing.B) {
	benchmarkSelection(b, thing("thing-00007"), group("other"), group("g"))
}

func BenchmarkCreateAndAddThings(b *testing.B) {
	const n = 50_000
	for range b.N {
		newBench(b).populate(n)
	}
	b.ReportMetric(2*n*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
