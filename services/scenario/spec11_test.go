package scenario

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

// The conformance checklist of specification §11, row by row, through the bus's commands and the devices' topics, on a
// virtual clock. Each says what was broken to see it turn red.

const (
	invalidRequest = v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST
	notFound       = v1.RefusalCode_REFUSAL_CODE_NOT_FOUND
	illegal        = v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION
	limitExceeded  = v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED
	mismatch       = v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH
)

// Row 1: create → notify + notify-next; second job → notify only; start of head → silence; finish → accepted, notify,
// notify-next.
//
// Broken: two ranks were the same execution only in the same status (execution/state.go); the start of the head told
// notify-next.
func TestSpec11_01_WhatADeviceIsToldAndWhen(t *testing.T) {
	r := newRun(t)
	r.things("press-07")
	r.create("one", `"targets":["thing/press-07"]`)
	told := r.hears("press-07", "notify", "notify-next")
	told[1].is("execution.jobId", "one")
	r.create("two", `"targets":["thing/press-07"]`)
	r.hears("press-07", "notify")
	r.accepted("press-07", "start-next", `{}`)
	r.accepted("press-07", "one/update", `{"status":"IN_PROGRESS","statusDetails":{"step":"1"}}`)
	r.hears("press-07")
	r.accepted("press-07", "one/update", `{"status":"SUCCEEDED"}`).keys("timestamp")
	told = r.hears("press-07", "notify", "notify-next")
	told[1].is("execution.jobId", "two")
	r.accepted("press-07", "two/update", `{"status":"FAILED"}`)
	r.hears("press-07", "notify", "notify-next")
	r.rejected("InvalidStateTransition", "press-07", "two/update", `{"status":"SUCCEEDED"}`)
	r.hears("press-07")
}

// Row 2: start of the second job by update while the first is QUEUED → notify-next only.
//
// Broken: the order of pending executions did not put IN_PROGRESS before QUEUED; nothing was told. And: the list was told
// whether or not its members changed.
func TestSpec11_02_AStartThatTakesTheHead(t *testing.T) {
	r := newRun(t)
	r.things("press-07")
	r.create("one", `"targets":["thing/press-07"]`)
	r.advance(1000)
	r.create("two", `"targets":["thing/press-07"]`)
	r.create("three", `"targets":["thing/press-07"]`)
	r.hears("press-07", "notify", "notify-next", "notify", "notify")
	r.accepted("press-07", "two/update", `{"status":"IN_PROGRESS"}`)
	told := r.hears("press-07", "notify-next")
	told[0].is("execution.jobId", "two")
	told[0].is("execution.status", "IN_PROGRESS")
	r.accepted("press-07", "three/update", `{"status":"IN_PROGRESS"}`)
	r.hears("press-07")
}

// Row 3: get/accepted always has both arrays; notify omits empty keys; idle notify-next has only timestamp.
//
// Broken: appendNotify wrote "QUEUED":[] for an empty list.
func TestSpec11_03_EmptyLists(t *testing.T) {
	r := newRun(t)
	r.things("press-07")
	r.accepted("press-07", "get", ``).keys("inProgressJobs", "queuedJobs", "timestamp")
	r.create("one", `"targets":["thing/press-07"]`)
	told := r.hears("press-07", "notify", "notify-next")
	if told[0].at("jobs.IN_PROGRESS") != nil || told[0].at("jobs.QUEUED") == nil {
		t.Errorf("notify: %s", told[0].text)
	}
	r.accepted("press-07", "get", `{}`).keys("inProgressJobs", "queuedJobs", "timestamp")
	r.accepted("press-07", "one/update", `{"status":"SUCCEEDED"}`)
	told = r.hears("press-07", "notify", "notify-next")
	if !strings.HasSuffix(told[0].text, `"jobs":{}}`) {
		t.Errorf("notify: %s", told[0].text)
	}
	told[1].keys("timestamp")
}

// Row 4: start-next twice → same version, details of the first call.
//
// Broken: start-next of an execution in progress took the details of the request.
func TestSpec11_04_StartNextTwice(t *testing.T) {
	r := newRun(t)
	r.things("press-07")
	r.create("one", `"targets":["thing/press-07"]`)
	first := r.accepted("press-07", "start-next", `{"statusDetails":{"phase":"accepted"}}`)
	first.is("execution.versionNumber", 2)
	r.advance(60_000)
	again := r.accepted("press-07", "start-next", `{"statusDetails":{"phase":"other"}}`)
	again.is("execution.versionNumber", 2)
	again.is("execution.statusDetails.phase", "accepted")
	again.is("execution.startedAt", first.at("execution.startedAt"))
}

// Row 5: stale expectedVersion (number and string) → VersionMismatch with state; HTTP 409.
//
// Broken: report did not check the version. And: over HTTP a mismatch was an InvalidRequestException.
func TestSpec11_05_AStaleVersion(t *testing.T) {
	r := newRun(t)
	r.things("press-07")
	r.create("one", `"targets":["thing/press-07"]`)
	r.accepted("press-07", "start-next", `{}`)
	for _, stale := range []string{`1`, `"1"`, `3`} {
		a := r.rejected("VersionMismatch", "press-07", "one/update", `{"status":"SUCCEEDED","expectedVersion":`+stale+`}`)
		a.is("executionState.status", "IN_PROGRESS")
		a.is("executionState.versionNumber", 2)
		a = r.http(409, "InvalidStateTransitionException", "POST", "/things/press-07/jobs/one", `{"status":"SUCCEEDED","expectedVersion":`+stale+`}`)
		a.is("message", "Expected version "+strings.Trim(stale, `"`)+" but found version 2")
		a.keys("message")
	}
	r.rejected("InvalidRequest", "press-07", "one/update", `{"status":"SUCCEEDED","expectedVersion":"two"}`)
	r.http(400, "InvalidRequestException", "POST", "/things/press-07/jobs/one", `{"status":"SUCCEEDED","expectedVersion":"two"}`)
	r.http(200, "", "POST", "/things/press-07/jobs/one", `{"status":"IN_PROGRESS","expectedVersion":"2"}`).keys()
	r.accepted("press-07", "one/update", `{"status":"SUCCEEDED","expectedVersion":"3"}`)
}

// Row 6: update after terminal → InvalidStateTransition with state, HTTP 409; describe → TerminalStateReached, HTTP 410.
//
// Broken: report took what had ended for pending. And: over HTTP a describe of what had ended was not found.
func TestSpec11_06_AfterTheEnd(t *testing.T) {
	r := newRun(t)
	r.things("press-07")
	r.create("one", `"targets":["thing/press-07"]`)
	r.accepted("press-07", "one/update", `{"status":"SUCCEEDED","statusDetails":{"rc":"0"}}`)
	for _, status := range []string{"IN_PROGRESS", "FAILED", "REJECTED"} {
		a := r.rejected("InvalidStateTransition", "press-07", "one/update", `{"status":"`+status+`"}`)
		a.is("executionState.status", "SUCCEEDED")
		a.is("executionState.statusDetails.rc", "0")
		a.is("executionState.versionNumber", 2)
		r.http(409, "InvalidStateTransitionException", "POST", "/things/press-07/jobs/one", `{"status":"`+status+`"}`).
			is("message", "an execution that is SUCCEEDED cannot become "+status)
	}
	r.http(410, "TerminalStateException", "GET", "/things/press-07/jobs/one", ``).is("message", "the execution has ended: it is SUCCEEDED")
	r.http(200, "", "GET", "/things/press-07/jobs/$next", ``).keys()
	a := r.rejected("TerminalStateReached", "press-07", "one/get", `{}`)
	if a.at("executionState") != nil {
		t.Errorf("describe of what has ended tells a state: %s", a.text)
	}
}

// Row 7: QUEUED → SUCCEEDED/FAILED/REJECTED accepted; QUEUED → TIMED_OUT from a device refused.
//
// Broken: TIMED_OUT was among the statuses that a device may report.
func TestSpec11_07_StraightFromQueued(t *testing.T) {
	r := newRun(t)
	r.things("a", "b", "c", "d")
	r.create("one", `"targets":["thing/a","thing/b","thing/c","thing/d"]`)
	r.accepted("a", "one/update", `{"status":"SUCCEEDED"}`)
	r.accepted("b", "one/update", `{"status":"FAILED"}`)
	r.accepted("c", "one/update", `{"status":"REJECTED"}`)
	r.rejected("InvalidRequest", "d", "one/update", `{"status":"TIMED_OUT"}`)
	r.counts("one", "QUEUED 1, SUCCEEDED 1, FAILED 1, REJECTED 1")
}

// Row 8: clientToken echoed in accepted and rejected; absent token → key absent.
//
// Broken: appendAccepted wrote an empty token where there was none.
func TestSpec11_08_ClientTokens(t *testing.T) {
	r := newRun(t)
	r.things("press-07")
	r.create("one", `"targets":["thing/press-07"]`)
	for _, op := range []string{"get", "$next/get", "one/get", "start-next"} {
		r.accepted("press-07", op, `{"clientToken":"c-1"}`).is("clientToken", "c-1")
		if a := r.accepted("press-07", op, `{}`); a.at("clientToken") != nil {
			t.Errorf("%s without a token: %s", op, a.text)
		}
	}
	r.accepted("press-07", "one/update", `{"status":"IN_PROGRESS","clientToken":"c-2"}`).is("clientToken", "c-2")
	r.rejected("InvalidRequest", "press-07", "one/update", `{"clientToken":"c-3"}`).is("clientToken", "c-3")
	r.rejected("VersionMismatch", "press-07", "one/update", `{"status":"FAILED","expectedVersion":9,"clientToken":"c-4"}`).is("clientToken", "c-4")
	r.rejected("ResourceNotFound", "press-07", "none/get", `{"clientToken":"c-5"}`).is("clientToken", "c-5")
	if a := r.rejected("ResourceNotFound", "press-07", "none/get", `{}`); a.at("clientToken") != nil {
		t.Errorf("rejected without a token: %s", a.text)
	}
}

// Row 9: jobDocument is an object over MQTT, and over HTTP a string that holds it; times are whole seconds on both.
//
// Broken: over HTTP the document was appended as it is over MQTT. And: times over HTTP were in milliseconds.
func TestSpec11_09_DocumentsAndTimesOnBothPlanes(t *testing.T) {
	r := newRun(t)
	r.things("press-07")
	r.advance(417) // so that no time is a whole second
	r.bus("job create", `{"jobId":"one","targets":["thing/press-07"],"document":{"do":"one","n":[1.50,"\"é\""]}}`)
	held := `{"do":"one","n":[1.50,"\"é\""]}`
	times := func(a answer, path string, names ...string) {
		t.Helper()
		for _, name := range names {
			at, ok := a.at(path + name).(float64)
			if now := r.s.now / 1000; !ok || at != math.Trunc(at) || int64(at) < now-1 || int64(at) > now {
				t.Errorf("%s is %v at %d s: %s", path+name, a.at(path+name), now, a.text)
			}
		}
	}
	document := func(a answer, want any) {
		t.Helper()
		if got := a.at("execution.jobDocument"); !reflect.DeepEqual(got, want) {
			t.Errorf("the document is %v, not %v", got, want)
		}
	}
	var object any
	if err := json.Unmarshal([]byte(held), &object); err != nil {
		t.Fatal(err)
	}
	for _, job := range []string{"$next", "one"} {
		over := r.accepted("press-07", job+"/get", `{}`)
		document(over, object)
		times(over, "execution.", "queuedAt", "lastUpdatedAt")
		times(over, "", "timestamp")
		http := r.http(200, "", "GET", "/things/press-07/jobs/"+job, ``)
		http.keys("execution")
		http.is("execution.thingName", "press-07")
		times(http, "execution.", "queuedAt", "lastUpdatedAt")
		text, _ := http.at("execution.jobDocument").(string)
		var inside any
		if err := json.Unmarshal([]byte(text), &inside); err != nil || !reflect.DeepEqual(inside, object) {
			t.Errorf("over HTTP the document is %v: %s", text, http.text)
		}
	}
	started := r.http(200, "", "PUT", "/things/press-07/jobs/$next", `{}`)
	times(started, "execution.", "queuedAt", "startedAt", "lastUpdatedAt")
	started.is("execution.versionNumber", 2)
	updated := r.http(200, "", "POST", "/things/press-07/jobs/one", `{"status":"SUCCEEDED","includeJobDocument":true}`)
	updated.keys("jobDocument")
	updated.is("jobDocument", started.at("execution.jobDocument"))
}

// Row 10: non-force cancel leaves IN_PROGRESS running and reportable; force rejects later updates.
//
// Broken: rollout made a stop by force of every cancel.
func TestSpec11_10_Cancels(t *testing.T) {
	r := newRun(t)
	r.things("a", "b", "c")
	r.create("one", `"targets":["thing/a","thing/b","thing/c"]`)
	r.accepted("a", "start-next", `{}`)
	r.accepted("b", "start-next", `{}`)
	r.bus("job cancel", `{"jobId":"one"}`)
	r.status("one", "CANCELED")
	r.accepted("a", "one/update", `{"status":"SUCCEEDED"}`)
	r.rejected("InvalidStateTransition", "c", "one/update", `{"status":"IN_PROGRESS"}`)
	r.bus("job cancel", `{"jobId":"one","force":true}`)
	r.rejected("InvalidStateTransition", "b", "one/update", `{"status":"SUCCEEDED"}`).is("executionState.status", "CANCELED")
	r.advance(2000)
	r.counts("one", "SUCCEEDED 1, CANCELED 2")
	if !r.job("one").GetJob().GetForceCanceled() {
		t.Error("forceCanceled is not told")
	}
}

// The rows that are shown elsewhere, and where.
func TestSpec11_Elsewhere(t *testing.T) {
	for row, where := range map[int]string{
		9:  "fractional seconds on the control plane: with its front",
		17: "presigned URLs: with the placeholders of documents",
		18: "unmodified clients: services/fronts/device (exchanges as they were recorded), services/cli (MQTT)",
		20: "event topics: with the front that publishes them",
	} {
		t.Log(fmt.Sprintf("row %d", row), where)
	}
}
