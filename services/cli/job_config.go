package cli

import (
	"strconv"
	"strings"
	"time"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// What a job's flags say, as the messages that they become. Each function reads one form and refuses the rest with the
// field's name as AWS has it; ranges that only the owner knows (they hang on its limits) are left to the owner.

const (
	fieldRollout     = "jobExecutionsRolloutConfig"
	fieldExponential = fieldRollout + ".exponentialRate"
	fieldAbort       = "abortConfig"
	fieldRetry       = "jobExecutionsRetryConfig"
	fieldTimeout     = "timeoutConfig.inProgressTimeoutInMinutes"
	fieldWindows     = "schedulingConfig.maintenanceWindows"
	fieldExpires     = "presignedUrlConfig.expiresInSec"
)

// parseRate reads an exponential rate: 50x2/1000succeeded,max=1000. Base, factor (one decimal), then one criterion or
// two, and the cap, with commas between them. (specification §4.10)
func parseRate(s string) (*v1.RolloutConfig, error) {
	form := func(what string) error {
		return invalid(fieldExponential, "%.60q: %s; the form is BASExFACTOR/Nsucceeded,max=N, as in 50x2/1000succeeded,max=1000, or with Nnotified", s, what)
	}
	pace, criteria, ok := strings.Cut(s, "/")
	base, factor, both := strings.Cut(pace, "x")
	if !ok || !both {
		return nil, form("not a rate")
	}
	e, c := new(v1.ExponentialRate), new(v1.RolloutConfig)
	c.Exponential = e
	var err error
	if e.BasePerMinute, err = wholeNumber(base); err != nil {
		return nil, form("the base " + err.Error())
	}
	if e.IncrementFactorTenths, err = body.Decimal(factor, 1); err != nil {
		return nil, form("the factor " + err.Error())
	}
	for part := range strings.SplitSeq(criteria, ",") {
		var into *uint64
		n := part
		if most, ok := strings.CutPrefix(part, "max="); ok {
			if c.MaximumPerMinute != 0 {
				return nil, form("max stands there twice")
			}
			if c.MaximumPerMinute, err = wholeNumber(most); err != nil {
				return nil, form("max " + err.Error())
			}
			continue
		} else if count, ok := strings.CutSuffix(part, "succeeded"); ok {
			n, into = count, &e.SucceededThings
		} else if count, ok := strings.CutSuffix(part, "notified"); ok {
			n, into = count, &e.NotifiedThings
		} else {
			return nil, form(strconv.Quote(part) + " is neither Nsucceeded nor Nnotified nor max=N")
		}
		if *into != 0 {
			return nil, form("a criterion stands there twice")
		}
		v, err := wholeNumber(n)
		if err != nil {
			return nil, form("the criterion " + err.Error())
		}
		*into = uint64(v)
	}
	if e.SucceededThings == 0 && e.NotifiedThings == 0 {
		return nil, form("what raises the rate is missing")
	}
	return c, nil
}

// parseAbort reads an abort criterion: FAILED:5%:200. (specification §4.11)
func parseAbort(s string) (*v1.AbortCriterion, error) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return nil, invalid(fieldAbort, "%.60q: the form is TYPE:THRESHOLD%%:MINIMUM, as in FAILED:5%%:200", s)
	}
	failure, err := body.FailureType(fieldAbort+".failureType", parts[0], true)
	if err != nil {
		return nil, err
	}
	threshold, err := body.Decimal(strings.TrimSuffix(parts[1], "%"), 2)
	if err != nil || threshold > 100_00 {
		return nil, invalid(fieldAbort+".thresholdPercentage", "%.40q: more than 0 %% and at most 100 %%, with two decimals at most, is allowed", parts[1])
	}
	least, err := wholeNumber(parts[2])
	if err != nil {
		return nil, invalid(fieldAbort+".minNumberOfExecutedThings", "%v", err)
	}
	return &v1.AbortCriterion{Failure: failure, ThresholdHundredths: threshold, MinExecuted: least}, nil
}

// parseRetry reads FAILED=3, TIMED_OUT=2, ALL=2. (specification §4.8)
func parseRetry(s string) (*v1.RetryCriterion, error) {
	kind, count, ok := strings.Cut(s, "=")
	if !ok {
		return nil, invalid(fieldRetry, "%.60q: the form is TYPE=N, as in FAILED=3", s)
	}
	failure, err := body.FailureType(fieldRetry+".failureType", kind, false)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(count, 10, 32)
	if err != nil || n > 10 {
		return nil, invalid(fieldRetry+".numberOfRetries", "%.40q: 0 to 10 is allowed", count)
	}
	return &v1.RetryCriterion{Failure: failure, Retries: uint32(n)}, nil
}

// parseWindow reads a maintenance window: cron(30 2 ? * SUN *)/90m. The expression itself is its owner's to read.
// (specification §4.12)
func parseWindow(s string) (*v1.MaintenanceWindow, error) {
	at := strings.LastIndexByte(s, '/') // a cron expression may hold one, but not behind its parenthesis
	if at < 0 || !strings.HasPrefix(s, "cron(") || !strings.HasSuffix(s[:at], ")") {
		return nil, invalid(fieldWindows, "%.80q: the form is cron(MIN HOUR DAY MONTH WEEKDAY YEAR)/LENGTH, as in cron(30 2 ? * SUN *)/90m", s)
	}
	d, err := time.ParseDuration(s[at+1:])
	if err != nil || d < time.Minute || d > 1430*time.Minute || d%time.Minute != 0 {
		return nil, invalid(fieldWindows+".durationInMinutes", "%.40q: whole minutes from 1m to 23h50m are allowed", s[at+1:])
	}
	return &v1.MaintenanceWindow{StartTime: s[:at], DurationMinutes: uint32(d / time.Minute)}, nil
}

// parseEndBehavior reads stop-rollout, cancel or force-cancel, as AWS spells them or so.
func parseEndBehavior(s string) (v1.EndBehavior, error) {
	word := strings.ToUpper(strings.ReplaceAll(s, "-", "_"))
	n, err := body.Enum("schedulingConfig.endBehavior", word, v1.EndBehavior(0))
	return v1.EndBehavior(n), err
}

// parseTag reads K=V; the value may be empty.
func parseTag(s string) (*v1.Tag, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return nil, invalid("tags", "%.60q: the form is KEY=VALUE", s)
	}
	return &v1.Tag{Key: key, Value: value}, nil
}

func parseParameter(s string) (*v1.Parameter, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return nil, invalid("documentParameters", "%.60q: the form is KEY=VALUE", s)
	}
	return &v1.Parameter{Key: key, Value: value}, nil
}

func parseAttribute(s string) (*v1.Attribute, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return nil, invalid("attributes", "%.60q: the form is NAME=VALUE", s)
	}
	return &v1.Attribute{Name: name, Value: value}, nil
}

// templateArg checks the id of a template, or takes it from its ARN.
func templateArg(s string) (string, error) {
	name, err := id.ParseTemplate(s)
	if err != nil {
		return "", invalid("jobTemplateId", "%v", err)
	}
	return string(name), nil
}

type numberError string

func (e numberError) Error() string { return string(e) }

// wholeNumber reads 1 to 4,294,967,295.
func wholeNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return 0, numberError("is " + strconv.Quote(cut(s)) + "; a whole number from 1 is needed")
	}
	return uint32(n), nil
}

func cut(s string) string { return shorten(s, 40) }
