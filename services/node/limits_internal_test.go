package node

import (
	"testing"

	"github.com/droverhq/drover/services/job"
	"github.com/droverhq/drover/services/rollout"
	"github.com/droverhq/drover/services/targeting"
)

func TestLimitsAreThoseThatAreNamed(t *testing.T) {
	kept := job.AWSLimits()
	kept.RetentionDays = 30
	for _, c := range []struct {
		cfg  Config
		want job.Limits
		also targeting.Limits
		and  rollout.Limits
	}{
		{Config{}, job.DefaultLimits(), targeting.DefaultLimits(), rollout.DefaultLimits()},
		{Config{Limits: "default"}, job.DefaultLimits(), targeting.DefaultLimits(), rollout.DefaultLimits()},
		{Config{Limits: "aws"}, job.AWSLimits(), targeting.AWSLimits(), rollout.AWSLimits()},
		{Config{Limits: "aws", RetentionDays: 30}, kept, targeting.AWSLimits(), rollout.AWSLimits()},
	} {
		if err := c.cfg.complete(); err != nil {
			t.Error(err)
		}
		if got, err := c.cfg.limits(); err != nil || got != c.want {
			t.Errorf("%q, %d: %+v, %v", c.cfg.Limits, c.cfg.RetentionDays, got, err)
		}
		if got := c.cfg.targetingLimits(); got != c.also {
			t.Errorf("%q: targeting has %+v", c.cfg.Limits, got)
		}
		if got := c.cfg.rolloutLimits(); got != c.and {
			t.Errorf("%q: rollout has %+v", c.cfg.Limits, got)
		}
	}
	for _, bad := range []Config{{Limits: "AWS"}, {RetentionDays: -1}} {
		if err := bad.complete(); err == nil {
			t.Errorf("%q, %d: taken", bad.Limits, bad.RetentionDays)
		}
	}
}
