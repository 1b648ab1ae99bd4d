package sdktest

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	iotv2 "github.com/aws/aws-sdk-go-v2/service/iot"
)

// Who does not sign, or signs wrongly, is told so by AWS's names, with 403.
func TestWhoIsNotLetIn(t *testing.T) {
	s := shared(t, plain)
	const job, body = "/jobs/never", `{"targets":["x"]}`
	now := time.Now()
	sign := func(change func(*http.Request)) *http.Request {
		r := s.signed(t, "iot", http.MethodPut, job, body, now)
		change(r)
		return r
	}
	authorization := func(old, new string) *http.Request {
		return sign(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		})
	}
	for what, c := range map[string]struct {
		r    *http.Request
		name string
	}{
		"unsigned":           {s.request(t, http.MethodPut, job, body), "MissingAuthenticationTokenException"},
		"a token of others":  {sign(func(r *http.Request) { r.Header.Set("Authorization", "Bearer abc") }), "IncompleteSignatureException"},
		"no signature in it": {authorization("Signature=", "Sig="), "IncompleteSignatureException"},
		"an unknown key":     {authorization(s.accessKey, "AKIDNOBODYHASTHISONE"), "UnrecognizedClientException"},
		"another body": {sign(func(r *http.Request) {
			*r = *s.replaced(t, r, strings.Replace(body, "x", "y", 1))
		}), "InvalidSignatureException"},
		"another path":              {sign(func(r *http.Request) { r.URL.Path = "/jobs/other" }), "InvalidSignatureException"},
		"another query":             {sign(func(r *http.Request) { r.URL.RawQuery = "force=true" }), "InvalidSignatureException"},
		"another region":            {authorization(region, "us-west-2"), "InvalidSignatureException"},
		"another service":           {s.signed(t, "s3", http.MethodPut, job, body, now), "InvalidSignatureException"},
		"signed six minutes ago":    {s.signed(t, "iot", http.MethodPut, job, body, now.Add(-6*time.Minute)), "InvalidSignatureException"},
		"signed in six minutes":     {s.signed(t, "iot", http.MethodPut, job, body, now.Add(6*time.Minute)), "InvalidSignatureException"},
		"unsigned, the device's":    {s.request(t, http.MethodGet, "/iot-jobs-data/things/press-01/jobs", ""), "MissingAuthenticationTokenException"},
		"of the other plane's path": {s.signed(t, "iot", http.MethodGet, "/iot-jobs-data/things/press-01/jobs", "", now), "InvalidSignatureException"},
	} {
		status, name, text := send(t, c.r)
		if status != http.StatusForbidden || name != c.name || !strings.Contains(text, `"message":"`) {
			t.Errorf("%s: %d %s %s, want 403 %s", what, status, name, text, c.name)
		}
		for _, secret := range []string{s.secret, c.r.Header.Get("Authorization")} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("%s: the answer tells a secret: %s", what, text)
			}
		}
	}
	// The SDKs say the same.
	for _, c := range []*client{
		{t, "v1", s.iotV1(signedBy(s.accessKey, "wrong")), "iot"},
		{t, "v2", s.iotV2(signedBy(s.accessKey, "wrong")), "iot"},
		{t, "v1", s.dataV1(signedBy(s.accessKey, "wrong")), "iot-jobs-data"},
	} {
		_, err := c.do(map[string]string{"iot": "DescribeThing", "iot-jobs-data": "GetPendingJobExecutions"}[c.plane], doc{"thingName": "press-01"})
		if have := refusalOf(err); have.name != "InvalidSignatureException" || have.status != http.StatusForbidden {
			t.Errorf("%s of %s, signed wrongly: %+v", c.sdk, c.plane, have)
		}
	}
}

// replaced is a signed request with another body.
func (s *system) replaced(t *testing.T, r *http.Request, body string) *http.Request {
	other := s.request(t, r.Method, r.URL.RequestURI(), body)
	other.Header = r.Header
	return other
}

// A CreateJob whose answer got lost is tried again by the SDK with the same invocation id. It takes effect once: the second
// try is answered as the first, where another CreateJob would hear that the job is there.
func TestWhatAnSDKTriesAgainTakesEffectOnce(t *testing.T) {
	s := shared(t, plain)
	c := s.control(t)
	const thing, job = "tried-again", "tried-again"
	target := c.fleet(thing)
	in := doc{"jobId": job, "targets": target, "document": "{}", "description": "once"}
	line := &lossy{lose: 1}
	again := s.control(t, through(line), retrying(2))
	again.want("CreateJob", in, doc{"jobArn": arn("job", job), "description": "once"})
	if len(line.sent) != 2 {
		t.Fatalf("%d requests were sent, want 2", len(line.sent))
	}
	const invocation = "Amz-Sdk-Invocation-Id"
	if id := line.sent[0].Header.Get(invocation); id == "" || id != line.sent[1].Header.Get(invocation) {
		t.Fatalf("the tries have the ids %q and %q", id, line.sent[1].Header.Get(invocation))
	}
	c.refused(exists, "CreateJob", in, job)

	// A mutation that is no creation.
	line.lose, line.sent = 1, nil
	again.want("UpdateThingGroup", doc{"thingGroupName": c.must("CreateThingGroup", doc{"thingGroupName": thing}).text("thingGroupName"),
		"thingGroupProperties": doc{"thingGroupDescription": "changed"}}, doc{"version": 2})
	c.want("DescribeThingGroup", doc{"thingGroupName": thing}, doc{"version": 2})
	c.must("DeleteJob", doc{"jobId": job, "force": true})
}

// A request that names its call, as those of AWS's SDKs do, is answered as it was when it is sent again, and does nothing. One
// that names none may mean what it says each time: of two writes that are the same to the byte neither is lost. There a
// device that says which version it expects is safe.
func TestWhatIsSentAgainTakesEffectOnceIfItNamesItsCall(t *testing.T) {
	s := shared(t, plain)
	c, device := s.control(t), s.device(t)
	const thing, job = "replayed", "replayed"
	c.fleet(thing)
	path, change := "/things/"+thing, `{"attributePayload":{"attributes":{"site":"b2"}}}`
	replay := func(want int, call, service, method, path, body string) {
		t.Helper()
		r := s.request(t, method, path, body)
		if call != "" {
			r.Header.Set("Amz-Sdk-Invocation-Id", call)
		}
		record := s.sign(t, r, service, body, time.Now())
		if status, name, answer := send(t, s.replaced(t, record, body)); status != http.StatusOK {
			t.Fatalf("%d %s %s", status, name, answer)
		}
		if status, name, answer := send(t, s.replaced(t, record, body)); status != want {
			t.Errorf("%s again: %d %s %s", path, status, name, answer)
		}
	}
	replay(http.StatusOK, "call-1", "iot", http.MethodPatch, path, change)
	c.want("DescribeThing", doc{"thingName": thing}, doc{"version": 2})

	c.queued(job, thing)
	replay(http.StatusConflict, "", "iot-jobs-data", http.MethodPost, path+"/jobs/"+job, `{"status":"IN_PROGRESS","expectedVersion":1}`)
	device.want("DescribeJobExecution", doc{"thingName": thing, "jobId": job}, doc{"execution.versionNumber": 2})
	replay(http.StatusOK, "call-2", "iot-jobs-data", http.MethodPost, path+"/jobs/"+job, `{"status":"IN_PROGRESS"}`)
	device.want("DescribeJobExecution", doc{"thingName": thing, "jobId": job}, doc{"execution.versionNumber": 3})
	replay(http.StatusOK, "", "iot-jobs-data", http.MethodPost, path+"/jobs/"+job, `{"status":"IN_PROGRESS"}`)
	device.want("DescribeJobExecution", doc{"thingName": thing, "jobId": job}, doc{"execution.versionNumber": 5})
	c.must("DeleteJob", doc{"jobId": job, "force": true})
}

// Many clients at once, and each reads what it wrote.
func TestManyAtOnce(t *testing.T) {
	s := shared(t, plain)
	errs := make(chan error)
	const clients, each = 8, 20
	for i := range clients {
		go func() {
			api := s.iotV2()
			var failed error
			for j := range each {
				name := "crowd-" + string(rune('a'+i)) + "-" + string(rune('a'+j))
				if _, err := api.CreateThing(t.Context(), &iotv2.CreateThingInput{ThingName: &name}); err != nil {
					failed = errors.Join(failed, err)
				}
				if out, err := api.DescribeThing(t.Context(), &iotv2.DescribeThingInput{ThingName: &name}); err != nil || *out.ThingName != name {
					failed = errors.Join(failed, errors.New(name+" is not there right after its creation"), err)
				}
			}
			errs <- failed
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
