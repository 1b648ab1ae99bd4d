package node

import (
	"fmt"

	"github.com/droverhq/drover/services/job"
	"github.com/droverhq/drover/services/rollout"
	"github.com/droverhq/drover/services/targeting"
)

// limits are those that the configuration names.
func (c *Config) limits() (job.Limits, error) {
	l := job.DefaultLimits()
	switch c.Limits {
	case "", "default":
	case "aws":
		l = job.AWSLimits()
	default:
		return l, fmt.Errorf("limits %.40q: default or aws is allowed", c.Limits)
	}
	if c.RetentionDays < 0 {
		return l, fmt.Errorf("%d days of retention: 1 or more is allowed, or 0 for %d", c.RetentionDays, job.RetentionDays)
	}
	if c.RetentionDays > 0 {
		l.RetentionDays = int64(c.RetentionDays)
	}
	return l, nil
}

// targetingLimits are those of the fleet, by the same name.
func (c *Config) targetingLimits() targeting.Limits {
	if c.Limits == "aws" {
		return targeting.AWSLimits()
	}
	return targeting.DefaultLimits()
}

// rolloutLimits are those of rollouts, by the same name.
func (c *Config) rolloutLimits() rollout.Limits {
	if c.Limits == "aws" {
		return rollout.AWSLimits()
	}
	return rollout.DefaultLimits()
}
