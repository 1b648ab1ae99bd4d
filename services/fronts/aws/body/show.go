package body

import (
	"fmt"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// A job's configuration as AWS writes it in answers, the twin of what is read. (specification §2.4)
type (
	RolloutConfig struct {
		MaximumPerMinute uint32           `json:"maximumPerMinute,omitempty"`
		Exponential      *ExponentialRate `json:"exponentialRate,omitempty"`
	}

	ExponentialRate struct {
		BaseRatePerMinute uint32               `json:"baseRatePerMinute"`
		IncrementFactor   Hundredths           `json:"incrementFactor"`
		Criteria          RateIncreaseCriteria `json:"rateIncreaseCriteria"`
	}

	RateIncreaseCriteria struct {
		Notified  uint64 `json:"numberOfNotifiedThings,omitempty"`
		Succeeded uint64 `json:"numberOfSucceededThings,omitempty"`
	}

	TimeoutConfig struct {
		InProgressTimeoutInMinutes uint32 `json:"inProgressTimeoutInMinutes"`
	}

	AbortConfig struct {
		Criteria []AbortCriterion `json:"criteriaList"`
	}

	AbortCriterion struct {
		FailureType         string     `json:"failureType"`
		Action              string     `json:"action"`
		ThresholdPercentage Hundredths `json:"thresholdPercentage"`
		MinExecuted         uint32     `json:"minNumberOfExecutedThings"`
	}

	RetryConfig struct {
		Criteria []RetryCriterion `json:"criteriaList"`
	}

	RetryCriterion struct {
		FailureType     string `json:"failureType"`
		NumberOfRetries uint32 `json:"numberOfRetries"`
	}

	SchedulingConfig struct {
		StartTime   string              `json:"startTime,omitempty"`
		EndTime     string              `json:"endTime,omitempty"`
		EndBehavior string              `json:"endBehavior,omitempty"`
		Windows     []MaintenanceWindow `json:"maintenanceWindows,omitempty"`
	}

	MaintenanceWindow struct {
		StartTime         string `json:"startTime"`
		DurationInMinutes uint32 `json:"durationInMinutes"`
	}

	PresignedURLConfig struct {
		RoleArn      string `json:"roleArn,omitempty"`
		ExpiresInSec uint32 `json:"expiresInSec"`
	}
)

// Hundredths is a number with two decimals, which JSON and text show without zeros behind it: 550 is 5.5.
type Hundredths uint32

func (h Hundredths) String() string {
	s := fmt.Sprintf("%d.%02d", h/100, h%100)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// MarshalJSON implements json.Marshaler.
func (h Hundredths) MarshalJSON() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (h *Hundredths) UnmarshalJSON(text []byte) error {
	n, err := Decimal(string(text), 2)
	*h = Hundredths(n)
	return err
}

// ShowRollout and its neighbours write what was read; nil is nothing that was set.
func ShowRollout(c *v1.RolloutConfig) *RolloutConfig {
	if c.GetMaximumPerMinute() == 0 && c.GetExponential() == nil {
		return nil
	}
	v := &RolloutConfig{MaximumPerMinute: c.GetMaximumPerMinute()}
	if e := c.GetExponential(); e != nil {
		v.Exponential = &ExponentialRate{e.GetBasePerMinute(), Hundredths(e.GetIncrementFactorTenths() * 10), RateIncreaseCriteria{e.GetNotifiedThings(), e.GetSucceededThings()}}
	}
	return v
}

func ShowTimeout(c *v1.TimeoutConfig) *TimeoutConfig {
	if c.GetInProgressTimeoutMinutes() == 0 {
		return nil
	}
	return &TimeoutConfig{c.GetInProgressTimeoutMinutes()}
}

func ShowAbort(c *v1.AbortConfig) *AbortConfig {
	if len(c.GetCriteria()) == 0 {
		return nil
	}
	v := new(AbortConfig)
	for _, a := range c.GetCriteria() {
		v.Criteria = append(v.Criteria, AbortCriterion{v1.EnumName(a.GetFailure()), "CANCEL", Hundredths(a.GetThresholdHundredths()), a.GetMinExecuted()})
	}
	return v
}

func ShowRetry(c *v1.RetryConfig) *RetryConfig {
	if len(c.GetCriteria()) == 0 {
		return nil
	}
	v := new(RetryConfig)
	for _, r := range c.GetCriteria() {
		v.Criteria = append(v.Criteria, RetryCriterion{v1.EnumName(r.GetFailure()), r.GetRetries()})
	}
	return v
}

func ShowScheduling(c *v1.SchedulingConfig) *SchedulingConfig {
	if c == nil {
		return nil
	}
	v := &SchedulingConfig{StartTime: c.GetStartTime(), EndTime: c.GetEndTime(), Windows: ShowWindows(c.GetWindows())}
	if c.GetEndBehavior() != 0 {
		v.EndBehavior = v1.EnumName(c.GetEndBehavior())
	}
	return v
}

func ShowWindows(windows []*v1.MaintenanceWindow) []MaintenanceWindow {
	var list []MaintenanceWindow
	for _, w := range windows {
		list = append(list, MaintenanceWindow{w.GetStartTime(), w.GetDurationMinutes()})
	}
	return list
}

func ShowPresignedURL(c *v1.PresignedUrlConfig) *PresignedURLConfig {
	if c == nil {
		return nil
	}
	v := &PresignedURLConfig{c.GetRoleArn(), c.GetExpiresInSeconds()}
	if v.ExpiresInSec == 0 {
		v.ExpiresInSec = 3600
	}
	return v
}
