package cli

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// keeps answers what is published to the inbox as its stream would, and then with an outcome, if there is one.
func (s *system) keeps(subject, ack string, outcome *v1.Outcome) *nats.Msg {
	s.t.Helper()
	got := new(nats.Msg)
	_, err := s.nc.Subscribe(subject, func(m *nats.Msg) {
		*got = *m
		_ = m.Respond([]byte(ack))
		if outcome == nil {
			return
		}
		outcome.CommandId = m.Header.Get("Drover-Command-Id")
		data, _ := protojson.Marshal(outcome)
		_ = s.nc.PublishMsg(&nats.Msg{Subject: bus.OutcomeSubject(outcome.CommandId), Data: data, Header: nats.Header{"Content-Type": {"application/json"}}})
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
	return got
}

func TestInboxSendSaysWhatIsKept(t *testing.T) {
	s := newSystem(t)
	got := s.keeps("drover.inbox.job.cancel", `{"stream":"inbox","seq":7}`, nil)
	s.want(s.run("inbox", "send", "job.cancel", "--body", `{"jobId":"fw-1"}`, "--command-id", "it's one"), exitDone, "kept as 7", `drover inbox outcome 'it'\''s one'`)
	if string(got.Data) != `{"jobId":"fw-1"}` || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Drover-Command-Id") != "it's one" {
		t.Errorf("published %s %v", got.Data, got.Header)
	}
	s.want(s.runWith(`{"jobId":"fw-2"}`, "inbox", "send", "job.cancel", "--body", "-", "-o", "json"), exitDone, `"number": 7`, `"commandId": "`)
	if string(got.Data) != `{"jobId":"fw-2"}` || got.Header.Get("Drover-Command-Id") == "" {
		t.Errorf("published %s %v", got.Data, got.Header)
	}
}

func TestInboxSendWaitsForTheOutcome(t *testing.T) {
	s := newSystem(t)
	s.keeps("drover.inbox.job.cancel", `{"stream":"inbox","seq":7}`, &v1.Outcome{Operation: "job cancel", ReplyJson: `{"position":{"number":"3"}}`, AtMs: 5})
	s.keeps("drover.inbox.job.create", `{"stream":"inbox","seq":8}`, &v1.Outcome{Operation: "job create", AtMs: 5,
		Refusal: v1.Refuse(v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS, "jobId", "is taken")})
	s.want(s.run("inbox", "send", "job.cancel", "--body", `{"jobId":"fw-1"}`, "--wait"), exitDone, "accepted", `{"position":{"number":"3"}}`)
	s.want(s.run("inbox", "send", "job.cancel", "--body", `{"jobId":"fw-1"}`, "--wait", "-o", "json"), exitDone, `"reply": {`, `"number": "3"`)
	s.want(s.run("inbox", "send", "job.create", "--body", `{"jobId":"fw-1"}`, "--wait"), exitRefused, "drover: jobId: is taken (ALREADY_EXISTS)")
	s.want(s.run("inbox", "send", "job.create", "--body", `{"jobId":"fw-1"}`, "--wait", "-o", "json"), exitRefused, `"code": "ALREADY_EXISTS"`)
}

func TestInboxSendRefusesWhatCanBeSeenToBeWrong(t *testing.T) {
	s := newSystem(t) // it keeps nothing
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{exitUsage, "--body is missing", []string{"job.cancel"}},
		{exitUsage, "no such file", []string{"job.cancel", "--body", "@/nothing"}},
		{exitRefused, `"job.watch" is no durable command; there are job.create`, []string{"job.watch", "--body", "{}"}},
		{exitRefused, "not the JSON of a CancelJob", []string{"job.cancel", "--body", "{"}},
		{exitRefused, `unknown field "job"`, []string{"job.cancel", "--body", `{"job":"fw-1"}`}},
		{exitRefused, "1 to 64 printable", []string{"job.cancel", "--body", `{}`, "--command-id", "é"}},
		{exitRefused, "1 to 64 printable", []string{"job.cancel", "--body", `{}`, "--command-id", "é", "--wait"}},
		{exitUnavailable, "nothing keeps durable commands", []string{"job.cancel", "--body", `{"jobId":"fw-1"}`}},
	} {
		s.want(s.run(append([]string{"inbox", "send"}, c.args...)...), c.status, c.want)
	}
	for ack, status := range map[string]int{
		`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"inbox","seq":0}`:               exitUnavailable,
		`{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"},"stream":"inbox","seq":0}`: exitRefused,
		`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}}`:                      exitUnavailable,
		`+OK`:                exitFailed,
		`{"stream":"inbox"}`: exitFailed,
	} {
		s := newSystem(t)
		s.keeps("drover.inbox.job.cancel", ack, nil)
		s.want(s.run("inbox", "send", "job.cancel", "--body", `{"jobId":"fw-1"}`), status)
	}
	hangs := newSystem(t)
	if _, err := hangs.nc.SubscribeSync("drover.inbox.job.cancel"); err != nil || hangs.nc.Flush() != nil {
		t.Fatal(err)
	}
	hangs.want(hangs.run("inbox", "send", "job.cancel", "--body", `{"jobId":"fw-1"}`, "--timeout", "100ms", "--command-id", "c1"), exitUnknown, "OUTCOME_UNKNOWN", "--command-id c1")
}

func TestInboxOutcome(t *testing.T) {
	s := newSystem(t)
	answer(s, bus.GetOutcome, func(q *v1.GetOutcome) (*v1.Outcome, error) {
		switch q.GetCommandId() {
		case "yes":
			return &v1.Outcome{CommandId: "yes", Operation: "job create", ReplyJson: `{"job":"65536"}`, AtMs: 1000}, nil
		case "no":
			return &v1.Outcome{CommandId: "no", Operation: "job create", AtMs: 1000, Refusal: v1.Refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "targets", "unknown")}, nil
		}
		return nil, refuse(v1.RefusalCode_REFUSAL_CODE_NOT_FOUND, "commandId", "no outcome")
	})
	s.want(s.run("inbox", "outcome", "yes"), exitDone, "accepted", "job create", `{"job":"65536"}`, "1970-01-01")
	s.want(s.run("inbox", "outcome", "yes", "-o", "json"), exitDone, `"commandId": "yes"`, `"job": "65536"`, `"at": "1970-01-01T00:00:01.000Z"`)
	s.want(s.run("inbox", "outcome", "no"), exitDone, "refused", "targets: unknown (NOT_FOUND)")
	s.want(s.run("inbox", "outcome", "no", "-o", "json"), exitDone, `"code": "NOT_FOUND"`, `"field": "targets"`)
	s.want(s.run("inbox", "outcome", "other"), exitRefused, "NOT_FOUND")
	s.want(s.run("inbox", "outcome", "é"), exitRefused, "INVALID_REQUEST")
}

func TestThePoisonQueueIsListedRetriedAndDropped(t *testing.T) {
	s := newSystem(t)
	answer(s, bus.ListPoison, func(q *v1.ListPoison) (*v1.ListPoisonReply, error) {
		if q.GetPage().GetToken() == "1" {
			return &v1.ListPoisonReply{Messages: []*v1.PoisonMessage{{Number: 2, Subject: "drover.inbox.x.y", Reason: "why", Data: []byte("\xff"), AtMs: 1000}}}, nil
		}
		return &v1.ListPoisonReply{NextToken: "1", Messages: []*v1.PoisonMessage{
			{Number: 1, Subject: "drover.inbox.job.create", CommandId: "c1", Reason: "not JSON", Data: []byte("{"), ContentType: "application/json", AtMs: 1000}}}, nil
	})
	s.want(s.run("inbox", "list"), exitDone, "NUMBER", "job.create", "c1", "not JSON", "x.y")
	s.want(s.run("inbox", "list", "-o", "json"), exitDone, `"messages": [`, `"body":"{"`, `"bodyBase64":"/w=="`, `"contentType":"application/json"`)
	reply(s, bus.RetryPoison, &v1.RetryPoisonReply{Retried: 2})
	reply(s, bus.DropPoison, &v1.DropPoisonReply{Dropped: 1})
	s.want(s.run("inbox", "retry", "3", "4"), exitDone, "published 2 commands again")
	s.wantRequest(&v1.RetryPoison{Numbers: []uint64{3, 4}})
	s.want(s.run("inbox", "retry", "--all", "-o", "json"), exitDone, `"retried": 2`)
	s.wantRequest(&v1.RetryPoison{All: true})
	s.want(s.run("inbox", "drop", "3"), exitDone, "dropped 1 command")
	s.wantRequest(&v1.DropPoison{Numbers: []uint64{3}})
	s.want(s.run("inbox", "drop", "--all", "-o", "json"), exitDone, `"dropped": 1`)
	for _, verb := range []string{"retry", "drop"} {
		s.want(s.run("inbox", verb), exitUsage, "--all")
		s.want(s.run("inbox", verb, "1", "--all"), exitUsage, "--all")
		for _, n := range []string{"0", "x", "1.5", fmt.Sprint(uint64(1) << 63)} {
			s.want(s.run("inbox", verb, n), exitRefused, "INVALID_REQUEST", "drover inbox list")
		}
	}
}
