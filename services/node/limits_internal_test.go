package node

import (
	"testing"

	"github.com/droverhq/drover/services/job"
)

func TestLimitsAreThoseThatAreNamed(t *testing.T) {
	kept := job.AWSLimits()
	kept.RetentionDays = 30
	for _, c := range []struct {
		cfg  Config
		want job.Limits
	}{
		{Config{}, job.DefaultLimits()},
		{Config{Limits: "default"}, job.DefaultLimits()},
		{Config{Limits: "aws"}, job.AWSLimits()},
		{Config{Limits: "aws", RetentionDays: 30}, kept},
	} {
		if err := c.cfg.complete(); err != nil {
			t.Error(err)
		}
		if got, err := c.cfg.limits(); err != nil || got != c.want {
			t.Errorf("%q, %d: %+v, %v", c.cfg.Limits, c.cfg.RetentionDays, got, err)
		}
	}
	for _, bad := range []Config{{Limits: "AWS"}, {RetentionDays: -1}} {
		if err := bad.complete(); err == nil {
			t.Errorf("%q, %d: taken", bad.Limits, bad.RetentionDays)
		}
	}
}
