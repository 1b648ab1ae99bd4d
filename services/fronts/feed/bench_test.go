package feed

import (
	"testing"
	"time"
)

// BenchmarkFeed is events a second from logs in memory into the feed, R1, every write flushed, and bytes of an event in
// the stream.
func BenchmarkFeed(b *testing.B) {
	s := startBroker(b)
	nc := connect(b, s)
	h := newHistory(b, 2, 1)
	h.begin(nc, Limits{MaxBytes: 8 << 30})
	for range b.N / 100 {
		h.report(100)
	}
	b.ResetTimer()
	run(b, h.feeder(connect(b, s)))
	h.fed(nc, h.events)
	took := b.Elapsed()
	b.StopTimer()
	b.ReportMetric(float64(h.events)/took.Seconds(), "events/s")
	b.ReportMetric(float64(streamBytes(b, nc))/float64(h.events), "bytes/event")
}

// BenchmarkDelay is the time from a commit to its message, one commit at a time.
func BenchmarkDelay(b *testing.B) {
	s := startBroker(b)
	nc := connect(b, s)
	h := newHistory(b, 2, 1)
	h.begin(nc, Limits{})
	run(b, h.feeder(connect(b, s)))
	h.fed(nc, h.events)
	sub, err := nc.SubscribeSync(subjectPrefix + ">")
	if err != nil {
		b.Fatal(err)
	}
	var sum, most time.Duration
	for b.Loop() {
		began := time.Now()
		h.report(1)
		if _, err := sub.NextMsg(patience); err != nil {
			b.Fatal(err)
		}
		d := time.Since(began)
		sum, most = sum+d, max(most, d)
	}
	b.ReportMetric(float64(most)/1e6, "ms-max")
}
