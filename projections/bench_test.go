package projections_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/projections"
	"github.com/droverhq/drover/projections/kv/pebble"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
)

// BenchmarkRebuild folds 400,000 events of two execution logs (queued, started, a report, ended: 100,000 executions of
// one job, in commits of 500 events) into Pebble, from the first byte read to the last flushed.
func BenchmarkRebuild(b *testing.B) {
	h := newHistory(b, 1, 2)
	events := fill(h, 100_000, true)
	b.ResetTimer()
	for range b.N {
		store := openPebble(b)
		if _, err := projections.Rebuild(b.Context(), h.logs, store, nil, nil); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkHeapOfAMillionQueued folds 1,000,000 queued executions with a running Runner, and reports the highest heap
// beyond what the logs in memory take themselves, and the time from all logged to all visible.
func BenchmarkHeapOfAMillionQueued(b *testing.B) {
	h := newHistory(b, 1, 2)
	fill(h, 1_000_000, false)
	for range b.N {
		store := openPebble(b)
		before := heap()
		peak, done := uint64(0), make(chan struct{})
		sampled := make(chan struct{})
		go func() {
			defer close(sampled)
			for {
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
			}
		}()
		r, stop := startUntil(b, h, store)
		<-r.Ready()
		close(done)
		<-sampled
		if err := stop(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(peak-min(peak, before))/(1<<20), "peak-MiB")
		b.ReportMetric(float64(heap()-before)/(1<<20), "left-MiB")
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func openPebble(b *testing.B) *pebble.Store {
	b.Helper()
	cache := pebble.NewCache(64 << 20)
	defer cache.Close()
	store, err := pebble.Open(b.TempDir(), pebble.Options{Cache: cache, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	return store
}

// fill logs n executions of one job, queued only or run to their ends, and returns the number of events.
func fill(h *history, n int, run bool) (events int) {
	const slice = 500
	job := h.next(id.JobLog, 0)
	h.commit(id.JobLog, event(&v1.JobCreated{Job: job, JobId: "big"}))
	at := map[id.Home][]*v1.ThingRef{}
	flush := func(home id.Home) {
		log, things := id.ExecutionLog(home), at[home]
		at[home] = nil
		var queued, started, reported, ended []*v1.Event
		now := h.writers[log].AtMs
		for _, t := range things {
			queued = append(queued, event(&v1.ExecutionQueued{Job: job, Thing: t, ExecutionNumber: 1}))
			if !run {
				continue
			}
			change := &v1.ExecutionChanged{Job: job, Thing: t.Name, ExecutionNumber: 1, From: queuedStatus, To: inProgress, VersionNumber: 2, QueuedAtMs: now, StartedAtMs: now + 1}
			started = append(started, event(proto.CloneOf(change)))
			change.From, change.VersionNumber = inProgress, 3
			change.StatusDetails = []*v1.Detail{{Name: "progress", Value: "50 percent of the image written"}, {Name: "step", Value: "write-image"}}
			reported = append(reported, event(proto.CloneOf(change)))
			change.To, change.VersionNumber = succeeded, 4
			ended = append(ended, event(proto.CloneOf(change)))
		}
		for _, some := range [][]*v1.Event{queued, started, reported, ended} {
			if len(some) > 0 {
				h.commit(log, some...)
				events += len(some)
			}
		}
	}
	for i := range n {
		name := fmt.Sprintf("device-%08d", i)
		home := id.HomeOf(name, h.homes)
		at[home] = append(at[home], &v1.ThingRef{Name: name, Number: uint64(i)})
		if len(at[home]) == slice {
			flush(home)
		}
	}
	for home := range id.Home(h.homes) {
		flush(home)
	}
	return events
}
