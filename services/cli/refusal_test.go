package cli

import (
	"context"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/body"
)

func TestARefusalIsShownWithFieldReasonAndCode(t *testing.T) {
	for code, status := range map[v1.RefusalCode]int{
		v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST:          exitRefused,
		v1.RefusalCode_REFUSAL_CODE_NOT_FOUND:                exitRefused,
		v1.RefusalCode_REFUSAL_CODE_ALREADY_EXISTS:           exitRefused,
		v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH:         exitRefused,
		v1.RefusalCode_REFUSAL_CODE_INVALID_STATE_TRANSITION: exitRefused,
		v1.RefusalCode_REFUSAL_CODE_LIMIT_EXCEEDED:           exitRefused,
		v1.RefusalCode_REFUSAL_CODE_NOT_SUPPORTED:            exitRefused,
		v1.RefusalCode_REFUSAL_CODE_UNAUTHORIZED:             exitRefused,
		v1.RefusalCode_REFUSAL_CODE_THROTTLED:                exitUnavailable,
		v1.RefusalCode_REFUSAL_CODE_UNAVAILABLE:              exitUnavailable,
		v1.RefusalCode_REFUSAL_CODE_OUTCOME_UNKNOWN:          exitUnknown,
		v1.RefusalCode_REFUSAL_CODE_INTERNAL:                 exitFailed,
	} {
		s := newSystem(t)
		answer(s, bus.DeleteThing, func(*v1.DeleteThing) (*v1.DeleteThingReply, error) { return nil, refuse(code, "thingName", "because") })
		r := s.run("thing", "delete", "t1")
		s.want(r, status, "drover: thingName: because ("+v1.EnumName(code)+")")
		if r.out != "" {
			t.Errorf("stdout %q", r.out)
		}
	}
}

func TestAStaleVersionShowsTheStateThatStands(t *testing.T) {
	s := newSystem(t)
	answer(s, bus.CancelExecution, func(*v1.CancelExecution) (*v1.CancelExecutionReply, error) {
		r := v1.Refuse(v1.RefusalCode_REFUSAL_CODE_VERSION_MISMATCH, "expectedVersion", "is 1, the execution is at 3")
		r.State = &v1.ExecutionState{Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS, VersionNumber: 3}
		return nil, r
	})
	s.want(s.run("execution", "cancel", "fw-1", "t1", "--expected-version", "1"), exitRefused, "VERSION_MISMATCH", "IN_PROGRESS at version 3")
}

func TestNobodyThere(t *testing.T) {
	s := newSystem(t)
	s.want(s.run("job", "list"), exitUnavailable, "UNAVAILABLE")
	wantResult(t, runIn(t, "", "--server", "nats://127.0.0.1:1", "job", "list"), exitUnavailable, "drover up")
	wantResult(t, runIn(t, "", "--data", t.TempDir(), "job", "list"), exitUnavailable, "drover up")
}

func TestNoAnswerIsUnknownForACommandAndUnavailableForAQuery(t *testing.T) {
	s := newSystem(t)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	answer(s, bus.DeleteThing, func(*v1.DeleteThing) (*v1.DeleteThingReply, error) { <-hang; return nil, context.Canceled })
	answer(s, bus.DescribeThing, func(*v1.DescribeThing) (*v1.DescribeThingReply, error) { <-hang; return nil, context.Canceled })
	s.want(s.run("thing", "delete", "t1", "--timeout", "100ms", "--command-id", "c1"), exitUnknown, "OUTCOME_UNKNOWN", "--command-id c1")
	s.want(s.run("thing", "delete", "t1", "--timeout", "100ms"), exitUnknown, "repeat it with --command-id")
	s.want(s.run("thing", "describe", "t1", "--timeout", "100ms"), exitUnavailable, "UNAVAILABLE")
}

// badNames are no names of anything. (specification §1.3)
var badNames = []string{"a>", "*", "a.b", "a b", "", strings.Repeat("x", 129), "ä", "a/b", "arn:aws:iot:eu-central-1:1:role/x"}

// Bad input on every command is refused before anything is sent, with the field, the reason and the code.
func TestBadNamesAreRefusedByEveryCommand(t *testing.T) {
	s := newSystem(t) // it serves nothing: what is sent is UNAVAILABLE
	forms := map[string][]string{
		"thingName": {
			"thing create @", "thing describe @", "thing delete @", "thing executions @", "execution describe j @", "execution watch j @",
			"execution cancel j @", "group add g @", "group remove g @", "events --thing=@",
		},
		"thingGroupName":  {"group create @", "group add @ t", "group remove @ t", "group describe @", "group describe --members @"},
		"parentGroupName": {"group create g --parent=@"},
		"jobId": {
			"job create @ --document {} --target thing/t", "job describe @", "job watch @", "job cancel @", "job executions @",
			"execution describe @ t", "execution watch @ t", "execution cancel @ t", "events --job=@", "audit job @",
		},
		"targets": {"job create j --document {} --target=@", "job create j --document {} --target=thing/@", "job create j --document {} --target=group/@"},
	}
	for field, list := range forms {
		for _, form := range list {
			for _, name := range badNames {
				if name == "" && strings.Contains(form, "=@") && !strings.Contains(form, "/@") && field != "targets" {
					continue // an empty filter is none
				}
				var args []string
				for _, word := range strings.Fields(form) {
					args = append(args, strings.ReplaceAll(word, "@", name))
				}
				r := s.run(args...)
				if r.status != exitRefused || !strings.Contains(r.err, "drover: "+field+": ") || !strings.Contains(r.err, "(INVALID_REQUEST)") {
					t.Errorf("%q: status %d, stderr %s", args, r.status, r.err)
				}
			}
		}
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestBadValuesAreRefused(t *testing.T) {
	s := newSystem(t)
	create := func(doc string, more ...string) []string {
		return append([]string{"job", "create", "j", "--document", doc, "--target", "thing/t"}, more...)
	}
	for _, c := range []struct {
		args  []string
		field string
	}{
		{create("{"), "document"},
		{create("not json"), "document"},
		{create(`{"a":1} {}`), "document"},
		{create("\"\xff\""), "document"},
		{create(`"` + strings.Repeat("x", 32767) + `"`), "document"},
		{create(strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)), "document"},
		{create("{}", "--per-minute", "0"), "jobExecutionsRolloutConfig.maximumPerMinute"},
		{create("{}", "--timeout", "90s"), "timeoutConfig.inProgressTimeoutInMinutes"},
		{create("{}", "--timeout", "169h"), "timeoutConfig.inProgressTimeoutInMinutes"},
		{create("{}", "--timeout", "-1m"), "timeoutConfig.inProgressTimeoutInMinutes"},
		{[]string{"job", "list", "--status", "RUNNING"}, "status"},
		{[]string{"job", "list", "--status", "in_progress"}, "status"},
		{[]string{"job", "executions", "j", "--status", "DONE"}, "status"},
		{[]string{"thing", "executions", "t", "--status", "DONE"}, "status"},
		{[]string{"events", "--since", "rollout"}, "since"},
		{[]string{"events", "--since", "nothing@1"}, "since"},
		{[]string{"events", "--since", "rollout@-1"}, "since"},
		{[]string{"audit", "log", "show", "nothing", "1"}, "log"},
		{[]string{"audit", "log", "show", "job", "0"}, "number"},
		{[]string{"audit", "log", "show", "job", "x"}, "number"},
		{[]string{"log", "repair", "execution.x"}, "log"},
		{[]string{"simulate", "--devices", "1", "--prefix", "a.b"}, "thingName"},
	} {
		r := s.run(c.args...)
		s.want(r, exitRefused, "drover: "+c.field+": ", "(INVALID_REQUEST)")
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestACommandLineThatIsNotUnderstoodIsUsage(t *testing.T) {
	s := newSystem(t)
	for _, line := range []string{
		"nothing", "job nothing", "audit log nothing", "job", "job describe", "job describe a b", "job list a", "job list --nothing", "job list --limit x", "thing list --limit -1", "completion nothing",
		"job create", "job create j", "job create j --document {}", "job create j --target thing/t", "job create --document {} --target thing/t",
		"job create j --from f --document {}", "job create j --from /no/such/file", "job create j --document @/no/such/file --target thing/t",
		"thing create", "thing create a --from f", "thing create --prefix p", "thing create --count 3", "thing create --prefix p --count -1",
		"group add g", "group add g t --from f", "execution describe j", "job list --output yaml", "job list --timeout 0s", "job list --timeout x",
		"up --limits AWS", "up --retention-days -1", "serve job --data /no/such --limits x", "simulate", "simulate --devices 0", "simulate --devices 1 --mqtt --nats", "simulate --devices 1 --fail-rate 2", "audit job j --expect SUCCEEDED",
		"audit job j --expect NOTHING=3", "audit job j --expect transitions=x", "audit job j --journal /no/such/file", "version x", "events --follow x",
		"audit log list", // --server is there, and it reads a folder
	} {
		r := s.run(strings.Fields(line)...)
		want := exitUsage
		if line == "job" {
			want = exitDone // it shows its help
		}
		if r.status != want || want != exitDone && !strings.HasPrefix(r.err, "drover: ") {
			t.Errorf("%s: status %d, want %d: %s", line, r.status, want, r.err)
		}
	}
}

func TestAFileOfThingsIsReadStrictly(t *testing.T) {
	for line, want := range map[string]string{
		`{"thingName":"t","colour":"red"}`:                         "colour",
		`{"thingName":"t","attributes":{"a":1}}`:                   "attributes.a",
		`{"thingName":"t","attributes":["a"]}`:                     "attributes",
		`{"thingName":"t","attributes":{"a":"1","a":"2"}}`:         "attributes.a",
		`{"thingName":"t","thingName":"u"}`:                        "thingName",
		`{"thingName":7}`:                                          "thingName",
		`{"thingName":null}`:                                       "thingName",
		`{"attributes":{}}`:                                        "thingName",
		`{"thingName":"t"} x`:                                      "follows",
		`{"thingName":"t"`:                                         "not JSON",
		`{"thingName":"a.b"}`:                                      "thingName",
		`{"attributes":` + strings.Repeat(`{"a":`, 10_000):         "nested",
		`x` + strings.Repeat("y", lineMax):                         "longer than",
		`{"thingName":"t","attributes":{"a":{"b":{"c":{"d":1}}}}}`: "nested",
	} {
		s := newSystem(t)
		created, _ := fleetOf(s)
		s.want(s.runWith("first\n"+line+"\n", "thing", "create", "--from", "-"), exitRefused, want, "line 2", "INVALID_REQUEST")
		if got := created(); len(got) != 0 {
			t.Errorf("registered %v", got)
		}
	}
}

func TestABodyOfCreateJobIsReadStrictly(t *testing.T) {
	s := newSystem(t)
	rest := `"targets":["thing/t"],"document":"{}"`
	for body, want := range map[string]string{
		``:                                "targets: is missing",
		`[]`:                              "object",
		`{` + rest:                        "not JSON",
		`{` + rest + `} {}`:               "follows",
		`{` + rest + `,"colour":"red"}`:   "colour: unknown field",
		`{` + rest + `,"Description":""}`: "Description: unknown field",
		`{` + rest + `,"targetSelection":"SOMETIMES"}`:                               "targetSelection: \"SOMETIMES\" is none of SNAPSHOT, CONTINUOUS",
		`{` + rest + `,"jobExecutionsRolloutConfig":{"maximumPerMinute":0}}`:         "jobExecutionsRolloutConfig.maximumPerMinute",
		`{` + rest + `,"jobExecutionsRolloutConfig":{"maximumPerMinute":1.5}}`:       "jobExecutionsRolloutConfig.maximumPerMinute",
		`{` + rest + `,"jobExecutionsRolloutConfig":{"maximumPerMinute":"5"}}`:       "jobExecutionsRolloutConfig.maximumPerMinute",
		`{` + rest + `,"jobExecutionsRolloutConfig":{"maximumPerMinute":1e99}}`:      "jobExecutionsRolloutConfig.maximumPerMinute",
		`{` + rest + `,"jobExecutionsRolloutConfig":{"pace":5}}`:                     "jobExecutionsRolloutConfig.pace: unknown field",
		`{` + rest + `,"jobExecutionsRolloutConfig":7}`:                              "jobExecutionsRolloutConfig",
		`{` + rest + `,"timeoutConfig":{"inProgressTimeoutInMinutes":10081}}`:        "timeoutConfig.inProgressTimeoutInMinutes",
		`{"targets":["thing/t"]}`:                                                    "document: is missing",
		`{"targets":["thing/t"],"document":{"a":1}}`:                                 "document",
		`{"targets":["thing/t"],"document":"{"}`:                                     "document",
		`{"targets":[],"document":"{}"}`:                                             "targets",
		`{"targets":"thing/t","document":"{}"}`:                                      "targets",
		`{"targets":[null],"document":"{}"}`:                                         "targets",
		`{"targets":["t"],"document":"{}"}`:                                          "targets",
		`{"jobId":"other",` + rest + `}`:                                             "jobId",
		`{"jobId":"a.b",` + rest + `}`:                                               "jobId",
		`{` + rest + `,"x":` + strings.Repeat("[", 10_000) + `}`:                     "nested",
		`{` + rest + `,"description":"` + strings.Repeat("x", bus.CommandMax) + `"}`: "longer than",
	} {
		s.want(s.runWith(body, "job", "create", "j", "--from", "-"), exitRefused, want, "(INVALID_REQUEST)")
	}
	for _, name := range body.NotYet {
		value := `{"` + name + `":{}`
		if outer, inner, ok := strings.Cut(name, "."); ok {
			value = fmt.Sprintf(`{"%s":{"%s":{}}`, outer, inner)
		}
		s.want(s.runWith(value+","+rest+"}", "job", "create", "j", "--from", "-"), exitRefused, name+": not supported", "(NOT_SUPPORTED)")
	}
	if n := len(s.requests()); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func FuzzParseThing(f *testing.F) {
	f.Add([]byte(`{"thingName":"t","attributes":{"a":"b"},"thingTypeName":"x"}`))
	f.Add([]byte(`press-07`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if len(line) == 0 {
			return
		}
		thing, err := parseThing(line)
		if err == nil {
			if _, err := thingArg(thing.Name); err != nil {
				t.Errorf("%q was taken: %v", line, err)
			}
		} else if exitStatus(err) != exitRefused {
			t.Errorf("%q: %v is no refusal", line, err)
		}
	})
}
