package fleet

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/loadtest/agent"
)

func TestRequestsAreSpelledAsTheSpecificationSays(t *testing.T) {
	for _, test := range []struct {
		request        agent.Request
		topic, payload string
	}{
		{agent.Request{Op: agent.StartNext, Token: "c1"}, "start-next", `{"clientToken":"c1"}`},
		{agent.Request{Op: agent.Update, Job: "fw", Number: 1, Status: agent.InProgress, ExpectedVersion: 2, Details: map[string]string{"phase": "flash"}, Token: "c2"},
			"fw/update", `{"status":"IN_PROGRESS","statusDetails":{"phase":"flash"},"expectedVersion":2,"executionNumber":1,"includeJobExecutionState":true,"clientToken":"c2"}`},
	} {
		topic, payload := encode(test.request)
		if topic != test.topic || string(payload) != test.payload {
			t.Errorf("%+v:\n got %s %s\nwant %s %s", test.request, topic, payload, test.topic, test.payload)
		}
	}
}

// The example exchange of specification §10, and what differs from it by one thing.
var messages = []struct {
	topic, payload string
	want           string // a part of the error; empty: it is well formed
}{
	{"notify-next", `{"timestamp":1795000002,"execution":{"jobId":"fw","status":"QUEUED","queuedAt":1795000001,"lastUpdatedAt":1795000001,"versionNumber":1,"executionNumber":1,"jobDocument":{"v":"2.4.0"}}}`, ""},
	{"notify-next", `{"timestamp":1795000160}`, ""},
	{"start-next/accepted", `{"clientToken":"c1","timestamp":1795000010,"execution":{"jobId":"fw","thingName":"press-07","status":"IN_PROGRESS","statusDetails":{"phase":"accepted"},"queuedAt":1795000001,"startedAt":1795000010,"lastUpdatedAt":1795000010,"versionNumber":2,"executionNumber":1,"approximateSecondsBeforeTimedOut":900,"jobDocument":{"v":"2.4.0"}}}`, ""},
	{"start-next/accepted", `{"clientToken":"c5","timestamp":1795000170}`, ""},
	{"fw/update/accepted", `{"clientToken":"c2","timestamp":1795000100,"executionState":{"status":"IN_PROGRESS","statusDetails":{"phase":"flash"},"versionNumber":3}}`, ""},
	{"fw/update/rejected", `{"code":"VersionMismatch","message":"Expected version 2 but found version 3","clientToken":"c3","timestamp":1795000150,"executionState":{"status":"IN_PROGRESS","versionNumber":3}}`, ""},
	{"fw/update/rejected", `{"code":"ResourceNotFound","message":"no such job","clientToken":"c3","timestamp":1795000150}`, ""},

	{"notify-next", `{"timestamp":1795000160000}`, "seconds"},
	{"notify-next", `{"timestamp":1795000160.5}`, "1795000160.5"},
	{"notify-next", `{}`, "timestamp"},
	{"notify-next", `{"timestamp":1795000160}{}`, "follows"},
	{"notify-next", `{"timestamp":1795000160,"jobs":{}}`, "unknown field"},
	{"notify-next", `{"timestamp":1795000160,"execution":{}}`, "jobId"},
	{"notify-next", `{"timestamp":1795000160,"execution":{"jobId":"fw","status":"SUCCEEDED","queuedAt":1795000001,"lastUpdatedAt":1795000001,"versionNumber":1,"executionNumber":1}}`, "SUCCEEDED"},
	{"notify-next", `{"timestamp":1795000160,"execution":{"jobId":"fw","status":"QUEUED","queuedAt":1795000001,"startedAt":1795000001,"lastUpdatedAt":1795000001,"versionNumber":1,"executionNumber":1}}`, "startedAt"},
	{"notify-next", `{"timestamp":1795000160,"execution":{"jobId":"fw","thingName":"other","status":"QUEUED","queuedAt":1795000001,"lastUpdatedAt":1795000001,"versionNumber":1,"executionNumber":1}}`, "thing"},
	{"notify-next", `{"timestamp":1795000160,"execution":{"jobId":"fw","status":"QUEUED","queuedAt":1795000001,"lastUpdatedAt":1795000001,"versionNumber":1,"executionNumber":1,"jobDocument":"{}"}}`, "object"},
	{"start-next/accepted", `{"timestamp":1795000160}`, "clientToken"},
	{"start-next/accepted", `{"clientToken":"c","timestamp":1795000160,"code":"InternalError"}`, "code"},
	{"start-next/else", `{"clientToken":"c","timestamp":1795000160}`, "neither"},
	{"start-next/accepted", `{"clientToken":"c","timestamp":1795000160,"execution":{"jobId":"fw","status":"IN_PROGRESS","queuedAt":1795000001,"startedAt":1795000001,"lastUpdatedAt":1795000001,"versionNumber":2,"executionNumber":1}}`, "jobDocument"},
	{"fw/update/accepted", `{"clientToken":"c","timestamp":1795000160}`, "executionState"},
	{"fw/update/rejected", `{"clientToken":"c","timestamp":1795000160}`, "code"},
	{"fw/update/rejected", `{"code":"InvalidStateTransition","message":"no","clientToken":"c","timestamp":1795000160}`, "executionState"},
	{"nonsense", `{"timestamp":1795000160}`, "topic"},
	{"notify-next", `[]`, "array"},
	{"notify-next", ``, "EOF"},
}

func TestMessagesAreHeldAgainstTheSpecification(t *testing.T) {
	for _, test := range messages {
		_, err := decode("press-07", test.topic, []byte(test.payload))
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s %s:\n got %v, want %q", test.topic, test.payload, err, test.want)
		}
	}
}

// Whatever the service sends: what is let through has what an agent relies on.
func FuzzDecode(f *testing.F) {
	for _, m := range messages {
		f.Add(m.topic, []byte(m.payload))
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		m, err := decode("press-07", topic, payload)
		if err != nil {
			return
		}
		for _, e := range []*agent.Execution{m.head, m.answer.Execution} {
			if e != nil && (e.Job == "" || e.Number == 0 || e.Version == 0 || e.Status.Ended()) {
				t.Fatalf("%s %s: let through with %+v", topic, payload, e)
			}
		}
		if !m.notice && m.answer.Token == "" || m.notice && m.answer != (agent.Answer{}) {
			t.Fatalf("%s %s: let through as %+v", topic, payload, m)
		}
	})
}
