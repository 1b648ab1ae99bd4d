package aws

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/sigv4"
)

// Whatever has no operation, or no way in, is said in AWS's words.
func TestWhatIsNoOperationIsRefusedByName(t *testing.T) {
	f := New(Config{Account: "123456789012", Region: "eu-central-1"})
	for request, want := range map[string]string{
		"GET /":                       "404 UnknownOperationException",
		"GET /jobs/a/b/c":             "404 UnknownOperationException",
		"POST /jobs/j":                "405 MethodNotAllowedException",
		"PUT /jobs/a.b":               "400 InvalidRequestException",
		"PUT /jobs/j?colour=red":      "400 InvalidRequestException",
		"PUT /iot/jobs/j":             "400 InvalidRequestException", // the plane by the path
		"PUT /jobs/j?force=1&force=2": "400 InvalidRequestException",
	} {
		method, path, _ := strings.Cut(request, " ")
		r := httptest.NewRequest(method, "http://localhost/", nil)
		var err error
		if r.URL, err = r.URL.Parse(path); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		have := strings.Join([]string{strings.Fields(w.Result().Status)[0], w.Header().Get(errorHeader)}, " ")
		if have != want || !strings.Contains(w.Body.String(), `"message":"`) || w.Header().Get("x-amzn-RequestId") == "" {
			t.Errorf("%s: %s %s, want %s", request, have, w.Body, want)
		}
	}
}

// What is sent again is the same command; whatever else is asked, by whatever name, is another.
func TestACommandIsNamedByItsCallAndByWhatItAsks(t *testing.T) {
	signed := []string{"amz-sdk-invocation-id", "host", "x-amz-date"}
	type request struct {
		who        sigv4.Identity
		call, line string
		body       string
	}
	name := func(q request) string {
		method, path, _ := strings.Cut(q.line, " ")
		r := httptest.NewRequest(method, path, nil)
		if q.call != "" {
			r.Header.Set("amz-sdk-invocation-id", q.call)
		}
		return commandID(r, q.who, []byte(q.body))
	}
	key, signature, later := "DROVER23456723456723", strings.Repeat("a", 64), strings.Repeat("b", 64)
	bySDK := request{sigv4.Identity{AccessKeyID: key, Signature: signature, SignedHeaders: signed}, "c-1", "POST /things/t", "{}"}

	seen := map[string]string{}
	for what, q := range map[string]func() request{
		"an SDK's":                     func() request { return bySDK },
		"another call of it":           func() request { q := bySDK; q.call = "c-2"; return q },
		"its name, for another thing":  func() request { q := bySDK; q.line = "POST /things/u"; return q },
		"the name with other contents": func() request { q := bySDK; q.body = `{"a":1}`; return q },
		"the name with a parameter":    func() request { q := bySDK; q.line += "?x=1"; return q },
		"the name by another key":      func() request { q := bySDK; q.who.AccessKeyID = "DROVER23456723456724"; return q },
	} {
		id := name(q())
		if err := bus.CheckCommandID(id); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if other, is := seen[id]; is {
			t.Errorf("%s is the same command as %s", what, other)
		}
		seen[id] = what
		if name(q()) != id {
			t.Errorf("%s is another command when it is sent again", what)
		}
	}
	anew := bySDK
	anew.who.Signature = later
	if name(anew) != name(bySDK) {
		t.Error("a call that an SDK tries again, signed anew, is another command")
	}
	if id := name(request{who: bySDK.who, line: "POST /things/t"}); id != "" {
		t.Errorf("what names no call is the command %q", id)
	}
}
