package device

import (
	"context"
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
	// CommandID is the id of the command that a request carries, so that a repeat of the request takes effect once; empty:
	// it has none. Nil: no request has one.
	CommandID func(*http.Request) string
}

// Handler is the device plane over HTTP: the four operations of iot-jobs-data, each asked of the thing's home over the bus.
//
// It leaves to its caller who may ask, the size of a body, the rate of requests and x-amzn-RequestId. The path of a request
// begins with /things/: a prefix has been taken off.
type Handler struct {
	client    *bus.Client
	commandID func(*http.Request) string
}

// NewHandler makes a Handler.
func NewHandler(c HandlerConfig) *Handler {
	if c.CommandID == nil {
		c.CommandID = func(*http.Request) string { return "" }
	}
	return &Handler{c.Client, c.CommandID}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		err = v1.Refuse(v1.RefusalCode_REFUSAL_CODE_INVALID_REQUEST, "", "the body ends early: %v", err)
	}
	x := ReadHTTP(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, data)
	var reply proto.Message
	if m := x.Message(); m != nil && err == nil {
		reply, err = h.ask(r.Context(), m, h.commandID(r))
	}
	a := x.Answer(reply, err)
	w.Header().Set("Content-Type", "application/json")
	if a.ErrorType != "" {
		w.Header().Set("x-amzn-ErrorType", a.ErrorType)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body) // a device that is gone asks again
}

// ask calls the operation of a message. Only what changes something carries a command id.
func (h *Handler) ask(ctx context.Context, m proto.Message, commandID string) (proto.Message, error) {
	var opts []bus.Option
	if commandID != "" {
		opts = append(opts, bus.WithCommandID(commandID))
	}
	switch m := m.(type) {
	case *v1.GetPending:
		return bus.GetPending.Call(ctx, h.client, m)
	case *v1.DescribeExecution:
		return bus.DescribeExecution.Call(ctx, h.client, m)
	case *v1.StartNext:
		return bus.StartNext.Call(ctx, h.client, m, opts...)
	case *v1.UpdateExecution:
		return bus.UpdateExecution.Call(ctx, h.client, m, opts...)
	}
	return nil, internal
}
