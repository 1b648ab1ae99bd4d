package device

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
)

const invalidJSON, invalidRequest = v1.RefusalCode_REFUSAL_CODE_INVALID_JSON, v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST

func TestWhatDevicesReallySendIsTaken(t *testing.T) {
	update := func(change func(*v1.UpdateExecution)) *v1.UpdateExecution {
		u := &v1.UpdateExecution{Thing: "t1", JobId: "j1", Status: v1.ExecutionStatus_EXECUTION_STATUS_IN_PROGRESS}
		change(u)
		return u
	}
	details := func(pairs ...string) []*v1.Detail {
		var list []*v1.Detail
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, &v1.Detail{Name: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	for _, c := range []struct {
		name, topic, payload string
		want                 proto.Message
	}{
		{"an empty payload is an empty object", "get", ``, &v1.GetPending{Thing: "t1"}},
		{"white space around it", "get", " \r\n\t{ } ", &v1.GetPending{Thing: "t1"}},
		{"the document is told unless told otherwise", "$next/get", `{}`, &v1.DescribeExecution{Thing: "t1", JobId: "$next", IncludeDocument: true}},
		{"the document is not wanted", "j1/get", `{"includeJobDocument":false,"executionNumber":2}`, &v1.DescribeExecution{Thing: "t1", JobId: "j1", ExecutionNumber: 2}},
		{"a job called get", "get/get", `{}`, &v1.DescribeExecution{Thing: "t1", JobId: "get", IncludeDocument: true}},
		{"a job called update", "update/update", `{"status":"IN_PROGRESS"}`, update(func(u *v1.UpdateExecution) { u.JobId = "update" })},
		{"numbers and booleans as details", "j1/update", `{"status":"IN_PROGRESS","statusDetails":{"uptime":7.9,"statusCode":404,"ok":true,"no":false,"e":-1.5E+3}}`,
			update(func(u *v1.UpdateExecution) {
				u.ReplaceDetails, u.StatusDetails = true, details("e", "-1.5E+3", "no", "false", "ok", "true", "statusCode", "404", "uptime", "7.9")
			})},
		{"a version in quotes", "j1/update", `{"status":"IN_PROGRESS","expectedVersion":"2","executionNumber":"1","stepTimeoutInMinutes":"-1"}`,
			update(func(u *v1.UpdateExecution) { u.ExpectedVersion, u.ExecutionNumber, u.StepTimeoutMinutes = 2, 1, -1 })},
		{"a whole request as payload", "j1/update", `{"thingName":"t1","jobId":"j1","status":"IN_PROGRESS","x":[{"y":null}]}`, update(func(*v1.UpdateExecution) {})},
		{"no details at all", "j1/update", `{"status":"IN_PROGRESS"}`, update(func(*v1.UpdateExecution) {})},
		{"empty details", "j1/update", `{"status":"IN_PROGRESS","statusDetails":{}}`, update(func(u *v1.UpdateExecution) { u.ReplaceDetails = true })},
		{"a newline in a value", "j1/update", `{"status":"IN_PROGRESS","statusDetails":{"stdout":"a\nb"}}`,
			update(func(u *v1.UpdateExecution) { u.ReplaceDetails, u.StatusDetails = true, details("stdout", "a\nb") })},
		{"a name twice has its last value", "j1/update", `{"status":"FAILED","status":"IN_PROGRESS","statusDetails":{"b":"1","a":"2","b":"3"}}`,
			update(func(u *v1.UpdateExecution) { u.ReplaceDetails, u.StatusDetails = true, details("a", "2", "b", "3") })},
		{"null is as if it were not there", "j1/update", `{"status":"IN_PROGRESS","statusDetails":null,"expectedVersion":null,"clientToken":null}`, update(func(*v1.UpdateExecution) {})},
		{"what is no field of the operation is passed over", "start-next", `{"status":7,"expectedVersion":"x","statusDetails":{"a":"b"}}`,
			&v1.StartNext{Thing: "t1", StatusDetails: details("a", "b")}},
		{"a status only the core knows to refuse", "j1/update", `{"status":"TIMED_OUT"}`, update(func(u *v1.UpdateExecution) { u.Status = v1.ExecutionStatus_EXECUTION_STATUS_TIMED_OUT })},
		{"the token of an update is kept with it", "j1/update", `{"status":"IN_PROGRESS","clientToken":"c\u0031","includeJobDocument":true}`,
			update(func(u *v1.UpdateExecution) { u.ClientToken, u.IncludeDocument = "c1", true })},
	} {
		r, refusal := parse("t1."+strings.ReplaceAll(c.topic, "/", "."), "", []byte(c.payload))
		if refusal != nil || !proto.Equal(r.message, c.want) {
			t.Errorf("%s: %s\n got %v, %v\nwant %v", c.name, c.payload, r.message, refusal, c.want)
		}
	}
}

func TestWhatIsNoRequestIsRefusedWithItsToken(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	long := strings.Repeat("x", 129)
	for _, c := range []struct {
		thing, topic, payload string
		code                  v1.RefusalCode
		field                 string
	}{
		{"t1", "get", `[]`, invalidJSON, ""},
		{"t1", "get", `"x"`, invalidJSON, ""},
		{"t1", "get", `null`, invalidJSON, ""},
		{"t1", "get", `{`, invalidJSON, ""},
		{"t1", "get", `{"clientToken":"c"}x`, invalidJSON, ""},
		{"t1", "get", `{"clientToken":"c",}`, invalidJSON, ""},
		{"t1", "get", "{\"a\":\"\xff\"}", invalidJSON, ""},
		{"t1", "get", "{\"a\":\"\n\"}", invalidJSON, ""},
		{"t1", "get", `{'a':1}`, invalidJSON, ""},
		{"t1", "get", `{"a":01}`, invalidJSON, ""},
		{"t1", "get", `{"a":NaN}`, invalidJSON, ""},
		{"t1", "get", deep, invalidJSON, ""},
		{"t1", "get", strings.Repeat("[", 100_000), invalidJSON, ""},
		{"t1", "j1/update", `{"clientToken":"c","statusDetails":` + deep + `}`, invalidJSON, ""},
		{"t1", "get", `{"clientToken":7}`, invalidRequest, "clientToken"},
		{"t1", "get", `{"clientToken":"` + long + `"}`, invalidRequest, "clientToken"},
		{"t1", "j1/update", `{"clientToken":"c"}`, invalidRequest, "status"},
		{"t1", "j1/update", `{"clientToken":"c","status":"DONE"}`, invalidRequest, "status"},
		{"t1", "j1/update", `{"clientToken":"c","status":"UNSPECIFIED"}`, invalidRequest, "status"},
		{"t1", "j1/update", `{"clientToken":"c","status":3}`, invalidRequest, "status"},
		{"t1", "j1/update", `{"status":"FAILED","statusDetails":[],"clientToken":"c"}`, invalidRequest, "statusDetails"},
		{"t1", "j1/update", `{"status":"FAILED","statusDetails":{"a":{}},"clientToken":"c"}`, invalidRequest, "statusDetails"},
		{"t1", "j1/update", `{"status":"FAILED","statusDetails":{"a":null},"clientToken":"c"}`, invalidRequest, "statusDetails"},
		{"t1", "j1/update", `{"status":"FAILED","expectedVersion":"two","clientToken":"c"}`, invalidRequest, "expectedVersion"},
		{"t1", "j1/update", `{"status":"FAILED","expectedVersion":1.5,"clientToken":"c"}`, invalidRequest, "expectedVersion"},
		{"t1", "j1/update", `{"status":"FAILED","expectedVersion":-1,"clientToken":"c"}`, invalidRequest, "expectedVersion"},
		{"t1", "j1/update", `{"status":"FAILED","expectedVersion":0,"clientToken":"c"}`, invalidRequest, "expectedVersion"},
		{"t1", "j1/update", `{"status":"FAILED","expectedVersion":true,"clientToken":"c"}`, invalidRequest, "expectedVersion"},
		{"t1", "j1/update", `{"status":"FAILED","expectedVersion":99999999999999999999,"clientToken":"c"}`, invalidRequest, "expectedVersion"},
		{"t1", "j1/update", `{"status":"FAILED","stepTimeoutInMinutes":0,"clientToken":"c"}`, invalidRequest, "stepTimeoutInMinutes"},
		{"t1", "j1/update", `{"status":"FAILED","stepTimeoutInMinutes":9999999999,"clientToken":"c"}`, invalidRequest, "stepTimeoutInMinutes"},
		{"t1", "j1/update", `{"status":"FAILED","includeJobDocument":"true","clientToken":"c"}`, invalidRequest, "includeJobDocument"},
		{"t1", "j1/get", `{"executionNumber":"","clientToken":"c"}`, invalidRequest, "executionNumber"},
		{"t1", "$next/update", `{"status":"FAILED","clientToken":"c"}`, v1.RefusalCode_REFUSAL_CODE_INVALID_TOPIC, ""},
		{"t1", "$other/get", `{"clientToken":"c"}`, invalidRequest, "jobId"},
		{"t1", "j:1/get", `{"clientToken":"c"}`, invalidRequest, "jobId"},
		{"t1", long[:65] + "/get", `{"clientToken":"c"}`, invalidRequest, "jobId"},
		{"arn:aws:iot:r:1:thing/x", "get", `{"clientToken":"c"}`, invalidRequest, "thingName"},
		{"t 1", "get", `{"clientToken":"c"}`, invalidRequest, "thingName"},
		{"t//1", "get", `{"clientToken":"c"}`, invalidRequest, "thingName"},
		{long, "get", `{"clientToken":"c"}`, invalidRequest, "thingName"},
	} {
		began := time.Now()
		r, refusal := parse(c.thing+"."+strings.ReplaceAll(c.topic, "/", "."), "", []byte(c.payload))
		if refusal.GetCode() != c.code || refusal.GetField() != c.field {
			t.Errorf("%s %.80s: got %v", c.topic, c.payload, refusal)
			continue
		}
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("%s %.80s: took %v", c.topic, c.payload, took)
		}
		if want := c.code != invalidJSON && c.field != "clientToken"; r.hasToken != want || want && r.token != "c" {
			t.Errorf("%s %.80s: token %q, %v", c.topic, c.payload, r.token, r.hasToken)
		}
		if len(refusal.Message) > 300 {
			t.Errorf("%s: the message has %d bytes", c.topic, len(refusal.Message))
		}
	}
}

func TestEveryRefusalHasACodeOfTheProtocol(t *testing.T) {
	known := []string{"InvalidTopic", "InvalidJson", "InvalidRequest", "InvalidStateTransition", "ResourceNotFound", "VersionMismatch", "TerminalStateReached", "RequestThrottled", "InternalError"}
	for n := range v1.RefusalCode_name {
		if !slices.Contains(known, codes[v1.RefusalCode(n)]) {
			t.Errorf("%v is told as %q", v1.RefusalCode(n), codes[v1.RefusalCode(n)])
		}
	}
}

func TestOnlyInboxesAreAnswered(t *testing.T) {
	for subject, want := range map[string]bool{
		"_INBOX.x.1": true, "_INBOX.": true, "$aws.things.t1.jobs.$inbox.x.1": true, "$aws.things.gateway.jobs.$inbox.x": true,
		"": false, "_INBOX": false, "_INBOX_SERVICE.x": false, "log.job.1": false, "$JS.API.STREAM.DELETE.x": false, "drover.home.0.device.t1.get": false,
		"$aws.things.t1.jobs.notify-next": false, "$aws.things.t1.jobs.j.update.accepted": false, "$aws.things.t1.jobs.$inbox": false, "$aws.things.t1.x.jobs.$inbox.y": false,
	} {
		if r, _ := parse("t1.get", subject, nil); (r.inbox != "") != want {
			t.Errorf("%q: answered there: %v", subject, !want)
		}
	}
}

// FuzzDecode holds the decoder to encoding/json: the same payloads are JSON, with the same values.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `{"clientToken":"c\u00e9\ud83d\ude00\ud83d"}`, `{"status":"FAILED","statusDetails":{"a":1e5,"b":true,"c":"\n","a":"2"},"expectedVersion":"3"}`,
		`[1]`, `{"a":[[{}]]}`, `{"stepTimeoutInMinutes":-1,"includeJobDocument":false,"includeJobExecutionState":true}`, "{\"a\":\"\x7f\xff\"}", `{"a":-0.0e-0}`, `{"":""} `,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, refusal := decode(data, opUpdate|onTopic)
		isJSON := len(data) == 0 || json.Valid(data) && utf8.Valid(data) && bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
		if isJSON && nesting(data) > depthMax {
			isJSON = false
		}
		if (refusal.GetCode() != invalidJSON) != isJSON {
			t.Fatalf("JSON: %v, decoded: %v", isJSON, refusal)
		}
		if !isJSON || len(data) == 0 {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			t.Fatal(err)
		}
		if token, ok := text(members["clientToken"]); ok && len(token) <= tokenMax && got.clientToken != token && refusal == nil {
			t.Errorf("clientToken %q, want %q", got.clientToken, token)
		}
		if refusal != nil || !bytes.HasPrefix(members["statusDetails"], []byte("{")) || bytes.Count(data, []byte("statusDetails")) > 1 || bytes.Contains(data, []byte(`\u`)) {
			return
		}
		var details map[string]json.RawMessage
		if err := json.Unmarshal(members["statusDetails"], &details); err != nil {
			t.Fatal(err)
		}
		if len(details) != len(got.details) || !slices.IsSortedFunc(got.details, func(a, b *v1.Detail) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatalf("details %v, want %s", got.details, members["statusDetails"])
		}
		for _, d := range got.details {
			want, ok := text(details[d.Name])
			if !ok {
				want = string(details[d.Name])
			}
			if d.Value != want {
				t.Errorf("detail %q is %q, want %q", d.Name, d.Value, want)
			}
		}
	})
}

// FuzzString: what is appended, encoding/json reads back.
func FuzzString(f *testing.F) {
	f.Add("a\"b\\c\n\x00\x1f\x7f é 😀 \u2028")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(appendString(nil, s), &back); err != nil || back != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Errorf("%q came back as %q, %v", s, back, err)
		}
	})
}

func text(raw json.RawMessage) (s string, ok bool) {
	if !bytes.HasPrefix(raw, []byte(`"`)) {
		return "", false
	}
	return s, json.Unmarshal(raw, &s) == nil
}

// nesting is the depth of valid JSON.
func nesting(data []byte) (most int) {
	depth, d := 0, json.NewDecoder(bytes.NewReader(data))
	for {
		switch token, err := d.Token(); {
		case err != nil:
			return most
		case fmt.Sprint(token) == "{" && isDelim(token), fmt.Sprint(token) == "[" && isDelim(token):
			depth++
			most = max(most, depth)
		case isDelim(token):
			depth--
		}
	}
}

func isDelim(token json.Token) bool { _, ok := token.(json.Delim); return ok }

func BenchmarkParse(b *testing.B) {
	payload := []byte(`{"status":"IN_PROGRESS","expectedVersion":2,"statusDetails":{"progress":"37","phase":"flash","note":"sixty bytes of details or so"},"clientToken":"a1b2c3d4e5"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, refusal := parse("thing-000001.job-1.update", "", payload); refusal != nil {
			b.Fatal(refusal)
		}
	}
}
