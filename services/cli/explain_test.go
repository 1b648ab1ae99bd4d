package cli

import (
	"encoding/json"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

// theRecord serves ReadEvents from literals, pages of two, at the level of jobs or by thing, as the real one does.
type theRecord []*v1.RecordedEvent

func (all theRecord) serve(s *system) {
	answer(s, bus.ReadEvents, func(q *v1.ReadEvents) (*v1.ReadEventsReply, error) {
		from := 0
		for _, p := range q.GetSince() { // the fake's place is the count of events before it
			from = int(p.GetNumber())
		}
		r := &v1.ReadEventsReply{End: true}
		to := len(all)
		if len(all)-from > 1000 {
			to, r.End = from+1000, false
		}
		for _, e := range all[from:to] {
			service := e.GetPosition().GetService()
			switch {
			case q.GetJobLevel() && (service == v1.Service_SERVICE_EXECUTION || e.GetEntry().GetEvent().Job() != q.GetJob()):
			case q.GetThing() != "" && !e.GetEntry().GetEvent().Names(q.GetThing()):
			default:
				r.Events = append(r.Events, e)
			}
		}
		r.Next = []*v1.Position{at(id.JobLog, uint64(to))}
		return r, nil
	})
}

// entry makes an event at a second after noon.
func entry(log id.Log, number uint64, second int64, e *v1.Event, reason *v1.Reason) *v1.RecordedEvent {
	job := ""
	if e.Job() != 0 {
		job = "fw-1"
	}
	things := uint32(0)
	if x := e.GetThingsSelected(); x != nil {
		things = uint32(len(x.Things))
	}
	return &v1.RecordedEvent{Position: at(log, number), AtMs: noon + second*1000, JobId: job, Things: things,
		Entry: &v1.Entry{Cause: &v1.Entry_Command{Command: &v1.CommandCause{By: "client"}}, Event: e, Reason: reason}}
}

func why(code v1.ReasonCode, numbers ...int64) *v1.Reason {
	return &v1.Reason{Code: code, Numbers: numbers}
}

const theJob = 65536

func pressRef() *v1.ThingRef { return &v1.ThingRef{Name: "press-07", Number: 131072} }

// anAbortedJob is the story of a job that was aborted, with what happened to press-07.
func anAbortedJob() theRecord {
	press := []*v1.ThingRef{pressRef()}
	release := func(number uint64, second int64, things uint32) *v1.RecordedEvent {
		e := entry(id.RolloutLog, number, second, &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: theJob, Things: press}}},
			why(v1.ReasonCode_REASON_CODE_PACE, 600, second*10))
		e.Things = things
		return e
	}
	home := id.ExecutionLog(3)
	changed := func(number uint64, second int64, x *v1.ExecutionChanged, reason *v1.Reason) *v1.RecordedEvent {
		x.Job, x.Thing, x.ExecutionNumber = theJob, "press-07", max(x.ExecutionNumber, 1)
		return entry(home, number, second, &v1.Event{Event: &v1.Event_ExecutionChanged{ExecutionChanged: x}}, reason)
	}
	return theRecord{
		entry(id.TargetingLog, 3, 0, &v1.Event{Event: &v1.Event_ThingCreated{ThingCreated: &v1.ThingCreated{Thing: pressRef()}}}, nil),
		entry(id.TargetingLog, 5, 1, &v1.Event{Event: &v1.Event_ThingJoined{ThingJoined: &v1.ThingJoined{Group: "press-line", Thing: pressRef()}}}, nil),
		entry(id.JobLog, 2, 2, &v1.Event{Event: &v1.Event_JobCreated{JobCreated: &v1.JobCreated{Job: theJob, JobId: "fw-1", Targets: []*v1.Target{groupTarget("press-line")},
			Rollout: &v1.RolloutConfig{MaximumPerMinute: 600}}}}, nil),
		entry(id.JobLog, 2, 2, &v1.Event{Event: &v1.Event_JobStarted{JobStarted: &v1.JobStarted{Job: theJob}}}, nil),
		entry(id.TargetingLog, 9, 2, &v1.Event{Event: &v1.Event_SelectionStarted{SelectionStarted: &v1.SelectionStarted{Job: theJob, Targets: []*v1.Target{groupTarget("press-line")}}}}, nil),
		entry(id.TargetingLog, 10, 3, &v1.Event{Event: &v1.Event_ThingsSelected{ThingsSelected: &v1.ThingsSelected{Job: theJob, Things: press}}}, why(v1.ReasonCode_REASON_CODE_TARGETED, 0, 0)),
		entry(id.TargetingLog, 11, 3, &v1.Event{Event: &v1.Event_SelectionFinished{SelectionFinished: &v1.SelectionFinished{Job: theJob, Things: 2000}}}, nil),
		release(20, 4, 10), release(21, 5, 10), release(21, 5, 5),
		entry(home, 8, 5, &v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{Job: theJob, Thing: pressRef(), ExecutionNumber: 1}}}, nil),
		changed(9, 6, &v1.ExecutionChanged{From: queued, To: inProgress, InProgressDeadlineMs: noon + 60_000}, why(v1.ReasonCode_REASON_CODE_START_NEXT)),
		changed(10, 7, &v1.ExecutionChanged{From: inProgress, To: inProgress, StatusDetails: []*v1.Detail{{Name: "phase", Value: "load"}}}, nil),
		changed(11, 8, &v1.ExecutionChanged{From: inProgress, To: inProgress, StatusDetails: []*v1.Detail{{Name: "phase", Value: "flash"}}}, nil),
		changed(12, 9, &v1.ExecutionChanged{From: inProgress, To: v1.ExecutionStatus_EXECUTION_STATUS_FAILED, RetryDue: true}, why(v1.ReasonCode_REASON_CODE_REPORTED)),
		entry(home, 12, 9, &v1.Event{Event: &v1.Event_ExecutionQueued{ExecutionQueued: &v1.ExecutionQueued{Job: theJob, Thing: pressRef(), ExecutionNumber: 2, RetryAttempt: 1}}},
			why(v1.ReasonCode_REASON_CODE_RETRY, 1, 3, 4)),
		entry(id.RolloutLog, 30, 10, &v1.Event{Event: &v1.Event_AbortTriggered{AbortTriggered: &v1.AbortTriggered{Job: theJob, Failure: failed, ThresholdHundredths: 2000, MinExecuted: 20,
			Failures: 5, Executed: 21, Crossing: at(home, 12), Released: 25, Bound: 10}}}, nil),
		entry(id.JobLog, 8, 11, &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: theJob, Aborted: true, ReasonCode: "ABORT_CRITERIA_MET", Comment: "5 of 21"}}}, nil),
		entry(id.RolloutLog, 31, 11, &v1.Event{Event: &v1.Event_ThingsDropped{ThingsDropped: &v1.ThingsDropped{Job: theJob, Things: 1975}}}, why(v1.ReasonCode_REASON_CODE_ABORT_CRITERIA, 0, 5, 21, 2000)),
		changed(13, 12, &v1.ExecutionChanged{ExecutionNumber: 2, From: queued, To: canceled}, why(v1.ReasonCode_REASON_CODE_JOB_CANCELED)),
	}
}

func TestExplainJobTellsTheStoryInSentencesWithTheirPlaces(t *testing.T) {
	s := newSystem(t)
	anAbortedJob().serve(s)
	j := jobAt(v1.JobStatus_JOB_STATUS_CANCELED, true)
	j.Counts.Selected, j.Counts.Released, j.Counts.Dropped, j.Counts.Good, j.Counts.Harmed, j.Counts.Open = 2000, 25, 1975, 16, 5, 4
	reply(s, bus.DescribeJob, j)
	reply(s, bus.GetHolding, &v1.GetHoldingReply{Holdings: []*v1.Holding{{Reason: why(v1.ReasonCode_REASON_CODE_WAITS_FOR_DEVICES, 4)}}})
	want := `fw-1 is CANCELED: of 2,000 things 25 released, 16 succeeded, 5 did not succeed, 4 not ended, 1,975 never released.

2026-11-25 12:00:02Z  it was created by client for the things in group/press-line; 600 things a minute  (job@2)
2026-11-25 12:00:02Z  it started  (job@2)
2026-11-25 12:00:02Z  the things in group/press-line were looked for, as they were then  (targeting@9)
2026-11-25 12:00:03Z  it has 2,000 things  (targeting@11)
2026-11-25 12:00:04Z  released 25 things in 2 steps between 2026-11-25 12:00:04Z and 2026-11-25 12:00:05Z, by the pace of 600 things a minute  (rollout@20 to rollout@21)
2026-11-25 12:00:10Z  abort criterion 1 was met: 5 of 21 executions that have ended are FAILED, which is 20 % or more (looked at from 20); the report that crossed it is in execution.3@12; 25 things had been released by then, and at most 10 could be after it  (rollout@30)
2026-11-25 12:00:11Z  it was aborted, which is a cancel without force, ABORT_CRITERIA_MET: "5 of 21"  (job@8)
2026-11-25 12:00:11Z  1,975 things that waited will not be released: abort criterion 1 was met: 5 failures among 21 executions that ended, 20 % or more  (rollout@31)

Now:
  4 released things have not ended yet
`
	if r := s.run("explain", "job", "fw-1"); r.out != want || r.status != exitDone {
		t.Errorf("got\n%s\nwant\n%s%s", r.out, want, r.err)
	}
	var v explainView
	if r := s.run("explain", "job", "fw-1", "-o", "json"); json.Unmarshal([]byte(r.out), &v) != nil || len(v.Story) != 8 || v.Story[4].Last != "rollout@21" || v.Now[0].Code != "WAITS_FOR_DEVICES" {
		t.Errorf("%+v\n%s", v, r.out)
	}
}

func TestExplainThingTellsWhyEachStepWasTaken(t *testing.T) {
	s := newSystem(t)
	anAbortedJob().serve(s)
	reply(s, bus.DescribeJob, jobAt(v1.JobStatus_JOB_STATUS_CANCELED, true))
	reply(s, bus.GetThingHolding, &v1.GetThingHoldingReply{})
	reply(s, bus.GetHolding, &v1.GetHoldingReply{})
	want := `press-07: fw-1 CANCELED.

2026-11-25 12:00:00Z  press-07 was registered by client  (targeting@3)
2026-11-25 12:00:01Z  it was put into group press-line by client  (targeting@5)
2026-11-25 12:00:02Z  fw-1: the job was created by client for the things in group/press-line; 600 things a minute  (job@2)
2026-11-25 12:00:02Z  fw-1: the job started  (job@2)
2026-11-25 12:00:03Z  fw-1: it was selected: it was in group/press-line when the selection started  (targeting@10)
2026-11-25 12:00:04Z  fw-1: it was released: due at 600 things a minute, after 40 released before  (rollout@20)
2026-11-25 12:00:05Z  fw-1: it was released: due at 600 things a minute, after 50 released before  (rollout@21)
2026-11-25 12:00:05Z  fw-1: it was released: due at 600 things a minute, after 50 released before  (rollout@21)
2026-11-25 12:00:05Z  fw-1: execution 1 was queued  (execution.3@8)
2026-11-25 12:00:06Z  fw-1: the device began execution 1: the device asked for its next job; it times out at 2026-11-25 12:01:00Z  (execution.3@9)
2026-11-25 12:00:07Z  fw-1: the device reported 2 times that it goes on, last with phase=flash  (execution.3@10 to execution.3@11)
2026-11-25 12:00:09Z  fw-1: the device reported execution 1 FAILED; another attempt follows  (execution.3@12)
2026-11-25 12:00:09Z  fw-1: execution 2 was queued: retry 1 of 3: the attempt before it is FAILED  (execution.3@12)
2026-11-25 12:00:10Z  fw-1: abort criterion 1 was met: 5 of 21 executions that have ended are FAILED, which is 20 % or more (looked at from 20); the report that crossed it is in execution.3@12; 25 things had been released by then, and at most 10 could be after it  (rollout@30)
2026-11-25 12:00:11Z  fw-1: the job was aborted, which is a cancel without force, ABORT_CRITERIA_MET: "5 of 21"  (job@8)
2026-11-25 12:00:12Z  fw-1: execution 2 became CANCELED: the job was canceled  (execution.3@13)
`
	if r := s.run("explain", "thing", "press-07"); r.out != want || r.status != exitDone {
		t.Errorf("got\n%s\nwant\n%s%s", r.out, want, r.err)
	}
	if r := s.run("explain", "thing", "press-07", "--job", "fw-1"); r.out != strings.ReplaceAll(want, "  fw-1: ", "  ") {
		t.Errorf("with --job\n%s%s", r.out, r.err)
	}
}

func TestExplainSaysWhatIsWaitedForAndUntilWhen(t *testing.T) {
	s := newSystem(t)
	record := anAbortedJob()
	record[:7].serve(s) // selected, not released
	reply(s, bus.DescribeJob, jobAt(v1.JobStatus_JOB_STATUS_IN_PROGRESS, true))
	execution := func(n uint64, status v1.ExecutionStatus) *v1.Execution {
		return &v1.Execution{JobId: "fw-1", Thing: "press-07", ExecutionNumber: n, Status: status}
	}
	reply(s, bus.GetThingHolding, &v1.GetThingHoldingReply{Executions: []*v1.ThingHolding{
		{Execution: execution(1, inProgress), Holdings: []*v1.Holding{{Reason: why(v1.ReasonCode_REASON_CODE_WAITS_FOR_DEVICES, 1), UntilMs: noon + 60_000}}},
		{Execution: execution(2, queued), Hidden: true, Holdings: []*v1.Holding{
			{Reason: why(v1.ReasonCode_REASON_CODE_WINDOW_IS_CLOSED, noon+90_000), UntilMs: noon + 90_000}, {Reason: why(v1.ReasonCode_REASON_CODE_BEHIND_OTHERS, 2)}}},
		{Execution: execution(3, queued)},
		{Execution: execution(5, inProgress)}, {Execution: execution(6, queued), Hidden: true}, {Execution: execution(7, v1.ExecutionStatus_EXECUTION_STATUS_FAILED)},
		{Execution: execution(4, queued), Holdings: []*v1.Holding{{Reason: why(v1.ReasonCode_REASON_CODE_WAITS_FOR_DEVICES, 1)}}},
	}})
	reply(s, bus.GetHolding, &v1.GetHoldingReply{Waiting: 266, PerMinute: 600, ThingWaits: true, BeforeIt: 17, Holdings: []*v1.Holding{
		{Reason: why(v1.ReasonCode_REASON_CODE_WAITS_FOR_PACE, 600, noon+30_000), UntilMs: noon + 30_000}, {Reason: why(v1.ReasonCode_REASON_CODE_WAITS_FOR_DEVICES, 3)}}})
	s.want(s.run("explain", "thing", "press-07", "--job", "fw-1"), exitDone, `
Now:
  execution 1 is IN_PROGRESS: the device is at work on it; it times out at 2026-11-25 12:01:00Z
  execution 2 is QUEUED and not shown to the device: the maintenance window is closed until 2026-11-25 12:01:30Z
  execution 2 is QUEUED and not shown to the device: 2 executions of other jobs stand before it
  execution 3 is QUEUED and next: the device can take it
  execution 5 is IN_PROGRESS: the device is at work on it
  execution 6 is QUEUED and not shown to the device
  execution 7 is FAILED
  execution 4 is QUEUED and next: the device can take it
  it waits for its release, 17 things are before it: the pace of 600 things a minute lets the next one go at 2026-11-25 12:00:30Z; 3 released things have not ended yet
`)
	s.want(s.run("explain", "job", "fw-1"), exitDone, `
Now:
  266 things wait to be released: the pace of 600 things a minute lets the next one go at 2026-11-25 12:00:30Z
  3 released things have not ended yet
`)
}

func TestExplainOfAJobThatNeverCameToTheThingSaysWhy(t *testing.T) {
	job := func(status v1.JobStatus, selection v1.TargetSelection, finished bool) *v1.DescribeJobReply {
		r := jobAt(status, false)
		r.Job.TargetSelection, r.Counts.SelectionFinished = selection, finished
		if !finished {
			r.Counts.Selected = 0
		}
		return r
	}
	snapshot, continuous := v1.TargetSelection_TARGET_SELECTION_SNAPSHOT, v1.TargetSelection_TARGET_SELECTION_CONTINUOUS
	for want, r := range map[string]*v1.DescribeJobReply{
		"fw-1 has not come to other: it has not started":                                                                  job(v1.JobStatus_JOB_STATUS_SCHEDULED, snapshot, false),
		"fw-1 has not come to other yet: the things in group/press-line are still":                                        job(v1.JobStatus_JOB_STATUS_IN_PROGRESS, snapshot, false),
		"fw-1 never came to other: it was in none of group/press-line when they were looked through, and who joins later": job(v1.JobStatus_JOB_STATUS_COMPLETED, snapshot, true),
		"and joined none since": job(v1.JobStatus_JOB_STATUS_IN_PROGRESS, continuous, true),
	} {
		s := newSystem(t)
		anAbortedJob().serve(s)
		reply(s, bus.DescribeJob, r)
		reply(s, bus.DescribeThing, &v1.DescribeThingReply{Thing: aThing()})
		s.want(s.run("explain", "thing", "other", "--job", "fw-1"), exitDone, want, "cannot be told") // GetThingHolding is not served
	}
	s := newSystem(t)
	anAbortedJob().serve(s)
	answer(s, bus.DescribeThing, func(*v1.DescribeThing) (*v1.DescribeThingReply, error) {
		return nil, refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "thingName", "there is no thing other")
	})
	s.want(s.run("explain", "thing", "other"), exitRefused, "NOT_FOUND")
}

// What is heard of one log before another log's earlier events is told behind them; what is of one moment, as it came.
func TestExplainJobTellsByTime(t *testing.T) {
	s := newSystem(t)
	press := []*v1.ThingRef{pressRef()}
	released := func(number uint64, second int64) *v1.RecordedEvent {
		e := entry(id.RolloutLog, number, second, &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: theJob, Things: press}}}, why(v1.ReasonCode_REASON_CODE_PACE, 60, 0))
		e.Things = 1
		return e
	}
	left := entry(id.TargetingLog, 20, 11, &v1.Event{Event: &v1.Event_ThingsDeselected{ThingsDeselected: &v1.ThingsDeselected{Job: theJob, Things: press}}}, why(v1.ReasonCode_REASON_CODE_LEFT_TARGETS))
	left.Things = 1
	canceled := entry(id.JobLog, 9, 12, &v1.Event{Event: &v1.Event_JobCancelStarted{JobCancelStarted: &v1.JobCancelStarted{Job: theJob}}}, nil)
	stopped := entry(id.RolloutLog, 22, 12, &v1.Event{Event: &v1.Event_JobStopped{JobStopped: &v1.JobStopped{Job: theJob}}}, nil)
	record := append(anAbortedJob()[2:7:7], left, released(20, 8), released(21, 9), canceled, stopped, released(19, 7))
	record.serve(s)
	reply(s, bus.DescribeJob, jobAt(v1.JobStatus_JOB_STATUS_CANCELED, true))
	reply(s, bus.GetHolding, &v1.GetHoldingReply{})
	s.want(s.run("explain", "job", "fw-1"), exitDone, `
2026-11-25 12:00:03Z  it has 2,000 things  (targeting@11)
2026-11-25 12:00:07Z  released 1 thing, by the pace of 60 things a minute  (rollout@19)
2026-11-25 12:00:08Z  released 2 things in 2 steps between 2026-11-25 12:00:08Z and 2026-11-25 12:00:09Z, by the pace of 60 things a minute  (rollout@20 to rollout@21)
2026-11-25 12:00:11Z  1 thing left its targets  (targeting@20)
2026-11-25 12:00:12Z  it was canceled by client  (job@9)
2026-11-25 12:00:12Z  from here on nothing more of it is released  (rollout@22)
`)
}

// 100,000 releases and a year of nightly windows are a few sentences.
func TestExplainJobStaysReadable(t *testing.T) {
	s := newSystem(t)
	record := anAbortedJob()[2:7:7]
	for n := uint64(0); n < 100_000; n++ {
		e := entry(id.RolloutLog, 100+n/2, int64(n), &v1.Event{Event: &v1.Event_ExecutionsReleased{ExecutionsReleased: &v1.ExecutionsReleased{Job: theJob}}}, why(v1.ReasonCode_REASON_CODE_PACE, 60, 0))
		e.Things = 10
		record = append(record, e)
		if n%300 == 0 {
			record = append(record, entry(id.JobLog, 100+n, int64(n), &v1.Event{Event: &v1.Event_JobWindowOpened{JobWindowOpened: &v1.JobWindowOpened{Job: theJob, ClosesAtMs: noon}}}, nil),
				entry(id.JobLog, 101+n, int64(n), &v1.Event{Event: &v1.Event_JobWindowClosed{JobWindowClosed: &v1.JobWindowClosed{Job: theJob, OpensAtMs: noon}}}, nil))
		}
	}
	record.serve(s)
	reply(s, bus.DescribeJob, jobAt(v1.JobStatus_JOB_STATUS_IN_PROGRESS, true))
	reply(s, bus.GetHolding, &v1.GetHoldingReply{})
	r := s.run("explain", "job", "fw-1")
	s.want(r, exitDone, "released 1,000,000 things in 50,000 steps between 2026-11-25 12:00:00Z and 2026-11-26 15:46:39Z, by the pace of 60 things a minute  (rollout@100 to rollout@50099)",
		"its maintenance window opened 334 times; the last one closed at")
	if lines := strings.Count(r.out, "\n"); lines > 10 {
		t.Errorf("%d lines\n%s", lines, r.out)
	}
}

// Each event of the contract is told in words, or is known to be told by another.
func TestEveryEventIsToldOrKnown(t *testing.T) {
	silent := strings.Fields(`LogOpened Owned InputQuarantined ForeignNamed JobTemplateCreated JobTemplateDeleted ResourceTagged ResourceUntagged EventsConfigured
		GroupCreated GroupUpdated GroupDeleted ThingTypeCreated ThingTypeDeprecated ThingTypeDeleted RegistryTagged RegistryUntagged
		JobOpened ThingsWaiting WaitingComplete Observed JobClosed JobChanged WindowOpened WindowClosed ThingsJoined ThingsWithdrawn JobErased ThingRemoved
		JobLearned JobChangeLearned WindowLearned ErasureLearned StopLearned WithdrawalLearned ChangesMatched HomeSettled ThingForgotten JobSwept DeletionsForgotten`)
	known := map[string]bool{}
	for _, name := range silent {
		known[name] = true
	}
	oneof := (&v1.Event{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	for i := range oneof.Len() {
		event := &v1.Event{}
		event.ProtoReflect().Mutable(oneof.Get(i))
		e := &v1.RecordedEvent{Position: at(id.JobLog, 1), Entry: &v1.Entry{Event: event}}
		of := new(jobTeller)
		of.hear(e)
		told := len(of.story()) > 0
		thing := newThingTeller("t", 0)
		thing.tell(e)
		thing.endReports()
		told = told || len(thing.told) > 0
		if name := event.Type(); told == known[name] && name != "JobDrained" { // of which some phases are told
			t.Errorf("%s: told %v, listed as silent %v", name, told, known[name])
		}
	}
}
