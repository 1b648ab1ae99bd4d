// Package aws is AWS's API over HTTP: the operations of the service iot that concern jobs and their targets, and, on the
// same listener, the way in to the devices' data plane (iot-jobs-data), which is fronts/device's.
//
// A Front promises that AWS's clients work with nothing but another endpoint: paths, members, times, errors and pages are
// AWS's; a call that an SDK tries again takes effect once; and a read that
// follows a write sees it, through whichever process. A request that is at fault is answered with one of AWS's errors, never
// with a 5xx. It decides nothing: a request becomes one command or query of the bus, and what is refused there is said in
// AWS's words. README.md lists the operations. (specification §2)
//
// front.go lets requests in; route.go says which request is which operation; call.go is what an operation works with, answer.go
// and errors.go how it is answered. The operations stand in files named after their resources.
package aws

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/services/bus"
	"github.com/droverhq/drover/services/fronts/aws/sigv4"
)

// BodyMax bounds a request's body, in bytes. The largest is a CreateJob, whose document of 32,768 bytes grows when it is
// written as a JSON string.
const BodyMax = 512 << 10

// Plane is a part of AWS's API with names and paths of its own.
type Plane string

// The planes. A request's is told by the service that its signature names; without a signature by its Host, or by the
// first segment of its path where that is a plane's name.
const (
	Control Plane = "iot"
	Data    Plane = "iot-jobs-data"
)

// services are the names that clients sign for. (notes on the wire §2.1)
var services = map[string]Plane{"iot": Control, "execute-api": Control, "iot-jobs-data": Data}

// Config is what a Front needs.
type Config struct {
	Client *bus.Client
	// Data serves the data plane. It is handed requests that were let in: the body is in memory, the path has no prefix,
	// the answer's header x-amzn-RequestId is set. DataOperation names a request's operation, "" if it is none.
	Data          http.Handler
	DataOperation func(method, escapedPath string) string
	// Verify says who signed a request, or refuses it with a *sigv4.Error. Nil: nobody need sign.
	Verify func(r *http.Request, body []byte, now time.Time) (sigv4.Identity, error)
	// Account stands in every ARN, and Region in the ARNs for requests whose signature names none.
	Account, Region string
	// Endpoint is the address, host or host:port, that DescribeEndpoint tells of an endpoint type (iot:Jobs, iot:Data-ATS, …) to
	// who asks by this request; "" is none.
	Endpoint func(r *http.Request, endpointType string) string
	// Allow says whether an operation may be carried out now; nil is always.
	Allow func(operation string) bool
	// Observe is told of every request that was answered; nil is nobody.
	Observe func(Observation)
	// Plane, if set, is that of every request, whatever it says: of a listener that is kept for one.
	Plane Plane
	// Logger gets what is wrong with us, never a client's mistakes; nil is none.
	Logger *slog.Logger
}

// Observation is one request and how it was answered. It holds nothing that is secret.
type Observation struct {
	RequestID   string
	Operation   string // AWS's name; empty if the request named none
	AccessKeyID string // empty if it was not signed, or not let in
	Remote      string // host:port
	Status      int
	Error       string // AWS's name of it; empty if it was granted
	Took        time.Duration
}

// Front is an http.Handler. It is safe for concurrent use.
type Front struct {
	Config
	routes []*operation
}

// New makes a Front.
func New(c Config) *Front {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Front{Config: c, routes: operations()}
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	a := &answer{ResponseWriter: w}
	o := Observation{RequestID: uuid.NewString(), Remote: r.RemoteAddr}
	w.Header().Set("x-amzn-RequestId", o.RequestID)
	defer func() {
		if p := recover(); p != nil {
			f.Logger.Error("a request's handler panicked", "operation", o.Operation, "panic", p, "stack", string(debug.Stack()))
			a.fail(&awsError{name: "InternalFailureException", status: http.StatusInternalServerError, message: "internal error"})
		}
		if f.Observe != nil {
			o.Status, o.Error, o.Took = cmp.Or(a.status, http.StatusOK), w.Header().Get(errorHeader), time.Since(began)
			f.Observe(o)
		}
	}()
	if err := f.serve(a, r, &o); err != nil {
		a.fail(err)
	}
}

// serve lets a request in and answers it; or says why not.
func (f *Front) serve(a *answer, r *http.Request, o *Observation) error {
	body, err := readBody(a, r)
	if err != nil {
		return err
	}
	var who sigv4.Identity
	if f.Verify != nil {
		if who, err = f.Verify(r, body, time.Now()); err != nil {
			return err
		}
		o.AccessKeyID = who.AccessKeyID
	}
	who.Region = cmp.Or(who.Region, f.Region)
	plane, path, err := f.plane(r, who)
	if err != nil {
		return err
	}
	if plane == Data {
		if o.Operation = f.DataOperation(r.Method, path); !f.allowed(o.Operation) {
			return throttled(http.StatusTooManyRequests)
		}
		f.Data.ServeHTTP(a, withPath(r, path, body))
		return nil
	}
	op, vars, err := f.route(r.Method, path)
	if err != nil {
		return err
	}
	if o.Operation = op.name; !f.allowed(op.name) {
		return throttled(http.StatusBadRequest)
	}
	c := &call{Context: r.Context(), front: f, r: r, op: op, vars: vars, body: body, region: who.Region, commandID: commandID(r, who, body)}
	if err := c.readQuery(); err != nil {
		return err
	}
	result, err := op.do(c)
	if err != nil {
		return c.explain(err)
	}
	a.grant(result)
	return nil
}

func (f *Front) allowed(operation string) bool {
	return f.Allow == nil || operation == "" || f.Allow(operation)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, BodyMax))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, invalid("the body is longer than %d bytes", BodyMax)
	case err != nil:
		return nil, invalid("the body could not be read to its end")
	}
	return body, nil
}

// plane says which plane a request is for, and its path there, escaped as it came.
func (f *Front) plane(r *http.Request, who sigv4.Identity) (Plane, string, error) {
	path := r.URL.EscapedPath()
	host, _, _ := strings.Cut(r.Host, ":")
	plane := Control
	if strings.Contains(host, ".jobs.iot.") {
		plane = Data
	}
	if who.Service != "" {
		signed, ok := services[who.Service]
		if !ok {
			return "", "", &sigv4.Error{Name: "InvalidSignatureException", Message: "Credential should be scoped to correct service: iot or iot-jobs-data, not " + who.Service}
		}
		plane = signed
	}
	for _, p := range []Plane{Control, Data} {
		rest, ok := strings.CutPrefix(path, "/"+string(p))
		if !ok || rest != "" && rest[0] != '/' {
			continue
		}
		if who.Service != "" && plane != p {
			return "", "", &sigv4.Error{Name: "InvalidSignatureException", Message: "the path is one of " + string(p) + " and the signature is for " + who.Service}
		}
		plane, path = p, rest
		break
	}
	return cmp.Or(f.Plane, plane), path, nil
}

// withPath is a request of the data plane as its handler reads it.
func withPath(r *http.Request, path string, body []byte) *http.Request {
	in := r.Clone(r.Context())
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	in.URL.RawPath = path
	in.URL.Path, _ = unescape(path) // it was unescaped once, by net/http
	return in
}

// commandID makes a mutation that is sent again the same command, and no other one. AWS's SDKs name each call, the same when
// they try it again; what it asks belongs to its id, so that another call is never answered as this was. A signature would be
// no such name: it tells the second alone, in which somebody may well set a thing to one value, to another, and back. So who
// names no call (aws-sdk-go v1, curl) may send one request twice and mean it, and is not protected from who recorded it:
// that is TLS's to do, as it is at AWS.
func commandID(r *http.Request, who sigv4.Identity, body []byte) string {
	invocation := r.Header.Get("amz-sdk-invocation-id")
	if invocation == "" {
		return ""
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s %s\n%s", invocation, r.Method, r.URL.RequestURI(), body)
	return who.AccessKeyID + "/" + hex.EncodeToString(sum.Sum(nil)[:20])
}
