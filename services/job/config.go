package job

import (
	"fmt"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The bounds of a job's configuration that are everybody's.
const (
	timeoutMinutesMax  = 10_080 // 7 days (specification §4.9)
	factorMin          = 11     // tenths (specification §4.10)
	factorMax          = 50
	abortCriteriaMax   = 100 // ours: the list is looked at before every release
	thresholdMax       = 10_000
	retriesMax         = 10 // of both failure types together (specification §4.8)
	expiresMin         = 60 // seconds (specification §2.4)
	expiresMax         = 3600
	roleMin            = 20 // characters (specification §1.3)
	roleMax            = 2048
	packageVersionsMax = 25 // specification §2.4
	packageARNMax      = 1600
	namespaceMax       = 64 // ours; AWS names no length
)

// config is what a job, a template and an update of a job have in common.
type config interface {
	GetRollout() *v1.RolloutConfig
	GetAbort() *v1.AbortConfig
	GetTimeout() *v1.TimeoutConfig
	GetRetry() *v1.RetryConfig
	GetPresignedUrl() *v1.PresignedUrlConfig
}

// checkConfig checks all but the rollout, which the limits may fill in.
func checkConfig(c config) error {
	if err := checkAbort(c.GetAbort()); err != nil {
		return err
	}
	if err := checkTimeout(c.GetTimeout()); err != nil {
		return err
	}
	if err := checkRetry(c.GetRetry()); err != nil {
		return err
	}
	return checkPresigned(c.GetPresignedUrl())
}

// rollout checks a pace and fills in what is left out: the default pace, and for an exponential rate without a cap the
// widest. None stays none where no pace is the default. (specification §4.10)
func (l Limits) rollout(c *v1.RolloutConfig) (*v1.RolloutConfig, error) {
	const field = "jobExecutionsRolloutConfig."
	most := c.GetMaximumPerMinute()
	if most > l.PerMinuteMax {
		return nil, invalid(field+"maximumPerMinute", "%d things a minute; 1 to %d are allowed", most, l.PerMinuteMax)
	}
	e := c.GetExponential()
	switch {
	case e != nil && most == 0:
		most = l.PerMinuteMax
	case most == 0:
		most = l.PerMinuteDefault
	}
	if e == nil {
		if most == 0 {
			return nil, nil
		}
		return &v1.RolloutConfig{MaximumPerMinute: most}, nil
	}
	return &v1.RolloutConfig{MaximumPerMinute: most, Exponential: e}, checkExponential(e, most)
}

func checkExponential(e *v1.ExponentialRate, most uint32) error {
	const field = "jobExecutionsRolloutConfig.exponentialRate."
	if b := e.BasePerMinute; b < 1 || b > most {
		return invalid(field+"baseRatePerMinute", "%d things a minute; 1 to %d, the maximum per minute, are allowed", b, most)
	}
	if f := e.IncrementFactorTenths; f < factorMin || f > factorMax {
		return invalid(field+"incrementFactor", "%d.%d; 1.1 to 5.0 in steps of 0.1 are allowed", f/10, f%10)
	}
	if e.NotifiedThings == 0 && e.SucceededThings == 0 {
		return invalid(field+"rateIncreaseCriteria", "no criterion is given; set numberOfNotifiedThings or numberOfSucceededThings to 1 or more")
	}
	return nil
}

// checkAbort: specification §4.11.
func checkAbort(c *v1.AbortConfig) error {
	const list = "abortConfig.criteriaList"
	if c == nil {
		return nil
	}
	if n := len(c.Criteria); n < 1 || n > abortCriteriaMax {
		return invalid(list, "%d criteria; 1 to %d are allowed, and leaving abortConfig out sets none", n, abortCriteriaMax)
	}
	for i, a := range c.Criteria {
		field := fmt.Sprintf("%s[%d].", list, i)
		if f := a.GetFailure(); f < v1.FailureType_FAILURE_TYPE_FAILED || f > v1.FailureType_FAILURE_TYPE_ALL {
			return invalid(field+"failureType", "failure type %d is unknown; choose FAILED, REJECTED, TIMED_OUT or ALL", f)
		}
		if t := a.GetThresholdHundredths(); t < 1 || t > thresholdMax {
			return invalid(field+"thresholdPercentage", "%d.%02d; 0.01 to 100 in steps of 0.01 are allowed", t/100, t%100)
		}
		if a.GetMinExecuted() < 1 {
			return invalid(field+"minNumberOfExecutedThings", "0; at least 1 is wanted")
		}
	}
	return nil
}

// checkTimeout: specification §4.9.
func checkTimeout(c *v1.TimeoutConfig) error {
	if m := c.GetInProgressTimeoutMinutes(); m > timeoutMinutesMax {
		return invalid("timeoutConfig.inProgressTimeoutInMinutes", "%d minutes; 1 to %d are allowed, and leaving it out sets no timeout", m, timeoutMinutesMax)
	}
	return nil
}

// checkRetry: specification §4.8. Retries of TIMED_OUT need no timeout here: a device may set a step timer.
func checkRetry(c *v1.RetryConfig) error {
	const list = "jobExecutionsRetryConfig.criteriaList"
	if c == nil {
		return nil
	}
	if n := len(c.Criteria); n < 1 || n > 2 {
		return invalid(list, "%d criteria; 1 or 2 are allowed, and leaving jobExecutionsRetryConfig out sets none", n)
	}
	sum := uint32(0)
	for i, r := range c.Criteria {
		field := fmt.Sprintf("%s[%d].", list, i)
		switch f := r.GetFailure(); f {
		case v1.FailureType_FAILURE_TYPE_FAILED, v1.FailureType_FAILURE_TYPE_TIMED_OUT:
			if i > 0 && f == c.Criteria[0].GetFailure() {
				return invalid(field+"failureType", "a failure type is given twice; give each once")
			}
		case v1.FailureType_FAILURE_TYPE_ALL:
			if len(c.Criteria) > 1 {
				return invalid(field+"failureType", "ALL stands beside another failure type; give ALL alone, or FAILED and TIMED_OUT")
			}
		default:
			return invalid(field+"failureType", "failure type %d is not retried; choose FAILED, TIMED_OUT or ALL", f)
		}
		if n := r.GetRetries(); n > retriesMax {
			return invalid(field+"numberOfRetries", "%d retries; 0 to %d are allowed", n, retriesMax)
		}
		sum += r.GetRetries()
	}
	if sum > retriesMax {
		return invalid(list, "%d retries in all; at most %d are allowed for both failure types together", sum, retriesMax)
	}
	return nil
}

// checkPresigned: specification §2.4.
func checkPresigned(c *v1.PresignedUrlConfig) error {
	if n := c.GetExpiresInSeconds(); n != 0 && (n < expiresMin || n > expiresMax) {
		return invalid("presignedUrlConfig.expiresInSec", "%d seconds; %d to %d are allowed, and leaving it out is %d", n, expiresMin, expiresMax, expiresMax)
	}
	if n := len(c.GetRoleArn()); n != 0 && (n < roleMin || n > roleMax) {
		return invalid("presignedUrlConfig.roleArn", "the ARN has %d characters; %d to %d are allowed", n, roleMin, roleMax)
	}
	return nil
}

// checkPackages: 1 to 25 ARNs, or none. They are kept and told; there is no catalog that they could be held against.
func checkPackages(versions []string) error {
	const list = "destinationPackageVersions"
	if n := len(versions); n > packageVersionsMax {
		return invalid(list, "%d package versions; at most %d are allowed", n, packageVersionsMax)
	}
	for i, v := range versions {
		if !isARN(v) || len(v) > packageARNMax {
			return invalid(fmt.Sprintf("%s[%d]", list, i), "it is no ARN of a package version: arn: and 1 to %d visible ASCII characters are wanted", packageARNMax-4)
		}
	}
	return nil
}

// isARN: arn: and visible ASCII characters (specification §1.3).
func isARN(s string) bool {
	if len(s) < 5 || s[:4] != "arn:" {
		return false
	}
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

func checkNamespace(s string) error {
	if len(s) > namespaceMax {
		return invalid("namespaceId", "the id has %d characters; at most %d of [a-zA-Z0-9_-] are allowed", len(s), namespaceMax)
	}
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return invalid("namespaceId", "the id holds %q; only [a-zA-Z0-9_-] are allowed", c)
		}
	}
	return nil
}
