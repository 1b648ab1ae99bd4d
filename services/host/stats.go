package host

import (
	"slices"
	"time"
)

// AppendBounds are the upper bounds of the classes of Stats.Appends; a last class holds what took longer.
var AppendBounds = []time.Duration{
	500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond,
	20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond,
	500 * time.Millisecond, time.Second, 5 * time.Second,
}

// Stats are what a host has done since it started, and how it is now.
type Stats struct {
	// State is its phase in words; WaitsFor says why it is not ready, and is empty if it is.
	State    string
	WaitsFor string
	Counters
	// End is the number of the last commit that is folded, Epoch that commit's.
	End, Epoch uint64
	// TookOver is how long it took from the lease to taking requests; 0 before, and where there is no lease.
	TookOver time.Duration
	// Waiting is how many requests are not decided; Throttled how many were turned away.
	Waiting   int
	Throttled uint64
	// Behind is how many upstream commits have arrived and are not reacted to; while the host stands by, how many
	// commits of its own log are not folded.
	Behind int
	// Untold is how many commits' notifications the broker does not have.
	Untold int
	// Appends counts appends by how long they took, from the first sending to the outcome (AppendBounds).
	Appends       []uint64
	AppendTotal   time.Duration
	AppendLongest time.Duration
}

// Stats copies the figures as of the last step.
func (h *Host) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.stats
	s.Waiting = h.waiting
	s.Appends = slices.Clone(s.Appends)
	if s.Appends == nil {
		s.Appends = make([]uint64, len(AppendBounds)+1)
	}
	return s
}

// measureAppend takes in how long an append took.
func (h *Host) measureAppend(d time.Duration) {
	class, _ := slices.BinarySearch(AppendBounds, d)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stats.Appends == nil {
		h.stats.Appends = make([]uint64, len(AppendBounds)+1)
	}
	h.stats.Appends[class]++
	h.stats.AppendTotal += d
	h.stats.AppendLongest = max(h.stats.AppendLongest, d)
}
