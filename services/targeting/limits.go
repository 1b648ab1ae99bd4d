package targeting

// Limits are the numbers that differ between deployments. Those that are the same for everybody stand where they are
// checked.
type Limits struct {
	// TypeDeletionMinutes is how long a thing type must have been deprecated before it can be deleted.
	TypeDeletionMinutes int64
}

// DefaultLimits let a deprecated thing type be deleted at once.
func DefaultLimits() Limits { return Limits{} }

// AWSLimits are AWS's: five minutes.
func AWSLimits() Limits { return Limits{TypeDeletionMinutes: 5} }
