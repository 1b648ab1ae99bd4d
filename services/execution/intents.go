package execution

import (
	"slices"

	"github.com/droverhq/drover/projections/kv"
	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The phases of a job that end something at its homes.
const (
	phaseEnded        = v1.JobPhase_JOB_PHASE_ENDED
	phaseStopped      = v1.JobPhase_JOB_PHASE_STOPPED
	phaseForceStopped = v1.JobPhase_JOB_PHASE_FORCE_STOPPED
	phaseClosed       = v1.JobPhase_JOB_PHASE_CLOSED
	phaseDeleted      = v1.JobPhase_JOB_PHASE_DELETED
)

// severity orders phases: each ends all that those before it do. 0 ends nothing.
func severity(p v1.JobPhase) int {
	switch p {
	case phaseEnded:
		return 1
	case phaseStopped:
		return 2
	case phaseForceStopped:
		return 3
	case phaseDeleted:
		return 4
	}
	return 0
}

// stop is an intent that is not carried out everywhere yet: ENDED, STOPPED, FORCE_STOPPED or DELETED.
type stop struct {
	job   uint64
	phase v1.JobPhase
	cause v1.ReasonCode // why; UNSPECIFIED is as the phase says
}

// stops are few: those that slices are still working on. Mostly there is none, and no row.
type stops []stop

func readStops(r kv.Reader) stops {
	row, ok := r.Get(kv.NewKey(tableStops))
	if !ok {
		return nil
	}
	fields := kv.NewFields(row)
	var s stops
	for fields.More() {
		s = append(s, stop{job: fields.Uint(), phase: v1.JobPhase(fields.Uint()), cause: v1.ReasonCode(fields.Uint())})
	}
	fields.Must("the stops under way")
	return s
}

func writeStops(w kv.Writer, s stops) {
	if len(s) == 0 {
		w.Delete(kv.NewKey(tableStops))
		return
	}
	row := kv.Row(nil)
	for _, x := range s {
		row = row.Uint(x.job).Uint(uint64(x.phase)).Uint(uint64(x.cause))
	}
	w.Set(kv.NewKey(tableStops), row)
}

// without is the list less one job.
func (s stops) without(job uint64) stops {
	var rest stops
	for _, x := range s {
		if x.job != job {
			rest = append(rest, x)
		}
	}
	return rest
}

// phase is that of a job's stop under way; none is UNSPECIFIED.
func (s stops) phase(job uint64) v1.JobPhase {
	for _, x := range s {
		if x.job == job {
			return x.phase
		}
	}
	return v1.JobPhase_JOB_PHASE_UNSPECIFIED
}

// cause is why a job's stop under way cancels what it cancels.
func (s stops) cause(job uint64) v1.ReasonCode {
	for _, x := range s {
		switch {
		case x.job != job:
		case x.cause != v1.ReasonCode_REASON_CODE_UNSPECIFIED:
			return x.cause
		case x.phase == phaseForceStopped:
			return v1.ReasonCode_REASON_CODE_JOB_FORCE_CANCELED
		}
	}
	return v1.ReasonCode_REASON_CODE_JOB_CANCELED
}

// reach says whether a stop under way ends this attempt of a thing's row: what is queued, with force what is in progress,
// a retry that is due in any case; a deletion takes all.
func (s stops) reach(a *attempt) bool {
	if len(s) == 0 {
		return false
	}
	need := phaseStopped
	switch {
	case a.due:
		need = phaseEnded
	case a.inProgress():
		need = phaseForceStopped
	}
	return severity(s.phase(a.job)) >= severity(need)
}

// end says whether a stop under way ends this attempt, or the thing's deletion or withdrawal.
func (s stops) end(t *thing, a *attempt) bool { return t.left(a) || s.reach(a) }

// window is one of which things have not all been told that it opened, or closed.
type window struct {
	job  uint64
	open bool
}

// readWindows lists them; mostly there is none, and no row.
func readWindows(r kv.Reader) (list []window) {
	row, ok := r.Get(kv.NewKey(tableWindows))
	if !ok {
		return nil
	}
	fields := kv.NewFields(row)
	for fields.More() {
		list = append(list, window{job: fields.Uint(), open: fields.Bool()})
	}
	fields.Must("the windows to be told of")
	return list
}

// setWindow puts a window in the stead of the job's that stood in the list, or just takes that away.
func setWindow(tx kv.Tx, job uint64, with ...window) {
	list := slices.DeleteFunc(readWindows(tx), func(w window) bool { return w.job == job })
	if list = append(list, with...); len(list) == 0 {
		tx.Delete(kv.NewKey(tableWindows))
		return
	}
	row := kv.Row(nil)
	for _, w := range list {
		row = row.Uint(w.job).Bool(w.open)
	}
	tx.Set(kv.NewKey(tableWindows), row)
}
