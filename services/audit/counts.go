package audit

import (
	"fmt"
	"strings"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// statuses is one more than the last execution status.
const statuses = int(v1.ExecutionStatus_EXECUTION_STATUS_REMOVED) + 1

// Counts are a job's counts, or a change of them, counted here and nowhere else.
type Counts struct {
	// Attempts by v1.ExecutionStatus.
	Attempts [statuses]int64
	// Things: pending, or a retry is due; ended well; ended otherwise after having run; ended without having run;
	// released without an execution; their last attempt deleted. (design §7)
	Open, Good, Harmed, Void, Refused, Deleted int64
}

// Plus is the sum of two.
func (c Counts) Plus(d Counts) Counts {
	for i, n := range d.Attempts {
		c.Attempts[i] += n
	}
	c.Open += d.Open
	c.Good += d.Good
	c.Harmed += d.Harmed
	c.Void += d.Void
	c.Refused += d.Refused
	c.Deleted += d.Deleted
	return c
}

func (c Counts) String() string {
	var out []string
	for s, n := range c.Attempts {
		if n != 0 {
			out = append(out, fmt.Sprintf("%s %d", StatusName(v1.ExecutionStatus(s)), n))
		}
	}
	return fmt.Sprintf("{%s; open %d, good %d, harmed %d, void %d, refused %d, deleted %d}", strings.Join(out, ", "), c.Open, c.Good, c.Harmed, c.Void, c.Refused, c.Deleted)
}

// StatusName is a status as AWS spells it.
func StatusName(s v1.ExecutionStatus) string {
	return strings.TrimPrefix(s.String(), "EXECUTION_STATUS_")
}

func (c *Counts) status(s v1.ExecutionStatus, n int64) {
	if s > 0 && int(s) < statuses {
		c.Attempts[s] += n
	}
}

// queued counts an attempt. The thing of a retry is open already: the attempt before it ended with a retry due.
func (c *Counts) queued(retry uint32) {
	c.Attempts[v1.ExecutionStatus_EXECUTION_STATUS_QUEUED]++
	if retry == 0 {
		c.Open++
	}
}

// moved counts a transition.
func (c *Counts) moved(s Step) {
	if s.From == s.To {
		return
	}
	c.status(s.From, -1)
	c.status(s.To, +1)
	if Final(s.To) && !s.RetryDue {
		c.dropped(s)
	}
}

// dropped ends a thing at its last step: nothing of it is pending, and no retry is due any more.
func (c *Counts) dropped(last Step) {
	c.Open--
	*c.kind(last)++
}

// deleted takes back what an attempt counts for; with the last one, what its thing does.
func (c *Counts) deleted(x *Execution) {
	c.status(x.Status(), -1)
	if !x.DeletedLast {
		return
	}
	c.Deleted++
	if x.DeletedDue || Pending(x.Status()) {
		c.Open--
		return
	}
	*c.kind(x.Last())--
}

// kind is the count of things to which an end belongs: void if the device has done nothing of it, which a device that
// reports SUCCEEDED, FAILED or TIMED_OUT straight from QUEUED has.
func (c *Counts) kind(s Step) *int64 {
	switch s.To {
	case v1.ExecutionStatus_EXECUTION_STATUS_SUCCEEDED:
		return &c.Good
	case v1.ExecutionStatus_EXECUTION_STATUS_CANCELED, v1.ExecutionStatus_EXECUTION_STATUS_REMOVED, v1.ExecutionStatus_EXECUTION_STATUS_REJECTED:
		if !s.HasRun {
			return &c.Void
		}
	}
	return &c.Harmed
}

// Counts recounts a job from what stands at the places that in says yes to.
func (j *Job) Counts(in func(Place) bool) Counts {
	var c Counts
	for _, t := range j.Things {
		if t.Refused > 0 && in(t.RefusedAt) {
			c.Refused += int64(t.Refused)
		}
		for _, x := range t.Executions {
			for i, s := range x.Steps {
				switch {
				case !in(s.Place):
				case i == 0:
					c.queued(x.Retry)
				default:
					c.moved(s)
				}
			}
			if x.Dropped != nil && in(*x.Dropped) {
				c.dropped(x.Last())
			}
			if x.Deleted != nil && in(*x.Deleted) {
				c.deleted(x)
			}
		}
	}
	return c
}

// Everywhere is the argument of Counts for all that was read.
func Everywhere(Place) bool { return true }
