package job

// Limits are the numbers by which jobs are refused. Those that are the same for everybody stand where they are checked.
type Limits struct {
	// TargetsMax is how many targets a job may have, also after more were associated.
	TargetsMax int
	// PerMinuteMax bounds every pace, things a minute. PerMinuteDefault is the pace of a job that sets none; 0 is no pace.
	PerMinuteMax, PerMinuteDefault uint32
	// LeadMinutes is how far ahead a start or an end must be at least, and an end after its start; 0 is no bound, and a
	// start that has passed is now.
	LeadMinutes int64
	// StartDaysMax and EndDaysMax are how far ahead they may be at most.
	StartDaysMax, EndDaysMax int64
	// ActiveMax is how many jobs may be SCHEDULED or IN_PROGRESS at a time.
	ActiveMax uint64
	// TemplatesMax is how many templates there may be.
	TemplatesMax uint64
	// RetentionDays is for how long a job is kept after it was completed or canceled.
	RetentionDays int64
}

// RetentionDays is AWS's number (specification §7.1).
const RetentionDays = 730

// DefaultLimits are as wide as what one commit holds (design §4) and what was measured allow.
func DefaultLimits() Limits {
	return Limits{
		TargetsMax:    10_000,
		PerMinuteMax:  10_000_000,
		StartDaysMax:  36_500,
		EndDaysMax:    36_500,
		ActiveMax:     1_000_000,
		TemplatesMax:  10_000,
		RetentionDays: RetentionDays,
	}
}

// AWSLimits are AWS's (specification §2.4, §4.12 and §7.1).
func AWSLimits() Limits {
	return Limits{
		TargetsMax:       100,
		PerMinuteMax:     1000,
		PerMinuteDefault: 1000,
		LeadMinutes:      30,
		StartDaysMax:     365,
		EndDaysMax:       730,
		ActiveMax:        100_000,
		TemplatesMax:     100,
		RetentionDays:    RetentionDays,
	}
}
