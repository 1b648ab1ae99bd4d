package execution

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/core"
	"github.com/droverhq/drover/services/core/coretest"
)

// bench is a core on a store in memory, in commits of 1,000 events as under load.
type bench struct {
	core   core.Core
	store  *kv.Memory
	tx     *kv.Overlay
	number uint64
	events int
	now    int64
}

func newBench() *bench {
	b := &bench{core: New(0, 1), store: kv.NewMemory(), number: 1, now: 1_000_000}
	b.tx = kv.NewOverlay(b.store)
	b.run(func(s *core.Step) {
		b.core.React(s, nil, 0, &v1.Entry{Event: &v1.Event{Event: &v1.Event_JobOpened{JobOpened: &v1.JobOpened{
			Job: 7 << 16, JobId: "firmware-2-4-0", Document: make([]byte, 500), Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 60},
		}}}})
	})
	return b
}

func (b *bench) run(f func(*core.Step)) *core.Step {
	s := core.NewStep(b.core, b.tx, id.ExecutionLog(0), b.number, b.events, b.now)
	f(s)
	if b.events += len(s.Entries()); b.events >= 1000 {
		b.commit()
	}
	return s
}

func (b *bench) commit() {
	batch := b.store.NewBatch()
	b.tx.WriteTo(batch)
	batch.Commit()
	b.tx = kv.NewOverlay(b.store)
	b.events, b.number, b.now = 0, b.number+1, b.now+1
}

func benchThing(i int) string { return fmt.Sprintf("device-%07d", i) }

func (b *bench) release(from, n int) *core.Step {
	e := &v1.ExecutionsReleased{Job: 7 << 16}
	for i := from; i < from+n; i++ {
		e.Things = append(e.Things, &v1.ThingRef{Name: benchThing(i), Number: uint64(i+1) << 16})
	}
	return b.run(func(s *core.Step) {
		b.core.React(s, nil, 0, &v1.Entry{Event: &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: e}}})
	})
}

// BenchmarkReport decides and folds one progress report with 60 bytes of details, over 10,000 things.
func BenchmarkReport(b *testing.B) {
	const n = 10_000
	x := newBench()
	var reports [n]*v1.UpdateExecution
	for i := 0; i < n; i += 1000 {
		x.release(i, 1000)
	}
	for i := range reports {
		x.run(func(s *core.Step) { x.core.Decide(s, &v1.StartNext{Thing: benchThing(i)}) })
		reports[i] = &v1.UpdateExecution{
			Thing: benchThing(i), JobId: "firmware-2-4-0", Status: statusInProgress, ReplaceDetails: true,
			StatusDetails: detail("percent", "42", "phase", "downloading the second of three parts"),
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x.run(func(s *core.Step) {
			if _, err := x.core.Decide(s, reports[i%n]); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkRelease queues 1,000,000 things and makes what each is told.
func BenchmarkRelease(b *testing.B) {
	for b.Loop() {
		x := newBench()
		for i := 0; i < 1_000_000; i += 1000 {
			number := x.number
			s := x.release(i, 1000)
			var placed []core.Placed
			for entry, e := range s.Entries() {
				placed = append(placed, core.Placed{Place: core.Place{Number: number, Entry: entry, AtMs: x.now}, Entry: e})
			}
			if told := x.core.Notify(x.store, x.now, placed); len(told) != 1000 {
				b.Fatalf("%d of 1000 are told", len(told))
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/thing")
}

// BenchmarkTimers ends 1,000 executions by their timers, of 100,000 that are pending.
func BenchmarkTimers(b *testing.B) {
	const n, due = 100_000, 1000
	x := newBench()
	for i := 0; i < n; i += 1000 {
		x.release(i, 1000)
	}
	next := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if next == n {
			b.Fatal("no thing is left: run it with a shorter -benchtime")
		}
		for range due {
			name := benchThing(next)
			x.run(func(s *core.Step) { x.core.Decide(s, &v1.StartNext{Thing: name, StepTimeoutMinutes: 1}) })
			next++
		}
		x.commit()
		x.now += minute
		b.StartTimer()
		for fired := 0; fired < due; {
			fired += len(x.run(func(s *core.Step) { x.core.Due(s) }).Entries())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/due, "ns/timer")
}

// BenchmarkMillionTimers sets a timer and fires one, with that many pending: the cost is the same for 10,000 and for
// 1,000,000.
func BenchmarkMillionTimers(b *testing.B) {
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := newBench()
			for i := 0; i < n; i += 1000 {
				x.release(i, 1000)
				for j := i; j < i+1000; j++ {
					x.run(func(s *core.Step) { x.core.Decide(s, &v1.StartNext{Thing: benchThing(j), StepTimeoutMinutes: 10_000}) })
				}
			}
			x.commit()
			runtime.GC()
			b.ResetTimer()
			b.ReportAllocs()
			fired := 0
			for i := 0; b.Loop(); i++ {
				// One more starts, and the timer of one runs out: its step is set anew, to the least there is.
				name := fmt.Sprint("more-", i)
				x.run(func(s *core.Step) {
					x.core.React(s, nil, 0, &v1.Entry{Event: &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{
						Job: 7 << 16, Things: []*v1.ThingRef{{Name: name, Number: 1}},
					}}}})
				})
				x.run(func(s *core.Step) { x.core.Decide(s, &v1.StartNext{Thing: name, StepTimeoutMinutes: 1}) })
				x.now += minute
				x.run(func(s *core.Step) { x.core.Due(s); fired += len(s.Entries()) })
				x.now -= minute
			}
			if fired != b.N {
				b.Fatalf("%d of %d fired", fired, b.N)
			}
		})
	}
}

// BenchmarkErase deletes a job with 100,000 executions, half of which have ended.
func BenchmarkErase(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		x := newBench()
		for i := 0; i < n; i += 1000 {
			x.release(i, 1000)
			for j := i; j < i+500; j++ {
				x.run(func(s *core.Step) {
					x.core.Decide(s, &v1.UpdateExecution{Thing: benchThing(j), JobId: "firmware-2-4-0", Status: statusSucceeded})
				})
			}
		}
		x.commit()
		b.StartTimer()
		x.run(func(s *core.Step) {
			x.core.React(s, nil, 0, &v1.Entry{Event: &v1.Event{Event: &v1.Event_JobErased{JobErased: &v1.JobErased{Job: 7 << 16}}}})
		})
		for next := x.now; next <= x.now; {
			x.run(func(s *core.Step) { next = x.core.Due(s) })
		}
		x.commit()
		if left := coretest.Dump(x.store); left != "" {
			b.Fatalf("left: %.200s", left)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/execution")
}
