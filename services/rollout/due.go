package rollout

import (
	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/core"
)

// carefulMax is how many jobs with criteria one call looks at.
const carefulMax = 1000

// Due implements core.Core: lets jobs in that were held; releases what the pace allows; then, the longest unserved job first, drops what stopped jobs
// hold, releases what no pace binds, and writes the ends that one call of Observe had no room for. What has waited for a
// current state comes before all else.
func (c *Core) Due(s *core.Step) int64 {
	c.admit(s)
	if s.Current {
		c.releaseCareful(s)
	}
	next, needs := c.releasePaced(s)
	for swept := false; !s.Full(); {
		number, ok := firstInLine(s, tableLine)
		if !ok {
			break
		}
		before := s.Place()
		if j := readJob(s, number); j.sweepable() {
			if swept {
				next = min(next, s.Now+1) // in another step
				break
			}
			swept = true
		}
		if c.serve(s, number); s.Place() == before {
			next = s.Now // no room is left for what this job's next slice needs
			break
		}
	}
	if s.Full() || c.mayAdmit(s) {
		next = s.Now
	}
	if _, unpaced := firstInLine(s, tableCareful); needs || unpaced {
		s.NeedCurrent()
	}
	return next
}

// serve does one slice of a job that stands in line.
func (c *Core) serve(s *core.Step, number uint64) {
	j := readJob(s, number)
	switch {
	case j.stop != 0 && j.waiting() > 0:
		drop(s, number, &j)
	case !j.careful && j.unpaced():
		c.releaseUnpaced(s, number)
	case j.sweepable():
		s.Emit(&v1.Event{Event: &v1.Event_JobSwept{JobSwept: &v1.JobSwept{Job: number}}}, core.Reason(v1.ReasonCode_REASON_CODE_JOB_DELETED))
	}
	c.finish(s, number)
}

// releaseCareful gives each careful job that may release at once what one commit may hold of it.
func (c *Core) releaseCareful(s *core.Step) {
	for _, number := range inLine(s, tableCareful, carefulMax) {
		if s.Full() {
			return
		}
		c.releaseUnpaced(s, number)
	}
}

// firstInLine is the job that has stood in a line the longest.
func firstInLine(r kv.Reader, table byte) (uint64, bool) {
	for _, number := range inLine(r, table, 1) {
		return number, true
	}
	return 0, false
}

func inLine(r kv.Reader, table byte, most int) (jobs []uint64) {
	prefix := kv.NewKey(table)
	for k := range r.Scan(prefix, kv.PrefixEnd(prefix)) {
		_, rest := kv.CutUint(k[1:])
		job, _ := kv.CutUint(rest)
		if jobs = append(jobs, job); len(jobs) == most {
			break
		}
	}
	return jobs
}
