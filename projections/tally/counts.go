package tally

import (
	"encoding/binary"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// statuses is one more than the last execution status.
const statuses = int(v1.ExecutionStatus_EXECUTION_STATUS_REMOVED) + 1

// Counts are a job's counts, or a change of them. The zero value is none; sums of changes from none are counts.
type Counts struct {
	// Attempts by v1.ExecutionStatus.
	Attempts [statuses]int64
	// Things; see the package comment.
	Open, Good, Harmed, Void, Refused, Deleted int64
}

// Add adds a commit's change.
func (c *Counts) Add(t *v1.Tally) {
	for _, s := range t.GetAttempts() {
		c.status(s.GetStatus(), s.GetCount())
	}
	c.things(t.GetOpen(), t.GetGood(), t.GetHarmed(), t.GetVoid(), t.GetRefused(), t.GetDeleted())
}

// AddObserved adds changes that were merged.
func (c *Counts) AddObserved(t *v1.ObservedTally) {
	for _, s := range t.GetAttempts() {
		c.status(s.GetStatus(), s.GetCount())
	}
	c.things(t.GetOpen(), t.GetGood(), t.GetHarmed(), t.GetVoid(), t.GetRefused(), t.GetDeleted())
}

// AddCounts adds other counts, of another home for instance.
func (c *Counts) AddCounts(o Counts) {
	for i, n := range o.Attempts {
		c.Attempts[i] += n
	}
	c.things(o.Open, o.Good, o.Harmed, o.Void, uint64(o.Refused), uint64(o.Deleted))
}

// Ended is how many released things will change no more.
func (c *Counts) Ended() int64 { return c.Good + c.Harmed + c.Void + c.Refused + c.Deleted }

// Statuses are the attempts that are not zero, by ascending status.
func (c *Counts) Statuses() []*v1.StatusCount {
	var list []*v1.StatusCount
	for s, n := range c.Attempts {
		if n != 0 {
			list = append(list, &v1.StatusCount{Status: v1.ExecutionStatus(s), Count: n})
		}
	}
	return list
}

// AppendTo adds the counts to a row of a state (kv.Row), as so many fields of kv.Row.Int.
func (c *Counts) AppendTo(row []byte) []byte {
	for _, n := range c.fields() {
		row = binary.AppendVarint(row, *n)
	}
	return row
}

// Read reads what AppendTo wrote, from a *kv.Fields.
func (c *Counts) Read(f interface{ Int() int64 }) {
	for _, n := range c.fields() {
		*n = f.Int()
	}
}

func (c *Counts) fields() (list [statuses + 6]*int64) {
	for i := range c.Attempts {
		list[i] = &c.Attempts[i]
	}
	copy(list[statuses:], []*int64{&c.Open, &c.Good, &c.Harmed, &c.Void, &c.Refused, &c.Deleted})
	return list
}

// status changes one count; a status that this version does not know is not counted.
func (c *Counts) status(s v1.ExecutionStatus, n int64) {
	if s > 0 && int(s) < statuses {
		c.Attempts[s] += n
	}
}

func (c *Counts) things(open, good, harmed, void int64, refused, deleted uint64) {
	c.Open += open
	c.Good += good
	c.Harmed += harmed
	c.Void += void
	c.Refused += int64(refused)
	c.Deleted += int64(deleted)
}
