package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

// jobTeller tells the story of a job from its events in their order. What happens many times (releases, windows, joins) is
// one sentence from one act of an operator, or one turn of the job, to the next; so a story is as long as what was
// decided about a job, and not as its things.
type jobTeller struct {
	told  []sentenceView
	heaps []*heap // what is being summed up, in the order in which each began
}

// heap sums up events of one kind.
type heap struct {
	key         string
	first, last *v1.RecordedEvent
	things      uint64
	steps       uint64 // commits, or turns
	write       func(*heap) string
}

// until is where and when the last of what is summed up stands: an event may be several already.
func (h *heap) until() (*v1.Position, int64) {
	if h.last.GetLast() != nil {
		return h.last.GetLast(), h.last.GetLastAtMs()
	}
	return h.last.GetPosition(), h.last.GetAtMs()
}

// hear takes the next event.
func (t *jobTeller) hear(e *v1.RecordedEvent) {
	event := e.GetEntry().GetEvent()
	reason := e.GetEntry().GetReason()
	switch x := event.GetEvent().(type) {
	case *v1.Event_ExecutionsReleased:
		t.heap(e, fmt.Sprint("released", x.ExecutionsReleased.GetJoined(), reason.GetCode(), pace(reason)), uint64(e.GetThings()), releasedText)
		return
	case *v1.Event_ThingsSelected:
		if x.ThingsSelected.GetJoined() {
			t.heap(e, "joined", uint64(e.GetThings()), func(h *heap) string { return plural(h.things, "thing") + " joined its targets" + h.span() })
		}
		return // the others are counted by SelectionFinished
	case *v1.Event_ThingsDeselected:
		t.heap(e, "left", uint64(e.GetThings()), func(h *heap) string { return plural(h.things, "thing") + " left its targets" + h.span() })
		return
	case *v1.Event_ThingsDropped:
		t.heap(e, "dropped", x.ThingsDropped.GetThings(), func(h *heap) string {
			return plural(h.things, "thing") + " that waited will not be released" + because(h.first.GetEntry().GetReason())
		})
		return
	case *v1.Event_JobWindowOpened:
		t.heap(e, "windows", 0, windowsTold)
		return
	case *v1.Event_JobWindowClosed:
		if !t.ends("windows", e) { // what opened it was told already
			t.heap(e, "windows", 0, windowsTold)
			t.heaps[len(t.heaps)-1].steps = 0
		}
		return
	}
	if text := jobSentence(e); text != "" {
		t.flush()
		t.told = append(t.told, sentenceView{At: moment(e.GetAtMs()), Position: positionText(e.GetPosition()), JobID: e.GetJobId(), Text: text})
	}
}

// heap adds an event to what is summed up under the key.
func (t *jobTeller) heap(e *v1.RecordedEvent, key string, things uint64, write func(*heap) string) {
	for _, h := range t.heaps {
		if h.key == key {
			if at, _ := h.until(); id.LogOf(at) == id.LogOf(e.GetPosition()) && at.GetNumber() == e.GetPosition().GetNumber() {
				h.steps-- // the same commit
			}
			h.last, h.things, h.steps = e, h.things+things, h.steps+max(e.GetSteps(), 1)
			return
		}
	}
	t.heaps = append(t.heaps, &heap{key: key, first: e, last: e, things: things, steps: max(e.GetSteps(), 1), write: write})
}

// ends says that an event belongs to the last one under the key, if there is one.
func (t *jobTeller) ends(key string, e *v1.RecordedEvent) bool {
	for _, h := range t.heaps {
		if h.key == key {
			h.last = e
			return true
		}
	}
	return false
}

// flush writes what was summed up so far.
func (t *jobTeller) flush() {
	for _, h := range t.heaps {
		s := sentenceView{At: moment(h.first.GetAtMs()), Position: positionText(h.first.GetPosition()), JobID: h.first.GetJobId(), Text: h.write(h)}
		if at, ms := h.until(); h.last != h.first || h.last.GetLast() != nil {
			s.Until, s.Last = moment(ms), positionText(at)
		}
		t.told = append(t.told, s)
	}
	t.heaps = nil
}

// story is all of it by time, which the causal order of several logs is not; what is of one moment stays as it came.
func (t *jobTeller) story() []sentenceView {
	t.flush()
	slices.SortStableFunc(t.told, func(x, y sentenceView) int { return strings.Compare(x.At, y.At) })
	return t.told
}

// span is " in 40 steps, until 2026-…" of more than one step.
func (h *heap) span() string {
	if h.steps < 2 {
		return ""
	}
	_, last := h.until()
	return fmt.Sprintf(" in %s steps between %s and %s", humanize.Comma(int64(h.steps)), when(h.first.GetAtMs()), when(last))
}

func releasedText(h *heap) string {
	text := "released " + plural(h.things, "thing") + h.span()
	r := h.first.GetEntry().GetReason()
	switch {
	case h.first.GetEntry().GetEvent().GetExecutionsReleased().GetJoined():
		return text + ", at once as they joined later"
	case pace(r) > 0:
		text += fmt.Sprintf(", by the pace of %s things a minute", humanize.Comma(pace(r)))
		if n := r.GetNumbers(); r.GetCode() == v1.ReasonCode_REASON_CODE_EXPONENTIAL_PACE && len(n) > 2 && n[2] > 0 {
			text += fmt.Sprintf(" after %s", plural(n[2], "increase"))
		}
		return text
	}
	return text + because(r)
}

// pace is the things a minute of a release's reason; 0 is none.
func pace(r *v1.Reason) int64 {
	switch r.GetCode() {
	case v1.ReasonCode_REASON_CODE_PACE, v1.ReasonCode_REASON_CODE_EXPONENTIAL_PACE:
		if len(r.GetNumbers()) > 0 {
			return r.GetNumbers()[0]
		}
	}
	return 0
}

func windowsTold(h *heap) string {
	last := h.last.GetEntry().GetEvent()
	state := "open until " + when(last.GetJobWindowOpened().GetClosesAtMs())
	if c := last.GetJobWindowClosed(); c != nil {
		state = "closed at " + when(h.last.GetAtMs()) + nextWindow(c.GetOpensAtMs())
	}
	switch {
	case h.steps == 0:
		return "its maintenance window " + state
	case h.steps > 1:
		return fmt.Sprintf("its maintenance window opened %s times; the last one %s", humanize.Comma(int64(h.steps)), state)
	case last.GetJobWindowClosed() != nil:
		return "its maintenance window opened; it " + state
	}
	return "its maintenance window opened, " + state
}

func nextWindow(ms int64) string {
	if ms == 0 {
		return "; no other follows"
	}
	return "; the next opens at " + when(ms)
}

// because is a reason behind a sentence: ": the job was canceled".
func because(r *v1.Reason) string {
	if text := sentence(r); text != "" {
		return ": " + text
	}
	return ""
}

// by is who sent the command that led to an event: " by client".
func by(e *v1.RecordedEvent) string {
	if c := e.GetEntry().GetCommand(); c.GetBy() != "" {
		return " by " + c.GetBy()
	}
	return ""
}

// jobSentence says what an event means for its job; empty for what another event says already, or what is summed up.
func jobSentence(e *v1.RecordedEvent) string {
	reason := because(e.GetEntry().GetReason())
	switch x := e.GetEntry().GetEvent().GetEvent().(type) {
	case *v1.Event_JobCreated:
		return createdText(x.JobCreated, by(e))
	case *v1.Event_JobStarted:
		return "it started" + reason
	case *v1.Event_JobEndReached:
		return "its end time came; from here on " + endText(x.JobEndReached.GetEndBehavior())
	case *v1.Event_JobUpdated:
		return "it was changed" + by(e) + remarkOf(changedText(x.JobUpdated))
	case *v1.Event_TargetsAssociated:
		return "it got " + plural(len(x.TargetsAssociated.GetTargets()), "more target") + by(e) + ": " + targetsText(x.TargetsAssociated.GetTargets()) + remark(x.TargetsAssociated.GetComment())
	case *v1.Event_JobCancelStarted:
		return cancelText(x.JobCancelStarted, by(e))
	case *v1.Event_JobCanceled:
		return "the cancel was carried out for every thing"
	case *v1.Event_JobCompleted:
		return "it was COMPLETED" + reason
	case *v1.Event_JobDeletionStarted:
		return "its deletion began" + forced(x.JobDeletionStarted.GetForce()) + by(e) + reason
	case *v1.Event_JobDeleted:
		return "it was deleted; its id is free"
	case *v1.Event_SelectionStarted:
		return "the things in " + targetsText(x.SelectionStarted.GetTargets()) + " were looked for, as they were then"
	case *v1.Event_SelectionFinished:
		return "it has " + plural(x.SelectionFinished.GetThings(), "thing") + reason
	case *v1.Event_SelectionClosed:
		return "joining and leaving its targets means nothing to it any more" + reason
	case *v1.Event_AbortTriggered:
		return abortText(x.AbortTriggered)
	case *v1.Event_JobHeld:
		return "nothing of it is released for now" + reason
	case *v1.Event_JobAdmitted:
		return "a place became free for it: what waits may be released"
	case *v1.Event_JobCrowdedOut:
		return fmt.Sprintf("there was no place for it: %s jobs were at work, and %s may be", humanize.Comma(int64(x.JobCrowdedOut.GetConcurrent())), humanize.Comma(int64(x.JobCrowdedOut.GetMost())))
	case *v1.Event_JobStopped:
		return "from here on nothing more of it is released" + reason
	case *v1.Event_JobDrained:
		return drainedText(x.JobDrained.GetPhase())
	}
	return ""
}

func createdText(j *v1.JobCreated, by string) string {
	kind := "the things"
	if j.GetTargetSelection() == v1.TargetSelection_TARGET_SELECTION_CONTINUOUS {
		kind = "all things that are or come to be"
	}
	text := "it was created" + by + " for " + kind + " in " + targetsText(j.GetTargets())
	if j.GetJobTemplateArn() != "" {
		text += ", from " + j.GetJobTemplateArn()
	}
	if p := body.ShowRollout(j.GetRollout()); p != nil {
		text += "; " + paceText(p)
	}
	s := j.GetScheduling()
	if s.GetStartTime() != "" {
		text += "; to start at " + s.GetStartTime()
	}
	if s.GetEndTime() != "" {
		text += "; to end at " + s.GetEndTime()
	}
	if w := body.ShowWindows(s.GetWindows()); len(w) > 0 {
		text += "; in windows, " + windowsText(w)
	}
	return text
}

// targetsText names the first targets.
func targetsText(targets []*v1.Target) string {
	const shown = 3
	names := targetNames(targets)
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(names[:shown], ", "), humanize.Comma(int64(len(names)-shown)))
}

func endText(b v1.EndBehavior) string {
	switch b {
	case v1.EndBehavior_END_BEHAVIOR_CANCEL:
		return "nothing is released or retried, and what is queued is canceled"
	case v1.EndBehavior_END_BEHAVIOR_FORCE_CANCEL:
		return "nothing is released or retried, and all that is pending is canceled"
	}
	return "nothing is released or retried, and what is pending may finish"
}

func changedText(u *v1.JobUpdated) string {
	var parts []string
	if u.GetRollout() != nil {
		parts = append(parts, "its pace is "+paceText(body.ShowRollout(u.GetRollout())))
	}
	for _, f := range configFields(nil, body.ShowAbort(u.GetAbort()), body.ShowRetry(u.GetRetry()), body.ShowTimeout(u.GetTimeout()), body.ShowPresignedURL(u.GetPresignedUrl())) {
		given := map[string]bool{"Aborts": u.GetAbort() != nil, "Retries": u.GetRetry() != nil, "Times out": u.GetTimeout() != nil, "Presigned URLs": u.GetPresignedUrl() != nil}
		if given[f.name] {
			parts = append(parts, "it "+map[string]string{"Aborts": "aborts ", "Retries": "retries ", "Times out": "times out ", "Presigned URLs": "signs URLs "}[f.name]+orDash(f.value))
		}
	}
	if u.Description != nil {
		parts = append(parts, "its description is "+fmt.Sprintf("%q", shorten(u.GetDescription(), 60)))
	}
	return strings.Join(parts, "; ")
}

func cancelText(c *v1.JobCancelStarted, by string) string {
	text := "it was canceled" + forced(c.GetForce()) + by
	if c.GetAborted() {
		text = "it was aborted, which is a cancel without force"
	}
	if c.GetReasonCode() != "" {
		text += ", " + c.GetReasonCode()
	}
	return text + remark(c.GetComment())
}

func forced(force bool) string {
	if force {
		return " with force"
	}
	return ""
}

// remarkOf puts a text behind a sentence, if there is one.
func remarkOf(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func remark(comment string) string {
	if comment == "" {
		return ""
	}
	return fmt.Sprintf(": %q", shorten(comment, 200))
}

func abortText(a *v1.AbortTriggered) string {
	what := v1.EnumName(a.GetFailure())
	if a.GetFailure() == v1.FailureType_FAILURE_TYPE_ALL {
		what = "FAILED, REJECTED or TIMED_OUT"
	}
	text := fmt.Sprintf("abort criterion %d was met: %s of %s that have ended %s %s, which is %s %% or more (looked at from %s)",
		a.GetCriterion()+1, humanize.Comma(int64(a.GetFailures())), plural(a.GetExecuted(), "execution"), verb(a.GetFailures(), "is", "are"), what,
		body.Hundredths(a.GetThresholdHundredths()), humanize.Comma(int64(a.GetMinExecuted())))
	if a.GetCrossing() != nil {
		text += "; the report that crossed it is in " + positionText(a.GetCrossing())
	}
	return text + fmt.Sprintf("; %s had been released by then, and at most %s could be after it", plural(a.GetReleased(), "thing"), humanize.Comma(int64(a.GetBound())))
}

func drainedText(p v1.JobPhase) string {
	switch p {
	case v1.JobPhase_JOB_PHASE_STOPPED:
		return "no device can start it any more"
	case v1.JobPhase_JOB_PHASE_FORCE_STOPPED:
		return "no device can start it or report on it any more"
	case v1.JobPhase_JOB_PHASE_ENDED:
		return "every thing's queue knows of the end"
	case v1.JobPhase_JOB_PHASE_DELETED:
		return "its executions are gone"
	}
	return "" // CLOSED: JobCompleted says it
}
