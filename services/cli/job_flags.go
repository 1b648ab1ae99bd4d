package cli

import (
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// configFlags are the flags of a job's configuration, which jobs and templates share.
type configFlags struct {
	perMinute      uint32
	rate           string
	abort, retry   []string
	timeout        time.Duration
	presignRole    string
	presignExpires time.Duration
}

// add adds them. --timeout hides the global flag of that name on the command: there it is the job's.
func (c *configFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Uint32Var(&c.perMinute, "per-minute", 0, "things a minute (default: no pace)")
	f.StringVar(&c.rate, "rate", "", "a pace that grows: base x factor / so many succeeded (or notified), up to max; as in 50x2/1000succeeded,max=1000")
	f.StringArrayVar(&c.abort, "abort", nil, "cancel the job once so many have failed: type:threshold:minimum, as in FAILED:5%:200; may be repeated, the first that is met counts")
	f.StringArrayVar(&c.retry, "retry", nil, "attempts after a failure: FAILED=3, TIMED_OUT=2 or ALL=2; may be repeated")
	f.DurationVar(&c.timeout, "timeout", 0, "executions time out so long after they start: whole minutes, up to 168h (default: never)")
	f.StringVar(&c.presignRole, "presign-role", "", "role ARN for placeholders of presigned URLs in the document")
	f.DurationVar(&c.presignExpires, "presign-expires", 0, "how long presigned URLs hold: 60s to 1h (default 1h)")
}

// names are the flags' names.
func (*configFlags) names() []string {
	return []string{"per-minute", "rate", "abort", "retry", "timeout", "presign-role", "presign-expires"}
}

// jobConfig is what jobs and templates have in common; nil is not given.
type jobConfig struct {
	rollout   *v1.RolloutConfig
	abort     *v1.AbortConfig
	retry     *v1.RetryConfig
	timeout   *v1.TimeoutConfig
	presigned *v1.PresignedUrlConfig
}

func (c *configFlags) config(cmd *cobra.Command) (jobConfig, error) {
	given := cmd.Flags().Changed
	var j jobConfig
	var err error
	if given("rate") && given("per-minute") {
		return j, usagef("--rate and --per-minute exclude each other: the cap of a rate is its max=")
	}
	if j.rollout, err = paceArg(c.perMinute, given("per-minute")); err != nil {
		return j, err
	}
	if given("rate") {
		if j.rollout, err = parseRate(c.rate); err != nil {
			return j, err
		}
	}
	if j.timeout, err = timeoutArg(c.timeout, given("timeout")); err != nil {
		return j, err
	}
	if len(c.abort) > 0 {
		j.abort = new(v1.AbortConfig)
		if j.abort.Criteria, err = each(c.abort, parseAbort); err != nil {
			return j, err
		}
	}
	if len(c.retry) > 0 {
		j.retry = new(v1.RetryConfig)
		if j.retry.Criteria, err = each(c.retry, parseRetry); err != nil {
			return j, err
		}
	}
	j.presigned, err = c.presign(given("presign-role") || given("presign-expires"))
	return j, err
}

func (c *configFlags) presign(given bool) (*v1.PresignedUrlConfig, error) {
	if !given {
		return nil, nil
	}
	p := &v1.PresignedUrlConfig{RoleArn: c.presignRole}
	if d := c.presignExpires; d != 0 {
		if d < time.Minute || d > time.Hour || d%time.Second != 0 {
			return nil, invalid(fieldExpires, "is %v; whole seconds from 60s to 1h are allowed", d)
		}
		p.ExpiresInSeconds = uint32(d / time.Second)
	}
	return p, nil
}

// paceArg is the pace of --per-minute; nil without it.
func paceArg(perMinute uint32, given bool) (*v1.RolloutConfig, error) {
	switch {
	case !given:
		return nil, nil
	case perMinute == 0:
		return nil, invalid("jobExecutionsRolloutConfig.maximumPerMinute", "is 0; 1 or more is needed, or no --per-minute for no pace")
	}
	return &v1.RolloutConfig{MaximumPerMinute: perMinute}, nil
}

func timeoutArg(d time.Duration, given bool) (*v1.TimeoutConfig, error) {
	if !given {
		return nil, nil
	}
	if d < time.Minute || d > body.TimeoutMinutesMax*time.Minute || d%time.Minute != 0 {
		return nil, invalid(fieldTimeout, "is %v; whole minutes from 1m to 168h are allowed", d)
	}
	return &v1.TimeoutConfig{InProgressTimeoutMinutes: uint32(d / time.Minute)}, nil
}

// scheduleFlags are the flags of a job's schedule.
type scheduleFlags struct {
	start, end, behavior string
	windows              []string
}

func (s *scheduleFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.start, "start", "", "when it starts: 2026-11-29 02:30 (UTC) or RFC 3339 (default: now)")
	f.StringVar(&s.end, "end", "", "when it ends, in the same forms (default: never)")
	f.StringVar(&s.behavior, "end-behavior", "", "what becomes of pending executions at the end: stop-rollout, cancel or force-cancel (default stop-rollout)")
	f.StringArrayVar(&s.windows, "window", nil, "maintenance window of a continuous job: cron expression in UTC / length, as in 'cron(30 2 ? * SUN *)/90m'; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("end-behavior", cobra.FixedCompletions([]string{"stop-rollout", "cancel", "force-cancel"}, cobra.ShellCompDirectiveNoFileComp))
}

func (*scheduleFlags) names() []string { return []string{"start", "end", "end-behavior", "window"} }

// config is nil if no flag was given.
func (s *scheduleFlags) config() (*v1.SchedulingConfig, error) {
	if s.start == "" && s.end == "" && s.behavior == "" && len(s.windows) == 0 {
		return nil, nil
	}
	c := new(v1.SchedulingConfig)
	var err error
	if c.StartTime, err = body.Moment("schedulingConfig.startTime", s.start); err != nil {
		return nil, err
	}
	if c.EndTime, err = body.Moment("schedulingConfig.endTime", s.end); err != nil {
		return nil, err
	}
	if c.EndBehavior, err = parseEndBehavior(s.behavior); err != nil {
		return nil, err
	}
	if c.EndBehavior != 0 && c.EndTime == "" {
		return nil, invalid("schedulingConfig.endBehavior", "needs an end time")
	}
	c.Windows, err = each(s.windows, parseWindow)
	return c, err
}

// each reads every text of a list.
func each[T any](list []string, read func(string) (T, error)) ([]T, error) {
	var out []T
	for _, s := range list {
		v, err := read(s)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// keyed is each for pairs, which come sorted by key and hold a key once.
func keyed[T any](field string, list []string, read func(string) (T, error), key func(T) string) ([]T, error) {
	out, err := each(list, read)
	if err != nil {
		return nil, err
	}
	return body.SortedOnce(field, out, key)
}

func tagArgs(list []string) ([]*v1.Tag, error) {
	return keyed("tags", list, parseTag, (*v1.Tag).GetKey)
}

func parameterArgs(list []string) ([]*v1.Parameter, error) {
	return keyed("documentParameters", list, parseParameter, (*v1.Parameter).GetKey)
}

func attributeArgs(list []string) ([]*v1.Attribute, error) {
	return keyed("attributes", list, parseAttribute, (*v1.Attribute).GetName)
}

// abortBound is the most that can be released after the report that crosses an abort criterion: one release commit, that
// is one second of the pace, and 100 things without a pace; of a rate that grows, the pace at its cap. 0: there are no
// criteria. (design §7)
func abortBound(abort *v1.AbortConfig, rollout *v1.RolloutConfig) uint64 {
	if len(abort.GetCriteria()) == 0 {
		return 0
	}
	const unpaced = 100
	most := uint64(rollout.GetMaximumPerMinute())
	if most == 0 {
		return unpaced
	}
	return max(1, (most+59)/60)
}
