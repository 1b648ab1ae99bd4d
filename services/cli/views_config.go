package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/droverhq/drover/services/fronts/aws/body"
)

// configFields are the lines of a description that jobs and templates share.
func configFields(rollout *body.RolloutConfig, abort *body.AbortConfig, retry *body.RetryConfig, timeout *body.TimeoutConfig, presigned *body.PresignedURLConfig) []field {
	fields := []field{{"Pace", paceText(rollout)}, {"Aborts", ""}, {"Retries", ""}, {"Times out", "never"}, {"Presigned URLs", ""}}
	if abort != nil {
		var list []string
		for _, c := range abort.Criteria {
			what := c.FailureType
			if what == "ALL" {
				what = "FAILED, REJECTED or TIMED_OUT"
			}
			list = append(list, fmt.Sprintf("at %s %% %s, after %s", c.ThresholdPercentage, what, plural(c.MinExecuted, "ended execution")))
		}
		fields[1].value = strings.Join(list, "; ")
	}
	if retry != nil {
		var list []string
		for _, c := range retry.Criteria {
			what := c.FailureType
			if what == "ALL" {
				what = "FAILED or TIMED_OUT"
			}
			list = append(list, fmt.Sprintf("%d after %s", c.NumberOfRetries, what))
		}
		fields[2].value = strings.Join(list, ", ")
	}
	if timeout != nil {
		fields[3].value = fmt.Sprintf("%d minutes after the start", timeout.InProgressTimeoutInMinutes)
	}
	if presigned != nil {
		fields[4].value = fmt.Sprintf("for %v as %s", time.Duration(presigned.ExpiresInSec)*time.Second, orDash(presigned.RoleArn))
	}
	return fields
}

func paceText(c *body.RolloutConfig) string {
	switch {
	case c == nil:
		return "none"
	case c.Exponential == nil:
		return fmt.Sprintf("%d things a minute", c.MaximumPerMinute)
	}
	e := c.Exponential
	var each []string
	if n := e.Criteria.Succeeded; n > 0 {
		each = append(each, humanize.Comma(int64(n))+" that succeeded")
	}
	if n := e.Criteria.Notified; n > 0 {
		each = append(each, humanize.Comma(int64(n))+" that were released")
	}
	text := fmt.Sprintf("%d things a minute, times %s with every %s", e.BaseRatePerMinute, e.IncrementFactor, strings.Join(each, " or "))
	if c.MaximumPerMinute > 0 {
		text += fmt.Sprintf(", up to %d", c.MaximumPerMinute)
	}
	return text
}

func windowsText(windows []body.MaintenanceWindow) string {
	var list []string
	for _, w := range windows {
		list = append(list, fmt.Sprintf("%s for %s minutes", w.StartTime, strconv.Itoa(int(w.DurationInMinutes))))
	}
	return strings.Join(list, "; ")
}
