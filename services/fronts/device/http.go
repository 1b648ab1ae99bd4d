package device

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/protobuf/proto"

	v1 "github.com/droverhq/drover/proto/drover/v1"
	"github.com/droverhq/drover/services/bus"
)

// HandlerConfig is what a Handler needs.
type HandlerConfig struct {
	// Client reaches the homes of all things. Its Timeout bounds a request.
	Client *bus.Client
}

// Handler is the device plane over HTTP: the four operations of iot-jobs-data, each asked of the thing's home over the bus.
//
// It leaves to its caller who may ask, the size of a body, the rate of requests and x-amzn-RequestId. The path of a request
// begins with /things/: a prefix has been taken off.
type Handler struct{ client *bus.Client }

// NewHandler makes a Handler.
func NewHandler(c HandlerConfig) *Handler { return &Handler{c.Client} }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		err = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "the body ends early: %v", err)
	}
	x := ReadHTTP(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, data)
	var reply proto.Message
	if m := x.Message(); m != nil && err == nil {
		reply, err = h.ask(r.Context(), m, commandID(r, data))
	}
	a := x.Answer(reply, err)
	w.Header().Set("Content-Type", "application/json")
	if a.ErrorType != "" {
		w.Header().Set("x-amzn-ErrorType", a.ErrorType)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // a device that is gone asks again
}

// ask calls the operation of a message. An update is the command that its call names, so that one that is tried again takes
// effect once, and its repeat is answered as it was. A request's signature would be no such name: two updates of one second
// may be the same to the byte and speak of two attempts. To start what has started changes nothing, and needs no name.
func (h *Handler) ask(ctx context.Context, m proto.Message, command string) (proto.Message, error) {
	switch m := m.(type) {
	case *v1.GetPending:
		return bus.GetPending.Call(ctx, h.client, m)
	case *v1.DescribeExecution:
		return bus.DescribeExecution.Call(ctx, h.client, m)
	case *v1.StartNext:
		return bus.StartNext.Call(ctx, h.client, m)
	case *v1.UpdateExecution:
		if command == "" {
			return bus.UpdateExecution.Call(ctx, h.client, m)
		}
		return bus.UpdateExecution.Call(ctx, h.client, m, bus.WithCommandID(command))
	}
	return nil, internal
}

// commandID is the command that a request's call names; empty if it names none. AWS's SDKs draw a UUID for a call, which is
// the same when they try it again. What the call asks belongs to its name, so that another call is never answered as this was.
func commandID(r *http.Request, body []byte) string {
	call := r.Header.Get("amz-sdk-invocation-id")
	if call == "" {
		return ""
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s", call, r.URL.EscapedPath(), body)
	return hex.EncodeToString(sum.Sum(nil))
}
