package schedule

import v1 "github.com/droverhq/drover/proto/drover/v1"

// StartsShown is how many starts of its windows a job's description tells (specification §2.5).
const StartsShown = 7

// NextStarts are the starts of a job's next windows, up to its end: none for a job that is neither SCHEDULED nor
// IN_PROGRESS, or whose windows cannot be read.
func NextStarts(job *v1.JobRow, now int64) []int64 {
	if s := job.GetStatus(); s != v1.JobStatus_JOB_STATUS_SCHEDULED && s != v1.JobStatus_JOB_STATUS_IN_PROGRESS {
		return nil
	}
	c := job.GetScheduling()
	var windows Windows
	for _, w := range c.GetWindows() {
		cron, err := ParseCron(w.GetStartTime())
		if err != nil {
			return nil
		}
		windows = append(windows, Window{cron, int64(w.GetDurationMinutes())})
	}
	return windows.Starts(max(now, c.GetStartAtMs()), c.GetEndAtMs(), StartsShown)
}
