package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	awsv1 "github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	iotv1 "github.com/aws/aws-sdk-go/service/iot"
	datav1 "github.com/aws/aws-sdk-go/service/iotjobsdataplane"

	awsv2 "github.com/aws/aws-sdk-go-v2/aws"
	iotv2 "github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// doc is a request or an answer in AWS's names: doc{"jobId": "fw-1"}.
type doc map[string]any

// client is one SDK as a scenario sees it: operations by name, their members by AWS's names.
type client struct {
	t   *testing.T
	sdk string // v1 or v2
	api any    // the SDK's own client
	// plane is a service's name: iot or iot-jobs-data.
	plane string
}

// option changes how a client is made.
type option func(*settings)

type settings struct {
	region            string
	accessKey, secret string
	transport         http.RoundTripper
	retries           int // beside the first try
}

func inRegion(name string) option { return func(s *settings) { s.region = name } }
func signedBy(id, secret string) option {
	return func(s *settings) { s.accessKey, s.secret = id, secret }
}
func through(transport http.RoundTripper) option {
	return func(s *settings) { s.transport = transport }
}
func retrying(times int) option { return func(s *settings) { s.retries = times } }

func (s *system) settings(options []option) settings {
	set := settings{region: region, accessKey: s.accessKey, secret: s.secret, transport: http.DefaultTransport}
	for _, o := range options {
		o(&set)
	}
	return set
}

func (s *system) sessionV1(options []option) *session.Session {
	set := s.settings(options)
	return session.Must(session.NewSession(&awsv1.Config{
		Endpoint:    &s.url,
		Region:      &set.region,
		Credentials: credentials.NewStaticCredentials(set.accessKey, set.secret, ""),
		HTTPClient:  &http.Client{Transport: set.transport},
		MaxRetries:  &set.retries,
		// What is wrong shall reach the server.
		DisableParamValidation: awsv1.Bool(true),
	}))
}

// iotV1 is the control plane as aws-sdk-go has it.
func (s *system) iotV1(options ...option) *iotv1.IoT {
	return iotv1.New(s.sessionV1(options))
}

// dataV1 is the devices' data plane. It is on the same listener: what is signed tells them apart.
func (s *system) dataV1(options ...option) *datav1.IoTJobsDataPlane {
	return datav1.New(s.sessionV1(options))
}

// iotV2 is the control plane as aws-sdk-go-v2 has it.
func (s *system) iotV2(options ...option) *iotv2.Client {
	set := s.settings(options)
	return iotv2.New(iotv2.Options{
		BaseEndpoint: awsv2.String(s.url + "/iot"),
		Region:       set.region,
		Credentials: awsv2.CredentialsProviderFunc(func(context.Context) (awsv2.Credentials, error) {
			return awsv2.Credentials{AccessKeyID: set.accessKey, SecretAccessKey: set.secret}, nil
		}),
		HTTPClient:       &http.Client{Transport: set.transport},
		RetryMaxAttempts: set.retries + 1,
	})
}

// device is the data plane for a scenario.
func (s *system) device(t *testing.T, options ...option) *client {
	return &client{t, "v1", s.dataV1(options...), "iot-jobs-data"}
}

// control is the control plane for a scenario, by the newer SDK.
func (s *system) control(t *testing.T, options ...option) *client {
	return &client{t, "v2", s.iotV2(options...), "iot"}
}

// eachSDK plays a scenario of the control plane with each SDK, against the system that get starts. Names that a scenario
// makes end with the client's sdk.
func eachSDK(t *testing.T, get func() (*system, error), scenario func(s *system, c *client)) {
	t.Helper()
	s := shared(t, get)
	for _, c := range []*client{{sdk: "v1", api: s.iotV1()}, {sdk: "v2", api: s.iotV2()}} {
		t.Run(c.sdk, func(t *testing.T) {
			c.t, c.plane = t, "iot"
			scenario(s, c)
		})
	}
}

// name makes a name of this client's own.
func (c *client) name(s string) string { return s + "-" + c.sdk }

// do carries an operation out: in becomes the SDK's input, its output comes back in AWS's names.
func (c *client) do(operation string, in doc) (doc, error) {
	c.t.Helper()
	method := reflect.ValueOf(c.api).MethodByName(operation + map[string]string{"v1": "WithContext"}[c.sdk])
	if !method.IsValid() {
		c.t.Fatalf("the SDK %s has no %s", c.sdk, operation)
	}
	input := reflect.New(method.Type().In(1).Elem())
	text, err := json.Marshal(in)
	if err != nil {
		c.t.Fatal(err)
	}
	members := json.NewDecoder(bytes.NewReader(text))
	members.DisallowUnknownFields()
	if err := members.Decode(input.Interface()); err != nil {
		c.t.Fatalf("%s %s: %v", operation, text, err)
	}
	result := method.Call([]reflect.Value{reflect.ValueOf(c.t.Context()), input})
	seen.called(c.plane, operation, c.sdk)
	if err, _ := result[1].Interface().(error); err != nil {
		return nil, err
	}
	out := doc{}
	if text, err = json.Marshal(result[0].Interface()); err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return out, nil
}

// must carries an operation out that is granted.
func (c *client) must(operation string, in doc) doc {
	c.t.Helper()
	out, err := c.do(operation, in)
	if err != nil {
		c.t.Fatalf("%s %v: %v", operation, in, err)
	}
	return out
}

// want carries an operation out and compares members of its answer, each by its path: "job.targets.0". nil is absent.
func (c *client) want(operation string, in, members doc) doc {
	c.t.Helper()
	out := c.must(operation, in)
	for _, difference := range out.differences(members) {
		c.t.Errorf("%s %v: %s", operation, in, difference)
	}
	return out
}

// eventually is want for what comes about by itself; until then it may not be there.
func (c *client) eventually(operation string, in, members doc) doc {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		out, err := c.do(operation, in)
		wrong := out.differences(members)
		if err == nil && wrong == nil {
			return out
		}
		if err != nil && refusalOf(err).name != notFound || time.Now().After(deadline) {
			c.t.Fatalf("%s %v: %v, %v", operation, in, err, wrong)
		}
	}
}

// refused carries an operation out that is refused with one of AWS's errors, which the SDK knows by a type. The message
// holds about.
func (c *client) refused(name, operation string, in doc, about string) {
	c.t.Helper()
	_, err := c.do(operation, in)
	c.checkRefusal(name, operation, err, about)
}

// gone waits until what an operation reads is refused as not found.
func (c *client) gone(operation string, in doc) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if _, err := c.do(operation, in); err != nil {
			c.checkRefusal(notFound, operation, err, "")
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("%s %v is still there after %s", operation, in, patience)
		}
	}
}

func (c *client) checkRefusal(name, operation string, err error, about string) {
	c.t.Helper()
	if err == nil {
		c.t.Errorf("%s was granted, want %s", operation, name)
		return
	}
	have := refusalOf(err)
	want := refusal{name: name, status: statusOf(c.plane, name), typed: true}
	if have.name != want.name || have.status != want.status || have.typed != want.typed || !strings.Contains(have.message, about) {
		c.t.Errorf("%s: %+v (%v), want %+v about %q", operation, have, err, want, about)
		return
	}
	if have.requestID == "" {
		c.t.Errorf("%s: %s has no request id", operation, name)
	}
	seen.refused(c.plane, operation, name)
}

// refusal is an error as an SDK says it.
type refusal struct {
	name, message string
	status        int
	requestID     string
	typed         bool // it has a type of its own in the SDK: errors.As finds it by that
}

func refusalOf(err error) refusal {
	var one awserr.RequestFailure
	if errors.As(err, &one) {
		return refusal{one.Code(), one.Message(), one.StatusCode(), one.RequestID(), typeName(one) == one.Code()}
	}
	var two smithy.APIError
	var response *smithyhttp.ResponseError
	if errors.As(err, &two) && errors.As(err, &response) {
		id := response.Response.Header.Get("x-amzn-RequestId")
		return refusal{two.ErrorCode(), two.ErrorMessage(), response.HTTPStatusCode(), id, typeName(two) == two.ErrorCode()}
	}
	return refusal{name: fmt.Sprintf("no answer: %v", err)}
}

func typeName(v any) string { return reflect.Indirect(reflect.ValueOf(v)).Type().Name() }

// differences are the members that are not as wanted.
func (d doc) differences(want doc) (wrong []string) {
	for path, value := range want {
		if have := d.at(path); !reflect.DeepEqual(have, plainly(value)) {
			wrong = append(wrong, fmt.Sprintf("%s is %v, want %v", path, have, value))
		}
	}
	return wrong
}

// at is the member at a path; nil if there is none. The SDKs' Go names begin with a capital, AWS's do not.
func (d doc) at(path string) any {
	var v any = map[string]any(d)
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			member, ok := in[step]
			if !ok {
				member = in[string(unicode.ToUpper(rune(step[0])))+step[1:]]
			}
			v = member
		case []any:
			if step == "length" {
				v = float64(len(in))
				continue
			}
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			if step == "length" && v == nil {
				v = float64(0)
				continue
			}
			return nil
		}
	}
	return v
}

// text is the member at a path that is a string; "" if there is none.
func (d doc) text(path string) string {
	s, _ := d.at(path).(string)
	return s
}

// plainly is a value as encoding/json reads it.
func plainly(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var plain any
	if err := json.Unmarshal(text, &plain); err != nil {
		panic(err)
	}
	return plain
}

// arn names a resource in the region of the systems under test.
func arn(kind, name string) string {
	return "arn:aws:iot:" + region + ":" + account + ":" + kind + "/" + name
}
