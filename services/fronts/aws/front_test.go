package aws

import (
	"net/http/httptest"
	"strings"
	"testing"
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
