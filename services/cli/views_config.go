package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// A job's configuration as AWS writes it. (specification §2.4)

type rolloutView struct {
	MaximumPerMinute uint32           `json:"maximumPerMinute,omitempty"`
	Exponential      *exponentialView `json:"exponentialRate,omitempty"`
}

type exponentialView struct {
	BaseRatePerMinute uint32       `json:"baseRatePerMinute"`
	IncrementFactor   hundredths   `json:"incrementFactor"`
	Criteria          criteriaView `json:"rateIncreaseCriteria"`
}

type criteriaView struct {
	Notified  uint64 `json:"numberOfNotifiedThings,omitempty"`
	Succeeded uint64 `json:"numberOfSucceededThings,omitempty"`
}

type timeoutView struct {
	InProgressTimeoutInMinutes uint32 `json:"inProgressTimeoutInMinutes"`
}

type abortConfigView struct {
	Criteria []abortCriterionView `json:"criteriaList"`
}

type abortCriterionView struct {
	FailureType         string     `json:"failureType"`
	Action              string     `json:"action"`
	ThresholdPercentage hundredths `json:"thresholdPercentage"`
	MinExecuted         uint32     `json:"minNumberOfExecutedThings"`
}

type retryView struct {
	Criteria []retryCriterionView `json:"criteriaList"`
}

type retryCriterionView struct {
	FailureType     string `json:"failureType"`
	NumberOfRetries uint32 `json:"numberOfRetries"`
}

type scheduleView struct {
	StartTime   string       `json:"startTime,omitempty"`
	EndTime     string       `json:"endTime,omitempty"`
	EndBehavior string       `json:"endBehavior,omitempty"`
	Windows     []windowView `json:"maintenanceWindows,omitempty"`
}

type windowView struct {
	StartTime         string `json:"startTime"`
	DurationInMinutes uint32 `json:"durationInMinutes"`
}

type presignedView struct {
	RoleArn      string `json:"roleArn,omitempty"`
	ExpiresInSec uint32 `json:"expiresInSec"`
}

// hundredths is a number with two decimals, which JSON and text show without zeros behind it: 550 is 5.5.
type hundredths uint32

func (h hundredths) String() string {
	s := fmt.Sprintf("%d.%02d", h/100, h%100)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

func (h hundredths) MarshalJSON() ([]byte, error) { return []byte(h.String()), nil }

func (h *hundredths) UnmarshalJSON(text []byte) error {
	n, err := body.Decimal(string(text), 2)
	*h = hundredths(n)
	return err
}

func viewRollout(c *v1.RolloutConfig) *rolloutView {
	if c.GetMaximumPerMinute() == 0 && c.GetExponential() == nil {
		return nil
	}
	v := &rolloutView{MaximumPerMinute: c.GetMaximumPerMinute()}
	if e := c.GetExponential(); e != nil {
		v.Exponential = &exponentialView{e.GetBasePerMinute(), hundredths(e.GetIncrementFactorTenths() * 10), criteriaView{e.GetNotifiedThings(), e.GetSucceededThings()}}
	}
	return v
}

func viewTimeout(c *v1.TimeoutConfig) *timeoutView {
	if c.GetInProgressTimeoutMinutes() == 0 {
		return nil
	}
	return &timeoutView{c.GetInProgressTimeoutMinutes()}
}

func viewAbortConfig(c *v1.AbortConfig) *abortConfigView {
	if len(c.GetCriteria()) == 0 {
		return nil
	}
	v := new(abortConfigView)
	for _, a := range c.GetCriteria() {
		v.Criteria = append(v.Criteria, abortCriterionView{v1.EnumName(a.GetFailure()), "CANCEL", hundredths(a.GetThresholdHundredths()), a.GetMinExecuted()})
	}
	return v
}

func viewRetry(c *v1.RetryConfig) *retryView {
	if len(c.GetCriteria()) == 0 {
		return nil
	}
	v := new(retryView)
	for _, r := range c.GetCriteria() {
		v.Criteria = append(v.Criteria, retryCriterionView{v1.EnumName(r.GetFailure()), r.GetRetries()})
	}
	return v
}

func viewSchedule(c *v1.SchedulingConfig) *scheduleView {
	if c == nil {
		return nil
	}
	v := &scheduleView{StartTime: c.GetStartTime(), EndTime: c.GetEndTime(), Windows: viewWindows(c.GetWindows())}
	if c.GetEndBehavior() != 0 {
		v.EndBehavior = v1.EnumName(c.GetEndBehavior())
	}
	return v
}

func viewWindows(windows []*v1.MaintenanceWindow) []windowView {
	var list []windowView
	for _, w := range windows {
		list = append(list, windowView{w.GetStartTime(), w.GetDurationMinutes()})
	}
	return list
}

func viewPresigned(c *v1.PresignedUrlConfig) *presignedView {
	if c == nil {
		return nil
	}
	v := &presignedView{c.GetRoleArn(), c.GetExpiresInSeconds()}
	if v.ExpiresInSec == 0 {
		v.ExpiresInSec = 3600
	}
	return v
}

// configFields are the lines of a description that jobs and templates share.
func configFields(rollout *rolloutView, abort *abortConfigView, retry *retryView, timeout *timeoutView, presigned *presignedView) []field {
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

func paceText(c *rolloutView) string {
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

func windowsText(windows []windowView) string {
	var list []string
	for _, w := range windows {
		list = append(list, fmt.Sprintf("%s for %s minutes", w.StartTime, strconv.Itoa(int(w.DurationInMinutes))))
	}
	return strings.Join(list, "; ")
}
