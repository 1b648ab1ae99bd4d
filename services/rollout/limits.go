package rollout

// Limits are the numbers by which jobs are held back.
type Limits struct {
	// ConcurrentMax is how many jobs may be at work at a time (concurrent.go); at least 1.
	ConcurrentMax uint64
}

// DefaultLimits are wide. Each paced job at work may write a release a second, and one log takes them all.
func DefaultLimits() Limits { return Limits{ConcurrentMax: 10_000} }

// AWSLimits are AWS's (specification §4.13).
func AWSLimits() Limits { return Limits{ConcurrentMax: 500} }
