package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/proto/id"
	"github.com/droverhq/drover/services/bus"
)

func thingTarget(name string) *v1.Target { return &v1.Target{Target: &v1.Target_Thing{Thing: name}} }
func groupTarget(name string) *v1.Target { return &v1.Target{Target: &v1.Target_Group{Group: name}} }

func TestJobCreateSendsWhatWasAsked(t *testing.T) {
	s := newSystem(t)
	reply(s, bus.CreateJob, &v1.CreateJobReply{Position: at(id.JobLog, 7), Job: 458752})
	file := filepath.Join(t.TempDir(), "doc.json")
	if err := os.WriteFile(file, []byte(" {\"a\": 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	body := filepath.Join(t.TempDir(), "job.json")
	text := `{"jobId":"fw-2","targets":["arn:aws:iot:eu-central-1:1:thinggroup/g1"],"document":"{}","description":"d","targetSelection":"SNAPSHOT",
		"jobExecutionsRolloutConfig":{"maximumPerMinute":50},"timeoutConfig":{"inProgressTimeoutInMinutes":5}}`
	if err := os.WriteFile(body, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile := &v1.CreateJob{
		JobId: "fw-2", Targets: []*v1.Target{groupTarget("g1")}, Document: []byte("{}"), Description: "d",
		TargetSelection: v1.TargetSelection_TARGET_SELECTION_SNAPSHOT,
		Rollout:         &v1.RolloutConfig{MaximumPerMinute: 50}, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 5},
	}
	for _, c := range []struct {
		stdin string
		args  []string
		want  *v1.CreateJob
	}{
		{"", []string{"fw-1", "--document", `{"a":1}`, "--target", "thing/t1", "--target", "group/g1", "--per-minute", "60", "--timeout", "1h", "--description", "d"},
			&v1.CreateJob{JobId: "fw-1", Targets: []*v1.Target{thingTarget("t1"), groupTarget("g1")}, Document: []byte(`{"a":1}`), Description: "d",
				Rollout: &v1.RolloutConfig{MaximumPerMinute: 60}, Timeout: &v1.TimeoutConfig{InProgressTimeoutMinutes: 60}}},
		{"", []string{"fw-1", "--document", "@" + file, "--target", "arn:aws:iot:eu-central-1:1:thing/t1"},
			&v1.CreateJob{JobId: "fw-1", Targets: []*v1.Target{thingTarget("t1")}, Document: []byte(" {\"a\": 1}\n")}},
		{`"text"`, []string{"fw-1", "--document", "-", "--target", "thing/t1"},
			&v1.CreateJob{JobId: "fw-1", Targets: []*v1.Target{thingTarget("t1")}, Document: []byte(`"text"`)}},
		{"", []string{"--from", body}, fromFile},
		{text, []string{"fw-2", "--from", "-"}, fromFile},
	} {
		s.want(s.runWith(c.stdin, append([]string{"job", "create"}, c.args...)...), exitDone, "created job "+c.want.JobId)
		s.wantRequest(c.want)
	}
	s.want(s.run("job", "create", "fw-1", "--document", "{}", "--target", "thing/t1", "-o", "json"), exitDone, `"position": "job@7"`, `"job": 458752`)
}

func TestChangesSendWhatWasAskedAndSayWhereItStands(t *testing.T) {
	s := newSystem(t)
	reply(s, bus.CancelJob, &v1.CancelJobReply{Position: at(id.JobLog, 9)})
	reply(s, bus.CancelExecution, &v1.CancelExecutionReply{Position: at(id.ExecutionLog(1), 4)})
	reply(s, bus.DeleteThing, &v1.DeleteThingReply{Position: at(id.TargetingLog, 5), Existed: true})
	reply(s, bus.CreateGroup, &v1.CreateGroupReply{Position: at(id.TargetingLog, 6)})

	s.want(s.run("job", "cancel", "fw-1", "--force", "--reason-code", "BAD", "--comment", "no good", "-o", "json"), exitDone, `"job@9"`)
	s.wantRequest(&v1.CancelJob{JobId: "fw-1", Force: true, ReasonCode: "BAD", Comment: "no good"})
	s.want(s.run("execution", "cancel", "fw-1", "t1", "--force", "--expected-version", "2", "-o", "json"), exitDone, `"execution.1@4"`)
	s.wantRequest(&v1.CancelExecution{JobId: "fw-1", Thing: "t1", Force: true, ExpectedVersion: 2})
	s.want(s.run("thing", "delete", "t1", "-o", "json"), exitDone, `"deleted": 1`)
	s.wantRequest(&v1.DeleteThing{Name: "t1"})
	s.want(s.run("group", "create", "g1", "--parent", "g0", "--description", "d", "-o", "json"), exitDone, `"created": 1`, `"existing": 0`)
	s.wantRequest(&v1.CreateGroup{Group: "g1", Parent: "g0", Description: "d"})
}

// fleetOf serves registration and membership, and keeps the names it was sent, each chunk within its bounds.
func fleetOf(s *system) (created, joined func() []string) {
	var mu sync.Mutex
	var things, members []string
	chunk := func(n int) {
		if n < 1 || n > chunkItems {
			s.t.Errorf("a chunk of %d", n)
		}
	}
	answer(s, bus.CreateThings, func(q *v1.CreateThings) (*v1.CreateThingsReply, error) {
		mu.Lock()
		defer mu.Unlock()
		chunk(len(q.Things))
		for _, t := range q.Things {
			things = append(things, t.Name+"|"+t.ThingType+"|"+pairs(t.Attributes))
		}
		return &v1.CreateThingsReply{Position: at(id.TargetingLog, uint64(len(things))), Created: uint32(len(q.Things))}, nil
	})
	answer(s, bus.AddThings, func(q *v1.AddThings) (*v1.AddThingsReply, error) {
		mu.Lock()
		defer mu.Unlock()
		chunk(len(q.Things))
		members = append(members, q.Things...)
		return &v1.AddThingsReply{Position: at(id.TargetingLog, uint64(len(members))), Joined: uint32(len(q.Things))}, nil
	})
	read := func(list *[]string) func() []string {
		return func() []string { mu.Lock(); defer mu.Unlock(); return append([]string(nil), *list...) }
	}
	return read(&things), read(&members)
}

func TestThingsAreRegisteredFromArgumentsFilesAndPrefixes(t *testing.T) {
	s := newSystem(t)
	created, _ := fleetOf(s)
	lines := "plain-1\n\n  {\"thingName\":\"rich-1\",\"attributes\":{\"site\":\"north\",\"a.b\":\"c\"},\"thingTypeName\":\"press\"}\r\nplain-2"
	s.want(s.run("thing", "create", "t1", "t2", "--type", "press"), exitDone, "registered 2 things")
	s.want(s.runWith(lines, "thing", "create", "--from", "-", "--type", "pump"), exitDone, "registered 3 things")
	s.want(s.run("thing", "create", "--prefix", "dev-", "--count", "2", "-o", "json"), exitDone, `"created": 2`, `"position": "targeting@7"`)
	got := strings.Join(created(), " ; ")
	for _, want := range []string{"t1|press|", "t2|press|", "plain-1|pump|", "rich-1|press|a.b=c site=north", "plain-2|pump|", "dev-0000||", "dev-0001||"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q was not registered; got %s", want, got)
		}
	}
}

func TestALargeFileIsRegisteredOnceInChunks(t *testing.T) {
	s := newSystem(t)
	created, joined := fleetOf(s)
	const n = 20_000
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "thing-%06d-%s\n", i, strings.Repeat("x", 80))
	}
	s.want(s.runWith(lines.String(), "thing", "create", "--from", "-"), exitDone, "registered 20,000 things")
	s.want(s.runWith(lines.String(), "group", "add", "g1", "--from", "-"), exitDone, "added 20,000 things to g1")
	for what, names := range map[string][]string{"created": created(), "joined": joined()} {
		once := map[string]bool{}
		for _, name := range names {
			once[name] = true
		}
		if len(names) != n || len(once) != n {
			t.Errorf("%s: %d names, %d of them different", what, len(names), len(once))
		}
	}
}

func TestAChunkIsSentAgainWithItsIdWhileItsOutcomeIsUnknown(t *testing.T) {
	s := newSystem(t)
	var mu sync.Mutex
	calls := 0
	answer(s, bus.CreateThings, func(q *v1.CreateThings) (*v1.CreateThingsReply, error) {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls < 3 {
			return nil, refuse([]v1.RefusalCode{v1.RefusalCode_REFUSAL_CODE_THROTTLED, v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN}[calls-1], "", "later")
		}
		return &v1.CreateThingsReply{Created: 1, Position: at(id.TargetingLog, 1)}, nil
	})
	s.want(s.run("thing", "create", "t1"), exitDone, "registered 1 thing")
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
}

func TestAnErrorInAFileNamesTheLineAndSendsNothingOfItsChunk(t *testing.T) {
	s := newSystem(t)
	created, _ := fleetOf(s)
	s.want(s.runWith("ok-1\nok-2\nbad.name\n", "thing", "create", "--from", "-"), exitRefused, "thingName", "line 3", "INVALID_REQUEST")
	if got := created(); len(got) != 0 {
		t.Errorf("registered %v", got)
	}
}
