package fleet

import (
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/droverhq/drover/loadtest/agent"
)

// Stats are a fleet's figures so far.
type Stats struct {
	Devices, Connected, Idle int
	Elapsed                  time.Duration
	// Started is how many executions were begun; Succeeded and Failed have an accepted report of their end.
	Started, Succeeded, Failed int
	// Accepted and Rejected are reports, starts included; Repeated were sent more than once.
	Accepted, Rejected, Repeated int
	// P50, P99 and Max are of the time from the first sending of a report to its acceptance.
	P50, P99, Max time.Duration
	// Malformed counts messages of the service that are not as the specification says.
	Malformed      int
	FirstMalformed string
	// LastError is the newest trouble with a connection.
	LastError string
}

// Ended is Succeeded and Failed.
func (s Stats) Ended() int { return s.Succeeded + s.Failed }

// stats counts under mu, which is held for a few additions.
type stats struct {
	mu      sync.Mutex
	figure  Stats
	latency *hdrhistogram.Histogram // microseconds
}

func newLatency() *hdrhistogram.Histogram { return hdrhistogram.New(1, 10*60*1e6, 3) }

func (s *stats) init() { s.latency = newLatency() }

func (s *stats) count(facts []agent.Fact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range facts {
		switch f.What {
		case agent.Started:
			s.figure.Started++
		case agent.Rejected:
			s.figure.Rejected++
		case agent.Reported:
			s.figure.Accepted++
			if f.Tries > 1 {
				s.figure.Repeated++
			}
			record(s.latency, f.Nanos)
			switch f.Status {
			case agent.Succeeded:
				s.figure.Succeeded++
			case agent.Failed:
				s.figure.Failed++
			}
		}
	}
}

// record puts nanoseconds into a histogram of microseconds, at its ends if they are beyond.
func record(h *hdrhistogram.Histogram, nanos int64) {
	_ = h.RecordValue(min(max(nanos/1000, 1), h.HighestTrackableValue()))
}

func (s *stats) connected(n int) {
	s.mu.Lock()
	s.figure.Connected += n
	s.mu.Unlock()
}

func (s *stats) failed(err error) {
	s.mu.Lock()
	s.figure.LastError = err.Error()
	s.mu.Unlock()
}

func (s *stats) malformed(thing, topic string, payload []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.figure.Malformed++; s.figure.Malformed == 1 {
		s.figure.FirstMalformed = fmt.Sprintf("%s: %s: %v: %.300s", thing, topic, err, payload)
	}
}

func (s *stats) figures() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.figure
	f.P50, f.P99, f.Max = percentiles(s.latency)
	return f
}

func percentiles(h *hdrhistogram.Histogram) (p50, p99, most time.Duration) {
	us := func(v int64) time.Duration { return time.Duration(v) * time.Microsecond }
	return us(h.ValueAtQuantile(50)), us(h.ValueAtQuantile(99)), us(h.Max())
}
