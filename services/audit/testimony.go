package audit

import v1 "github.com/droverhq/drover/proto/drover/v1"

// Testimony is what a device says of one execution: somebody else's record, to hold the log against.
type Testimony struct {
	JobID, Thing string
	// Number of the execution.
	Number uint64
	// Runs is how often the device began the work.
	Runs int
	// Accepted are its reports that were answered accepted, in order.
	Accepted []Accepted
}

// Accepted is a report that was answered accepted.
type Accepted struct {
	// AtMs is when the answer came, by the device's clock.
	AtMs   int64
	Status v1.ExecutionStatus
	// Version is what the answer said; 0 if it did not.
	Version uint64
	// Start says that the device asked for its next job, which may be answered with a start of long ago.
	Start bool
}

// Sent is one sending of a device's request to its home: it asks for its next job, or reports.
type Sent struct {
	Thing string
	// AtMs is when it was sent, by the device's clock.
	AtMs int64
	// Writes says that it is one that its home writes down: of what was answered, that it was; of what was not, that it
	// is a report, and no question for the next job.
	Writes bool
}
